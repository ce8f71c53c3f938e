//! Directories as a tree of handles, of which only so many are open at a time.
//!
//! A name is always looked up below an open directory, so no component of a path is ever followed and a path may
//! be longer than the kernel would take in one piece. A tree may be deeper than the descriptors a process has,
//! so a directory's descriptor can be put away; when it is needed again, the way down is walked again from the
//! nearest ancestor that is open, and every directory on it must still be the one it was.

use crate::meta::{Id, Links, Meta, refused};
use hashsweep_model::{Skip, SkipKind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

/// Descriptors that directories may keep while nobody works in them. Enough for any honest tree's depth; a
/// quarter of the process's limit where that is less (the rest is for the files being read and for the case).
const MAX_HELD: u64 = 256;

/// One directory on the way down.
pub(crate) struct Dir {
    /// Which of the sweep's roots it lies under.
    pub(crate) root: u32,
    /// Who it is; a descriptor that is not this directory is never used for it.
    pub(crate) id: Id,
    /// 0 for a root.
    pub(crate) depth: usize,
    /// `None` for a root.
    parent: Option<Arc<Dir>>,
    name: Box<[u8]>,
    links: Links,
    /// For a root: what to open, where that is not its name.
    open_at: Option<Box<Path>>,
    handle: Mutex<Option<Arc<OwnedFd>>>,
}

impl Dir {
    /// A root; `shown` is what its rows start with.
    pub(crate) fn root(root: u32, shown: &[u8], open_at: &Path, id: Id) -> Arc<Dir> {
        Arc::new(Dir {
            root,
            id,
            depth: 0,
            parent: None,
            name: shown.into(),
            links: Links::Follow,
            open_at: Some(open_at.into()),
            handle: Mutex::default(),
        })
    }

    /// A directory in this one.
    pub(crate) fn child(self: &Arc<Dir>, name: &[u8], links: Links, id: Id) -> Arc<Dir> {
        Arc::new(Dir {
            root: self.root,
            id,
            depth: self.depth + 1,
            parent: Some(Arc::clone(self)),
            name: name.into(),
            links,
            open_at: None,
            handle: Mutex::default(),
        })
    }

    /// The path of an entry in it is this with the entry's name behind it.
    pub(crate) fn path_with_slash(&self) -> Vec<u8> {
        let mut names: Vec<&[u8]> = self.and_ancestors().map(|dir| &*dir.name).collect();
        let mut path = names.pop().expect("a directory has a name").to_vec();
        for name in names.into_iter().rev() {
            push_slash(&mut path);
            path.extend_from_slice(name);
        }
        push_slash(&mut path);
        path
    }

    /// Whether a directory inside this one is this one or holds it: a damaged or hostile file system.
    pub(crate) fn is_within(&self, id: Id) -> bool {
        self.and_ancestors().any(|dir| dir.id == id)
    }

    fn and_ancestors(&self) -> impl Iterator<Item = &Dir> {
        std::iter::successors(Some(self), |dir| dir.parent.as_deref())
    }

    fn handle(&self) -> Option<Arc<OwnedFd>> {
        self.handle.lock().expect("no panic while it is held").clone()
    }

    /// Its descriptor, opened again if it was put away.
    pub(crate) fn open(self: &Arc<Dir>, desk: &Desk) -> Result<Arc<OwnedFd>, Skip> {
        if let Some(fd) = self.handle() {
            return Ok(fd);
        }
        let mut way = vec![self];
        let mut above = None;
        while let Some(parent) = way.last().and_then(|dir| dir.parent.as_ref()) {
            above = parent.handle();
            if above.is_some() {
                break;
            }
            way.push(parent);
        }
        loop {
            let dir = way.pop().expect("the way ends at this directory, where the loop returns");
            let fd = match &above {
                Some(above) => open_dir(above, &*dir.name, dir.links),
                None => open_root(dir.open_at.as_deref().unwrap_or(Path::new("."))),
            };
            let fd = fd.map_err(refused)?;
            if Meta::of(&fd).map_err(refused)?.id != dir.id {
                return Err(Skip::because(SkipKind::Vanished, "its directory was replaced"));
            }
            let fd = Arc::new(fd);
            // The directories just above will be needed next, one after the other, on the way back up: without
            // this a deep tree would be walked down again from its top for each of them.
            if way.len() < desk.limit / 4 {
                desk.hold(dir, &fd);
            }
            if way.is_empty() {
                return Ok(fd);
            }
            above = Some(fd);
        }
    }
}

/// A chain of ten thousand directories, dropped one inside the other, would overflow the stack.
impl Drop for Dir {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut dir) = next.and_then(Arc::into_inner) {
            next = dir.parent.take();
        }
    }
}

fn push_slash(path: &mut Vec<u8>) {
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
}

/// The directories that keep their descriptors, oldest first. Work goes depth first, so the oldest is the one
/// that will be needed last.
pub(crate) struct Desk {
    held: Mutex<VecDeque<Weak<Dir>>>,
    limit: usize,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let of_process = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let limit = (of_process / 4).clamp(8, MAX_HELD);
        Desk::with_limit(usize::try_from(limit).expect("at most MAX_HELD"))
    }

    fn with_limit(limit: usize) -> Desk {
        Desk { held: Mutex::default(), limit }
    }

    /// Lets the directory keep the descriptor, until it is dropped or so many others came after it.
    pub(crate) fn hold(&self, dir: &Arc<Dir>, fd: &Arc<OwnedFd>) {
        *dir.handle.lock().expect("no panic while it is held") = Some(Arc::clone(fd));
        let oldest = {
            let mut held = self.held.lock().expect("no panic while it is held");
            held.push_back(Arc::downgrade(dir));
            if held.len() > self.limit { held.pop_front() } else { None }
        };
        if let Some(dir) = oldest.and_then(|dir| dir.upgrade()) {
            dir.handle.lock().expect("no panic while it is held").take();
        }
    }
}

/// Opens a directory for listing. A descriptor for `O_PATH` would do for looking up names, but not for that.
pub(crate) fn open_dir(above: impl AsFd, name: impl Arg + Copy, links: Links) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, links == Links::Never);
    // Listing would change the directory's access time. Only its owner may prevent that.
    match retry_on_intr(|| openat(&above, name, flags | OFlags::NOATIME, Mode::empty())) {
        Err(Errno::PERM) => retry_on_intr(|| openat(&above, name, flags, Mode::empty())),
        done => done,
    }
}

/// Opens a root that is a directory. The user named it, so links on the way and at the end are followed.
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    with_root(path, |above, rest| open_dir(above, rest, Links::Follow))
}

/// Longest piece of a root's path that goes to the kernel at once: `PATH_MAX` is 4096 with the final NUL.
const MAX_PIECE: usize = 4000;

/// Runs an operation on a root's path, which may be longer than the kernel takes: then the directories on the
/// way are opened piece by piece.
pub(crate) fn with_root<T>(
    path: &Path,
    run: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut rest = path.as_os_str().as_bytes();
    let mut above: Option<OwnedFd> = None;
    while rest.len() > MAX_PIECE {
        let cut = rest[..MAX_PIECE].iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        let (piece, after) = rest.split_at(cut + 1);
        let from = above.as_ref().map_or(CWD, AsFd::as_fd);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        above = Some(retry_on_intr(|| openat(from, piece, flags, Mode::empty()))?);
        // The cut may fall on one of several slashes; what follows must not turn absolute.
        rest = &after[after.iter().take_while(|byte| **byte == b'/').count()..];
        if rest.is_empty() {
            rest = b".";
        }
    }
    run(above.as_ref().map_or(CWD, AsFd::as_fd), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn id_of(path: &Path) -> Id {
        Meta::at(CWD, path, Links::Never).unwrap().id
    }

    #[test]
    fn a_descriptor_that_was_put_away_comes_back_and_never_for_another_directory() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        let desk = Desk::with_limit(8);
        let root = Dir::root(0, b"shown", top.path(), id_of(top.path()));
        let a = root.child(b"a", Links::Never, id_of(&top.path().join("a")));
        let b = a.child(b"b", Links::Never, id_of(&top.path().join("a/b")));
        let c = b.child(b"c", Links::Never, id_of(&deep));
        assert_eq!(c.path_with_slash(), b"shown/a/b/c/");
        assert_eq!(Meta::of(c.open(&desk).unwrap()).unwrap().id, c.id);
        assert!(b.handle().is_some(), "the directory above is kept for the way back");

        for dir in [&root, &a, &b, &c] {
            dir.handle.lock().unwrap().take();
        }
        fs::rename(top.path().join("a"), top.path().join("old")).unwrap();
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(c.open(&desk).unwrap_err().kind, SkipKind::Vanished);
    }

    #[test]
    fn no_more_descriptors_are_held_than_allowed() {
        let top = tempfile::tempdir().unwrap();
        let desk = Desk::with_limit(8);
        let dirs: Vec<Arc<Dir>> = (0..20)
            .map(|i| {
                let path = top.path().join(i.to_string());
                fs::create_dir(&path).unwrap();
                let dir = Dir::root(0, b"x", &path, id_of(&path));
                dir.open(&desk).unwrap();
                dir
            })
            .collect();
        assert_eq!(dirs.iter().filter(|dir| dir.handle().is_some()).count(), 8);
        assert!(dirs[0].open(&desk).is_ok());
    }

    #[test]
    fn a_long_chain_is_dropped_without_deep_recursion() {
        let mut dir = Dir::root(0, b"/", Path::new("/"), Id { dev: 0, ino: 0 });
        for ino in 1..200_000 {
            dir = dir.child(b"d", Links::Never, Id { dev: 0, ino });
        }
        assert_eq!(dir.depth, 199_999);
        drop(dir);
    }
}
