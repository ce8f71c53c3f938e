//! One disk from its table to the last file of its last volume.

use crate::container::Container;
use crate::ext::Ext;
use crate::fault::{Fault, damaged};
use crate::item::{Item, Summary};
use crate::reader::{ImageReader, Window};
use crate::signature::{self, Kind};
use crate::volumes::{Volume, volumes};
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Walked {
    /// The volumes that were read, each with its sum.
    pub volumes: Vec<(Volume, Summary)>,
    /// Problems of the container, the table and volumes that were not read.
    pub problems: u64,
    /// Worth saying, though nothing is missing.
    pub notices: Vec<&'static str>,
    /// Whether `sink` broke off.
    pub stopped: bool,
}

impl Walked {
    /// Whether all of the disk was looked at.
    pub fn is_complete(&self) -> bool {
        !self.stopped && self.problems == 0 && self.volumes.iter().all(|(_, summary)| summary.is_complete())
    }
}

/// Hears of an item: the name of its volume, empty for the whole disk; the volume's bytes, which a stream's
/// [`Content`](crate::Content) is read from; and the item, with paths that begin at the volume's root.
pub type Sink<'s> = dyn FnMut(&str, &dyn ImageReader, Item) -> ControlFlow<()> + 's;

/// Gives every file of every volume of the container to `sink`, which may break off.
pub fn walk(container: &Container, sink: &mut Sink<'_>) -> Walked {
    let mut walked = Walked::default();
    let disk = &container.disk;
    let table = volumes(&**disk);
    walked.notices = table.notices;
    let unread = container
        .unread
        .iter()
        .map(|(at, _)| damaged("bytes that were unreadable when the image was made", *at));
    for fault in table.problems.into_iter().chain(unread) {
        walked.problem(sink, "", &**disk, fault);
    }
    if table.volumes.is_empty() && walked.problems == 0 {
        walked.problem(sink, "", &**disk, Fault::Unsupported("a disk without volumes".into()));
    }
    for volume in table.volumes {
        if walked.stopped {
            break;
        }
        match open(disk, &volume) {
            Ok(ext) => {
                let mut stopped = false;
                let summary = ext.walk(&mut |item| {
                    let flow = sink(&volume.name, ext.image(), item);
                    stopped = flow.is_break();
                    flow
                });
                walked.stopped |= stopped;
                if !summary.adds_up() && !stopped {
                    let fault = damaged("inodes in use are not all accounted for", summary.allocated);
                    walked.problem(sink, &volume.name, ext.image(), fault);
                }
                walked.volumes.push((volume, summary));
            }
            Err(fault) => walked.problem(sink, &volume.name, &**disk, fault),
        }
    }
    walked
}

impl Walked {
    fn problem(&mut self, sink: &mut Sink<'_>, volume: &str, bytes: &dyn ImageReader, fault: Fault) {
        self.problems += 1;
        if !self.stopped {
            self.stopped = sink(volume, bytes, Item::Problem { path: b"/".to_vec(), fault }).is_break();
        }
    }
}

fn open(disk: &Arc<dyn ImageReader>, volume: &Volume) -> Result<Ext, Fault> {
    let window = Arc::new(Window::new(Arc::clone(disk), volume.start, volume.len)?);
    match signature::of(&*window) {
        Some(Kind::Ext) => Ext::open(window),
        Some(Kind::Named(name)) => Err(Fault::Unsupported(format!("a volume of the kind {name}"))),
        Some(Kind::Unknown) | None => Err(Fault::Unsupported("a volume of no known kind".into())),
    }
}
