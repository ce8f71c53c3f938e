//! Sixteen words in one 512-bit register: AVX-512 with its byte shuffles, native rotations and three-operand logic.

#![expect(unsafe_code, reason = "the processor's own instructions")]

use crate::kernel::{self, Stretch};
use crate::state::{LANES, States};
use crate::words::{SideBySide, Words};
use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_add_epi32, _mm512_castsi128_si512, _mm512_inserti32x4,
    _mm512_loadu_si512, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_set4_epi32, _mm512_shuffle_epi8,
    _mm512_srli_epi32, _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

/// Shows that the processor has AVX-512 F and BW.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The proof, if the processor has them and the system keeps the registers.
    pub(crate) fn proof() -> Option<Avx512> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")).then_some(Avx512(()))
    }

    /// Runs the stretch.
    pub(crate) fn run(self, states: &mut States, stretch: &Stretch<'_>) {
        #[target_feature(enable = "avx512f,avx512bw")]
        fn inlined(proof: Avx512, states: &mut States, stretch: &Stretch<'_>) {
            kernel::run::<Zmm>(proof, states, stretch);
        }
        // SAFETY: a proof exists only where both features were detected.
        unsafe { inlined(self, states, stretch) }
    }
}

/// Sixteen words. Comes only from a proof.
#[derive(Clone, Copy)]
struct Zmm(__m512i);

/// Calls intrinsics of AVX-512 F and BW on values that stand for the proof.
macro_rules! avx512 {
    ($call:expr) => {
        // SAFETY: a `Zmm` or an `Avx512` is at hand, so the features were detected. The intrinsics used with this
        // macro touch registers only.
        Zmm(unsafe { $call })
    };
}

/// An instruction sequence of length zero that the compiler cannot look into.
#[inline]
#[target_feature(enable = "avx512f")]
fn as_it_is(mut value: __m512i) -> __m512i {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("/* {0} */", inout(zmm_reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

/// The `quarter`th 16 bytes of lanes `row`, 4 + `row`, 8 + `row` and 12 + `row`, side by side.
#[inline(always)]
fn beside(blocks: &[&[u8; 64]; LANES], row: usize, quarter: usize) -> __m512i {
    assert!(quarter < 4, "a block has four quarters");
    // SAFETY: called by `transposed` alone, which has a proof; 16 bytes from 16 × `quarter`, which is at most 48,
    // lie within a block of 64.
    unsafe {
        let from = 16 * quarter;
        let joined = _mm512_castsi128_si512(_mm_loadu_si128(blocks[row].as_ptr().add(from).cast()));
        let joined =
            _mm512_inserti32x4::<1>(joined, _mm_loadu_si128(blocks[4 + row].as_ptr().add(from).cast()));
        let joined =
            _mm512_inserti32x4::<2>(joined, _mm_loadu_si128(blocks[8 + row].as_ptr().add(from).cast()));
        _mm512_inserti32x4::<3>(joined, _mm_loadu_si128(blocks[12 + row].as_ptr().add(from).cast()))
    }
}

impl Words for Zmm {
    type Proof = Avx512;

    #[inline(always)]
    fn splat(_: Avx512, word: u32) -> Zmm {
        avx512!(_mm512_set1_epi32(word.cast_signed()))
    }

    #[inline(always)]
    fn add(self, other: Zmm) -> Zmm {
        avx512!(_mm512_add_epi32(self.0, other.0))
    }

    #[inline(always)]
    fn as_summed(self) -> Zmm {
        avx512!(as_it_is(self.0))
    }

    #[inline(always)]
    fn xor(self, other: Zmm) -> Zmm {
        avx512!(_mm512_xor_si512(self.0, other.0))
    }

    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self) -> Zmm {
        const { assert!(L + R == 32) }
        avx512!(_mm512_rol_epi32::<L>(self.0))
    }

    #[inline(always)]
    fn shift_right<const R: i32>(self) -> Zmm {
        // This intrinsic alone wants its distance unsigned, which a constant parameter cannot be turned into.
        match R {
            3 => avx512!(_mm512_srli_epi32::<3>(self.0)),
            10 => avx512!(_mm512_srli_epi32::<10>(self.0)),
            _ => unreachable!("SHA-256 shifts by 3 and by 10"),
        }
    }

    #[inline(always)]
    fn parity(self, b: Zmm, c: Zmm) -> Zmm {
        avx512!(_mm512_ternarylogic_epi32::<0b1001_0110>(self.0, b.0, c.0))
    }

    #[inline(always)]
    fn choose(self, then: Zmm, other: Zmm) -> Zmm {
        avx512!(_mm512_ternarylogic_epi32::<0b1100_1010>(self.0, then.0, other.0))
    }

    #[inline(always)]
    fn majority(self, b: Zmm, c: Zmm) -> Zmm {
        avx512!(_mm512_ternarylogic_epi32::<0b1110_1000>(self.0, b.0, c.0))
    }

    #[inline(always)]
    fn odd(self, c: Zmm, d: Zmm) -> Zmm {
        avx512!(_mm512_ternarylogic_epi32::<0b0011_1001>(self.0, c.0, d.0))
    }

    #[inline(always)]
    fn swap_bytes(self) -> Zmm {
        avx512!(_mm512_shuffle_epi8(
            self.0,
            _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203)
        ))
    }
}

impl SideBySide for Zmm {
    const FUSES: bool = true;

    #[inline(always)]
    fn get(_: Avx512, words: &[u32; LANES]) -> Zmm {
        // SAFETY: the features were detected, and the reference is good for the 64 bytes that are read.
        Zmm(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn put(self, words: &mut [u32; LANES]) {
        // SAFETY: the features were detected, and the reference is good for the 64 bytes that are written.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    /// Four lanes' 16-byte pieces are loaded side by side into one register, so that only the 4 × 4 transposition
    /// inside each quarter is left for the shuffle unit.
    #[inline(always)]
    fn transposed(proof: Avx512, blocks: &[&[u8; 64]; LANES]) -> [Zmm; 16] {
        let mut words = [Zmm::splat(proof, 0); 16];
        for quarter in 0..4 {
            let a = beside(blocks, 0, quarter);
            let b = beside(blocks, 1, quarter);
            let c = beside(blocks, 2, quarter);
            let d = beside(blocks, 3, quarter);
            let ab_low = avx512!(_mm512_unpacklo_epi32(a, b));
            let ab_high = avx512!(_mm512_unpackhi_epi32(a, b));
            let cd_low = avx512!(_mm512_unpacklo_epi32(c, d));
            let cd_high = avx512!(_mm512_unpackhi_epi32(c, d));
            words[4 * quarter] = avx512!(_mm512_unpacklo_epi64(ab_low.0, cd_low.0));
            words[4 * quarter + 1] = avx512!(_mm512_unpackhi_epi64(ab_low.0, cd_low.0));
            words[4 * quarter + 2] = avx512!(_mm512_unpacklo_epi64(ab_high.0, cd_high.0));
            words[4 * quarter + 3] = avx512!(_mm512_unpackhi_epi64(ab_high.0, cd_high.0));
        }
        words
    }
}
