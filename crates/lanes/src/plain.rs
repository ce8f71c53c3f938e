//! Sixteen words in an array. Too slow to be an engine; it lets Miri and every other machine run what the vector
//! engines run.

use crate::state::LANES;
use crate::words::{SideBySide, Words};

#[derive(Clone, Copy)]
pub(crate) struct Plain([u32; LANES]);

impl Plain {
    fn by(words: [Plain; 3], one: impl Fn(u32, u32, u32) -> u32) -> Plain {
        let [a, b, c] = words;
        Plain(std::array::from_fn(|i| one(a.0[i], b.0[i], c.0[i])))
    }
}

impl Words for Plain {
    type Proof = ();

    fn splat((): (), word: u32) -> Plain {
        Plain([word; LANES])
    }

    fn add(self, other: Plain) -> Plain {
        Plain::by([self, other, other], |a, b, _| a.wrapping_add(b))
    }

    fn as_summed(self) -> Plain {
        self
    }

    fn xor(self, other: Plain) -> Plain {
        Plain::by([self, other, other], |a, b, _| a ^ b)
    }

    fn rotate<const L: i32, const R: i32>(self) -> Plain {
        Plain(self.0.map(|word| word << L | word >> R))
    }

    fn shift_right<const R: i32>(self) -> Plain {
        Plain(self.0.map(|word| word >> R))
    }

    fn parity(self, b: Plain, c: Plain) -> Plain {
        Plain::by([self, b, c], |a, b, c| a ^ b ^ c)
    }

    fn choose(self, then: Plain, other: Plain) -> Plain {
        Plain::by([self, then, other], |mask, then, other| mask & then | !mask & other)
    }

    fn majority(self, b: Plain, c: Plain) -> Plain {
        Plain::by([self, b, c], |a, b, c| a & b | a & c | b & c)
    }

    fn odd(self, c: Plain, d: Plain) -> Plain {
        Plain::by([self, c, d], |b, c, d| c ^ (b | !d))
    }

    fn swap_bytes(self) -> Plain {
        Plain(self.0.map(u32::swap_bytes))
    }
}

impl SideBySide for Plain {
    const FUSES: bool = true;

    fn get((): (), words: &[u32; LANES]) -> Plain {
        Plain(*words)
    }

    fn put(self, words: &mut [u32; LANES]) {
        *words = self.0;
    }

    fn transposed((): (), blocks: &[&[u8; 64]; LANES]) -> [Plain; 16] {
        std::array::from_fn(|i| Plain(blocks.map(|block| u32::from_le_bytes(block.as_chunks().0[i]))))
    }
}
