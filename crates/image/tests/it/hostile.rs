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
            let found = read.sums.get("p0").cloned().unwrap_or_default();
            assert_eq!(sizes(&found), sizes(truth), "{form} {seed}: byte {at} went unnoticed");
        }
        file.set_len(whole.len() as u64).unwrap();
        let restored = if is_cut { &whole[at..] } else { &whole[at..=at] };
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
    for form in ["ntfs-512", "ntfs-4096"] {
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
