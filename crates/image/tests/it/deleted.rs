//! Deleted files, deleted by the tools of each file system where there is one that does so without a mount, and held
//! against what they were and against what The Sleuth Kit finds.

use crate::made::{noise, ntfs, read, run, sum};
use hashsweep_image::{Confidence, Container, Data, Deleted, Remains, deleted, open};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

type Kept = BTreeMap<String, (Confidence, u64, [u8; 20])>;

/// What a search gives, with every content read.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    pub(crate) kept: Kept,
    pub(crate) gone: BTreeMap<String, String>,
    /// Position of the first byte of each, and its node.
    places: BTreeMap<String, (u64, u64)>,
    remains: Option<Remains>,
}

pub(crate) fn search(container: &Container) -> Searched {
    let mut searched = Searched::default();
    let sums = deleted(container, &mut |_, bytes, found| {
        match found {
            Deleted::Kept { stream, confidence } => {
                let mut end = 0;
                for extent in &stream.extents {
                    assert!(extent.logical >= end, "extents are in order");
                    end = extent.logical + extent.len;
                    assert!(end <= stream.size, "extents lie within their file");
                }
                let path = String::from_utf8_lossy(&stream.paths[0]).into_owned();
                if let Some(Data::Disk(at)) = stream.extents.first().map(|extent| &extent.data) {
                    searched.places.insert(path.clone(), (*at, stream.node));
                }
                // A mutation may place content behind the end.
                if let Ok(sum) = sum(bytes, &stream) {
                    searched.kept.insert(path, (confidence, stream.size, sum));
                }
            }
            Deleted::Gone { path, why } => {
                searched.gone.insert(String::from_utf8_lossy(&path).into_owned(), why.to_string());
            }
        }
        ControlFlow::Continue(())
    });
    searched.remains = sums.first().and_then(|sum| sum.remains);
    searched
}

fn of(image: &Path) -> Searched {
    search(&open(image).unwrap())
}

fn is(confidence: Confidence, bytes: &[u8]) -> (Confidence, u64, [u8; 20]) {
    (confidence, bytes.len() as u64, Sha1::digest(bytes).into())
}

/// What `fixtures/images/make-ntfs` wrote into a file before it deleted it.
fn line_content(name: &str, n: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut nth = 0;
    while bytes.len() < n {
        bytes.extend(format!("{name} {nth}\n").bytes());
        nth += 1;
    }
    bytes.truncate(n);
    bytes
}

/// What The Sleuth Kit finds of deleted files, by path.
fn by_the_sleuth_kit(image: &Path, kind: &str) -> BTreeMap<String, Vec<u8>> {
    let at = image.to_str().unwrap();
    let listed = Command::new("fls").args(["-r", "-d", "-p", "-f", kind, at]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let entry = |line: &str| {
        let (head, path) = line.split_once(":\t")?;
        let node = head.trim_end_matches("(realloc)").split(' ').next_back()?.to_owned();
        let bytes = Command::new("icat").args(["-r", "-f", kind, at, &node]).output().unwrap().stdout;
        Some((format!("/{path}"), bytes))
    };
    listed.lines().filter_map(entry).collect()
}

#[test]
fn what_ntfs_3g_deleted_is_found_and_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let searched = of(&image);
    for (nth, confidence) in [(0, Confidence::Certain), (1, Confidence::Likely), (2, Confidence::Likely)] {
        let bytes = line_content(&format!("deleted {nth}"), 3000 * nth + 100);
        assert_eq!(searched.kept[&format!("/deleted {nth}")], is(confidence, &bytes), "{nth}");
    }
    let theirs = by_the_sleuth_kit(&image, "ntfs");
    for nth in 0..3 {
        let path = format!("/deleted {nth}");
        let (_, size, sum) = searched.kept[&path];
        assert_eq!(theirs[&path].len() as u64, size, "{path}");
        assert_eq!(<[u8; 20]>::from(Sha1::digest(&theirs[&path])), sum, "{path}");
    }
    // What is there is not touched by it.
    assert!(read(&image).sums["p0"].keys().all(|path| !path.starts_with("/deleted")));
    let remains = searched.remains.unwrap();
    assert_eq!(remains.certain + remains.likely + remains.guess, searched.kept.len() as u64);
    assert_eq!(remains.gone, searched.gone.len() as u64);
}

#[test]
fn a_deleted_file_of_ntfs_is_not_given_where_one_of_its_clusters_is_in_use_again() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let (at, _) = of(&image).places["/deleted 2"];
    let whole = fs::read(&image).unwrap();
    let bitmap = Command::new("icat").args(["-f", "ntfs", image.to_str().unwrap(), "6"]).output().unwrap();
    let bitmap_at = whole.windows(bitmap.stdout.len()).position(|bytes| bytes == bitmap.stdout).unwrap();
    // The second of its clusters, so that the first alone would look well.
    let cluster = usize::try_from(at).unwrap() / 4096 + 1;
    let byte = whole[bitmap_at + cluster / 8] | 1 << (cluster % 8);
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&[byte], (bitmap_at + cluster / 8) as u64).unwrap();
    let searched = of(&image);
    assert!(!searched.kept.contains_key("/deleted 2"));
    assert_eq!(searched.gone["/deleted 2"], format!("cluster {cluster} is in use again"));
    assert_eq!(searched.kept["/deleted 1"].0, Confidence::Likely);
}

#[test]
fn two_deleted_files_of_ntfs_in_one_place_are_a_guess_each() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let places = of(&image).places;
    let whole = fs::read(&image).unwrap();
    let record = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let is_of = |at: &usize| {
            whole[*at..].starts_with(b"FILE") && whole[*at..*at + 1024].windows(name.len()).any(|w| w == name)
        };
        (0..whole.len() - 1024).step_by(1024).find(is_of).unwrap()
    };
    let (one, two) = (record("deleted 1"), record("deleted 2"));
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&whole[two..two + 1024], one as u64).unwrap();
    let searched = search(&open(&image).unwrap());
    assert_eq!(searched.kept["/deleted 2"].0, Confidence::Guess);
    assert_eq!(searched.remains.unwrap().guess, 2, "{:?} {places:?}", searched.remains);
}

#[test]
fn what_mtools_deleted_is_found_under_its_name_while_its_clusters_are_free() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let at = image.to_str().unwrap();
    for (bits, megabytes, cluster) in [("12", 4, "4"), ("16", 24, "4"), ("32", 64, "1")] {
        fs::write(&image, []).unwrap();
        fs::OpenOptions::new().write(true).open(&image).unwrap().set_len(megabytes << 20).unwrap();
        run("mkfs.fat", &["-F", bits, "-s", cluster, at]);
        let copy = |name: &str, bytes: &[u8], to: &str| {
            fs::write(dir.path().join("file"), bytes).unwrap();
            let from = dir.path().join("file");
            run("mcopy", &["-i", at, from.to_str().unwrap(), &format!("::{to}/{name}")]);
        };
        run("mmd", &["-i", at, "::/dir", "::/dir/gone"]);
        let long = "A longer name than eight and three.dll";
        let (first, second, third) = (noise(30_001, 1), noise(5000, 2), noise(2048, 3));
        copy(long, &first, "/dir");
        copy("SHORT.TXT", &second, "");
        copy("inside.bin", &third, "/dir/gone");
        copy("overwritten.bin", &noise(9000, 4), "");
        copy("stays.bin", &noise(4000, 5), "");
        run("mdel", &["-i", at, "::/overwritten.bin"]);
        // Into the same clusters, and not into the same entry.
        copy("a much longer name that needs more entries than were freed.bin", &noise(8000, 6), "/dir");
        run("mdel", &["-i", at, &format!("::/dir/{long}"), "::/SHORT.TXT"]);
        run("mdeltree", &["-i", at, "::/dir/gone"]);
        let searched = of(&image);
        let expected = [
            (format!("/dir/{long}"), is(Confidence::Guess, &first)),
            ("/_HORT.TXT".into(), is(Confidence::Guess, &second)),
            // Without a long name the first letter is lost.
            ("/dir/_one/_nside.bin".into(), is(Confidence::Guess, &third)),
        ];
        let mut expected: Kept = expected.into();
        let gone: Vec<_> = searched.gone.iter().collect();
        if bits == "32" {
            // There mtools takes clusters in turn, and none a second time so soon.
            expected.insert("/overwritten.bin".into(), is(Confidence::Guess, &noise(9000, 4)));
            assert!(gone.is_empty(), "{gone:?}");
        } else {
            assert!(
                matches!(gone[..], [(path, why)] if path == "/overwritten.bin" && why.contains("in use again")),
                "FAT{bits}: {gone:?}"
            );
        }
        assert_eq!(searched.kept, expected, "FAT{bits}: {:?}", searched.gone);
        let theirs = by_the_sleuth_kit(&image, &format!("fat{bits}"));
        assert_eq!(theirs[&format!("/dir/{long}")], first, "FAT{bits}");
        assert_eq!(theirs["/_HORT.TXT"], second, "FAT{bits}");
        let live = read(&image);
        assert!(live.walked.is_complete() && live.sums["p0"].len() == 2, "FAT{bits}: {:?}", live.sums);
    }
}

/// No tool deletes from an exFAT volume that is not mounted: the sets' first bits and the bitmap's are cleared here as
/// the specification says (6.2.1.3, 7.1.5).
#[test]
fn what_was_deleted_from_exfat_is_found_while_its_clusters_are_free() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let truth = crate::exfat::volume(&image, 16, "4K");
    let mut whole = fs::read(&image).unwrap();
    let word = |whole: &[u8], at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let heap = word(&whole, 88) * 512;
    let root = heap + (word(&whole, 96) - 2) * 4096;
    let bitmap =
        heap + (usize::from(whole[root..].chunks(32).find(|r| r[0] == 0x81).unwrap()[20]) - 2) * 4096;
    let erase = |whole: &mut Vec<u8>, name: &str, frees: bool| {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let is_of =
            |at: &usize| whole[*at] == 0x85 && whole[at + 64] == 0xc1 && whole[at + 66..].starts_with(&units);
        let at = (heap..whole.len() - 96).step_by(32).find(is_of).unwrap();
        let (first, size) = (word(whole, at + 52), word(whole, at + 56));
        for nth in 0..=usize::from(whole[at + 1]) {
            whole[at + 32 * nth] &= 0x7f;
        }
        for cluster in first..first + if frees { size.div_ceil(4096) } else { 0 } {
            whole[bitmap + (cluster - 2) / 8] &= !(1 << ((cluster - 2) % 8));
        }
    };
    // Chained files of this volume lie straight all the same, and their chains stay in the table.
    erase(&mut whole, "20487 straight", true);
    erase(&mut whole, "20487 chained", true);
    erase(&mut whole, "20480 straight", false);
    erase(&mut whole, "日本語", true);
    erase(&mut whole, "0 straight", false);
    fs::write(&image, &whole).unwrap();
    let searched = of(&image);
    let expected = [
        ("/20487 straight", Confidence::Likely),
        ("/20487 chained", Confidence::Guess),
        ("/日本語", Confidence::Likely),
        ("/0 straight", Confidence::Certain),
    ];
    let expected: Kept = expected
        .into_iter()
        .map(|(path, confidence)| (path.to_owned(), (confidence, truth[path].0, truth[path].1)))
        .collect();
    assert_eq!(searched.kept, expected, "{:?}", searched.gone);
    assert_eq!(searched.gone.keys().collect::<Vec<_>>(), ["/20480 straight"]);
    let theirs = by_the_sleuth_kit(&image, "exfat");
    for path in ["/20487 straight", "/日本語"] {
        assert_eq!(<[u8; 20]>::from(Sha1::digest(&theirs[path])), truth[path].1, "{path}");
    }
}
