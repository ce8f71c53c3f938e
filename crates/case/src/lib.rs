//! What we remember: sightings, the queue, answers and the ledger, in one SQLite file.
//!
//! The case is the queue between hashing and asking, the proof of what a sweep saw, and the only thing a report is
//! made from. It stores and finds; it never waits, never asks, never reads a clock (moments are arguments) and
//! knows nothing of files or HTTP. SQLite does not show through: callers speak in sightings, claims and
//! settlements, so that another database can serve them later.
//!
//! Everything that changes a case happens in a [`Group`]: one transaction, durable when [`Case::group`] returns.
//! The cost of that design is one fsync a group, so callers put many things into one.
//!
//! ```text
//!   record ──► sighting ──many at a time──► queue ──claim──► claim ──settle──► want: answered | failed | invalid
//!                                            ▲ ▲              │                        │
//!                                            │ └──defer_rest──┘                        │
//!                                            └──────────reopen: at a run's two ends────┘
//! ```

mod account;
mod airgap;
mod bridge;
mod calendar;
mod carrying;
mod codes;
mod copying;
mod error;
mod excerpt;
mod group;
mod info;
mod joining;
mod ledger;
mod listed;
mod merge;
mod migration;
mod open;
mod others;
mod packed;
mod plan;
mod prune;
mod queue;
mod results;
mod runs;
mod session;
mod standing;
mod stretch;
mod sweeps;
mod tally;
mod turn;
mod verify;
mod waiting;

pub use account::{Account, Books, Bounds, HoldId, Period, Slots};
pub use airgap::CaughtUp;
pub use calendar::{day_of, month_of};
pub use carrying::{Carried, Walked};
pub use copying::Size;
pub use error::CaseError;
pub use group::{AttemptId, Fate, Freshness, Group};
pub use info::{Answers, Brief, Info};
pub use ledger::{RunCost, Scope};
pub use listed::Worded;
pub use merge::Merged;
pub use open::Case;
pub use others::Beside;
pub use plan::{KnownBefore, Planned, Teller};
pub use prune::{Dropped, Owing, Retention};
pub use queue::{Backlog, Claim, Claimed, Taken};
pub use results::{Only, Order};
pub use runs::{Reading, Request, Run};
pub use standing::{CONTRADICTION, Stand, Standing};
pub use sweeps::{IntakeTurn, Maker, NewRoot, NewSweep, RunId, StoredRoot, Sweep, SweepId};
pub use verify::Check;
