//! Manifests, judged by the tools that read them.

use hashsweep_model::{Digests, HashKind, Kinds};
use hashsweep_report::{Format, Manifest, safe};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Output};

/// Names that have broken manifests.
const NAMES: [&[u8]; 16] = [
    b"plain",
    b" leading and trailing ",
    b"comma,comma",
    b"*star",
    b"back\\slash",
    b"back\\nslash",
    b"\\first",
    b"carriage\rreturn",
    b"-",
    b"#hash",
    b") = 0000",
    b"latin-\xE9",
    b"\xFF\xFE",
    b"esc\x1B[31m",
    "日本語".as_bytes(),
    b"%%%% HASHDEEP-1.0",
];

/// Names that hashdeep's own format cannot say.
const LINE_ENDS: [&[u8]; 3] = [b"new\nline", b"\n", b"trailing return\r"];

fn tree(names: &[&[u8]]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(dir.path().join(OsStr::from_bytes(name)), [b"content of ", *name].concat()).unwrap();
    }
    dir
}

/// The digests as coreutils computes them.
fn digests(dir: &Path, name: &[u8], kinds: &Kinds) -> Digests {
    kinds.iter().fold(Digests::default(), |digests, kind| {
        let file = fs::File::open(dir.join(OsStr::from_bytes(name))).unwrap();
        let output = Command::new(format!("{kind}sum")).stdin(file).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        digests.with(text.split(' ').next().unwrap().parse().unwrap())
    })
}

fn manifest(dir: &Path, names: &[&[u8]], format: Format, kinds: &str) -> Vec<u8> {
    let kinds: Kinds = kinds.parse().unwrap();
    let comments = ["Invoked from: /tmp".to_owned(), "$ hashsweep hash x\n0,fake".to_owned()];
    let mut manifest = Manifest::new(Vec::new(), format, &kinds, &comments).unwrap();
    for name in names {
        let size = fs::metadata(dir.join(OsStr::from_bytes(name))).unwrap().len();
        manifest.file(name, size, &digests(dir, name, &kinds)).unwrap();
    }
    manifest.finish().unwrap()
}

/// Runs a tool inside the tree, the manifest being beside it and not in it.
fn judge(dir: &Path, manifest: &[u8], tool: &str, before: &[&str], after: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), manifest).unwrap();
    Command::new(tool).args(before).arg(file.path()).args(after).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", safe::terminal(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn coreutils_checks_every_name() {
    let names: Vec<&[u8]> = NAMES.into_iter().chain(LINE_ENDS).collect();
    let dir = tree(&names);
    for kind in HashKind::ALL {
        let manifest = manifest(dir.path(), &names, Format::Coreutils, kind.name());
        let output = judge(dir.path(), &manifest, &format!("{kind}sum"), &["--strict", "-c"], &[]);
        assert!(output.status.success(), "{kind}: {}", said(&output));
        // What coreutils itself would have written, the lone dash apart, which it takes for standard input.
        let asked: Vec<&[u8]> = names.iter().map(|name| if *name == b"-" { b"./-" } else { *name }).collect();
        let own = Command::new(format!("{kind}sum"))
            .arg("--")
            .args(asked.iter().map(|name| OsStr::from_bytes(name)))
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(safe::text(&manifest), safe::text(&own.stdout));
    }
}

#[test]
fn coreutils_finds_its_own_lines_among_tagged_ones() {
    let names: Vec<&[u8]> = NAMES.into_iter().chain(LINE_ENDS).collect();
    let dir = tree(&names);
    let manifest = manifest(dir.path(), &names, Format::Coreutils, "sha1,sha256,md5");
    for kind in HashKind::ALL {
        let output = judge(dir.path(), &manifest, &format!("{kind}sum"), &["-c"], &[]);
        assert!(output.status.success(), "{kind}: {}", said(&output));
        let n_ok = output.stdout.windows(5).filter(|end| end == b": OK\n").count();
        assert_eq!(n_ok, names.len(), "{kind}: {}", said(&output));
    }
    let first: Vec<&[u8]> = manifest.split(|&byte| byte == b'\n').take(3).collect();
    assert!(first[0].starts_with(b"SHA1 (plain) = "), "{}", safe::terminal(first[0]));
    assert!(first[1].starts_with(b"SHA256 (plain) = "), "{}", safe::terminal(first[1]));
    assert!(first[2].starts_with(b"MD5 (plain) = "), "{}", safe::terminal(first[2]));
}

#[test]
fn hashdeep_audits_every_name_it_can_say() {
    if Command::new("hashdeep").arg("-V").output().is_err() {
        eprintln!("NOT TESTED: the hashdeep audit, because no hashdeep is installed");
        return;
    }
    let dir = tree(&NAMES);
    for kinds in ["sha1", "sha256,md5,sha1", "md5"] {
        let manifest = manifest(dir.path(), &NAMES, Format::Hashdeep, kinds);
        let output = judge(dir.path(), &manifest, "hashdeep", &["-a", "-vv", "-k"], &["-l", "-r", "."]);
        // The walk says `./plain` where the manifest says `plain`: every file is known, and every one has moved.
        assert!(said(&output).contains("New files found: 0"), "{}", said(&output));

        let dotted: Vec<Vec<u8>> = NAMES.iter().map(|name| [b"./", *name].concat()).collect();
        let dotted: Vec<&[u8]> = dotted.iter().map(Vec::as_slice).collect();
        let manifest = self::manifest(dir.path(), &dotted, Format::Hashdeep, kinds);
        let output = judge(dir.path(), &manifest, "hashdeep", &["-a", "-k"], &["-l", "-r", "."]);
        assert!(output.status.success(), "{}", said(&output));

        let root = dir.path().canonicalize().unwrap();
        let whole: Vec<Vec<u8>> =
            NAMES.iter().map(|name| root.join(OsStr::from_bytes(name)).into_os_string().into_vec()).collect();
        let whole: Vec<&[u8]> = whole.iter().map(Vec::as_slice).collect();
        let manifest = self::manifest(dir.path(), &whole, Format::Hashdeep, kinds);
        let output = judge(dir.path(), &manifest, "hashdeep", &["-a", "-k"], &["-r", "."]);
        assert!(output.status.success(), "{}", said(&output));

        // An audit that cannot fail proves nothing.
        fs::write(dir.path().join("plain"), "changed").unwrap();
        let output = judge(dir.path(), &manifest, "hashdeep", &["-a", "-k"], &["-r", "."]);
        assert!(!output.status.success(), "{}", said(&output));
        fs::write(dir.path().join("plain"), "content of plain").unwrap();
    }
}

#[test]
fn a_line_end_in_a_name_does_not_break_a_hashdeep_manifest() {
    let names: Vec<&[u8]> = LINE_ENDS.into_iter().chain([&b"plain"[..]]).collect();
    let dir = tree(&names);
    let manifest = manifest(dir.path(), &names, Format::Hashdeep, "md5,sha1");
    insta::assert_snapshot!(String::from_utf8(manifest.clone()).unwrap());
    if Command::new("hashdeep").arg("-V").output().is_err() {
        eprintln!("NOT TESTED: hashdeep's reading of it, because no hashdeep is installed");
        return;
    }
    let output = judge(dir.path(), &manifest, "hashdeep", &["-a", "-vv", "-k"], &["-l", "-r", "."]);
    let said = said(&output);
    assert!(said.contains("New files found: 0") && said.contains("Known files not found: 0"), "{said}");
}

#[test]
fn the_first_five_columns() {
    let names: [&[u8]; 3] = [b"=1,2", b"new\nline", b"latin-\xE9"];
    let dir = tree(&names);
    let text = |format| String::from_utf8(manifest(dir.path(), &names, format, "sha1")).unwrap();
    insta::assert_snapshot!(text(Format::Csv), @r#"
    path,size,md5,sha1,sha256
    "\x3D1,2",15,,87d7b5f8775fe7d079d98c36eda22ab0840956f9,
    "new
    line",19,,312c4d54c5b49c5ee1686c42106a1a41bea1f7d8,
    latin-\xE9,18,,a04b45bf66d32029fef8ca37e1221901dee5e6ff,
    "#);
    insta::assert_snapshot!(text(Format::Jsonl), @r#"
    {"path":"=1,2","size":15,"sha1":"87d7b5f8775fe7d079d98c36eda22ab0840956f9"}
    {"path":"new\nline","size":19,"sha1":"312c4d54c5b49c5ee1686c42106a1a41bea1f7d8"}
    {"path":"latin-\\xE9","path_raw":"latin-%E9","size":18,"sha1":"a04b45bf66d32029fef8ca37e1221901dee5e6ff"}
    "#);
}
