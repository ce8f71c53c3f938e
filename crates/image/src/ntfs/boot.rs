//! The boot sector: sizes, and where the master file table begins.

use crate::fault::{Fault, damaged, le16, le64, times};
use crate::reader::{ImageReader, read_vec};

/// Windows makes clusters of 2 MiB at most.
const LARGEST_CLUSTER: u64 = 2 << 20;
/// Records of 1 and 4 KiB are what there is; more leaves room for what there may be.
const LARGEST_RECORD: u64 = 64 << 10;

pub(super) struct Boot {
    /// Bytes of a cluster.
    pub(super) cluster: u64,
    /// Bytes of a record of the master file table.
    pub(super) record: u64,
    /// Clusters of the volume.
    pub(super) n_clusters: u64,
    /// First cluster of the master file table.
    pub(super) mft: u64,
    /// First cluster of the copy of its first records.
    pub(super) mirror: u64,
}

impl Boot {
    pub(super) fn read(image: &dyn ImageReader) -> Result<Boot, Fault> {
        let bytes = read_vec(image, 0, 512)?;
        let sector = u64::from(le16(&bytes, 11)?);
        if !sector.is_power_of_two() || !(256..=4096).contains(&sector) {
            return Err(damaged("no possible size of a sector", 11));
        }
        let cluster = match bytes[13] {
            n if n.is_power_of_two() => times(sector, u64::from(n), "a size of a cluster beyond all sizes")?,
            // Since Windows 10: the negative power of two.
            n if n >= 0xe1 => {
                times(sector, 1 << (256 - u64::from(n)), "a size of a cluster beyond all sizes")?
            }
            _ => return Err(damaged("no possible size of a cluster", 13)),
        };
        if cluster > LARGEST_CLUSTER {
            return Err(damaged("no possible size of a cluster", 13));
        }
        let record = match bytes[64].cast_signed() {
            n @ 1.. => times(cluster, u64::from(n.unsigned_abs()), "a size of a record beyond all sizes")?,
            n @ -31..=-1 => 1 << n.unsigned_abs(),
            _ => return Err(damaged("no possible size of a record", 64)),
        };
        if !record.is_power_of_two() || !(512..=LARGEST_RECORD).contains(&record) {
            return Err(damaged("no possible size of a record", 64));
        }
        let n_clusters = le64(&bytes, 40)? / (cluster / sector).max(1);
        let (mft, mirror) = (le64(&bytes, 48)?, le64(&bytes, 56)?);
        if mft == 0 || mft >= n_clusters {
            return Err(damaged("the master file table lies outside the volume", 48));
        }
        times(n_clusters, cluster, "a volume beyond all sizes")?;
        Ok(Boot { cluster, record, n_clusters, mft, mirror })
    }
}
