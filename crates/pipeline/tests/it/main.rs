//! Scenarios: whole runs against the simulator, measured at its own meter.
//!
//! Most run in memory under a paused clock ([`memory`]): the simulator's pure core answers through the pipeline's
//! trait, and a minute's pause takes no time. A few go over real HTTP ([`wire`]), where connections are what is
//! tested. Every run of every scenario ends with the same books, checked in [`scene`].

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod answers;
mod beside;
mod endings;
mod faults;
mod incremental;
mod intake;
mod load;
mod memory;
mod pauses;
mod scenario;
mod scenarios;
mod scene;
mod wire;
