//! Which functions are wanted, and what they gave.

/// Which functions to compute. At least one, or every message ends with nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// MD5.
    pub md5: bool,
    /// SHA-1.
    pub sha1: bool,
    /// SHA-256.
    pub sha256: bool,
}

impl Wanted {
    /// All three.
    pub const ALL: Wanted = Wanted { md5: true, sha1: true, sha256: true };

    pub(crate) const fn and(self, other: Wanted) -> Wanted {
        Wanted {
            md5: self.md5 && other.md5,
            sha1: self.sha1 && other.sha1,
            sha256: self.sha256 && other.sha256,
        }
    }

    pub(crate) const fn without(self, other: Wanted) -> Wanted {
        Wanted {
            md5: self.md5 && !other.md5,
            sha1: self.sha1 && !other.sha1,
            sha256: self.sha256 && !other.sha256,
        }
    }

    pub(crate) const fn is_none(self) -> bool {
        !self.md5 && !self.sha1 && !self.sha256
    }

    /// Whether a function that counts in big-endian words is among them.
    pub(crate) const fn any_sha(self) -> bool {
        self.sha1 || self.sha256
    }
}

/// One message's digests. Those of functions that were not wanted hold bytes of no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// MD5.
    pub md5: [u8; 16],
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
}
