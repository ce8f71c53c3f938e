//! The threads that read and hash: the lanes each of them keeps, and the files that are under way in them.
//!
//! A small file is read whole when it is found, into the lane's own buffer, and closed; its row comes when other
//! files have filled the lanes. A large one waits until the walk is through; then all threads begin with the
//! largest, so that no lane runs dry while another has gigabytes to go.
//!
//! ```text
//!  found ─► links: the first name? ─┬─ small ──────────► a lane of this thread ─┐
//!                                   └─ large ─► hoard ─► (walk done) a lane ────┼─► changed? once more, alone
//!                                                                               └─► row
//! ```

use crate::dir::Dir;
use crate::hash::digests;
use crate::meta::{Links, Meta};
use crate::read::{Attempt, Ended, LARGE, Next, Open, Trouble};
use crate::rows::Outbox;
use crate::throttle::Throttle;
use crate::{Gauges, Walk};
use hashsweep_lanes::{Lanes, Message, Piece, Sums};
use hashsweep_model::HashKind;
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Files that a thread has under way.
const LANES: usize = 16;

/// Large files that may wait for the end of the walk; about 300 bytes each. With as many waiting the next ones are
/// read where they are found, among the small ones.
const HOARD: usize = 4096;

/// A file of this size may still be open while it is in a lane; a smaller one is read whole as it gets there.
const STAYS_OPEN: u64 = 32 * 1024;

/// Files that each of so many threads may have open in its lanes. A quarter of the process's descriptors is for them;
/// directories take another, and a file for which none was left would have no digests.
fn most_open(descriptors: u64, jobs: usize) -> usize {
    usize::try_from(descriptors / 4).map_or(usize::MAX, |all| (all / jobs).max(1))
}

/// A file on its way to its row.
pub(crate) struct File {
    /// Which of the sweep's roots it lies under.
    pub(crate) root: u32,
    /// As its row shows it.
    pub(crate) path: Vec<u8>,
    pub(crate) home: Home,
    /// As it was found.
    pub(crate) meta: Meta,
}

/// Where to find a file again.
pub(crate) enum Home {
    /// A root of its own.
    Root,
    /// An entry of a directory.
    In { dir: Arc<Dir>, name: Box<[u8]>, links: Links, is_mounted: bool },
}

/// When to drop the work at hand, and how fast to go on until then.
pub(crate) struct Ending<'w> {
    stop: &'w AtomicBool,
    /// Nobody wants more rows.
    pub(crate) closed: AtomicBool,
    /// Something was left undone.
    cut_short: AtomicBool,
    throttle: Option<Throttle>,
}

impl<'w> Ending<'w> {
    pub(crate) fn new(stop: &'w AtomicBool, max_read: Option<NonZeroU64>) -> Ending<'w> {
        Ending {
            stop,
            closed: AtomicBool::new(false),
            cut_short: AtomicBool::new(false),
            throttle: max_read.map(Throttle::new),
        }
    }

    /// Whether to drop the work at hand. Saying yes is remembered: something is then left undone.
    pub(crate) fn is_over(&self) -> bool {
        let over = self.closed.load(Relaxed) || self.stop.load(Relaxed);
        if over {
            self.cut_short.store(true, Relaxed);
        }
        over
    }

    /// Whether everything was done.
    pub(crate) fn is_whole(&self) -> bool {
        !self.cut_short.load(Relaxed) && !self.closed.load(Relaxed)
    }

    /// Hears of every block that was read, lets it take the time that it may take, and breaks the reading off when
    /// it is over.
    pub(crate) fn on_block(&self, gauges: &Gauges, n_bytes: u64) -> ControlFlow<()> {
        gauges.bytes_hashed.fetch_add(n_bytes, Relaxed);
        if let Some(throttle) = &self.throttle {
            throttle.pass(n_bytes, || self.is_over());
        }
        if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A file in a lane.
pub(crate) struct Job<'w> {
    file: File,
    reading: InLane<'w>,
    gauges: &'w Gauges,
    ending: &'w Ending<'w>,
}

enum InLane<'w> {
    Open(Open<'w>),
    Ended(Ended),
    Trouble(Trouble),
}

impl Message for Job<'_> {
    fn read(&mut self, space: &mut [u8]) -> Piece {
        let (gauges, ending) = (self.gauges, self.ending);
        let open = match std::mem::replace(&mut self.reading, InLane::Trouble(Trouble::Stopped)) {
            InLane::Open(open) => open,
            over => {
                self.reading = over;
                return Piece::Broken;
            }
        };
        let (reading, piece) = match open.next(space, &mut |n_bytes| ending.on_block(gauges, n_bytes)) {
            Ok(Next::More(open, n)) => (InLane::Open(open), Piece::More(n)),
            Ok(Next::Last(ended, n)) => (InLane::Ended(ended), Piece::Last(n)),
            Err(trouble) => (InLane::Trouble(trouble), Piece::Broken),
        };
        self.reading = reading;
        piece
    }

    fn lend(&mut self) -> usize {
        let (gauges, ending) = (self.gauges, self.ending);
        let InLane::Open(open) = &mut self.reading else { return 0 };
        match open.lend(&mut |n_bytes| ending.on_block(gauges, n_bytes)) {
            Ok(n) => n,
            Err(trouble) => {
                self.reading = InLane::Trouble(trouble);
                0
            }
        }
    }

    fn lent(&self) -> &[u8] {
        match &self.reading {
            InLane::Open(open) => open.lent(),
            InLane::Ended(_) | InLane::Trouble(_) => &[],
        }
    }
}

/// One thread's lanes, and the rows that come out of them.
pub(crate) struct Worker<'w> {
    order: &'w Walk,
    gauges: &'w Gauges,
    ending: &'w Ending<'w>,
    lanes: Lanes<Job<'w>>,
    /// Files that may be open in the lanes, and how many may be: all that stay open and went there since the lanes
    /// were empty.
    most_open: usize,
    n_open: usize,
    /// Came out of the lanes and have no row yet.
    ended: Vec<(File, Result<Attempt, Trouble>)>,
    pub(crate) out: Outbox<'w>,
}

impl<'w> Worker<'w> {
    pub(crate) fn new(
        order: &'w Walk,
        gauges: &'w Gauges,
        ending: &'w Ending<'w>,
        out: Outbox<'w>,
    ) -> Worker<'w> {
        let lanes = Lanes::new(order.engine, crate::hash::wanted(&order.kinds));
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most_open = most_open(descriptors, order.jobs.get());
        Worker { order, gauges, ending, lanes, most_open, n_open: 0, ended: Vec::new(), out }
    }

    /// Puts an open file into a lane. Other files end by that: see [`Worker::ended`].
    pub(crate) fn push(&mut self, file: File, open: Open<'w>) {
        if (file.meta.size >= STAYS_OPEN || open.is_mapped()) && self.most_open < LANES {
            if self.n_open >= self.most_open {
                self.finish();
            }
            self.n_open += 1;
        }
        let Worker { order, gauges, ending, lanes, ended, .. } = self;
        let job = Job { file, reading: InLane::Open(open), gauges, ending };
        lanes.push(job, &mut |job, sums| ended.push(attempted(order, job, sums)));
    }

    /// Hashes everything to its end, or drops it when it is over.
    pub(crate) fn finish(&mut self) {
        self.n_open = 0;
        let Worker { order, ending, lanes, ended, .. } = self;
        if !lanes.is_empty() && ending.is_over() {
            lanes.clear();
        }
        lanes.finish(&mut |job, sums| ended.push(attempted(order, job, sums)));
    }

    /// The kind that the rows say is asked.
    pub(crate) fn asked(&self) -> HashKind {
        self.order.kinds.first()
    }

    /// A file that came out of the lanes, with what came of it.
    pub(crate) fn ended(&mut self) -> Option<(File, Result<Attempt, Trouble>)> {
        self.ended.pop()
    }
}

fn attempted(order: &Walk, job: Job<'_>, sums: Option<&Sums>) -> (File, Result<Attempt, Trouble>) {
    let attempt = match (job.reading, sums) {
        (InLane::Ended(ended), Some(sums)) => ended.attempt(digests(&order.kinds, sums)),
        (InLane::Trouble(trouble), _) => Err(trouble),
        (InLane::Ended(_) | InLane::Open(_), _) => {
            unreachable!("a lane ends a message that was read to its end")
        }
    };
    (job.file, attempt)
}

/// Large files that wait for the end of the walk.
#[derive(Default)]
pub(crate) struct Hoard(Mutex<Vec<File>>);

impl Hoard {
    /// Keeps the file for later, or gives it back.
    pub(crate) fn keep(&self, file: File) -> Option<File> {
        if file.meta.size < LARGE {
            return Some(file);
        }
        let mut files = self.0.lock().expect("no panic while it is held");
        if files.len() >= HOARD {
            return Some(file);
        }
        files.push(file);
        None
    }

    /// Deals the files out: to each of `n_hands` threads its share of the largest, as many as it has lanes for;
    /// the others, largest first, go to whoever has a lane free.
    pub(crate) fn deal(&self, n_hands: usize) -> (Vec<Mutex<VecDeque<File>>>, Mutex<VecDeque<File>>) {
        let mut files = std::mem::take(&mut *self.0.lock().expect("no panic while it is held"));
        files.sort_by_key(|file| std::cmp::Reverse(file.meta.size));
        let mut hands: Vec<VecDeque<File>> = (0..n_hands).map(|_| VecDeque::new()).collect();
        let mut rest = VecDeque::new();
        for (nth, file) in files.into_iter().enumerate() {
            if nth < n_hands * LANES { hands[nth % n_hands].push_back(file) } else { rest.push_back(file) }
        }
        (hands.into_iter().map(Mutex::new).collect(), Mutex::new(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_do_not_open_more_files_than_the_process_may() {
        assert!(most_open(1024, 16) >= LANES, "the usual limit does not hinder the usual number of threads");
        assert_eq!((most_open(1024, 64), most_open(30, 5), most_open(8, 64)), (4, 1, 1));
        assert!(most_open(u64::MAX, 1) >= LANES);
    }
}
