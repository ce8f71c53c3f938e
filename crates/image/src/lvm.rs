//! LVM2: the logical volumes of the groups whose physical volumes are on one disk.
//!
//! ```text
//!  physical volume: label ─► areas of metadata ─► text: the group, its physical volumes, its logical volumes
//!                   extents │ extents │ …     ◄── segments: a run of extents, or stripes over several
//! ```
//!
//! Metadata carry a checksum and may be there several times. Read are linear and striped volumes; those whose segments
//! are of any other kind (thin, snapshot, cache, RAID, mirror) are refused by name. What lies in extents that no
//! logical volume has is like the space between partitions: nobody looks at it.

mod group;
mod label;
mod striped;
mod text;

use crate::fault::{Fault, damaged};
use crate::reader::ImageReader;
use group::{Group, Logical};
use label::Label;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use striped::Striped;

pub(crate) use label::is_at;

const COPY: &str = "metadata of an LVM2 volume group are damaged in one place; another copy was read";
const OLDER: &str =
    "the physical volumes of an LVM2 volume group know different states of it; the newest was read";

/// Of all groups. A server of virtual machines has some thousands.
const MOST_VOLUMES: usize = 16_384;
/// Bytes of metadata in all: what is read of them is held in memory, and is a few times as large.
const MOST_TEXTS: usize = 128 << 20;

/// What there is on the physical volumes of a disk.
#[derive(Default)]
pub(crate) struct Found {
    /// Logical volumes by name: `lvm-GROUP-VOLUME`, in both of which `-` is written twice.
    pub(crate) volumes: Vec<(String, Arc<dyn ImageReader>)>,
    /// What was not read, by the name of the logical or physical volume.
    pub(crate) problems: Vec<(String, Fault)>,
    pub(crate) notices: Vec<&'static str>,
}

/// One physical volume: the name of what it is in, and its bytes.
pub(crate) type Physical = (String, Arc<dyn ImageReader>);

/// Puts the groups together.
pub(crate) fn volumes(physical: &[Physical]) -> Found {
    let mut found = Found::default();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut there = BTreeMap::new();
    let mut unread = Vec::new();
    let mut left = MOST_TEXTS;
    for (name, bytes) in physical {
        let label = match Label::read(&**bytes) {
            Ok(label) => label,
            Err(fault) => {
                found.problems.push((name.clone(), fault));
                continue;
            }
        };
        let mut faults = Vec::new();
        for text in label.texts(&**bytes) {
            let fits = |text: Vec<u8>| match left.checked_sub(text.len()) {
                Some(rest) => {
                    left = rest;
                    Ok(text)
                }
                None => Err(Fault::Limit { what: "bytes of metadata of LVM2", limit: MOST_TEXTS as u64 }),
            };
            match text.and_then(fits).and_then(|text| Group::read(&text)) {
                Ok(group) => found.keep(&mut groups, group, name),
                Err(fault) => faults.push(fault),
            }
        }
        if there.insert(label.id.clone(), Arc::clone(bytes)).is_some() {
            found.problems.push((name.clone(), damaged("two physical volumes of one identity", 0)));
        }
        unread.push((name, label.id, faults));
    }
    let known: BTreeSet<&str> =
        groups.values().flat_map(|group| group.physical.values().map(|area| area.id.as_str())).collect();
    for (name, id, faults) in unread {
        if known.contains(id.as_str()) {
            found.notices.extend(faults.first().map(|_| COPY));
        } else {
            let alone = || Fault::Unsupported("an LVM2 physical volume of no known group".into());
            found.problems.push((name.clone(), faults.into_iter().next().unwrap_or_else(alone)));
        }
    }
    found.notices.sort_unstable();
    found.notices.dedup();
    let shared = group::shared(groups.values());
    for group in groups.values() {
        found.group(group, &shared, &there);
    }
    found
}

impl Found {
    /// Keeps the newest state of each group.
    fn keep(&mut self, groups: &mut BTreeMap<String, Group>, group: Group, name: &str) {
        match groups.get(&group.id) {
            Some(known) if known.state == group.state => {
                if *known != group {
                    let fault = damaged("two states of a volume group with one number", group.state);
                    self.problems.push((name.to_owned(), fault));
                }
                return;
            }
            Some(known) => {
                self.notices.push(OLDER);
                if known.state > group.state {
                    return;
                }
            }
            None => {}
        }
        groups.insert(group.id.clone(), group);
    }

    fn group(
        &mut self,
        group: &Group,
        shared: &BTreeSet<(&str, &str)>,
        there: &BTreeMap<String, Arc<dyn ImageReader>>,
    ) {
        let parts = group.parts();
        // What is only there for another one is given or refused with it.
        let is_part = |logical: &&Logical| !logical.is_visible && parts.contains(logical.name.as_str());
        for logical in group.logical.iter().filter(|logical| !is_part(logical)) {
            if self.volumes.len() + self.problems.len() >= MOST_VOLUMES {
                let fault = Fault::Limit { what: "logical volumes", limit: MOST_VOLUMES as u64 };
                return self.problems.push((String::new(), fault));
            }
            let name = format!("lvm-{}-{}", twice(&group.name), twice(&logical.name));
            let volume = match &logical.segments {
                Err(refused) => Err(Fault::Unsupported(refused.clone())),
                Ok(_) if shared.contains(&(group.id.as_str(), logical.name.as_str())) => {
                    Err(damaged("extents that two logical volumes have", 0))
                }
                Ok(segments) => Striped::new(group, segments, there),
            };
            match volume {
                Ok((volume, fault)) => {
                    self.problems.extend(fault.map(|fault| (name.clone(), fault)));
                    self.volumes.push((name, Arc::new(volume)));
                }
                Err(fault) => self.problems.push((name, fault)),
            }
        }
    }
}

/// As the device mapper tells the parts of a name from one another.
fn twice(name: &str) -> String {
    name.replace('-', "--")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quadratic work in the names of a group would take hours for these.
    #[test]
    fn a_group_of_very_many_volumes_ends_in_a_limit() {
        let volume = |nth: usize| {
            format!(
                "v{nth}{{status=[] segment_count=1 segment1{{start_extent=0 extent_count=1 type=\"x\" a=\"v{}\"}}}}",
                nth + 40_000
            )
        };
        let volumes: String = (0..40_000).map(volume).collect();
        let text = format!("vg{{id=\"i\" seqno=1 extent_size=8 logical_volumes{{{volumes}}}}}");
        let group = Group::read(text.as_bytes()).unwrap();
        let mut found = Found::default();
        found.group(&group, &group::shared([&group].into_iter()), &BTreeMap::new());
        assert_eq!(found.problems.len(), MOST_VOLUMES + 1);
        assert_eq!(found.problems[MOST_VOLUMES].1.to_string(), "more than 16384 logical volumes");
    }
}
