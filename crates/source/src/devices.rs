//! What a file system lies on, and by that how its files are read: how many threads may wait for it at a time, in
//! which order a directory is gone through, and whether a file may be mapped.
//!
//! A disk with a head reads one thing after the other several times faster than two at once; memory, flash and a
//! network do not care or like it better. Asked once for every device that the walk meets.
//!
//! ```text
//!  statfs ─► memory, network            ─► as many readers as threads
//!  /sys/dev/block ─► solid, virtual     ─► as many readers as threads
//!                 └► rotational, unknown ─► one reader, inode order
//! ```

mod disk;

use crate::gate::Gate;
use disk::Disks;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, StatxFlags, fstatfs, statx};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

/// Devices that are told apart. Those beyond are taken for unknown ones.
const DEVICES: usize = 64;

/// What a file system lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// tmpfs, ramfs.
    Memory,
    /// Somebody else's machine, or a program.
    Network,
    /// A disk that says it has no head to move.
    Solid,
    /// A virtual machine's disk. Most call themselves rotational, whatever lies beneath.
    Virtual,
    Rotational,
    Unknown,
}

impl Kind {
    fn one_at_a_time(self) -> bool {
        match self {
            Kind::Rotational | Kind::Unknown => true,
            Kind::Memory | Kind::Network | Kind::Solid | Kind::Virtual => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Memory => "in memory",
            Kind::Network => "network or user space file system",
            Kind::Solid => "solid state",
            Kind::Virtual => "virtual disk",
            Kind::Rotational => "rotational disk",
            Kind::Unknown => "unknown kind of device",
        })
    }
}

/// A device, as files on it are read.
pub(crate) struct Device {
    dev: u64,
    pub(crate) kind: Kind,
    /// Whoever waits for the device passes here; `None` where everybody may at once.
    pub(crate) gate: Option<Gate>,
}

impl Device {
    fn new(dev: u64, kind: Kind, readers: Option<NonZeroUsize>) -> Device {
        let one = kind.one_at_a_time().then_some(NonZeroUsize::MIN);
        Device { dev, kind, gate: readers.or(one).map(Gate::new) }
    }
}

/// The devices that a walk has met.
pub(crate) struct Devices {
    /// What the user ordered for every device.
    readers: Option<NonZeroUsize>,
    met: [OnceLock<Device>; DEVICES],
    others: Device,
    disks: Disks,
}

impl Devices {
    pub(crate) fn new(readers: Option<NonZeroUsize>) -> Devices {
        Devices {
            readers,
            met: [const { OnceLock::new() }; DEVICES],
            others: Device::new(0, Kind::Unknown, readers),
            disks: Disks::of_this_machine(),
        }
    }

    /// With one device known beforehand.
    #[cfg(test)]
    pub(crate) fn knowing(dev: u64, kind: Kind) -> Devices {
        let devices = Devices::new(None);
        assert!(devices.met[0].set(Device::new(dev, kind, None)).is_ok());
        devices
    }

    /// The device of this number, on which this open file or directory lies.
    pub(crate) fn of(&self, dev: u64, fd: impl AsFd) -> &Device {
        let mut fresh = None;
        for place in &self.met {
            if let Some(device) = place.get() {
                if device.dev == dev {
                    return device;
                }
                continue;
            }
            let device = fresh.take().unwrap_or_else(|| self.look_at(dev, &fd));
            match place.set(device) {
                Ok(()) => return place.get().expect("it was just set"),
                // Another thread was faster, perhaps with this very device.
                Err(device) => match place.get() {
                    Some(there) if there.dev == dev => return there,
                    _ => fresh = Some(device),
                },
            }
        }
        &self.others
    }

    fn look_at(&self, dev: u64, fd: impl AsFd) -> Device {
        let magic = fstatfs(&fd).map_or(0, |found| low_bits(found.f_type));
        let mount = statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
            .ok()
            .and_then(|found| self.disks.mount(found.stx_mnt_id));
        let kind = if MEMORY.contains(&magic) {
            Kind::Memory
        } else if NETWORK.contains(&magic) {
            Kind::Network
        } else {
            self.disks.kind(dev, mount.as_ref())
        };
        let device = Device::new(dev, kind, self.readers);
        let readers = match (self.readers, device.gate.is_some()) {
            (Some(readers), _) => readers.to_string(),
            (None, true) => "1".to_owned(),
            (None, false) => "all".to_owned(),
        };
        let (major, minor) = disk::numbers(dev);
        let name = mount.map_or_else(|| "device".to_owned(), |mount| mount.to_string());
        tracing::info!("{name} ({major}:{minor}): {kind}; threads that may wait for it at once: {readers}");
        device
    }
}

/// `f_type` as in linux/magic.h: tmpfs, ramfs.
const MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// NFS, SMB, SMB 2, CIFS, Ceph, AFS, Coda, 9p, Lustre, `BeeGFS`, GPFS, NCP and FUSE, behind which anything may be.
const NETWORK: [u32; 13] = [
    0x0000_6969,
    0x0000_517b,
    0xfe53_4d42,
    0xff53_4d42,
    0x00c3_6400,
    0x5346_414f,
    0x7375_7245,
    0x0102_1997,
    0x0bd0_0bd0,
    0x1983_0326,
    0x4750_4653,
    0x0000_564c,
    0x6573_5546,
];

/// The field's type and sign differ between architectures; the magic is always its low 32 bits.
fn low_bits(f_type: impl Into<i128>) -> u32 {
    u32::try_from(f_type.into() & 0xffff_ffff).expect("32 bits fit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_device_is_looked_at_once_and_those_beyond_the_last_place_share_one() {
        let devices = Devices::new(None);
        let here = File::open("/").unwrap();
        let first = devices.of(7, &here);
        assert!(std::ptr::eq(first, devices.of(7, &here)));
        for dev in 100..100 + DEVICES as u64 {
            devices.of(dev, &here);
        }
        assert!(std::ptr::eq(devices.of(5000, &here), devices.of(5001, &here)));
        assert!(devices.of(5000, &here).gate.is_some(), "nothing is known of it");
        assert!(std::ptr::eq(first, devices.of(7, &here)));
    }

    #[test]
    fn the_order_goes_before_what_was_detected() {
        let readers = NonZeroUsize::new(3);
        assert!(Device::new(1, Kind::Solid, readers).gate.is_some());
        for (kind, is_gated) in [
            (Kind::Memory, false),
            (Kind::Network, false),
            (Kind::Solid, false),
            (Kind::Virtual, false),
            (Kind::Rotational, true),
            (Kind::Unknown, true),
        ] {
            assert_eq!(Device::new(1, kind, None).gate.is_some(), is_gated, "{kind}");
        }
    }
}
