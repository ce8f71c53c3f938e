//! LZX as archives of Windows have it: chunks of 32 KiB, each alone, in blocks with codes of their own.

use super::bits::{Bits, Code, copy};

const WINDOW: usize = 32 << 10;
/// Distances are told by their class and bits within it.
const N_CLASSES: usize = 30;
const N_LENGTHS: usize = 249;
const SHORTEST: usize = 2;
/// What calls of x86 were made absolute by.
const CALLS: i32 = 12_000_000;

struct Chunk<'c> {
    bits: Bits<'c>,
    out: Vec<u8>,
    len: usize,
    /// Lengths of the codes of the block before, of which those of a block are told as differences.
    main: [u8; 256 + 8 * N_CLASSES],
    lengths: [u8; N_LENGTHS],
    /// The last three distances.
    recent: [usize; 3],
}

/// The `len` bytes of a chunk; nothing if they are not in it.
pub(super) fn decode(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut chunk = Chunk {
        bits: Bits::of(packed),
        out: Vec::with_capacity(len),
        len,
        main: [0; 256 + 8 * N_CLASSES],
        lengths: [0; N_LENGTHS],
        recent: [1; 3],
    };
    while chunk.out.len() < len {
        chunk.block()?;
    }
    if chunk.bits.is_past_end() {
        return None;
    }
    let mut out = chunk.out;
    relative(&mut out);
    Some(out)
}

impl Chunk<'_> {
    fn block(&mut self) -> Option<()> {
        let kind = self.bits.take(3);
        let len = if self.bits.take(1) == 1 { WINDOW } else { usize::try_from(self.bits.take(16)).ok()? };
        let end = self.out.len() + len;
        if len == 0 || end > self.len.max(WINDOW) {
            return None;
        }
        let end = end.min(self.len);
        match kind {
            1 => self.coded(end, None),
            2 => {
                let lengths: Vec<u8> = (0..8).map(|_| self.bits.small(3)).collect();
                self.coded(end, Some(&Code::of(&lengths)?))
            }
            3 => {
                self.bits.end_word();
                for nth in 0..3 {
                    let distance = self.bits.bytes(4)?.first_chunk::<4>().copied()?;
                    self.recent[nth] = usize::try_from(u32::from_le_bytes(distance)).ok()?;
                }
                let n = end - self.out.len();
                self.out.extend_from_slice(self.bits.bytes(n)?);
                // Words begin at even places.
                if n % 2 == 1 {
                    self.bits.bytes(1);
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Blocks of codes; `aligned` has the lowest three bits of large distances.
    fn coded(&mut self, end: usize, aligned: Option<&Code>) -> Option<()> {
        let (mut main, mut lengths) = (self.main, self.lengths);
        let (bytes, matches) = main.split_at_mut(256);
        for part in [bytes, matches, &mut lengths] {
            read_lengths(&mut self.bits, part)?;
        }
        (self.main, self.lengths) = (main, lengths);
        let (main, lengths) = (Code::of(&main)?, Code::of(&lengths)?);
        while self.out.len() < end {
            let symbol = main.next(&mut self.bits)?;
            if let Ok(byte) = u8::try_from(symbol) {
                self.out.push(byte);
                continue;
            }
            let (class, short) = ((symbol - 256) >> 3, symbol & 7);
            let length = if short == 7 { 7 + lengths.next(&mut self.bits)? } else { short };
            let back = self.distance(class, aligned)?;
            copy(&mut self.out, back, length + SHORTEST, self.len)?;
        }
        Some(())
    }

    fn distance(&mut self, class: usize, aligned: Option<&Code>) -> Option<usize> {
        if class < 3 {
            self.recent.swap(0, class);
            return Some(self.recent[0]);
        }
        let n_bits = (class / 2).saturating_sub(1);
        let base = if class < 4 { class } else { (2 + class % 2) << n_bits };
        let within = match aligned {
            Some(code) if n_bits >= 3 => {
                let high = usize::try_from(self.bits.take(u32::try_from(n_bits - 3).ok()?)).ok()?;
                high << 3 | code.next(&mut self.bits)?
            }
            _ => usize::try_from(self.bits.take(u32::try_from(n_bits).ok()?)).ok()?,
        };
        let [first, second, _] = self.recent;
        self.recent = [base + within - 2, first, second];
        Some(self.recent[0])
    }
}

/// The lengths of codes as differences from those before, in a code of their own with runs of zeros and of others.
fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Option<()> {
    let own: Vec<u8> = (0..20).map(|_| bits.small(4)).collect();
    let code = Code::of(&own)?;
    let apart = |before: u8, symbol: usize| {
        Some((before + 17 - u8::try_from(symbol).ok().filter(|by| *by < 17)?) % 17)
    };
    let mut at = 0;
    while at < lengths.len() {
        let (n, value) = match code.next(bits)? {
            17 => (4 + bits.take(4), 0),
            18 => (20 + bits.take(5), 0),
            19 => {
                let n = 4 + bits.take(1);
                (n, apart(lengths[at], code.next(bits)?)?)
            }
            symbol => (1, apart(lengths[at], symbol)?),
        };
        let end = at.checked_add(usize::try_from(n).ok()?)?.min(lengths.len());
        lengths[at..end].fill(value);
        at = end;
    }
    Some(())
}

/// Calls of x86 have their distances again, which were made absolute so that they are alike.
fn relative(out: &mut [u8]) {
    let Some(end) = out.len().checked_sub(10) else { return };
    let mut at = 0;
    while at < end {
        if out[at] != 0xe8 {
            at += 1;
            continue;
        }
        let place = i32::try_from(at).expect("a chunk is 32 KiB");
        let target = &mut out[at + 1..at + 5];
        let absolute = i32::from_le_bytes([target[0], target[1], target[2], target[3]]);
        if (0..CALLS).contains(&absolute) {
            target.copy_from_slice(&(absolute - place).to_le_bytes());
        } else if (-place..0).contains(&absolute) {
            target.copy_from_slice(&(absolute + CALLS).to_le_bytes());
        }
        at += 5;
    }
}
