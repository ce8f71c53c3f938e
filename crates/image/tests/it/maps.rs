//! Disks that are maps, made by qemu-img from a raw disk and held against it byte for byte.

use crate::containers::bytes_of;
use crate::made::{noise, run};
use hashsweep_image::{open, open_raw, volumes, walk};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Noise, text and holes that begin and end at, before and behind the boundaries of clusters, grains and blocks.
pub(crate) fn disk(path: &Path, megabytes: u64) -> Vec<u8> {
    let file = fs::File::create(path).unwrap();
    file.set_len(megabytes << 20).unwrap();
    let put = |at: u64, bytes: &[u8]| {
        let n = bytes.len().min(usize::try_from((megabytes << 20).saturating_sub(at)).unwrap());
        file.write_all_at(&bytes[..n], at).unwrap();
    };
    for (nth, edge) in [512, 4096, 32 << 10, 64 << 10, 1 << 20, 2 << 20, 3 << 20].into_iter().enumerate() {
        put(edge - 512, &noise(1024, nth as u64));
        put((4 << 20) + edge * 3, &noise(512, 50 + nth as u64));
    }
    put(5 << 20, &noise(300_000, 7));
    put((6 << 20) + 65_536 - 512, &"text that is packed well ".repeat(9000).into_bytes());
    put((megabytes << 20) - 1536, &noise(1536, 8));
    fs::read(path).unwrap()
}

pub(crate) fn convert(raw: &Path, to: &Path, format: &str, options: &[&str]) {
    let (raw, to) = (raw.to_str().unwrap(), to.to_str().unwrap());
    run("qemu-img", &[&["convert", "-f", "raw", "-O", format], options, &[raw, to]].concat());
}

/// Every form that qemu-img writes: name, format, options.
pub(crate) const FORMS: [(&str, &str, &[&str]); 19] = [
    ("v3.qcow2", "qcow2", &[]),
    ("v2.qcow2", "qcow2", &["-o", "compat=0.10"]),
    ("small.qcow2", "qcow2", &["-o", "cluster_size=512"]),
    ("large.qcow2", "qcow2", &["-o", "cluster_size=2M"]),
    ("zlib.qcow2", "qcow2", &["-c"]),
    ("zlib-large.qcow2", "qcow2", &["-c", "-o", "cluster_size=2M"]),
    ("zlib-v2.qcow2", "qcow2", &["-c", "-o", "compat=0.10,cluster_size=4k"]),
    ("zstd.qcow2", "qcow2", &["-c", "-o", "compression_type=zstd"]),
    ("zstd-large.qcow2", "qcow2", &["-c", "-o", "compression_type=zstd,cluster_size=2M"]),
    ("extended.qcow2", "qcow2", &["-o", "extended_l2=on,cluster_size=128k"]),
    ("extended-zstd.qcow2", "qcow2", &["-c", "-o", "extended_l2=on,compression_type=zstd"]),
    ("dynamic.vdi", "vdi", &[]),
    ("static.vdi", "vdi", &["-o", "static=on"]),
    ("dynamic.vhdx", "vhdx", &["-o", "subformat=dynamic,block_size=1M"]),
    ("fixed.vhdx", "vhdx", &["-o", "subformat=fixed"]),
    ("dynamic.vhd", "vpc", &["-o", "subformat=dynamic,force_size=on"]),
    ("fixed.vhd", "vpc", &["-o", "subformat=fixed,force_size=on"]),
    ("sparse.vmdk", "vmdk", &["-o", "subformat=monolithicSparse"]),
    ("stream.vmdk", "vmdk", &["-o", "subformat=streamOptimized"]),
];

/// The first file of each form of VMDK that has others.
const SETS: [(&str, &str); 4] = [
    ("flat.vmdk", "subformat=monolithicFlat"),
    ("2gb-flat.vmdk", "subformat=twoGbMaxExtentFlat"),
    ("2gb-sparse.vmdk", "subformat=twoGbMaxExtentSparse"),
    ("zeroed.vmdk", "subformat=monolithicSparse,zeroed_grain=on"),
];

#[test]
fn every_form_that_qemu_writes_gives_the_bytes_of_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    let expected = disk(&raw, 9);
    let sets = SETS.iter().map(|(name, options)| (*name, "vmdk", vec!["-o", *options]));
    let all = FORMS.iter().map(|(name, format, options)| (*name, *format, options.to_vec())).chain(sets);
    for (name, format, options) in all {
        let path = dir.path().join(name);
        convert(&raw, &path, format, &options);
        let container = open(&path).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(bytes_of(&*container.disk).unwrap() == expected, "{name}");
        assert!(container.gaps.is_empty() && container.notices.is_empty(), "{name}");
    }
}

#[test]
fn a_split_vmdk_of_more_than_one_piece_is_whole_or_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    let file = fs::File::create(&raw).unwrap();
    file.set_len((4 << 30) + (1 << 20)).unwrap();
    let edges = [0_u64, (2 << 30) - 300, (4 << 30) - 300, (4 << 30) + (1 << 20) - 600];
    for at in edges {
        file.write_all_at(&noise(600, at), at).unwrap();
    }
    let path = dir.path().join("split.vmdk");
    convert(&raw, &path, "vmdk", &["-o", "subformat=twoGbMaxExtentSparse"]);
    let disk = open(&path).unwrap().disk;
    assert_eq!(disk.size(), (4 << 30) + (1 << 20));
    for at in edges {
        let mut bytes = [0; 600];
        hashsweep_image::read_exact_at(&*disk, at, &mut bytes).unwrap();
        assert!(bytes[..] == noise(600, at), "{at}");
    }
    fs::remove_file(dir.path().join("split-s002.vmdk")).unwrap();
    let missing = open(&path).err().unwrap().to_string();
    assert_eq!(missing, "missing: \"split-s002.vmdk\", looked for beside the image");
}

/// A disk upon another: part of the second's bytes are its own.
fn upon(dir: &Path, format: &str, options: &str) -> (PathBuf, Vec<u8>) {
    let raw = dir.join("base.raw");
    let mut expected = disk(&raw, 9);
    let (base, child) = (dir.join(format!("base.{format}")), dir.join(format!("child.{format}")));
    convert(&raw, &base, format, &[]);
    let (base, at) = (base.to_str().unwrap(), child.to_str().unwrap());
    run("qemu-img", &["create", "-q", "-f", format, "-F", format, "-b", base, "-o", options, at]);
    for (start, len, pattern) in [(0, 512, 0x11), (65_536 - 512, 1024, 0x22), (5 << 20, 4096, 0x33)] {
        let command = format!("write -q -P {pattern} {start} {len}");
        run("qemu-io", &["-f", format, "-c", &command, at]);
        expected[start..start + len].fill(pattern);
    }
    (child, expected)
}

#[test]
fn a_disk_upon_another_is_read_through_and_a_missing_one_is_named() {
    for (format, options) in [
        ("qcow2", "compat=1.1"),
        ("qcow2", "compat=0.10"),
        ("qcow2", "extended_l2=on,cluster_size=64k"),
        ("vmdk", "subformat=monolithicSparse"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (child, expected) = upon(dir.path(), format, options);
        let disk = open(&child).unwrap_or_else(|fault| panic!("{format} {options}: {fault}")).disk;
        assert!(bytes_of(&*disk).unwrap() == expected, "{format} {options}");
        // The header says where the base was; another place on this machine is not looked at.
        let elsewhere = tempfile::tempdir().unwrap();
        let moved = elsewhere.path().join("child");
        fs::rename(&child, &moved).unwrap();
        let missing = open(&moved).err().unwrap().to_string();
        assert!(missing.starts_with("missing: ") && missing.contains(&format!("base.{format}")), "{missing}");
    }
}

#[test]
fn zeros_that_were_written_over_a_base_hide_it() {
    let dir = tempfile::tempdir().unwrap();
    let (child, mut expected) = upon(dir.path(), "qcow2", "compat=1.1");
    run("qemu-io", &["-f", "qcow2", "-c", "write -q -z 5M 128k", child.to_str().unwrap()]);
    expected[5 << 20..(5 << 20) + (128 << 10)].fill(0);
    assert!(bytes_of(&*open(&child).unwrap().disk).unwrap() == expected);
}

#[test]
fn what_a_container_cannot_give_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, image) = (dir.path().join("raw"), dir.path().join("image"));
    disk(&raw, 7);
    let check = |format: &str, options: &[&str], patches: &[(u64, &[u8])], expected: &str| {
        fs::remove_file(&image).ok();
        convert(&raw, &image, format, options);
        let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
        for (at, bytes) in patches {
            file.write_all_at(bytes, *at).unwrap();
        }
        let refused = open(&image).err().unwrap_or_else(|| panic!("{expected}: was opened")).to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check("qcow2", &[], &[(79, &[2])], "QCOW2 that its writer called corrupt");
    check("qcow2", &[], &[(79, &[4])], "QCOW2 whose data are in another file");
    check("qcow2", &[], &[(79, &[0x20])], "QCOW2 with a feature of an unknown kind");
    check("qcow2", &[], &[(32, &[0, 0, 0, 1])], "QCOW2 encrypted by AES");
    check("qcow2", &[], &[(32, &[0, 0, 0, 2])], "QCOW2 encrypted by LUKS");
    check("qcow2", &[], &[(4, &[0, 0, 0, 1])], "QCOW of version 1");
    check("qcow2", &[], &[(20, &[0, 0, 0, 40])], "a cluster of no permitted size");
    check("qcow2", &[], &[(24, &[0x7f; 8])], "the first table is shorter than the disk");
    check("vdi", &[], &[(76, &[4])], "VDI that holds only the differences from another");
    check("vdi", &[], &[(368, &[0xff; 7])], "the table of blocks is shorter than the disk");
    check("vpc", &["-o", "subformat=dynamic"], &[(512, b"x")], "the header of a dynamic VHD");
    check("vmdk", &[], &[(73, b"\n\n\n\n")], "transferred as text");
    check("vmdk", &[], &[(0, b"COWD")], "VMDK of ESX");
    let both = [(64 << 10, &b"x"[..]), (128 << 10, &b"x"[..])];
    check("vhdx", &[], &both, "neither header of a VHDX agrees with its checksum");
    check("vhdx", &[], &[(192 << 10, b"x"), (256 << 10, b"x")], "neither region table");
}

#[test]
fn snapshots_in_a_container_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, image) = (dir.path().join("raw"), dir.path().join("image"));
    disk(&raw, 7);
    convert(&raw, &image, "qcow2", &[]);
    run("qemu-img", &["snapshot", "-c", "before", image.to_str().unwrap()]);
    let notices = open(&image).unwrap().notices;
    assert_eq!(notices, ["the container holds older states of the disk too; they were not looked at"]);
}

/// The boot code of an MBR is free for whoever owns a machine to write a container's header into.
#[test]
fn a_container_that_is_a_disk_as_it_lies_besides_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, image) = (dir.path().join("raw"), dir.path().join("image"));
    disk(&raw, 7);
    convert(&raw, &image, "qcow2", &[]);
    assert_eq!(open(&image).unwrap().gaps, []);
    let partition = [0, 0, 0, 0, 0x83, 0, 0, 0, 0, 1, 0, 0, 64, 0, 0, 0];
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&partition, 446).unwrap();
    file.write_all_at(&[0x55, 0xaa], 510).unwrap();
    let both = "the file is a disk as it lies, too, which --raw reads";
    assert_eq!(open(&image).unwrap().gaps, [(both, 0)]);
    let as_it_lies = open_raw(&image).unwrap();
    assert_eq!(volumes(&*as_it_lies.disk).volumes[0].name, "p1");
}

#[test]
fn a_fixed_vhd_without_its_beginning_is_read_as_it_lies_and_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, image) = (dir.path().join("raw"), dir.path().join("image"));
    let disk = disk(&raw, 9);
    convert(&raw, &image, "vpc", &["-o", "subformat=fixed,force_size=on"]);
    fs::write(&image, &fs::read(&image).unwrap()[65_536..]).unwrap();
    let container = open(&image).unwrap();
    assert!(bytes_of(&*container.disk).unwrap() == disk[65_536..]);
    assert_eq!(container.gaps, [("a fixed VHD is shorter than its disk", disk.len() as u64 - 65_536)]);
    assert!(!walk(&container, &mut |_, _, _| ControlFlow::Continue(())).is_complete());
}

/// A differencing VHD, which no free tool here writes: a dynamic one whose kind, parent and bits are changed.
#[test]
fn a_differencing_vhd_takes_from_its_parent_what_its_bits_do_not_claim() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, base, child) =
        (dir.path().join("raw"), dir.path().join("base.vhd"), dir.path().join("child.vhd"));
    let mut expected = disk(&raw, 8);
    let dynamic = ["-o", "subformat=dynamic,force_size=on"];
    convert(&raw, &base, "vpc", &dynamic);
    fs::write(&raw, vec![0x5a; 8 << 20]).unwrap();
    convert(&raw, &child, "vpc", &dynamic);
    let mut bytes = fs::read(&child).unwrap();
    let parent = fs::read(&base).unwrap();
    let sum = |record: &mut [u8], at: usize| {
        record[at..at + 4].fill(0);
        let sum = !record.iter().fold(0_u32, |sum, byte| sum + u32::from(*byte));
        record[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    };
    let end = bytes.len() - 512;
    for at in [0, end] {
        bytes[at + 63] = 4;
        sum(&mut bytes[at..at + 512], 64);
    }
    let identity = parent[68..84].to_vec();
    bytes[512 + 40..512 + 56].copy_from_slice(&identity);
    let name: Vec<u8> = "C:\\vm\\base.vhd".encode_utf16().flat_map(u16::to_be_bytes).collect();
    bytes[512 + 64..512 + 64 + name.len()].copy_from_slice(&name);
    sum(&mut bytes[512..1536], 36);
    let table = usize::try_from(u64::from_be_bytes(bytes[528..536].try_into().unwrap())).unwrap();
    // The first block's sectors 8 to 15 are the child's, the second's none, and all other blocks are unused.
    let place =
        |bytes: &[u8], nth: usize| u32::from_be_bytes(bytes[table + nth * 4..][..4].try_into().unwrap());
    let (first, second) = (place(&bytes, 0) as usize * 512, place(&bytes, 1) as usize * 512);
    bytes[first..first + 512].fill(0);
    bytes[first + 1] = 0xff;
    bytes[second..second + 512].fill(0);
    bytes[table + 8..table + 16].fill(0xff);
    fs::write(&child, &bytes).unwrap();
    expected[8 * 512..16 * 512].fill(0x5a);
    assert!(bytes_of(&*open(&child).unwrap().disk).unwrap() == expected);
    let mut other = parent.clone();
    for at in [0, parent.len() - 512] {
        other[at + 70] ^= 1;
        sum(&mut other[at..at + 512], 64);
    }
    fs::write(&base, other).unwrap();
    assert!(open(&child).err().unwrap().to_string().contains("is another disk"));
    fs::remove_file(&base).unwrap();
    assert!(open(&child).err().unwrap().to_string().contains("base.vhd"));
}
