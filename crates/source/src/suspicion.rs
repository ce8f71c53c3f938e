//! A file's suspicion, from what its reading knows of it anyway. The rules are the model's.

use crate::Walk;
use hashsweep_image::seems_an_image;
use hashsweep_model::{Content, Location, Stamp, Suspicion};
use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt as _;

/// What a file's first bytes say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) content: Content,
    /// Whether there are files in it that nobody looks at here.
    pub(crate) is_image: bool,
}

impl Head {
    pub(crate) fn of(head: &[u8]) -> Head {
        Head { content: Content::of_head(head), is_image: seems_an_image(head) }
    }
}

thread_local! {
    /// The last root and directory, and where it lies: a thread goes through a directory's files one after the
    /// other. The reading threads belong to one walk, so a root's number names the same root as long as they live.
    static LAST: RefCell<(Option<u32>, Vec<u8>, Location)> =
        const { RefCell::new((None, Vec::new(), Location::Ordinary)) };
}

/// The suspicion of the file that a row shows as `path`.
pub(crate) fn suspicion_of(
    walk: &Walk,
    root: u32,
    path: &[u8],
    content: Content,
    modified: Stamp,
) -> Suspicion {
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let location = LAST.with_borrow_mut(|(last_root, directory, location)| {
        if *last_root != Some(root) || directory[..] != path[..end] {
            *location = Location::of(&absolute(walk, root, &path[..end]));
            *last_root = Some(root);
            directory.clear();
            directory.extend_from_slice(&path[..end]);
        }
        *location
    });
    Suspicion::new(content.under_the_name(path), location, modified, walk.sweep_started)
}

/// `directory` as it would be without the directory that the sweep was started in: `scan .` in a web root is a
/// scan of a web root.
fn absolute(walk: &Walk, root: u32, directory: &[u8]) -> Vec<u8> {
    let root = usize::try_from(root).ok().and_then(|nth| walk.roots.get(nth));
    match root.map(|root| (root, directory.strip_prefix(&root.given[..]))) {
        Some((root, Some(below))) => [root.open_at.as_os_str().as_bytes(), b"/", below].concat(),
        // The root is a file: what is shown of it is the directory it lies in.
        Some((root, None)) => {
            let opened = root.open_at.as_os_str().as_bytes();
            let end = opened.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            opened[..end].to_vec()
        }
        None => directory.to_vec(),
    }
}
