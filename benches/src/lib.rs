//! What the benchmarks of this folder share: messages that cost nothing to read, and mixes of functions.
//!
//! Receipts of past measurements are in `baselines`; docs/performance.md reads them.

use hashsweep_lanes::{Engine, Lanes, Message, Piece, Sums, Wanted};
use sha2::Digest as _;
use std::hint::black_box;

/// A message of whatever stands in the lane's buffer: what is measured is hashing alone.
pub struct Blank {
    /// Bytes left.
    pub n_bytes: usize,
}

impl Message for Blank {
    fn read(&mut self, space: &mut [u8]) -> Piece {
        let n = self.n_bytes.min(space.len());
        self.n_bytes -= n;
        if self.n_bytes == 0 { Piece::Last(n) } else { Piece::More(n) }
    }
}

/// The mixes worth a figure, with their names.
pub const MIXES: [(&str, Wanted); 4] = [
    ("md5", Wanted { md5: true, sha1: false, sha256: false }),
    ("sha1", Wanted { md5: false, sha1: true, sha256: false }),
    ("sha256", Wanted { md5: false, sha1: false, sha256: true }),
    ("all three", Wanted::ALL),
];

/// Hashes `n_messages` of `n_bytes` each in lanes.
pub fn in_lanes(engine: Engine, wanted: Wanted, n_messages: usize, n_bytes: usize) {
    let mut lanes = Lanes::new(engine, wanted);
    let mut ended = |_: Blank, sums: Option<&Sums>| {
        black_box(sums);
    };
    for _ in 0..n_messages {
        lanes.push(Blank { n_bytes }, &mut ended);
    }
    lanes.finish(&mut ended);
}

/// The same by RustCrypto, one message after the other.
pub fn by_rustcrypto(wanted: Wanted, n_messages: usize, message: &[u8]) {
    for _ in 0..n_messages {
        if wanted.md5 {
            black_box(md5::Md5::digest(message));
        }
        if wanted.sha1 {
            black_box(sha1::Sha1::digest(message));
        }
        if wanted.sha256 {
            black_box(sha2::Sha256::digest(message));
        }
    }
}
