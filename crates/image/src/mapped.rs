//! Virtual disks that are maps: QCOW2, VHD and VDI say for every run of the disk where its bytes are.

use crate::cache::Chunks;
use crate::container;
use crate::fault::{Fault, damaged, plus};
use crate::pieces::Piece;
use crate::reader::{Files, ImageReader, Place, read_exact_at};
use std::path::Path;
use std::sync::Arc;

/// Images that stand upon one another.
const MOST_PARENTS: u32 = 16;

/// Where a run of the disk's bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// In the container's file, from this position on.
    Host(u64),
    /// Nowhere: zeros.
    Zero,
    /// On the disk that this one stands upon, at the same position; zeros if there is none.
    Parent,
    /// In a compressed cluster: what [`Map::decode`] needs, and the position in what it gives.
    Packed { key: u64, skip: u64 },
}

/// A container's map.
pub(crate) trait Map: Send + Sync {
    /// The disk's bytes.
    fn size(&self) -> u64;

    /// Where the byte at `offset` is, and for how many bytes from it on the answer holds; more than none.
    fn run(&self, file: &Piece, offset: u64) -> Result<(Run, u64), Fault>;

    /// The compressed cluster of this key, whole.
    fn decode(&self, _file: &Piece, key: u64) -> Result<Vec<u8>, Fault> {
        Err(damaged("a compressed cluster in a format that has none", key))
    }
}

/// The disk that a map describes.
pub(crate) struct Mapped<M> {
    file: Piece,
    map: M,
    parent: Option<Arc<dyn ImageReader>>,
    decoded: Chunks,
}

impl<M: Map> Mapped<M> {
    pub(crate) fn new(file: Piece, map: M, parent: Option<Arc<dyn ImageReader>>) -> Mapped<M> {
        Mapped { file, map, parent, decoded: Chunks::default() }
    }

    fn of_parent(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let there = self.parent.as_ref().map_or(0, |parent| parent.size().saturating_sub(offset));
        let n = usize::try_from(there).unwrap_or(usize::MAX).min(buf.len());
        // A parent may be shorter than the disk that stands upon it.
        buf[n..].fill(0);
        match &self.parent {
            Some(parent) if n > 0 => read_exact_at(&**parent, offset, &mut buf[..n]),
            _ => Ok(()),
        }
    }
}

impl<M: Map> ImageReader for Mapped<M> {
    fn size(&self) -> u64 {
        self.map.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let left = usize::try_from(self.map.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let end = left.min(buf.len());
        let mut done = 0;
        while done < end {
            let at = plus(offset, done as u64, "a position beyond all sizes")?;
            let (run, len) = self.map.run(&self.file, at)?;
            let n = usize::try_from(len).unwrap_or(usize::MAX).min(end - done);
            let part = &mut buf[done..done + n];
            match run {
                Run::Zero => part.fill(0),
                Run::Parent => self.of_parent(at, part)?,
                Run::Host(from) => {
                    if from.checked_add(n as u64).is_none_or(|end| end > self.file.len) {
                        return Err(damaged("the container ends before what it says it holds", at));
                    }
                    self.file.read_exact(from, part)?;
                }
                Run::Packed { key, skip } => {
                    let cluster = self.decoded.get(key, || self.map.decode(&self.file, key))?;
                    let bytes = usize::try_from(skip).ok().and_then(|skip| cluster.get(skip..)?.get(..n));
                    part.copy_from_slice(
                        bytes.ok_or_else(|| damaged("a compressed cluster is too short", at))?,
                    );
                }
            }
            done += n;
        }
        Ok(end)
    }

    fn locate(&self, offset: u64) -> Place {
        match self.map.run(&self.file, offset) {
            Ok((Run::Host(at), _)) => Place::Host(at),
            Ok((Run::Packed { key, .. }, _)) => Place::Chunk(key),
            Ok((Run::Parent, _)) => self.parent.as_ref().map_or(Place::Zero, |parent| parent.locate(offset)),
            Ok((Run::Zero, _)) | Err(_) => Place::Zero,
        }
    }

    fn files(&self, files: &mut Files) {
        self.file.count(files);
        if let Some(parent) = &self.parent {
            parent.files(files);
        }
    }
}

/// Opens the disk that the one at `child` stands upon. An image comes from somebody else's machine: it may say what
/// its parent is called and never where to look for it, so that it cannot choose a file of the examiner's.
pub(crate) fn parent(child: &Path, named: &str, depth: u32) -> Result<Arc<dyn ImageReader>, Fault> {
    let path = beside(child, named)?;
    if depth >= MOST_PARENTS {
        return Err(Fault::Limit { what: "disks upon one another", limit: MOST_PARENTS.into() });
    }
    let parent = container::open_upon(&path, depth + 1)?;
    match parent.gaps.first() {
        Some((what, at)) => Err(damaged(what, *at)),
        None => Ok(parent.disk),
    }
}

/// The file of that name beside `image`, whatever directory the name says.
pub(crate) fn beside(image: &Path, named: &str) -> Result<std::path::PathBuf, Fault> {
    let name = named.rsplit(['/', '\\']).next().unwrap_or_default();
    let missing = || Fault::Missing(format!("{named:?}, looked for beside the image"));
    if matches!(name, "" | "." | "..") {
        return Err(missing());
    }
    let path = image.with_file_name(name);
    if !path.is_symlink() {
        return if path.exists() { Ok(path) } else { Err(missing()) };
    }
    // Whoever packed the files chose where it leads.
    let target = path.canonicalize().map_err(|_| missing())?;
    let dir = image.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if dir.canonicalize().is_ok_and(|dir| target.parent() == Some(&dir)) {
        Ok(target)
    } else {
        Err(Fault::Unsupported(format!("{named:?}, a link that leads out of the image's directory")))
    }
}
