use crate::lab::{Lab, number, rows};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn tool(program: &str, args: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tree with a hard link, a symbolic one, an empty file, names that are hard, and more files than one group.
fn tree(lab: &Lab) {
    lab.write("tree/dir/a", "a");
    lab.write("tree/dir/empty", "");
    lab.write("tree/Windows/System32/x.dll", vec![7; 300_000]);
    lab.write("tree/日本語: x", "name");
    for n in 0..200 {
        lab.write(format!("tree/many/{n}"), format!("file {n}").repeat(n * 11));
    }
    std::fs::hard_link(lab.path("tree/dir/a"), lab.path("tree/second name")).unwrap();
    std::os::unix::fs::symlink("a", lab.path("tree/dir/link")).unwrap();
}

/// The truth, as debugfs reads it out of the volume: SHA-1 by path within it.
fn by_debugfs(volume: &Path, paths: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<String> = paths.collect();
    let mut script = tempfile::NamedTempFile::new().unwrap();
    for (nth, path) in paths.iter().enumerate() {
        writeln!(script, "dump \"{path}\" {}", dir.path().join(nth.to_string()).display()).unwrap();
    }
    tool("debugfs", &["-f", text(script.path()), text(volume)]);
    let sum = |(nth, path): (usize, String)| {
        let sum = String::from_utf8(tool("sha1sum", &[text(&dir.path().join(nth.to_string()))])).unwrap();
        (path, sum[..40].to_owned())
    };
    paths.into_iter().enumerate().map(sum).collect()
}

/// A GPT disk: p1 the volume, p2 swap, p3 what the callback puts there.
fn disk(lab: &Lab, name: &str, third: &[u8]) {
    let volume = std::fs::read(lab.path("volume")).unwrap();
    let mut disk = vec![0; 40 << 20];
    disk[1 << 20..][..volume.len()].copy_from_slice(&volume);
    let swap = 30 << 20;
    disk[swap + 0xff6..][..10].copy_from_slice(b"SWAPSPACE2");
    disk[swap + 1024..][..8].copy_from_slice(&[1, 0, 0, 0, 0xff, 3, 0, 0]);
    disk[34 << 20..][..third.len()].copy_from_slice(third);
    let path = lab.write(name, disk);
    let script = lab.write("script", "label: gpt\n2048,49152\n61440,8192\n69632,4096\n");
    let sfdisk = Command::new("sfdisk")
        .args(["-q", text(&path)])
        .stdin(std::fs::File::open(script).unwrap())
        .output()
        .unwrap();
    assert!(sfdisk.status.success(), "{}", String::from_utf8_lossy(&sfdisk.stderr));
}

fn volume(lab: &Lab) {
    let (volume, tree) = (lab.path("volume"), lab.path("tree"));
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", text(&tree), text(&volume), "16m"]);
}

#[test]
fn every_file_of_an_image_is_swept_and_what_is_not_read_makes_it_incomplete() {
    let lab = Lab::new();
    tree(&lab);
    volume(&lab);
    disk(&lab, "disk.dd", b"LUKS\xba\xbe");
    let case = lab.path("case.db");
    let args = ["image", "disk.dd", "--sim", "--case", "case.db", "-o", "o.csv", "--fail-on", "never"];
    let run = lab.run(args).exits(3).says("INCOMPLETE: 1 row not looked at").says("disk.dd:/p1 (ext):");
    assert!(run.stderr.contains(" + 0 lost; 0 problems"), "{}", run.stderr);
    let rows = rows(&std::fs::read(lab.path("o.csv")).unwrap());
    assert_eq!(rows["disk.dd:/p2/"]["reason"], "not a file system: swap");
    assert_eq!(rows["disk.dd:/p3/"]["reason"], "not supported: a volume of the kind LUKS");
    assert_eq!(rows["disk.dd:/p1/dir/link"]["reason"], "symbolic link");
    assert_eq!(rows["disk.dd:/p1/dir/a"]["sha1"], rows["disk.dd:/p1/second name"]["sha1"]);
    let read = || rows.iter().filter(|(_, row)| !row["sha1"].is_empty());
    let truth =
        by_debugfs(&lab.path("volume"), read().map(|(path, _)| path["disk.dd:/p1".len()..].to_owned()));
    for (path, row) in read() {
        assert_eq!(truth[&path["disk.dd:/p1".len()..]], row["sha1"], "{path}");
    }
    assert_eq!(read().count(), 205, "every file of the tree, under every name");
    assert_eq!(number(&lab.totals(&case)["rows"]), rows.len() as u64);
    assert_eq!(number(&lab.totals(&case)["duplicates"]), 2, "a hard link, and two files are empty");
}

#[test]
fn a_disk_of_which_all_is_read_is_complete_and_drive_letters_come_back() {
    let lab = Lab::new();
    tree(&lab);
    volume(&lab);
    let (image, volume) = (lab.path("disk"), lab.path("volume"));
    tool("ewfacquire", &["-q", "-u", "-f", "encase6", "-c", "best", "-t", text(&image), text(&volume)]);
    let args = [
        "image",
        "disk.E01",
        "--sim",
        "--path-map",
        "p0=C:",
        "--path-map",
        "p7=X:",
        "--verify",
        "--fail-on",
        "never",
    ];
    let run = lab
        .run(args)
        .exits(0)
        .says("COMPLETE")
        .says("disk.E01: the disk's digests are those stored with it")
        .says("--path-map names p7, and no such volume was read");
    let swept = rows(&run.stdout);
    let dll = &swept["disk.E01:/C:/Windows/System32/x.dll"];
    assert_eq!(dll["size"], "300000");
    let filtered =
        lab.run(["image", "disk.E01", "--sim", "--exclude", "many", "--fail-on", "never"]).exits(0);
    assert_eq!(rows(&filtered.stdout).len(), swept.len() - 200);

    let manifest = lab.run(["hash", "--image", "disk.E01", "--path-map", "p0=C:"]).exits(0);
    let manifest = String::from_utf8(manifest.stdout).unwrap();
    let mut lines: Vec<&str> = manifest.lines().filter(|line| !line.starts_with('%')).collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = swept
        .iter()
        .filter(|(_, row)| !row["sha1"].is_empty())
        .map(|(path, row)| format!("{}  {path}", row["sha1"]))
        .collect();
    expected.sort_unstable();
    assert_eq!(lines, expected, "a manifest of the image tells what the sweep told");
}

#[test]
fn the_sum_of_a_volume_counts_contents_that_could_not_be_read() {
    let lab = Lab::new();
    tree(&lab);
    volume(&lab);
    let (image, volume) = (lab.path("disk"), lab.path("volume"));
    tool("ewfacquire", &["-q", "-u", "-f", "encase6", "-c", "none", "-t", text(&image), text(&volume)]);
    let mut bytes = std::fs::read(lab.path("disk.E01")).unwrap();
    let dll = bytes.windows(20_000).position(|run| run.iter().all(|byte| *byte == 7)).unwrap();
    bytes[dll + 10_000] ^= 1;
    lab.write("disk.E01", bytes);
    let run = lab.run(["image", "disk.E01", "--sim", "--fail-on", "never"]).exits(3);
    let said = " + 0 lost; 1 problems, 1 of them contents that could not be read";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let rows = rows(&run.stdout);
    assert!(rows["disk.E01:/p0/Windows/System32/x.dll"]["reason"].contains("a chunk fails its checksum"));
}

#[test]
fn deleted_files_are_given_on_request_apart_from_the_live_ones() {
    let lab = Lab::new();
    lab.write("kept.bin", vec![1; 8000]);
    lab.write("A longer name.exe", vec![2; 5000]);
    lab.write("again.bin", vec![3; 5000]);
    let image = lab.path("stick");
    lab.write("stick", "");
    std::fs::OpenOptions::new().write(true).open(&image).unwrap().set_len(4 << 20).unwrap();
    tool("mkfs.fat", &["-F", "12", text(&image)]);
    let copy = |name: &str, to: &str| tool("mcopy", &["-i", text(&image), text(&lab.path(name)), to]);
    copy("again.bin", "::/");
    tool("mmd", &["-i", text(&image), "::/dir"]);
    tool("mdel", &["-i", text(&image), "::/again.bin"]);
    // Into the same clusters and not into the same entry.
    copy("kept.bin", "::/dir/");
    copy("A longer name.exe", "::/");
    tool("mdel", &["-i", text(&image), "::/A longer name.exe"]);

    let live = lab.run(["image", "stick", "--sim", "--fail-on", "never"]).exits(0).says("COMPLETE");
    assert_eq!(rows(&live.stdout).keys().collect::<Vec<_>>(), ["stick:/p0/dir/kept.bin"]);
    let args = ["image", "stick", "--deleted", "--sim", "--case", "case.db", "--fail-on", "never"];
    let run = lab
        .run(args)
        .exits(0)
        .says("COMPLETE")
        .says("stick:/p0 (FAT12): 3 in use = 1 with content + 0 without + 2 directories")
        .says("stick:/p0$Deleted (FAT12): 2 deleted = 0 certain + 0 likely + 1 guess + 1 not recoverable");
    let swept = rows(&run.stdout);
    let guess = &swept["stick:/p0$Deleted/guess/A longer name.exe"];
    let debug = || format!("{:?}", swept.keys());
    assert_eq!(guess["size"], "5000", "{}", debug());
    let gone = &swept["stick:/p0$Deleted/gone/_gain.bin"];
    assert!(gone["reason"].starts_with("not recoverable: cluster "), "{gone:?}");
    assert_eq!(swept.len(), 3, "{}", debug());
    assert_eq!(number(&lab.totals(&lab.path("case.db"))["rows"]), 3);

    let manifest = lab.run(["hash", "--image", "stick", "--deleted", "--path-map", "p0=E:"]).exits(0);
    let manifest = String::from_utf8(manifest.stdout).unwrap();
    let expected = format!("{}  stick:/E:$Deleted/guess/A longer name.exe", guess["sha1"]);
    assert!(manifest.lines().any(|there| there == expected), "{manifest}");
    let left_out = ["hash", "--image", "stick", "--deleted", "--exclude", "*$Deleted"];
    let left_out = String::from_utf8(lab.run(left_out).exits(0).stdout).unwrap();
    assert!(!left_out.contains("$Deleted") && left_out.contains("kept.bin"), "{left_out}");
}

#[test]
fn a_plan_of_an_image_keeps_nothing() {
    let lab = Lab::new();
    tree(&lab);
    volume(&lab);
    let plan = lab.run(["image", "volume", "--sim", "--dry-run", "--case", "case.db"]).exits(0);
    assert!(String::from_utf8(plan.stdout).unwrap().contains("nothing was sent"));
    assert!(!lab.path("case.db").exists());
    lab.run(["image", "volume", "--sim", "--case", "case.db", "--fail-on", "never"])
        .exits(0)
        .says("COMPLETE");
    let totals = lab.totals(&lab.path("case.db"));
    assert_eq!(number(&totals["outcomes"]["skipped"]), 1, "{totals:#}");
}

#[test]
fn a_sweep_of_an_image_that_was_killed_goes_on_where_it_stopped() {
    let lab = Lab::new();
    tree(&lab);
    for n in 0..3000 {
        lab.write(format!("tree/more/{n}"), format!("more {n}"));
    }
    volume(&lab);
    let whole = lab.run(["image", "volume", "--sim", "--fail-on", "never"]).exits(0);
    let args = ["image", "volume", "--sim", "--case", "case.db", "--fail-on", "never"];
    let killed = lab.command().args(args).env("HASHSWEEP_CRASH_AT", "recording:2").output().unwrap();
    assert!(killed.status.code().is_none(), "it was to end in the midst of its rows");
    let resumed = lab.run(["resume", "--case", "case.db", "--sim"]).exits(0);
    let cells = |run: &crate::lab::Run| -> Vec<(String, String)> {
        rows(&run.stdout).into_iter().map(|(path, row)| (path, row["sha1"].clone())).collect()
    };
    assert_eq!(cells(&resumed), cells(&whole));
    lab.totals(&lab.path("case.db"));
}

#[test]
fn what_cannot_be_opened_is_said_and_never_a_clean_sweep() {
    let lab = Lab::new();
    lab.write("dir/x", "x");
    lab.write("disk.qcow2", [b"QFI\xfb".as_slice(), &[0; 4096]].concat());
    lab.write("noise", vec![0x5a; 1 << 20]);
    lab.run(["image", "gone.E01", "--sim"]).exits(2);
    lab.run(["image", "dir", "--sim"]).exits(2);
    lab.run(["image", "noise", "--sim", "--path-map", "p1"]).exits(2).says("--path-map");
    let run = lab.run(["image", "disk.qcow2", "noise", "--sim", "--fail-on", "never"]).exits(3);
    let rows = rows(&run.stdout);
    assert_eq!(rows["disk.qcow2:/"]["reason"], "not supported: QCOW of version 0");
    assert_eq!(rows["noise:/p0/"]["reason"], "not supported: a volume of no known kind");
}

#[test]
fn a_scan_that_comes_by_an_image_says_that_nobody_looked_inside() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let run = lab.run(["scan", "tree", "--sim", "--fail-on", "never"]).exits(0);
    assert!(!run.stderr.contains("disk image"));
    lab.write("tree/disk.qcow2", [b"QFI\xfb".as_slice(), &[0; 4096]].concat());
    lab.run(["scan", "tree", "--sim", "--fail-on", "never"])
        .exits(0)
        .says("1 file is a disk image")
        .says("'hashsweep image' does: tree/disk.qcow2");
}

#[test]
fn shadow_copies_of_a_windows_volume_are_counted_and_the_sweep_is_not_whole_without_them() {
    let lab = Lab::new();
    let packed = std::fs::File::open(crate::lab::fixtures().join("images/ntfs-4096.img.gz")).unwrap();
    let bytes = Command::new("zcat").stdin(packed).output().unwrap().stdout;
    lab.write("c.dd", &bytes);
    let whole = lab.run(["image", "c.dd", "--sim", "--fail-on", "never"]).exits(0).says("c.dd:/p0 (NTFS):");
    let n_files = std::fs::read_to_string(crate::lab::fixtures().join("images/ntfs-4096.sha1"))
        .unwrap()
        .lines()
        .count();
    assert!(rows(&whole.stdout).len() >= n_files);

    let mark =
        [0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52];
    let mut shadowed = bytes.clone();
    let catalogue = shadowed.len();
    shadowed.resize(catalogue + 0x4000, 0);
    for (at, kind) in [(0x1e00, 1), (catalogue, 2)] {
        shadowed[at..at + 16].copy_from_slice(&mark);
        shadowed[at + 20] = kind;
    }
    shadowed[0x1e30..0x1e38].copy_from_slice(&(catalogue as u64).to_le_bytes());
    shadowed[catalogue + 128] = 2;
    lab.write("c.dd", &shadowed);
    let args = ["image", "c.dd", "--sim", "--fail-on", "never"];
    let run = lab.run(args).exits(3);
    assert_eq!(rows(&run.stdout)["c.dd:/p0/"]["reason"], "snapshots: 1 not looked at");
    lab.run(args.into_iter().chain(["--incomplete-ok=snapshots"])).exits(0);
}

#[test]
fn an_image_against_a_baseline_says_what_is_new_in_it() {
    let lab = Lab::new();
    for name in ["stays", "goes", "changes"] {
        lab.write(format!("tree/{name}"), format!("content of {name}"));
    }
    volume(&lab);
    let image = |more: &[&str]| {
        let args = ["image", "volume", "--sim", "--case", "c.db", "--fail-on", "never", "-o", "o.csv"];
        lab.run(args.iter().chain(more))
    };
    image(&["--baseline", "1"]).exits(2).says("no sweep 1");
    image(&["--emit", "new"]).exits(2).says("--baseline names none");
    image(&[]).exits(0);
    std::fs::remove_file(lab.path("tree/goes")).unwrap();
    lab.write("tree/changes", "other content");
    lab.write("tree/comes", "content of its own");
    volume(&lab);
    image(&["--baseline", "1"]).exits(0).says("since sweep 1: 1 new, 1 changed, 1 gone");
    let rows = rows(&std::fs::read(lab.path("o.csv")).unwrap());
    let change = |name: &str| rows[&format!("volume:/p0/{name}")]["change"].as_str();
    assert_eq!(
        (change("stays"), change("comes"), change("changes"), change("goes")),
        ("known", "new", "changed", "gone")
    );
}
