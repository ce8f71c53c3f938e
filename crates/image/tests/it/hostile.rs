//! Images that were changed by hand: one byte, or cut off. No panic, an end, sums that add up, and a volume that was
//! cut is never whole.

use crate::made::{Sums, ext, ntfs, read_container, run, sums_of, tree};
use hashsweep_image::open;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

fn n_mutations() -> u64 {
    std::env::var("HASHSWEEP_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

/// Flips bits, plants bytes and truncates in these sectors, one at a time. With `checked` the metadata has checksums,
/// so that every size of a volume that is called whole must be right.
fn mutate(form: &str, image: &Path, sectors: &[usize], checked: Option<&Sums>) {
    let whole = fs::read(image).unwrap();
    let file = fs::OpenOptions::new().write(true).open(image).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for seed in 0..n_mutations() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let at = dice.choice(sectors).unwrap() * 512 + dice.usize(..512);
        let is_cut = dice.u8(..100) < 15;
        if is_cut {
            file.set_len(at as u64).unwrap();
        } else {
            let flipped = whole[at] ^ 1 << dice.u8(..8);
            let byte = *dice.choice(&[0, 0x7f, 0x80, 0xff, flipped]).unwrap();
            file.write_all_at(&[byte], at as u64).unwrap();
        }
        let read = read_container(&open(image).unwrap());
        assert!(!is_cut || !read.walked.is_complete(), "{form} {seed}: cut at {at}");
        for volume in &read.walked.volumes {
            assert!(volume.summary.adds_up(), "{form} {seed}: byte {at}: {:?}", volume.summary);
        }
        if let Some(truth) = checked.filter(|_| read.walked.is_complete() && read.problems.is_empty()) {
            let sizes =
                |sums: &Sums| -> Vec<_> { sums.iter().map(|(p, (size, _))| (p.clone(), *size)).collect() };
            let found = read.sums.into_values().flatten().collect();
            assert_eq!(sizes(&found), sizes(truth), "{form} {seed}: byte {at} went unnoticed");
        }
        // So many bytes as a volume can have held, whatever it says of what was deleted from it.
        let found = crate::deleted::search(&open(image).unwrap());
        let n_bytes: u64 = found.kept.values().map(|(_, size, _)| size).sum();
        assert!(n_bytes <= 4 * whole.len() as u64, "{form} {seed}: byte {at}");
        file.set_len(whole.len() as u64).unwrap();
        // The holes of a sparse image stay what they are.
        let restored = if is_cut { &whole[at..end.max(at)] } else { &whole[at..=at] };
        file.write_all_at(restored, at as u64).unwrap();
    }
}

/// The first sectors that hold something else than zeros or the noise of [`ext`].
fn written(image: &Path, skipped: usize) -> Vec<usize> {
    let whole = fs::read(image).unwrap();
    (skipped..whole.len() / 512)
        .filter(|s| whole[s * 512..][..512].iter().any(|b| *b != 0 && *b != 0xaa))
        .take(600)
        .collect()
}

#[test]
fn mutations_of_ext_neither_panic_nor_hang_nor_go_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    tree(&root);
    for name in ["large", "holes", "hole", "hole at the end"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    fs::remove_dir_all(root.join("many")).unwrap();
    let truth = sums_of(&root);
    ext(&image, &root, 6, &["-t", "ext4", "-b", "1024", "-N", "256", "-O", "inline_data"]);
    mutate("ext4", &image, &written(&image, 2), Some(&truth));
    ext(&image, &root, 6, &["-t", "ext2", "-b", "1024", "-N", "256"]);
    mutate("ext2", &image, &written(&image, 2), None);
}

#[test]
fn mutations_of_fat_and_exfat_neither_panic_nor_hang() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let fat = |bits: &str, sectors: u64| {
        let root = dir.path().join(format!("tree{bits}"));
        crate::fat::tree(&root);
        fs::remove_dir_all(root.join("many")).unwrap();
        fs::write(&image, vec![0; usize::try_from(sectors * 512).unwrap()]).unwrap();
        let at = image.to_str().unwrap();
        run("mkfs.fat", &["-F", bits, "-s", "1", at]);
        for entry in fs::read_dir(&root).unwrap() {
            run("mcopy", &["-s", "-Q", "-i", at, entry.unwrap().path().to_str().unwrap(), "::/"]);
        }
    };
    for (bits, sectors) in [("12", 3000), ("16", 10_000), ("32", 70_000)] {
        fat(bits, sectors);
        mutate(&format!("FAT{bits}"), &image, &written(&image, 0), None);
    }
    let truth = crate::exfat::volume(&image, 8, "4K");
    mutate("exFAT", &image, &written(&image, 0), Some(&truth));
}

#[test]
fn mutations_of_ntfs_neither_panic_nor_hang() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for form in ["ntfs-512", "ntfs-4096", "ntfs-wof"] {
        ntfs(form, &image);
        let whole = fs::read(&image).unwrap();
        // The boot sector, and records and index blocks, of which each has more than one sector.
        let begins =
            |s: usize| [&b"FILE"[..], b"INDX"].iter().any(|magic| whole[s * 512..].starts_with(magic));
        let of_metadata = |s: &usize| *s == 0 || begins(*s) || begins(*s - 1);
        let sectors: Vec<usize> = (0..whole.len() / 512).filter(of_metadata).collect();
        mutate(form, &image, &sectors, None);
    }
}

/// XFS has checksums on everything that says what there is, so no change may go unnoticed.
#[test]
fn mutations_of_xfs_neither_panic_nor_hang_nor_go_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let truth = crate::xfs::volume(dir.path(), &image, &[]);
    mutate("XFS", &image, &written(&image, 0), Some(&truth));
    crate::xfs::volume(dir.path(), &image, &["-m", "crc=0"]);
    mutate("XFS without checksums", &image, &written(&image, 0), None);
}

/// So has Btrfs.
#[test]
fn mutations_of_btrfs_neither_panic_nor_hang_nor_go_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let truth = crate::btrfs::volume(dir.path(), &image, &[]);
    mutate("Btrfs", &image, &written(&image, 0), Some(&truth));
    // Checksums of this kind are not checked, so that what is changed is looked at.
    crate::btrfs::volume(dir.path(), &image, &["--csum", "xxhash"]);
    mutate("Btrfs with other checksums", &image, &written(&image, 0), None);
}

#[test]
fn mutations_of_iso9660_neither_panic_nor_hang() {
    let dir = tempfile::tempdir().unwrap();
    crate::iso::small(dir.path());
    for options in [&["-R", "-J"][..], &["--norock", "-J"]] {
        let (_, image) = crate::iso::disc(dir.path(), options);
        mutate("ISO9660", &image, &written(&image, 64), None);
    }
}

/// HFS+ has no checksums.
#[cfg(feature = "hfs")]
#[test]
fn mutations_of_hfs_plus_neither_panic_nor_hang() {
    let dir = tempfile::tempdir().unwrap();
    crate::iso::small(dir.path());
    let image = crate::hfs::disc(dir.path());
    mutate("HFS+ of a disc", &image, &written(&image, 0), None);
    let (maker, _) = crate::hfs::one_of_each();
    fs::write(&image, maker.finish(&|_| {})).unwrap();
    // The header, and the trees, which are behind the files.
    let n_sectors = usize::try_from(fs::metadata(&image).unwrap().len()).unwrap() / 512;
    let header = written(&image, 0).into_iter().filter(|nth| *nth < 8);
    mutate("HFS+", &image, &header.chain(written(&image, n_sectors - 200)).collect::<Vec<_>>(), None);
}

/// Labels and metadata of LVM2 have checksums.
#[test]
fn mutations_of_lvm_neither_panic_nor_hang_nor_go_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let (disk, mut truth, striped) = crate::lvm::whole(dir.path());
    truth.extend(striped);
    fs::write(&image, &disk).unwrap();
    let sectors: Vec<usize> = [1_usize, 9, 17]
        .iter()
        .flat_map(|start| {
            (start * 2048..start * 2048 + 384).chain((start + 8) * 2048 - 256..(start + 8) * 2048)
        })
        .filter(|nth| disk[nth * 512..][..512].iter().any(|byte| *byte != 0))
        .collect();
    mutate("LVM2", &image, &sectors, Some(&truth));
}

/// A GPT has checksums and a copy; the MBR beside it must agree with it. An MBR has none, so that a volume may be lost
/// in silence.
#[test]
fn mutations_of_partition_tables_neither_panic_nor_hang() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for form in ["gpt", "mbr"] {
        let disk = crate::crafted::base(form);
        fs::write(&image, &disk).unwrap();
        let read = read_container(&open(&image).unwrap());
        assert!(read.walked.is_complete(), "{form}: {:?}", read.problems);
        let truth: Sums = read.sums.into_values().flatten().collect();
        let n = disk.len() / 512;
        let is_of_a_table =
            |nth: &usize| *nth < 34 || *nth + 33 >= n || disk[nth * 512 + 510..].starts_with(&[0x55, 0xaa]);
        let sectors: Vec<usize> = (0..n)
            .filter(|nth| disk[nth * 512..][..512].iter().any(|byte| *byte != 0))
            .filter(is_of_a_table)
            .collect();
        mutate(form, &image, &sectors, (form == "gpt").then_some(&truth));
    }
}

/// The maps of containers have few checksums, so wrong bytes cannot be told from right ones; what must hold is that
/// nothing panics, nothing grows, and the disk is read to its end or to a fault.
#[test]
fn mutations_of_containers_neither_panic_nor_hang() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    crate::maps::disk(&raw, 7);
    let mut images = Vec::new();
    for (name, format, options) in crate::maps::FORMS {
        images.push(dir.path().join(name));
        crate::maps::convert(&raw, images.last().unwrap(), format, options);
    }
    for (name, form, packing) in [("packed", "encase6", "deflate:fast"), ("plain", "smart", "deflate:none")] {
        let at = dir.path().join(name);
        crate::containers::acquire(&raw, &at, &["-f", form, "-c", packing]);
        images.push(at.with_extension(if form == "smart" { "s01" } else { "E01" }));
    }
    for image in images {
        let whole = fs::read(&image).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
        // Most of such a file is content; its maps are at the beginning and the end.
        let sectors: Vec<usize> = (0..whole.len() / 512)
            .filter(|nth| whole[nth * 512..][..512].iter().any(|b| *b != 0))
            .filter(|nth| *nth < 1200 || *nth > whole.len() / 512 - 64)
            .collect();
        for seed in 0..n_mutations() {
            let mut dice = fastrand::Rng::with_seed(seed);
            let (near, short) = (dice.bool(), dice.bool());
            let nth = dice.usize(..if near { sectors.len().min(16) } else { sectors.len() });
            let at = sectors[nth] * 512 + dice.usize(..if short { 128 } else { 512 });
            let is_cut = dice.u8(..100) < 15;
            if is_cut {
                file.set_len(at as u64).unwrap();
            } else {
                let flipped = whole[at] ^ 1 << dice.u8(..8);
                let byte = *dice.choice(&[0, 0x7f, 0x80, 0xff, flipped]).unwrap();
                file.write_all_at(&[byte], at as u64).unwrap();
            }
            if let Ok(container) = open(&image) {
                read_some(&*container.disk);
            }
            file.set_len(whole.len() as u64).unwrap();
            let restored = if is_cut { &whole[at..] } else { &whole[at..=at] };
            file.write_all_at(restored, at as u64).unwrap();
        }
    }
}

/// A disk's first 16 MiB and the last bytes of what may be any size.
fn read_some(disk: &dyn hashsweep_image::ImageReader) {
    let mut block = vec![0; 1 << 20];
    for nth in 0..16 {
        if disk.read_at(nth << 20, &mut block).is_err() {
            break;
        }
    }
    for back in [1, 511, 4096] {
        let at = disk.size().saturating_sub(back);
        disk.locate(at);
        disk.read_at(at, &mut block[..4096]).ok();
    }
    assert!(disk.read_at(disk.size(), &mut block).is_ok_and(|n| n == 0));
}
