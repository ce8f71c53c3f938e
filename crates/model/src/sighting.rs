//! What a source saw: one sighting for one row.

use crate::{Dates, DigestError, Digests, HashKind, Skip, Suspicion};

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
        /// The file as it was, where its file system is known.
        trace: Option<Trace>,
        /// Whether an earlier row tells of other content behind the very same trace.
        contradicts: bool,
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

/// What a file system says of a file beside its name. As long as all of it stays, so does the content, if it is to be
/// trusted. Nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    /// The file system, by a name that outlives a restart.
    pub device: u64,
    /// The file's number on it.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content was last changed, by its own account: anybody may set it.
    pub modified_ns: i64,
    /// When it was last changed in any way: nobody may set it.
    pub changed_ns: i64,
    /// When it was made, where the file system knows.
    pub born_ns: Option<i64>,
    /// Whether its file system changes `changed_ns` with every write, and the last change is long enough ago that
    /// another one would show.
    pub is_trusted: bool,
}

impl From<Trace> for Dates {
    fn from(trace: Trace) -> Dates {
        Dates {
            inode: Some(trace.inode),
            modified_ns: Some(trace.modified_ns),
            changed_ns: trace.is_trusted.then_some(trace.changed_ns),
            born_ns: trace.born_ns,
        }
    }
}
