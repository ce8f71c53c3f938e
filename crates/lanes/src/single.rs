//! One message at a time: SHA by RustCrypto's compression functions, which find the processor's SHA extensions
//! themselves, MD5 by our own.
//!
//! This is the whole engine on machines without wide vectors, and everywhere what the last few messages end on.

use crate::one;
use crate::state::State;
use crate::sums::{Sums, Wanted};

/// The most that padding adds to a message: a whole block when the length does not fit into the last one, and
/// what is missing to its end.
pub(crate) const PADDING: usize = 128;

/// Runs whole blocks through the functions wanted. The last block's length is in the byte order of SHA if any SHA
/// is wanted by the message's owner; `turn_last` says that MD5 has to turn it around.
pub(crate) fn run(state: &mut State, blocks: &[[u8; 64]], wanted: Wanted, turn_last: bool) {
    if wanted.sha1 {
        sha1::block_api::compress(&mut state.sha1, blocks);
    }
    if wanted.sha256 {
        sha2::block_api::compress256(&mut state.sha256, blocks);
    }
    if wanted.md5 {
        match blocks.split_last() {
            Some((last, before)) if turn_last => {
                let mut last = *last;
                last[56..].reverse();
                one::md5(&mut state.md5, before);
                one::md5(&mut state.md5, &[last]);
            }
            _ => one::md5(&mut state.md5, blocks),
        }
    }
}

/// Pads a message of `n_bytes` whose last `n_held` bytes stand at the beginning of `space`; returns the length of
/// what is there now, a multiple of 64. `space` has room for [`PADDING`] more.
///
/// The length is written as SHA wants it unless only MD5 is wanted.
pub(crate) fn pad(space: &mut [u8], n_held: usize, n_bytes: u64, wanted: Wanted) -> usize {
    let end = (n_held + 9).next_multiple_of(64);
    space[n_held] = 0x80;
    space[n_held + 1..end - 8].fill(0);
    // Both standards count bits modulo 2^64.
    let n_bits = n_bytes.wrapping_mul(8);
    let length = if wanted.any_sha() { n_bits.to_be_bytes() } else { n_bits.to_le_bytes() };
    space[end - 8..end].copy_from_slice(&length);
    end
}

/// Whether MD5 finds the length of a padded message the wrong way round.
pub(crate) fn is_length_turned(wanted: Wanted) -> bool {
    wanted.md5 && wanted.any_sha()
}

/// The digests of one message, fed in pieces of any length.
///
/// It cannot be faster than one chain of dependent steps: where there are several messages, use
/// [`Lanes`](crate::Lanes).
#[derive(Clone)]
pub struct Stream {
    wanted: Wanted,
    state: State,
    n_bytes: u64,
    /// The last `n_bytes` modulo 64 bytes.
    held: [u8; PADDING],
}

impl Stream {
    /// A message of no bytes yet.
    pub fn new(wanted: Wanted) -> Stream {
        Stream { wanted, state: State::NEW, n_bytes: 0, held: [0; PADDING] }
    }

    /// Takes the next piece.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let n_held = self.n_held();
        self.n_bytes = self.n_bytes.wrapping_add(bytes.len() as u64);
        if n_held > 0 {
            let (more, rest) = bytes.split_at(bytes.len().min(64 - n_held));
            self.held[n_held..n_held + more.len()].copy_from_slice(more);
            bytes = rest;
            if n_held + more.len() < 64 {
                return;
            }
            run(&mut self.state, &self.held.as_chunks().0[..1], self.wanted, false);
        }
        let (blocks, rest) = bytes.as_chunks();
        run(&mut self.state, blocks, self.wanted, false);
        self.held[..rest.len()].copy_from_slice(rest);
    }

    /// The digests of everything that was fed.
    pub fn finish(mut self) -> Sums {
        let n_held = self.n_held();
        let end = pad(&mut self.held, n_held, self.n_bytes, self.wanted);
        let blocks = self.held[..end].as_chunks().0;
        run(&mut self.state, blocks, self.wanted, is_length_turned(self.wanted));
        self.state.sums()
    }

    fn n_held(&self) -> usize {
        usize::try_from(self.n_bytes % 64).expect("less than 64")
    }
}
