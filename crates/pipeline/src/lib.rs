//! The order of rooms and the doors between them.
//!
//! [`sweep`] in `run.rs` is the story of a run on one screen. The rooms are an intake (threads that walk, hash or
//! read lists), the clerk (the only one that writes the case) and submit (one task, the only place
//! that waits). Nothing here opens files, speaks HTTP or knows a table; it decides who does so, in which order and
//! how often.
//!
//! ```text
//!   intake ──rows──► clerk ──claims──► submit ──batch──► Service
//!                      ▲                  │
//!                      └────settlements───┘◄── reconcile (pure)
//! ```

mod asking;
mod clerk;
mod clock;
mod course;
pub mod crash;
mod details;
mod exhaustion;
mod gauges;
mod halt;
mod inquiry;
mod intake;
mod judge;
mod load;
mod pace;
mod purse;
mod reconcile;
mod run;
mod service;
mod submit;

pub use asking::{Asking, OnDoubt};
pub use clock::{Clock, now};
pub use details::{Detailed, details};
pub use gauges::{Gauges, Waiting};
pub use halt::{Halt, HaltKind};
pub use intake::Intake;
pub use pace::Rate;
pub use reconcile::{Reconciled, reconcile};
pub use run::{Ended, Order, PipelineError, sweep};
pub use service::Service;
