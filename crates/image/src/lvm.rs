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
use group::Group;
use label::Label;
use std::collections::BTreeMap;
use std::sync::Arc;
use striped::Striped;

pub(crate) use label::is_at;

const COPY: &str = "metadata of an LVM2 volume group are damaged in one place; another copy was read";
const OLDER: &str =
    "the physical volumes of an LVM2 volume group know different states of it; the newest was read";

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
            match text.and_then(|text| Group::read(&text)) {
                Ok(group) => found.keep(&mut groups, group, name),
                Err(fault) => faults.push(fault),
            }
        }
        if there.insert(label.id.clone(), Arc::clone(bytes)).is_some() {
            found.problems.push((name.clone(), damaged("two physical volumes of one identity", 0)));
        }
        unread.push((name, label.id, faults));
    }
    for (name, id, faults) in unread {
        let is_known = groups.values().any(|group| group.physical.values().any(|area| area.id == id));
        if is_known {
            found.notices.extend(faults.first().map(|_| COPY));
        } else {
            let alone = || Fault::Unsupported("an LVM2 physical volume of no known group".into());
            found.problems.push((name.clone(), faults.into_iter().next().unwrap_or_else(alone)));
        }
    }
    found.notices.sort_unstable();
    found.notices.dedup();
    for group in groups.values() {
        found.group(group, &there);
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

    fn group(&mut self, group: &Group, there: &BTreeMap<String, Arc<dyn ImageReader>>) {
        let shared = group.shared();
        for logical in group.logical.iter().filter(|logical| !group.is_part(logical)) {
            let name = format!("lvm-{}-{}", twice(&group.name), twice(&logical.name));
            let volume = match &logical.segments {
                Err(refused) => Err(Fault::Unsupported(refused.clone())),
                Ok(_) if shared.contains(&logical.name) => {
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
