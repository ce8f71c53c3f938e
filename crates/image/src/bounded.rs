//! A container's disk, and how much may be read of it.
//!
//! A container of a megabyte may claim a disk of exabytes: clusters that it does not hold are zeros, and any number of
//! clusters may be one and the same. What the file systems may ask for is bounded by the size of their volume, which
//! is such a claim; what is read of the whole is bounded here, by what the host really keeps.

use crate::fault::Fault;
use crate::reader::{Files, ImageReader, Place};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Zeros that may be read beside those that the host can have kept: as many as a volume may have in holes.
const MOST_ZEROS: u64 = 1 << 40;
/// Readings of zeros that are there: a walk, the content, the deleted files, and the content of these.
const READINGS: u64 = 4;
/// Bytes that one of the host's can be: the most that deflate packs into one. Many more than there are snapshots of
/// one content, too.
const MOST_OF_ONE: u64 = 1032;

pub(crate) struct Bounded {
    disk: Arc<dyn ImageReader>,
    zeros: Allowance,
    bytes: Allowance,
}

struct Allowance {
    limit: u64,
    left: AtomicU64,
}

impl Bounded {
    pub(crate) fn new(disk: Arc<dyn ImageReader>) -> Bounded {
        let mut files = Files::new();
        disk.files(&mut files);
        let kept = files.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        Bounded::of(disk, kept, MOST_ZEROS)
    }

    fn of(disk: Arc<dyn ImageReader>, kept: u64, beside: u64) -> Bounded {
        let allowance = |times: u64| Allowance::of(kept.saturating_mul(times).saturating_add(beside));
        Bounded { disk, zeros: allowance(READINGS), bytes: allowance(MOST_OF_ONE) }
    }
}

impl Allowance {
    fn of(limit: u64) -> Allowance {
        Allowance { limit, left: AtomicU64::new(limit) }
    }

    fn take(&self, n: u64, what: &'static str) -> Result<(), Fault> {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(n));
        taken.map(|_| ()).map_err(|_| Fault::Limit { what, limit: self.limit })
    }
}

impl ImageReader for Bounded {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let n = self.disk.read_at(offset, buf)?;
        self.bytes.take(n as u64, "bytes read of an image that keeps so few")?;
        if is_zeros(&buf[..n]) {
            self.zeros.take(n as u64, "bytes of zeros read of an image that keeps so few")?;
        }
        Ok(n)
    }

    fn locate(&self, offset: u64) -> Place {
        self.disk.locate(offset)
    }

    fn files(&self, files: &mut Files) {
        self.disk.files(files);
    }
}

fn is_zeros(bytes: &[u8]) -> bool {
    // A block at a time, so that the machine takes many bytes at once and content is told by its first.
    bytes.chunks(256).all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::read_exact_at;

    /// Claims all that can be claimed, and has one byte again and again.
    struct Endless(u8);

    impl ImageReader for Endless {
        fn size(&self) -> u64 {
            u64::MAX
        }

        fn read_at(&self, _: u64, buf: &mut [u8]) -> Result<usize, Fault> {
            buf.fill(self.0);
            Ok(buf.len())
        }

        fn locate(&self, _: u64) -> Place {
            Place::Zero
        }

        fn files(&self, files: &mut Files) {
            files.insert((1, 2), 1000);
        }
    }

    #[test]
    fn what_a_disk_gives_ends_whatever_it_claims() {
        let check = |byte: u8, most: u64, reason: &str| {
            let disk = Bounded::of(Arc::new(Endless(byte)), 1000, 50_000);
            let mut buf = [1; 1000];
            for nth in 0..most / 1000 {
                read_exact_at(&disk, nth * 1000, &mut buf).unwrap();
            }
            for _ in 0..2 {
                let refused = disk.read_at(0, &mut buf).unwrap_err().to_string();
                assert_eq!(refused, format!("more than {most} {reason}"));
            }
            disk.read_at(0, &mut buf[..0]).unwrap();
        };
        check(0, 54_000, "bytes of zeros read of an image that keeps so few");
        check(7, 1_082_000, "bytes read of an image that keeps so few");
    }

    #[test]
    fn zeros_are_told_from_what_holds_one_other_byte() {
        for len in [0, 1, 255, 256, 257, 5000] {
            let mut bytes = vec![0; len];
            assert!(is_zeros(&bytes));
            for at in [0, len / 2, len.wrapping_sub(1)].into_iter().filter(|at| *at < len) {
                bytes[at] = 1;
                assert!(!is_zeros(&bytes), "{at} of {len}");
                bytes[at] = 0;
            }
        }
    }
}
