//! `hashsweep hash`, judged by the tools whose formats it writes.

use crate::lab::{Lab, Run};
use std::path::Path;
use std::process::{Command, Output};

fn tree(lab: &Lab) {
    for (name, content) in
        [("a b.txt", "1"), ("sub/back\\slash", "2"), ("sub/new\nline", "3"), ("sub/.hidden", "")]
    {
        lab.write(Path::new("tree").join(name), content);
    }
}

fn judge(lab: &Lab, command: &str, args: &[&str]) -> Output {
    Command::new(command).args(args).current_dir(lab.path(".")).output().unwrap()
}

#[test]
fn coreutils_accept_every_manifest() {
    let lab = Lab::new();
    tree(&lab);
    for kind in ["sha1", "sha256", "md5"] {
        let run = lab.run(["hash", "tree", "--hash", kind, "-o", "manifest"]).exits(0);
        assert!(run.stdout.is_empty());
        let check = judge(&lab, &format!("{kind}sum"), &["-c", "--strict", "manifest"]);
        assert!(check.status.success(), "{kind}: {}", String::from_utf8_lossy(&check.stderr));
        assert_eq!(String::from_utf8_lossy(&check.stdout).matches(": OK").count(), 4);
    }
    let Run { stdout, .. } = lab.run(["hash", "tree", "--hash", "sha1,sha256"]).exits(0);
    lab.write("tagged", stdout);
    assert!(judge(&lab, "sha1sum", &["-c", "tagged"]).status.success());
}

#[test]
fn hashdeep_audits_a_manifest_as_its_own() {
    let lab = Lab::new();
    for name in ["a b.txt", "sub/comma,comma", "sub/.hidden"] {
        lab.write(Path::new("tree").join(name), name);
    }
    lab.run(["hash", "tree", "--format", "hashdeep", "--hash", "md5,sha1,sha256", "-o", "known"]).exits(0);
    let Ok(audit) = Command::new("hashdeep")
        .args(["-a", "-vv", "-k", "known", "-r", "tree"])
        .current_dir(lab.path("."))
        .output()
    else {
        eprintln!("NOT TESTED: hashdeep is not installed");
        return;
    };
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    lab.write("tree/a b.txt", "changed");
    assert!(!judge(&lab, "hashdeep", &["-a", "-k", "known", "-r", "tree"]).status.success());
}

#[test]
fn csv_and_jsonl_have_the_first_five_columns() {
    let lab = Lab::new();
    lab.write("tree/a", "abc");
    let run = lab.run(["hash", "tree", "--format", "csv"]).exits(0);
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(text, "path,size,md5,sha1,sha256\ntree/a,3,,a9993e364706816aba3e25717850c26c9cd0d89d,\n");
    let run = lab.run(["hash", "tree", "--format", "jsonl", "--hash", "md5"]).exits(0);
    let row: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(row["md5"], "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(row.get("sha1"), None);
}

#[test]
fn dfxml_is_well_formed_and_can_be_swept_as_a_list() {
    let lab = Lab::new();
    tree(&lab);
    lab.write("tree/<&>", "4");
    let hash = ["hash", "tree", "--format", "dfxml", "--hash", "md5,sha1", "-o", "m.dfxml"];
    lab.run(hash).exits(0);
    let text = std::fs::read_to_string(lab.path("m.dfxml")).unwrap();
    assert!(text.contains("<image_filename>tree</image_filename>"), "{text}");
    assert!(text.contains(
        "<filename>tree/&lt;&amp;&gt;</filename><name_type>r</name_type><filesize>1</filesize><inode>"
    ));
    assert_eq!(text.matches("<mtime>").count(), 5);
    let run = lab.run(["list", "m.dfxml", "--sim", "--fail-on", "never", "--format", "jsonl"]).exits(0);
    let digests = String::from_utf8(run.stdout).unwrap();
    assert_eq!(digests.lines().count(), 5, "{digests}");
}

#[test]
fn hash_says_what_it_could_not_read_and_asks_nobody() {
    let lab = Lab::new();
    lab.write("tree/a", "abc");
    let run = lab.run(["hash", "tree", "nowhere"]).exits(2).says("nowhere");
    assert!(run.stdout.is_empty());
    lab.run(["hash", "tree", "nowhere", "--missing-root", "skip"]).exits(3).says("nowhere: missing root");
    assert!(!lab.path("state").exists(), "hash made a case");
}

#[test]
fn an_engine_can_be_forced_and_a_wrong_one_is_refused() {
    let lab = Lab::new();
    tree(&lab);
    let with = |engine: &str| -> Run {
        let mut command = lab.command();
        command.env("HASHSWEEP_ENGINE", engine).args([
            "hash",
            "tree",
            "--hash",
            "md5,sha1,sha256",
            "-j",
            "1",
        ]);
        command.output().unwrap().into()
    };
    let expected = with("single").exits(0);
    for engine in hashsweep_source::Engine::available() {
        let run = with(engine.name()).exits(0);
        let sorted = |run: &Run| {
            let mut lines: Vec<String> =
                String::from_utf8_lossy(&run.stdout).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&run), sorted(&expected), "{engine}");
    }
    with("sse9").exits(2).says("no hashing engine is called");
    lab.run(["hash", "tree", "--engine", "sse9"]).exits(2).says("no hashing engine is called");
    lab.run(["hash", "tree", "--nice", "--max-read", "200MB/s"]).exits(0);
    lab.run(["hash", "tree", "--io", "mmap", "--readers", "1"]).exits(0);
    lab.run(["hash", "tree", "--max-read", "200"]).exits(2).says("write 200MB/s");
}
