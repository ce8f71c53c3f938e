//! Records of the catalog: folders and files, by the folder that they are in and their name there.

use super::fork::Fork;
use crate::fault::{Fault, be16, be32, damaged};
use crate::utf16::name_of;

pub(super) const ROOT: u32 = 2;
/// What is above the root.
const ABOVE: u32 = 1;

/// Folders in the root that hold what hard links lead to: files, and folders.
const OF_FILES: &[u8] = b"\0\0\0\0HFS+ Private Data";
const OF_FOLDERS: &[u8] = b".HFS+ Private Directory Data\r";

/// Of a record: it is one of several names of a folder.
const IS_IN_A_CHAIN: u16 = 1 << 5;
/// Of the owner's flags: the content is compressed.
const IS_COMPRESSED: u8 = 1 << 5;

/// Where a record stands.
pub(super) struct Key {
    pub(super) parent: u32,
    /// As a path has it.
    pub(super) name: Box<[u8]>,
    pub(super) has_colon: bool,
}

pub(super) enum Record {
    Folder(u32),
    File(Box<File>),
    /// Says once more where a file or folder is.
    Thread,
}

pub(super) struct File {
    pub(super) number: u32,
    mode: u16,
    flags: u16,
    /// Type and creator, as the Finder knows them.
    kind: [u8; 8],
    /// Which file or folder a hard link leads to.
    special: u32,
    pub(super) is_compressed: bool,
    pub(super) data: Fork,
    pub(super) resource: Fork,
}

/// What a record of a file stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File,
    Symlink,
    Fifo,
    Socket,
    Device,
    /// A further name of the file that has this number among those that have several.
    LinkToFile(u32),
    LinkToFolder(u32),
}

impl Key {
    pub(super) fn read(bytes: &[u8]) -> Result<Key, Fault> {
        let parent = be32(bytes, 0)?;
        let end = 6 + 2 * usize::from(be16(bytes, 4)?);
        let stored = bytes.get(6..end).ok_or_else(|| damaged("a name ends early", parent.into()))?;
        let mut units = Vec::with_capacity(stored.len() / 2);
        let mut has_colon = false;
        for pair in stored.chunks_exact(2) {
            match u16::from_be_bytes([pair[0], pair[1]]) {
                // The two have changed places since the time when a colon was between folders.
                0x2f => units.push(u16::from(b':')),
                0x3a => {
                    has_colon = true;
                    units.extend(br"\x3A".map(u16::from));
                }
                unit => units.push(unit),
            }
        }
        Ok(Key { parent, name: name_of(&units).into(), has_colon })
    }

    /// Whether what is here is the root itself, under the volume's name.
    pub(super) fn is_root(&self) -> bool {
        self.parent == ABOVE
    }

    /// Whether the folder is the one for what links to files lead to.
    pub(super) fn is_of_files(&self) -> bool {
        self.parent == ROOT && *self.name == *OF_FILES
    }

    pub(super) fn is_of_folders(&self) -> bool {
        self.parent == ROOT && *self.name == *OF_FOLDERS
    }
}

/// The number in a name such as `iNode4711`.
pub(super) fn number_behind(name: &[u8], prefix: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // One spelling only, so that no two names are of one number.
    (number.to_string().as_bytes() == digits).then_some(number)
}

impl Record {
    pub(super) fn read(bytes: &[u8]) -> Result<Record, Fault> {
        match be16(bytes, 0)? {
            1 => be32(bytes, 8).map(Record::Folder),
            2 => File::read(bytes).map(|file| Record::File(Box::new(file))),
            3 | 4 => Ok(Record::Thread),
            kind => Err(damaged("a record of the catalog of an unknown kind", kind.into())),
        }
    }
}

impl File {
    fn read(bytes: &[u8]) -> Result<File, Fault> {
        let number = be32(bytes, 8)?;
        let bytes = bytes.get(..248).ok_or_else(|| damaged("a file's record ends early", number.into()))?;
        let mut kind = [0; 8];
        kind.copy_from_slice(&bytes[48..56]);
        Ok(File {
            number,
            flags: be16(bytes, 2)?,
            mode: be16(bytes, 42)?,
            special: be32(bytes, 44)?,
            is_compressed: bytes[41] & IS_COMPRESSED != 0,
            kind,
            data: Fork::read(bytes, 88)?,
            resource: Fork::read(bytes, 168)?,
        })
    }

    pub(super) fn what(&self) -> What {
        match (&self.kind, self.mode >> 12) {
            (b"hlnkhfs+", _) => What::LinkToFile(self.special),
            // Without the flag it is an alias, which is a file.
            (b"fdrpMACS", _) if self.flags & IS_IN_A_CHAIN != 0 => What::LinkToFolder(self.special),
            (_, 10) => What::Symlink,
            (_, 1) => What::Fifo,
            (_, 12) => What::Socket,
            (_, 2 | 6) => What::Device,
            _ => What::File,
        }
    }
}
