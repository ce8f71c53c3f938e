//! What /sys says of a block device: down through partitions, device mapper, RAID and loop files to the disks.

use super::Kind;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Stacks are a few layers high; a damaged /sys is not followed in a circle.
const MOST_LAYERS: usize = 8;

/// Where the kernel keeps what it knows of disks and mounts.
pub(crate) struct Disks {
    sys: PathBuf,
    mounts: PathBuf,
}

/// A line of mountinfo.
pub(super) struct Mount {
    pub(super) point: Vec<u8>,
    pub(super) fs: Vec<u8>,
    pub(super) source: Vec<u8>,
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [source, point, fs] = [&self.source, &self.point, &self.fs].map(|bytes| bytes.escape_ascii());
        write!(f, "{source} on {point} ({fs})")
    }
}

/// Major and minor number, as `Meta` joins them.
pub(super) fn numbers(dev: u64) -> (u64, u64) {
    (dev >> 32, dev & 0xffff_ffff)
}

impl Disks {
    pub(super) fn of_this_machine() -> Disks {
        Disks { sys: PathBuf::from("/sys"), mounts: PathBuf::from("/proc/self/mountinfo") }
    }

    /// The mount of this number.
    pub(super) fn mount(&self, id: u64) -> Option<Mount> {
        let text = fs::read(&self.mounts).ok()?;
        let id = id.to_string().into_bytes();
        let line = text.split(|byte| *byte == b'\n').find(|line| line.split(is_space).next() == Some(&id))?;
        let mut fields = line.split(is_space);
        let point = fields.nth(4)?.to_vec();
        // Behind the mount's options come optional fields up to a hyphen.
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        Some(Mount { point, fs: rest.next()?.to_vec(), source: rest.next()?.to_vec() })
    }

    /// What the device is. File systems that have no device of their own, as btrfs, are asked by what is mounted.
    pub(super) fn kind(&self, dev: u64, mount: Option<&Mount>) -> Kind {
        let (major, minor) = numbers(dev);
        if major != 0 {
            return self.block(major, minor, 0);
        }
        let source = mount.map(|mount| Path::new(OsStr::from_bytes(&mount.source)));
        match source.filter(|source| source.starts_with("/dev")).and_then(|source| fs::metadata(source).ok())
        {
            Some(found) => {
                let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
                self.block(major.into(), minor.into(), 0)
            }
            None => Kind::Unknown,
        }
    }

    fn block(&self, major: u64, minor: u64, layer: usize) -> Kind {
        match fs::canonicalize(self.sys.join(format!("dev/block/{major}:{minor}"))) {
            Ok(dir) => self.disk(&dir, layer),
            Err(_) => Kind::Unknown,
        }
    }

    fn disk(&self, dir: &Path, layer: usize) -> Kind {
        if layer > MOST_LAYERS {
            return Kind::Unknown;
        }
        if dir.join("partition").exists() {
            return dir.parent().map_or(Kind::Unknown, |disk| self.disk(disk, layer + 1));
        }
        if let Ok(file) = fs::read(dir.join("loop/backing_file")) {
            let file = Path::new(OsStr::from_bytes(file.trim_ascii_end()));
            let Ok(found) = fs::metadata(file) else { return Kind::Unknown };
            let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
            return self.block(major.into(), minor.into(), layer + 1);
        }
        let below: Vec<PathBuf> = fs::read_dir(dir.join("slaves"))
            .map(|all| all.flatten().filter_map(|one| fs::canonicalize(one.path()).ok()).collect())
            .unwrap_or_default();
        if !below.is_empty() {
            return slowest(below.iter().map(|disk| self.disk(disk, layer + 1)));
        }
        match fs::read(dir.join("queue/rotational")).as_deref().map(<[u8]>::trim_ascii) {
            Ok(b"0") => Kind::Solid,
            Ok(b"1") if is_virtual(dir) => Kind::Virtual,
            Ok(b"1") => Kind::Rotational,
            _ => Kind::Unknown,
        }
    }
}

fn is_space(byte: &u8) -> bool {
    *byte == b' '
}

/// A stack is as slow to seek as its slowest disk.
fn slowest(kinds: impl Iterator<Item = Kind>) -> Kind {
    let rank = |kind: &Kind| match kind {
        Kind::Memory => 0,
        Kind::Solid => 1,
        Kind::Network => 2,
        Kind::Virtual => 3,
        Kind::Unknown => 4,
        Kind::Rotational => 5,
    };
    kinds.max_by_key(rank).unwrap_or(Kind::Unknown)
}

/// Drivers and vendors of virtual machines' disks.
fn is_virtual(dir: &Path) -> bool {
    let driver = fs::read_link(dir.join("device/driver")).unwrap_or_default();
    if driver.file_name().is_some_and(|name| name == "virtio_blk" || name == "vbd") {
        return true;
    }
    let vendor = fs::read(dir.join("device/vendor")).unwrap_or_default();
    [&b"QEMU"[..], b"VMware", b"Msft", b"Google", b"VBOX", b"Xen"].contains(&vendor.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// A /sys of our own making.
    struct Sys(TempDir);

    impl Sys {
        fn new() -> Sys {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("dev/block")).unwrap();
            Sys(dir)
        }

        /// A device with these files.
        fn device(&self, numbers: &str, path: &str, files: &[(&str, &str)]) -> PathBuf {
            let at = self.0.path().join("devices").join(path);
            fs::create_dir_all(&at).unwrap();
            for (name, text) in files {
                fs::create_dir_all(at.join(name).parent().unwrap()).unwrap();
                fs::write(at.join(name), text).unwrap();
            }
            symlink(&at, self.0.path().join("dev/block").join(numbers)).unwrap();
            at
        }

        fn disks(&self) -> Disks {
            Disks { sys: self.0.path().into(), mounts: self.0.path().join("mountinfo") }
        }

        fn kind(&self, major: u64, minor: u64) -> Kind {
            self.disks().kind(major << 32 | minor, None)
        }
    }

    const TURNS: (&str, &str) = ("queue/rotational", "1\n");
    const SOLID: (&str, &str) = ("queue/rotational", "0\n");

    #[test]
    fn a_disk_is_what_it_says_and_a_partition_what_its_disk_is() {
        let sys = Sys::new();
        sys.device("8:0", "sda", &[TURNS, ("device/vendor", "ATA     \n")]);
        sys.device("8:1", "sda/sda1", &[("partition", "1\n")]);
        sys.device("259:0", "nvme0n1", &[SOLID]);
        sys.device("259:1", "nvme0n1/nvme0n1p1", &[("partition", "1\n")]);
        assert_eq!([sys.kind(8, 0), sys.kind(8, 1)], [Kind::Rotational; 2]);
        assert_eq!([sys.kind(259, 0), sys.kind(259, 1)], [Kind::Solid; 2]);
        assert_eq!(sys.kind(9, 9), Kind::Unknown);
    }

    #[test]
    fn a_virtual_disk_that_calls_itself_rotational_is_not_believed() {
        let sys = Sys::new();
        let vda = sys.device("254:0", "vda", &[TURNS]);
        fs::create_dir_all(vda.join("device")).unwrap();
        symlink("../../bus/virtio/drivers/virtio_blk", vda.join("device/driver")).unwrap();
        sys.device("8:0", "sda", &[TURNS, ("device/vendor", "QEMU    \n")]);
        assert_eq!([sys.kind(254, 0), sys.kind(8, 0)], [Kind::Virtual; 2]);
    }

    #[test]
    fn a_stack_is_its_slowest_disk() {
        let sys = Sys::new();
        let turns = sys.device("8:0", "sda", &[TURNS]);
        let solid = sys.device("8:16", "sdb", &[SOLID]);
        let both = sys.device("253:0", "dm-0", &[SOLID, ("slaves/.keep", "")]);
        fs::remove_file(both.join("slaves/.keep")).unwrap();
        symlink(&solid, both.join("slaves/sdb")).unwrap();
        assert_eq!(sys.kind(253, 0), Kind::Solid);
        symlink(&turns, both.join("slaves/sda")).unwrap();
        assert_eq!(sys.kind(253, 0), Kind::Rotational);
        let md = sys.device("9:0", "md0", &[SOLID, ("slaves/.keep", "")]);
        fs::remove_file(md.join("slaves/.keep")).unwrap();
        symlink(&both, md.join("slaves/dm-0")).unwrap();
        assert_eq!(sys.kind(9, 0), Kind::Rotational);
    }

    #[test]
    fn a_circle_of_devices_ends() {
        let sys = Sys::new();
        let one = sys.device("253:0", "dm-0", &[("slaves/.keep", "")]);
        fs::remove_file(one.join("slaves/.keep")).unwrap();
        symlink(&one, one.join("slaves/dm-0")).unwrap();
        assert_eq!(sys.kind(253, 0), Kind::Unknown);
    }

    #[test]
    fn a_mount_is_found_by_its_number_whatever_optional_fields_it_has() {
        let sys = Sys::new();
        let text = "29 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
                    291 29 0:43 /sub /mnt/my\\040disk rw - btrfs /dev/sdb1 rw,subvol=/sub\n";
        fs::write(sys.0.path().join("mountinfo"), text).unwrap();
        let mount = sys.disks().mount(291).unwrap();
        assert_eq!(
            (&*mount.point, &*mount.fs, &*mount.source),
            (&b"/mnt/my\\040disk"[..], &b"btrfs"[..], &b"/dev/sdb1"[..])
        );
        assert_eq!(sys.disks().mount(29).unwrap().source, b"/dev/vda");
        assert!(sys.disks().mount(2).is_none());
    }
}
