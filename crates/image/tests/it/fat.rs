use crate::made::{Read, noise, read, run, sums_of};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What FAT can hold of a hard tree: boundary sizes, many entries, long and foreign names, a deep path.
pub(crate) fn tree(root: &Path) {
    fs::create_dir_all(root.join("sizes")).unwrap();
    for (seed, size) in [0, 1, 511, 512, 513, 2047, 2048, 2049, 4095, 4096, 4097, 65535, 65536, 300_001]
        .into_iter()
        .enumerate()
    {
        fs::write(root.join(format!("sizes/{size}.bin")), noise(size, seed as u64)).unwrap();
    }
    fs::create_dir(root.join("many")).unwrap();
    for n in 0..600 {
        fs::write(root.join(format!("many/a file with a longer name {n}")), noise(n % 70, n as u64)).unwrap();
    }
    // mtools cuts what is not in the basic plane, and a short é goes into the code page.
    for name in ["日本語", "Ein längerer Name.txt", "UPPER.TXT", "lower.txt", "Mixed.Txt", &"n".repeat(250)]
    {
        fs::write(root.join(name), name).unwrap();
    }
    let deep = root.join(["d"; 22].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("end"), "deep").unwrap();
}

/// A volume that mtools fills, and then one file in pieces between others.
fn fat(image: &Path, tree: &Path, bits: &str, megabytes: u64, cluster: &str) {
    fs::write(image, []).unwrap();
    fs::OpenOptions::new().write(true).open(image).unwrap().set_len(megabytes << 20).unwrap();
    let image = image.to_str().unwrap();
    run("mkfs.fat", &["-F", bits, "-s", cluster, image]);
    for entry in fs::read_dir(tree).unwrap() {
        run("mcopy", &["-s", "-Q", "-i", image, entry.unwrap().path().to_str().unwrap(), "::/"]);
    }
    let pieces = tree.join("pieces");
    fs::create_dir(&pieces).unwrap();
    for n in 0..20 {
        fs::write(pieces.join(n.to_string()), noise(5000, n)).unwrap();
    }
    run("mcopy", &["-s", "-Q", "-i", image, pieces.to_str().unwrap(), "::/"]);
    for n in (0..20).step_by(2) {
        run("mdel", &["-i", image, &format!("::/pieces/{n}")]);
        fs::remove_file(pieces.join(n.to_string())).unwrap();
    }
    // The first free clusters are those between the others.
    fs::write(tree.join("in pieces"), noise(120_000, 77)).unwrap();
    run("mcopy", &["-i", image, tree.join("in pieces").to_str().unwrap(), "::/"]);
}

#[test]
fn every_file_of_every_width_is_read_right() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bits: &str, megabytes: u64, cluster: &str| {
        let (root, image) = (dir.path().join(format!("tree{bits}{cluster}")), dir.path().join("image"));
        tree(&root);
        fat(&image, &root, bits, megabytes, cluster);
        let read = read(&image);
        let truth = sums_of(&root);
        assert_eq!(read.problems, [""; 0], "FAT{bits}");
        assert!(read.walked.is_complete(), "FAT{bits}: {:?}", read.walked);
        assert_eq!(read.walked.volumes[0].kind, format!("FAT{bits}"));
        let wrong: Vec<_> =
            truth.iter().filter(|(path, sum)| read.sums["p0"].get(*path) != Some(sum)).collect();
        assert!(wrong.is_empty(), "FAT{bits}: {wrong:?}");
        assert_eq!(read.sums["p0"].len(), truth.len(), "FAT{bits}");
        assert_eq!(read.walked.volumes[0].summary.streams, truth.len() as u64);
    };
    check("12", 8, "8");
    check("16", 48, "4");
    check("16", 200, "64");
    check("32", 64, "1");
    check("32", 300, "8");
}

fn small(image: &Path) {
    fs::write(image, []).unwrap();
    fs::OpenOptions::new().write(true).open(image).unwrap().set_len(16 << 20).unwrap();
    run("mkfs.fat", &["-F", "16", "-s", "4", image.to_str().unwrap()]);
    let one = image.with_extension("one");
    fs::write(&one, noise(10_000, 1)).unwrap();
    for name in ["::/A.BIN", "::/B.BIN"] {
        run("mcopy", &["-i", image.to_str().unwrap(), one.to_str().unwrap(), name]);
    }
}

/// Where the record with this short name is.
fn record_of(image: &Path, name: &[u8]) -> u64 {
    let bytes = fs::read(image).unwrap();
    bytes.windows(name.len()).position(|window| window == name).unwrap() as u64
}

fn after(image: &Path, change: impl Fn(&fs::File)) -> Read {
    small(image);
    change(&fs::OpenOptions::new().write(true).open(image).unwrap());
    read(image)
}

#[test]
fn what_no_name_leads_to_is_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    small(&image);
    let b = record_of(&image, b"B       BIN");
    let whole = read(&image).sums["p0"]["/B.BIN"];
    // The label's attribute hides an entry from every system, and a deleted one keeps its clusters here.
    for (at, byte) in [(11, 0x08), (0, 0xe5)] {
        let read = after(&image, |file| file.write_all_at(&[byte], b + at).unwrap());
        let orphan = read.sums["p0"].iter().find(|(path, _)| path.starts_with("/$Orphans/")).unwrap();
        assert_eq!(orphan.1.0, 5 * 2048, "all of its clusters");
        assert_ne!(orphan.1, &whole);
        assert!(read.walked.is_complete(), "{:?}", read.walked);
    }
}

#[test]
fn chains_that_are_wrong_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    small(&image);
    let (a, b) = (record_of(&image, b"A       BIN"), record_of(&image, b"B       BIN"));
    let bytes = fs::read(&image).unwrap();
    let first_of_a = bytes[usize::try_from(a).unwrap() + 26];
    let first = u64::from(first_of_a);
    let reserved = u64::from(u16::from_le_bytes([bytes[14], bytes[15]])) * 512;
    let n_tables = u64::from(bytes[16]);
    let table_len = u64::from(u16::from_le_bytes([bytes[22], bytes[23]])) * 512;
    let check = |what: &str, change: &dyn Fn(&fs::File)| {
        let read = after(&image, change);
        assert!(read.problems.iter().any(|problem| problem.contains(what)), "{what}: {:?}", read.problems);
        assert!(!read.walked.is_complete(), "{what}");
        assert!(read.walked.volumes[0].summary.adds_up(), "{what}");
    };
    let link = |file: &fs::File, cluster: u64, next: u64| {
        for table in 0..n_tables {
            let at = reserved + table * table_len + cluster * 2;
            file.write_all_at(&u16::try_from(next).unwrap().to_le_bytes(), at).unwrap();
        }
    };
    check("/A.BIN: damaged: a chain of clusters is a circle", &|file| link(file, first + 2, first));
    check("/A.BIN: damaged: a chain of clusters leads nowhere", &|file| link(file, first + 2, 0));
    check("/A.BIN: damaged: a chain of clusters leads nowhere", &|file| link(file, first, 0xfff0));
    check("/A.BIN: damaged: a file has more bytes than clusters", &|file| link(file, first, 0xffff));
    check("/B.BIN: damaged: clusters that belong to another file, too", &|file| {
        file.write_all_at(&[first_of_a], b + 26).unwrap();
    });
    check("/B.BIN: damaged: a file that begins in no cluster", &|file| {
        file.write_all_at(&[0xff, 0xff], b + 26).unwrap();
    });
    check("/B.BIN: damaged: a file has more bytes than clusters", &|file| {
        file.write_all_at(&[0, 0], b + 26).unwrap();
    });
    check("/A.BIN: damaged: clusters behind the end of the content", &|file| {
        file.write_all_at(&[1, 0, 0, 0], a + 28).unwrap();
    });
    check("copies of the file allocation table differ", &|file| {
        file.write_all_at(&[0x55], reserved + table_len + 100).unwrap();
    });
    check("past the end", &|file| file.set_len(9 << 20).unwrap());
}
