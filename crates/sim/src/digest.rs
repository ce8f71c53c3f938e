//! What a hash is on this side of the wire: one of three kinds, so many bytes, written as hex.
//!
//! It does not know where a hash comes from or what is known of it.

use std::fmt;

/// A hash of one of the three kinds that the service takes.
///
/// It is kept inline and padded with zeros, so that the meter can hold a million of them without an allocation
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest {
    kind: Kind,
    padded: [u8; 32],
}

/// Which hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Md5,
    Sha1,
    Sha256,
}

impl Digest {
    /// Reads hex of either case; `None` unless the text is exactly one hash of this kind.
    pub(crate) fn parse(kind: Kind, text: &str) -> Option<Digest> {
        let hex = text.as_bytes();
        if hex.len() != kind.n_bytes() * 2 {
            return None;
        }
        let mut padded = [0; 32];
        for (byte, pair) in padded.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Digest { kind, padded })
    }

    /// Reads hex of any kind; the length tells which.
    pub(crate) fn parse_any(text: &str) -> Option<Digest> {
        Kind::ALL.into_iter().find_map(|kind| Digest::parse(kind, text))
    }

    /// Cuts 32 bytes down to the length of the kind.
    pub(crate) fn cut_from(kind: Kind, bytes: [u8; 32]) -> Digest {
        let mut padded = [0; 32];
        let n = kind.n_bytes();
        padded[..n].copy_from_slice(&bytes[..n]);
        Digest { kind, padded }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.padded[..self.kind.n_bytes()]
    }
}

/// Lower-case hex, the only form the service itself writes.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.bytes()))
    }
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("half a byte is a hex digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Md5, Kind::Sha1, Kind::Sha256];

    /// The spelling in paths and bodies; nothing else is taken.
    pub(crate) fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Md5 => "md5",
            Kind::Sha1 => "sha1",
            Kind::Sha256 => "sha256",
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Kind::Md5 => 16,
            Kind::Sha1 => 20,
            Kind::Sha256 => 32,
        }
    }
}

fn nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hashes_of_the_kind_are_read() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let read = |text: &str| Digest::parse(Kind::Sha1, text).map(|digest| digest.to_string());
        assert_eq!(read(sha1).as_deref(), Some(sha1));
        assert_eq!(read(&sha1.to_uppercase()).as_deref(), Some(sha1));
        assert_eq!(read(&sha1[1..]), None);
        assert_eq!(read(&format!("{sha1}00")), None);
        assert_eq!(read(&sha1.replace('d', "g")), None);
        assert_eq!(read(&sha1.replacen("da", "é", 1)), None);
        assert_eq!(read("d41d8cd98f00b204e9800998ecf8427e"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_length_tells_the_kind() {
        for kind in Kind::ALL {
            let text = "0a".repeat(kind.n_bytes());
            let digest = Digest::parse_any(&text).expect("it is a hash");
            assert_eq!((digest.kind(), digest.to_string()), (kind, text));
        }
        assert_eq!(Digest::parse_any("0a"), None);
    }
}
