//! Who is asking: HTTP Basic credentials out of an `Authorization` header.
//!
//! It does not know which credentials are good. The decoder is written out because one short function is less than
//! another dependency.

/// A user name and a password as they were sent.
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Credentials {
    /// `None` when the header is not well-formed Basic credentials in UTF-8.
    pub(crate) fn parse(header: &str) -> Option<Credentials> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(base64(rest.trim())?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credentials { username: username.to_owned(), password: password.to_owned() })
    }
}

/// Standard alphabet; padding may be missing, as some clients leave it out.
fn base64(text: &str) -> Option<Vec<u8>> {
    let symbols = text.trim_end_matches('=').as_bytes();
    if symbols.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(symbols.len() * 3 / 4);
    for group in symbols.chunks(4) {
        let mut bits = 0_u32;
        for &symbol in group {
            bits = bits << 6 | u32::from(six_bits(symbol)?);
        }
        bits <<= 6 * (4 - group.len());
        // Four symbols make three bytes, three make two and two make one.
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn six_bits(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_or_refused() {
        let check = |header: &str, expected: Option<(&str, &str)>| {
            let read = Credentials::parse(header).map(|read| (read.username, read.password));
            let expected = expected.map(|(user, word)| (user.to_owned(), word.to_owned()));
            assert_eq!(read, expected, "{header}");
        };
        check("Basic dTpw", Some(("u", "p")));
        check("basic   dTpw  ", Some(("u", "p")));
        check("Basic dS9hY21lL2FuYTpzM2NyZXQ=", Some(("u/acme/ana", "s3cret")));
        check("Basic dS9hY21lL2FuYTpzM2NyZXQ", Some(("u/acme/ana", "s3cret")));
        check("Basic dTphOmI=", Some(("u", "a:b")));
        check("Basic dTr/", None);
        check("Basic dTpwc", None);
        check("Basic dT*w", None);
        check("Basic bm9jb2xvbg==", None);
        check("Basic", None);
        check("Bearer dTpw", None);
        check("", None);
    }
}
