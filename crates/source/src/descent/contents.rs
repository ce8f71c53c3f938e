//! From a file that was found to its row: the filters, its other names, a lane, and what came of it.

use super::Descent;
use crate::crew::{File, Home, Worker};
use crate::dir::with_root;
use crate::links::Claim;
use crate::meta::{Links, Meta, Time, nothing_to_read, refused};
use crate::read::{Attempt, Open, Reading, Target, Trouble};
use crate::rows::Outbox;
use crate::suspicion::suspicion_of;
use hashsweep_model::{Place, Seen, Skip, SkipKind, Trace};
use rayon::ThreadPool;
use rustix::fd::AsFd;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;

/// A file's times are read off a clock that ticks, on a file system whose clock may be another than ours. No local one
/// ticks less often than this.
const TICK_MILLIS: i64 = 2_000;

impl<'w> Descent<'w> {
    /// Anything that is not a directory: its row, or its way to one.
    pub(super) fn content(&self, file: File, name: &[u8], target: Target<'_>, out: &mut Outbox<'_>) {
        if !self.is_included(&file.path, name) {
            return;
        }
        let skip = if let Some(skip) = nothing_to_read(file.meta.kind) {
            Some(skip)
        } else if self.order.own.has(file.meta.id) {
            Some(Skip::new(SkipKind::OwnFile))
        } else {
            None
        };
        if let Some(skip) = skip {
            return out.put(file.root, Place::Path(file.path), Seen::Skipped(skip));
        }
        if !self.is_wanted(&file.meta) {
            return self.exclude();
        }
        self.gauges.files_seen.fetch_add(1, Relaxed);
        if let Some(trace) = self.trace(&file.meta).filter(|trace| trace.is_trusted)
            && self.recorded.still_holds(file.root, &file.path, &trace)
        {
            self.gauges.files_unchanged.fetch_add(1, Relaxed);
            self.gauges.rows.fetch_add(1, Relaxed);
            return;
        }
        let first = if file.meta.n_links > 1 {
            let meta = file.meta;
            match self.hard_links.claim(&meta, file) {
                Claim::First(file) => Some(file),
                claim => return self.claimed(&mut self.worker(), claim),
            }
        } else {
            self.hoard.keep(file)
        };
        if let Some(file) = first {
            let open = self.reader.begin(target, &file.meta);
            self.begun(&mut self.worker(), file, open);
        }
    }

    /// Reads the large files that were kept, on all threads, and hashes what is still in the lanes.
    pub(crate) fn large(&self, pool: &ThreadPool) {
        let (hands, rest) = self.hoard.deal(self.workers.len());
        let n_files: usize = hands.iter().map(|hand| hand.lock().expect("nobody has it yet").len()).sum();
        let next = |nth: usize| {
            let of_mine = hands[nth].lock().expect("no panic while it is held").pop_front();
            of_mine.or_else(|| rest.lock().expect("no panic while it is held").pop_front())
        };
        pool.broadcast(|thread| {
            let mut worker = self.worker();
            worker.out.flush();
            while let Some(file) = next(thread.index()) {
                if self.is_over() {
                    break;
                }
                // Fewer files than threads: their lanes would stay empty, and a file's digests can be shared out.
                if n_files < self.workers.len()
                    && let Some(attempt) = self.shared(&file)
                {
                    self.settle(&mut worker, file, attempt);
                } else {
                    let open = self.at(&file, |target| self.reader.begin(target, &file.meta));
                    self.begun(&mut worker, file, open);
                }
            }
            worker.finish();
            self.settle_ended(&mut worker);
            worker.out.flush();
        });
    }

    fn shared(&self, file: &File) -> Option<Result<Attempt, Trouble>> {
        let on_block = &mut |n_bytes| self.ending.on_block(self.gauges, n_bytes);
        let attempt = self.at(file, |target| Ok(self.reader.attempt_shared(target, &file.meta, on_block)));
        attempt.unwrap_or_else(|trouble| Some(Err(trouble)))
    }

    /// The thread's own.
    fn worker(&self) -> MutexGuard<'_, Worker<'w>> {
        let nth = rayon::current_thread_index().expect("rows are made by the pool's threads");
        self.workers[nth].lock().expect("no panic while it is held")
    }

    /// A file was opened, or was not.
    fn begun(&self, worker: &mut Worker<'w>, file: File, open: Result<Option<Open<'w>>, Trouble>) {
        match open {
            Ok(Some(open)) => worker.push(file, open),
            Ok(None) => self.settle(worker, file, Ok(Attempt::Changed)),
            Err(trouble) => self.settle(worker, file, Err(trouble)),
        }
        self.settle_ended(worker);
    }

    fn settle_ended(&self, worker: &mut Worker<'w>) {
        while let Some((file, attempt)) = worker.ended() {
            self.settle(worker, file, attempt);
        }
    }

    /// A first attempt has ended: the file's row, those of its other names that waited for it, or a second attempt.
    fn settle(&self, worker: &mut Worker<'w>, file: File, attempt: Result<Attempt, Trouble>) {
        let reading = match attempt {
            Ok(Attempt::Steady(reading)) => Ok(reading),
            Ok(first) => self.alone(&file, Some(first)),
            Err(trouble) => Err(trouble),
        };
        if file.meta.n_links > 1 {
            for claim in self.hard_links.settle(&file.meta, &reading, |other| other.meta) {
                self.claimed(worker, claim);
            }
        }
        self.row(worker, file, reading);
    }

    /// What a further name of a file learned.
    fn claimed(&self, worker: &mut Worker<'w>, claim: Claim<File>) {
        match claim {
            Claim::Known(file, reading) => self.row(worker, file, reading.map_err(Trouble::Skip)),
            Claim::First(file) | Claim::Alone(file) => {
                let reading = self.alone(&file, None);
                self.row(worker, file, reading);
            }
            Claim::Waits => {}
        }
    }

    /// Reads a file outside of the lanes: a rare one that would not hold still, or a name of its own mind.
    fn alone(&self, file: &File, first: Option<Attempt>) -> Result<Reading, Trouble> {
        self.at(file, |target| {
            let on_block = &mut |n_bytes| self.ending.on_block(self.gauges, n_bytes);
            self.reader.read(target, &file.meta, first, on_block)
        })
    }

    /// Goes to where the file is.
    fn at<T>(&self, file: &File, run: impl FnOnce(Target<'_>) -> Result<T, Trouble>) -> Result<T, Trouble> {
        match &file.home {
            Home::In { dir, name, links, is_mounted } => {
                let fd = dir.open(&self.desk)?;
                run(Target { dir: fd.as_fd(), name, links: *links, is_mounted: *is_mounted })
            }
            Home::Root => {
                let root = &self.order.roots[usize::try_from(file.root).expect("32 bits fit")];
                with_root(&root.open_at, |dir, name| {
                    Ok(run(Target { dir, name, links: Links::Follow, is_mounted: false }))
                })
                .unwrap_or_else(|errno| Err(refused(errno).into()))
            }
        }
    }

    fn row(&self, worker: &mut Worker<'w>, file: File, reading: Result<Reading, Trouble>) {
        let seen = match reading {
            Ok(Reading { size, digests, content, meta }) => {
                let modified = meta.modified.stamp();
                let suspicion = suspicion_of(self.order, file.root, &file.path, content.content, modified);
                if content.is_image {
                    self.gauges.image(&file.path);
                }
                // A size that is not the one that was read is nothing to go by.
                let trace = self.trace(&meta).filter(|trace| trace.size == size);
                Seen::Read { size, digests, asked: worker.asked(), suspicion, trace, contradicts: false }
            }
            Err(Trouble::Skip(skip)) => Seen::Skipped(skip),
            Err(Trouble::Stopped) => return,
        };
        worker.out.put(file.root, Place::Path(file.path), seen);
    }

    /// What the file may be recognised by next time.
    ///
    /// One that was changed as the sweep began or later may be changed again within the same tick of its file
    /// system's clock, and no time would tell.
    fn trace(&self, meta: &Meta) -> Option<Trace> {
        let (device, is_trusted) = self.volumes.get(meta.id.dev)?;
        let changed_ns = meta.changed.nanos()?;
        let steady_before = self.order.sweep_started.0.saturating_sub(TICK_MILLIS).saturating_mul(1_000_000);
        Some(Trace {
            device,
            inode: meta.id.ino,
            size: meta.size,
            modified_ns: meta.modified.nanos()?,
            changed_ns,
            born_ns: meta.born.and_then(Time::nanos),
            is_trusted: is_trusted && changed_ns < steady_before,
        })
    }

    /// Whether a regular file's size and times pass the filters.
    fn is_wanted(&self, meta: &Meta) -> bool {
        self.order.min_size.is_none_or(|min| meta.size >= min)
            && self.order.max_size.is_none_or(|max| meta.size <= max)
            && self
                .order
                .newer
                .is_none_or(|newer| meta.modified.stamp() >= newer || meta.changed.stamp() >= newer)
    }
}
