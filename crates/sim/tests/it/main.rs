//! The simulator from outside: over real HTTP on loopback where the wire matters, in memory where time does.

mod access;
mod answers;
mod appliance;
mod client;
mod faults;
mod feed;
mod limits;
mod meter;
mod server;
mod switches;
mod usage;
mod worlds;
mod xml;
