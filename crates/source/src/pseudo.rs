//! File systems that show the kernel, not a disk: nothing in them is evidence, and reading some of it has effects
//! or never ends.
//!
//! tmpfs and devtmpfs are not among them: `/dev/shm` is a place where malware likes to live.

use rustix::fd::AsFd;
use rustix::fs::{fstatfs, statfs};
use rustix::path::Arg;

/// `f_type` as in linux/magic.h, with the name that `mount` uses.
const PSEUDO: [(u32, &str); 19] = [
    (0x0000_9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x0000_1cd1, "devpts"),
    (0x6265_6570, "configfs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x1980_0202, "mqueue"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e73_6673, "nsfs"),
    (0x6573_5543, "fusectl"),
];

/// The name of the pseudo file system that the open file lies on. A file system that will not say is taken for a
/// real one: it is then read, and its errors are rows.
pub(crate) fn name_of(fd: impl AsFd) -> Option<&'static str> {
    named(fstatfs(fd).ok()?.f_type)
}

/// The same for a path that is not open yet.
pub(crate) fn name_at(path: impl Arg) -> Option<&'static str> {
    named(statfs(path).ok()?.f_type)
}

/// The field's type and sign differ between architectures; the magic is always its low 32 bits.
fn named(f_type: impl Into<i128>) -> Option<&'static str> {
    let f_type = f_type.into() & 0xffff_ffff;
    PSEUDO.iter().find(|(magic, _)| i128::from(*magic) == f_type).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_are_named_and_disks_are_not() {
        assert_eq!(name_at("/proc"), Some("proc"));
        assert_eq!(name_at(std::env::temp_dir()), None);
        assert_eq!(named(-1_635_721_711_i64), None);
        assert_eq!(named(i64::from(0xcafe_4a11_u32.cast_signed())), Some("bpf"));
    }
}
