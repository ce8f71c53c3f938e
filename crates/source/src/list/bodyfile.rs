//! Rows of a bodyfile, as The Sleuth Kit's `fls -m` and its kin write it:
//! `MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime`.

use super::cut::{Cells, Content, Gathered};
use hashsweep_model::{DigestError, HashKind};

/// The columns of an enriched list.
pub(super) const COLUMNS: [&str; 11] =
    ["md5", "name", "inode", "mode", "uid", "gid", "size", "atime", "mtime", "ctime", "crtime"];

/// Columns behind the name. Names are not escaped, so a bar may stand in one: these are counted from the end.
const N_BEHIND: usize = 9;

/// Whether a line looks like one: a hash or the 0 that stands for none, and numbers at the end.
pub(super) fn is_row(line: &[u8]) -> bool {
    let mut cells = Cells::default();
    split(line, &mut cells);
    if cells.len() != COLUMNS.len() {
        return false;
    }
    let cell = |i| cells.get(line, i).unwrap_or_default();
    let is_number =
        |i| !cell(i).is_empty() && cell(i).iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    let hash = cell(0);
    (hash == b"0" || hash.len() >= 32 && hash.iter().all(u8::is_ascii_hexdigit)) && (6..=10).all(is_number)
}

fn split(line: &[u8], cells: &mut Cells) {
    let behind: Vec<usize> = memchr::memrchr_iter(b'|', line).take(N_BEHIND).collect();
    let Some(first) = memchr::memchr(b'|', line) else { return };
    let Some(&end_of_name) = behind.last().filter(|at| behind.len() == N_BEHIND && **at > first) else {
        return;
    };
    cells.push_piece(0, first);
    cells.push_piece(first + 1, end_of_name);
    let ends = behind.iter().rev().skip(1).copied().chain([line.len()]);
    for (start, end) in behind.iter().rev().zip(ends) {
        cells.push_piece(start + 1, end);
    }
}

/// The MD5, if it was computed (`fls -h`): the 0 in its place is none.
pub(super) fn read(line: &[u8], only: Option<HashKind>, cells: &mut Cells) -> Content {
    split(line, cells);
    if cells.len() != COLUMNS.len() {
        cells.push_piece(0, line.len());
        let n = memchr::memchr_iter(b'|', line).count() + 1;
        return Content::Invalid(match line.trim_ascii() {
            b"" => DigestError::Empty,
            _ => DigestError::Form(format!("{n} of {} columns", COLUMNS.len())),
        });
    }
    let mut gathered = Gathered::default();
    match cells.get(line, 0).unwrap_or_default() {
        b"0" => {}
        hash => gathered.add(0, hash, only),
    }
    gathered.content()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const BEHIND: &str = "12|r/rrw-r--r--|0|0|5|1|2|3|4";

    fn check(line: &str, expected: &str) {
        let mut cells = Cells::default();
        let told = match read(line.as_bytes(), None, &mut cells) {
            content @ (Content::One(_) | Content::Several(_)) => {
                format!("{:?}", content.digests().unwrap().iter().next().unwrap())
            }
            Content::Invalid(why) => why.to_string(),
            Content::Lost(skip) => skip.to_string(),
        };
        let name = String::from_utf8_lossy(cells.get(line.as_bytes(), 1).unwrap_or(b"-")).into_owned();
        assert_eq!(format!("{told} | {name} | {}", is_row(line.as_bytes())), expected, "for {line:?}");
    }

    #[test]
    fn a_name_may_hold_bars() {
        check(&format!("{MD5}|/a|{BEHIND}"), &format!("md5:{MD5} | /a | true"));
        check(&format!("{MD5}|/a|b|c|{BEHIND}"), &format!("md5:{MD5} | /a|b|c | true"));
        check(&format!("0|/a|{BEHIND}"), "empty | /a | true");
        check(&format!("{}|/a|{BEHIND}", &MD5[1..]), "31 hex digits | /a | false");
        check("a|b", "2 of 11 columns | - | false");
        check("", "empty | - | false");
        check("||||||||||", "empty |  | false");
    }
}
