//! Rows of what `sha1sum` and its kin write: `HEX  name`, `HEX *name`, and with `--tag` `SHA1 (name) = HEX`.
//!
//! A backslash before the line says that the name's newlines, carriage returns and backslashes are escaped; they
//! come back as they were. What openssl and BSD write is read too.

use super::cut::{Cells, Content, Gathered};
use hashsweep_model::{DigestError, HashKind};

/// The columns of an enriched list.
pub(super) const COLUMNS: [&str; 2] = ["hash", "path"];

/// Whether a line looks like one: a hash of some length and a name.
pub(super) fn is_row(line: &[u8]) -> bool {
    split(line).is_some_and(|parts| parts.hash.len() >= 32 && parts.hash.iter().all(u8::is_ascii_hexdigit))
}

struct Parts<'a> {
    hash: &'a [u8],
    /// The name of the hash function, in the tagged form.
    tag: Option<&'a [u8]>,
    name: &'a [u8],
    is_escaped: bool,
}

fn split(line: &[u8]) -> Option<Parts<'_>> {
    let (is_escaped, line) = match line {
        [b'\\', rest @ ..] => (true, rest),
        line => (false, line),
    };
    let n_hex = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if let [b' ', b' ' | b'*', name @ ..] = &line[n_hex..]
        && n_hex > 0
        && !name.is_empty()
    {
        return Some(Parts { hash: &line[..n_hex], tag: None, name, is_escaped });
    }
    // From the end: the name may hold all of this too.
    let equals = memchr::memrchr(b'=', line)?;
    let named = line[..equals].trim_ascii_end().strip_suffix(b")")?;
    let open = memchr::memchr(b'(', named)?;
    let tag = named[..open].trim_ascii_end();
    let is_tag = !tag.is_empty() && tag.iter().all(|b| b.is_ascii_alphanumeric() || b"-/".contains(b));
    is_tag.then(|| Parts {
        hash: line[equals + 1..].trim_ascii(),
        tag: Some(tag),
        name: &named[open + 1..],
        is_escaped,
    })
}

/// The hash and the name.
pub(super) fn read(line: &[u8], only: Option<HashKind>, cells: &mut Cells) -> Content {
    let Some(Parts { hash, tag, name, is_escaped }) = split(line) else {
        // A hash alone, or something else: the hash's own rules say what is wrong.
        cells.push_piece(0, line.len());
        let mut gathered = Gathered::default();
        gathered.add(0, line, only);
        return gathered.content();
    };
    cells.push_made(hash);
    if is_escaped {
        let start = cells.make().len();
        unescape(name, cells.make());
        cells.push_made_since(start);
    } else {
        cells.push_made(name);
    }
    let tagged = tag.map(|tag| String::from_utf8_lossy(tag).parse::<HashKind>());
    let kind = match (tagged, only) {
        (None, only) => only,
        // A SHA-512 is told by its length, like everywhere.
        (Some(Err(_)), _) if tag.is_some_and(|tag| tag.eq_ignore_ascii_case(b"SHA512")) => None,
        (Some(Err(why)), _) => return Content::Invalid(why),
        (Some(Ok(kind)), Some(only)) if kind != only => {
            return Content::Invalid(DigestError::Form(format!("{kind}, and only {only} was ordered")));
        }
        (Some(Ok(kind)), _) => Some(kind),
    };
    let mut gathered = Gathered::default();
    gathered.add(0, hash, kind);
    if holds_row(name) {
        gathered.fault(
            1,
            DigestError::Form("another row is in the name, behind a carriage return or a NUL".to_owned()),
        );
    }
    gathered.content()
}

/// Whether lines that end otherwise than in `\n` were joined with this one.
fn holds_row(name: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', 0, name).any(|at| is_row(&name[at + 1..]))
}

fn unescape(name: &[u8], to: &mut Vec<u8>) {
    let mut rest = name;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        to.extend_from_slice(&rest[..at]);
        let (byte, n) = match rest.get(at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'\\') => (b'\\', 2),
            _ => (b'\\', 1),
        };
        to.push(byte);
        rest = &rest[at + n..];
    }
    to.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn check(line: &str, expected: &str) {
        let mut cells = Cells::default();
        let content = read(line.as_bytes(), None, &mut cells);
        let name = cells.get(line.as_bytes(), 1).map(|name| name.escape_ascii().to_string());
        let told = match content {
            content @ (Content::One(_) | Content::Several(_)) => {
                format!("{:?}", content.digests().unwrap().iter().next().unwrap())
            }
            Content::Invalid(why) => why.to_string(),
            Content::Lost(skip) => skip.to_string(),
        };
        assert_eq!(format!("{told} | {}", name.unwrap_or_default()), expected, "for {line:?}");
    }

    #[test]
    fn every_form_of_a_checksum_line() {
        check(&format!("{SHA1}  a b"), &format!("sha1:{SHA1} | a b"));
        check(&format!("{SHA1} *a"), &format!("sha1:{SHA1} | a"));
        check(&format!("\\{SHA1}  a\\nb\\\\c\\r\\x"), &format!("sha1:{SHA1} | a\\nb\\\\c\\r\\\\x"));
        check(&format!("SHA1 (a (1) = x) = {SHA1}"), &format!("sha1:{SHA1} | a (1) = x"));
        check(&format!("SHA1(a)= {SHA1}"), &format!("sha1:{SHA1} | a"));
        check(&format!("\\SHA1 (a\\nb) = {SHA1}"), &format!("sha1:{SHA1} | a\\nb"));
        check(&format!("MD5 (a) = {SHA1}"), "40 hex digits | a");
        check(
            &format!("BLAKE2b (a) = {SHA1}"),
            "unknown hash function 'BLAKE2b' (known: md5, sha1, sha256) | a",
        );
        check(&format!("SHA512 (a) = {}", "0".repeat(128)), "128 hex digits: SHA-512 cannot be asked | a");
        check(SHA1, &format!("sha1:{SHA1} | "));
        check("", "empty | ");
        check("hello", "not hex at character 1 | ");
        check("abc  x", "3 hex digits | x");
    }
}
