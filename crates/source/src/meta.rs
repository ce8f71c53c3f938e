//! What the file system says about an entry, and how its refusals are put into words.

use hashsweep_model::{Skip, SkipKind, Stamp};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;
use std::io;

/// Whether a link in the last component is followed. No other component ever is one: names are looked up one at
/// a time below a directory that is held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Never,
    Follow,
}

/// What makes two names the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    seconds: i64,
    nanos: u32,
}

impl Time {
    /// Rounded down, so that a file is never called newer than it is.
    pub(crate) fn stamp(self) -> Stamp {
        Stamp(self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000)))
    }

    /// `None` for a moment that is out of 64 bits' reach, in the year 2262.
    pub(crate) fn nanos(self) -> Option<i64> {
        self.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(self.nanos))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) id: Id,
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    pub(crate) n_links: u32,
    pub(crate) uid: u32,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
    /// Where the file system knows when that was.
    pub(crate) born: Option<Time>,
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

impl Meta {
    /// The entry of this name.
    pub(crate) fn at(dir: impl AsFd, name: impl Arg + Copy, links: Links) -> Result<Meta, Errno> {
        let flags = match links {
            Links::Never => AtFlags::SYMLINK_NOFOLLOW,
            Links::Follow => AtFlags::empty(),
        };
        retry_on_intr(|| statx(&dir, name, flags, WANTED)).map(|found| Meta::from(&found))
    }

    /// The open file itself, whatever its name points at by now.
    pub(crate) fn of(fd: impl AsFd) -> Result<Meta, Errno> {
        retry_on_intr(|| statx(&fd, c"", AtFlags::EMPTY_PATH, WANTED)).map(|found| Meta::from(&found))
    }

    /// Whether nothing was written in between. Our own reading changes neither of the two times.
    pub(crate) fn is_unchanged_from(&self, earlier: &Meta) -> bool {
        self.id == earlier.id
            && self.size == earlier.size
            && self.modified == earlier.modified
            && self.changed == earlier.changed
    }
}

impl From<&Statx> for Meta {
    fn from(found: &Statx) -> Meta {
        let time = |time: StatxTimestamp| Time { seconds: time.tv_sec, nanos: time.tv_nsec };
        Meta {
            id: Id {
                dev: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
                ino: found.stx_ino,
            },
            kind: FileType::from_raw_mode(found.stx_mode.into()),
            size: found.stx_size,
            n_links: found.stx_nlink,
            uid: found.stx_uid,
            modified: time(found.stx_mtime),
            changed: time(found.stx_ctime),
            born: StatxFlags::from_bits_retain(found.stx_mask)
                .contains(StatxFlags::BTIME)
                .then(|| time(found.stx_btime)),
        }
    }
}

/// The system's own words in lower case and without the number: `permission denied`.
pub(crate) fn words(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Why something that was listed could not be looked at or opened.
pub(crate) fn refused(errno: Errno) -> Skip {
    match errno {
        Errno::NOENT | Errno::STALE => Skip::new(SkipKind::Vanished),
        _ => Skip::because(SkipKind::Unreadable, words(errno)),
    }
}

/// The reason for an entry that has no content to read; `None` for files and directories.
pub(crate) fn nothing_to_read(kind: FileType) -> Option<Skip> {
    let kind = match kind {
        FileType::Symlink => SkipKind::SymbolicLink,
        FileType::Fifo => SkipKind::Fifo,
        FileType::Socket => SkipKind::Socket,
        FileType::CharacterDevice => SkipKind::CharacterDevice,
        FileType::BlockDevice => SkipKind::BlockDevice,
        FileType::RegularFile | FileType::Directory => return None,
        FileType::Unknown => {
            return Some(Skip::because(SkipKind::Unreadable, "neither a file nor a directory"));
        }
    };
    Some(Skip::new(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_in_the_systems_words() {
        assert_eq!(refused(Errno::ACCESS).to_string(), "unreadable: permission denied");
        assert_eq!(refused(Errno::MFILE).to_string(), "unreadable: too many open files");
        assert_eq!(refused(Errno::NOENT).to_string(), "vanished");
    }

    #[test]
    fn a_time_before_1970_rounds_down() {
        assert_eq!(Time { seconds: -1, nanos: 999_999_999 }.stamp(), Stamp(-1));
        assert_eq!(Time { seconds: 1, nanos: 1_999_999 }.stamp(), Stamp(1001));
    }
}
