//! Deleted files whose content may still be where it was: found beside the live ones, with how sure that is, and never
//! mixed with them.
//!
//! What a file system leaves behind says where content was, not that it is still there. Content of which a single
//! cluster is in use again is not given at all: half of one file and half of another has nobody's digest.

use crate::budget::Holes;
use crate::container::Container;
use crate::fault::{Fault, damaged};
use crate::item::{Extent, Stream};
use crate::reader::ImageReader;
use crate::volumes::Volume;
use crate::walk::{Opened, Parts, open};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How sure it is that the bytes are those that the file had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// They are in the record itself.
    Certain,
    /// The record says where they are, and all of that is free now. It may have been used and freed again since.
    Likely,
    /// Where they begin is known, and the rest is supposed; or two deleted files claim the same place.
    Guess,
}

/// One deleted file.
#[derive(Debug)]
pub enum Deleted {
    /// Its content may be read.
    Kept {
        /// As of a live file; its paths are those that it had, as far as they are known.
        stream: Stream,
        /// How sure that is.
        confidence: Confidence,
    },
    /// Its name is there and its content is not.
    Gone {
        /// As of a stream.
        path: Vec<u8>,
        /// What is known of the reason.
        why: Fault,
    },
}

/// How many deleted files there were of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// [`Confidence::Certain`].
    pub certain: u64,
    /// [`Confidence::Likely`].
    pub likely: u64,
    /// [`Confidence::Guess`].
    pub guess: u64,
    /// [`Deleted::Gone`].
    pub gone: u64,
}

impl Remains {
    fn of(&mut self, confidence: Confidence) -> &mut u64 {
        match confidence {
            Confidence::Certain => &mut self.certain,
            Confidence::Likely => &mut self.likely,
            Confidence::Guess => &mut self.guess,
        }
    }
}

/// A volume, and what of its deleted files there is.
#[derive(Debug)]
pub struct DeletedSum {
    /// Which.
    pub volume: Volume,
    /// What file system it has.
    pub kind: &'static str,
    /// `None` where deleted files of this kind of file system are not looked for.
    pub remains: Option<Remains>,
}

/// Hears of a deleted file, as [`Sink`](crate::Sink) does of a live one.
pub type DeletedSink<'s> = dyn FnMut(&str, &Arc<dyn ImageReader>, Deleted) -> ControlFlow<()> + 's;

/// Gives the deleted files of every volume that can be read to `sink`, which may break off. That others cannot be read
/// is said by [`walk()`](crate::walk()).
pub fn deleted(container: &Container, sink: &mut DeletedSink<'_>) -> Vec<DeletedSum> {
    let mut sums = Vec::new();
    let mut is_over = false;
    let mut holes = Holes::default();
    for (volume, window) in Parts::of(&container.disk).volumes {
        let Ok(Opened::Files(system)) = open(&window, &volume) else { continue };
        let mut refused = Remains::default();
        let mut remains = system.deleted(&mut |found| {
            let found = match found {
                Deleted::Kept { mut stream, confidence } => match holes.take(&stream) {
                    Ok(()) => Deleted::Kept { stream, confidence },
                    Err(why) => {
                        *refused.of(confidence) += 1;
                        refused.gone += 1;
                        Deleted::Gone { path: stream.paths.swap_remove(0), why }
                    }
                },
                gone @ Deleted::Gone { .. } => gone,
            };
            let flow = sink(&volume.name, &window, found);
            is_over |= flow.is_break();
            flow
        });
        if let Some(remains) = &mut remains {
            remains.certain -= refused.certain;
            remains.likely -= refused.likely;
            remains.guess -= refused.guess;
            remains.gone += refused.gone;
        }
        sums.push(DeletedSum { volume, kind: system.kind(), remains });
        if is_over {
            break;
        }
    }
    sums
}

/// The sink of a search, the sum of what went into it, and the work that is left for it.
pub(crate) struct Finds<'s> {
    sink: &'s mut dyn FnMut(Deleted) -> ControlFlow<()>,
    pub(crate) remains: Remains,
    pub(crate) stopped: bool,
    /// Bytes that may still be given: one place may be claimed by any number of deleted files.
    content: u64,
    /// Clusters that may still be asked about.
    steps: u64,
}

impl<'s> Finds<'s> {
    /// On a volume of so many clusters of so many bytes.
    pub(crate) fn new(
        (n_clusters, cluster): (u64, u64),
        sink: &'s mut dyn FnMut(Deleted) -> ControlFlow<()>,
    ) -> Finds<'s> {
        Finds {
            sink,
            remains: Remains::default(),
            stopped: false,
            content: n_clusters.saturating_mul(cluster).saturating_mul(4),
            steps: n_clusters.saturating_mul(16).saturating_add(1 << 16),
        }
    }

    /// Whether all of these clusters are free.
    pub(crate) fn all_free(
        &mut self,
        clusters: impl IntoIterator<Item = u64>,
        is_free: &dyn Fn(u64) -> bool,
    ) -> Result<(), Fault> {
        for cluster in clusters {
            let spent = || damaged("deleted files claim more than the volume can have held", cluster);
            self.steps = self.steps.checked_sub(1).ok_or_else(spent)?;
            if !is_free(cluster) {
                return Err(Fault::Overwritten { cluster });
            }
        }
        Ok(())
    }

    pub(crate) fn kept(&mut self, node: u64, paths: Vec<Vec<u8>>, content: Found) {
        let Found { size, extents, confidence } = content;
        match self.content.checked_sub(size) {
            None => {
                let path = paths.into_iter().next().unwrap_or_default();
                self.gone(path, damaged("deleted files claim more than the volume can have held", node));
            }
            Some(left) => {
                self.content = left;
                *self.remains.of(confidence) += 1;
                self.give(Deleted::Kept { stream: Stream { node, paths, size, extents }, confidence });
            }
        }
    }

    pub(crate) fn gone(&mut self, path: Vec<u8>, why: Fault) {
        self.remains.gone += 1;
        self.give(Deleted::Gone { path, why });
    }

    fn give(&mut self, deleted: Deleted) {
        self.stopped = self.stopped || (self.sink)(deleted).is_break();
    }
}

/// Content that may still be right.
pub(crate) struct Found {
    pub(crate) size: u64,
    pub(crate) extents: Vec<Extent>,
    pub(crate) confidence: Confidence,
}
