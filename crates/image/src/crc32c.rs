//! CRC-32C (Castagnoli), the checksum of ext4, VHDX and XFS, eight bytes at a time.

const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut start = 0_u32;
    while start < 256 {
        let mut sum = start;
        let mut bit = 0;
        while bit < 8 {
            sum = sum >> 1 ^ (POLYNOMIAL * (sum & 1));
            bit += 1;
        }
        tables[0][start as usize] = sum;
        start += 1;
    }
    let mut nth = 1;
    while nth < 8 {
        let mut n = 0;
        while n < 256 {
            let sum = tables[nth - 1][n];
            tables[nth][n] = sum >> 8 ^ tables[0][(sum & 0xff) as usize];
            n += 1;
        }
        nth += 1;
    }
    tables
}

/// Goes on from `sum`, without the inversions at both ends.
pub(crate) fn update(sum: u32, bytes: &[u8]) -> u32 {
    let mut chunks = bytes.chunks_exact(8);
    let mut sum = sum;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes")) ^ u64::from(sum);
        sum = word.to_le_bytes().iter().zip(TABLES.iter().rev()).fold(0, |s, (b, t)| s ^ t[usize::from(*b)]);
    }
    let step = |sum: u32, byte: &u8| sum >> 8 ^ TABLES[0][usize::from(sum.to_le_bytes()[0] ^ byte)];
    chunks.remainder().iter().fold(sum, step)
}

/// The checksum of a record whose own checksum, at `sum_at`, counts as zeros.
pub(crate) fn of_record(record: &[u8], sum_at: usize) -> u32 {
    let (before, rest) = record.split_at(sum_at.min(record.len()));
    let sum = update(update(u32::MAX, before), &[0; 4]);
    !update(sum, rest.get(4..).unwrap_or_default())
}

/// The checksum of these bytes.
#[cfg(test)]
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    !update(u32::MAX, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_and_every_length_agree_with_one_byte_at_a_time() {
        assert_eq!(hash(b"123456789"), 0xe306_9283);
        let bytes: Vec<u8> = (0..100_u8).map(|n| n.wrapping_mul(37)).collect();
        for len in 0..bytes.len() {
            let slow = bytes[..len].iter().fold(u32::MAX, |sum, byte| update(sum, &[*byte]));
            assert_eq!(hash(&bytes[..len]), !slow, "{len}");
        }
        let mut zeroed = bytes.clone();
        zeroed[4..8].fill(0);
        assert_eq!(of_record(&bytes, 4), hash(&zeroed));
    }
}
