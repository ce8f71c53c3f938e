//! LZNT1, the compression of NTFS (MS-XCA, 2.5): chunks of 4 KiB, each with a window of its own.

use crate::fault::{Fault, damaged};

const CHUNK: usize = 4096;

/// Decodes a unit of `len` bytes. What the compressed bytes do not reach is zeros.
pub(crate) fn decode(mut packed: &[u8], len: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        let Some((head, rest)) = packed.split_first_chunk::<2>() else { break };
        let head = u16::from_le_bytes(*head);
        if head == 0 {
            break;
        }
        if head & 0x7000 != 0x3000 {
            return Err(damaged("a compressed chunk without its mark", out.len() as u64));
        }
        let n = usize::from(head & 0x0fff) + 1;
        let (chunk, rest) = rest
            .split_at_checked(n)
            .ok_or_else(|| damaged("a compressed chunk ends early", out.len() as u64))?;
        let end = out.len() + CHUNK;
        if head & 0x8000 == 0 {
            out.extend_from_slice(chunk);
        } else {
            unpack(chunk, &mut out, end)?;
        }
        // A chunk may end early; the next begins where this one would have ended.
        out.resize(end, 0);
        packed = rest;
    }
    out.resize(len, 0);
    Ok(out)
}

/// Decodes one chunk onto `out`, up to `end`.
fn unpack(chunk: &[u8], out: &mut Vec<u8>, end: usize) -> Result<(), Fault> {
    let start = out.len();
    let mut bytes = chunk.iter().copied();
    while let Some(flags) = bytes.next() {
        for nth in 0..8 {
            let Some(byte) = bytes.next() else { return Ok(()) };
            if flags >> nth & 1 == 0 {
                if out.len() == end {
                    return Err(damaged("a compressed chunk that holds too much", end as u64));
                }
                out.push(byte);
                continue;
            }
            let high =
                bytes.next().ok_or_else(|| damaged("a compressed chunk ends early", out.len() as u64))?;
            let token = u16::from_le_bytes([byte, high]);
            // The further in the chunk, the more bits are the distance's and the fewer the length's.
            let done = out.len() - start;
            let n_bits = 12 - (done.max(1) - 1).checked_ilog2().map_or(0, |log| log.saturating_sub(3));
            let n = usize::from(token & ((1 << n_bits) - 1)) + 3;
            let distance = usize::from(token >> n_bits) + 1;
            if distance > done || out.len() + n > end {
                return Err(damaged("a compressed chunk that refers to nothing", out.len() as u64));
            }
            for _ in 0..n {
                out.push(out[out.len() - distance]);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_stored_or_compressed_and_filled_up() {
        let literal = [&[0x02, 0x30][..], b"abc"].concat();
        assert_eq!(decode(&literal, 5).unwrap(), b"abc\0\0");
        // `ab`, then from two back nine bytes.
        let repeated = [0x04, 0xb0, 0b100, b'a', b'b', 0x06, 0x10];
        assert_eq!(decode(&repeated, 12).unwrap(), b"abababababa\0");
    }

    #[test]
    fn what_refers_to_nothing_is_refused() {
        let check = |packed: &[u8]| assert!(decode(packed, 65536).is_err(), "{packed:?}");
        check(&[0x02, 0xb0, 0b1, 0, 0]);
        check(&[0x03, 0xb0, 0b10, b'a', 0, 0x10]);
        check(&[0x09, 0x30, 1]);
        check(&[0x01, 0x80, 0, 0]);
        check(&[0x02, 0xb0, 0b1, 0]);
    }
}
