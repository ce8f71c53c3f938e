use crate::made::{ext, read, run, sums_of, tree};
use hashsweep_image::{Ewf, Fault, ImageReader, Raw, open};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn bytes_of(disk: &dyn ImageReader) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut block = vec![0; 50_000];
    loop {
        match disk.read_at(bytes.len() as u64, &mut block)? {
            0 => return Ok(bytes),
            n => bytes.extend_from_slice(&block[..n]),
        }
    }
}

/// A volume of 8 MB: files, noise and zeros.
fn volume(dir: &Path) -> PathBuf {
    let (root, image) = (dir.join("tree"), dir.join("disk.raw"));
    fs::create_dir(&root).unwrap();
    tree(&root);
    fs::remove_file(root.join("large")).unwrap();
    ext(&image, &root, 16, &["-t", "ext4"]);
    image
}

pub(crate) fn acquire(raw: &Path, to: &Path, options: &[&str]) {
    let target = to.to_str().unwrap();
    run("ewfacquire", &[&["-u", "-q", "-t", target], options, &[raw.to_str().unwrap()]].concat());
}

#[test]
fn every_form_of_ewf_gives_the_bytes_of_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let raw = volume(dir.path());
    let expected = fs::read(&raw).unwrap();
    let forms: [(&str, &[&str]); 7] = [
        ("a.E01", &["-f", "encase6", "-c", "deflate:fast"]),
        ("b.E01", &["-f", "encase6", "-c", "deflate:none"]),
        ("c.E01", &["-f", "encase6", "-c", "deflate:best", "-S", "2097152"]),
        ("d.E01", &["-f", "ftk", "-c", "deflate:fast", "-b", "16"]),
        ("e.s01", &["-f", "smart", "-c", "deflate:fast"]),
        ("f.e01", &["-f", "ewfx", "-c", "deflate:empty-block"]),
        ("g.E01", &["-f", "encase5", "-d", "sha1"]),
    ];
    for (name, options) in forms {
        let path = dir.path().join(name);
        acquire(&raw, &path.with_extension(""), options);
        let ewf = Ewf::open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(bytes_of(&ewf).unwrap() == expected, "{name}");
        assert!(ewf.stored().md5.is_some(), "{name}");
        assert_eq!(ewf.verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap(), Some(true), "{name}");
    }
    let truth = sums_of(&dir.path().join("tree"));
    let c = read(&dir.path().join("c.E01"));
    assert!(c.sums["p0"] == truth && c.walked.is_complete());
    fs::remove_file(dir.path().join("c.E02")).unwrap();
    let missing = open(&dir.path().join("c.E01")).err().unwrap().to_string();
    assert!(missing.starts_with("missing: ") && missing.ends_with("c.E02"), "{missing}");
}

#[test]
fn a_damaged_chunk_never_passes_as_data() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    // Half of it is compressible.
    let mut expected = vec![0; 2 << 20];
    fastrand::Rng::with_seed(1).fill(&mut expected[1 << 20..]);
    fs::write(&raw, &expected).unwrap();
    for form in ["deflate:fast", "deflate:none"] {
        let path = dir.path().join("d.E01");
        fs::remove_file(&path).ok();
        acquire(&raw, &path.with_extension(""), &["-f", "encase6", "-c", form]);
        let whole = fs::read(&path).unwrap();
        let mut dice = fastrand::Rng::with_seed(7);
        let mut n_refused = 0;
        for _ in 0..150 {
            let mut bytes = whole.clone();
            let at = dice.usize(..bytes.len());
            bytes[at] ^= 1 << dice.u8(..8);
            fs::write(&path, &bytes).unwrap();
            match Ewf::open(&path).and_then(|ewf| bytes_of(&ewf)) {
                Ok(read) => assert!(read == expected, "a flipped bit at {at} passed"),
                Err(_) => n_refused += 1,
            }
        }
        assert!(n_refused > 75, "{form}: {n_refused}");
    }
}

#[test]
fn a_set_of_pieces_is_found_and_its_gaps_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let expected: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    for names in [
        ["d.000", "d.001", "d.002", "d.003"],
        ["d.001", "d.002", "d.003", "d.004"],
        ["d.aa", "d.ab", "d.ac", "d.ad"],
    ] {
        let dir = tempfile::tempdir_in(dir.path()).unwrap();
        let at = |name| dir.path().join(name);
        fs::write(at("d.txt"), "no piece").unwrap();
        for (name, piece) in names.into_iter().zip(expected.chunks(100_000)) {
            fs::write(at(name), piece).unwrap();
        }
        assert!(bytes_of(&Raw::open(&at(names[0])).unwrap()).unwrap() == expected, "{names:?}");
        assert_eq!(bytes_of(&Raw::open(&at("d.txt")).unwrap()).unwrap(), b"no piece");
        let second = Raw::open(&at(names[1])).err().unwrap().to_string();
        assert!(second.ends_with(names[0]), "{second}");
        fs::remove_file(at(names[2])).unwrap();
        let gap = Raw::open(&at(names[0])).err().unwrap().to_string();
        assert_eq!(gap, format!("missing: {}", names[2]));
    }
}

#[test]
fn a_directory_or_a_pipe_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    run("mkfifo", &[pipe.to_str().unwrap()]);
    for path in [dir.path(), &pipe] {
        let refused = open(path).err().unwrap().to_string();
        assert_eq!(refused, "not supported: neither a file nor a block device");
    }
}

#[test]
fn containers_that_are_not_read_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let forms: [(&[u8], &str); 8] = [
        (b"EVF2\x0d\x0a\x81\x00", "Ex01"),
        (b"LVF\x09\x0d\x0a\xff\x00", "L01"),
        (b"LEF2\x0d\x0a\x81\x00", "Lx01"),
        (b"COWD", "VMDK of ESX (COWD)"),
        (b"\xbe\xba\xfe\xca\x00\x00\x00\x00", "VMDK of ESX (SE sparse)"),
        (b"AFF10\x0d\x0a\x00", "AFF"),
        (b"ADIF", "AD1"),
        (b"ADSEGMENTEDFILE\x00", "AD1"),
    ];
    for (magic, name) in forms {
        fs::write(&path, [magic, &[0; 4096]].concat()).unwrap();
        let refused = open(&path).err().map(|fault| fault.to_string());
        assert_eq!(refused, Some(format!("not supported: a container of the kind {name}")));
    }
}
