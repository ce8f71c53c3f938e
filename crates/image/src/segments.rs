//! The names of EWF segments: `.E01` to `.E99`, then `.EAA` to `.EZZ`, `.FAA` and so on; the case is kept.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The segment after this one, if there are names left.
pub(crate) fn next(path: &Path) -> Option<PathBuf> {
    let suffix: [u8; 3] = path.extension()?.as_bytes().try_into().ok()?;
    let [letter, tens, ones] = suffix;
    let (a, z) = if letter.is_ascii_uppercase() { (b'A', b'Z') } else { (b'a', b'z') };
    let following = match (tens, ones) {
        (b'9', b'9') => [letter, a, a],
        (b'0'..=b'9', b'9') => [letter, tens + 1, b'0'],
        (b'0'..=b'9', _) if ones.is_ascii_digit() => [letter, tens, ones + 1],
        _ if ones < z => [letter, tens, ones + 1],
        _ if tens < z => [letter, tens + 1, a],
        _ if letter < z => [letter + 1, a, a],
        _ => return None,
    };
    Some(path.with_extension(OsString::from_vec(following.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_one_another() {
        let check =
            |name, expected: Option<&str>| assert_eq!(next(Path::new(name)), expected.map(PathBuf::from));
        check("d.E01", Some("d.E02"));
        check("d.E09", Some("d.E10"));
        check("d.E99", Some("d.EAA"));
        check("d.EAZ", Some("d.EBA"));
        check("d.EZZ", Some("d.FAA"));
        check("d.s99", Some("d.saa"));
        check("d.ZZZ", None);
        check("d.e1", None);
    }
}
