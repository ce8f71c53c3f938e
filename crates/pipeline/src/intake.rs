//! The intake: threads of a source, delivering to the clerk.

use crate::clerk::{Delivery, RowsDoor};
use crate::{Gauges, PipelineError};
use hashsweep_case::{Case, CaseError, Stand, Standing, SweepId};
use hashsweep_model::{Seen, Sighting, Trace};
use hashsweep_source::list::{self, BadCell, Content, Layout, ListError, ListOrder, ListRead, RawRows};
use hashsweep_source::{Device, ImageOrder, Imaged, Recorded, Rows, Walk, Walked};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Where a sweep's rows come from.
#[derive(Debug)]
pub enum Intake {
    /// Files below the roots.
    Walk(Walk),
    /// Files in disk images.
    Images(ImageOrder),
    /// Rows of lists, one after the other.
    Lists(Vec<(ListOrder, Layout)>),
    /// Everything is recorded already: only asking is left.
    Finished,
}

/// What an interrupted intake has recorded already, and what earlier sweeps of its series have.
#[derive(Debug)]
pub(crate) struct Before {
    /// 128-bit hashes of root and path: at ten million rows the chance that one of them hides an unseen file is
    /// below 1e-24, and the set stays small.
    paths: HashSet<u128>,
    /// The beginning of each list.
    lists: Vec<Beginning>,
    /// The clerk carries over what of it was found again.
    pub(crate) standing: Arc<Standing>,
}

/// The rows of a list that are recorded, as a number and a hash: they are not recorded again, but they must still
/// be what they were, or verdicts would be joined with other rows.
#[derive(Clone, Debug, Default)]
struct Beginning {
    last_row: u64,
    halves: [DefaultHasher; 2],
}

impl Beginning {
    fn add(&mut self, row: u64, digest: Result<&[u8], &str>) {
        self.last_row = row;
        for (salt, half) in (0u8..).zip(&mut self.halves) {
            half.write_u8(salt);
            half.write_u64(row);
            match digest {
                Ok(bytes) => half.write(bytes),
                Err(reason) => half.write(reason.as_bytes()),
            }
        }
    }

    /// Whether the list as it stands now begins with the same rows. `None` if nobody wants to know any more.
    fn holds(
        &self,
        order: &ListOrder,
        layout: &Layout,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<bool>, ListError> {
        let mut now = Beginning::default();
        let mut rows = RawRows::open(order, layout)?.stopped_by(Arc::clone(stop));
        while now.last_row < self.last_row {
            let row = rows.next();
            if stop.load(Relaxed) {
                return Ok(None);
            }
            let Some(row) = row else { return Ok(Some(false)) };
            match row.content {
                Content::One(digest) => now.add(row.number, Ok(digest.as_bytes())),
                Content::Several(several) => {
                    let first = several.digests.iter().next().expect("there is one");
                    now.add(row.number, Ok(first.as_bytes()));
                }
                Content::Invalid(why) => now.add(row.number, Err(&why.to_string())),
                Content::Lost(skip) => now.add(row.number, Err(&skip.to_string())),
            }
        }
        let print = |beginning: &Beginning| beginning.halves.each_ref().map(Hasher::finish);
        Ok(Some(print(&now) == print(self)))
    }
}

impl Before {
    /// Nothing.
    pub(crate) fn nothing(sweep: SweepId) -> Before {
        Before { paths: HashSet::new(), lists: Vec::new(), standing: Arc::new(Standing::nothing(sweep)) }
    }

    /// Reads it from the case. One file in `distrust`, if any, is to be read although nothing tells of a change.
    pub(crate) fn of(case: &Case, sweep: SweepId, distrust: Option<NonZeroU64>) -> Result<Before, CaseError> {
        let mut standing = case.standing(sweep)?;
        if let Some(n_turns) = distrust {
            standing.distrust(n_turns);
        }
        let mut before = Before { standing: Arc::new(standing), ..Before::nothing(sweep) };
        case.recorded(sweep, |root, path| {
            before.paths.insert(fingerprint(root, path));
        })?;
        for root in (0u32..).take(case.sweep(Some(sweep))?.roots.len()) {
            let mut beginning = Beginning::default();
            case.recorded_list(sweep, root, |row, digest| beginning.add(row, digest))?;
            before.lists.push(beginning);
        }
        Ok(before)
    }
}

fn fingerprint(root: u32, path: &[u8]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write_u32(root);
        hasher.write(path);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

impl Recorded for Before {
    fn has(&self, root: u32, path: &[u8]) -> bool {
        !self.paths.is_empty() && self.paths.contains(&fingerprint(root, path))
    }

    fn still_holds(&self, root: u32, path: &[u8], trace: &Trace) -> bool {
        self.standing.still_holds(root, path, trace)
    }
}

impl Rows for RowsDoor {
    fn take(&self, rows: Vec<Sighting>) -> ControlFlow<()> {
        self.deliver(Delivery::Rows(rows))
    }
}

/// The door of a walk: rows that say what an earlier sweep said stay outside.
struct NewRows<'a> {
    door: &'a RowsDoor,
    standing: &'a Standing,
    gauges: &'a Gauges,
}

impl Rows for NewRows<'_> {
    fn take(&self, mut rows: Vec<Sighting>) -> ControlFlow<()> {
        rows.retain_mut(|row| match self.standing.stand(row) {
            Stand::New => true,
            Stand::GoesOn => false,
            Stand::Contradicts => {
                if let Seen::Read { contradicts, .. } = &mut row.seen {
                    *contradicts = true;
                }
                self.gauges.contradictions.fetch_add(1, Relaxed);
                true
            }
        });
        if rows.is_empty() { ControlFlow::Continue(()) } else { self.door.take(rows) }
    }
}

/// Runs an intake to its end or until it is stopped, and gives what it has to say beside its rows. Blocks; it belongs
/// on a thread of its own.
pub(crate) fn take_in(
    intake: &Intake,
    before: &Before,
    door: &RowsDoor,
    gauges: &Gauges,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<String>, PipelineError> {
    let mut said = Vec::new();
    let (finished, excluded, walked) = match intake {
        Intake::Finished => return Ok(said),
        Intake::Images(order) => {
            let Imaged { finished, excluded, remarks } =
                hashsweep_source::read_images(order, door, before, &gauges.source, stop)?;
            said = remarks;
            (finished, excluded, hashsweep_case::Walked::default())
        }
        Intake::Walk(walk) => {
            let door = NewRows { door, standing: &before.standing, gauges };
            let Walked { finished, excluded, devices } =
                hashsweep_source::walk(walk, &door, before, &gauges.source, stop)?;
            let devices = devices.into_iter().map(|Device { id, name, is_trusted }| (id, name, is_trusted));
            (finished, excluded, hashsweep_case::Walked { devices: devices.collect() })
        }
        Intake::Lists(lists) => {
            (read_lists(lists, before, door, gauges, stop)?, 0, hashsweep_case::Walked::default())
        }
    };
    if finished {
        // When the clerk is gone, its own error tells more than this could.
        let _ = door.deliver(Delivery::Finished { excluded, walked });
    }
    Ok(said)
}

fn read_lists(
    lists: &[(ListOrder, Layout)],
    before: &Before,
    door: &RowsDoor,
    gauges: &Gauges,
    stop: &Arc<AtomicBool>,
) -> Result<bool, PipelineError> {
    for (root, (order, layout)) in (0u32..).zip(lists) {
        let beginning = before.lists.get(root as usize).cloned().unwrap_or_default();
        match beginning.holds(order, layout, stop)? {
            None => return Ok(false),
            Some(false) => return Err(PipelineError::ListChanged(order.path.clone())),
            Some(true) => {}
        }
        let first_row = beginning.last_row + 1;
        let ListRead { finished, rows, fingerprint, with_digest, with_bad_cell, first_bad_cell, .. } =
            list::read(order, layout, root, door, first_row, &gauges.source, stop)?;
        if finished && first_row == 1 && rows > 0 && with_digest == 0 {
            tracing::warn!(
                "{}: not one of its {rows} rows holds a hash; --column, --field or --extract say where they are",
                order.path.display()
            );
        }
        if let Some((row, BadCell { cell, why })) = first_bad_cell {
            tracing::warn!(
                "{}: {with_bad_cell} rows have a cell that holds no hash beside one that does; the first is cell {cell} of row {row}: {why}",
                order.path.display()
            );
        }
        let Some(sha256) = fingerprint.filter(|_| finished) else { return Ok(false) };
        if door.deliver(Delivery::Fingerprint { root, sha256 }).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}
