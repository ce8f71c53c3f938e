//! Two sweeps held against one another: what is new, gone, changed or moved, and what is judged otherwise.
//!
//! Both sweeps come as streams of rows in the order of their paths, and are merged without being held: what stays in
//! memory is what only one side has, because a file that moved is one such path on either side. It reads no clock,
//! no database and no disk.
//!
//! ```text
//!  old rows ──┐            ┌─► changed, flipped, judged, unseen   at once, in the order of paths
//!             ├─► merge ───┤
//!  new rows ──┘            └─► only one side has it ──► moves ──► moved, new, gone   at the end
//! ```
//!
//! The rule above all others: **what was not looked at is never gone and never new.** A path that one sweep could
//! not see is `unseen`, with the reason, whatever the other one knows of it.

mod counts;
mod coverage;
mod meaning;
mod moves;
mod rows;
mod summary;
mod table;

pub use counts::Counts;
pub use coverage::{LeftOut, Side};
pub use meaning::{Change, Difference, Note, Unseen, Which};
pub use rows::{DifferenceCsv, DifferenceJsonl};
pub use summary::{Compared, DifferenceSummary};
pub use table::{Differences, TableLayout};

use coverage::Coverage;
use hashsweep_model::{HashKind, Outcome, Place, Row, Skip, SkipKind};
use std::cmp::Ordering;

/// Merges two sweeps and hands every difference to `each`; what is the same is counted only.
///
/// Rows must come in the order of `Order::Path`: by path, byte by byte; rows of lists by list and line. A path that
/// one sweep saw twice, through roots that overlap, counts once. Panics when a stream is out of order, because every
/// class that it would give after that would be wrong.
pub fn compare<E>(
    old: Side,
    new: Side,
    old_rows: impl IntoIterator<Item = Result<Row, E>>,
    new_rows: impl IntoIterator<Item = Result<Row, E>>,
    mut each: impl FnMut(&Difference) -> Result<(), E>,
) -> Result<Counts, E> {
    let mut merge = Merge::new(old, new);
    let (mut old_rows, mut new_rows) = (Stream::new(old_rows.into_iter()), Stream::new(new_rows.into_iter()));
    let mut old = old_rows.next(&mut merge.old)?;
    let mut new = new_rows.next(&mut merge.new)?;
    loop {
        let found = match (old.take(), new.take()) {
            (None, None) => break,
            (Some(before), Some(now)) => match by_place(&before, &now) {
                Ordering::Equal => {
                    old = old_rows.next(&mut merge.old)?;
                    new = new_rows.next(&mut merge.new)?;
                    merge.both(before, now)
                }
                Ordering::Less => {
                    new = Some(now);
                    old = old_rows.next(&mut merge.old)?;
                    merge.only_old(before)
                }
                Ordering::Greater => {
                    old = Some(before);
                    new = new_rows.next(&mut merge.new)?;
                    merge.only_new(now)
                }
            },
            (Some(before), None) => {
                old = old_rows.next(&mut merge.old)?;
                merge.only_old(before)
            }
            (None, Some(now)) => {
                new = new_rows.next(&mut merge.new)?;
                merge.only_new(now)
            }
        };
        if let Some(difference) = found {
            merge.counts.add(&difference);
            each(&difference)?;
        }
    }
    merge.finish(each)
}

/// One side's rows, one a place.
struct Stream<I> {
    rows: I,
    /// Read already: the first row of the next place.
    ahead: Option<Row>,
}

impl<E, I: Iterator<Item = Result<Row, E>>> Stream<I> {
    fn new(rows: I) -> Stream<I> {
        Stream { rows, ahead: None }
    }

    fn next(&mut self, seen: &mut Coverage) -> Result<Option<Row>, E> {
        let Some(mut row) =
            self.ahead.take().map_or_else(|| self.rows.next().transpose(), |row| Ok(Some(row)))?
        else {
            return Ok(None);
        };
        seen.has_row(row.root);
        while let Some(ahead) = self.rows.next().transpose()? {
            match by_place(&row, &ahead) {
                Ordering::Less => {
                    self.ahead = Some(ahead);
                    break;
                }
                Ordering::Equal => {
                    seen.has_row(ahead.root);
                    if held(&ahead) > held(&row) {
                        row = ahead;
                    }
                }
                Ordering::Greater => panic!("the rows of a sweep came out of their order"),
            }
        }
        Ok(Some(row))
    }
}

/// The order in which a case reads rows by path. Rows of lists have no path; lists are read one after the other.
fn by_place(a: &Row, b: &Row) -> Ordering {
    match (&a.place, &b.place) {
        (Place::Path(a), Place::Path(b)) => a.cmp(b),
        (Place::Line(x), Place::Line(y)) => (a.root, x).cmp(&(b.root, y)),
        (Place::Line(_), Place::Path(_)) => Ordering::Less,
        (Place::Path(_), Place::Line(_)) => Ordering::Greater,
    }
}

/// What stood at a place; of two rows for one place the greater counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    /// A file of ours: the case, an output.
    Own,
    /// Something without content: a link, a pipe, a line that holds no hash.
    Nothing,
    /// Perhaps something; nobody looked.
    NotLookedAt,
    /// Something that was read or listed.
    Content,
}

fn held(row: &Row) -> Held {
    if row.outcome != Outcome::Skipped {
        return if has_digest(row) { Held::Content } else { Held::Nothing };
    }
    match kind_of(row) {
        Some(SkipKind::OwnFile) => Held::Own,
        Some(kind) if !kind.is_not_looked_at() => Held::Nothing,
        // A reason of a newer version counts as not looked at, as everywhere.
        Some(_) | None => Held::NotLookedAt,
    }
}

fn kind_of(row: &Row) -> Option<SkipKind> {
    let reason = row.reason.as_deref().filter(|_| row.outcome == Outcome::Skipped)?;
    reason.parse::<Skip>().ok().map(|skip| skip.kind)
}

fn has_digest(row: &Row) -> bool {
    row.digests.iter().next().is_some()
}

/// Whether two contents are one: `None` when they have no kind of digest in common and their sizes do not tell.
fn same_content(a: &Row, b: &Row) -> Option<bool> {
    let common = |of: HashKind| Some((a.digests.get(of)?, b.digests.get(of)?));
    let mut pairs = HashKind::ALL.into_iter().filter_map(common).peekable();
    if pairs.peek().is_some() {
        return Some(pairs.all(|(a, b)| a == b));
    }
    (a.size.is_some() && b.size.is_some() && a.size != b.size).then_some(false)
}

/// The state of a merge.
struct Merge {
    old: Coverage,
    new: Coverage,
    counts: Counts,
    /// What only the old sweep has, although the new one looked.
    gone: Vec<Row>,
    /// What only the new sweep has, although the old one looked.
    fresh: Vec<Row>,
}

impl Merge {
    fn new(old: Side, new: Side) -> Merge {
        Merge {
            old: Coverage::new(old, Which::Old),
            new: Coverage::new(new, Which::New),
            counts: Counts::default(),
            gone: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// A place that both sweeps have a row for.
    fn both(&mut self, before: Row, now: Row) -> Option<Difference> {
        self.counts.places += 1;
        self.old.pass(&before);
        self.new.pass(&now);
        let was = before.verdict();
        match (held(&before), held(&now)) {
            (_, Held::Own) | (Held::Own, Held::Nothing) => {
                self.counts.own += 1;
                None
            }
            (_, Held::NotLookedAt) => {
                let why = not_looked_at(Which::New, &now);
                Some(Difference::unseen(now, was, why))
            }
            (Held::NotLookedAt, _) => {
                let why = not_looked_at(Which::Old, &before);
                Some(Difference::unseen(now, was, why))
            }
            (Held::Own, Held::Content) => {
                let note = Note::Words("it was a file of our own before".to_owned());
                Some(Difference::of(Change::New, now, None, note))
            }
            (Held::Content, Held::Content) => self.two_contents(before, now),
            (Held::Nothing, Held::Nothing) if kind_of(&before) == kind_of(&now) => {
                self.counts.same += 1;
                None
            }
            (Held::Nothing, Held::Nothing | Held::Content) => {
                let reason = before.reason.as_deref().unwrap_or("no content");
                let note = Note::Words(format!("before: {reason}"));
                Some(Difference::of(Change::Changed, now, None, note))
            }
            (Held::Content, Held::Nothing) => {
                let note = Note::Words("before: a file".to_owned());
                Some(Difference::of(Change::Changed, now, was, note))
            }
        }
    }

    fn two_contents(&mut self, before: Row, now: Row) -> Option<Difference> {
        let was = before.verdict();
        match same_content(&before, &now) {
            None => Some(Difference::unseen(now, was, Unseen::NoCommonDigest)),
            Some(false) => Some(Difference::of(Change::Changed, now, was, Note::None)),
            Some(true) => match (was, now.verdict()) {
                (Some(before), Some(verdict)) if before != verdict => {
                    Some(Difference::of(Change::Flipped, now, was, Note::None))
                }
                (None, Some(_)) => Some(Difference::of(Change::Judged, now, None, Note::None)),
                (Some(_), None) => Some(Difference::unseen(now, was, Unseen::NoVerdictNow)),
                (Some(_), Some(_)) | (None, None) => {
                    self.counts.same += 1;
                    self.counts.expect_verdict(&now);
                    None
                }
            },
        }
    }

    fn only_old(&mut self, before: Row) -> Option<Difference> {
        self.counts.places += 1;
        self.old.pass(&before);
        self.new.pass_by(&before);
        let why = match held(&before) {
            Held::Own => {
                self.counts.own += 1;
                return None;
            }
            Held::NotLookedAt => Some(not_looked_at(Which::Old, &before)),
            Held::Content | Held::Nothing => self.new.why_it_may_lack(&before),
        };
        let Some(why) = why else {
            self.gone.push(before);
            return None;
        };
        Some(Difference::unseen_since(before, why))
    }

    fn only_new(&mut self, now: Row) -> Option<Difference> {
        self.counts.places += 1;
        self.new.pass(&now);
        self.old.pass_by(&now);
        let why = match held(&now) {
            Held::Own => {
                self.counts.own += 1;
                return None;
            }
            Held::NotLookedAt => Some(not_looked_at(Which::New, &now)),
            Held::Content | Held::Nothing => self.old.why_it_may_lack(&now),
        };
        let Some(why) = why else {
            self.fresh.push(now);
            return None;
        };
        Some(Difference::unseen(now, None, why))
    }

    /// What could only be told at the end: which root held nothing at all, and what moved.
    fn finish<E>(mut self, mut each: impl FnMut(&Difference) -> Result<(), E>) -> Result<Counts, E> {
        let mut late = Vec::new();
        let (gone, lost): (Vec<Row>, Vec<Row>) =
            self.gone.into_iter().partition(|row| self.new.holds_anything_around(row));
        late.extend(lost.into_iter().map(|row| Difference::unseen_since(row, Unseen::EmptyRoot)));
        let moves::Sorted { moved, gone, fresh } = moves::sort(gone, self.fresh);
        for moved in moved {
            self.counts.ambiguous += u64::from(moved.is_ambiguous());
            let note = moved.note();
            let difference = Difference::of(Change::Moved, moved.now, moved.before.verdict(), note);
            late.push(Difference { from: path_of(moved.before), ..difference });
        }
        late.extend(fresh.into_iter().map(|row| {
            // Where filters go by size or age, the old sweep may have passed over what is now within them.
            let note = if self.old.goes_by_file() { NEW_OR_LEFT_OUT } else { "" };
            Difference::of(Change::New, row, None, Note::words(note))
        }));
        late.extend(gone.into_iter().map(Difference::gone));
        late.sort_by(|a, b| by_place(&a.row, &b.row));
        for difference in late {
            self.counts.add(&difference);
            each(&difference)?;
        }
        Ok(self.counts)
    }
}

const NEW_OR_LEFT_OUT: &str = "or left out before by the filters on size or age";

fn not_looked_at(which: Which, row: &Row) -> Unseen {
    Unseen::NotLookedAt(which, row.reason.clone().unwrap_or_default())
}

fn path_of(row: Row) -> Option<Vec<u8>> {
    match row.place {
        Place::Path(path) => Some(path),
        Place::Line(_) => None,
    }
}
