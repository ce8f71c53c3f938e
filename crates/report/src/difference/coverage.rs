//! What a sweep looked at, so that a path it has no row for can be told from a path it never saw.

use super::{Unseen, Which, kind_of};
use hashsweep_model::{Outcome, Place, Row, SkipKind};
use std::collections::HashMap;

/// What is known of a sweep beside its rows.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its roots as they were given, in order. Raw bytes of the file system. Empty for lists.
    pub roots: Vec<Vec<u8>>,
    /// Whether its intake reached the end.
    pub intake_finished: bool,
    /// What its filters left out that the other sweep's would not have.
    pub left_out: LeftOut,
}

/// What filters left out, seen from the other sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Nothing, or the same paths as in the other sweep.
    Nothing,
    /// Both sweeps judged the file itself (size, age), so that the same path may be left out in one and not in the
    /// other. What such a sweep lacks is not gone; what it shows was not shown before, and counts as new.
    ByFile,
    /// The filters differ: anything.
    Anything,
}

/// A sweep as far as the merge has come.
pub(super) struct Coverage {
    side: Side,
    which: Which,
    /// The roots by their names, without slashes at the end; one name may have been given twice.
    roots: HashMap<Vec<u8>, Vec<u32>>,
    /// Which roots have any row at all.
    alive: Vec<bool>,
    /// What nobody looked below, among the paths that may still have something below them: each lies below the one
    /// before it in the order of paths, so that this stays as deep as the tree.
    dark: Vec<Dark>,
}

struct Dark {
    /// Without slashes at the end.
    path: Vec<u8>,
    reason: String,
}

impl Coverage {
    pub(super) fn new(side: Side, which: Which) -> Coverage {
        let mut roots: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
        for (n, root) in (0u32..).zip(&side.roots) {
            roots.entry(bare(root).to_vec()).or_default().push(n);
        }
        let alive = vec![false; side.roots.len()];
        Coverage { side, which, roots, alive, dark: Vec::new() }
    }

    /// Takes note that a root has a row.
    pub(super) fn has_row(&mut self, root: u32) {
        if let Some(alive) = self.alive.get_mut(root as usize) {
            *alive = true;
        }
    }

    /// The merge has come to a row of this sweep.
    pub(super) fn pass(&mut self, row: &Row) {
        self.pass_by(row);
        if let Place::Path(path) = &row.place
            && hides_what_is_below(row)
        {
            let reason = row.reason.clone().unwrap_or_default();
            self.dark.push(Dark { path: bare(path).to_vec(), reason });
        }
    }

    /// The merge has come to a row of the other sweep.
    pub(super) fn pass_by(&mut self, row: &Row) {
        let Place::Path(path) = &row.place else { return };
        while self.dark.last().is_some_and(|dark| is_behind(path, &dark.path)) {
            self.dark.pop();
        }
    }

    /// Why this sweep may have no row for something that is there nevertheless; `None` if it would have one.
    pub(super) fn why_it_may_lack(&self, row: &Row) -> Option<Unseen> {
        let Place::Path(path) = &row.place else {
            return Some(Unseen::Unfinished(self.which)).filter(|_| !self.side.intake_finished);
        };
        if !self.side.intake_finished {
            return Some(Unseen::Unfinished(self.which));
        }
        if self.covering(path).next().is_none() {
            return Some(Unseen::Outside(self.which));
        }
        if let Some(dark) = self.dark.iter().rev().find(|dark| is_below(path, &dark.path)) {
            return Some(Unseen::Below(self.which, dark.path.clone(), dark.reason.clone()));
        }
        match (self.side.left_out, self.which) {
            (LeftOut::Anything, which) | (LeftOut::ByFile, which @ Which::New) => {
                Some(Unseen::LeftOut(which))
            }
            (LeftOut::ByFile, Which::Old) | (LeftOut::Nothing, _) => None,
        }
    }

    /// Whether any root of this sweep that holds the row's path has a row at all. To be asked at the end.
    pub(super) fn holds_anything_around(&self, row: &Row) -> bool {
        let Place::Path(path) = &row.place else { return true };
        self.covering(path).any(|root| self.alive[root as usize])
    }

    pub(super) fn goes_by_file(&self) -> bool {
        self.side.left_out == LeftOut::ByFile
    }

    /// The roots that are this path or lie above it.
    fn covering<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
        slashes.chain([path]).filter_map(|above| self.roots.get(above)).flatten().copied()
    }
}

/// Whether something may lie below this row that has no row of its own. Directories have no rows but in these cases.
fn hides_what_is_below(row: &Row) -> bool {
    if row.outcome != Outcome::Skipped {
        return false;
    }
    match kind_of(row) {
        Some(
            SkipKind::DanglingLink
            | SkipKind::Fifo
            | SkipKind::Socket
            | SkipKind::BlockDevice
            | SkipKind::CharacterDevice
            | SkipKind::OwnFile
            | SkipKind::NotAFileSystem
            | SkipKind::NotRecoverable
            // A row of its own beside the live volume's.
            | SkipKind::Snapshots,
        ) => false,
        // A link stands where a directory may have been, and leads to what may have the same names.
        Some(
            SkipKind::SymbolicLink
            | SkipKind::LinkLoop
            | SkipKind::PseudoFileSystem
            | SkipKind::Unreadable
            | SkipKind::IoError
            | SkipKind::ChangedWhileReading
            | SkipKind::Vanished
            | SkipKind::MissingRoot
            | SkipKind::Limit
            | SkipKind::Damaged
            | SkipKind::Unsupported,
        )
        | None => true,
    }
}

/// A path without slashes at its end. The root directory becomes empty, which everything absolute lies below.
fn bare(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

fn is_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Whether nothing from `path` on, in the order of paths, lies below `above`.
fn is_behind(path: &[u8], above: &[u8]) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.first().is_some_and(|byte| *byte > b'/'),
        None => path > above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_told_from_what_only_begins_alike() {
        assert!(is_below(b"a/b", b"a") && is_below(b"/etc", b"") && is_below(b"a//b", b"a"));
        assert!(!is_below(b"a-b/c", b"a") && !is_below(b"a", b"a") && !is_below(b"etc", b""));
        assert_eq!((bare(b"tree//"), bare(b"/"), bare(b".")), (&b"tree"[..], &b""[..], &b"."[..]));
    }

    #[test]
    fn a_dark_place_ends_only_where_nothing_below_it_can_follow() {
        // In the order of paths, names that continue with a character below the slash come between.
        assert!(!is_behind(b"a", b"a") && !is_behind(b"a-b", b"a") && !is_behind(b"a/z", b"a"));
        assert!(is_behind(b"a0", b"a") && is_behind(b"b", b"a"));
    }
}
