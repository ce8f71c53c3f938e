//! Whether the journal holds changes that are not on the volume.

use super::header::Header;
use crate::fault::{Fault, be32, be64, damaged, le64, times};
use crate::reader::{ImageReader, read_vec};

const IS_HERE: u32 = 1;
const IS_NEW: u32 = 4;

/// `None` is a clean journal, or none at all.
pub(super) fn fault(image: &dyn ImageReader, header: &Header) -> Option<Fault> {
    let not_replayed = || {
        Fault::Unsupported("the journal holds changes that are not on the volume; it was not replayed".into())
    };
    match is_clean(image, header) {
        Ok(true) => None,
        Ok(false) => Some(not_replayed()),
        Err(fault) => Some(fault),
    }
}

fn is_clean(image: &dyn ImageReader, header: &Header) -> Result<bool, Fault> {
    let Some(block) = header.journal else { return Ok(true) };
    let at = times(block.into(), header.block_size, "a journal beyond all sizes")?;
    let info = read_vec(image, at, 52)?;
    let flags = be32(&info, 0)?;
    if flags & IS_NEW != 0 {
        return Ok(true);
    }
    if flags & IS_HERE == 0 {
        return Err(Fault::Unsupported("a journal on another device".into()));
    }
    let at = be64(&info, 36)?;
    let head = read_vec(image, at, 24)?;
    // Its numbers are in the order of the machine that wrote them.
    let (start, end) = match &head[..8] {
        b"xLNJ\x78\x56\x34\x12" => (le64(&head, 8)?, le64(&head, 16)?),
        b"JNLx\x12\x34\x56\x78" => (be64(&head, 8)?, be64(&head, 16)?),
        _ => return Err(damaged("the header of the journal", at)),
    };
    Ok(start == end)
}
