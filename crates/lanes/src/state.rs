//! The chaining values of sixteen messages, word by word.

use crate::sums::Sums;

/// Messages under way at once. Sixteen 32-bit words fill one 512-bit register, or a pair of 256-bit ones.
pub(crate) const LANES: usize = 16;

const MD5: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
const SHA1: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
const SHA256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// One message's chaining values, of all three functions; the unwanted ones are never looked at.
#[derive(Clone, Copy)]
pub(crate) struct State {
    pub(crate) md5: [u32; 4],
    pub(crate) sha1: [u32; 5],
    pub(crate) sha256: [u32; 8],
}

impl State {
    pub(crate) const NEW: State = State { md5: MD5, sha1: SHA1, sha256: SHA256 };

    /// The digests, once the padded last block is in.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (bytes, word) in sums.md5.as_chunks_mut::<4>().0.iter_mut().zip(self.md5) {
            *bytes = word.to_le_bytes();
        }
        for (bytes, word) in sums.sha1.as_chunks_mut::<4>().0.iter_mut().zip(self.sha1) {
            *bytes = word.to_be_bytes();
        }
        for (bytes, word) in sums.sha256.as_chunks_mut::<4>().0.iter_mut().zip(self.sha256) {
            *bytes = word.to_be_bytes();
        }
        sums
    }
}

/// The same of sixteen messages: word `i` of message `j` is `x[i][j]`, so that a vector of one word is one load.
#[repr(align(64))]
pub(crate) struct States {
    pub(crate) md5: [[u32; LANES]; 4],
    pub(crate) sha1: [[u32; LANES]; 5],
    pub(crate) sha256: [[u32; LANES]; 8],
}

impl States {
    pub(crate) const fn new() -> States {
        States { md5: [[0; LANES]; 4], sha1: [[0; LANES]; 5], sha256: [[0; LANES]; 8] }
    }

    pub(crate) fn of(&self, lane: usize) -> State {
        State {
            md5: self.md5.each_ref().map(|words| words[lane]),
            sha1: self.sha1.each_ref().map(|words| words[lane]),
            sha256: self.sha256.each_ref().map(|words| words[lane]),
        }
    }

    pub(crate) fn set(&mut self, lane: usize, state: &State) {
        for (words, word) in self.md5.iter_mut().zip(state.md5) {
            words[lane] = word;
        }
        for (words, word) in self.sha1.iter_mut().zip(state.sha1) {
            words[lane] = word;
        }
        for (words, word) in self.sha256.iter_mut().zip(state.sha256) {
            words[lane] = word;
        }
    }
}
