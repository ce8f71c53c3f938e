//! Which container a file is, and its opening. A container that is known and not read is refused by name: taken for a
//! raw disk it would look like one without volumes.

use crate::bounded::Bounded;
use crate::ewf::{self, Ewf};
use crate::ext::Ext;
use crate::fault::Fault;
use crate::pieces::{Piece, Raw};
use crate::reader::ImageReader;
use crate::signature::{self, Kind};
use crate::volumes::volumes;
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
    open_upon(path, 0).map(Container::bounded)
}

/// The same for a disk that `depth` others stand upon.
pub(crate) fn open_upon(path: &Path, depth: u32) -> Result<Container, Fault> {
    let file = Piece::open(path)?;
    let head = file.record(0, file.len.min(512), 512)?;
    let foot = match file.len.checked_sub(512) {
        Some(at) => file.record(at, 512, 512)?,
        None => Vec::new(),
    };
    let Some(form) = form(&head, &foot) else { return as_it_lies(path) };
    let mut container = match form {
        Form::Refused(name) => return Err(Fault::Unsupported(format!("a container of the kind {name}"))),
        Form::Ewf => Container::of_ewf(Arc::new(Ewf::open(path)?)),
        Form::Qcow2 => {
            let (disk, has_snapshots) = qcow2::open(path, depth)?;
            let notices = if has_snapshots { vec![SNAPSHOTS] } else { Vec::new() };
            Container { notices, ..Container::of(Arc::new(disk)) }
        }
        Form::Vmdk => Container::of(vmdk::open(path, depth)?),
        Form::Vhdx => Container::of(Arc::new(vhdx::open(path)?)),
        Form::Vhd => {
            let vhd = vhd::open(path, depth)?;
            let container =
                Container { gaps: vhd.gap.into_iter().collect(), ..Container::of(Arc::new(vhd.disk)) };
            if vhd.is_fixed {
                return Ok(container);
            }
            container
        }
        Form::Vdi => Container::of(Arc::new(vdi::open(path)?)),
    };
    if is_a_disk_as_it_lies(Raw::open(path)?) {
        container.gaps.push((BOTH, 0));
    }
    Ok(container)
}

/// Opens the file at `path`, or the set that begins with it, as the disk that lies in it, whatever container it looks
/// like.
pub fn open_raw(path: &Path) -> Result<Container, Fault> {
    as_it_lies(path).map(Container::bounded)
}

fn as_it_lies(path: &Path) -> Result<Container, Fault> {
    Ok(Container::of(Arc::new(Raw::open(path)?)))
}

/// What makes a file a container are bytes that no partition table and few volumes use: the boot code of an MBR, the
/// disk's last sector. Whoever owns a machine can write them, and a raw image of its disk would then be taken for a
/// container, and show other files.
fn is_a_disk_as_it_lies(raw: Raw) -> bool {
    let raw: Arc<dyn ImageReader> = Arc::new(raw);
    let has_partitions = volumes(&*raw).volumes.iter().any(|volume| volume.name != "p0");
    has_partitions
        || match signature::of(&*raw) {
            None | Some(Kind::Unknown) => false,
            // Two bytes are too few to tell it from what happens to lie there.
            Some(Kind::Ext) => Ext::open(raw).is_ok(),
            Some(_) => true,
        }
}

const BOTH: &str = "the file is a disk as it lies, too, which --raw reads";
const SNAPSHOTS: &str = "the container holds older states of the disk too; they were not looked at";

impl Container {
    fn of(disk: Arc<dyn ImageReader>) -> Container {
        Container { disk, gaps: Vec::new(), ewf: None, notices: Vec::new() }
    }

    /// The same, of which no more is read than its real bytes justify.
    fn bounded(self) -> Container {
        Container { disk: Arc::new(Bounded::new(self.disk)), ..self }
    }

    fn of_ewf(ewf: Arc<Ewf>) -> Container {
        let unread = "bytes that were unreadable when the image was made";
        let gaps = ewf.unread().map(|(at, _)| (unread, at)).collect();
        let disk = Arc::clone(&ewf) as Arc<dyn ImageReader>;
        Container { gaps, ewf: Some(ewf), ..Container::of(disk) }
    }
}

enum Form {
    /// Known by this name, and not read.
    Refused(&'static str),
    Ewf,
    Qcow2,
    Vmdk,
    Vhdx,
    Vhd,
    Vdi,
}

fn form(head: &[u8], foot: &[u8]) -> Option<Form> {
    if let Some(name) = refused(head) {
        Some(Form::Refused(name))
    } else if head.starts_with(ewf::SIGNATURE) {
        Some(Form::Ewf)
    } else if head.starts_with(qcow2::SIGNATURE) {
        Some(Form::Qcow2)
    } else if head.starts_with(vmdk::SPARSE) || head.starts_with(vmdk::TEXT) {
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
    if form(head, &[]).is_some() {
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
