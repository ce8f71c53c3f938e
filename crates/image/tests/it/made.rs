//! Trees and images for the tests. mke2fs fills a volume from a directory, so nothing is mounted.

use hashsweep_image::{Container, Content, Data, Fault, Item, Walked, open, walk};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

pub(crate) type Sums = BTreeMap<String, (u64, [u8; 20])>;

pub(crate) fn run(program: &str, args: &[&str]) {
    // mtools reads names as the locale says.
    let done = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    dice.fill(&mut bytes);
    bytes
}

/// Boundary sizes, many entries, holes, hard links, other kinds, names that are hard, a deep path.
pub(crate) fn tree(root: &Path) {
    let sizes = [
        0,
        1,
        59,
        60,
        61,
        100,
        127,
        159,
        160,
        1023,
        1024,
        1025,
        4095,
        4096,
        4097,
        65535,
        65536,
        1 << 20,
        (1 << 20) + 1,
    ];
    fs::create_dir(root.join("sizes")).unwrap();
    for (seed, size) in sizes.into_iter().enumerate() {
        fs::write(root.join(format!("sizes/{size}")), noise(size, seed as u64)).unwrap();
    }
    fs::create_dir(root.join("many")).unwrap();
    for n in 0..1200 {
        fs::write(root.join(format!("many/file-with-a-longer-name-{n}")), noise(n % 80, n as u64)).unwrap();
    }
    let holes = fs::File::create(root.join("holes")).unwrap();
    for n in 0..300_u64 {
        use std::os::unix::fs::FileExt as _;
        holes.write_all_at(&noise(5000, n), n * 40_000).unwrap();
    }
    fs::write(root.join("hole at the end"), noise(70_000, 5)).unwrap();
    let end = fs::OpenOptions::new().write(true).open(root.join("hole at the end")).unwrap();
    end.set_len(2 << 20).unwrap();
    fs::File::create(root.join("hole")).unwrap().set_len(3 << 20).unwrap();
    fs::hard_link(root.join("sizes/4097"), root.join("second name")).unwrap();
    symlink("sizes/1", root.join("link")).unwrap();
    symlink("x".repeat(300), root.join("long link")).unwrap();
    for name in ["日本語", "é", "e\u{301}", "🦀", &"n".repeat(255)] {
        fs::write(root.join(name), name).unwrap();
    }
    let deep = root.join(["d"; 22].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("end"), "deep").unwrap();
    fs::write(root.join("large"), noise(9 << 20, 99)).unwrap();
}

/// The truth.
pub(crate) fn sums_of(root: &Path) -> Sums {
    fn descend(dir: &Path, root: &Path, sums: &mut Sums) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                descend(&path, root, sums);
            } else if meta.is_file() {
                let name = format!("/{}", path.strip_prefix(root).unwrap().to_str().unwrap());
                sums.insert(name, (meta.len(), Sha1::digest(fs::read(&path).unwrap()).into()));
            }
        }
    }
    let mut sums = Sums::new();
    descend(root, root, &mut sums);
    sums
}

/// An ext volume of `megabytes` MB on a disk that was full of noise before.
pub(crate) fn ext(image: &Path, tree: &Path, megabytes: usize, options: &[&str]) {
    fs::write(image, vec![0xaa; megabytes << 20]).unwrap();
    let (image, tree) = (image.to_str().unwrap(), tree.to_str().unwrap());
    run("mke2fs", &[&["-q", "-F", "-E", "nodiscard", "-d", tree], options, &[image]].concat());
}

/// All that a walk gives, with every content read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) sums: BTreeMap<String, Sums>,
    pub(crate) n_others: usize,
    pub(crate) problems: Vec<String>,
    pub(crate) walked: Walked,
}

pub(crate) fn read(path: &Path) -> Read {
    read_container(&open(path).unwrap())
}

pub(crate) fn read_container(container: &Container) -> Read {
    let mut read = Read::default();
    read.walked = walk(container, &mut |volume, bytes, item| {
        match item {
            Item::Stream(stream) => {
                let mut end = 0;
                for extent in &stream.extents {
                    assert!(extent.logical >= end, "extents are in order");
                    end = extent.logical + extent.len;
                    assert!(end <= stream.size, "extents lie within their file");
                }
                match sum(bytes, &stream) {
                    Ok(sum) => {
                        for path in stream.paths {
                            let path = String::from_utf8_lossy(&path).into_owned();
                            read.sums.entry(volume.into()).or_default().insert(path, (stream.size, sum));
                        }
                    }
                    Err(fault) => read.problems.push(fault.to_string()),
                }
            }
            Item::Other { .. } => read.n_others += 1,
            Item::Problem { path, fault } => {
                read.problems.push(format!("{}: {fault}", String::from_utf8_lossy(&path)));
            }
        }
        ControlFlow::Continue(())
    });
    read
}

pub(crate) fn sum(
    bytes: &std::sync::Arc<dyn hashsweep_image::ImageReader>,
    stream: &hashsweep_image::Stream,
) -> Result<[u8; 20], Fault> {
    let mut sha1 = Sha1::new();
    let mut content = Content::new(bytes.clone(), stream.size, stream.extents.clone());
    let mut block = vec![0; 100_000];
    loop {
        match content.read(&mut block)? {
            0 => break,
            n => sha1.update(&block[..n]),
        }
    }
    Ok(sha1.finalize().into())
}

/// Whether any of the extents is of that kind.
pub(crate) fn has_unwritten(container: &Container, name: &[u8]) -> bool {
    let mut has = false;
    walk(container, &mut |_, _, item| {
        if let Item::Stream(stream) = item {
            has |= stream.paths[0] == name && stream.extents.iter().any(|e| e.data == Data::Zero);
        }
        ControlFlow::Continue(())
    });
    has
}

/// One of the committed NTFS volumes, unpacked to `image`.
pub(crate) fn ntfs(form: &str, image: &Path) {
    fixture(form, image);
}

/// One of the committed images, unpacked to `image`.
pub(crate) fn fixture(form: &str, image: &Path) {
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/images");
    let packed = fs::File::open(format!("{packed}/{form}.img.gz")).unwrap();
    let mut plain = fs::File::create(image).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
}
