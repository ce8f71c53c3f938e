//! A stretch of blocks that sixteen messages have in common, through the functions that are wanted.

use crate::rounds::{md5, md5_and_sha1, sha1, sha256};
use crate::state::{LANES, States};
use crate::sums::Wanted;
use crate::words::SideBySide;

/// What one call of a kernel works on.
pub(crate) struct Stretch<'a> {
    /// As many blocks of each message.
    pub(crate) blocks: &'a [&'a [[u8; 64]]; LANES],
    pub(crate) n_blocks: usize,
    /// All ones for messages whose last block is the last of the stretch and ends in a length in the byte order of
    /// SHA, which MD5 has to turn around.
    pub(crate) ends: &'a [u32; LANES],
    pub(crate) wanted: Wanted,
}

/// Blocks of every message that are transposed before the functions take turns on them: each function then keeps
/// its chaining values in registers for so long, and the transposed words stay in the first-level cache.
const BATCH: usize = 8;

/// Runs the stretch. Instantiated and inlined under the target features of one instruction set.
#[inline(always)]
pub(crate) fn run<V: SideBySide>(proof: V::Proof, states: &mut States, stretch: &Stretch<'_>) {
    let Stretch { blocks, n_blocks, ends, wanted } = *stretch;
    assert!(blocks.iter().all(|lane| lane.len() >= n_blocks), "a lane is shorter than the stretch");
    let mut batch = [[V::splat(proof, 0); 16]; BATCH];
    let mut from = 0;
    while from < n_blocks {
        let n = if n_blocks - from < BATCH { n_blocks - from } else { BATCH };
        for nth in 0..n {
            let mut block = [&blocks[0][from + nth]; LANES];
            for lane in 1..LANES {
                block[lane] = &blocks[lane][from + nth];
            }
            batch[nth] = V::transposed(proof, &block);
        }
        from += n;
        let batch = &mut batch[..n];
        let last = batch[n - 1];
        if wanted.md5 && from == n_blocks {
            let ends = V::get(proof, ends);
            batch[n - 1][14] = ends.choose(last[15].swap_bytes(), last[14]);
            batch[n - 1][15] = ends.choose(last[14].swap_bytes(), last[15]);
        }
        let fused = V::FUSES && wanted.md5 && wanted.sha1;
        if wanted.md5 && !fused {
            let mut state = load(proof, &states.md5);
            for words in &*batch {
                state = md5(proof, state, words);
            }
            store(&mut states.md5, state);
        }
        if fused {
            let mut state = (load(proof, &states.md5), load(proof, &states.sha1));
            for nth in 0..n {
                let words = batch[nth];
                let mut swapped = if nth + 1 < n { words } else { last };
                for word in &mut swapped {
                    *word = word.swap_bytes();
                }
                state = md5_and_sha1(proof, state, &words, &swapped);
                batch[nth] = swapped;
            }
            store(&mut states.md5, state.0);
            store(&mut states.sha1, state.1);
        } else if wanted.any_sha() {
            batch[n - 1] = last;
            for words in &mut *batch {
                for word in words {
                    *word = word.swap_bytes();
                }
            }
        }
        if wanted.sha1 && !fused {
            let mut state = load(proof, &states.sha1);
            for words in &*batch {
                state = sha1(proof, state, words);
            }
            store(&mut states.sha1, state);
        }
        if wanted.sha256 {
            let mut state = load(proof, &states.sha256);
            for words in &*batch {
                state = sha256(proof, state, words);
            }
            store(&mut states.sha256, state);
        }
    }
}

#[inline(always)]
fn load<V: SideBySide, const N: usize>(proof: V::Proof, states: &[[u32; LANES]; N]) -> [V; N] {
    let mut state = [V::get(proof, &states[0]); N];
    for i in 1..N {
        state[i] = V::get(proof, &states[i]);
    }
    state
}

#[inline(always)]
fn store<V: SideBySide, const N: usize>(states: &mut [[u32; LANES]; N], state: [V; N]) {
    for i in 0..N {
        state[i].put(&mut states[i]);
    }
}
