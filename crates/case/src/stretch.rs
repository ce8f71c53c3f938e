//! Rows of a list that are nothing but a digest, many to a row of the case, so that ten million of them are stored and
//! read in the time of some ten thousand.
//!
//! A stretch is written whole and never changed. What a sweep's rows say is in `sighting` or in a stretch, and in either
//! case once; the view `recorded` shows both alike.

use crate::codes::{column, digest, kind, kind_code};
use crate::{CaseError, SweepId};
use hashsweep_model::{Digest, Digests, HashKind, Place, Seen, Sighting};
use rusqlite::{Connection, Row, params};
use std::ops::ControlFlow;

/// Rows in a stretch, at most: as many as come through the door together. The view `listed` counts so far, and no reader
/// looks for the beginning of a stretch further back.
pub(crate) const MOST: usize = 256;

/// Fewer rows than this stand by themselves: to show a stretch, the view counts as far as for the longest.
const LEAST: usize = 16;

/// Rows of a list as they lie in the case.
pub(crate) struct Stretch<'row> {
    /// The number of the first.
    seq: i64,
    /// Which of the sweep's lists they are in.
    pub(crate) root: u32,
    /// Which row of it the first is.
    pub(crate) line: i64,
    pub(crate) kind: HashKind,
    digests: &'row [u8],
}

/// What is found next on the way through the rows of a sweep.
pub(crate) enum Recorded<'r, 'row> {
    /// A row of `sighting`.
    Alone(&'r Row<'row>),
    /// Several.
    Together(&'r Stretch<'row>),
}

impl<'row> Stretch<'row> {
    /// From the columns `seq`, `n`, `root`, `line`, `kind` and `digests`, without the rows up to the one numbered `last`.
    fn behind(last: i64, row: &'row Row<'_>) -> Result<Option<Stretch<'row>>, CaseError> {
        let damaged = || CaseError::Damaged("rows of a list that do not fit together".to_owned());
        let (seq, line): (i64, i64) = (row.get(0)?, row.get(3)?);
        let kind = kind(row.get(4)?)?;
        let digests = row.get_ref(5)?.as_blob().map_err(|_| damaged())?;
        let n = usize::try_from(row.get::<_, i64>(1)?).ok().filter(|n| (1..=MOST).contains(n));
        if n.is_none_or(|n| digests.len() != n * kind.n_bytes()) {
            return Err(damaged());
        }
        let n = digests.len() / kind.n_bytes();
        let n_before = usize::try_from(last.saturating_sub(seq).saturating_add(1)).unwrap_or(0);
        if n_before >= n {
            return Ok(None);
        }
        let skip = column(n_before as u64);
        let (Some(seq), Some(line)) = (seq.checked_add(skip), line.checked_add(skip)) else {
            return Err(damaged());
        };
        // Nothing that is numbered from here on runs over.
        let longest = column(MOST as u64);
        if seq.checked_add(longest).is_none() || line < 0 || line.checked_add(longest).is_none() {
            return Err(damaged());
        }
        Ok(Some(Stretch {
            seq,
            root: row.get(2)?,
            line,
            kind,
            digests: &digests[n_before * kind.n_bytes()..],
        }))
    }

    /// How many rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.digests.len() / self.kind.n_bytes()
    }

    /// The number of the last row.
    pub(crate) fn last(&self) -> i64 {
        self.seq + column(self.n_rows() as u64) - 1
    }

    /// The rows by number, each with its digest.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (i64, Digest)> {
        let digests = self.digests.chunks_exact(self.kind.n_bytes());
        (self.seq..).zip(digests.map(|bytes| digest(bytes).expect("it has the length of its kind")))
    }
}

/// Goes through the rows of a sweep behind the one numbered `last`, in their order, until `each` has enough. `alone`
/// takes the sweep and `last`, and gives those in `sighting` in their order, the number in the first column.
pub(crate) fn in_order(
    connection: &Connection,
    (sweep, last): (SweepId, i64),
    alone: &str,
    mut each: impl FnMut(Recorded<'_, '_>) -> Result<ControlFlow<()>, CaseError>,
) -> Result<(), CaseError> {
    let mut stretches = connection.prepare_cached(
        "SELECT seq, n, root, line, kind, digests FROM stretch WHERE sweep = ?1 AND seq > ?2 ORDER BY seq",
    )?;
    let mut stretches = stretches.query(params![sweep.0, last.saturating_sub(column(MOST as u64))])?;
    let mut alone = connection.prepare_cached(alone)?;
    let mut alone = alone.query(params![sweep.0, last])?;
    let mut next = alone.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
    loop {
        let stretch = stretches.next()?;
        let begins = stretch.map(|stretch| stretch.get::<_, i64>(0)).transpose()?;
        // First whatever stands before the next stretch, or behind the last.
        while let Some(seq) = next
            && begins.is_none_or(|begins| seq < begins)
        {
            let row = rusqlite::fallible_streaming_iterator::FallibleStreamingIterator::get(&alone);
            if let Some(row) = row
                && each(Recorded::Alone(row))?.is_break()
            {
                return Ok(());
            }
            next = alone.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
        }
        let Some(stretch) = stretch else { return Ok(()) };
        if let Some(stretch) = Stretch::behind(last, stretch)?
            && each(Recorded::Together(&stretch))?.is_break()
        {
            return Ok(());
        }
    }
}

/// The number of the last row of a sweep, or 0.
pub(crate) fn last_row(connection: &Connection, sweep: SweepId) -> Result<i64, CaseError> {
    let mut last = connection.prepare_cached(
        "SELECT max(
             (SELECT coalesce(max(seq), 0) FROM sighting WHERE sweep = ?1),
             coalesce((SELECT seq + n - 1 FROM stretch WHERE sweep = ?1 ORDER BY seq DESC LIMIT 1), 0))",
    )?;
    Ok(last.query_row([sweep.0], |row| row.get(0))?)
}

/// A row of a list that is nothing but a digest.
struct Plain<'r> {
    root: u32,
    line: u64,
    digest: &'r Digest,
}

impl Plain<'_> {
    fn of(row: &Sighting) -> Option<Plain<'_>> {
        let Sighting { root, place: Place::Line(line), seen: Seen::Listed { digests, asked } } = row else {
            return None;
        };
        let Digests { md5, sha1, sha256 } = digests;
        match (md5, sha1, sha256) {
            (Some(digest), None, None) | (None, Some(digest), None) | (None, None, Some(digest))
                if digest.kind() == *asked =>
            {
                Some(Plain { root: *root, line: *line, digest })
            }
            _ => None,
        }
    }

    fn goes_on_with(&self, next: &Plain<'_>) -> bool {
        self.root == next.root
            && self.line.checked_add(1) == Some(next.line)
            && self.digest.kind() == next.digest.kind()
    }
}

/// Takes rows apart into such as go together in a stretch, and such as do not.
pub(crate) fn apart(rows: &[Sighting]) -> impl Iterator<Item = (&[Sighting], bool)> {
    let goes_on = |one: &Sighting, next: &Sighting| match (Plain::of(one), Plain::of(next)) {
        (Some(one), Some(next)) => one.goes_on_with(&next),
        (None, None) => true,
        _ => false,
    };
    let alike = rows.chunk_by(goes_on);
    alike.flat_map(|rows| rows.chunks(MOST)).map(|rows| {
        let is_stretch = rows.len() >= LEAST && Plain::of(&rows[0]).is_some();
        (rows, is_stretch)
    })
}

/// Stores rows that go together, of which the first is numbered `seq`.
pub(crate) fn store(
    connection: &Connection,
    (sweep, seq): (SweepId, i64),
    rows: &[Sighting],
) -> Result<(), CaseError> {
    let Some(first) = rows.first().and_then(Plain::of) else { return Ok(()) };
    let mut digests = Vec::with_capacity(rows.len() * first.digest.kind().n_bytes());
    for row in rows.iter().filter_map(Plain::of) {
        digests.extend_from_slice(row.digest.as_bytes());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO stretch (sweep, seq, n, root, line, kind, digests) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    insert.execute(params![
        sweep.0,
        seq,
        column(rows.len() as u64),
        first.root,
        column(first.line),
        kind_code(first.digest.kind()),
        digests
    ])?;
    Ok(())
}
