//! One disk from its table to the last file of its last volume.

use crate::btrfs::Btrfs;
use crate::budget::Holes;
use crate::container::Container;
use crate::exfat::ExFat;
use crate::ext::Ext;
use crate::fat::Fat;
use crate::fault::{Fault, damaged};
use crate::found::FileSystem;
#[cfg(feature = "hfs")]
use crate::hfs::HfsPlus;
use crate::iso::Iso;
use crate::item::{Item, Kind as Entry, Summary};
use crate::lvm;
use crate::ntfs::Ntfs;
use crate::reader::{ImageReader, Window};
use crate::shadows;
use crate::signature::{self, Kind};
use crate::volumes::{Volume, volumes};
use crate::xfs::Xfs;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Walked {
    /// The volumes that were read.
    pub volumes: Vec<Sum>,
    /// Problems of the container, the table and volumes that were not read.
    pub problems: u64,
    /// Worth saying, though nothing is missing.
    pub notices: Vec<&'static str>,
    /// Whether `sink` broke off.
    pub stopped: bool,
}

/// A volume that was read, and what became of all that is in use on it.
#[derive(Debug)]
pub struct Sum {
    /// Which.
    pub volume: Volume,
    /// What file system it has.
    pub kind: &'static str,
    /// Its sum.
    pub summary: Summary,
}

impl Walked {
    /// Whether all of the disk was looked at.
    pub fn is_complete(&self) -> bool {
        !self.stopped && self.problems == 0 && self.volumes.iter().all(|sum| sum.summary.is_complete())
    }
}

/// Hears of an item: the name of its volume, empty for the whole disk; the volume's bytes, which a stream's
/// [`Content`](crate::Content) is read from; and the item, with paths that begin at the volume's root.
pub type Sink<'s> = dyn FnMut(&str, &Arc<dyn ImageReader>, Item) -> ControlFlow<()> + 's;

/// Gives every file of every volume of the container to `sink`, which may break off.
pub fn walk(container: &Container, sink: &mut Sink<'_>) -> Walked {
    let mut walked = Walked::default();
    let disk = &container.disk;
    let parts = Parts::of(disk);
    walked.notices.clone_from(&container.notices);
    walked.notices.extend(parts.notices);
    let gaps = container.gaps.iter().map(|(what, at)| (String::new(), damaged(what, *at)));
    for (volume, fault) in parts.problems.into_iter().chain(gaps) {
        walked.problem(sink, &volume, disk, fault);
    }
    if parts.volumes.is_empty() && walked.problems == 0 {
        walked.problem(sink, "", disk, Fault::Unsupported("a disk without volumes".into()));
    }
    let mut holes = Holes::default();
    for (volume, bytes) in parts.volumes {
        if walked.stopped {
            break;
        }
        walked.volume(sink, &bytes, volume, &mut holes);
    }
    walked
}

/// What a disk has of volumes: those of its table, and behind them the logical ones that LVM makes of some of these.
pub(crate) struct Parts {
    pub(crate) volumes: Vec<(Volume, Arc<dyn ImageReader>)>,
    /// By the name of the volume, which is empty for the whole disk.
    problems: Vec<(String, Fault)>,
    notices: Vec<&'static str>,
}

impl Parts {
    pub(crate) fn of(disk: &Arc<dyn ImageReader>) -> Parts {
        let table = volumes(&**disk);
        let problems = table.problems.into_iter().map(|fault| (String::new(), fault)).collect();
        let mut parts = Parts { volumes: Vec::new(), problems, notices: table.notices };
        let mut physical = Vec::new();
        for volume in table.volumes {
            let window: Arc<dyn ImageReader> = match Window::new(Arc::clone(disk), volume.start, volume.len) {
                Ok(window) => Arc::new(window),
                Err(fault) => {
                    parts.problems.push((volume.name, fault));
                    continue;
                }
            };
            if signature::of(&*window) == Some(Kind::Lvm) {
                physical.push((volume.name, window));
            } else {
                parts.volumes.push((volume, window));
            }
        }
        let logical = lvm::volumes(&physical);
        parts.problems.extend(logical.problems);
        parts.notices.extend(logical.notices);
        for (name, bytes) in logical.volumes {
            let volume = Volume { name, start: 0, len: bytes.size(), purpose: None };
            parts.volumes.push((volume, bytes));
        }
        parts
    }
}

impl Walked {
    fn volume(
        &mut self,
        sink: &mut Sink<'_>,
        window: &Arc<dyn ImageReader>,
        volume: Volume,
        holes: &mut Holes,
    ) {
        let system = match open(window, &volume) {
            Ok(Opened::Files(system)) => system,
            Ok(Opened::Nothing(what)) => {
                let item = Item::Other { paths: vec![b"/".to_vec()], kind: Entry::NoFileSystem(what) };
                self.stopped |= sink(&volume.name, window, item).is_break();
                return;
            }
            Err(fault) => return self.problem(sink, &volume.name, window, fault),
        };
        let bytes = system.image().unwrap_or_else(|| Arc::clone(window));
        let mut stopped = false;
        let mut n_refused = 0;
        let mut summary = system.walk(&mut |item| {
            let item = match item {
                Item::Stream(mut stream) => match holes.take(&stream) {
                    Ok(()) => Item::Stream(stream),
                    Err(fault) => {
                        n_refused += 1;
                        Item::Problem { path: stream.paths.swap_remove(0), fault }
                    }
                },
                item => item,
            };
            let flow = sink(&volume.name, &bytes, item);
            stopped |= flow.is_break();
            flow
        });
        summary.streams -= n_refused;
        summary.lost += n_refused;
        summary.problems += n_refused;
        self.stopped |= stopped;
        if system.kind() == "NTFS" && !stopped {
            match shadows::count(&**window) {
                Ok(0) => {}
                Ok(n) => self.problem(sink, &volume.name, window, Fault::Snapshots { n }),
                Err(fault) => self.problem(sink, &volume.name, window, fault),
            }
        }
        if !summary.adds_up() && !stopped {
            let fault = damaged("what is in use is not all accounted for", summary.allocated);
            self.problem(sink, &volume.name, window, fault);
        }
        self.volumes.push(Sum { volume, kind: system.kind(), summary });
    }

    fn problem(&mut self, sink: &mut Sink<'_>, volume: &str, bytes: &Arc<dyn ImageReader>, fault: Fault) {
        self.problems += 1;
        if !self.stopped {
            self.stopped = sink(volume, bytes, Item::Problem { path: b"/".to_vec(), fault }).is_break();
        }
    }
}

pub(crate) enum Opened {
    Files(Box<dyn FileSystem>),
    /// By its nature there are no files in it.
    Nothing(&'static str),
}

pub(crate) fn open(window: &Arc<dyn ImageReader>, volume: &Volume) -> Result<Opened, Fault> {
    let files = |system: Box<dyn FileSystem>| Ok(Opened::Files(system));
    match (signature::of(&**window), volume.purpose) {
        (Some(Kind::Ext), _) => files(Box::new(Ext::open(Arc::clone(window))?)),
        (Some(Kind::Ntfs), _) => files(Box::new(Ntfs::open(Arc::clone(window))?)),
        (Some(Kind::Fat), _) => files(Box::new(Fat::open(Arc::clone(window))?)),
        (Some(Kind::ExFat), _) => files(Box::new(ExFat::open(Arc::clone(window))?)),
        (Some(Kind::Btrfs), _) => files(Box::new(Btrfs::open(Arc::clone(window))?)),
        (Some(Kind::Iso), _) => files(Box::new(Iso::open(Arc::clone(window))?)),
        (Some(Kind::Xfs), _) => files(Box::new(Xfs::open(Arc::clone(window))?)),
        (Some(Kind::Lvm), _) => {
            Err(Fault::Unsupported("a physical volume of LVM2 within a logical one".into()))
        }
        #[cfg(feature = "hfs")]
        (Some(Kind::Named(signature::HFS_PLUS)), _) => files(Box::new(HfsPlus::open(Arc::clone(window))?)),
        (Some(Kind::Swap), _) => Ok(Opened::Nothing("swap")),
        (Some(Kind::Named(name)), _) => Err(Fault::Unsupported(format!("a volume of the kind {name}"))),
        (Some(Kind::Unknown) | None, Some(purpose)) => Ok(Opened::Nothing(purpose)),
        (Some(Kind::Unknown) | None, None) => Err(Fault::Unsupported("a volume of no known kind".into())),
    }
}
