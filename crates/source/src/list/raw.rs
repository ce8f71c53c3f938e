//! The rows of a list, with the bytes that they are.
//!
//! Of a table and of a text, the preamble, every row with what stands before and behind it, and the tail are the
//! file again, once unpacked and transcoded. What cannot be read is a row as well: it says what is missing.

use super::cut::{self, Cells, Content, Cut, Extent, Gathered};
use super::extract::Extraction;
use super::layout::{Column, Layout, Table};
use super::tape::Tape;
use super::{JsonShape, ListError, ListOrder, bodyfile, coreutils, dfxml, hashdeep, json, record};
use hashsweep_model::{DigestError, HashKind, Skip, SkipKind};
use memchr::{memchr2, memmem};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Records, values and elements up to this length are kept in memory whole, however hostile; a hostile one (all
/// delimiters) takes 25 times as much beside it. Honest ones are far shorter.
pub(super) const MAX_RECORD: usize = 4 << 20;

/// How many bytes a table's quotes may be sought over in vain, at the beginning and for each byte that is read. A few
/// quotes that are never closed are looked for over all of [`MAX_RECORD`]; thousands of them would take hours.
const PATIENCE: usize = 16 * MAX_RECORD;
const PATIENCE_A_BYTE: usize = 64;

/// A quoted record of this length is found whole, however many quotes were left open before it.
const MIN_SOUGHT: usize = 1 << 10;

/// Longest line of a form that has a hash and a path on each; Linux takes paths of 4 KiB.
const MAX_LINE: usize = 64 << 10;

/// How much is kept of a row that is longer.
const MAX_KEPT: usize = 4 << 10;

/// UTF-8's byte order mark, which some tools write before the first character.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Goes through a list's rows in their order, in bounded memory (a record of 4 MiB at most) and what unpacking takes.
#[derive(Debug)]
pub struct RawRows {
    path: PathBuf,
    layout: Layout,
    only: Option<HashKind>,
    tape: Tape,
    n_rows: u64,
    /// The row that was handed out last.
    pending: Extent,
    cells: Cells,
    extraction: Extraction,
    /// Whether the bracket of a JSON array was passed.
    has_begun: bool,
    /// The beginning of a row that is too long to be kept whole.
    held: Vec<u8>,
    preamble: Vec<u8>,
    tail: Vec<u8>,
    is_done: bool,
    /// Bytes that may still be looked at in vain for the end of a quoted cell.
    patience: usize,
    root: dfxml::Root,
    /// Lines of a table that were passed, its header's among them.
    n_lines: u64,
    /// How many of them would be, if every row were one line.
    n_lines_of_header: u64,
    /// The line of a row that was too long is passed before the row is handed out.
    n_cut_lines: u64,
}

/// One row. Lives until the next one is asked for.
#[derive(Debug)]
pub struct RawRow<'a> {
    /// From 1.
    pub number: u64,
    /// What stands between the row before and this one and belongs to none.
    pub before: &'a [u8],
    /// The row as it stands in the file. Where `cut` is set, its beginning.
    pub raw: &'a [u8],
    /// What ended it: `\n`, `\r\n`, a table's `\r`, or nothing.
    pub terminator: &'a [u8],
    /// The whole row's length, where `raw` is only its beginning.
    pub cut: Option<u64>,
    /// Whether a quote is still open at the end of it. Whoever writes something behind the row must close it first,
    /// or it becomes part of the last cell.
    pub is_open: bool,
    /// Its cells.
    pub fields: Fields<'a>,
    /// The hashes in it, or why there are none.
    pub content: Content,
}

/// The cells of a row, without the quotes and escapes of its form.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    raw: &'a [u8],
    cells: &'a Cells,
}

impl<'a> Fields<'a> {
    /// The cell in this column, from 0; a ragged row may lack it.
    pub fn get(&self, column: usize) -> Option<&'a [u8]> {
        self.cells.get(self.raw, column)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let fields = *self;
        (0..).map_while(move |column| fields.get(column))
    }
}

/// What is known at the end of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEnd {
    /// What stands behind the last row of a table and belongs to none: blank lines.
    pub tail: Vec<u8>,
    /// SHA-256 of the whole file, as it lies on the disk.
    pub fingerprint: [u8; 32],
    /// The file's length.
    pub n_bytes: u64,
}

/// A row that was found; its parts are read from the tape, or from what was held of it.
struct Found {
    extent: Extent,
    /// The whole length of a row that is too long, of which `held` is the beginning.
    cut: Option<u64>,
    /// The trouble that ended the list here.
    lost: Option<Skip>,
}

impl RawRows {
    /// Opens the list and reads past its header.
    pub fn open(order: &ListOrder, layout: &Layout) -> Result<RawRows, ListError> {
        let mut tape = Tape::open(&order.path)
            .map_err(|source| ListError::Unreadable { path: order.path.clone(), source })?;
        while tape.unread().len() < BOM.len() && tape.more() {}
        let mut preamble = Vec::new();
        if tape.unread().starts_with(BOM) {
            preamble.extend_from_slice(BOM);
            tape.consume(BOM.len());
        }
        let mut rows = RawRows {
            path: order.path.clone(),
            layout: layout.clone(),
            only: order.hash_type,
            tape,
            n_rows: 0,
            pending: Extent::default(),
            cells: Cells::default(),
            extraction: Extraction::default(),
            has_begun: false,
            held: Vec::new(),
            preamble,
            tail: Vec::new(),
            is_done: false,
            patience: PATIENCE,
            root: dfxml::Root::default(),
            n_lines: 0,
            n_lines_of_header: 0,
            n_cut_lines: 0,
        };
        if let Layout::Table(table) = layout {
            rows.pass_header(table);
            rows.n_lines = count_lines(&rows.preamble);
            rows.n_lines_of_header = rows.n_lines;
        }
        Ok(rows)
    }

    fn pass_header(&mut self, table: &Table) {
        if let Cut::Row(extent) = self.first_line()
            && separator(&self.tape.unread()[..extent.raw]) == Some(table.delimiter)
        {
            self.preamble.extend_from_slice(&self.tape.unread()[..extent.len()]);
            self.tape.consume(extent.len());
        }
        if table.header.is_some()
            && let Some(found) = self.find()
        {
            self.preamble.extend_from_slice(&self.tape.unread()[..found.extent.len()]);
            self.tape.consume(found.extent.len());
        }
    }

    fn first_line(&mut self) -> Cut {
        while self.tape.unread().len() < SEPARATOR.len() + 3 && self.tape.more() {}
        cut::line(self.tape.unread(), self.tape.is_at_end())
    }

    /// The same rows, which end early once this is set: after a long row, say, or within one of gigabytes. Whoever sets
    /// it must not believe the last row.
    #[must_use]
    pub fn stopped_by(mut self, stop: Arc<AtomicBool>) -> RawRows {
        self.tape.stop = Some(stop);
        self
    }

    /// Everything before the first row of a table: a byte order mark, and the header with its terminator.
    pub fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    /// Bytes of the file that were read so far, a little ahead of the row at hand.
    pub fn n_bytes(&self) -> u64 {
        self.tape.n_bytes()
    }

    /// The next row, or `None` at the end of the list.
    #[expect(clippy::should_implement_trait, reason = "a row borrows from this, which an Iterator's cannot")]
    pub fn next(&mut self) -> Option<RawRow<'_>> {
        let (extent, cut, content) = self.advance()?;
        let (before, raw, terminator) = if cut.is_some() {
            (&[][..], &self.held[..], if extent.terminator > 0 { &b"\n"[..] } else { &[] })
        } else {
            let (before, rest) = self.tape.unread().split_at(extent.before);
            let (raw, rest) = rest.split_at(extent.raw);
            (before, raw, &rest[..extent.terminator])
        };
        Some(RawRow {
            number: self.n_rows,
            before,
            raw,
            terminator,
            cut,
            is_open: extent.is_open,
            fields: Fields { raw, cells: &self.cells },
            content,
        })
    }

    /// The next row's number and what it says, without its bytes.
    pub(super) fn next_content(&mut self) -> Option<(u64, Content)> {
        let (_, _, content) = self.advance()?;
        Some((self.n_rows, content))
    }

    /// The next row: its place, its length where it is too long to be kept, and what it says.
    #[inline]
    fn advance(&mut self) -> Option<(Extent, Option<u64>, Content)> {
        self.pass_row();
        self.n_lines += std::mem::take(&mut self.n_cut_lines);
        let Found { extent, cut, lost } = self.find()?;
        self.n_rows += 1;
        if cut.is_none() {
            self.pending = extent;
        }
        let content = match lost {
            Some(skip) => {
                self.is_done = true;
                if !matches!(self.layout, Layout::Table(_)) && extent.raw > 0 {
                    self.cells.push_piece(0, extent.raw);
                }
                Content::Lost(skip)
            }
            None => match self.content(extent, cut) {
                Content::Invalid(why) => match self.line_apart(extent) {
                    Some(line) => Content::Invalid(DigestError::Form(format!("{why} (line {line})"))),
                    None => Content::Invalid(why),
                },
                Content::Lost(Skip { kind, detail }) => match self.line_apart(extent) {
                    Some(line) => Content::Lost(Skip::because(kind, format!("{detail} (line {line})"))),
                    None => Content::Lost(Skip::because(kind, detail)),
                },
                content @ (Content::One(_) | Content::Several(_)) => content,
            },
        };
        Some((extent, cut, content))
    }

    /// The row's line, where rows are not lines, for they hold line breaks or blank lines lie between them: an editor
    /// finds a row by its line.
    fn line_apart(&self, extent: Extent) -> Option<u64> {
        let before = &self.tape.unread()[..extent.before];
        let line = self.n_lines + count_lines(before) + 1;
        let is_table = matches!(self.layout, Layout::Table(_));
        (is_table && line != self.n_lines_of_header + self.n_rows).then_some(line)
    }

    /// Reads whatever rows are left and says what the whole file was.
    pub fn finish(mut self) -> Result<RawEnd, ListError> {
        while self.next().is_some() {}
        let RawRows { path, tape, tail, .. } = self;
        let (fingerprint, n_bytes) =
            tape.finish().map_err(|source| ListError::Unreadable { path, source })?;
        Ok(RawEnd { tail, fingerprint, n_bytes })
    }

    /// The next row's place, at the beginning of the tape.
    fn find(&mut self) -> Option<Found> {
        if self.is_done {
            return None;
        }
        self.cells.clear();
        let mut reach = self.reach();
        loop {
            match self.cut(reach) {
                Cut::Row(extent) if self.is_torn(extent) => {
                    let unclosed =
                        || Skip::because(SkipKind::Unreadable, "it ends in the middle of this row");
                    let lost = Some(self.tape.trouble().cloned().unwrap_or_else(unclosed));
                    return Some(Found { extent, cut: None, lost });
                }
                Cut::Row(extent) => {
                    let lost = self.columns_change(extent);
                    return Some(Found { extent: self.closed(extent), cut: None, lost });
                }
                Cut::Skip(n) => self.pass(n),
                Cut::More if self.tape.unread().len() < reach => {
                    self.tape.more();
                }
                Cut::More if reach < self.max_row() && !self.has_break(reach) => reach *= 2,
                Cut::More => return Some(self.too_long(reach)),
                Cut::End => {
                    let lost = self.missing();
                    self.is_done = true;
                    if let Layout::Table(_) = self.layout {
                        self.tail = self.tape.unread().to_vec();
                    }
                    let n = self.tape.unread().len();
                    self.tape.consume(n);
                    let extent = Extent::default();
                    return lost.map(|lost| Found { extent, cut: None, lost: Some(lost) });
                }
            }
        }
    }

    /// How far the end of the next row is sought. Grows with what is read, so that all of the list takes linear time
    /// even where every line of it opens a quote.
    fn reach(&self) -> usize {
        match self.layout {
            Layout::Table(_) => self.patience.clamp(MIN_SOUGHT, MAX_RECORD),
            _ => self.max_row(),
        }
    }

    /// Whether a line ends within the reach, so that a record can be cut there.
    fn has_break(&self, reach: usize) -> bool {
        let rest = &self.tape.unread()[..reach];
        let before = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        memchr2(b'\n', b'\r', &rest[before..]).is_some()
    }

    fn cut(&mut self, reach: usize) -> Cut {
        let (bytes, is_at_end) = (self.tape.unread(), self.tape.is_at_end());
        match &self.layout {
            Layout::Table(table) => {
                let sought = &bytes[..bytes.len().min(reach)];
                let is_at_end = is_at_end && sought.len() == bytes.len();
                record::cut(sought, is_at_end, table.delimiter, &mut self.cells)
            }
            Layout::Text | Layout::Coreutils | Layout::Bodyfile => cut::line(bytes, is_at_end),
            Layout::Hashdeep { columns } => match cut::line(bytes, is_at_end) {
                Cut::Row(extent) => {
                    let line = &bytes[..extent.raw];
                    if hashdeep::is_row(line) || hashdeep::changes_columns(line, columns) {
                        Cut::Row(extent)
                    } else {
                        Cut::Skip(extent.len())
                    }
                }
                cut => cut,
            },
            Layout::Dfxml => dfxml::cut(bytes, is_at_end),
            Layout::Json { shape, .. } => json::cut(*shape, self.has_begun, bytes, is_at_end),
            Layout::Extract => self.extraction.cut(bytes, is_at_end),
        }
    }

    /// Uses up bytes that belong to no row, or to one that is done.
    fn pass(&mut self, n: usize) {
        match self.layout {
            Layout::Extract => self.extraction.pass(&self.tape.unread()[..n]),
            Layout::Json { shape: JsonShape::Array, .. } => self.has_begun |= n > 0,
            Layout::Dfxml => self.root.pass(self.tape.unread(), n),
            Layout::Table(_) => self.n_lines += count_lines(&self.tape.unread()[..n]),
            _ => {}
        }
        self.count_patience(n);
        self.tape.consume(n);
    }

    /// Uses up the row that was handed out last.
    fn pass_row(&mut self) {
        let row = std::mem::take(&mut self.pending);
        if row.is_quoted || !matches!(self.layout, Layout::Table(_)) {
            return self.pass(row.len());
        }
        // A record without a quote is one line, however long.
        let unread = self.tape.unread();
        self.n_lines += count_lines(&unread[..row.before]);
        self.n_lines += u64::from(unread[..row.len()].ends_with(b"\n") && row.terminator > 0);
        self.count_patience(row.len());
        self.tape.consume(row.len());
    }

    fn count_patience(&mut self, n: usize) {
        self.patience = (self.patience + n.saturating_mul(PATIENCE_A_BYTE)).min(PATIENCE);
    }

    /// Whether a row was torn off by what ended the list: what is left of a hash may look like a shorter one. A value
    /// or an element shows its own end; what lacks it may have swallowed others.
    fn is_torn(&mut self, extent: Extent) -> bool {
        let is_last = self.tape.is_at_end()
            && match self.layout {
                Layout::Json { shape: JsonShape::Stream, .. } => {
                    self.tape.unread()[extent.len()..].trim_ascii().is_empty()
                }
                _ => extent.len() == self.tape.unread().len(),
            };
        if !is_last || extent.terminator > 0 {
            return false;
        }
        match self.layout {
            Layout::Json { shape: JsonShape::Array | JsonShape::Stream, .. } | Layout::Dfxml => {
                let content = self.content(extent, None);
                self.cells.clear();
                content.digests().is_none() && self.lacks_its_end(extent)
            }
            _ => self.tape.trouble().is_some(),
        }
    }

    fn lacks_its_end(&self, extent: Extent) -> bool {
        let raw = &self.tape.unread()[extent.before..extent.before + extent.raw];
        match self.layout {
            Layout::Dfxml => !dfxml::is_whole(raw),
            _ => json::is_torn(raw),
        }
    }

    /// A hashdeep manifest that goes on with other columns would need another header for its enriched rows.
    fn columns_change(&self, extent: Extent) -> Option<Skip> {
        let Layout::Hashdeep { columns } = &self.layout else { return None };
        let line = &self.tape.unread()[..extent.raw];
        hashdeep::changes_columns(line, columns)
            .then(|| Skip::because(SkipKind::Unreadable, "from here on the manifest has other columns"))
    }

    /// A quote that is never closed would make one record of the rest of the list. It costs its own line instead.
    fn closed(&mut self, extent: Extent) -> Extent {
        let Layout::Table(table) = &self.layout else { return extent };
        if !extent.is_open {
            return extent;
        }
        let rest = &self.tape.unread()[extent.before..];
        match memchr2(b'\n', b'\r', &rest[..extent.raw]) {
            Some(end) => {
                let terminator = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
                self.patience = self.patience.saturating_sub(extent.raw);
                record::cut(&rest[..end], true, table.delimiter, &mut self.cells);
                Extent { raw: end, terminator, ..extent }
            }
            None => extent,
        }
    }

    const fn max_row(&self) -> usize {
        match self.layout {
            Layout::Table(_) | Layout::Json { .. } | Layout::Dfxml | Layout::Extract => MAX_RECORD,
            Layout::Text | Layout::Hashdeep { .. } | Layout::Coreutils | Layout::Bodyfile => MAX_LINE,
        }
    }

    /// A row of which no end is in sight.
    fn too_long(&mut self, reach: usize) -> Found {
        let mark: &[u8] = match &self.layout {
            Layout::Table(_) => {
                let rest = &self.tape.unread()[..reach];
                let before = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                if memchr2(b'\n', b'\r', &rest[before..]).is_some() {
                    let raw = rest.len() - before;
                    let extent = Extent { before, raw, terminator: 0, is_open: true, is_quoted: true };
                    return Found { extent: self.closed(extent), cut: None, lost: None };
                }
                // Blank lines before it would be taken for its end.
                self.pass(before);
                b"\n"
            }
            Layout::Json { shape: JsonShape::Array | JsonShape::Stream, .. } => {
                let detail = format!("a value longer than {} MiB", MAX_RECORD >> 20);
                let lost = Some(Skip::because(SkipKind::Limit, detail));
                return Found { extent: Extent::default(), cut: None, lost };
            }
            Layout::Dfxml => dfxml::END,
            _ => b"\n",
        };
        let unread = self.tape.unread();
        self.held.clear();
        self.held.extend_from_slice(&unread[..unread.len().min(MAX_KEPT)]);
        self.cells.clear();
        let mut n_bytes = 0_u64;
        loop {
            let unread = self.tape.unread();
            if let Some(at) = memmem::find(unread, mark) {
                n_bytes += at as u64;
                self.tape.consume(at + mark.len());
                self.n_cut_lines = u64::from(mark == b"\n");
                let extent = Extent { terminator: usize::from(mark == b"\n"), ..Extent::default() };
                return Found { extent, cut: Some(n_bytes), lost: None };
            }
            let n = unread.len() - (mark.len() - 1).min(unread.len());
            n_bytes += n as u64;
            self.tape.consume(n);
            if !self.tape.more() {
                n_bytes += self.tape.unread().len() as u64;
                self.tape.consume(self.tape.unread().len());
                return Found { extent: Extent::default(), cut: Some(n_bytes), lost: None };
            }
        }
    }

    /// What is missing at the end of the rows.
    fn missing(&mut self) -> Option<Skip> {
        if let Some(trouble) = self.tape.trouble() {
            return Some(trouble.clone());
        }
        let unreadable = |detail| Some(Skip::because(SkipKind::Unreadable, detail));
        if matches!(self.layout, Layout::Dfxml) {
            self.root.pass(self.tape.unread(), self.tape.unread().len());
            return if self.root.is_open() { unreadable("there is no </dfxml>") } else { None };
        }
        if !matches!(self.layout, Layout::Json { shape: JsonShape::Array, .. }) {
            return None;
        }
        if !json::is_closed(self.tape.unread()) {
            return unreadable("the array is not closed");
        }
        let mut has_bracket = false;
        loop {
            let more_text = self.tape.unread().iter().find(|byte| {
                let is_bracket = **byte == b']' && !has_bracket;
                has_bracket |= is_bracket;
                !is_bracket && !byte.is_ascii_whitespace() && (has_bracket || **byte != b',')
            });
            if more_text.is_some() {
                return unreadable("there is more behind the array");
            }
            self.tape.consume(self.tape.unread().len());
            if !self.tape.more() {
                return self.tape.trouble().cloned();
            }
        }
    }

    #[inline]
    fn content(&mut self, extent: Extent, cut: Option<u64>) -> Content {
        let RawRows { layout, only, tape, cells, .. } = self;
        if let Some(n_bytes) = cut {
            cells.push_piece(0, self.held.len());
            // Only its beginning was looked at, and a hash may stand anywhere.
            return Content::Lost(Skip::because(SkipKind::Limit, format!("{n_bytes} bytes in one row")));
        }
        let bytes = tape.unread();
        let raw = &bytes[extent.before..extent.before + extent.raw];
        match layout {
            Layout::Table(table) => {
                let cell = |column: &Column| cells.get(raw, column.at).unwrap_or_default();
                let content = if let [column] = table.columns.as_slice() {
                    cut::one(cell(column), column.kind.or(*only))
                } else {
                    let mut gathered = Gathered::default();
                    for column in &table.columns {
                        gathered.add(column.at, cell(column), column.kind.or(*only));
                    }
                    gathered.content()
                };
                match content {
                    Content::Invalid(_) if extent.is_open => {
                        Content::Invalid(DigestError::Form("a quote is opened and never closed".to_owned()))
                    }
                    content => content,
                }
            }
            Layout::Text => {
                cells.push_piece(0, raw.len());
                cut::one(raw, *only)
            }
            Layout::Hashdeep { columns } => hashdeep::read(raw, columns, *only, cells),
            Layout::Coreutils => coreutils::read(raw, *only, cells),
            Layout::Bodyfile => bodyfile::read(raw, *only, cells),
            Layout::Dfxml => dfxml::read(raw, *only, cells),
            Layout::Json { fields, is_named, .. } => json::read(raw, fields, *is_named, cells),
            Layout::Extract => self.extraction.read(bytes, extent, *only, cells),
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// How Excel says, in a line before the header, which delimiter follows.
const SEPARATOR: &[u8] = b"sep=";

/// The delimiter that such a line names.
pub(super) fn separator(line: &[u8]) -> Option<u8> {
    match line.strip_prefix(SEPARATOR)? {
        [delimiter] => Some(*delimiter),
        _ => None,
    }
}
