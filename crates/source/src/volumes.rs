//! Which file system is which: names for them that outlive a restart, and whether their times can be trusted.
//!
//! The kernel numbers file systems as they come, so that tomorrow's number may be another one's. A file system is named
//! by its UUID where the machine shows it, else by the identity that it gives of itself, else by the kernel's number
//! after all: then a restart may cost one reading of everything, and no more, because a file is recognised by its own
//! number and times as well.

use rustix::fd::AsFd;
use rustix::fs::{StatVfs, fstatfs, fstatvfs, statfs, statvfs};
use rustix::path::Arg;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{OnceLock, RwLock};

/// One file system that a walk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As a [`Trace`](hashsweep_model::Trace) names it: the first 64 bits of the SHA-256 of `name`.
    pub id: u64,
    /// The same for people: `ext4, UUID 3e6be9de-8139-11d1-9106-a43f08d823a6`.
    pub name: String,
    /// Whether the change times on it can be trusted.
    pub is_trusted: bool,
}

/// File systems that change a file's change time whenever they change the file, number their files for good, and answer
/// from one machine: `f_type` as in linux/magic.h, and whether `f_fsid` comes from the file system itself and not from
/// the kernel's number. Those of a network, FUSE, FAT, NTFS and whatever is not known here are not among them.
const TRUSTED: [(u32, &str, bool); 14] = [
    (0x0000_ef53, "ext", true),
    (0x5846_5342, "xfs", false),
    (0x9123_683e, "btrfs", true),
    (0xca45_1a4e, "bcachefs", true),
    (0x2fc1_2fc1, "zfs", true),
    (0xf2f5_2010, "f2fs", false),
    (0x3153_464a, "jfs", false),
    (0x5265_4973, "reiserfs", false),
    (0x0000_3434, "nilfs2", false),
    (0x0102_1994, "tmpfs", false),
    (0x794c_7630, "overlay", false),
    (0xe0f5_e1e2, "erofs", false),
    (0x7371_7368, "squashfs", false),
    (0x0000_9660, "iso9660", false),
];

/// The file systems that a walk came to, by the kernel's numbers.
#[derive(Default)]
pub(crate) struct Volumes {
    /// `None` for one that will not say what it is.
    met: RwLock<HashMap<u64, Option<Device>>>,
    uuids: OnceLock<HashMap<u64, String>>,
}

impl Volumes {
    /// The walk has come to this file system, by something open on it.
    pub(crate) fn meet(&self, dev: u64, on_it: impl AsFd) {
        self.meet_as(dev, || Some((fstatfs(&on_it).ok()?.f_type.into(), fstatvfs(&on_it).ok()?)));
    }

    /// The same, by a path.
    pub(crate) fn meet_at(&self, dev: u64, path: impl Arg + Copy) {
        self.meet_as(dev, || Some((statfs(path).ok()?.f_type.into(), statvfs(path).ok()?)));
    }

    fn meet_as(&self, dev: u64, state: impl FnOnce() -> Option<(i128, StatVfs)>) {
        if self.met.read().expect("no panic while it is held").contains_key(&dev) {
            return;
        }
        let device = state().map(|(f_type, state)| Device::new(f_type, state.f_fsid, dev, self.uuid(dev)));
        self.met.write().expect("no panic while it is held").insert(dev, device);
    }

    /// The name of the file system, and whether its times can be trusted; `None` where the walk came to none of its
    /// directories.
    pub(crate) fn get(&self, dev: u64) -> Option<(u64, bool)> {
        let met = self.met.read().expect("no panic while it is held");
        met.get(&dev)?.as_ref().map(|device| (device.id, device.is_trusted))
    }

    pub(crate) fn met(self) -> Vec<Device> {
        self.met.into_inner().expect("no panic while it was held").into_values().flatten().collect()
    }

    fn uuid(&self, dev: u64) -> Option<&str> {
        self.uuids.get_or_init(uuids).get(&dev).map(String::as_str)
    }
}

impl Device {
    fn new(f_type: i128, fsid: u64, dev: u64, uuid: Option<&str>) -> Device {
        // The field's type and sign differ between architectures; the magic is always its low 32 bits.
        let f_type = f_type & 0xffff_ffff;
        let trusted = TRUSTED.iter().find(|(magic, ..)| i128::from(*magic) == f_type);
        let kind = trusted.map_or_else(|| format!("type {f_type:x}"), |(_, kind, _)| (*kind).to_owned());
        let name = match (uuid, trusted) {
            (Some(uuid), _) => format!("{kind}, UUID {uuid}"),
            (None, Some((.., true))) if fsid != 0 => format!("{kind}, identity {fsid:016x}"),
            (None, _) => format!("{kind}, device {}:{}", dev >> 32, dev & 0xffff_ffff),
        };
        Device { id: id_of(&name), name, is_trusted: trusted.is_some() }
    }
}

/// The UUIDs that udev shows, by the kernel's numbers. A machine without it shows none.
fn uuids() -> HashMap<u64, String> {
    let links = fs::read_dir("/dev/disk/by-uuid").into_iter().flatten().flatten();
    links
        .filter_map(|link| {
            let number = fs::metadata(link.path()).ok()?.rdev();
            let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
            Some((u64::from(major) << 32 | u64::from(minor), link.file_name().into_string().ok()?))
        })
        .collect()
}

fn id_of(name: &str) -> u64 {
    let hash = Sha256::digest(name.as_bytes());
    let first = hash.first_chunk().expect("SHA-256 has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(f_type: i128, fsid: u64, dev: u64, uuid: Option<&str>) -> String {
        Device::new(f_type, fsid, dev, uuid).name
    }

    #[test]
    fn a_file_system_keeps_its_name_when_the_kernel_numbers_it_anew() {
        let ext = 0xef53;
        assert_eq!(name(ext, 7, 1 << 32 | 2, Some("abc")), "ext, UUID abc");
        assert_eq!(name(ext, 7, 1, None), name(ext, 7, 2, None));
        assert_ne!(name(ext, 7, 1, None), name(ext, 8, 1, None));
        // XFS makes its identity from the kernel's number, and some file systems have none.
        assert_eq!(name(0x5846_5342, 7, 8 << 32 | 1, None), "xfs, device 8:1");
        assert_eq!(name(ext, 0, 8 << 32 | 1, None), "ext, device 8:1");
    }

    #[test]
    fn what_a_network_a_daemon_or_a_memory_card_says_of_times_is_not_trusted() {
        for magic in
            [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x4d44, 0x2011_bab0, 0x0102_1997, 1]
        {
            assert!(!Device::new(magic, 7, 1, Some("abc")).is_trusted, "{magic:x}");
        }
        assert!(Device::new(-1_859_950_530_i128, 7, 1, None).is_trusted, "btrfs, where the type is signed");
    }

    #[test]
    fn a_file_system_is_known_once_something_on_it_was_open() {
        let volumes = Volumes::default();
        volumes.meet(1, fs::File::open("/proc").unwrap());
        assert_eq!((volumes.get(1).map(|(_, is_trusted)| is_trusted), volumes.get(2)), (Some(false), None));
        assert_eq!(volumes.met()[0].name, "type 9fa0, device 0:1");
    }
}
