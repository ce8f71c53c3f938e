//! The simulator from outside: over real HTTP on loopback where the wire matters, in memory where time does.

mod access;
mod answers;
mod client;
mod faults;
mod limits;
mod meter;
