//! The binary as its users meet it: arguments in, files and exit codes out. The service is the simulator, in this
//! process where its witness can be read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod airgap;
mod asking;
mod case_tools;
mod demo;
mod differences;
mod disks;
mod images;
mod kills;
mod lab;
mod lists;
mod manifests;
mod money;
mod outputs;
mod processes;
mod queries;
mod stopping;
mod trees;
mod verdicts;
mod wire;
mod words;
