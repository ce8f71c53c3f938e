//! Which container a file is, and its opening. A container that is known and not read is refused by name: taken for a
//! raw disk it would look like one without volumes.

use crate::ewf::{self, Ewf};
use crate::fault::Fault;
use crate::pieces::{Piece, Raw};
use crate::reader::ImageReader;
use crate::{qcow2, vdi, vhd, vhdx, vmdk};
use std::path::Path;
use std::sync::Arc;

/// An opened container: the disk in it, and what its maker says is not right about that.
pub struct Container {
    /// The disk's bytes.
    pub disk: Arc<dyn ImageReader>,
    /// What of the disk the container does not hold, though it should, and at which byte.
    pub gaps: Vec<(&'static str, u64)>,
    /// The container, where it may hold digests of the whole disk.
    pub ewf: Option<Arc<Ewf>>,
    /// Worth saying of the container, though nothing of its disk is missing.
    pub notices: Vec<&'static str>,
}

/// Opens the container at `path` for reading, with all its pieces and the disks that it stands upon.
pub fn open(path: &Path) -> Result<Container, Fault> {
    open_upon(path, 0)
}

/// The same for a disk that `depth` others stand upon.
pub(crate) fn open_upon(path: &Path, depth: u32) -> Result<Container, Fault> {
    let file = Piece::open(path)?;
    let head = file.record(0, file.len.min(512), 512)?;
    if head.starts_with(ewf::SIGNATURE) {
        let ewf = Arc::new(Ewf::open(path)?);
        let unread = "bytes that were unreadable when the image was made";
        let gaps = ewf.unread().map(|(at, _)| (unread, at)).collect();
        let disk = Arc::clone(&ewf) as Arc<dyn ImageReader>;
        return Ok(Container { gaps, ewf: Some(ewf), ..Container::of(disk) });
    }
    let foot = match file.len.checked_sub(512) {
        Some(at) => file.record(at, 512, 512)?,
        None => Vec::new(),
    };
    if let Some(name) = refused(&head) {
        return Err(Fault::Unsupported(format!("a container of the kind {name}")));
    }
    if head.starts_with(qcow2::SIGNATURE) {
        let (disk, has_snapshots) = qcow2::open(path, depth)?;
        let notices = if has_snapshots { vec![SNAPSHOTS] } else { Vec::new() };
        return Ok(Container { notices, ..Container::of(Arc::new(disk)) });
    }
    let disk: Arc<dyn ImageReader> = match form(&head, &foot) {
        Some(Form::Vmdk) => vmdk::open(path, depth)?,
        Some(Form::Vhdx) => Arc::new(vhdx::open(path)?),
        Some(Form::Vhd) => {
            let (disk, gap) = vhd::open(path, depth)?;
            return Ok(Container { gaps: gap.into_iter().collect(), ..Container::of(Arc::new(disk)) });
        }
        Some(Form::Vdi) => Arc::new(vdi::open(path)?),
        None => Arc::new(Raw::open(path)?),
    };
    Ok(Container::of(disk))
}

const SNAPSHOTS: &str = "the container holds older states of the disk too; they were not looked at";

impl Container {
    fn of(disk: Arc<dyn ImageReader>) -> Container {
        Container { disk, gaps: Vec::new(), ewf: None, notices: Vec::new() }
    }
}

enum Form {
    Vmdk,
    Vhdx,
    Vhd,
    Vdi,
}

fn form(head: &[u8], foot: &[u8]) -> Option<Form> {
    if head.starts_with(vmdk::SPARSE) || head.starts_with(vmdk::TEXT) {
        Some(Form::Vmdk)
    } else if head.starts_with(vhdx::SIGNATURE) {
        Some(Form::Vhdx)
    } else if head.starts_with(vhd::SIGNATURE)
        || foot.starts_with(vhd::SIGNATURE)
        || foot.get(1..).is_some_and(|foot| foot.starts_with(vhd::SIGNATURE))
    {
        Some(Form::Vhd)
    } else if head.get(64..).is_some_and(|rest| rest.starts_with(vdi::SIGNATURE)) {
        Some(Form::Vdi)
    } else {
        None
    }
}

/// Whether the first 512 bytes of a file are those of a container, of a disk with a partition table or of a volume
/// that begins with a boot sector. A raw volume of another kind cannot be told by so little.
pub fn seems_an_image(head: &[u8]) -> bool {
    let is_container = head.starts_with(ewf::SIGNATURE)
        || head.starts_with(qcow2::SIGNATURE)
        || form(head, &[]).is_some()
        || refused(head).is_some();
    if is_container {
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

fn refused(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(usize, &[u8], &str); 8] = [
        (0, b"EVF2\x0d\x0a\x81\x00", "Ex01"),
        (0, b"LVF\x09\x0d\x0a\xff\x00", "L01"),
        (0, b"LEF2\x0d\x0a\x81\x00", "Lx01"),
        (0, b"COWD", "VMDK of ESX (COWD)"),
        (0, b"\xbe\xba\xfe\xca\x00\x00\x00\x00", "VMDK of ESX (SE sparse)"),
        (0, b"AFF10\x0d\x0a\x00", "AFF"),
        (0, b"ADIF", "AD1"),
        (0, b"ADSEGMENTEDFILE\x00", "AD1"),
    ];
    let named =
        KNOWN.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    named.map(|(_, _, name)| *name)
}
