#![expect(clippy::cast_possible_truncation, reason = "a volume of a few megabytes")]
//! HFS+ that xorriso filled from a tree, and by hand what it does not make.

use crate::hfs_made::{BLOCK, FIRST, File, Maker};
use crate::made::{Read, Sums, noise, read, run, sums_of};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disc of the tree at `dir` that is ISO9660 (`p0`) and HFS+ (`p3`).
pub(crate) fn disc(dir: &Path) -> PathBuf {
    let image = dir.join("image");
    fs::remove_file(&image).ok();
    let (from, to) = (dir.join("tree"), image.to_str().unwrap());
    run("xorriso", &["-as", "mkisofs", "-quiet", "-R", "-hfsplus", "-o", to, from.to_str().unwrap()]);
    image
}

#[test]
fn every_file_of_a_disc_is_read_right_on_both_of_its_file_systems() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir_all(root.join("many")).unwrap();
    for (seed, size) in [0, 1, 2047, 2048, 2049, 65_536, (1 << 20) + 1].into_iter().enumerate() {
        fs::write(root.join(format!("{size} bytes")), noise(size, seed as u64)).unwrap();
    }
    for n in 0..4000 {
        // With more long names than these libisofs goes wrong by itself.
        let name = format!("many/{n} {}", "n".repeat(n % 100));
        fs::write(root.join(name), noise(n % 80, n as u64)).unwrap();
    }
    for name in ["日本語", "e\u{301}", "🦀", "a;1", "dot.", "co:lon"] {
        fs::write(root.join(name), name).unwrap();
    }
    symlink("many", root.join("link")).unwrap();
    fs::hard_link(root.join("2049 bytes"), root.join("second name")).unwrap();
    let deep = root.join(["d"; 30].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep"), "deep").unwrap();
    let read = read(&disc(dir.path()));
    assert_eq!(read.problems, [""; 0]);
    let truth = sums_of(&root);
    assert!(read.sums["p0"] == truth);
    assert!(read.sums["p3"] == truth);
    assert!(read.walked.is_complete(), "{:?}", read.walked);
    assert_eq!(read.n_others, 2);
}

/// Adds what makes a small volume with one of each.
pub(crate) fn one_of_each() -> (Maker, Sums) {
    let mut maker = Maker::new();
    let mut truth = Sums::new();
    let mut is = |path: &str, content: &[u8]| {
        truth.insert(path.into(), (content.len() as u64, Sha1::digest(content).into()));
    };
    let content = noise(BLOCK * 25 - 7, 1);
    maker.file(2, "fragments", 30, &File { data: &content, n_parts: 25, ..File::default() });
    is("/fragments", &content);
    maker.file(2, "forks", 31, &File { data: b"data", resource: b"resource", ..File::default() });
    is("/forks", b"data");
    is("/forks/..namedfork/rsrc", b"resource");
    maker.file(2, "a/b", 32, &File { resource: b"only", ..File::default() });
    is("/a:b", b"");
    is("/a:b/..namedfork/rsrc", b"only");
    maker.file(2, "link", 33, &File { mode: 0o120_755, data: b"forks", ..File::default() });
    maker.file(2, "pipe", 34, &File { mode: 0o10_644, ..File::default() });
    for nth in 0..60_u32 {
        let name = format!("a name, so that there are several leaves {nth}");
        let content = noise(3 << (nth % 10), nth.into());
        maker.file(2, &name, 100 + nth, &File { data: &content, ..File::default() });
        is(&format!("/{name}"), &content);
    }
    // Hard links: of a file, of a folder.
    maker.folder(2, "\0\0\0\0HFS+ Private Data", FIRST);
    maker.folder(2, ".HFS+ Private Directory Data\r", FIRST + 1);
    maker.folder(2, "folder", 40);
    maker.file(FIRST, "iNode50", 50, &File { data: b"linked", resource: b"too", ..File::default() });
    maker.file(FIRST, "temp51", 51, &File { data: b"deleted while it was open", ..File::default() });
    is("/\0\0\0\0HFS+ Private Data/temp51", b"deleted while it was open");
    for (number, parent, name) in [(52, 2, "one"), (53, 40, "two")] {
        let link = File { kind: b"hlnkhfs+", special: 50, ..File::default() };
        maker.file(parent, name, number, &link);
    }
    for path in ["/one", "/folder/two"] {
        is(path, b"linked");
        is(&format!("{path}/..namedfork/rsrc"), b"too");
    }
    maker.folder(FIRST + 1, "dir_60", 60);
    maker.file(60, "inside", 61, &File { data: b"inside", ..File::default() });
    for (number, name) in [(62, "linked folder"), (63, "once more")] {
        let link = File { kind: b"fdrpMACS", flags: 32, special: 60, ..File::default() };
        maker.file(2, name, number, &link);
    }
    is("/linked folder/inside", b"inside");
    let alias = File { kind: b"fdrpMACS", resource: b"alias", ..File::default() };
    maker.file(2, "alias", 64, &alias);
    is("/alias", b"");
    is("/alias/..namedfork/rsrc", b"alias");
    compressed(&mut maker, &mut is);
    (maker, truth)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Files that macOS compressed, in each way that is read.
fn compressed(maker: &mut Maker, is: &mut impl FnMut(&str, &[u8])) {
    let is_packed = |resource| File { owner_flags: 32, resource, ..File::default() };
    let text = b"a line that is there several times\n".repeat(60);
    let short = noise(50, 8);
    let stored = [&b"\xff"[..], &short].concat();
    let marked = [&b"\xcc"[..], &short].concat();
    let methods: [(u32, &[u8], Vec<u8>); 5] = [
        (1, &short, short.clone()),
        (3, &text, zlib(&text)),
        (3, &short, stored),
        (9, &short, marked),
        (3, b"", Vec::new()),
    ];
    for (number, (method, content, payload)) in (200..).zip(methods) {
        let name = format!("packed by {method}, {number}");
        maker.file(2, &name, number, &is_packed(b""));
        maker.compressed(number, method, content.len(), &payload);
        is(&format!("/{name}"), content);
    }
    // Pieces of 64 KiB in the resource fork, of which one is stored as it is.
    let long = [text.repeat(90), noise(40_000, 9)].concat();
    let pieces: Vec<_> = long
        .chunks(65_536)
        .map(|piece| {
            let packed = zlib(piece);
            if packed.len() < piece.len() { packed } else { [&b"\xff"[..], piece].concat() }
        })
        .collect();
    let mut table = (pieces.len() as u32).to_le_bytes().to_vec();
    let mut at = 4 + pieces.len() as u32 * 8;
    for piece in &pieces {
        table.extend([at.to_le_bytes(), (piece.len() as u32).to_le_bytes()].concat());
        at += piece.len() as u32;
    }
    let mut resource = vec![0; 256];
    resource[2] = 1;
    resource.extend(at.to_be_bytes());
    resource.extend([table, pieces.concat()].concat());
    maker.file(2, "packed in the fork", 210, &is_packed(&resource));
    maker.compressed(210, 4, long.len(), b"");
    is("/packed in the fork", &long);
}

fn read_bytes(bytes: &[u8]) -> Read {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    fs::write(&image, bytes).unwrap();
    read(&image)
}

#[test]
fn forks_hard_links_fragments_and_compressed_files_are_read_right() {
    let (maker, truth) = one_of_each();
    let read = read_bytes(&maker.finish(&|_| {}));
    assert_eq!(read.problems, [""; 0]);
    let found = &read.sums["p0"];
    assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    assert!(*found == truth);
    // A link, a pipe, the two names of a folder.
    assert_eq!(read.n_others, 4);
    assert!(read.walked.is_complete(), "{:?}", read.walked);
    assert_eq!(read.walked.volumes[0].kind, "HFS+");
}

/// The volume with something added to it: what must be said, and that the rest is there.
fn check(reason: &str, add: &dyn Fn(&mut Maker), header: &dyn Fn(&mut [u8]), change: &dyn Fn(&mut Vec<u8>)) {
    let (mut maker, truth) = one_of_each();
    add(&mut maker);
    let mut bytes = maker.finish(header);
    change(&mut bytes);
    let read = read_bytes(&bytes);
    assert!(read.problems.iter().any(|said| said.contains(reason)), "{reason}: {:?}", read.problems);
    assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up(), "{reason}");
    let lost: Vec<_> = truth.iter().filter(|(path, sum)| read.sums["p0"].get(*path) != Some(sum)).collect();
    assert_eq!(lost, [], "{reason}: the rest is there");
}

#[test]
fn what_is_wrong_with_a_volume_is_said_and_the_rest_is_read() {
    let nothing: &dyn Fn(&mut Maker) = &|_| {};
    let same: &dyn Fn(&mut [u8]) = &|_| {};
    let whole: &dyn Fn(&mut Vec<u8>) = &|_| {};
    check("its copy was read", nothing, same, &|bytes| bytes[1024] = 0);
    check("needs repair", nothing, &|header| header[6] |= 8, whole);
    check("another number of files", nothing, &|header| header[35] ^= 1, whole);
    let journaled = |start: u64| {
        move |maker: &mut Maker| {
            let head = [&b"xLNJ\x78\x56\x34\x12"[..], &start.to_le_bytes(), &512_u64.to_le_bytes()].concat();
            let at = u64::from(maker.put(&head)) * BLOCK as u64;
            let info = [&[0, 0, 0, 1][..], &[0; 32], &at.to_be_bytes(), &[0; 8]].concat();
            maker.journal = maker.put(&info);
        }
    };
    check("it was not replayed", &journaled(1024), same, whole);
    let (mut maker, _) = one_of_each();
    journaled(512)(&mut maker);
    assert!(read_bytes(&maker.finish(same)).walked.is_complete(), "a clean journal is none");
    let link = |kind: &'static [u8]| {
        move |maker: &mut Maker| {
            let link = File { kind, flags: 32, special: 4711, ..File::default() };
            maker.file(2, "to nowhere", 70, &link);
        }
    };
    check("/to nowhere: damaged: a hard link to what is not there", &link(b"hlnkhfs+"), same, whole);
    check("/to nowhere: damaged: a hard link to what is not there", &link(b"fdrpMACS"), same, whole);
    let colon = |maker: &mut Maker| maker.file(2, "a:b", 70, &File::default());
    check(r"/a\x3Ab: damaged: a name with a colon in it", &colon, same, whole);
    let orphan = |maker: &mut Maker| maker.file(4711, "child", 70, &File { data: b"x", ..File::default() });
    let (mut maker, _) = one_of_each();
    orphan(&mut maker);
    assert!(read_bytes(&maker.finish(same)).sums["p0"].contains_key("/$Orphans/4711/child"));
    let lzvn = |maker: &mut Maker| {
        maker.file(2, "packed", 70, &File { owner_flags: 32, ..File::default() });
        maker.compressed(70, 7, 100, b"\x06");
    };
    check("/packed: not supported: a file compressed with LZVN", &lzvn, same, whole);
    let undescribed = |maker: &mut Maker| {
        maker.file(2, "packed", 70, &File { owner_flags: 32, ..File::default() });
    };
    check("/packed: damaged: a compressed file that nothing describes", &undescribed, same, whole);
    // The last of the names gets the second file's block.
    let two = |maker: &mut Maker| {
        for (number, name) in [(71, "x"), (72, "y")] {
            maker.file(2, name, number, &File { data: &noise(2 * BLOCK, 1), ..File::default() });
        }
    };
    check("/y: damaged: blocks that are another file's, too", &two, same, &|bytes| {
        let name = [0, 0, 0, 2, 0, 1, 0, b'y'];
        let at = bytes.windows(8).position(|window| window == name).unwrap() + 8 + 88 + 16;
        bytes[at + 3] -= 1;
    });
    check("an HFS volume around HFS+", nothing, same, &|bytes| {
        // Around it an HFS volume, as systems from before HFS+ were to see one.
        let mut shell = vec![0; 4 * BLOCK];
        shell[1024..1026].copy_from_slice(b"BD");
        shell[1024 + 18..1024 + 20].copy_from_slice(&1000_u16.to_be_bytes());
        shell[1024 + 20..1024 + 24].copy_from_slice(&(BLOCK as u32).to_be_bytes());
        shell[1024 + 28..1024 + 30].copy_from_slice(&8_u16.to_be_bytes());
        shell[1024 + 36] = 5;
        shell[1024 + 124..1024 + 126].copy_from_slice(b"H+");
        shell[1024 + 126..1024 + 128].copy_from_slice(&3_u16.to_be_bytes());
        shell[1024 + 128..1024 + 130].copy_from_slice(&((bytes.len() / BLOCK) as u16).to_be_bytes());
        shell.append(bytes);
        *bytes = shell;
    });
}

/// Volumes of macOS's own making, as The Sleuth Kit reads them.
#[test]
#[ignore = "samples of a crate, which .ci/judge-images fetches"]
fn the_sleuth_kit_reads_the_same_of_hfs_plus() {
    let samples = PathBuf::from(std::env::var_os("HASHSWEEP_HFS_SAMPLES").unwrap());
    let lzvn = "/comp.bin: not supported: a file compressed with LZVN";
    let forms = [
        ("hfs_plus_volume.bin", &[][..]),
        ("hfs_plus_nested.bin", &[]),
        ("decmpfs/hfs_decmpfs_volume.bin", &[lzvn][..]),
    ];
    for (name, problems) in forms {
        let image = samples.join(name);
        let read = read(&image);
        assert_eq!(read.problems, problems, "{name}");
        let theirs = by_sleuth_kit(&image);
        assert!(!theirs.is_empty(), "{name}");
        for (path, sum) in &theirs {
            let ours = read.sums["p0"].get(path).map(|(_, sum)| sum);
            let is_said = problems.iter().any(|said| said.starts_with(path));
            assert!(ours == Some(sum) || is_said, "{name}: {path}");
        }
        let n_forks = read.sums["p0"].keys().filter(|path| path.ends_with("/..namedfork/rsrc")).count();
        assert_eq!(read.sums["p0"].len() - n_forks + problems.len(), theirs.len(), "{name}");
        println!("{name}: {} files as The Sleuth Kit reads them", theirs.len() - problems.len());
    }
}

fn by_sleuth_kit(image: &Path) -> BTreeMap<String, [u8; 20]> {
    let run = |program: &str, args: &[&str]| {
        let args = [&["-f", "hfs"], args].concat();
        Command::new(program).args(args).output().unwrap().stdout
    };
    let at = image.to_str().unwrap();
    let listed = String::from_utf8(run("fls", &["-r", "-p", "-F", "-u", at])).unwrap();
    let files = listed.lines().filter_map(|line| line.strip_prefix("r/r ")?.split_once(":\t"));
    files
        .filter(|(_, path)| !path.starts_with('$'))
        .map(|(number, path)| (format!("/{path}"), Sha1::digest(run("icat", &[at, number])).into()))
        .collect()
}
