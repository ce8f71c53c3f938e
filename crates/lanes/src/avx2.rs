//! Sixteen words in a pair of 256-bit registers.
//!
//! Two chains in flight hide the latency of the longer way to rotate and choose that AVX2 leaves us.

#![expect(unsafe_code, reason = "the processor's own instructions")]

use crate::kernel::{self, Stretch};
use crate::state::{LANES, States};
use crate::words::{SideBySide, Words};
use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256,
    _mm256_castsi128_si256, _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_or_si256, _mm256_set_epi64x,
    _mm256_set1_epi32, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

/// Shows that the processor has AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has it and the system keeps the registers.
    pub(crate) fn proof() -> Option<Avx2> {
        is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// Runs the stretch.
    pub(crate) fn run(self, states: &mut States, stretch: &Stretch<'_>) {
        #[target_feature(enable = "avx2")]
        fn inlined(proof: Avx2, states: &mut States, stretch: &Stretch<'_>) {
            kernel::run::<Pair>(proof, states, stretch);
        }
        // SAFETY: a proof exists only where the feature was detected.
        unsafe { inlined(self, states, stretch) }
    }
}

/// Lanes 0 to 7 and 8 to 15. Comes only from a proof.
#[derive(Clone, Copy)]
struct Pair(__m256i, __m256i);

/// Calls intrinsics of AVX2 on values that stand for the proof.
macro_rules! avx2 {
    ($call:expr) => {
        // SAFETY: a `Pair` or an `Avx2` is at hand, so the feature was detected. The intrinsics used with this
        // macro touch registers only.
        unsafe { $call }
    };
}

/// The same intrinsic on both halves.
macro_rules! both {
    ($call:ident $(::<$n:ident>)?, $($x:expr),+) => {
        Pair(avx2!($call$(::<$n>)?($($x.0),+)), avx2!($call$(::<$n>)?($($x.1),+)))
    };
}

impl Pair {
    #[inline(always)]
    fn and(self, other: Pair) -> Pair {
        both!(_mm256_and_si256, self, other)
    }

    #[inline(always)]
    fn or(self, other: Pair) -> Pair {
        both!(_mm256_or_si256, self, other)
    }
}

/// The transposed blocks of eight lanes, from lane `first` on.
#[inline(always)]
fn transposed_half(_: Avx2, blocks: &[&[u8; 64]; LANES], first: usize) -> [__m256i; 16] {
    let mut words = [avx2!(_mm256_set1_epi32(0)); 16];
    for quarter in 0..4 {
        let a = beside(blocks, first, quarter);
        let b = beside(blocks, first + 1, quarter);
        let c = beside(blocks, first + 2, quarter);
        let d = beside(blocks, first + 3, quarter);
        let (ab_low, ab_high) = avx2!((_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)));
        let (cd_low, cd_high) = avx2!((_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d)));
        words[4 * quarter] = avx2!(_mm256_unpacklo_epi64(ab_low, cd_low));
        words[4 * quarter + 1] = avx2!(_mm256_unpackhi_epi64(ab_low, cd_low));
        words[4 * quarter + 2] = avx2!(_mm256_unpacklo_epi64(ab_high, cd_high));
        words[4 * quarter + 3] = avx2!(_mm256_unpackhi_epi64(ab_high, cd_high));
    }
    words
}

/// An instruction sequence of length zero that the compiler cannot look into.
#[inline]
#[target_feature(enable = "avx2")]
fn as_it_is(mut value: __m256i) -> __m256i {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("/* {0} */", inout(ymm_reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

/// The `quarter`th 16 bytes of lanes `lane` and 4 + `lane`, side by side.
#[inline(always)]
fn beside(blocks: &[&[u8; 64]; LANES], lane: usize, quarter: usize) -> __m256i {
    assert!(quarter < 4, "a block has four quarters");
    // SAFETY: called by `transposed` alone, which has a proof; 16 bytes from 16 × `quarter`, which is at most 48,
    // lie within a block of 64.
    unsafe {
        let from = 16 * quarter;
        let low = _mm256_castsi128_si256(_mm_loadu_si128(blocks[lane].as_ptr().add(from).cast()));
        _mm256_inserti128_si256::<1>(low, _mm_loadu_si128(blocks[4 + lane].as_ptr().add(from).cast()))
    }
}

impl Words for Pair {
    type Proof = Avx2;

    #[inline(always)]
    fn splat(_: Avx2, word: u32) -> Pair {
        let both = avx2!(_mm256_set1_epi32(word.cast_signed()));
        Pair(both, both)
    }

    #[inline(always)]
    fn add(self, other: Pair) -> Pair {
        both!(_mm256_add_epi32, self, other)
    }

    #[inline(always)]
    fn as_summed(self) -> Pair {
        both!(as_it_is, self)
    }

    #[inline(always)]
    fn xor(self, other: Pair) -> Pair {
        both!(_mm256_xor_si256, self, other)
    }

    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self) -> Pair {
        const { assert!(L + R == 32) }
        both!(_mm256_slli_epi32::<L>, self).or(both!(_mm256_srli_epi32::<R>, self))
    }

    #[inline(always)]
    fn shift_right<const R: i32>(self) -> Pair {
        both!(_mm256_srli_epi32::<R>, self)
    }

    #[inline(always)]
    fn parity(self, b: Pair, c: Pair) -> Pair {
        self.xor(b.xor(c))
    }

    /// Written so that `self`, which is the newest value in MD5 and SHA-1, comes in last.
    #[inline(always)]
    fn choose(self, then: Pair, other: Pair) -> Pair {
        other.xor(self.and(then.xor(other)))
    }

    #[inline(always)]
    fn choose_late(self, then: Pair, other: Pair) -> Pair {
        both!(_mm256_andnot_si256, self, other).or(self.and(then))
    }

    #[inline(always)]
    fn majority(self, b: Pair, c: Pair) -> Pair {
        b.and(c).or(self.and(b.or(c)))
    }

    #[inline(always)]
    fn odd(self, c: Pair, d: Pair) -> Pair {
        let ones = avx2!(_mm256_set1_epi32(-1));
        c.xor(self.or(d.xor(Pair(ones, ones))))
    }

    #[inline(always)]
    fn swap_bytes(self) -> Pair {
        let order = avx2!(_mm256_set_epi64x(
            0x0c0d_0e0f_0809_0a0b,
            0x0405_0607_0001_0203,
            0x0c0d_0e0f_0809_0a0b,
            0x0405_0607_0001_0203
        ));
        both!(_mm256_shuffle_epi8, self, Pair(order, order))
    }
}

impl SideBySide for Pair {
    const FUSES: bool = false;

    #[inline(always)]
    fn get(_: Avx2, words: &[u32; LANES]) -> Pair {
        let [low, high] = words.as_chunks::<8>().0 else { unreachable!("sixteen lanes are twice eight") };
        // SAFETY: the feature was detected, and each reference is good for the 32 bytes that are read.
        unsafe { Pair(_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())) }
    }

    #[inline(always)]
    fn put(self, words: &mut [u32; LANES]) {
        let [low, high] = words.as_chunks_mut::<8>().0 else { unreachable!("sixteen lanes are twice eight") };
        // SAFETY: the feature was detected, and each reference is good for the 32 bytes that are written.
        unsafe {
            _mm256_storeu_si256(low.as_mut_ptr().cast(), self.0);
            _mm256_storeu_si256(high.as_mut_ptr().cast(), self.1);
        }
    }

    #[inline(always)]
    fn transposed(proof: Avx2, blocks: &[&[u8; 64]; LANES]) -> [Pair; 16] {
        let (low, high) = (transposed_half(proof, blocks, 0), transposed_half(proof, blocks, 8));
        let mut words = [Pair(low[0], high[0]); 16];
        for i in 1..16 {
            words[i] = Pair(low[i], high[i]);
        }
        words
    }
}
