//! One word of one message: MD5 of a single stream, in the order of steps that its chain allows.
//!
//! RustCrypto's MD5 leaves the order of sums to the compiler, which puts constants last and so onto the chain.

#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "an instruction sequence of length zero"))]

use crate::rounds;
use crate::words::Words;

/// Runs whole blocks.
pub(crate) fn md5(state: &mut [u32; 4], blocks: &[[u8; 64]]) {
    let mut ones = state.map(One);
    for block in blocks {
        let mut words = [One(0); 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            *word = One(u32::from_le_bytes(*bytes));
        }
        ones = rounds::md5((), ones, &words);
    }
    *state = ones.map(|one| one.0);
}

#[derive(Clone, Copy)]
struct One(u32);

impl Words for One {
    type Proof = ();

    #[inline(always)]
    fn splat((): (), word: u32) -> One {
        One(word)
    }

    #[inline(always)]
    fn add(self, other: One) -> One {
        One(self.0.wrapping_add(other.0))
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn as_summed(self) -> One {
        let mut value = self.0;
        // SAFETY: there is no instruction in it.
        unsafe {
            std::arch::asm!("/* {0:e} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        One(value)
    }

    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    #[inline(always)]
    fn as_summed(self) -> One {
        self
    }

    #[inline(always)]
    fn xor(self, other: One) -> One {
        One(self.0 ^ other.0)
    }

    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self) -> One {
        One(self.0 << L | self.0 >> R)
    }

    #[inline(always)]
    fn shift_right<const R: i32>(self) -> One {
        One(self.0 >> R)
    }

    #[inline(always)]
    fn parity(self, b: One, c: One) -> One {
        One(self.0 ^ (b.0 ^ c.0))
    }

    /// Written so that `self`, which is known last, comes in last.
    #[inline(always)]
    fn choose(self, then: One, other: One) -> One {
        One(other.0 ^ (self.0 & (then.0 ^ other.0)))
    }

    /// No bit is in both halves of a choice, so they can be added one by one, and only `then` is known late.
    #[inline(always)]
    fn add_choice(self, by: One, then: One, other: One) -> One {
        self.add(One(!by.0 & other.0)).as_summed().add(One(by.0 & then.0))
    }

    #[inline(always)]
    fn majority(self, b: One, c: One) -> One {
        One((b.0 & c.0) | (self.0 & (b.0 | c.0)))
    }

    #[inline(always)]
    fn odd(self, c: One, d: One) -> One {
        One(c.0 ^ (self.0 | !d.0))
    }

    #[inline(always)]
    fn swap_bytes(self) -> One {
        One(self.0.swap_bytes())
    }
}
