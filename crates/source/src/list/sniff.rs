//! Where the hashes are in a table, and what stands between its cells.

use super::cut::{Cells, Cut};
use super::error::Columns;
use super::recognise::{Head, SAMPLE, is_hash};
use super::{Column, ColumnChoice, Layout, ListError, Table, raw, record, value};
use hashsweep_model::{DigestError, HashKind};
use std::collections::BTreeMap;

/// The delimiters that are tried, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

type Record = Vec<Vec<u8>>;

/// What a text without any other mark is: lines, or a table.
pub(super) fn text_or_table(head: &Head<'_>) -> Result<Layout, ListError> {
    let only = head.order.hash_type;
    let mut said = head.lines().filter(|line| !line.trim_ascii().is_empty());
    let first = match said.next() {
        Some(first) => first,
        None if head.is_whole => return Ok(Layout::Text),
        // No line ends in sight.
        None => head.bytes,
    };
    let second_is_hash = said.next().is_some_and(|line| is_hash(line, None));
    if is_hash(first, None) {
        return Ok(Layout::Text);
    }
    let reading = best(head);
    if reading.n_hashes > 0 || reading.has_named_column() {
        return reading.layout(head);
    }
    if second_is_hash {
        return Reading::of(head, b',').layout(head);
    }
    // A text whose first lines are headings, or of whose hashes many are broken.
    let looks_like_hash = |line: &[u8]| {
        matches!(value::parse(line, only), Ok(_) | Err(DigestError::Length { .. } | DigestError::Sha512))
    };
    if head.lines().any(looks_like_hash) {
        return Ok(Layout::Text);
    }
    if reading.n_columns > 1 && head.has_a_row() {
        return reading.layout(head);
    }
    Err(ListError::NoHashes { path: head.order.path.clone(), seen: head.seen() })
}

/// A list of which it is known that it is a table.
pub(super) fn table(head: &Head<'_>) -> Result<Layout, ListError> {
    best(head).layout(head)
}

/// The reading under which most hashes stand in cells of their own, or the column is there that the user named.
fn best(head: &Head<'_>) -> Reading {
    let given = if head.is_transcript {
        Some(hashsweep_tables::DELIMITER)
    } else {
        head.order.delimiter.or_else(|| head.lines().next().and_then(raw::separator))
    };
    let readings = match given {
        Some(delimiter) => vec![Reading::of(head, delimiter)],
        None => DELIMITERS.iter().map(|delimiter| Reading::of(head, *delimiter)).collect(),
    };
    let rank = |reading: &Reading| {
        let has_choice = head.order.column.as_ref().is_some_and(|choice| reading.named(choice).is_some());
        (has_choice, reading.n_hashes, reading.has_named_column(), reading.n_even)
    };
    // The first of equals, which max_by_key would not give.
    readings
        .into_iter()
        .reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
        .expect("there is a delimiter to try")
}

/// The first records as one delimiter divides them.
struct Reading {
    delimiter: u8,
    records: Vec<Record>,
    n_columns: usize,
    /// Records with a hash in a cell that is not the only one.
    n_hashes: usize,
    /// Records with as many cells as the first, if it has several.
    n_even: usize,
}

impl Reading {
    fn of(head: &Head<'_>, delimiter: u8) -> Reading {
        let mut rest = head.bytes;
        if let Some(line) = head.lines().next()
            && raw::separator(line) == Some(delimiter)
        {
            rest = &rest[line.len()..];
        }
        let mut cells = Cells::default();
        let mut records: Vec<Record> = Vec::new();
        // A record of which no end is in sight is read as far as it goes, if it is the only one.
        let is_whole = |records: &Vec<Record>| head.is_whole || records.is_empty();
        while records.len() <= SAMPLE
            && let Cut::Row(extent) = record::cut(rest, is_whole(&records), delimiter, &mut cells)
        {
            let raw = &rest[extent.before..extent.before + extent.raw];
            records.push((0..cells.len()).filter_map(|i| cells.get(raw, i)).map(<[u8]>::to_vec).collect());
            rest = &rest[extent.len()..];
        }
        let only = head.order.hash_type;
        let has_hash = |record: &&Record| record.len() > 1 && record.iter().any(|cell| is_hash(cell, only));
        let first = records.first().map_or(0, Vec::len);
        Reading {
            delimiter,
            n_columns: records.iter().map(Vec::len).max().unwrap_or(0),
            n_hashes: records.iter().filter(has_hash).count(),
            n_even: if first > 1 { records.iter().filter(|record| record.len() == first).count() } else { 0 },
            records,
        }
    }

    fn first(&self) -> &[Vec<u8>] {
        self.records.first().map_or(&[], Vec::as_slice)
    }

    fn has_named_column(&self) -> bool {
        self.first().len() > 1 && self.first().iter().any(|name| names_hash(name))
    }

    fn named(&self, choice: &ColumnChoice) -> Option<usize> {
        let header = self.first();
        match choice {
            ColumnChoice::Index(number) => number.checked_sub(1).filter(|column| *column < self.n_columns),
            ColumnChoice::Name(name) => {
                let wanted = name.trim().as_bytes();
                let exactly = header.iter().position(|cell| cell.trim_ascii() == wanted);
                exactly
                    .or_else(|| header.iter().position(|cell| cell.trim_ascii().eq_ignore_ascii_case(wanted)))
            }
        }
    }

    /// The table, once its header and its columns are known.
    fn layout(&self, head: &Head<'_>) -> Result<Layout, ListError> {
        let order = head.order;
        let path = || order.path.clone();
        let chosen = match &order.column {
            Some(choice) => Some(self.named(choice).ok_or_else(|| ListError::NoSuchColumn {
                path: path(),
                wanted: match choice {
                    ColumnChoice::Index(number) => number.to_string(),
                    ColumnChoice::Name(name) => format!("{name:?}"),
                },
                columns: self.columns(0..self.first().len()),
            })?),
            None => None,
        };
        let is_named = matches!(order.column, Some(ColumnChoice::Name(_)));
        let seen = match chosen {
            Some(at) => vec![Column { at, kind: None }],
            None => self.seen(head)?,
        };
        let has_header = head.is_transcript || !order.no_header && (is_named || self.first_is_header(&seen));
        let columns = if seen.is_empty() { self.by_name(head, has_header)? } else { seen };
        let columns =
            if has_header && chosen.is_none() { self.with_blank_ones(columns, head) } else { columns };
        Ok(Layout::Table(Table {
            delimiter: self.delimiter,
            header: has_header.then(|| self.first().to_vec()),
            n_columns: if has_header { self.first().len() } else { self.n_columns },
            columns,
        }))
    }

    /// A header has no hash in it, and a word where the hashes are. What is blank or nearly a hash there is a row:
    /// taken for a header, it would be lost.
    fn first_is_header(&self, columns: &[Column]) -> bool {
        const MIN_NEARLY: usize = 8;
        let is_word = |cell: &Vec<u8>| match value::parse(cell, None) {
            Err(DigestError::NotHex { .. }) => true,
            Err(DigestError::Length { n_digits }) => n_digits < MIN_NEARLY,
            _ => false,
        };
        let mut where_hashes_are = columns.iter().filter_map(|column| self.first().get(column.at));
        let has_word = match columns {
            [] => self.first().iter().any(is_word),
            _ => where_hashes_are.any(is_word),
        };
        has_word && !self.first().iter().any(|cell| is_hash(cell, None))
    }

    /// The columns in whose first rows most of what stands there is a hash.
    fn seen(&self, head: &Head<'_>) -> Result<Vec<Column>, ListError> {
        // The first record may be a header, whose words would count against the columns.
        let is_header = head.is_transcript || !self.first().iter().any(|cell| is_hash(cell, None));
        let first = usize::from(is_header);
        let found = self.counted(head, first);
        let at = |number: &str| number.parse::<usize>().expect("they are numbers");
        // Where nothing has a name, every hash is the row's.
        let name = |number: &str| {
            let name = self.first().get(at(number)).filter(|_| is_header);
            name.map_or_else(String::new, |name| subject(name))
        };
        let several = |several: Columns| ListError::SeveralHashColumns {
            path: head.order.path.clone(),
            columns: self.columns(several.0.iter().map(|(_, number)| at(number))),
        };
        let chosen = found.chosen(name).map_err(several)?;
        // A column of the row's own that is blank at first is not outweighed by one of something else.
        if let [(number, _)] = chosen[..]
            && !name(number).is_empty()
        {
            let is_own =
                |at: &usize| kind_named(&self.first()[*at]).is_some() && found.is_blank(&column_number(*at));
            let own = (0..self.first().len()).filter(is_own);
            let all: Vec<usize> = own.chain([at(number)]).collect();
            if all.len() > 1 {
                let columns = self.columns(all.into_iter());
                return Err(ListError::SeveralHashColumns { path: head.order.path.clone(), columns });
            }
        }
        Ok(chosen.into_iter().map(|(number, kind)| Column { at: at(number), kind }).collect())
    }

    /// What stands in each column, from this record on.
    fn counted(&self, head: &Head<'_>, first: usize) -> Found {
        let mut found = Found::default();
        let numbers: Vec<String> = (0..self.n_columns).map(column_number).collect();
        let repeats: Vec<bool> = (0..self.n_columns).map(|at| self.repeats(at)).collect();
        for record in self.records.iter().skip(first) {
            for ((number, cell), _) in
                numbers.iter().zip(record).zip(&repeats).filter(|(_, repeats)| !**repeats)
            {
                found.add(number, cell, head.order.hash_type);
            }
        }
        found
    }

    /// Whether a column holds the bytes of the digests in another one, as our own Parquet has them side by side.
    fn repeats(&self, column: usize) -> bool {
        let name = |at: usize| self.first().get(at).map(Vec::as_slice);
        let Some(of) = name(column).and_then(|name| name.strip_suffix(b"_bytes")) else { return false };
        let Some(other) = (0..self.first().len()).find(|at| name(*at) == Some(of)) else { return false };
        let digest = |record: &Record, at: usize| record.get(at).map(|cell| value::parse(cell, None));
        kind_named(of).is_some()
            && self.records.iter().skip(1).all(|record| digest(record, column) == digest(record, other))
    }

    /// The columns that are named like hashes, where none was seen.
    fn by_name(&self, head: &Head<'_>, has_header: bool) -> Result<Vec<Column>, ListError> {
        let path = || head.order.path.clone();
        let named: Vec<usize> =
            (0..self.first().len()).filter(|at| has_header && names_hash(&self.first()[*at])).collect();
        let n_rows = self.records.len() - usize::from(has_header).min(self.records.len());
        match named[..] {
            [column] => Ok(vec![Column { at: column, kind: None }]),
            // The names tell the kinds, unless two are of one.
            [_, _, ..] => {
                let kinds: Vec<_> = named.iter().map(|at| kind_named(&self.first()[*at])).collect();
                if !all_differ(&kinds) {
                    let columns = self.columns(named.into_iter());
                    return Err(ListError::SeveralHashColumns { path: path(), columns });
                }
                Ok(named.into_iter().zip(kinds).map(|(at, kind)| Column { at, kind }).collect())
            }
            // One column leaves no choice, and a list without rows leaves nothing to lose.
            [] if n_rows == 0 && !head.has_trouble => Ok(vec![Column { at: 0, kind: None }]),
            // A binary table has columns, and none of them because it must.
            [] if self.n_columns == 1 && !head.is_transcript => Ok(vec![Column { at: 0, kind: None }]),
            [] => Err(ListError::NoHashColumn { path: path(), columns: self.columns(0..self.first().len()) }),
        }
    }

    /// Adds the columns that are named after a kind and were blank so far, where every other is of another kind.
    fn with_blank_ones(&self, mut columns: Vec<Column>, head: &Head<'_>) -> Vec<Column> {
        let found = self.counted(head, 1);
        let kind_of = |column: &Column| column.kind.or_else(|| kind_named(&self.first()[column.at]));
        let Some(mut kinds) = columns.iter().map(kind_of).collect::<Option<Vec<HashKind>>>() else {
            return columns;
        };
        for (at, name) in self.first().iter().enumerate() {
            if let Some(kind) = kind_named(name)
                && !kinds.contains(&kind)
                && found.is_blank(&column_number(at))
            {
                kinds.push(kind);
                columns.push(Column { at, kind: Some(kind) });
            }
        }
        if columns.len() > 1 {
            for (column, kind) in columns.iter_mut().zip(kinds) {
                column.kind = Some(kind);
            }
        }
        columns
    }

    fn columns(&self, which: impl Iterator<Item = usize>) -> Columns {
        let name = |column: usize| self.first().get(column).map_or(&[][..], Vec::as_slice);
        let shown = |column: usize| {
            let name = String::from_utf8_lossy(name(column).trim_ascii()).into_owned();
            (column + 1, name.chars().take(64).collect())
        };
        Columns(which.map(shown).collect())
    }
}

/// A column's number, so that the order of the texts is that of the columns.
fn column_number(at: usize) -> String {
    format!("{at:08}")
}

/// Whether each is a kind, and no two are the same.
fn all_differ(kinds: &[Option<HashKind>]) -> bool {
    (0..kinds.len()).all(|i| kinds[i].is_some() && !kinds[..i].contains(&kinds[i]))
}

fn kind_named(name: &[u8]) -> Option<HashKind> {
    std::str::from_utf8(name).ok()?.trim().to_ascii_lowercase().replace('_', "-").parse().ok()
}

/// What a name says of a hash beyond its function: nothing for `sha256` and `File Hash (MD5)`, `parent` for
/// `parent_sha1`, `imp` for `imphash`.
pub(super) fn subject(name: &[u8]) -> String {
    let mut word: String = String::from_utf8_lossy(name)
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    // The longer of two with one beginning stands first.
    for common in
        ["sha256", "sha1", "md5", "sums", "sum", "hashes", "hash", "digests", "digest", "files", "file"]
    {
        word = word.replacen(common, "", 1);
    }
    word
}

fn names_hash(name: &[u8]) -> bool {
    kind_named(name).is_some() || name.trim_ascii().eq_ignore_ascii_case(b"hash")
}

/// Places that hold hashes, each with its only kind, where another holds another.
type Chosen<'a> = Vec<(&'a String, Option<HashKind>)>;

/// The places in which hashes were seen, and of which kinds.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<String, Count>);

#[derive(Debug, Default)]
struct Count {
    hashes: usize,
    others: usize,
    /// By the order of [`HashKind::ALL`].
    of_kind: [usize; 3],
}

impl Count {
    /// The kind of nine in ten hashes here, if there is one.
    fn kind(&self) -> Option<HashKind> {
        HashKind::ALL.into_iter().find(|kind| {
            let n = self.of_kind[*kind as usize];
            n > 0 && n * 10 >= self.hashes * 9
        })
    }

    fn can_be_asked(&self) -> bool {
        self.of_kind != [0; 3]
    }
}

impl Found {
    pub(super) fn add(&mut self, place: &str, cell: &[u8], only: Option<HashKind>) {
        let count = match self.0.get_mut(place) {
            Some(count) => count,
            None => self.0.entry(place.to_owned()).or_default(),
        };
        match value::parse(cell, only) {
            Ok(digest) => {
                count.hashes += 1;
                count.of_kind[digest.kind() as usize] += 1;
            }
            Err(DigestError::Sha512) => count.hashes += 1,
            Err(DigestError::Empty) => {}
            Err(_) => count.others += 1,
        }
    }

    /// Whether nothing but blanks stood there.
    fn is_blank(&self, place: &str) -> bool {
        self.0.get(place).is_none_or(|count| count.hashes + count.others == 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every place, for a message.
    pub(super) fn all(&self) -> Columns {
        Columns(self.0.keys().enumerate().map(|(i, place)| (i + 1, place.clone())).collect())
    }

    /// The places that hold hashes; where there are several, each holds one kind that no other does. `Err` holds
    /// those between which the user has to choose.
    ///
    /// `subject` is what a place's name says the hash is of: `parent_sha1` beside `sha256` is another file's, so they
    /// are not one row's.
    pub(super) fn chosen(&self, subject: impl Fn(&str) -> String) -> Result<Chosen<'_>, Columns> {
        let with = |rule: fn(&Count) -> bool| -> Vec<(&String, &Count)> {
            self.0.iter().filter(|(_, count)| rule(count)).collect()
        };
        let mut places = with(|count| count.hashes > 0 && count.hashes >= count.others);
        if places.is_empty() {
            places = with(|count| count.hashes > 0);
        }
        // Beside hashes that can be asked, a column of SHA-512 is none.
        if places.iter().any(|(_, count)| count.can_be_asked()) {
            places.retain(|(_, count)| count.can_be_asked());
        }
        if let [(place, _)] = places[..] {
            return Ok(vec![(place, None)]);
        }
        let kinds: Vec<Option<HashKind>> = places.iter().map(|(_, count)| count.kind()).collect();
        let first = places.first().map(|(place, _)| subject(place));
        let is_of_one = places.iter().all(|(place, _)| Some(subject(place)) == first);
        if all_differ(&kinds) && is_of_one {
            return Ok(places.iter().zip(kinds).map(|((place, _), kind)| (*place, kind)).collect());
        }
        Err(Columns(places.iter().enumerate().map(|(i, (place, _))| (i + 1, (*place).clone())).collect()))
    }
}
