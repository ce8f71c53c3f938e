//! Which of the two forms a list has, told from its first rows.
//!
//! Wrong guesses lose rows, so it guesses little: where two columns could be meant, or a header is missing, it
//! says what it saw and asks.

use super::raw::{Fields, RawRows};
use super::{ColumnChoice, Columns, Layout, ListError, ListOrder, value};
use hashsweep_model::DigestError;

/// Rows that are looked at. Enough to get past a few blank cells; a list that begins with more is named by
/// its column.
const SAMPLE: usize = 200;

/// Finds out what a list looks like.
///
/// A list with a named column, with a comma in its first line, or with a first line that is no hash above a
/// second one that is, is a CSV with a header. Anything else is a text.
pub fn recognise(order: &ListOrder) -> Result<Layout, ListError> {
    if order.column.is_none() && !looks_like_csv(order)? {
        holds_hashes(order)?;
        return Ok(Layout::Text);
    }
    let mut rows = RawRows::csv(&order.path)?;
    let header: Vec<Vec<u8>> = match rows.next()? {
        Some(row) => row.fields.iter().map(<[u8]>::to_vec).collect(),
        None => Vec::new(),
    };
    let chosen = order.column.as_ref().map(|choice| named(order, choice, &header)).transpose()?;
    // Without a choice, one hash anywhere is enough to tell that the first record is data.
    let suspects = chosen.map_or(&header[..], |column| &header[column..=column]);
    if let Some(digest) = suspects.iter().find_map(|cell| value::parse(cell, None).ok()) {
        return Err(ListError::NoHeader { path: order.path.clone(), seen: digest.to_string() });
    }
    let column = match chosen {
        Some(column) => column,
        None => found(order, &header, &mut rows)?,
    };
    Ok(Layout::Csv { column, header })
}

fn looks_like_csv(order: &ListOrder) -> Result<bool, ListError> {
    let mut rows = RawRows::open(&order.path, &Layout::Text)?;
    let mut first_is_hash = None;
    while let Some(row) = rows.next()? {
        if row.raw.trim_ascii().is_empty() {
            continue;
        }
        let is_hash = row.digest(&Layout::Text, None).is_ok();
        match first_is_hash {
            None if row.raw.contains(&b',') => return Ok(true),
            None if is_hash => return Ok(false),
            None => first_is_hash = Some(is_hash),
            Some(_) => return Ok(is_hash),
        }
    }
    Ok(false)
}

/// A text in whose first rows nothing even looks like a hash is some other file: swept, it would end complete and
/// without a finding.
fn holds_hashes(order: &ListOrder) -> Result<(), ListError> {
    let mut rows = RawRows::open(&order.path, &Layout::Text)?;
    let mut first = None;
    for _ in 0..SAMPLE {
        let Some(row) = rows.next()? else { break };
        match row.digest(&Layout::Text, None) {
            Ok(_) | Err(DigestError::Length { .. } | DigestError::Sha512) => return Ok(()),
            Err(DigestError::Empty) => {}
            Err(DigestError::NotHex { .. } | DigestError::UnknownKind(_)) => {
                first.get_or_insert_with(|| {
                    String::from_utf8_lossy(row.raw).chars().take(60).collect::<String>()
                });
            }
        }
    }
    match first {
        Some(seen) => Err(ListError::NoHashes { path: order.path.clone(), seen }),
        None => Ok(()),
    }
}

fn named(order: &ListOrder, choice: &ColumnChoice, header: &[Vec<u8>]) -> Result<usize, ListError> {
    let (column, wanted) = match choice {
        ColumnChoice::Index(number) => {
            (number.checked_sub(1).filter(|column| *column < header.len()), number.to_string())
        }
        ColumnChoice::Name(name) => {
            let wanted = name.trim().as_bytes();
            let exactly = header.iter().position(|cell| cell.trim_ascii() == wanted);
            let loosely = || header.iter().position(|cell| cell.trim_ascii().eq_ignore_ascii_case(wanted));
            (exactly.or_else(loosely), format!("{name:?}"))
        }
    };
    column.ok_or_else(|| ListError::NoSuchColumn {
        path: order.path.clone(),
        wanted,
        columns: columns(header, 0..header.len()),
    })
}

/// The one column in whose first rows most of what stands there is a hash.
fn found(order: &ListOrder, header: &[Vec<u8>], rows: &mut RawRows) -> Result<usize, ListError> {
    #[derive(Clone, Copy, Default)]
    struct Count {
        hashes: usize,
        others: usize,
    }
    let mut counts = vec![Count::default(); header.len()];
    let mut n_rows = 0;
    let mut count = |fields: Fields<'_>| {
        for (count, cell) in counts.iter_mut().zip(fields.iter()) {
            if value::parse(cell, order.hash_type).is_ok() {
                count.hashes += 1;
            } else if !cell.trim_ascii().is_empty() {
                count.others += 1;
            }
        }
    };
    while n_rows < SAMPLE
        && let Some(row) = rows.next()?
    {
        count(row.fields);
        n_rows += 1;
    }
    let with = |rule: fn(&Count) -> bool| -> Vec<usize> {
        (0..counts.len()).filter(|column| rule(&counts[*column])).collect()
    };
    let mut candidates = with(|count| count.hashes > 0 && count.hashes >= count.others);
    if candidates.is_empty() {
        candidates = with(|count| count.hashes > 0);
    }
    match (&candidates[..], header.len()) {
        ([column], _) => Ok(*column),
        // One column leaves no choice, and a list without rows leaves nothing to lose.
        ([], 1) => Ok(0),
        ([], 1..) if n_rows == 0 => Ok(0),
        ([], _) => Err(ListError::NoHashColumn {
            path: order.path.clone(),
            columns: columns(header, 0..header.len()),
        }),
        (several, _) => Err(ListError::SeveralHashColumns {
            path: order.path.clone(),
            columns: columns(header, several.iter().copied()),
        }),
    }
}

fn columns(header: &[Vec<u8>], which: impl Iterator<Item = usize>) -> Columns {
    Columns(
        which
            .map(|column| (column + 1, String::from_utf8_lossy(header[column].trim_ascii()).into_owned()))
            .collect(),
    )
}
