//! The compression functions over sixteen messages at once, written once for every kind of vector.
//!
//! RFC 1321 and FIPS 180-4, step for step. Each takes the chaining values and one transposed block and gives the
//! chaining values after it. The SHA functions want the block's words with their bytes swapped.

use crate::words::Words;

#[rustfmt::skip]
const K_MD5: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

const K_SHA1: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

#[rustfmt::skip]
const K_SHA256: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

// Plain loops and functions instead of closures and iterators: the intrinsics can only be inlined where the target
// features are switched on, and a closure is compiled by itself, without them, before it is inlined.

/// One block of MD5. `words` as they stand in the message.
#[inline(always)]
pub(crate) fn md5<V: Words>(proof: V::Proof, state: [V; 4], words: &[V; 16]) -> [V; 4] {
    let mut s = state;
    for i in 0..4 {
        md5_four::<V, 0>(proof, &mut s, words, i);
    }
    for i in 4..8 {
        md5_four::<V, 1>(proof, &mut s, words, i);
    }
    for i in 8..12 {
        md5_four::<V, 2>(proof, &mut s, words, i);
    }
    for i in 12..16 {
        md5_four::<V, 3>(proof, &mut s, words, i);
    }
    sum(state, s)
}

/// One block of SHA-1. `words` with swapped bytes.
#[inline(always)]
pub(crate) fn sha1<V: Words>(proof: V::Proof, state: [V; 5], words: &[V; 16]) -> [V; 5] {
    let (mut s, mut w) = (state, *words);
    for i in 0..4 {
        sha1_five::<V, 0>(proof, &mut s, &mut w, i);
    }
    for i in 4..8 {
        sha1_five::<V, 1>(proof, &mut s, &mut w, i);
    }
    for i in 8..12 {
        sha1_five::<V, 2>(proof, &mut s, &mut w, i);
    }
    for i in 12..16 {
        sha1_five::<V, 3>(proof, &mut s, &mut w, i);
    }
    sum(state, s)
}

/// One block of both, step beside step: MD5 is one chain of dependent steps that leaves half of the processor
/// idle, and SHA-1 fills the gaps. `swapped` are the words of SHA-1.
#[inline(always)]
pub(crate) fn md5_and_sha1<V: Words>(
    proof: V::Proof,
    states: ([V; 4], [V; 5]),
    words: &[V; 16],
    swapped: &[V; 16],
) -> ([V; 4], [V; 5]) {
    let ((mut m, mut s), mut w) = (states, *swapped);
    for i in 0..4 {
        md5_four::<V, 0>(proof, &mut m, words, i);
        sha1_five::<V, 0>(proof, &mut s, &mut w, i);
    }
    for i in 4..8 {
        md5_four::<V, 1>(proof, &mut m, words, i);
        sha1_five::<V, 1>(proof, &mut s, &mut w, i);
    }
    for i in 8..12 {
        md5_four::<V, 2>(proof, &mut m, words, i);
        sha1_five::<V, 2>(proof, &mut s, &mut w, i);
    }
    for i in 12..16 {
        md5_four::<V, 3>(proof, &mut m, words, i);
        sha1_five::<V, 3>(proof, &mut s, &mut w, i);
    }
    (sum(states.0, m), sum(states.1, s))
}

/// Steps 4 × `i` to 4 × `i` + 3 of MD5, which belong to round `ROUND`.
#[inline(always)]
fn md5_four<V: Words, const ROUND: usize>(proof: V::Proof, state: &mut [V; 4], words: &[V; 16], i: usize) {
    let [a, b, c, d] = *state;
    let a = md5_step::<V, ROUND, 0>(proof, [a, b, c, d], words, 4 * i);
    let d = md5_step::<V, ROUND, 1>(proof, [d, a, b, c], words, 4 * i + 1);
    let c = md5_step::<V, ROUND, 2>(proof, [c, d, a, b], words, 4 * i + 2);
    let b = md5_step::<V, ROUND, 3>(proof, [b, c, d, a], words, 4 * i + 3);
    *state = [a, b, c, d];
}

/// Step `i` of MD5, whose number modulo 4 is `NTH`: the new value of the first of the state's words.
#[inline(always)]
fn md5_step<V: Words, const ROUND: usize, const NTH: usize>(
    proof: V::Proof,
    state: [V; 4],
    words: &[V; 16],
    i: usize,
) -> V {
    let [a, b, c, d] = state;
    let word = match ROUND {
        0 => words[i % 16],
        1 => words[(5 * i + 1) % 16],
        2 => words[(3 * i + 5) % 16],
        _ => words[(7 * i) % 16],
    };
    // What does not depend on the step before is summed first, off the chain.
    let early = a.add(word.add(V::splat(proof, K_MD5[i]))).as_summed();
    let sum = match ROUND {
        0 => early.add(b.choose(c, d)),
        1 => early.add_choice(d, b, c),
        2 => early.add(b.parity(c, d)),
        _ => early.add(b.odd(c, d)),
    };
    let turned = match (ROUND, NTH) {
        (0, 0) => sum.rotate::<7, 25>(),
        (0, 1) => sum.rotate::<12, 20>(),
        (0, 2) => sum.rotate::<17, 15>(),
        (0, _) => sum.rotate::<22, 10>(),
        (1, 0) => sum.rotate::<5, 27>(),
        (1, 1) => sum.rotate::<9, 23>(),
        (1, 2) => sum.rotate::<14, 18>(),
        (1, _) => sum.rotate::<20, 12>(),
        (2, 0) => sum.rotate::<4, 28>(),
        (2, 1) => sum.rotate::<11, 21>(),
        (2, 2) => sum.rotate::<16, 16>(),
        (2, _) => sum.rotate::<23, 9>(),
        (_, 0) => sum.rotate::<6, 26>(),
        (_, 1) => sum.rotate::<10, 22>(),
        (_, 2) => sum.rotate::<15, 17>(),
        (_, _) => sum.rotate::<21, 11>(),
    };
    turned.add(b)
}

/// Steps 5 × `i` to 5 × `i` + 4 of SHA-1, which belong to round `ROUND`.
#[inline(always)]
fn sha1_five<V: Words, const ROUND: usize>(proof: V::Proof, state: &mut [V; 5], w: &mut [V; 16], i: usize) {
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    (e, b) = sha1_step::<V, ROUND>(proof, [a, b, c, d, e], w, 5 * i);
    (d, a) = sha1_step::<V, ROUND>(proof, [e, a, b, c, d], w, 5 * i + 1);
    (c, e) = sha1_step::<V, ROUND>(proof, [d, e, a, b, c], w, 5 * i + 2);
    (b, d) = sha1_step::<V, ROUND>(proof, [c, d, e, a, b], w, 5 * i + 3);
    (a, c) = sha1_step::<V, ROUND>(proof, [b, c, d, e, a], w, 5 * i + 4);
    *state = [a, b, c, d, e];
}

/// Step `i` of SHA-1: the new values of the last and of the second of the state's words. The schedule needs the
/// last sixteen words only, so word `i` takes the place of word `i` - 16.
#[inline(always)]
fn sha1_step<V: Words, const ROUND: usize>(
    proof: V::Proof,
    state: [V; 5],
    w: &mut [V; 16],
    i: usize,
) -> (V, V) {
    let [a, b, c, d, e] = state;
    if i >= 16 {
        let mixed = w[(i + 13) % 16].parity(w[(i + 8) % 16], w[(i + 2) % 16]).xor(w[i % 16]);
        w[i % 16] = mixed.rotate::<1, 31>();
    }
    let mixed = match ROUND {
        0 => b.choose(c, d),
        2 => b.majority(c, d),
        _ => b.parity(c, d),
    };
    let early = e.add(w[i % 16].add(V::splat(proof, K_SHA1[ROUND])));
    (early.add(mixed).add(a.rotate::<5, 27>()), b.rotate::<30, 2>())
}

/// One block of SHA-256. `words` with swapped bytes.
#[inline(always)]
pub(crate) fn sha256<V: Words>(proof: V::Proof, state: [V; 8], words: &[V; 16]) -> [V; 8] {
    let mut w = *words;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    macro_rules! step {
        ($a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident, $i:expr) => {
            let early = $h.add(w[$i % 16].add(V::splat(proof, K_SHA256[$i])));
            let turned = $e.rotate::<26, 6>().parity($e.rotate::<21, 11>(), $e.rotate::<7, 25>());
            let first = early.add($e.choose($f, $g)).add(turned);
            let turned = $a.rotate::<30, 2>().parity($a.rotate::<19, 13>(), $a.rotate::<10, 22>());
            $d = $d.add(first);
            $h = first.add($a.majority($b, $c).add(turned));
        };
    }
    // The schedule needs the last sixteen words only, so word `i` takes the place of word `i - 16`.
    macro_rules! scheduled {
        ($i:expr) => {
            let (near, far) = (w[($i + 14) % 16], w[($i + 1) % 16]);
            let near = near.rotate::<15, 17>().parity(near.rotate::<13, 19>(), near.shift_right::<10>());
            let far = far.rotate::<25, 7>().parity(far.rotate::<14, 18>(), far.shift_right::<3>());
            w[$i % 16] = w[$i % 16].add(far).add(w[($i + 9) % 16]).add(near);
        };
    }
    macro_rules! eight {
        ($from:expr $(, $schedule:ident)?) => {
            $($schedule!($from);)?
            step!(a, b, c, d, e, f, g, h, $from);
            $($schedule!($from + 1);)?
            step!(h, a, b, c, d, e, f, g, $from + 1);
            $($schedule!($from + 2);)?
            step!(g, h, a, b, c, d, e, f, $from + 2);
            $($schedule!($from + 3);)?
            step!(f, g, h, a, b, c, d, e, $from + 3);
            $($schedule!($from + 4);)?
            step!(e, f, g, h, a, b, c, d, $from + 4);
            $($schedule!($from + 5);)?
            step!(d, e, f, g, h, a, b, c, $from + 5);
            $($schedule!($from + 6);)?
            step!(c, d, e, f, g, h, a, b, $from + 6);
            $($schedule!($from + 7);)?
            step!(b, c, d, e, f, g, h, a, $from + 7);
        };
    }
    eight!(0);
    eight!(8);
    eight!(16, scheduled);
    eight!(24, scheduled);
    eight!(32, scheduled);
    eight!(40, scheduled);
    eight!(48, scheduled);
    eight!(56, scheduled);
    sum(state, [a, b, c, d, e, f, g, h])
}

#[inline(always)]
fn sum<V: Words, const N: usize>(mut before: [V; N], after: [V; N]) -> [V; N] {
    for i in 0..N {
        before[i] = before[i].add(after[i]);
    }
    before
}
