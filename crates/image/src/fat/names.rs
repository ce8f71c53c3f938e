//! Names of FAT: eight and three characters, and the long ones that stand before them in pieces.

use crate::utf16::{name_of, units};

/// Positions of the characters in a piece of a long name.
const PIECES: [std::ops::Range<usize>; 3] = [1..11, 14..26, 28..32];
const A_PIECE: usize = 13;

/// A long name as its pieces come, the last one first.
#[derive(Default)]
pub(super) struct Long {
    units: Vec<u16>,
    /// Pieces that are still to come.
    n_left: usize,
    checksum: u8,
}

impl Long {
    /// Takes a piece; one out of its order ends the name.
    pub(super) fn add(&mut self, record: &[u8; 32]) {
        let nth = usize::from(record[0] & 0x1f);
        if record[0] & 0x40 != 0 && nth > 0 {
            *self = Long { units: vec![0; nth * A_PIECE], n_left: nth, checksum: record[13] };
        }
        if nth == 0 || nth != self.n_left || record[13] != self.checksum {
            *self = Long::default();
            return;
        }
        self.n_left -= 1;
        let units = PIECES.into_iter().flat_map(|piece| record[piece].chunks_exact(2));
        for (unit, pair) in self.units[self.n_left * A_PIECE..].iter_mut().zip(units) {
            *unit = u16::from_le_bytes([pair[0], pair[1]]);
        }
    }

    /// The name of the record behind the pieces: the long one, if they are whole and were made for it.
    pub(super) fn name_of(self, record: &[u8; 32]) -> Vec<u8> {
        let sum = record[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let end = self.units.iter().position(|unit| *unit == 0).unwrap_or(self.units.len());
        if self.n_left == 0 && end > 0 && sum == self.checksum {
            name_of(&self.units[..end])
        } else {
            short(record)
        }
    }
}

/// The name of a deleted record behind these deleted pieces. Deleting overwrites the first letter of the short name,
/// which the checksum in the pieces gives back; without pieces it is lost, and `_` stands for it.
pub(super) fn erased(pieces: &[[u8; 32]], record: &[u8; 32]) -> Vec<u8> {
    let sum_with =
        |first: u8| record[1..11].iter().fold(first, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let checksum = pieces.last().map(|piece| piece[13]);
    let first = checksum.and_then(|sum| (0..=u8::MAX).find(|first| sum_with(*first) == sum));
    let own = pieces.iter().rev().take_while(|piece| Some(piece[13]) == checksum);
    // The pieces nearest to the record are the first of the name.
    let long: Vec<u16> =
        own.flat_map(|piece| PIECES.into_iter().flat_map(|part| units(&piece[part]))).collect();
    let end = long.iter().position(|unit| *unit == 0).unwrap_or(long.len());
    if end > 0 {
        return name_of(&long[..end]);
    }
    let mut record = *record;
    record[0] = first.unwrap_or(b'_');
    short(&record)
}

/// The short name. Its code page is not on the volume, so bytes beyond ASCII stay as they are.
fn short(record: &[u8; 32]) -> Vec<u8> {
    let part = |range: std::ops::Range<usize>, is_lower: bool| {
        let end = record[range.clone()].iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
        let mut part = record[range][..end].to_vec();
        if is_lower {
            part.make_ascii_lowercase();
        }
        part
    };
    let mut name = part(0..8, record[12] & 0x08 != 0);
    if let Some(first @ 0x05) = name.first_mut() {
        *first = 0xe5;
    }
    let ending = part(8..11, record[12] & 0x10 != 0);
    if !ending.is_empty() {
        name.push(b'.');
        name.extend_from_slice(&ending);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &[u8; 11], case: u8) -> [u8; 32] {
        let mut record = [0; 32];
        record[..11].copy_from_slice(name);
        record[12] = case;
        record
    }

    #[test]
    fn short_names_keep_their_case_and_their_bytes() {
        let check = |name: &[u8; 11], case, expected: &[u8]| assert_eq!(short(&record(name, case)), expected);
        check(b"README  TXT", 0, b"README.TXT");
        check(b"README  TXT", 0x18, b"readme.txt");
        check(b"README  TXT", 0x08, b"readme.TXT");
        check(b"A B        ", 0, b"A B");
        check(b"\x05BC        ", 0, b"\xe5BC");
        check(b"\x9a          ", 0, b"\x9a");
    }

    #[test]
    fn a_long_name_that_was_made_for_another_record_is_not_used() {
        let short = record(b"LONGNA~1TXT", 0);
        let sum = short[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let piece = |order: u8, sum: u8| {
            let mut piece = [0xff; 32];
            (piece[0], piece[11], piece[13]) = (order, 0x0f, sum);
            piece[1..7].copy_from_slice(b"a\0b\0\0\0");
            piece
        };
        let name = |pieces: &[[u8; 32]]| {
            let mut long = Long::default();
            for piece in pieces {
                long.add(piece);
            }
            long.name_of(&short)
        };
        assert_eq!(name(&[piece(0x41, sum)]), b"ab");
        assert_eq!(name(&[piece(0x41, !sum)]), b"LONGNA~1.TXT");
        assert_eq!(name(&[piece(0x42, sum)]), b"LONGNA~1.TXT", "a piece is missing");
        assert_eq!(name(&[piece(0x42, sum), piece(2, sum)]), b"LONGNA~1.TXT", "a piece twice");
        assert_eq!(name(&[piece(0x40, sum)]), b"LONGNA~1.TXT");
        assert_eq!(name(&[]), b"LONGNA~1.TXT");
    }
}
