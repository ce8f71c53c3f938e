//! Images made by the tools of each format, read whole and held against the tree they were made of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod btrfs;
mod claims;
mod containers;
mod crafted;
mod deleted;
mod exfat;
mod ext;
mod fat;
#[cfg(feature = "hfs")]
mod hfs;
#[cfg(feature = "hfs")]
mod hfs_made;
mod hostile;
mod iso;
mod loops;
mod lvm;
mod made;
mod maps;
mod names;
mod ntfs;
mod tables;
mod xfs;
