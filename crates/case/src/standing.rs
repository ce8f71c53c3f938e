//! The rows that stand from earlier sweeps of a series, and which of them hold for the sweep at work.
//!
//! Two sweeps over the same things with the same settings belong to one series. What the later one finds as the earlier
//! left it has its row already: the row's interval goes on, and nothing is written. [`Standing`] is what a walk asks,
//! from many threads, without a look at the database; what it was told is carried over in one go when the walk has
//! come to its end ([`Group::carry_over`](crate::Group::carry_over)). Until then nothing is said of any earlier row, so
//! that a kill costs one more look at each file and no row.
//!
//! The cost is memory: about 150 bytes for each row of the series.

use crate::codes::kind_code;
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Digest, Place, Seen, Sighting, Skip, Trace};
use rusqlite::params;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash as _, Hasher, RandomState};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What is odd about a row that contradicts an earlier one of the very same file.
pub const CONTRADICTION: &str = "content changed behind unchanged metadata";

/// The rows of a series, as a sweep finds them at its beginning.
#[derive(Debug)]
pub struct Standing {
    pub(crate) sweep: SweepId,
    /// The last sweep of the series that came to its end.
    pub(crate) base: Option<SweepId>,
    /// By root and path, the latest of them. What these are hashed to is spread already.
    by_place: HashMap<u128, usize, BuildHasherDefault<LowerHalf>>,
    pub(crate) rows: Vec<Standee>,
    /// Made for this process, so that no file name can be made to fit.
    keys: [RandomState; 3],
    /// One file in so many is read although nothing tells of a change: another share in each sweep, so that as many
    /// sweeps reach them all.
    distrust: Option<NonZeroU64>,
    /// How many sweeps of the series came before.
    turn: u64,
}

/// One row that stands.
#[derive(Debug)]
pub(crate) struct Standee {
    pub(crate) sweep: i64,
    pub(crate) seq: i64,
    /// Of the file's trace; `None` if it is not to be trusted, or there is no file.
    trace: Option<u64>,
    /// Of what was read, or of the reason why nothing was.
    content: u64,
    /// Whether nobody looked at what the row stands for: what lies below it may be there still.
    pub(crate) is_blind: bool,
    /// Whether no sweep has seen it since, and none could look where it was.
    pub(crate) is_kept: bool,
    /// The row of the same place before this one.
    before: Option<usize>,
    is_seen: AtomicBool,
}

impl Standee {
    pub(crate) fn is_seen(&self) -> bool {
        self.is_seen.load(Relaxed)
    }
}

/// How a row that a walk offers stands to the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It is new, or replaces one.
    New,
    /// It says what an earlier one says, which goes on.
    GoesOn,
    /// An earlier one tells of other content behind the very same trace.
    Contradicts,
}

impl Standing {
    /// No earlier rows.
    pub fn nothing(sweep: SweepId) -> Standing {
        Standing {
            sweep,
            base: None,
            by_place: HashMap::default(),
            rows: Vec::new(),
            keys: std::array::from_fn(|_| RandomState::new()),
            distrust: None,
            turn: 0,
        }
    }

    /// Trusts one file in `n_turns` no more, another share in each sweep of the series; with 1, none.
    pub fn distrust(&mut self, n_turns: NonZeroU64) {
        self.distrust = Some(n_turns);
    }

    /// Whether an earlier row of this place is of this very file, unchanged. It is then known to hold.
    pub fn still_holds(&self, root: u32, path: &[u8], trace: &Trace) -> bool {
        let Some(first) = self.first(root, path) else { return false };
        if self.is_due(path, trace) {
            return false;
        }
        let print = self.trace_print(trace);
        let found = self.at_place(first).find(|row| print.is_some() && row.trace == print);
        if let Some(row) = found {
            row.is_seen.store(true, Relaxed);
        }
        found.is_some()
    }

    /// How a row that was made stands to the earlier ones. One that goes on is known to hold.
    pub fn stand(&self, row: &Sighting) -> Stand {
        let Place::Path(path) = &row.place else { return Stand::New };
        let Some(first) = self.first(row.root, path) else { return Stand::New };
        let (trace, content) = match &row.seen {
            Seen::Read { size, digests, asked, trace, .. } => {
                let bytes = [digests.md5, digests.sha1, digests.sha256];
                let bytes = bytes.each_ref().map(|digest| digest.as_ref().map(Digest::as_bytes));
                let trace = trace.as_ref().and_then(|trace| self.trace_print(trace));
                (trace, self.read_print(crate::codes::column(*size), bytes, kind_code(*asked)))
            }
            Seen::Skipped(skip) => (None, self.skip_print(&skip.to_string())),
            Seen::Listed { .. } | Seen::Invalid(_) => return Stand::New,
        };
        let same_trace = |before: &&Standee| before.trace == trace;
        if let Some(before) =
            self.at_place(first).find(|before| same_trace(before) && before.content == content)
        {
            before.is_seen.store(true, Relaxed);
            return Stand::GoesOn;
        }
        let contradicts = trace.is_some() && self.at_place(first).any(|before| same_trace(&before));
        if contradicts { Stand::Contradicts } else { Stand::New }
    }

    /// Whether it is this file's turn to be read. The share is the same in any process.
    fn is_due(&self, path: &[u8], trace: &Trace) -> bool {
        self.distrust.is_some_and(|n_turns| {
            let mut hasher = DefaultHasher::new();
            (trace.inode, path).hash(&mut hasher);
            hasher.finish() % n_turns == self.turn % n_turns
        })
    }

    fn first(&self, root: u32, path: &[u8]) -> Option<usize> {
        if self.rows.is_empty() { None } else { self.by_place.get(&self.place_print(root, path)).copied() }
    }

    /// The rows of one place, latest first.
    fn at_place(&self, first: usize) -> impl Iterator<Item = &Standee> {
        std::iter::successors(self.rows.get(first), |row| row.before.and_then(|before| self.rows.get(before)))
    }

    /// Those that stand for something that nobody looked at, as they are found again.
    pub(crate) fn blind_places(&self) -> impl Iterator<Item = u128> {
        self.by_place
            .iter()
            .filter(|(_, first)| self.at_place(**first).any(|row| row.is_blind && row.is_seen()))
            .map(|(place, _)| *place)
    }

    /// 128 bits: at ten million rows the chance that two places share them is below 1e-24.
    pub(crate) fn place_print(&self, root: u32, path: &[u8]) -> u128 {
        let half = |key: &RandomState| {
            let mut hasher = key.build_hasher();
            hasher.write_u32(root);
            hasher.write(path);
            u128::from(hasher.finish())
        };
        half(&self.keys[0]) << 64 | half(&self.keys[1])
    }

    fn trace_print(&self, trace: &Trace) -> Option<u64> {
        trace.is_trusted.then(|| self.keys[2].hash_one(trace))
    }

    fn read_print(&self, size: i64, digests: [Option<&[u8]>; 3], kind: i64) -> u64 {
        self.keys[2].hash_one((size, digests, kind))
    }

    fn skip_print(&self, reason: &str) -> u64 {
        self.keys[2].hash_one(reason)
    }

    /// Adds rows; those of a sweep after those of the sweeps before it.
    fn add(&mut self, rows: Vec<(u128, Standee)>) {
        self.by_place.reserve(rows.len());
        self.rows.reserve(rows.len());
        for (place, mut row) in rows {
            row.before = self.by_place.insert(place, self.rows.len());
            self.rows.push(row);
        }
    }
}

/// The lower half of a key that is a hash itself.
#[derive(Debug, Default)]
struct LowerHalf(u64);

impl Hasher for LowerHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are whole numbers");
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Rows that one thread reads about as fast as two, which first open the case once more.
const WORTH_A_THREAD: i64 = 10_000;

impl Case {
    /// The rows that stand as a sweep begins its intake, or goes on with it.
    pub fn standing(&self, sweep: SweepId) -> Result<Standing, CaseError> {
        let mut standing = Standing::nothing(sweep);
        let mut earlier = self.connection.prepare(
            "SELECT earlier.id FROM sweep JOIN sweep AS earlier ON earlier.series = sweep.series
             WHERE sweep.id = ?1 AND earlier.id < ?1 AND earlier.intake_finished_at IS NOT NULL ORDER BY earlier.id",
        )?;
        let earlier: Vec<i64> = earlier.query_map([sweep.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
        standing.base = earlier.last().copied().map(SweepId);
        for id in &earlier {
            let rows = self.standees(&standing, *id)?;
            standing.add(rows);
        }
        standing.turn = earlier.len() as u64;
        Ok(standing)
    }

    /// The rows of one sweep that stand, with their places. No walk has begun yet, so that nobody else needs the
    /// processor: the second half of many is read beside the first. Rows are never changed, only ended, and one that
    /// ends meanwhile may as well have ended before.
    fn standees(&self, standing: &Standing, sweep: i64) -> Result<Vec<(u128, Standee)>, CaseError> {
        let last: i64 = self.connection.query_row(
            "SELECT coalesce(max(seq), 0) FROM sighting WHERE sweep = ?1",
            [sweep],
            |row| row.get(0),
        )?;
        if last < WORTH_A_THREAD {
            return self.standees_of(standing, (sweep, 1..=last));
        }
        let half = last / 2;
        let other = Case::open_to_read(self.path())?;
        std::thread::scope(|scope| {
            let later = scope.spawn(move || other.standees_of(standing, (sweep, half + 1..=last)));
            let mut rows = self.standees_of(standing, (sweep, 1..=half))?;
            rows.extend(later.join().expect("reading does not panic")?);
            Ok(rows)
        })
    }

    fn standees_of(
        &self,
        standing: &Standing,
        (sweep, seqs): (i64, RangeInclusive<i64>),
    ) -> Result<Vec<(u128, Standee)>, CaseError> {
        let mut rows = self.connection.prepare_cached(
            "SELECT seq, root, path, until IS NOT NULL, kind, size, md5, sha1, sha256, reason,
                 device, inode, modified_ns, changed_ns, born_ns
             FROM sighting
             WHERE sweep = ?1 AND seq BETWEEN ?2 AND ?3 AND (until IS NULL OR kept) AND path IS NOT NULL",
        )?;
        let mut rows = rows.query(params![sweep, seqs.start(), seqs.end()])?;
        let mut standees = Vec::new();
        while let Some(row) = rows.next()? {
            let blob = |i: usize| {
                row.get_ref(i)?.as_blob_or_null().map_err(|error| CaseError::Damaged(error.to_string()))
            };
            let place = standing.place_print(row.get(1)?, blob(2)?.unwrap_or_default());
            let (content, is_blind, trace) = if let Some(kind) = row.get::<_, Option<i64>>(4)? {
                let size: i64 = row.get(5)?;
                let changed_ns: Option<i64> = row.get(13)?;
                let trace = match changed_ns {
                    Some(changed_ns) => standing.trace_print(&Trace {
                        device: row.get::<_, i64>(10)?.cast_unsigned(),
                        inode: row.get::<_, i64>(11)?.cast_unsigned(),
                        size: crate::codes::count(size),
                        modified_ns: row.get(12)?,
                        changed_ns,
                        born_ns: row.get(14)?,
                        is_trusted: true,
                    }),
                    None => None,
                };
                (standing.read_print(size, [blob(6)?, blob(7)?, blob(8)?], kind), false, trace)
            } else {
                let reason: String = row.get(9)?;
                // A reason that a newer version wrote is no reason to call anything gone.
                let is_blind = reason.parse::<Skip>().map_or(true, |skip| skip.kind.is_not_looked_at());
                (standing.skip_print(&reason), is_blind, None)
            };
            standees.push((
                place,
                Standee {
                    sweep,
                    seq: row.get(0)?,
                    trace,
                    content,
                    is_blind,
                    is_kept: row.get(3)?,
                    before: None,
                    is_seen: AtomicBool::new(false),
                },
            ));
        }
        Ok(standees)
    }
}
