//! The nouns of a sweep and their rules.
//!
//! Everything that the rooms say to one another is said in these words: a [`Sighting`] is what a source saw, a
//! [`Digest`] is what we ask about, a [`Batch`] is what one request carries, an [`Answer`] is what came back, a
//! [`Row`] is what a report shows, and a [`Tally`] is the proof that nothing got lost on the way.
//!
//! This crate touches nothing: no I/O, no clock, no async, no serialisation. Its dependency table is empty and
//! stays so.

mod answer;
mod batch;
mod digest;
mod quota;
mod row;
mod sighting;
mod skip;
mod suspicion;
mod tally;

pub use answer::{Answer, NotAVerdict, Source, Verdict};
pub use batch::{Batch, BatchError, MAX_BATCH};
pub use digest::{Digest, DigestError, Digests, HashKind, Kinds};
pub use quota::Quota;
pub use row::{Dates, Judged, NotAnOutcome, Outcome, Row, Settled, Stamp};
pub use sighting::{Place, Seen, Sighting, Trace};
pub use skip::{NotASkip, Skip, SkipKind};
pub use suspicion::{Class, Content, Location, Suspicion};
pub use tally::{Imbalance, Tally};
