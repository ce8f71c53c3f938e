//! Why bytes of an image could not be had, and the careful reading of fields.

use std::io;

/// Why something in an image could not be read. It costs what depended on it and nothing else.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The image file itself could not be read.
    #[error("reading the image at byte {offset}: {error}")]
    Io {
        /// Position in the file, in bytes.
        offset: u64,
        /// What the system said.
        error: io::Error,
    },
    /// Something lies behind the last byte.
    #[error("byte {offset} is past the end")]
    PastEnd {
        /// Position in the container or volume, in bytes.
        offset: u64,
    },
    /// The bytes contradict their format or their checksum.
    #[error("damaged: {what} at byte {offset}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Position in the container or volume, in bytes.
        offset: u64,
    },
    /// Understood, and not read by this version.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Earlier states of a volume, kept beside the live one.
    #[error("snapshots: {n} not looked at")]
    Snapshots {
        /// How many there are.
        n: u64,
    },
    /// Where a deleted file was, something else is or was just now.
    #[error("cluster {cluster} is in use again")]
    Overwritten {
        /// The first such cluster.
        cluster: u64,
    },
    /// A piece of a set is not there.
    #[error("missing: {0}")]
    Missing(String),
    /// More work than an honest image could ask for.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there was too much of.
        what: &'static str,
        /// How much is permitted.
        limit: u64,
    },
}

pub(crate) fn damaged(what: &'static str, offset: u64) -> Fault {
    Fault::Damaged { what, offset }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Fault> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or_else(|| damaged("a record ends early", at as u64))
}

pub(crate) fn le16(bytes: &[u8], at: usize) -> Result<u16, Fault> {
    field(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn le32(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    field(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn le64(bytes: &[u8], at: usize) -> Result<u64, Fault> {
    field(bytes, at).map(u64::from_le_bytes)
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Result<u16, Fault> {
    field(bytes, at).map(u16::from_be_bytes)
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    field(bytes, at).map(u32::from_be_bytes)
}

pub(crate) fn be64(bytes: &[u8], at: usize) -> Result<u64, Fault> {
    field(bytes, at).map(u64::from_be_bytes)
}

pub(crate) fn times(a: u64, b: u64, what: &'static str) -> Result<u64, Fault> {
    a.checked_mul(b).ok_or_else(|| damaged(what, a))
}

pub(crate) fn plus(a: u64, b: u64, what: &'static str) -> Result<u64, Fault> {
    a.checked_add(b).ok_or_else(|| damaged(what, a))
}

pub(crate) fn size(n: u64) -> Result<usize, Fault> {
    usize::try_from(n).map_err(|_| Fault::Limit { what: "bytes of memory", limit: usize::MAX as u64 })
}
