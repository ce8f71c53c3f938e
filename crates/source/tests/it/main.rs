//! The walk and the lists against real files.
//!
//! Every walk here ends in the same check: each entry that was created is exactly one row.

#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

mod changing;
mod deep;
mod forms;
mod lanes;
mod lists;
mod nasty;
mod orders;
mod support;
mod suspicion;
