//! XPRESS with Huffman's codes (MS-XCA, 2.1 and 2.2): half a byte for the length of each of 512 codes, and then codes
//! that are a byte, or a length and the size of a distance.

use super::bits::{Bits, Code, copy};

const N_SYMBOLS: usize = 512;
const SHORTEST: usize = 3;

/// The `len` bytes of a chunk; nothing if they are not in it.
pub(super) fn decode(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let (lengths, packed) = packed.split_at_checked(N_SYMBOLS / 2)?;
    let lengths: Vec<u8> = lengths.iter().flat_map(|both| [both & 15, both >> 4]).collect();
    let code = Code::of(&lengths)?;
    let mut bits = Bits::of(packed);
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        let symbol = code.next(&mut bits)?;
        if let Ok(byte) = u8::try_from(symbol) {
            out.push(byte);
            continue;
        }
        let n_bits = u32::try_from(symbol >> 4 & 15).ok()?;
        // The bits of the distance are read before further bytes are, but a word that follows is behind these.
        bits.fill();
        let back = 1 << n_bits | bits.take(n_bits);
        let length = match symbol & 15 {
            15 => match usize::from(bits.bytes(1)?[0]) + 15 {
                270 => bits.bytes(2).map(|both| u16::from_le_bytes([both[0], both[1]]))?.into(),
                length => length,
            },
            length => length,
        };
        copy(&mut out, usize::try_from(back).ok()?, length + SHORTEST, len)?;
    }
    (!bits.is_past_end()).then_some(out)
}
