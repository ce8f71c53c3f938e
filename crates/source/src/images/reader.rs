//! The threads that read the files of an image and hash them side by side.

use super::{ImageOrder, skip_of};
use crate::crew::Ending;
use crate::hash::{digests, wanted};
use crate::read::Trouble;
use crate::rows::Outbox;
use crate::{Gauges, Rows};
use hashsweep_image::Content;
use hashsweep_lanes::{Lanes, Message, Piece, Sums};
use hashsweep_model::{Content as Sort, Location, Place, Seen, Stamp, Suspicion};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

/// One content to hash, for a row each under all its names.
pub(super) struct Task {
    pub(super) root: u32,
    pub(super) paths: Vec<Vec<u8>>,
    /// Bytes of the paths that name the image.
    pub(super) n_image: usize,
    pub(super) content: Content,
    /// Where to count it if it cannot be read.
    pub(super) unread: Arc<AtomicU64>,
}

pub(super) struct Reader<'w> {
    order: &'w ImageOrder,
    gauges: &'w Gauges,
    ending: &'w Ending<'w>,
    lanes: Lanes<Job<'w>>,
    out: Outbox<'w>,
}

impl<'w> Reader<'w> {
    pub(super) fn new(
        order: &'w ImageOrder,
        rows: &'w dyn Rows,
        gauges: &'w Gauges,
        ending: &'w Ending<'w>,
    ) -> Reader<'w> {
        let lanes = Lanes::new(order.engine, wanted(&order.kinds));
        Reader { order, gauges, ending, lanes, out: Outbox::new(rows, gauges, &ending.closed) }
    }

    /// Reads until the walk has ended. When there is no more to do, what still comes is dropped, so that the walk
    /// never waits for readers that are gone.
    pub(super) fn run(mut self, tasks: &Mutex<Receiver<Vec<Task>>>) {
        loop {
            let group = tasks.lock().expect("no panic while it is held").recv();
            let Ok(group) = group else { break };
            for task in group {
                if self.ending.is_over() {
                    break;
                }
                self.push(task);
            }
        }
        let Reader { order, ending, lanes, out, .. } = &mut self;
        if !lanes.is_empty() && ending.is_over() {
            lanes.clear();
        }
        lanes.finish(&mut |job, sums| job.rows(order, sums, out));
        self.out.flush();
    }

    fn push(&mut self, task: Task) {
        let Reader { order, gauges, ending, lanes, out } = self;
        let size = task.content.left();
        let job = Job { task, size, sort: None, trouble: None, gauges, ending };
        lanes.push(job, &mut |job, sums| job.rows(order, sums, out));
    }
}

struct Job<'w> {
    task: Task,
    size: u64,
    /// Of the first bytes.
    sort: Option<Sort>,
    trouble: Option<Trouble>,
    gauges: &'w Gauges,
    ending: &'w Ending<'w>,
}

impl Message for Job<'_> {
    fn read(&mut self, space: &mut [u8]) -> Piece {
        let n = match self.task.content.read(space) {
            Ok(n) => n,
            Err(fault) => {
                self.trouble = Some(Trouble::Skip(skip_of(&fault)));
                return Piece::Broken;
            }
        };
        self.sort.get_or_insert_with(|| Sort::of_head(&space[..n]));
        if n > 0 && self.ending.on_block(self.gauges, n as u64).is_break() {
            self.trouble = Some(Trouble::Stopped);
            return Piece::Broken;
        }
        if self.task.content.left() == 0 { Piece::Last(n) } else { Piece::More(n) }
    }
}

impl Job<'_> {
    fn rows(self, order: &ImageOrder, sums: Option<&Sums>, out: &mut Outbox<'_>) {
        let Job { task, size, sort, trouble, .. } = self;
        let read = match (sums, trouble) {
            (_, Some(Trouble::Stopped)) => return,
            (_, Some(Trouble::Skip(skip))) => {
                task.unread.fetch_add(1, Relaxed);
                Err(skip)
            }
            (Some(sums), None) => Ok(digests(&order.kinds, sums)),
            (None, None) => unreachable!("a lane ends a message that was read to its end"),
        };
        for path in task.paths {
            let seen = match &read {
                Ok(digests) => {
                    let digests = *digests;
                    let suspicion = suspicion_of(&path, task.n_image, sort.unwrap_or(Sort::Text));
                    let asked = order.kinds.first();
                    Seen::Read { size, digests, asked, suspicion, trace: None, contradicts: false }
                }
                Err(skip) => Seen::Skipped(skip.clone()),
            };
            out.put(task.root, Place::Path(path), seen);
        }
    }
}

/// Where the image itself lies says nothing about its files, and its clock nothing about today.
fn suspicion_of(path: &[u8], n_image: usize, sort: Sort) -> Suspicion {
    let inside = &path[n_image..];
    let end = inside.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let location = Location::of(&inside[..end]);
    Suspicion::new(sort.under_the_name(path), location, Stamp(i64::MIN), Stamp(0))
}
