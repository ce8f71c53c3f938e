//! Where an attribute's clusters lie: packed pairs of lengths and distances, made into extents.

use crate::fault::{Fault, damaged, plus, times};
use crate::item::{Data, Extent};

/// Clusters that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first, counted from the attribute's beginning.
    pub(super) vcn: u64,
    pub(super) len: u64,
    /// The first, counted from the volume's beginning; `None`: nowhere.
    pub(super) lcn: Option<u64>,
}

/// Reads the runs of the clusters `lowest..=highest` of an attribute of a volume of `n_clusters`.
pub(super) fn unpack(
    mut packed: &[u8],
    lowest: u64,
    highest: u64,
    n_clusters: u64,
) -> Result<Vec<Run>, Fault> {
    let wrong = || damaged("runs that cannot be", lowest);
    let mut runs = Vec::new();
    let (mut vcn, mut lcn) = (lowest, 0_i64);
    // An attribute without clusters ends before it begins.
    let end = highest.wrapping_add(1);
    while let Some((head, rest)) = packed.split_first().filter(|(head, _)| **head != 0) {
        let (of_len, of_distance) = (usize::from(head & 15), usize::from(head >> 4));
        let (len, rest) = rest.split_at_checked(of_len).ok_or_else(wrong)?;
        let (distance, rest) = rest.split_at_checked(of_distance).ok_or_else(wrong)?;
        let len = u64::try_from(signed(len).ok_or_else(wrong)?).map_err(|_| wrong())?;
        let next = vcn.checked_add(len).filter(|next| len > 0 && *next <= end).ok_or_else(wrong)?;
        let place = if distance.is_empty() {
            None
        } else {
            lcn = lcn.checked_add(signed(distance).ok_or_else(wrong)?).ok_or_else(wrong)?;
            let first = u64::try_from(lcn).map_err(|_| wrong())?;
            if first.checked_add(len).is_none_or(|end| end > n_clusters) {
                return Err(damaged("clusters behind the volume's last", first));
            }
            Some(first)
        };
        runs.push(Run { vcn, len, lcn: place });
        (vcn, packed) = (next, rest);
    }
    if vcn == end { Ok(runs) } else { Err(damaged("runs that end early", vcn)) }
}

/// A little-endian number of any length up to eight bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let fill = if bytes.last()? & 0x80 == 0 { 0 } else { 0xff };
    let mut all = [fill; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

/// What decides how the bytes of an attribute come from its clusters.
pub(super) struct Shape {
    /// Bytes of a cluster.
    pub(super) cluster: u64,
    /// Bytes of the attribute.
    pub(super) size: u64,
    /// Bytes of it that were ever written.
    pub(super) initialized: u64,
    /// Clusters that are compressed together.
    pub(super) unit: Option<u64>,
}

/// The attribute's bytes. Its runs follow each other without a gap and lie within the volume.
pub(super) fn extents(runs: &[Run], shape: &Shape) -> Result<Vec<Extent>, Fault> {
    let mut extents = Vec::new();
    match shape.unit {
        None => {
            for run in runs {
                shape.push(&mut extents, *run)?;
            }
        }
        Some(unit) => {
            let mut parts: Vec<Run> = Vec::new();
            for run in runs {
                let mut run = *run;
                while run.len > 0 {
                    // Holes of whole units are no bytes and need no unit.
                    let is_hole = run.lcn.is_none() && run.vcn.is_multiple_of(unit) && run.len >= unit;
                    let len =
                        if is_hole { run.len / unit * unit } else { run.len.min(unit - run.vcn % unit) };
                    if parts.first().is_some_and(|first| first.vcn / unit != run.vcn / unit) {
                        shape.push_unit(&mut extents, &parts, unit)?;
                        parts.clear();
                    }
                    if !is_hole {
                        parts.push(Run { len, ..run });
                    }
                    run = Run { vcn: run.vcn + len, len: run.len - len, lcn: run.lcn.map(|lcn| lcn + len) };
                }
            }
            if !parts.is_empty() {
                shape.push_unit(&mut extents, &parts, unit)?;
            }
        }
    }
    Ok(extents)
}

impl Shape {
    /// Clusters as they are, up to where anything was written, and zeros from there to the attribute's end.
    fn push(&self, extents: &mut Vec<Extent>, run: Run) -> Result<(), Fault> {
        let Some(lcn) = run.lcn else { return Ok(()) };
        let logical = times(run.vcn, self.cluster, "a file beyond all sizes")?;
        let len = times(run.len, self.cluster, "a file beyond all sizes")?;
        let disk = times(lcn, self.cluster, "a cluster beyond all sizes")?;
        let end = plus(logical, len, "a file beyond all sizes")?.min(self.size);
        let written = end.min(self.initialized);
        if let Some(len) = written.checked_sub(logical).filter(|len| *len > 0) {
            match extents.last_mut() {
                Some(Extent { logical: first, len: before, data: Data::Disk(start) })
                    if *first + *before == logical && *start + *before == disk =>
                {
                    *before += len;
                }
                _ => extents.push(Extent { logical, len, data: Data::Disk(disk) }),
            }
        }
        Ok(())
    }

    /// A unit without a hole is stored as it is; one that ends with a hole is compressed; one that is all hole is.
    fn push_unit(&self, extents: &mut Vec<Extent>, parts: &[Run], unit: u64) -> Result<(), Fault> {
        let n_there = parts.iter().filter(|run| run.lcn.is_some()).map(|run| run.len).sum::<u64>();
        if n_there == 0 {
            return Ok(());
        }
        let n_first = parts.iter().take_while(|run| run.lcn.is_some()).map(|run| run.len).sum::<u64>();
        if n_first != n_there || !parts[0].vcn.is_multiple_of(unit) {
            return Err(damaged("a compressed unit with a hole within", parts[0].vcn));
        }
        if n_there == unit {
            return parts.iter().try_for_each(|run| self.push(extents, *run));
        }
        let logical = times(parts[0].vcn, self.cluster, "a file beyond all sizes")?;
        let whole = times(unit, self.cluster, "a file beyond all sizes")?;
        let end = plus(logical, whole, "a file beyond all sizes")?.min(self.size).min(self.initialized);
        if let Some(len) = end.checked_sub(logical).filter(|len| *len > 0) {
            let pieces = parts
                .iter()
                .filter_map(|run| run.lcn.map(|lcn| (lcn * self.cluster, run.len * self.cluster)));
            extents.push(Extent { logical, len, data: Data::Lznt1(pieces.collect()) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_forward_backward_and_nowhere() {
        // 0x18 clusters from 0x5634, 8 sparse, 0x10 from 0x5634 - 0x34.
        let packed = [0x21, 0x18, 0x34, 0x56, 0x01, 0x08, 0x11, 0x10, 0xcc, 0];
        let runs = unpack(&packed, 0, 0x2f, 0x6000).unwrap();
        let expected = [
            Run { vcn: 0, len: 0x18, lcn: Some(0x5634) },
            Run { vcn: 0x18, len: 8, lcn: None },
            Run { vcn: 0x20, len: 0x10, lcn: Some(0x5600) },
        ];
        assert_eq!(runs, expected);
    }

    #[test]
    fn runs_that_cannot_be_are_refused() {
        let check =
            |packed: &[u8], highest: u64| assert!(unpack(packed, 0, highest, 100).is_err(), "{packed:?}");
        check(&[0x11, 5, 96, 0], 4);
        check(&[0x11, 5, 0xff, 0], 4);
        check(&[0x11, 0, 5, 0], 4);
        check(&[0x11, 4, 5, 0], 4);
        check(&[0x11, 6, 5, 0], 4);
        check(&[0x11, 0xff, 5, 0], 4);
        check(&[0x21, 5, 5], 4);
        check(&[0x91, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 4);
        assert_eq!(unpack(&[0], 0, u64::MAX, 100).unwrap(), []);
    }

    #[test]
    fn what_was_never_written_is_zeros() {
        let shape = Shape { cluster: 10, size: 95, initialized: 42, unit: None };
        let runs = [Run { vcn: 0, len: 3, lcn: Some(7) }, Run { vcn: 3, len: 7, lcn: Some(10) }];
        let extents = extents(&runs, &shape).unwrap();
        assert_eq!(extents, [Extent { logical: 0, len: 42, data: Data::Disk(70) }]);
    }

    #[test]
    fn a_unit_is_as_it_is_or_compressed_or_a_hole() {
        let shape = Shape { cluster: 10, size: 1000, initialized: 1000, unit: Some(4) };
        let runs = [
            Run { vcn: 0, len: 6, lcn: Some(50) },
            Run { vcn: 6, len: 2, lcn: None },
            Run { vcn: 8, len: 8, lcn: None },
            Run { vcn: 16, len: 1, lcn: Some(20) },
            Run { vcn: 17, len: 1, lcn: Some(30) },
            Run { vcn: 18, len: 2, lcn: None },
        ];
        let expected = [
            Extent { logical: 0, len: 40, data: Data::Disk(500) },
            Extent { logical: 40, len: 40, data: Data::Lznt1([(540, 20)].into()) },
            Extent { logical: 160, len: 40, data: Data::Lznt1([(200, 10), (300, 10)].into()) },
        ];
        assert_eq!(extents(&runs, &shape).unwrap(), expected);
        let torn = [Run { vcn: 0, len: 1, lcn: None }, Run { vcn: 1, len: 3, lcn: Some(5) }];
        assert!(extents(&torn, &shape).is_err());
    }
}
