//! Which container a file is, and its opening. A container that is known and not read is refused by name: taken for a
//! raw disk it would look like one without volumes.

use crate::ewf::{self, Ewf};
use crate::fault::Fault;
use crate::pieces::{Piece, Raw};
use crate::reader::ImageReader;
use std::path::Path;
use std::sync::Arc;

/// An opened container: the disk in it, and what its maker says is not right about that.
pub struct Container {
    /// The disk's bytes.
    pub disk: Arc<dyn ImageReader>,
    /// Runs of bytes, as position and length, that nobody could read when the image was made; they hold zeros.
    pub unread: Vec<(u64, u64)>,
}

/// Opens the container at `path` for reading, with all its pieces.
pub fn open(path: &Path) -> Result<Container, Fault> {
    let file = Piece::open(path)?;
    let head = file.record(0, file.len.min(512), 512)?;
    if head.starts_with(ewf::SIGNATURE) {
        let ewf = Ewf::open(path)?;
        let unread = ewf.unread().collect();
        return Ok(Container { disk: Arc::new(ewf), unread });
    }
    let foot = match file.len.checked_sub(512) {
        Some(at) => file.record(at, 512, 512)?,
        None => Vec::new(),
    };
    if let Some(name) = refused(&head, &foot) {
        return Err(Fault::Unsupported(format!("a container of the kind {name}")));
    }
    Ok(Container { disk: Arc::new(Raw::open(path)?), unread: Vec::new() })
}

fn refused(head: &[u8], foot: &[u8]) -> Option<&'static str> {
    const KNOWN: [(usize, &[u8], &str); 13] = [
        (0, b"EVF2\x0d\x0a\x81\x00", "Ex01"),
        (0, b"LVF\x09\x0d\x0a\xff\x00", "L01"),
        (0, b"LEF2\x0d\x0a\x81\x00", "Lx01"),
        (0, b"QFI\xfb", "QCOW"),
        (0, b"KDMV", "VMDK"),
        (0, b"COWD", "VMDK"),
        (0, b"# Disk DescriptorFile", "VMDK"),
        (0, b"vhdxfile", "VHDX"),
        (0, b"conectix", "VHD"),
        (64, b"\x7f\x10\xda\xbe", "VDI"),
        (0, b"AFF10\x0d\x0a\x00", "AFF"),
        (0, b"ADIF", "AD1"),
        (0, b"ADSEGMENTEDFILE\x00", "AD1"),
    ];
    let named =
        KNOWN.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    named.map(|(_, _, name)| *name).or_else(|| foot.starts_with(b"conectix").then_some("VHD"))
}
