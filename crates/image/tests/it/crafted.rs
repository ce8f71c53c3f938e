//! Images that somebody made with intent: what they claim is impossible, without an end, or far more than they hold.

use crate::made::{Read, read, run};
use hashsweep_image::open;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A volume that the fuzzing begins with too: neither of these has checksums that are checked.
pub(crate) fn base(form: &str) -> Vec<u8> {
    let path = format!("{}/fuzz/bases/{form}.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn read_bytes(bytes: &[u8]) -> Read {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, bytes).unwrap();
    read(&path)
}

/// That it is incomplete for this reason, and its sum equal.
pub(crate) fn check(bytes: &[u8], reason: &str) -> Read {
    let read = read_bytes(bytes);
    assert!(read.problems.iter().any(|problem| problem.contains(reason)), "{reason}: {:?}", read.problems);
    assert!(!read.walked.is_complete(), "{reason}");
    assert!(read.walked.volumes.iter().all(|volume| volume.summary.adds_up()), "{reason}");
    read
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub(crate) fn places(bytes: &[u8], step: usize, begins: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    (0..bytes.len()).step_by(step).filter(|at| begins(&bytes[*at..])).collect()
}

#[test]
fn xfs_that_claims_the_impossible_is_incomplete_and_ends() {
    let whole = base("xfs4");
    assert!(read_bytes(&whole).walked.is_complete());
    // An inode of a file with extents in it.
    let file = places(&whole, 256, |inode| inode.starts_with(b"IN\x81\xa4\x02\x02") && inode[63] != 0)[0];
    for (at, value, reason) in [
        (file + 56, &[0x80, 0, 0, 0, 0, 0, 0, 0][..], "a file of an impossible size"),
        (file + 56, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "bytes of holes"),
        (file + 76, &[0xff; 4], "extents of one file"),
        (file + 100 + 8, &[0xff; 8], "blocks beyond the volume"),
    ] {
        let mut bytes = whole.clone();
        put(&mut bytes, at, value);
        let read = check(&bytes, reason);
        assert_eq!(read.walked.volumes[0].summary.lost, 1, "{reason}");
    }
    let tree = places(&whole, 1024, |block| block.starts_with(b"IABT\0\0\0\x02"))[0];
    let mut bytes = whole.clone();
    bytes.copy_within(tree + 16..tree + 20, tree + 32);
    check(&bytes, "a tree of inodes that is not in order");
    let mut bytes = whole.clone();
    put(&mut bytes, tree + 16, &[0x7f, 0xff, 0xff, 0xc0]);
    check(&bytes, "an inode beyond its group");
    let mut bytes = whole;
    let group_blocks = u32::from_be_bytes(bytes[84..88].try_into().unwrap());
    put(&mut bytes, 8, &(u64::from(group_blocks) * u64::from(u32::MAX)).to_be_bytes());
    put(&mut bytes, 88, &[0xff; 4]);
    check(&bytes, "groups that cannot be read");
}

/// Where the nodes of this level are.
pub(crate) fn nodes(bytes: &[u8], level: u8) -> Vec<usize> {
    let identity = bytes[(64 << 10) + 32..][..16].to_vec();
    places(bytes, 4096, |node| node[32..48] == identity && node[100] == level && node[56] == 1)
}

#[test]
fn a_tree_of_btrfs_that_leads_one_way_twice_ends_and_gives_nothing_twice() {
    let whole = base("btrfs");
    let before = read_bytes(&whole);
    assert!(before.walked.is_complete(), "{:?}", before.problems);
    let n_before = before.sums["p0"].len();
    // With the key and without: the first pointer of a node in all of its places.
    for part in [0..33, 17..33] {
        let mut bytes = whole.clone();
        for node in nodes(&whole, 1) {
            let n = usize::from(whole[node + 96]);
            for nth in 1..n {
                let first = node + 101;
                bytes.copy_within(first + part.start..first + part.end, first + nth * 33 + part.start);
            }
        }
        let read = read_bytes(&bytes);
        assert!(!read.walked.is_complete() && read.problems.len() < 10_000, "{}", read.problems.len());
        assert!(read.sums.get("p0").map_or(0, std::collections::BTreeMap::len) <= n_before);
    }
}

#[test]
fn disks_that_stand_upon_themselves_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let upon = |name: &str, base: &str| {
        let path = at(name);
        run(
            "qemu-img",
            &["create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, path.to_str().unwrap(), "8M"],
        );
        path
    };
    let own = upon("own.qcow2", "own.qcow2");
    let first = upon("first.qcow2", "second.qcow2");
    upon("second.qcow2", "first.qcow2");
    let vmdk = at("own.vmdk");
    let text = "# Disk DescriptorFile\nCID=1\nparentCID=1\nparentFileNameHint=\"own.vmdk\"\nRW 8 ZERO\n";
    fs::write(&vmdk, text).unwrap();
    for path in [own, first, vmdk, own_vhd(dir.path())] {
        let refused = open(&path).err().unwrap_or_else(|| panic!("{}", path.display())).to_string();
        assert_eq!(refused, "more than 16 disks upon one another", "{}", path.display());
    }
}

/// A differencing VHD whose parent is itself.
fn own_vhd(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("own.vhd");
    run("qemu-img", &["create", "-q", "-f", "vpc", path.to_str().unwrap(), "8M"]);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len() - 512;
    let identity = bytes[68..84].to_vec();
    put(&mut bytes, 512 + 40, &identity);
    let name: Vec<u8> = "own.vhd".encode_utf16().flat_map(u16::to_be_bytes).collect();
    put(&mut bytes, 512 + 64, &name);
    bytes[63] = 4;
    bytes[end + 63] = 4;
    for (at, len, sum_at) in [(0, 512, 64), (end, 512, 64), (512, 1024, 36)] {
        put(&mut bytes, at + sum_at, &[0; 4]);
        let sum = !bytes[at..at + len].iter().fold(0_u32, |sum, byte| sum + u32::from(*byte));
        put(&mut bytes, at + sum_at, &sum.to_be_bytes());
    }
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn one_file_as_many_extents_of_a_vmdk_does_not_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (sparse, whole) = (dir.path().join("s.vmdk"), dir.path().join("d.vmdk"));
    // Tables of one grain of one sector each, so that the directory has four bytes for each sector.
    let sectors: u64 = 10 << 20;
    let mut head = [0; 512];
    put(&mut head, 0, b"KDMV\x01");
    put(&mut head, 12, &sectors.to_le_bytes());
    put(&mut head, 20, &1_u64.to_le_bytes());
    put(&mut head, 44, &1_u32.to_le_bytes());
    put(&mut head, 56, &1_u64.to_le_bytes());
    let file = fs::File::create(&sparse).unwrap();
    file.write_all_at(&head, 0).unwrap();
    file.set_len(512 + sectors * 4).unwrap();
    let line = format!("RW {sectors} SPARSE \"s.vmdk\"\n");
    fs::write(&whole, format!("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\n{line}")).unwrap();
    assert_eq!(open(&whole).unwrap().disk.size(), sectors * 512);
    fs::write(&whole, format!("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\n{}", line.repeat(500)))
        .unwrap();
    assert!(open(&whole).err().unwrap().to_string().contains("bytes in one record"));
}
