//! The bits of both methods: 16 at a time, little-endian words, the highest bit first, with bytes among them; and the
//! codes of their symbols.

/// The longest code of either method.
pub(super) const LONGEST: u8 = 16;

pub(super) struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
    /// The next bits, from the highest on.
    held: u32,
    n_held: u32,
}

impl<'b> Bits<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Bits<'b> {
        Bits { bytes, at: 0, held: 0, n_held: 0 }
    }

    /// Has at least 16 bits at hand. Behind the end they are zeros: a writer leaves out words of nothing else.
    pub(super) fn fill(&mut self) {
        while self.n_held < 16 {
            let word =
                self.bytes.get(self.at..self.at + 2).map_or(0, |word| u16::from_le_bytes([word[0], word[1]]));
            self.held |= u32::from(word) << (16 - self.n_held);
            self.at += 2;
            self.n_held += 16;
        }
    }

    fn skip(&mut self, n: u32) {
        self.held = self.held.checked_shl(n).unwrap_or(0);
        self.n_held -= n;
    }

    /// Up to 16 bits.
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        self.fill();
        let bits = self.held >> (32 - n);
        self.skip(n);
        bits
    }

    /// Up to eight bits.
    pub(super) fn small(&mut self, n: u32) -> u8 {
        self.take(n).to_le_bytes()[0]
    }

    /// Bytes between the words.
    pub(super) fn bytes(&mut self, n: usize) -> Option<&'b [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(bytes)
    }

    /// Leaves the word that is begun; where none is, a whole one.
    pub(super) fn end_word(&mut self) {
        self.take(1);
        // Words that are held and not begun were never read.
        self.at -= 2 * (self.n_held / 16) as usize;
        (self.held, self.n_held) = (0, 0);
    }

    pub(super) fn is_past_end(&self) -> bool {
        // What is held may have come from behind the end, what is used may not.
        self.at - self.n_held as usize / 8 > self.bytes.len().next_multiple_of(2)
    }
}

/// A canonical code: which symbol the next bits are.
pub(super) struct Code {
    /// By as many bits as the longest code has: the symbol, and the bits that are its.
    table: Vec<(u16, u8)>,
    longest: u8,
}

impl Code {
    /// Of the lengths of all symbols; 0 is no code. No other code may be left over, but one without symbols is one.
    pub(super) fn of(lengths: &[u8]) -> Option<Code> {
        let longest = lengths.iter().copied().max().filter(|longest| *longest <= LONGEST)?;
        let mut table = Vec::with_capacity(1 << longest);
        for len in 1..=longest {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, own)| **own == len) {
                let end = table.len() + (1 << (longest - len));
                if end > 1 << longest {
                    return None;
                }
                table.resize(end, (u16::try_from(symbol).ok()?, len));
            }
        }
        (longest == 0 || table.len() == 1 << longest).then_some(Code { table, longest })
    }

    pub(super) fn next(&self, bits: &mut Bits<'_>) -> Option<usize> {
        bits.fill();
        let at = if self.longest == 0 { return None } else { bits.held >> (32 - u32::from(self.longest)) };
        let (symbol, len) = self.table[at as usize];
        bits.skip(len.into());
        Some(symbol.into())
    }
}

/// Adds `len` bytes that came `back` bytes before; nothing if there were not so many, or would be more than `most`.
pub(super) fn copy(out: &mut Vec<u8>, back: usize, len: usize, most: usize) -> Option<()> {
    let from = out.len().checked_sub(back).filter(|_| back > 0 && len <= most - out.len())?;
    if back >= len {
        out.extend_from_within(from..from + len);
    } else {
        for at in from..from + len {
            out.push(out[at]);
        }
    }
    Some(())
}
