//! Why an entry has no digest.

use std::fmt;
use std::str::FromStr;

/// The closed list of reasons for a `skipped` row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipKind {
    /// A symbolic link that was not followed.
    SymbolicLink,
    /// A symbolic link to nothing (only told apart when links are followed).
    DanglingLink,
    /// A link that leads back to where it came from, or to a directory that was walked already.
    LinkLoop,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A file system that shows the kernel, not a disk (proc, sysfs and their like).
    PseudoFileSystem,
    /// Our own open case, output or log.
    OwnFile,
    /// A volume of an image that holds no files by its nature.
    NotAFileSystem,
    /// A deleted file whose content is no longer there.
    NotRecoverable,
    /// It could not be opened or listed.
    Unreadable,
    /// Reading began and failed.
    IoError,
    /// Its content or metadata changed during the reading, twice.
    ChangedWhileReading,
    /// It was listed and then gone.
    Vanished,
    /// A root that does not exist.
    MissingRoot,
    /// A limit of ours stopped the reading.
    Limit,
    /// A part of an image contradicts its format or its checksum.
    Damaged,
    /// A part of an image of a kind that this version does not read.
    Unsupported,
    /// Earlier states of a volume, kept beside the live one.
    Snapshots,
}

impl SkipKind {
    const ALL: [SkipKind; 20] = [
        SkipKind::SymbolicLink,
        SkipKind::DanglingLink,
        SkipKind::LinkLoop,
        SkipKind::Fifo,
        SkipKind::Socket,
        SkipKind::BlockDevice,
        SkipKind::CharacterDevice,
        SkipKind::PseudoFileSystem,
        SkipKind::OwnFile,
        SkipKind::NotAFileSystem,
        SkipKind::NotRecoverable,
        SkipKind::Unreadable,
        SkipKind::IoError,
        SkipKind::ChangedWhileReading,
        SkipKind::Vanished,
        SkipKind::MissingRoot,
        SkipKind::Limit,
        SkipKind::Damaged,
        SkipKind::Unsupported,
        SkipKind::Snapshots,
    ];

    /// The words in the `reason` column.
    pub const fn name(self) -> &'static str {
        match self {
            SkipKind::SymbolicLink => "symbolic link",
            SkipKind::DanglingLink => "dangling link",
            SkipKind::LinkLoop => "link loop",
            SkipKind::Fifo => "fifo",
            SkipKind::Socket => "socket",
            SkipKind::BlockDevice => "block device",
            SkipKind::CharacterDevice => "character device",
            SkipKind::PseudoFileSystem => "pseudo file system",
            SkipKind::OwnFile => "own file",
            SkipKind::Unreadable => "unreadable",
            SkipKind::IoError => "i/o error",
            SkipKind::ChangedWhileReading => "changed while reading",
            SkipKind::Vanished => "vanished",
            SkipKind::MissingRoot => "missing root",
            SkipKind::Limit => "limit",
            SkipKind::NotAFileSystem => "not a file system",
            SkipKind::NotRecoverable => "not recoverable",
            SkipKind::Damaged => "damaged",
            SkipKind::Unsupported => "not supported",
            SkipKind::Snapshots => "snapshots",
        }
    }

    /// Whether something may be there that nobody looked at. Only these make a sweep incomplete.
    pub const fn is_not_looked_at(self) -> bool {
        match self {
            SkipKind::SymbolicLink
            | SkipKind::DanglingLink
            | SkipKind::LinkLoop
            | SkipKind::Fifo
            | SkipKind::Socket
            | SkipKind::BlockDevice
            | SkipKind::CharacterDevice
            | SkipKind::PseudoFileSystem
            | SkipKind::OwnFile
            | SkipKind::NotAFileSystem
            | SkipKind::NotRecoverable => false,
            SkipKind::Unreadable
            | SkipKind::IoError
            | SkipKind::ChangedWhileReading
            | SkipKind::Vanished
            | SkipKind::MissingRoot
            | SkipKind::Limit
            | SkipKind::Damaged
            | SkipKind::Unsupported
            | SkipKind::Snapshots => true,
        }
    }
}

impl fmt::Display for SkipKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why one entry was skipped: `unreadable: permission denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The kind of reason, which decides whether the sweep is still complete.
    pub kind: SkipKind,
    /// More words, or empty.
    pub detail: String,
}

impl Skip {
    /// A reason that needs no more words.
    pub fn new(kind: SkipKind) -> Skip {
        Skip { kind, detail: String::new() }
    }

    /// A reason with the system's own words.
    pub fn because(kind: SkipKind, detail: impl fmt::Display) -> Skip {
        Skip { kind, detail: detail.to_string() }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// A reason that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotASkip;

/// Reads back what [`Display`](fmt::Display) wrote.
impl FromStr for Skip {
    type Err = NotASkip;

    fn from_str(text: &str) -> Result<Skip, NotASkip> {
        let (name, detail) = text.split_once(": ").unwrap_or((text, ""));
        let kind = SkipKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(NotASkip)?;
        Ok(Skip::because(kind, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back() {
        for kind in SkipKind::ALL {
            for skip in [Skip::new(kind), Skip::because(kind, "permission denied: really")] {
                assert_eq!(skip.to_string().parse::<Skip>().unwrap(), skip);
            }
        }
        assert_eq!("something else".parse::<Skip>(), Err(NotASkip));
    }
}
