//! Many messages hashed side by side: MD5, SHA-1 and SHA-256, alone or together, in the lanes of vector registers.
//!
//! One message of a hash function is one long chain of dependent steps, and a processor that could do sixteen of
//! each waits for it. Sixteen messages are sixteen chains. [`Lanes`] keeps sixteen of them under way, whatever
//! their lengths, and gives a lane that has ended to the next message:
//!
//! ```text
//!  push(message) ─► free lane ─► message.read() fills the lane's buffer ─┐
//!                      ▲                                                 ▼
//!   ended(message, sums) ◄─ padded, last block done ◄─ one kernel over the blocks that all buffers have
//! ```
//!
//! This crate knows bytes and nothing of files, rows or errors. All vector code of the workspace lives here, and
//! with it all `unsafe` that vector code needs.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod engine;
#[cfg_attr(not(any(target_arch = "x86_64", test)), allow(dead_code, reason = "no vector engine"))]
mod kernel;
mod lanes;
mod one;
#[cfg(test)]
mod plain;
#[cfg_attr(not(any(target_arch = "x86_64", test)), allow(dead_code, reason = "no vector engine"))]
mod rounds;
mod single;
mod state;
mod sums;
#[cfg_attr(not(any(target_arch = "x86_64", test)), allow(dead_code, reason = "no vector engine"))]
mod words;

pub use engine::{Engine, EngineError};
pub use lanes::{Lanes, Message, Piece};
pub use single::Stream;
pub use sums::{Sums, Wanted};
