//! Rows of a hashdeep manifest: `size,HASH,…,filename` behind `%%%% ` lines that name the columns.

use super::cut::{Cells, Content, Gathered};
use hashsweep_model::{DigestError, HashKind};

/// How every such manifest begins.
pub(super) const MARK: &[u8] = b"%%%% HASHDEEP-";

const HEADER: &[u8] = b"%%%% ";

/// The columns that the second line of a manifest names.
pub(super) fn columns(second_line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let names = second_line.strip_prefix(HEADER)?;
    let columns: Vec<Vec<u8>> = names.split(|byte| *byte == b',').map(<[u8]>::to_vec).collect();
    (columns.len() >= 2).then_some(columns)
}

/// Headers and comments are no rows.
pub(super) fn is_row(line: &[u8]) -> bool {
    !line.starts_with(HEADER) && !line.starts_with(b"##")
}

/// Whether this line says that other columns follow, as where two manifests were put together.
pub(super) fn changes_columns(line: &[u8], columns: &[Vec<u8>]) -> bool {
    !line.starts_with(MARK) && self::columns(line).is_some_and(|names| names != columns)
}

/// The last column takes the rest of the line, commas and all: it is a file name, and nothing is quoted.
pub(super) fn read(line: &[u8], columns: &[Vec<u8>], only: Option<HashKind>, cells: &mut Cells) -> Content {
    let mut start = 0;
    for _ in 1..columns.len() {
        let Some(comma) = memchr::memchr(b',', &line[start..]) else { break };
        cells.push_piece(start, start + comma);
        start += comma + 1;
    }
    cells.push_piece(start, line.len());
    if cells.len() < columns.len() {
        let why = format!("{} of {} columns", cells.len(), columns.len());
        return Content::Invalid(DigestError::Form(why));
    }
    let mut gathered = Gathered::default();
    for (i, name) in columns.iter().enumerate() {
        let Some(kind) = std::str::from_utf8(name).ok().and_then(|name| name.parse::<HashKind>().ok()) else {
            continue;
        };
        if only.is_none_or(|only| only == kind) {
            gathered.add(i, cells.get(line, i).unwrap_or_default(), Some(kind));
        }
    }
    gathered.content()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn check(line: &str, expected: &str) {
        let columns = columns(b"%%%% size,md5,sha1,filename").unwrap();
        let mut cells = Cells::default();
        let content = read(line.as_bytes(), &columns, None, &mut cells);
        let last = String::from_utf8_lossy(cells.get(line.as_bytes(), 3).unwrap_or(b"-")).into_owned();
        let told = match &content {
            Content::One(_) | Content::Several(_) => {
                let (digests, bad) = (content.digests().unwrap(), content.bad());
                let bad = bad.map(|bad| format!(" but cell {}: {}", bad.cell, bad.why)).unwrap_or_default();
                format!("{:?}{bad}", digests.iter().collect::<Vec<_>>())
            }
            Content::Invalid(why) => why.to_string(),
            Content::Lost(skip) => skip.to_string(),
        };
        assert_eq!(format!("{told} | {last}"), expected, "for {line:?}");
    }

    #[test]
    fn the_last_column_is_the_rest_of_the_line() {
        check(&format!("0,{MD5},,a,b\"c"), &format!("[md5:{MD5}] | a,b\"c"));
        check(&format!("0,{MD5},39,x"), &format!("[md5:{MD5}] but cell 3: 2 hex digits | x"));
        check("0,,,x", "empty | x");
        check("0,1", "2 of 4 columns | -");
        check("", "1 of 4 columns | -");
    }
}
