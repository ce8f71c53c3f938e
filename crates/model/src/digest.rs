//! Digests: what identifies a file's content, and the kinds we know.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A hash function whose digests the service answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashKind {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl HashKind {
    /// Every kind, shortest digest first.
    pub const ALL: [HashKind; 3] = [HashKind::Md5, HashKind::Sha1, HashKind::Sha256];

    /// Length of a digest of this kind, in bytes.
    pub const fn n_bytes(self) -> usize {
        match self {
            HashKind::Md5 => 16,
            HashKind::Sha1 => 20,
            HashKind::Sha256 => 32,
        }
    }

    /// The kind whose digests are `n_bytes` long. The three lengths differ, so a length names a kind.
    pub const fn of_length(n_bytes: usize) -> Option<HashKind> {
        match n_bytes {
            16 => Some(HashKind::Md5),
            20 => Some(HashKind::Sha1),
            32 => Some(HashKind::Sha256),
            _ => None,
        }
    }

    /// The word of the wire and of every output: `md5`, `sha1`, `sha256`.
    pub const fn name(self) -> &'static str {
        match self {
            HashKind::Md5 => "md5",
            HashKind::Sha1 => "sha1",
            HashKind::Sha256 => "sha256",
        }
    }

    /// The digest of no bytes at all. Asking about it would buy nothing.
    pub const fn empty_input(self) -> Digest {
        const MD5: [u8; 16] = *b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e";
        const SHA1: [u8; 20] =
            *b"\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09";
        const SHA256: [u8; 32] =
            *b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55";
        match self {
            HashKind::Md5 => Digest::padded(self, &MD5),
            HashKind::Sha1 => Digest::padded(self, &SHA1),
            HashKind::Sha256 => Digest::padded(self, &SHA256),
        }
    }
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for HashKind {
    type Err = DigestError;

    fn from_str(word: &str) -> Result<Self, DigestError> {
        match word.trim().to_ascii_lowercase().as_str() {
            "md5" => Ok(HashKind::Md5),
            "sha1" | "sha-1" => Ok(HashKind::Sha1),
            "sha256" | "sha-256" => Ok(HashKind::Sha256),
            _ => Err(DigestError::UnknownKind(word.trim().to_owned())),
        }
    }
}

/// One digest. Orders by kind, then by value, which is the order in which the case stores and asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    kind: HashKind,
    /// Bytes past the kind's length are zero, so that all of them can be compared.
    bytes: [u8; 32],
}

/// By the first eight bytes as one number, which as good as always decides: millions are sorted.
impl Ord for Digest {
    #[inline]
    fn cmp(&self, other: &Digest) -> Ordering {
        let key = |digest: &Digest| {
            let first = digest.bytes.first_chunk().expect("there are 32 bytes");
            (digest.kind, u64::from_be_bytes(*first))
        };
        key(self).cmp(&key(other)).then_with(|| self.bytes.cmp(&other.bytes))
    }
}

impl PartialOrd for Digest {
    #[inline]
    fn partial_cmp(&self, other: &Digest) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Digest {
    /// A digest from its raw bytes; the length names the kind (16, 20 or 32).
    pub fn from_bytes(bytes: &[u8]) -> Option<Digest> {
        HashKind::of_length(bytes.len()).map(|kind| Digest::padded(kind, bytes))
    }

    const fn padded(kind: HashKind, bytes: &[u8]) -> Digest {
        let mut padded = [0; 32];
        let mut i = 0;
        while i < bytes.len() {
            padded[i] = bytes[i];
            i += 1;
        }
        Digest { kind, bytes: padded }
    }

    /// The hash function it came from.
    pub const fn kind(&self) -> HashKind {
        self.kind
    }

    /// The raw bytes, as many as the kind has.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.kind.n_bytes()]
    }

    /// Whether this is the digest of an empty file.
    pub fn is_of_empty_input(&self) -> bool {
        *self == self.kind.empty_input()
    }
}

/// Reads 32, 40 or 64 hexadecimal digits in either case. Surrounding blanks are the caller's business.
impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Digest::from_digits(text.as_bytes()).ok_or_else(|| DigestError::of(text))
    }
}

impl Digest {
    /// The same of bytes that may be no text; what is no digest is not told apart.
    pub fn from_digits(text: &[u8]) -> Option<Digest> {
        let kind = HashKind::of_length(text.len() / 2).filter(|_| text.len().is_multiple_of(2))?;
        let mut bytes = [0; 32];
        // It takes `0x` off, and then finds too few digits.
        const_hex::decode_to_slice(text, &mut bytes[..kind.n_bytes()]).ok()?;
        Some(Digest { kind, bytes })
    }
}

impl DigestError {
    /// What is wrong with a text that is no digest.
    fn of(text: &str) -> DigestError {
        if text.is_empty() {
            return DigestError::Empty;
        }
        if let Some(at) = text.bytes().position(|b| !b.is_ascii_hexdigit()) {
            return DigestError::NotHex { at: text[..floor_char(text, at)].chars().count() + 1 };
        }
        match text.len() {
            128 => DigestError::Sha512,
            n_digits => DigestError::Length { n_digits },
        }
    }
}

/// The nearest character boundary at or before `at`.
fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Lower-case hexadecimal, as the service demands it.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        let text = &mut text[..self.kind.n_bytes() * 2];
        const_hex::encode_to_slice(self.as_bytes(), text).expect("two digits for each byte");
        f.pad(std::str::from_utf8(text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.kind)
    }
}

/// Why a text is not a digest. The words stand in the `reason` column of an `invalid` row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// Nothing there.
    Empty,
    /// A character that no digest holds; `at` counts characters from 1.
    NotHex {
        /// Position of the character, from 1.
        at: usize,
    },
    /// All hexadecimal, but of no kind's length.
    Length {
        /// How many digits there are.
        n_digits: usize,
    },
    /// 128 digits: a SHA-512, which the service cannot be asked about.
    Sha512,
    /// Not the name of a hash function we know.
    UnknownKind(String),
    /// A row that cannot be read in its list's form; in words.
    Form(String),
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DigestError::Empty => f.write_str("empty"),
            DigestError::NotHex { at } => write!(f, "not hex at character {at}"),
            DigestError::Length { n_digits } => write!(f, "{n_digits} hex digits"),
            DigestError::Sha512 => f.write_str("128 hex digits: SHA-512 cannot be asked"),
            DigestError::UnknownKind(word) => {
                write!(f, "unknown hash function '{word}' (known: md5, sha1, sha256)")
            }
            DigestError::Form(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for DigestError {}

/// The digests of one content, at most one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digests {
    /// MD5, if it was computed or given.
    pub md5: Option<Digest>,
    /// SHA-1, if it was computed or given.
    pub sha1: Option<Digest>,
    /// SHA-256, if it was computed or given.
    pub sha256: Option<Digest>,
}

impl Digests {
    /// The digest of this kind, if there is one.
    #[inline]
    pub fn get(&self, kind: HashKind) -> Option<Digest> {
        match kind {
            HashKind::Md5 => self.md5,
            HashKind::Sha1 => self.sha1,
            HashKind::Sha256 => self.sha256,
        }
    }

    /// Puts a digest in the place of its kind.
    #[must_use]
    pub fn with(mut self, digest: Digest) -> Digests {
        self.put(digest);
        self
    }

    /// The same in place.
    #[inline]
    pub fn put(&mut self, digest: Digest) {
        match digest.kind() {
            HashKind::Md5 => self.md5 = Some(digest),
            HashKind::Sha1 => self.sha1 = Some(digest),
            HashKind::Sha256 => self.sha256 = Some(digest),
        }
    }

    /// Those that are there, in the order of [`HashKind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Digest> {
        [self.md5, self.sha1, self.sha256].into_iter().flatten()
    }
}

/// Which hash functions a sweep computes, in the user's order; the first is the one that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds {
    kinds: Vec<HashKind>,
}

impl Kinds {
    /// The kinds in order, doubles dropped; `None` when there is none.
    pub fn new(kinds: impl IntoIterator<Item = HashKind>) -> Option<Kinds> {
        let mut distinct = Vec::new();
        for kind in kinds {
            if !distinct.contains(&kind) {
                distinct.push(kind);
            }
        }
        (!distinct.is_empty()).then_some(Kinds { kinds: distinct })
    }

    /// The kind that is asked.
    pub fn first(&self) -> HashKind {
        self.kinds[0]
    }

    /// Whether this kind is to be computed.
    pub fn contains(&self, kind: HashKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// In the user's order.
    pub fn iter(&self) -> impl Iterator<Item = HashKind> {
        self.kinds.iter().copied()
    }

    /// The digest to ask about: the first of the user's kinds that is there, else sha256, sha1, md5.
    pub fn choose(&self, digests: &Digests) -> Option<Digest> {
        self.iter()
            .chain([HashKind::Sha256, HashKind::Sha1, HashKind::Md5])
            .find_map(|kind| digests.get(kind))
    }
}

impl Default for Kinds {
    /// SHA-1: the kind the service's own tools ask by, and the smallest request of the collision-prone two
    /// that the dialects all take.
    fn default() -> Kinds {
        Kinds { kinds: vec![HashKind::Sha1] }
    }
}

/// `sha1,sha256,md5`.
impl FromStr for Kinds {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Kinds, DigestError> {
        let kinds = text.split(',').map(str::parse).collect::<Result<Vec<HashKind>, _>>()?;
        Kinds::new(kinds).ok_or(DigestError::Empty)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, kind) in self.kinds.iter().enumerate() {
            write!(f, "{}{kind}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<HashKind, &str>) {
        let got = text.parse::<Digest>().map(|d| d.kind()).map_err(|e| e.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "for {text:?}");
    }

    #[test]
    fn text_becomes_a_digest_or_a_precise_reason() {
        check(&"a".repeat(32), Ok(HashKind::Md5));
        check(&"A".repeat(40), Ok(HashKind::Sha1));
        check(&"0".repeat(64), Ok(HashKind::Sha256));
        check("", Err("empty"));
        check(&"a".repeat(39), Err("39 hex digits"));
        check(&"a".repeat(42), Err("42 hex digits"));
        check(&"a".repeat(128), Err("128 hex digits: SHA-512 cannot be asked"));
        check("abcdefg", Err("not hex at character 7"));
        check("ää", Err("not hex at character 1"));
        check("aä", Err("not hex at character 2"));
        check(" a", Err("not hex at character 1"));
    }

    #[test]
    fn the_digest_of_nothing_is_known() {
        assert_eq!(HashKind::Sha1.empty_input().to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(HashKind::Md5.empty_input().to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(
            "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
                .parse::<Digest>()
                .unwrap()
                .is_of_empty_input()
        );
    }

    #[test]
    fn kinds_keep_the_users_order_and_drop_doubles() {
        let kinds: Kinds = "sha256, md5,sha256".parse().unwrap();
        assert_eq!(kinds.to_string(), "sha256,md5");
        assert_eq!(kinds.first(), HashKind::Sha256);
        assert!("sha1,sha3".parse::<Kinds>().is_err());
        assert!("".parse::<Kinds>().is_err());
    }

    #[test]
    fn a_row_with_several_digests_is_asked_by_the_users_first_kind_then_the_strongest() {
        let md5 = HashKind::Md5.empty_input();
        let sha256 = HashKind::Sha256.empty_input();
        let both = Digests::default().with(md5).with(sha256);
        let asked = |kinds: &str| kinds.parse::<Kinds>().unwrap().choose(&both);
        assert_eq!(asked("md5"), Some(md5));
        assert_eq!(asked("sha1"), Some(sha256));
        assert_eq!(Kinds::default().choose(&Digests::default()), None);
    }

    proptest! {
        #[test]
        fn text_and_bytes_round_trip(bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 16),
            prop::collection::vec(any::<u8>(), 20),
            prop::collection::vec(any::<u8>(), 32),
        ]) {
            let digest = Digest::from_bytes(&bytes).unwrap();
            prop_assert_eq!(digest.as_bytes(), &bytes[..]);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            prop_assert_eq!(digest.to_string().to_uppercase().parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn digests_are_ordered_by_kind_and_value(bytes in prop::collection::vec(0u8..2, 64), of in 0usize..9) {
            let lengths = [16, 20, 32];
            let (a, b) = (&bytes[..lengths[of % 3]], &bytes[32..][..lengths[of / 3]]);
            let expected = (a.len(), a).cmp(&(b.len(), b));
            prop_assert_eq!(Digest::from_bytes(a).unwrap().cmp(&Digest::from_bytes(b).unwrap()), expected);
        }

        #[test]
        fn no_text_panics(text in ".{0,140}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text.to_ascii_lowercase());
            }
        }
    }
}
