//! The header of a volume, its copy at the end, and the HFS volume that may be around it.

use super::fork::Fork;
use crate::apple::{Classic, HEADER, classic, is_header};
use crate::fault::{Fault, be32, damaged};
use crate::reader::{ImageReader, Window, read_vec};
use std::sync::Arc;

const LEN: usize = 512;

const INCONSISTENT: u32 = 1 << 11;
const JOURNALED: u32 = 1 << 13;

pub(super) struct Header {
    /// Bytes of an allocation block.
    pub(super) block_size: u64,
    pub(super) n_blocks: u32,
    /// Records of files in the catalog.
    pub(super) n_files: u32,
    /// Records of folders, the root's aside.
    pub(super) n_folders: u32,
    pub(super) is_inconsistent: bool,
    /// The block that says where the journal is.
    pub(super) journal: Option<u32>,
    pub(super) allocation: Fork,
    pub(super) extents: Fork,
    pub(super) catalog: Fork,
    pub(super) attributes: Fork,
    pub(super) startup: Fork,
    /// The first header is damaged, and this is its copy, whose counts may be old.
    pub(super) is_copy: bool,
}

impl Header {
    /// Reads the header, or the copy.
    pub(super) fn read(image: &dyn ImageReader) -> Result<Header, Fault> {
        Header::at(image, HEADER, false).or_else(|fault| {
            let end = image.size().checked_sub(HEADER).filter(|end| *end > HEADER);
            end.and_then(|at| Header::at(image, at, true).ok()).ok_or(fault)
        })
    }

    fn at(image: &dyn ImageReader, at: u64, is_copy: bool) -> Result<Header, Fault> {
        let bytes = read_vec(image, at, LEN)?;
        if !is_header(&bytes) {
            return Err(damaged("the header of an HFS+ volume", at));
        }
        let attributes = be32(&bytes, 4)?;
        Ok(Header {
            block_size: be32(&bytes, 40)?.into(),
            n_blocks: be32(&bytes, 44)?,
            n_files: be32(&bytes, 32)?,
            n_folders: be32(&bytes, 36)?,
            is_inconsistent: attributes & INCONSISTENT != 0,
            journal: (attributes & JOURNALED != 0).then_some(be32(&bytes, 12)?),
            allocation: Fork::read(&bytes, 112)?,
            extents: Fork::read(&bytes, 192)?,
            catalog: Fork::read(&bytes, 272)?,
            attributes: Fork::read(&bytes, 352)?,
            startup: Fork::read(&bytes, 432)?,
            is_copy,
        })
    }

    /// Bytes that the volume says it has.
    pub(super) fn len(&self) -> u64 {
        self.block_size.saturating_mul(self.n_blocks.into())
    }
}

/// The bytes of the HFS+ volume, and whether they lie in an HFS volume.
pub(super) fn unwrapped(image: Arc<dyn ImageReader>) -> Result<(Arc<dyn ImageReader>, bool), Fault> {
    match classic(&*image) {
        Some(Classic::Around { place: (start, len) }) => {
            Ok((Arc::new(Window::new(image, start, len)?), true))
        }
        Some(Classic::Plain) | None => Ok((image, false)),
    }
}
