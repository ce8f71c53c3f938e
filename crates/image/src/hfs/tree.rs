//! A B-tree of HFS+: every record of its leaves, those that the index leads to and those that only the map knows.

use super::fork::pieces;
use crate::budget::Budget;
use crate::fault::{Fault, be16, be32, damaged, size};
use crate::item::Extent;
use crate::reader::{ImageReader, read_exact_at};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

const DESCRIPTOR: usize = 14;
const LEAF: u8 = 0xff;
const INDEX: u8 = 0;
const HEADER: u8 = 1;
const MAP: u8 = 2;
/// Apple's own limit.
const MOST_LEVELS: u16 = 16;
/// Of one tree: 128 GiB of them as Apple makes them.
const MOST_NODES: u32 = 1 << 24;
/// Keys of an index node are as long as they say, not all of the same length.
const HAS_VARIABLE_KEYS: u32 = 4;

/// Where a record is: its node, and which of that node's it is.
pub(super) type Place = (u32, u16);

/// Hears of a record: its place, its key, and what is behind that.
pub(super) type Records<'r> = dyn FnMut(Place, &[u8], &[u8]) + 'r;

pub(super) struct Tree<'v> {
    image: &'v dyn ImageReader,
    extents: Vec<Extent>,
    node_size: usize,
    n_nodes: u32,
    root: u32,
    depth: u16,
    n_records: u32,
    max_key: u16,
    has_variable_keys: bool,
}

struct Node {
    at: u64,
    bytes: Vec<u8>,
}

/// What the index says there is, and what of the nodes was accounted for.
struct Reached {
    /// In the order of their keys.
    leaves: Vec<u32>,
    seen: HashSet<u32>,
}

impl<'v> Tree<'v> {
    /// Reads the header of the tree that has these bytes.
    pub(super) fn open(image: &'v dyn ImageReader, extents: Vec<Extent>) -> Result<Tree<'v>, Fault> {
        let mut tree = Tree {
            image,
            extents,
            node_size: 512,
            n_nodes: 1,
            root: 0,
            depth: 0,
            n_records: 0,
            max_key: 0,
            has_variable_keys: false,
        };
        let Node { at, bytes } = tree.node(0)?;
        let node_size = be16(&bytes, 32)?;
        if bytes[8] != HEADER || node_size < 512 || !node_size.is_power_of_two() {
            return Err(damaged("the header of a tree", at));
        }
        tree.node_size = node_size.into();
        tree.depth = be16(&bytes, 14)?;
        tree.root = be32(&bytes, 16)?;
        tree.n_records = be32(&bytes, 20)?;
        tree.max_key = be16(&bytes, 34)?;
        tree.n_nodes = be32(&bytes, 36)?;
        tree.has_variable_keys = be32(&bytes, 52)? & HAS_VARIABLE_KEYS != 0;
        let len: u64 = tree.extents.iter().map(|extent| extent.len).sum();
        if tree.depth > MOST_LEVELS || u64::from(tree.n_nodes) > len / u64::from(node_size) {
            return Err(damaged("a tree that is larger than its file", at));
        }
        if tree.n_nodes > MOST_NODES {
            return Err(Fault::Limit { what: "nodes of one tree", limit: MOST_NODES.into() });
        }
        Ok(tree)
    }

    fn node(&self, number: u32) -> Result<Node, Fault> {
        let from = u64::from(number) * self.node_size as u64;
        let pieces = pieces(&self.extents, from, self.node_size as u64)?;
        let at = pieces.first().map_or(0, |(at, _)| *at);
        let mut bytes = vec![0; self.node_size];
        let mut rest = &mut bytes[..];
        for (at, len) in pieces {
            let (part, behind) = rest.split_at_mut(size(len)?);
            read_exact_at(self.image, at, part)?;
            rest = behind;
        }
        Ok(Node { at, bytes })
    }

    /// Gives the place, the key and the rest of every record of every leaf: first of those that the index leads to, in
    /// its order, then of those that it should lead to. What is wrong with the tree comes into `faults`.
    pub(super) fn visit(
        &self,
        budget: &mut Budget,
        faults: &mut Vec<Fault>,
        give: &mut Records<'_>,
    ) -> Vec<u32> {
        let reached = self.reached(budget, faults);
        let in_use = match self.in_use(budget) {
            Ok(in_use) => in_use,
            Err(fault) => {
                faults.push(fault);
                BTreeSet::new()
            }
        };
        if let Some(free) = reached.seen.iter().find(|number| !in_use.is_empty() && !in_use.contains(number))
        {
            faults.push(damaged("a node of a tree that its map calls free", (*free).into()));
        }
        let mut leaves = reached.leaves;
        let missed: Vec<u32> = in_use.into_iter().filter(|number| !reached.seen.contains(number)).collect();
        if let Some(first) = missed.first() {
            faults.push(damaged("a node in use that its tree does not lead to", (*first).into()));
        }
        leaves.extend(missed);
        let mut n_records = 0_u64;
        self.read(&leaves, budget, faults, &mut |place, key, record| {
            n_records += 1;
            give(place, key, record);
        });
        if n_records != u64::from(self.n_records) {
            faults.push(damaged("a tree has other records than its header says", self.n_records.into()));
        }
        leaves
    }

    /// Gives the records of these nodes, as far as they are leaves.
    pub(super) fn read(
        &self,
        leaves: &[u32],
        budget: &mut Budget,
        faults: &mut Vec<Fault>,
        give: &mut Records<'_>,
    ) {
        for number in leaves {
            let read = budget.block().and_then(|()| self.node(*number)).and_then(|node| {
                if node.bytes[8] != LEAF {
                    return Err(damaged("a leaf of a tree that is none", node.at));
                }
                for nth in 0..node.n_records() {
                    let (key, record) = node.record(nth)?;
                    give((*number, nth), key, record);
                }
                Ok(())
            });
            faults.extend(read.err());
        }
    }

    /// One record once more, without its key, and where in the tree's file it is.
    pub(super) fn record(&self, (number, nth): Place) -> Result<(Vec<u8>, u64), Fault> {
        let node = self.node(number)?;
        let (_, rest) = node.parts(nth)?;
        let at = u64::from(number) * self.node_size as u64 + rest.start as u64;
        Ok((node.bytes[rest].to_vec(), at))
    }

    /// The volume's places of a part of the tree's file.
    pub(super) fn pieces(&self, at: u64, len: u64) -> Result<Vec<(u64, u64)>, Fault> {
        pieces(&self.extents, at, len)
    }

    fn reached(&self, budget: &mut Budget, faults: &mut Vec<Fault>) -> Reached {
        let mut reached = Reached { leaves: Vec::new(), seen: HashSet::from([0]) };
        if self.depth == 0 {
            return reached;
        }
        reached.leaves = vec![self.root];
        reached.seen.insert(self.root);
        for level in (2..=self.depth).rev() {
            for number in std::mem::take(&mut reached.leaves) {
                let read = self.children(number, level, budget, &mut reached);
                faults.extend(read.err());
            }
        }
        reached
    }

    /// Adds the children of a node of the index.
    fn children(
        &self,
        number: u32,
        level: u16,
        budget: &mut Budget,
        reached: &mut Reached,
    ) -> Result<(), Fault> {
        budget.block()?;
        let node = self.node(number)?;
        if node.bytes[8] != INDEX || u16::from(node.bytes[9]) != level {
            return Err(damaged("a node of an index", node.at));
        }
        for nth in 0..node.n_records() {
            let child = if self.has_variable_keys {
                be32(node.record(nth)?.1, 0)?
            } else {
                be32(node.bytes(nth)?, 2 + usize::from(self.max_key))?
            };
            // Each is read once, so that a tree that comes back to itself ends.
            if child == 0 || child >= self.n_nodes || !reached.seen.insert(child) {
                return Err(damaged("an index that leads to a node which is not its own", node.at));
            }
            reached.leaves.push(child);
        }
        Ok(())
    }

    /// The nodes that the map calls used; the nodes of the map are none of them.
    fn in_use(&self, budget: &mut Budget) -> Result<BTreeSet<u32>, Fault> {
        let (mut in_use, mut maps) = (BTreeSet::new(), HashSet::new());
        let (mut number, mut nth, mut first) = (0, 2, 0_u32);
        loop {
            budget.block()?;
            let node = self.node(number)?;
            if !maps.insert(number) || (number != 0 && node.bytes[8] != MAP) {
                return Err(damaged("the map of a tree", node.at));
            }
            for byte in node.bytes(nth)? {
                let bits = (0..8).filter(|bit| byte << bit & 0x80 != 0);
                in_use.extend(bits.map(|bit| first.saturating_add(bit)).filter(|n| *n < self.n_nodes));
                first = first.saturating_add(8);
            }
            number = be32(&node.bytes, 0)?;
            nth = 0;
            if number == 0 {
                break;
            }
        }
        if first < self.n_nodes {
            return Err(damaged("a map that is shorter than its tree", first.into()));
        }
        in_use.retain(|number| !maps.contains(number) || *number == 0);
        Ok(in_use)
    }
}

impl Node {
    fn n_records(&self) -> u16 {
        u16::from_be_bytes([self.bytes[10], self.bytes[11]])
    }

    /// Where a record is: its node's end has the offsets, the first one last.
    fn span(&self, nth: u16) -> Result<Range<usize>, Fault> {
        let wrong = || damaged("a node of a tree", self.at);
        let offset = |nth: usize| {
            let at = self.bytes.len().checked_sub(2 * (nth + 1)).ok_or_else(wrong)?;
            be16(&self.bytes, at).map(usize::from)
        };
        let table = 2 * (usize::from(self.n_records()) + 1);
        let most = self.bytes.len().checked_sub(table).ok_or_else(wrong)?;
        let (start, end) = (offset(nth.into())?, offset(usize::from(nth) + 1)?);
        if start < DESCRIPTOR || start > end || end > most {
            return Err(wrong());
        }
        Ok(start..end)
    }

    fn bytes(&self, nth: u16) -> Result<&[u8], Fault> {
        Ok(&self.bytes[self.span(nth)?])
    }

    /// Where a record's key is, and what is behind it.
    fn parts(&self, nth: u16) -> Result<(Range<usize>, Range<usize>), Fault> {
        let Range { start, end } = self.span(nth)?;
        let key = start + 2..start + 2 + usize::from(be16(&self.bytes[start..end], 0)?);
        let rest = start + (key.end - start).next_multiple_of(2)..end;
        if rest.start > end { Err(damaged("a node of a tree", self.at)) } else { Ok((key, rest)) }
    }

    fn record(&self, nth: u16) -> Result<(&[u8], &[u8]), Fault> {
        let (key, rest) = self.parts(nth)?;
        Ok((&self.bytes[key], &self.bytes[rest]))
    }
}
