//! What every file system of ours is to the walk, and the count of what it gave.

use crate::deleted::{Deleted, Remains};
use crate::fault::Fault;
use crate::item::{Item, Kind, Stream, Summary};
use crate::reader::ImageReader;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A volume that is read.
pub trait FileSystem: Send + Sync {
    /// Its name in the field.
    fn kind(&self) -> &'static str;

    /// What its streams are positions in; `None` is the volume itself.
    fn image(&self) -> Option<Arc<dyn ImageReader>> {
        None
    }

    /// Gives every file, other entry and problem to `sink`, which may break off; the sum is then not whole.
    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary;

    /// Gives every deleted file to `sink`, which may break off; `None` where they are not looked for.
    fn deleted(&self, _sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>) -> Option<Remains> {
        None
    }
}

/// The sink of a walk, and the sum of what went into it.
pub(crate) struct Found<'s> {
    sink: &'s mut dyn FnMut(Item) -> ControlFlow<()>,
    pub(crate) summary: Summary,
    pub(crate) stopped: bool,
}

impl<'s> Found<'s> {
    pub(crate) fn new(sink: &'s mut dyn FnMut(Item) -> ControlFlow<()>) -> Found<'s> {
        Found { sink, summary: Summary::default(), stopped: false }
    }

    fn give(&mut self, item: Item) {
        self.stopped = self.stopped || (self.sink)(item).is_break();
    }

    pub(crate) fn stream(&mut self, stream: Stream) {
        self.summary.streams += 1;
        self.give(Item::Stream(stream));
    }

    pub(crate) fn other(&mut self, paths: Vec<Vec<u8>>, kind: Kind) {
        self.summary.others += 1;
        self.give(Item::Other { paths, kind });
    }

    /// Something in use whose content nobody gets to see.
    pub(crate) fn lose(&mut self, paths: Vec<Vec<u8>>, fault: Fault) {
        self.summary.lost += 1;
        self.problem(paths.into_iter().next().unwrap_or_default(), fault);
    }

    /// A problem of nothing that is counted as in use.
    pub(crate) fn problem(&mut self, path: Vec<u8>, fault: Fault) {
        self.summary.problems += 1;
        self.give(Item::Problem { path, fault });
    }

    /// The same of several. Those of names come behind the files, so that these have their paths for themselves.
    pub(crate) fn problems(&mut self, all: Vec<(Vec<u8>, Fault)>) {
        for (path, fault) in all {
            self.problem(path, fault);
        }
    }
}
