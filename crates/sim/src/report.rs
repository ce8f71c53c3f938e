//! A file analysis report, TCA-0104: small, but with the parts that a real one has and a client looks at.
//!
//! A real report is up to half a megabyte. What is invented here follows from the file's digests, so a report never
//! changes.

use crate::{
    invented::Lot,
    tree::Tree,
    verdicts::{Sample, Standing},
};

const FILE_TYPES: [(&str, &str, &str); 4] = [
    ("PE", "Exe", "application/x-dosexec"),
    ("PE+", "Dll", "application/x-dosexec"),
    ("Document", "None", "application/pdf"),
    ("Text", "Script", "text/plain"),
];

/// The report on a file; what single queries wrap and bulk queries list flat.
pub(crate) fn report(sample: &Sample) -> Tree {
    let [md5, sha1, sha256] = sample.digests.map(|digest| digest.to_string());
    let lot = Lot::of("report", &sample.digests[1]);
    let (file_type, subtype, mime) = FILE_TYPES[lot.pick(0, FILE_TYPES.len())];
    let size = 512 + lot.number(1) % 4_000_000;
    let file = Tree::record([
        ("file_type", file_type.into()),
        ("file_subtype", subtype.into()),
        ("mime_type", mime.into()),
        ("size", size.into()),
    ]);
    let tc_report = Tree::record([
        ("info", Tree::record([("file", file)])),
        ("metadata", Tree::record([])),
        ("story", story(sample, file_type, size).into()),
    ]);
    let analysis = Tree::record([
        ("record_time", sample.last_seen.as_str().into()),
        ("analysis_type", "TC_CORE".into()),
        ("analysis_version", "5.4.2".into()),
        ("tc_report", tc_report),
    ]);
    let source = Tree::record([
        ("record_time", sample.first_seen.as_str().into()),
        ("tag", "simulated".into()),
        (
            "properties",
            Tree::List(vec![Tree::record([("name", "file_name".into()), ("value", "sample.bin".into())])]),
        ),
        ("domain", Tree::record([("name", "example.invalid".into())])),
    ]);
    Tree::record([
        ("sha1", sha1.into()),
        ("crc32", format!("{:08x}", lot.number(2) & 0xffff_ffff).into()),
        ("md5", md5.into()),
        ("sha256", sha256.into()),
        ("sha384", lot.hex(3, 48).into()),
        ("sha512", lot.hex(4, 64).into()),
        ("ripemd160", lot.hex(5, 20).into()),
        ("ssdeep", format!("48:{}:{}", lot.hex(6, 12), lot.hex(7, 6)).into()),
        ("sample_size", size.into()),
        (
            "relationships",
            Tree::record([
                ("container_sample_sha1", Tree::List(Vec::new())),
                ("parent_sample_sha1", Tree::List(Vec::new())),
            ]),
        ),
        ("analysis", entries(vec![analysis])),
        (
            "xref",
            Tree::record([("sample_type", file_type.into())]).with("entries", Tree::List(scans(sample))),
        ),
        ("sources", entries(vec![source])),
        ("dynamic_analysis", entries(Vec::new())),
    ])
}

fn entries(list: Vec<Tree>) -> Tree {
    Tree::record([("entries", Tree::List(list))])
}

/// As many scanners as found something.
fn scans(sample: &Sample) -> Vec<Tree> {
    let name = match &sample.standing {
        Standing::Known => return Vec::new(),
        Standing::Suspicious { threat_name } | Standing::Malicious { threat_name } => threat_name.as_str(),
    };
    let scanner =
        |number: u8| Tree::record([("name", format!("scanner_{number:02}").into()), ("result", name.into())]);
    let scanners = (1..=sample.scanner_match).map(scanner).collect();
    vec![Tree::record([
        ("record_time", sample.last_seen.as_str().into()),
        ("scanners", Tree::List(scanners)),
    ])]
}

fn story(sample: &Sample, file_type: &str, size: u64) -> String {
    let [_, sha1, _] = sample.digests;
    format!("This file (SHA1: {sha1}) is a simulated file of type {file_type} and {size} bytes.")
}
