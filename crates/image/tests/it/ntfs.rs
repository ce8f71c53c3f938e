use crate::made::{Sums, ntfs, read};
use hashsweep_image::{Container, Data, Item, open, walk};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

/// The digests that ntfs-3g's reading of the image gave (`fixtures/images/make-ntfs`).
fn truth(form: &str) -> BTreeMap<String, String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/images");
    let text: String = ["sha1", "streams.sha1"]
        .map(|ending| fs::read_to_string(format!("{dir}/{form}.{ending}")).unwrap())
        .concat();
    text.lines().map(|line| (line[42..].to_owned(), line[..40].to_owned())).collect()
}

fn hex(sum: &[u8]) -> String {
    sum.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

fn found(sums: &Sums) -> BTreeMap<String, String> {
    sums.iter().map(|(path, (_, sum))| (path.clone(), hex(sum))).collect()
}

fn kinds_of_extents(container: &Container) -> (usize, usize, usize) {
    let (mut compressed, mut inline, mut most) = (0, 0, 0);
    walk(container, &mut |_, _, item| {
        if let Item::Stream(stream) = item {
            compressed += stream.extents.iter().filter(|e| matches!(e.data, Data::Lznt1(_))).count();
            inline += stream.extents.iter().filter(|e| matches!(e.data, Data::Inline(_))).count();
            most = most.max(stream.extents.len());
        }
        ControlFlow::Continue(())
    });
    (compressed, inline, most)
}

#[test]
fn every_file_and_stream_is_read_as_ntfs_3g_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for form in ["ntfs-512", "ntfs-4096"] {
        ntfs(form, &image);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{form}");
        assert!(read.walked.is_complete(), "{form}: {:?}", read.walked);
        let mut found = found(&read.sums["p0"]);
        // ntfs-3g makes a link a system file that says where it leads.
        assert!(found.remove("/link").is_some(), "{form}");
        assert_eq!(found, truth(form), "{form}");
        let (compressed, inline, most) = kinds_of_extents(&open(&image).unwrap());
        assert!(compressed > 10 && inline > 500, "{form}: {compressed} compressed, {inline} inline");
        assert!(form != "ntfs-512" || most > 300, "a file in {most} pieces");
    }
}

/// Position of the record of the file with this name, by the name in it.
fn record_of(whole: &[u8], name: &str) -> usize {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let is_of = |at: &usize| {
        whole[*at..].starts_with(b"FILE") && whole[*at..*at + 1024].windows(name.len()).any(|w| w == name)
    };
    (0..whole.len() - 1024).step_by(1024).find(is_of).unwrap()
}

#[test]
fn a_record_written_in_part_costs_its_file_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let at = record_of(&fs::read(&image).unwrap(), "second name");
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(b"\xde\xad", at as u64 + 510).unwrap();
    let read = read(&image);
    let found = found(&read.sums["p0"]);
    let lost: Vec<_> = truth("ntfs-4096").into_keys().filter(|path| !found.contains_key(path)).collect();
    assert_eq!(lost, ["/second name", "/sizes/4097"]);
    let text = read.problems.join("\n");
    assert!(text.contains("/$MFT/") && text.contains("written in part"), "{text}");
    assert!(text.contains("a directory lists files that are not there"), "{text}");
    assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up());
}

#[test]
fn files_of_a_directory_that_is_gone_are_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let at = record_of(&fs::read(&image).unwrap(), "many");
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&[0; 4], at as u64).unwrap();
    let read = read(&image);
    let orphans = read.sums["p0"].keys().filter(|path| path.starts_with("/$Orphans/")).count();
    assert_eq!(orphans, 700);
    assert!(!read.walked.is_complete());
}

#[test]
fn what_is_encrypted_or_elsewhere_is_said_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let whole = fs::read(&image).unwrap();
    let at = record_of(&whole, "hole at the end");
    // The flags of the data attribute, which is found by its kind and being outside of the record.
    let data = (at..at + 1024)
        .step_by(8)
        .find(|at| whole[*at..].starts_with(&[0x80, 0, 0, 0]) && whole[at + 8] == 1);
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&[0, 0x40], data.unwrap() as u64 + 12).unwrap();
    let read = read(&image);
    assert!(!read.sums["p0"].contains_key("/hole at the end"));
    assert_eq!(read.problems.len(), 1, "{:?}", read.problems);
    assert!(
        read.problems[0].starts_with("/hole at the end: not supported: a file encrypted"),
        "{:?}",
        read.problems
    );
}

#[test]
fn a_damaged_first_record_is_replaced_by_its_copy_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let at = record_of(&fs::read(&image).unwrap(), "$MFT");
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(b"\xde\xad", at as u64 + 510).unwrap();
    let read = read(&image);
    assert!(
        read.problems.iter().any(|problem| problem.contains("its copy was taken")),
        "{:?}",
        read.problems
    );
    let found = found(&read.sums["p0"]);
    assert!(truth("ntfs-4096").keys().all(|path| found.contains_key(path)));
}

#[test]
fn a_log_that_was_not_closed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    // mkntfs leaves a log of nothing but ones, the longest run of such pages.
    let whole = fs::read(&image).unwrap();
    let is_fresh = |page: &[u8]| page.iter().all(|byte| *byte == 0xff);
    let pages: Vec<bool> = whole.chunks(4096).map(is_fresh).collect();
    let log = (0..pages.len() - 16).find(|at| pages[*at..at + 16].iter().all(|is| *is)).unwrap() * 4096;
    let mut page = vec![0; 4096];
    page[..8].copy_from_slice(b"RSTR\x1e\0\x09\0");
    (page[17], page[24], page[0x30]) = (16, 0x30, 1);
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&page, log as u64).unwrap();
    let dirty = read(&image);
    assert!(dirty.problems.iter().any(|p| p.contains("the log was not closed")), "{:?}", dirty.problems);
    assert!(!dirty.walked.is_complete() && dirty.walked.volumes[0].summary.adds_up());
    page[0x3c..0x3e].fill(0xff);
    file.write_all_at(&page, log as u64).unwrap();
    assert!(read(&image).walked.is_complete());
}

#[test]
fn files_of_a_compact_windows_are_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-wof", &image);
    let whole = fs::read(&image).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/images/wof/plain");
    let large: [u8; 20] = Sha1::digest(fs::read(path).unwrap()).into();
    let small: [u8; 20] = Sha1::digest(b"packed ".repeat(1000)).into();
    let names = [
        "lzx",
        "lzx small",
        "xpress16k",
        "xpress16k small",
        "xpress4k",
        "xpress4k small",
        "xpress8k",
        "xpress8k small",
    ];
    let compact = read(&image);
    assert!(compact.walked.is_complete(), "{:?}", compact.problems);
    let found: Vec<_> = compact.sums["p0"].iter().map(|(path, (_, sum))| (&path[1..], *sum)).collect();
    let sum = |name: &str| if name.ends_with("small") { small } else { large };
    assert_eq!(found, names.map(|name| (name, sum(name))));
    let (_, inline, most) = kinds_of_extents(&open(&image).unwrap());
    assert!(most > 30 && inline == 0, "{most} {inline}");

    // Where the reparse point of the first file in the record is, and the bytes of its stream.
    let change = |name: &str, what: &[u8], within: usize, byte: u8| {
        let record = record_of(&whole, name);
        let at = whole[record..record + 1024].windows(what.len()).position(|bytes| bytes == what).unwrap();
        fs::write(&image, &whole).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all_at(&[byte], (record + at + within) as u64).unwrap();
        read(&image)
    };
    let point = [0x17, 0, 0, 0x80, 16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0];
    for (within, byte, what) in [
        (12, 1, "has in an archive"),
        (12, 7, "keeps in an unknown way"),
        (20, 9, "keeps in an unknown way"),
        (3, 0xc0, "a reparse point of the kind 0xc0000017"),
        (20, 1, "chunks are not in order"),
    ] {
        let read = change("xpress4k", &point, within, byte);
        assert!(read.problems.iter().any(|problem| problem.contains(what)), "{what}: {:?}", read.problems);
        assert!(!read.sums["p0"].contains_key("/xpress4k"), "{what}");
        assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up(), "{what}");
        assert!(
            read.sums["p0"].contains_key("/xpress4k:WofCompressedData"),
            "{what}: {:?}",
            read.sums["p0"].keys()
        );
    }
}
