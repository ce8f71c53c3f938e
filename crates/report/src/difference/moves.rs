//! Which of the paths that went and the paths that came are one file that moved.
//!
//! The content tells, and where several paths share it, their names: equal file names are paired first, then what is
//! left, both in the order of paths. That is a rule, not knowledge; such pairs say so. Empty files are never paired:
//! they are all alike.

use super::{Note, same_content};
use hashsweep_model::{Digest, HashKind, Place, Row};

/// The two heaps, with the pairs taken out.
pub(super) struct Sorted {
    pub(super) moved: Vec<Moved>,
    pub(super) gone: Vec<Row>,
    pub(super) fresh: Vec<Row>,
}

/// One file at two places.
pub(super) struct Moved {
    pub(super) before: Row,
    pub(super) now: Row,
    /// Paths of this content that went, and that came.
    n_gone: usize,
    n_fresh: usize,
}

impl Moved {
    pub(super) fn is_ambiguous(&self) -> bool {
        self.n_gone > 1 || self.n_fresh > 1
    }

    pub(super) fn note(&self) -> Note {
        if !self.is_ambiguous() {
            return Note::None;
        }
        let (gone, fresh) = (self.n_gone, self.n_fresh);
        Note::Words(format!("one way of pairing: {gone} paths with this content went, {fresh} came"))
    }
}

/// Pairs them. Both heaps are in the order of paths.
pub(super) fn sort(gone: Vec<Row>, fresh: Vec<Row>) -> Sorted {
    let pairs = pairs(&gone, &fresh);
    let mut gone: Vec<Option<Row>> = gone.into_iter().map(Some).collect();
    let mut fresh: Vec<Option<Row>> = fresh.into_iter().map(Some).collect();
    let mut moved = Vec::with_capacity(pairs.len());
    for Pair { at: (from, to), n_gone, n_fresh } in pairs {
        let once = "a path is in one pair";
        let (before, now) = (gone[from].take().expect(once), fresh[to].take().expect(once));
        moved.push(Moved { before, now, n_gone, n_fresh });
    }
    Sorted { moved, gone: gone.into_iter().flatten().collect(), fresh: fresh.into_iter().flatten().collect() }
}

struct Pair {
    at: (usize, usize),
    n_gone: usize,
    n_fresh: usize,
}

fn pairs(gone: &[Row], fresh: &[Row]) -> Vec<Pair> {
    // The strongest kind that both sides have: a sweep records the same kinds for all its files.
    let has = |rows: &[Row], kind| rows.iter().any(|row| row.digests.get(kind).is_some());
    let strongest_first = [HashKind::Sha256, HashKind::Sha1, HashKind::Md5];
    let Some(kind) = strongest_first.into_iter().find(|kind| has(gone, *kind) && has(fresh, *kind)) else {
        return Vec::new();
    };
    let (from, to) = (by_content(gone, kind), by_content(fresh, kind));
    let mut pairs = Vec::new();
    let mut groups_to = to.chunk_by(|a, b| a.0 == b.0).peekable();
    for from in from.chunk_by(|a, b| a.0 == b.0) {
        while groups_to.next_if(|to| to[0].0 < from[0].0).is_some() {}
        let Some(to) = groups_to.next_if(|to| to[0].0 == from[0].0) else { continue };
        let (n_gone, n_fresh) = (from.len(), to.len());
        let matched = of_one_content(gone, from, fresh, to);
        // A collision of the weaker kind is no move.
        let real = matched.into_iter().filter(|at| same_content(&gone[at.0], &fresh[at.1]) == Some(true));
        pairs.extend(real.map(|at| Pair { at, n_gone, n_fresh }));
    }
    pairs
}

/// The rows with a content by their digests, then in their own order.
fn by_content(rows: &[Row], kind: HashKind) -> Vec<(Digest, usize)> {
    let mut found: Vec<(Digest, usize)> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| Some((row.digests.get(kind)?, at)))
        .filter(|(digest, _)| !digest.is_of_empty_input())
        .collect();
    found.sort_unstable();
    found
}

/// Pairs the paths of one content: equal names first, then the rest, in order.
fn of_one_content(
    gone: &[Row],
    from: &[(Digest, usize)],
    fresh: &[Row],
    to: &[(Digest, usize)],
) -> Vec<(usize, usize)> {
    if let ([(_, from)], [(_, to)]) = (from, to) {
        return vec![(*from, *to)];
    }
    let by_name = |rows: &[Row], group: &[(Digest, usize)]| {
        let mut group: Vec<usize> = group.iter().map(|(_, at)| *at).collect();
        group.sort_by(|a, b| name(&rows[*a]).cmp(name(&rows[*b])).then(a.cmp(b)));
        group
    };
    let (from, to) = (by_name(gone, from), by_name(fresh, to));
    let (mut pairs, mut rest_from, mut rest_to) = (Vec::new(), Vec::new(), Vec::new());
    let mut to = to.into_iter().peekable();
    for from in from {
        let wanted = name(&gone[from]);
        while let Some(other) = to.next_if(|to| name(&fresh[*to]) < wanted) {
            rest_to.push(other);
        }
        match to.next_if(|to| name(&fresh[*to]) == wanted) {
            Some(to) => pairs.push((from, to)),
            None => rest_from.push(from),
        }
    }
    rest_to.extend(to);
    rest_from.sort_unstable();
    rest_to.sort_unstable();
    pairs.extend(rest_from.into_iter().zip(rest_to));
    pairs
}

/// What stands behind the last slash.
fn name(row: &Row) -> &[u8] {
    match &row.place {
        Place::Path(path) => path.rsplit(|byte| *byte == b'/').next().unwrap_or(path),
        Place::Line(_) => &[],
    }
}
