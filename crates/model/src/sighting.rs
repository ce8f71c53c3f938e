//! What a source saw: one sighting for one row.

use crate::{DigestError, Digests, HashKind, Skip, Suspicion};

/// Where a row comes from within its root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A path as the user would write it: the root as given, then the names below it. Raw bytes of the file
    /// system, any of them but NUL.
    Path(Vec<u8>),
    /// A row of a hash list, counted from 1; a header is not a row.
    Line(u64),
}

/// One thing that a source saw, on its way into the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which of the sweep's roots or lists, from 0.
    pub root: u32,
    /// Where in it.
    pub place: Place,
    /// What was there.
    pub seen: Seen,
}

/// What was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A file was read to its end.
    Read {
        /// Bytes read.
        size: u64,
        /// The digests that the sweep's kinds call for.
        digests: Digests,
        /// Which of them is asked; it is there.
        asked: HashKind,
        /// When it is asked, and why then.
        suspicion: Suspicion,
    },
    /// A row of a list named digests.
    Listed {
        /// Those it named.
        digests: Digests,
        /// Which of them is asked; it is there.
        asked: HashKind,
    },
    /// A row of a list that names no digest.
    Invalid(DigestError),
    /// No digest, and why.
    Skipped(Skip),
}
