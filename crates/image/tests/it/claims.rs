//! Containers, tables and groups that claim more than they hold: what they cost is bounded by the bytes that are there.

use crate::made::{ext, read, run};
use hashsweep_image::{Fault, Files, Item, Raw, open, volumes, walk};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

fn refused(path: &Path) -> String {
    open(path).err().unwrap_or_else(|| panic!("{} was opened", path.display())).to_string()
}

fn kept(path: &Path) -> (usize, u64) {
    let mut files = Files::new();
    open(path).unwrap().disk.files(&mut files);
    (files.len(), files.values().sum())
}

#[test]
fn a_file_counts_once_for_what_may_be_read_and_its_holes_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flat = fs::File::create(at("flat")).unwrap();
    flat.set_len(1 << 30).unwrap();
    flat.write_all_at(&vec![7; 1 << 16], 1 << 20).unwrap();
    flat.sync_all().unwrap();
    let (n, holes) = kept(&at("flat"));
    assert!(n == 1 && (1 << 16..1 << 20).contains(&holes), "{holes}");
    let line = "RW 2097152 FLAT \"flat\" 0\n";
    let text = format!("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\n{}", line.repeat(500));
    fs::write(at("d.vmdk"), text).unwrap();
    assert_eq!(open(&at("d.vmdk")).unwrap().disk.size(), 500 << 30);
    assert_eq!(kept(&at("d.vmdk")), (1, holes));
    let child = at("child.qcow2");
    run("qemu-img", &["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "flat", child.to_str().unwrap()]);
    assert_eq!(kept(&child).0, 2);
}

#[test]
fn holes_are_bounded_over_all_volumes_together() {
    let dir = tempfile::tempdir().unwrap();
    let (root, disk, volume) = (dir.path().join("tree"), dir.path().join("disk"), dir.path().join("volume"));
    fs::create_dir(&root).unwrap();
    fs::File::create(root.join("hole")).unwrap().set_len(700 << 30).unwrap();
    ext(&volume, &root, 4, &["-t", "ext4", "-b", "4096"]);
    let file = fs::File::create(&disk).unwrap();
    file.set_len(16 << 20).unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "label: dos\nstart=2048,size=8192,type=83\nstart=20480,size=8192,type=83\n").unwrap();
    run("sh", &["-c", &format!("sfdisk -q {} < {}", disk.display(), script.display())]);
    for start in [1 << 20, 10 << 20] {
        file.write_all_at(&fs::read(&volume).unwrap(), start).unwrap();
    }
    let (mut streams, mut said) = (Vec::new(), Vec::new());
    let walked = walk(&open(&disk).unwrap(), &mut |volume, _, item| {
        match item {
            Item::Stream(stream) => streams.push(format!("{volume}:{}", stream.size)),
            Item::Problem { path, fault } => {
                said.push(format!("{volume}{}: {fault}", String::from_utf8_lossy(&path)));
            }
            Item::Other { .. } => {}
        }
        ControlFlow::Continue(())
    });
    assert_eq!(streams, [format!("p1:{}", 700_u64 << 30)]);
    assert_eq!(said, ["p2/hole: more than 1099511627776 bytes of holes in one image"]);
    let sums: Vec<_> = walked
        .volumes
        .iter()
        .map(|sum| (sum.summary.streams, sum.summary.lost, sum.summary.problems))
        .collect();
    assert_eq!(sums, [(1, 0, 0), (0, 1, 1)]);
    assert!(walked.volumes.iter().all(|sum| sum.summary.adds_up()) && !walked.is_complete());
}

#[test]
fn a_link_out_of_the_directory_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), vec![7; 1 << 20]).unwrap();
    fs::write(inside.join("other"), vec![7; 1 << 20]).unwrap();
    let at = |name: &str| inside.join(name);
    let text = "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\nRW 2048 FLAT \"flat\" 0\n";
    fs::write(at("d.vmdk"), text).unwrap();
    for format in ["qcow2", "vmdk"] {
        let made = at(&format!("child.{format}"));
        let made = made.to_str().unwrap();
        if format == "qcow2" {
            run("qemu-img", &["create", "-q", "-u", "-f", format, "-F", "raw", "-b", "flat", made, "1M"]);
        }
    }
    let images = [at("d.vmdk"), at("child.qcow2")];
    let link = |to: &Path| {
        fs::remove_file(at("flat")).ok();
        symlink(to, at("flat")).unwrap();
    };
    for to in [outside.join("secret"), "../out/secret".into(), "/dev/zero".into(), dir.path().into()] {
        link(&to);
        for image in &images {
            let said = refused(image);
            assert_eq!(said, "not supported: \"flat\", a link that leads out of the image's directory");
        }
    }
    link(Path::new("nowhere"));
    assert!(images.iter().all(|image| refused(image).starts_with("missing: ")));
    link(Path::new("other"));
    assert!(images.iter().all(|image| open(image).is_ok()));
    // Where the image itself is reached through a link, its directory is the one that was named.
    symlink(at("d.vmdk"), outside.join("d.vmdk")).unwrap();
    assert!(refused(&outside.join("d.vmdk")).starts_with("missing: "));
}

#[test]
fn a_volume_of_an_image_that_was_cut_off_is_read_as_far_as_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    let file = fs::File::create(&disk).unwrap();
    file.set_len(64 << 20).unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "label: dos\nstart=2048,size=8192,type=83\nstart=20480,size=110000,type=83\n")
        .unwrap();
    run("sh", &["-c", &format!("sfdisk -q {} < {}", disk.display(), script.display())]);
    file.set_len(20 << 20).unwrap();
    let table = volumes(&Raw::open(&disk).unwrap());
    let names: Vec<&str> = table.volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(names, ["p1", "p2"]);
    let said: Vec<String> = table.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["damaged: a volume reaches past the end of the disk at byte 10485760"]);
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A header in one of these sectors and its entries in the other; its other copy is in the last sector.
fn gpt_in(disk: &mut [u8], [at, entries_at]: [usize; 2], (n_entries, entry_len): (u32, u32), entries: &[u8]) {
    put(disk, entries_at * 512, entries);
    let mut header = [0; 92];
    put(&mut header, 0, b"EFI PART\0\0\x01\0\x5c\0\0\0");
    put(&mut header, 32, &(disk.len() as u64 / 512 - 1).to_le_bytes());
    put(&mut header, 72, &(entries_at as u64).to_le_bytes());
    put(&mut header, 80, &n_entries.to_le_bytes());
    put(&mut header, 84, &entry_len.to_le_bytes());
    put(&mut header, 88, &crc32fast::hash(entries).to_le_bytes());
    let sum = crc32fast::hash(&header);
    put(&mut header, 16, &sum.to_le_bytes());
    put(disk, at * 512, &header);
}

fn gpt(n_entries: u32, entry_len: u32, entries: &[u8]) -> Vec<u8> {
    let mut disk = vec![0; 2 << 20];
    gpt_in(&mut disk, [1, 2], (n_entries, entry_len), entries);
    disk
}

#[test]
fn a_gpt_of_impossible_entries_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let entry = |first: u64, last: u64| {
        let mut entry = vec![1; 128];
        put(&mut entry, 32, &first.to_le_bytes());
        put(&mut entry, 40, &last.to_le_bytes());
        entry
    };
    let check = |disk: &[u8], reason: &str| {
        fs::write(&path, disk).unwrap();
        let read = read(&path);
        assert!(read.problems.iter().any(|said| said.contains(reason)), "{reason}: {:?}", read.problems);
        assert!(!read.walked.is_complete());
    };
    check(&gpt(u32::MAX, 128, &[]), "entries in a GPT");
    check(&gpt(4096, u32::MAX, &[]), "entries in a GPT");
    check(&gpt(4096, 4096, &[]), "past the end");
    check(&gpt(1, 128, &entry(9, 8)), "ends before it begins");
    check(&gpt(1, 128, &entry(0, u64::MAX)), "a partition beyond all sizes");
    check(&gpt(1, 128, &entry(1 << 60, 1 << 60)), "a partition beyond all sizes");
    check(&gpt(1, 128, &entry(1 << 50, 1 << 50)), "a volume begins past the end");
    check(&gpt(1, 128, &entry(0, 1 << 50)), "reaches past the end of the disk");
    check(&gpt(2, 128, &[entry(100, 200), entry(200, 300)].concat()), "volumes that share bytes: p1 and p2");
    check(&gpt(1, 128, &[0; 128]), "a disk without volumes");
    let cut = gpt(1, 128, &entry(100, 200));
    check(&cut[..cut.len() - 512], "the disk ends before the GPT says that it does");
    // The copy at the end knows another partition.
    let mut two = gpt(1, 128, &entry(100, 200));
    let last = two.len() / 512 - 1;
    gpt_in(&mut two, [last, last - 9], (1, 128), &entry(300, 400));
    check(&two, "a partition at byte 153600 that only a backup of the GPT names");
}

/// Opening costs what the file has, whatever the tables claim.
#[test]
fn tables_larger_than_their_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str, format: &str, patches: &[(usize, &[u8])]| {
        let path = dir.path().join(name);
        let at = path.to_str().unwrap();
        run("qemu-img", &["create", "-q", "-f", format, at, "64M"]);
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in patches {
            put(&mut bytes, *at, value);
        }
        if format == "vpc" {
            let end = bytes.len() - 512;
            for (at, len, sum_at) in [(0, 512, 64), (end, 512, 64), (512, 1024, 36)] {
                put(&mut bytes, at + sum_at, &[0; 4]);
                let sum = !bytes[at..at + len].iter().fold(0_u32, |sum, byte| sum + u32::from(*byte));
                put(&mut bytes, at + sum_at, &sum.to_be_bytes());
            }
        }
        fs::write(&path, bytes).unwrap();
        path
    };
    let far = [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let many = [0xff; 4];
    let check = |name: &str, format: &str, patches: &[(usize, &[u8])], reason: &str| {
        let said = refused(&made(name, format, patches));
        assert!(said.contains(reason), "{name}: {said}");
    };
    check("a.qcow2", "qcow2", &[(24, &far)], "the first table is shorter than the disk");
    check("b.qcow2", "qcow2", &[(24, &far), (36, &many)], "past the end");
    check("a.vdi", "vdi", &[(368, &[0xff; 8]), (384, &many)], "the table of blocks is shorter");
    check("b.vdi", "vdi", &[(384, &many)], "past the end");
    check("c.vdi", "vdi", &[(376, &[0; 4])], "the table of blocks is shorter");
    let end = made("x.vhd", "vpc", &[]);
    let foot = usize::try_from(fs::metadata(end).unwrap().len()).unwrap() - 512;
    check("a.vhd", "vpc", &[(foot + 48, &far)], "the table of blocks is shorter");
    check("b.vhd", "vpc", &[(foot + 48, &far), (512 + 28, &many)], "the table of blocks is shorter");
    check("c.vhd", "vpc", &[(512 + 28, &many)], "past the end");
    check("a.vmdk", "vmdk", &[(12, &[0xff; 4])], "past the end");
    check("b.vmdk", "vmdk", &[(12, &[0xff; 8])], "beyond all sizes");
    check("c.vmdk", "vmdk", &[(44, &[1, 0, 0, 0]), (12, &[0xff, 0xff, 0xff, 0x7f])], "past the end");
}

/// A disk of exabytes that is a few kilobytes: wherever it is read, it answers at once.
#[test]
fn a_qcow2_that_claims_an_exabyte_is_opened_and_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.qcow2");
    let at = path.to_str().unwrap();
    run("qemu-img", &["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", at, "1P"]);
    let read = read(&path);
    assert_eq!(read.problems, ["/: not supported: a volume of no known kind"]);
    let disk = open(&path).unwrap().disk;
    assert!(matches!(disk.read_at(disk.size(), &mut [0; 10]), Ok(0)));
    assert!(matches!(disk.read_at(u64::MAX, &mut [0; 10]), Ok(0) | Err(Fault::Damaged { .. })));
}

/// Tables of a QCOW2 that lead to themselves give nonsense and an end.
#[test]
fn tables_that_are_their_own_clusters_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.qcow2");
    run("qemu-img", &["create", "-q", "-f", "qcow2", path.to_str().unwrap(), "64G"]);
    let mut bytes = fs::read(&path).unwrap();
    let first = usize::try_from(u64::from_be_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    // Every second table is one and the same, and each of its entries is the table itself.
    let second = bytes.len().next_multiple_of(1 << 16);
    bytes.resize(second + (1 << 16), 0);
    let entry = (second as u64 | 1 << 63).to_be_bytes();
    (0..128).for_each(|nth| put(&mut bytes, first + nth * 8, &entry));
    (0..8192).for_each(|nth| put(&mut bytes, second + nth * 8, &entry));
    fs::write(&path, &bytes).unwrap();
    let read = read(&path);
    assert_eq!(read.problems, ["/: not supported: a volume of no known kind"]);
    let mut some = [0; 24];
    hashsweep_image::read_exact_at(&*open(&path).unwrap().disk, (60 << 30) + 8, &mut some).unwrap();
    assert_eq!(some[..8], entry);
}

/// The entries of an EWF table are offsets in order; what is between two of them is a chunk.
#[test]
fn chunks_out_of_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    fs::write(&raw, crate::made::noise(1 << 20, 3)).unwrap();
    crate::containers::acquire(&raw, &dir.path().join("d"), &["-f", "encase6", "-c", "deflate:none"]);
    let path = dir.path().join("d.E01");
    let mut bytes = fs::read(&path).unwrap();
    assert!(open(&path).is_ok());
    for kind in [&b"table\0"[..], b"table2\0"] {
        let at = bytes.windows(kind.len()).position(|name| name == kind).unwrap() + 76;
        let n = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let entries = at + 24..at + 24 + n * 4;
        bytes[entries.clone()].copy_within(8..12, 12);
        let sum = adler2::adler32_slice(&bytes[entries.clone()]).to_le_bytes();
        put(&mut bytes, entries.end, &sum);
    }
    fs::write(&path, &bytes).unwrap();
    assert!(refused(&path).contains("chunks that are not in order"));
}
