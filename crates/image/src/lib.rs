//! Disk images: every file inside as extents of bytes, without mounting and without root.
//!
//! ```text
//!  file(s) ─► container ─► disk ─► volumes ─► signature ─► file system ─► Stream | Other | Problem
//!             (raw, EWF, QCOW2 …) (MBR, GPT)               (ext, FAT, exFAT)     and a Summary
//! ```
//!
//! [`walk()`] goes that whole way. Nothing is passed over: a container, a volume or a file that is not read is an
//! [`Item::Problem`] with its reason, and a [`Summary`] says whether the inodes in use are all accounted for.
//!
//! This crate knows nothing of digests, rows or threads. It opens files for reading only. An image comes from a
//! machine that somebody else owned: arithmetic is checked, and work is bounded by the volume's size, never by time.

mod apple;
mod bounded;
mod btrfs;
mod budget;
mod cache;
mod clusters;
mod container;
mod crc32c;
mod deleted;
mod ewf;
mod exfat;
mod ext;
mod fat;
mod fault;
mod found;
#[cfg(feature = "hfs")]
mod hfs;
mod iso;
mod item;
mod joined;
mod lvm;
mod mapped;
mod names;
mod ntfs;
mod pieces;
mod qcow2;
mod reader;
mod segments;
mod shadows;
mod signature;
mod utf16;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
mod volumes;
mod walk;
mod xfs;

pub use btrfs::Btrfs;
pub use container::{Container, open, open_raw, seems_an_image};
pub use deleted::{Confidence, Deleted, DeletedSink, DeletedSum, Remains, deleted};
pub use ewf::{Ewf, Stored};
pub use ext::Ext;
pub use fault::Fault;
pub use found::FileSystem;
pub use item::{Content, Data, Extent, Item, Kind, Stream, Summary};
pub use ntfs::{Ntfs, Wof};
pub use pieces::Raw;
pub use reader::{Files, ImageReader, Place, Window, read_exact_at};
pub use signature::{Kind as Signature, of as signature_of};
pub use volumes::{Table, Volume, volumes};
pub use walk::{Sink, Sum, Walked, walk};
pub use xfs::Xfs;
