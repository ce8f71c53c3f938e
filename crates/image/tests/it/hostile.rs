use crate::made::{Read, Sums, ext, ntfs, read_container, sums_of, tree};
use hashsweep_image::open;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Where a byte was changed, or the image was cut off.
struct Mutation {
    seed: u64,
    at: usize,
}

/// Flipped bits, planted bytes and truncations in these sectors, one at a time. No panic, and an end; what else must
/// hold is the caller's.
fn mutate(image: &Path, sectors: &[usize], mut check: impl FnMut(&Mutation, Read)) {
    let n_mutations: u64 =
        std::env::var("HASHSWEEP_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let whole = fs::read(image).unwrap();
    let file = fs::OpenOptions::new().write(true).open(image).unwrap();
    for seed in 0..n_mutations {
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
        if is_cut {
            assert!(!read.walked.is_complete(), "{seed}: cut at {at}");
        }
        check(&Mutation { seed, at }, read);
        file.set_len(whole.len() as u64).unwrap();
        if is_cut {
            file.write_all_at(&whole[at..], at as u64).unwrap();
        } else {
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
        }
    }
}

/// On a volume with metadata checksums no file's size is another one's without a word.
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
    let sizes = |sums: &Sums| -> Vec<_> { sums.iter().map(|(p, (size, _))| (p.clone(), *size)).collect() };
    for (form, options) in [
        ("ext4", &["-t", "ext4", "-b", "1024", "-N", "256", "-O", "inline_data"][..]),
        ("ext2", &["-t", "ext2", "-b", "1024", "-N", "256"][..]),
    ] {
        ext(&image, &root, 6, options);
        let whole = fs::read(&image).unwrap();
        let sectors: Vec<usize> = (2..whole.len() / 512)
            .filter(|s| whole[s * 512..][..512].iter().any(|b| *b != 0 && *b != 0xaa))
            .take(600)
            .collect();
        mutate(&image, &sectors, |Mutation { seed, at }, read| {
            if form == "ext4" && read.walked.is_complete() && read.problems.is_empty() {
                let found = read.sums.get("p0").cloned().unwrap_or_default();
                assert_eq!(sizes(&found), sizes(&truth), "{form} {seed}: byte {at} went unnoticed");
            }
        });
    }
}

/// NTFS has no checksums, so a changed size may stand; but whatever is in use is given or said.
#[test]
fn mutations_of_ntfs_neither_panic_nor_hang_and_the_sums_add_up() {
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
        mutate(&image, &sectors, |Mutation { seed, at }, read| {
            for volume in &read.walked.volumes {
                assert!(volume.summary.adds_up(), "{form} {seed}: byte {at}: {:?}", volume.summary);
            }
        });
    }
}
