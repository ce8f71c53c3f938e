//! What the hash functions need of a vector: sixteen 32-bit words, one of each message, and a few operations on
//! them.
//!
//! The functions in `rounds` are written once, over this trait. An implementation for an instruction set has safe
//! methods, because a value of it can only come from [`Words::Proof`], and a proof is only made where the
//! processor was asked.

use crate::state::LANES;

/// One word of each message at hand.
pub(crate) trait Words: Copy {
    /// Shows that the processor has the instructions.
    type Proof: Copy;

    /// The same word in all lanes.
    fn splat(proof: Self::Proof, word: u32) -> Self;

    /// Sum without carry out of a word.
    fn add(self, other: Self) -> Self;
    /// The same value, which the compiler must not take apart. Left alone it adds constants last, which puts one
    /// more addition on the chain of dependent steps: a fifth of MD5's time.
    fn as_summed(self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Rotation to the left by `L`; `R` is `32 - L`, which stable Rust cannot work out here.
    fn rotate<const L: i32, const R: i32>(self) -> Self;
    /// Logical shift to the right.
    fn shift_right<const R: i32>(self) -> Self;
    /// `self ^ b ^ c`.
    fn parity(self, b: Self, c: Self) -> Self;
    /// Bit by bit: `then` where `self` is set, `other` where it is not.
    fn choose(self, then: Self, other: Self) -> Self;
    /// The same, for when `then` is the value that is known last.
    #[inline(always)]
    fn choose_late(self, then: Self, other: Self) -> Self {
        self.choose(then, other)
    }
    /// The sum with `by.choose_late(then, other)`.
    #[inline(always)]
    fn add_choice(self, by: Self, then: Self, other: Self) -> Self {
        self.add(by.choose_late(then, other))
    }
    /// Bit by bit, what at least two say.
    fn majority(self, b: Self, c: Self) -> Self;
    /// `c ^ (self | !d)`: the odd one of MD5.
    fn odd(self, c: Self, d: Self) -> Self;
    /// Every word's bytes in the opposite order.
    fn swap_bytes(self) -> Self;
}

/// Words of sixteen messages, which can be brought side by side.
pub(crate) trait SideBySide: Words {
    /// Whether there are registers enough to run two functions step beside step.
    const FUSES: bool;

    /// Lane `i` gets `words[i]`.
    fn get(proof: Self::Proof, words: &[u32; LANES]) -> Self;
    /// The opposite of `get`.
    fn put(self, words: &mut [u32; LANES]);
    /// One block of each message; word `i` of the result holds, in each lane, the little-endian word `i` of that
    /// lane's block.
    fn transposed(proof: Self::Proof, blocks: &[&[u8; 64]; LANES]) -> [Self; 16];
}
