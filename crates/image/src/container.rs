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
    /// The container, where it may hold digests of the whole disk.
    pub ewf: Option<Arc<Ewf>>,
}

/// Opens the container at `path` for reading, with all its pieces.
pub fn open(path: &Path) -> Result<Container, Fault> {
    let file = Piece::open(path)?;
    let head = file.record(0, file.len.min(512), 512)?;
    if head.starts_with(ewf::SIGNATURE) {
        let ewf = Arc::new(Ewf::open(path)?);
        let unread = ewf.unread().collect();
        return Ok(Container { disk: Arc::clone(&ewf) as Arc<dyn ImageReader>, unread, ewf: Some(ewf) });
    }
    let foot = match file.len.checked_sub(512) {
        Some(at) => file.record(at, 512, 512)?,
        None => Vec::new(),
    };
    if let Some(name) = refused(&head, &foot) {
        return Err(Fault::Unsupported(format!("a container of the kind {name}")));
    }
    Ok(Container { disk: Arc::new(Raw::open(path)?), unread: Vec::new(), ewf: None })
}

/// Whether the first 512 bytes of a file are those of a container, of a disk with a partition table or of a volume
/// that begins with a boot sector. A raw volume of another kind cannot be told by so little.
pub fn seems_an_image(head: &[u8]) -> bool {
    if head.starts_with(ewf::SIGNATURE) || refused(head, &[]).is_some() {
        return true;
    }
    let (Some(sector), Some(table)) = (head.get(..512), head.get(446..510)) else { return false };
    let is_volume =
        [&b"NTFS    "[..], b"EXFAT   ", b"-FVE-FS-"].iter().any(|name| sector[3..].starts_with(name))
            || sector[54..].starts_with(b"FAT1")
            || sector[82..].starts_with(b"FAT32");
    let is_entry = |entry: &[u8]| matches!(entry[0], 0 | 0x80) && (entry[4] == 0) == (entry[12..] == [0; 4]);
    let is_table = table.chunks_exact(16).all(is_entry) && table.chunks_exact(16).any(|entry| entry[4] != 0);
    sector[510..] == [0x55, 0xaa] && (is_volume || is_table)
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
