//! The files inside disk images become sightings. How an image is taken apart is the `image` crate's business.
//!
//! ```text
//!  image ─► walk (this thread) ─► rows without content ─────────────► Rows::take
//!                              └► streams, sorted by place ─► readers ┘
//! ```
//!
//! One thread goes through the metadata, the others read and hash. A row's path is `IMAGE:/VOLUME/PATH`, with the
//! volume's name as the table counts it (`p2`; `p0` without a table) or as the user calls it. Nothing that the walk
//! reports is without a row of its own: paths that occur twice, as on a damaged or hostile volume, are told apart.

mod finder;
mod reader;

use crate::crew::Ending;
use crate::walk::{WalkError, check_roots_of};
use crate::{Gauges, Globs, OwnFiles, Recorded, Root, Rows};
use finder::{Finder, Remark};
use hashsweep_image::Fault;
use hashsweep_lanes::Engine;
use hashsweep_model::{Kinds, Skip, SkipKind};
use reader::{Reader, Task};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Groups of files on their way to the readers, for each of them: enough that none waits for the walk.
const WAITING: usize = 8;

/// Behind the name of a volume: what follows was deleted from it. No name of a volume ends so, and thus no path of a
/// live file, whatever it is called, looks like that of a deleted one.
const DELETED: &str = "$Deleted";

/// Which images to read, and how.
#[derive(Clone, Debug)]
pub struct ImageOrder {
    /// The images, each by its first piece.
    pub roots: Vec<Root>,
    /// What to compute; the first is what the rows say is asked.
    pub kinds: Kinds,
    /// How volumes are called in paths.
    pub path_map: PathMap,
    /// Whether to hold the disk against the digests that are stored with it.
    pub verify: bool,
    /// Whether to take the images for raw disks, whatever containers they look like.
    pub raw: bool,
    /// Whether to look for deleted files, too.
    pub deleted: bool,
    /// As in a [`Walk`](crate::Walk).
    pub include: Globs,
    /// As in a [`Walk`](crate::Walk).
    pub exclude: Globs,
    /// Smaller files are left out.
    pub min_size: Option<u64>,
    /// Larger files are left out.
    pub max_size: Option<u64>,
    /// What is not to be opened at all.
    pub own: OwnFiles,
    /// Threads that read and hash.
    pub jobs: NonZeroUsize,
    /// What they hash with.
    pub engine: Engine,
}

/// What the user calls volumes: `p2=C:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathMap(Vec<(String, String)>);

impl PathMap {
    /// Puts names together, of which each may stand for one volume only, or paths would no longer tell them apart.
    pub fn new(names: impl IntoIterator<Item = Named>) -> Result<PathMap, String> {
        let mut map = PathMap::default();
        for Named { volume, name } in names {
            if map.0.iter().any(|(known, as_known)| *known == volume || *as_known == name) {
                return Err(format!("{volume}={name}: a volume has one name, and a name one volume"));
            }
            map.0.push((volume, name));
        }
        Ok(map)
    }

    fn volumes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(volume, _)| volume.as_str())
    }

    fn name<'a>(&'a self, volume: &'a str) -> &'a str {
        self.0.iter().find(|(known, _)| known == volume).map_or(volume, |(_, name)| name)
    }
}

/// One volume and what the user calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    volume: String,
    name: String,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        let (volume, name) = text.split_once('=').ok_or("write it as p2=C:")?;
        if !is_volume(volume) {
            return Err(format!(
                "'{volume}' is no volume; they are called p0, p1, p2 and so on, and lvm-GROUP-VOLUME"
            ));
        }
        if name.is_empty() || name.contains(['/', '\0']) || name.ends_with(DELETED) || is_volume(name) {
            return Err(format!(
                "'{name}' cannot stand for a volume: it is empty, holds a slash, or is another's"
            ));
        }
        Ok(Named { volume: volume.to_owned(), name: name.to_owned() })
    }
}

fn is_volume(text: &str) -> bool {
    let is_partition =
        text.strip_prefix('p').is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
    is_partition || text.strip_prefix("lvm-").is_some_and(|names| names.contains('-'))
}

/// How the reading of images ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imaged {
    /// Whether every file was offered; `false` after a stop, or when nobody wanted more.
    pub finished: bool,
    /// Files that the filters left out.
    pub excluded: u64,
    /// What there is to say: a line a volume with its sum, and what was noticed.
    pub remarks: Vec<String>,
}

/// Whether every image is there and can be opened. [`read_images`] begins with this.
pub fn check_images(order: &ImageOrder) -> Result<(), WalkError> {
    check_roots_of(&order.roots, &order.own)?;
    match order.roots.iter().find(|root| root.open_at.is_dir()) {
        Some(root) => Err(WalkError::UnreadableRoot {
            path: root.open_at.clone(),
            source: std::io::Error::from(std::io::ErrorKind::IsADirectory),
        }),
        None => Ok(()),
    }
}

/// Reads the files in the images, hashes them, and offers one row for every name of every file and one for all that
/// could not be looked at.
///
/// Rows come in no order. `stop` is looked at between files and between the blocks of a large one; a file whose
/// reading was broken off has no row.
pub fn read_images(
    order: &ImageOrder,
    rows: &dyn Rows,
    recorded: &dyn Recorded,
    gauges: &Gauges,
    stop: &AtomicBool,
) -> Result<Imaged, WalkError> {
    check_images(order)?;
    let ending = Ending::new(stop, None);
    let (sender, tasks) = sync_channel::<Vec<Task>>(WAITING * order.jobs.get());
    let tasks = Mutex::new(tasks);
    thread::scope(|scope| {
        for nth in 0..order.jobs.get() {
            let reader = Reader::new(order, rows, gauges, &ending);
            let tasks = &tasks;
            thread::Builder::new()
                .name(format!("reader {nth}"))
                .spawn_scoped(scope, move || reader.run(tasks))
                .map_err(|error| WalkError::NoThreads(error.to_string()))?;
        }
        let mut finder = Finder::new(order, rows, recorded, gauges, &ending, sender);
        for (nth, root) in (0u32..).zip(&order.roots) {
            finder.image(nth, root);
        }
        Ok(finder.end())
    })
    .map(|(excluded, remarks)| {
        // Here all readers have ended.
        let remarks = remarks.into_iter().map(Remark::into_text).collect();
        Imaged { finished: ending.is_whole(), excluded, remarks }
    })
}

/// Why there is no digest, as a row says it.
fn skip_of(fault: &Fault) -> Skip {
    match fault {
        Fault::Io { .. } => Skip::because(SkipKind::IoError, fault),
        Fault::PastEnd { .. } => Skip::because(SkipKind::Damaged, fault),
        Fault::Damaged { what, offset } => {
            Skip::because(SkipKind::Damaged, format_args!("{what} at byte {offset}"))
        }
        Fault::Unsupported(what) => Skip::because(SkipKind::Unsupported, what),
        Fault::Missing(_) => Skip::because(SkipKind::Unreadable, fault),
        Fault::Overwritten { .. } => Skip::because(SkipKind::NotRecoverable, fault),
        Fault::Snapshots { n } => Skip::because(SkipKind::Snapshots, format_args!("{n} not looked at")),
        Fault::Limit { .. } => Skip::because(SkipKind::Limit, fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_one_name_and_a_name_one_volume() {
        let map = |texts: &[&str]| {
            let named: Result<Vec<Named>, _> = texts.iter().map(|text| text.parse()).collect();
            named.and_then(PathMap::new)
        };
        let drives = map(&["p2=C:", "p3=D:"]).unwrap();
        assert_eq!((drives.name("p2"), drives.name("p3"), drives.name("p1")), ("C:", "D:", "p1"));
        assert_eq!(map(&["lvm-vg-root=root"]).unwrap().name("lvm-vg-root"), "root");
        for wrong in [
            &["p2=C:", "p3=C:"][..],
            &["p2=C:", "p2=D:"],
            &["p2=p3"],
            &["2=C:"],
            &["p2"],
            &["p2="],
            &["p2=a/b"],
            &["p2=C$Deleted"],
            &["p2=lvm-vg-root"],
        ] {
            assert!(map(wrong).is_err(), "{wrong:?}");
        }
    }
}
