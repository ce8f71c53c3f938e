//! The trees of Btrfs, read from the first key to the last.

use super::space::Space;
use super::superblock::Superblock;
use crate::budget::Budget;
use crate::crc32c;
use crate::fault::{Fault, damaged, le32, le64, size};
use crate::reader::read_vec;
use std::ops::ControlFlow;

const HEAD: usize = 101;
/// The kernel's own limit.
const MOST_LEVELS: u8 = 8;

#[derive(Clone, Copy)]
pub(super) struct Root {
    pub(super) at: u64,
    pub(super) level: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) object: u64,
    pub(super) kind: u8,
    pub(super) offset: u64,
}

impl Key {
    pub(super) fn read(bytes: &[u8]) -> Result<Key, Fault> {
        let kind = *bytes.get(8).ok_or_else(|| damaged("a key ends early", 0))?;
        Ok(Key { object: le64(bytes, 0)?, kind, offset: le64(bytes, 9)? })
    }
}

/// What a parent says of a node.
struct Meant {
    first: Option<Key>,
    /// The key from which on another node has what there is.
    before: Option<Key>,
    generation: Option<u64>,
}

impl Meant {
    /// In an honest tree every key comes once, in order. Held to that, no node can be reached by two ways, and a tree
    /// gives no more than its nodes hold.
    fn check(&self, keys: &[Key], at: u64) -> Result<(), Fault> {
        let is_in_order = keys.is_sorted_by(|a, b| a < b);
        let begins = self.first.is_none() || keys.first().copied() == self.first;
        let ends = self.before.is_none() || keys.last().copied() < self.before;
        if is_in_order && begins && ends {
            Ok(())
        } else {
            Err(damaged("a node with other keys than its tree says", at))
        }
    }
}

/// Hears of an item and may break off; what it finds wrong is kept, and the scan goes on.
pub(super) type Give<'g> = dyn FnMut(Key, &[u8]) -> Result<ControlFlow<()>, Fault> + 'g;

pub(super) const GO_ON: Result<ControlFlow<()>, Fault> = Ok(ControlFlow::Continue(()));

pub(super) struct Walker<'w> {
    pub(super) space: &'w Space,
    pub(super) sb: &'w Superblock,
}

impl Walker<'_> {
    /// Gives every item in the order of the keys; what cannot be read costs what is below it and is in `faults`.
    pub(super) fn scan(&self, root: Root, budget: &mut Budget, faults: &mut Vec<Fault>, give: &mut Give<'_>) {
        if root.level >= MOST_LEVELS {
            return faults.push(damaged("a tree of no permitted height", root.at));
        }
        let meant = Meant { first: None, before: None, generation: None };
        if let Err(fault) = self.node(root.at, root.level, &meant, budget, faults, give) {
            faults.push(fault);
        }
    }

    fn node(
        &self,
        at: u64,
        level: u8,
        meant: &Meant,
        budget: &mut Budget,
        faults: &mut Vec<Fault>,
        give: &mut Give<'_>,
    ) -> Result<ControlFlow<()>, Fault> {
        budget.block()?;
        let node = self.read(at, level, meant.generation)?;
        let n = size(le32(&node, 96)?.into())?;
        let wrong = || damaged("a node of a tree", at);
        let records = |len: usize| {
            let end = n.checked_mul(len).and_then(|len| len.checked_add(HEAD)).ok_or_else(wrong)?;
            Ok(node.get(HEAD..end).ok_or_else(wrong)?.chunks_exact(len))
        };
        let keys = records(if level > 0 { 33 } else { 25 })?.map(Key::read).collect::<Result<Vec<_>, _>>()?;
        meant.check(&keys, at)?;
        if level > 0 {
            for (nth, record) in records(33)?.enumerate() {
                let meant = Meant {
                    first: Some(keys[nth]),
                    before: keys.get(nth + 1).copied().or(meant.before),
                    generation: Some(le64(record, 25)?),
                };
                match self.node(le64(record, 17)?, level - 1, &meant, budget, faults, give) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                    Err(fault) => {
                        // Beyond the limit of work nothing further can be had.
                        budget.block()?;
                        faults.push(fault);
                    }
                }
            }
            return GO_ON;
        }
        for (key, record) in keys.into_iter().zip(records(25)?) {
            let (start, len) = (size(le32(record, 17)?.into())?, size(le32(record, 21)?.into())?);
            let bytes = node[HEAD..].get(start..).and_then(|rest| rest.get(..len)).ok_or_else(wrong)?;
            match give(key, bytes) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                Err(fault) => faults.push(fault),
            }
        }
        GO_ON
    }

    /// The first copy of a node that agrees with its checksum and with who points at it.
    fn read(&self, at: u64, level: u8, generation: Option<u64>) -> Result<Vec<u8>, Fault> {
        let mut fault = damaged("a node of a tree lies nowhere", at);
        for place in self.space.copies(at, self.sb.node_size)? {
            let node = match read_vec(self.space.device(), place, size(self.sb.node_size)?) {
                Ok(node) => node,
                Err(lost) => {
                    fault = lost;
                    continue;
                }
            };
            let is_whole = !self.sb.has_crc || crc32c::hash(&node[32..]) == le32(&node, 0)?;
            let is_meant = le64(&node, 48)? == at
                && node[100] == level
                && generation.is_none_or(|generation| le64(&node, 80).is_ok_and(|own| own == generation));
            match (is_whole, is_meant) {
                (true, true) => return Ok(node),
                (false, _) => fault = damaged("metadata that fails its checksum", place),
                (true, false) => fault = damaged("a node of another tree or time", place),
            }
        }
        Err(fault)
    }
}
