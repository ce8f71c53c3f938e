//! One cell becomes a digest or the reason why it is none.

use hashsweep_model::{Digest, DigestError, HashKind};

/// Surrounding blanks, one pair of quotes and a `0x` are not part of a hash.
pub(super) fn parse(cell: &[u8], hash_type: Option<HashKind>) -> Result<Digest, DigestError> {
    let bare = bare(cell);
    let digest = match Digest::from_digits(bare) {
        Some(digest) => digest,
        None => String::from_utf8_lossy(bare).parse()?,
    };
    match hash_type {
        Some(kind) if kind != digest.kind() => {
            Err(DigestError::Length { n_digits: digest.kind().n_bytes() * 2 })
        }
        _ => Ok(digest),
    }
}

/// Whether a word of so many hexadecimal digits as a hash has stands anywhere in a text.
pub(super) fn holds_hash(text: &[u8]) -> bool {
    let words = text.split(|byte| !byte.is_ascii_alphanumeric());
    words.map(|word| word.strip_prefix(b"0x").unwrap_or(word)).any(|word| {
        HashKind::of_length(word.len() / 2).is_some()
            && word.len().is_multiple_of(2)
            && word.iter().all(u8::is_ascii_hexdigit)
    })
}

fn bare(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    let cell = match cell {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner.trim_ascii(),
        _ => cell,
    };
    cell.strip_prefix(b"0x").or_else(|| cell.strip_prefix(b"0X")).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cell: &[u8], expected: &str) {
        let got = match parse(cell, None) {
            Ok(digest) => digest.to_string(),
            Err(reason) => format!("invalid: {reason}"),
        };
        assert_eq!(got, expected, "for {}", cell.escape_ascii());
    }

    #[test]
    fn what_stands_around_a_hash_is_taken_off() {
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        check(md5.as_bytes(), md5);
        check(md5.to_uppercase().as_bytes(), md5);
        check(format!("  {md5}\t").as_bytes(), md5);
        check(format!("\" {md5}\"").as_bytes(), md5);
        check(format!("'0x{md5}'").as_bytes(), md5);
        check(format!("0X{md5}").as_bytes(), md5);
        check(format!("\"\"{md5}\"\"").as_bytes(), "invalid: not hex at character 1");
        check(format!("{md5}\u{a0}").as_bytes(), "invalid: not hex at character 33");
        check(b"\xff", "invalid: not hex at character 1");
        check(b"ab\xff", "invalid: not hex at character 3");
        check(b"", "invalid: empty");
        check(b"\"", "invalid: not hex at character 1");
        check(b"\"\"", "invalid: empty");
        check(b"0x", "invalid: empty");
    }

    #[test]
    fn a_hash_is_seen_among_other_words() {
        let sha1 = "a".repeat(40);
        assert!(holds_hash(format!("{{\"sha1\":\"{sha1}\"").as_bytes()));
        assert!(holds_hash(format!("h=0x{sha1}").as_bytes()));
        assert!(!holds_hash(format!("{sha1}z {sha1}a").as_bytes()));
        assert!(!holds_hash(b""));
    }

    #[test]
    fn another_kind_than_the_one_ordered_is_invalid() {
        let sha1 = HashKind::Sha1.empty_input().to_string();
        assert!(parse(sha1.as_bytes(), Some(HashKind::Sha1)).is_ok());
        let reason = parse(sha1.as_bytes(), Some(HashKind::Md5)).unwrap_err();
        assert_eq!(reason, DigestError::Length { n_digits: 40 });
    }
}
