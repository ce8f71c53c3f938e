//! Every form of a list: the real ones of fixtures/lists, and what is broken about them.

use crate::lists::{order, rows};
use hashsweep_model::{Digests, HashKind};
use hashsweep_source::list::{ColumnChoice, Content, InputFormat, ListOrder, RawRows, recognise};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lists").join(name)
}

/// What .ci/judge-lists described, in the order of the names.
fn described() -> Vec<Digests> {
    [b"three\n".as_slice(), b"two\n", b"five\n", b"four\n", b"one\n", b"", b"one\n", b"six\n"]
        .iter()
        .map(|content| hashsweep_source::digests_of(*content, &"md5,sha1,sha256".parse().unwrap()).unwrap().1)
        .collect()
}

fn digests(order: &ListOrder) -> Vec<Digests> {
    let layout = recognise(order).unwrap();
    let mut list = RawRows::open(order, &layout).unwrap();
    let mut found = Vec::new();
    while let Some(row) = list.next() {
        match (row.content.digests(), row.content.bad()) {
            (Some(digests), None) => found.push(digests),
            other => panic!("row {} of {}: {other:?}", row.number, order.path.display()),
        }
    }
    found
}

fn check_fixture(name: &str, format: InputFormat, kinds: &[HashKind]) {
    let order = ListOrder::new(fixture(name), "sha1".parse().unwrap());
    assert_eq!(recognise(&order).unwrap().format(), format, "for {name}");
    let only = |digests: Digests| {
        digests.iter().filter(|digest| kinds.contains(&digest.kind())).fold(Digests::default(), Digests::with)
    };
    let mut expected: Vec<Digests> = described().into_iter().map(only).collect();
    let mut found = digests(&order);
    if name.starts_with("own.") {
        let order = |digests: &Digests| digests.iter().collect::<Vec<_>>();
        expected.sort_by_key(order);
        found.sort_by_key(order);
    }
    if name == "bodyfile.txt" {
        // The file system's own directories have hashes too.
        found.retain(|digests| expected.contains(digests));
        expected.push(described()[5].iter().take(1).fold(Digests::default(), Digests::with));
    }
    assert_eq!(found, expected, "for {name}");
}

#[test]
fn lists_of_the_tools_that_make_them_are_recognised_and_read() {
    use HashKind::{Md5, Sha1, Sha256};
    for name in ["excel.csv", "semicolon.csv", "tab.tsv", "utf-16.csv", "rds3.csv", "own.csv"] {
        check_fixture(name, InputFormat::Csv, &HashKind::ALL);
    }
    // Binary tables come as the CSV of their columns.
    for name in ["rds3.db", "pyarrow.parquet", "pyarrow-v2.parquet", "duckdb.parquet"] {
        check_fixture(name, InputFormat::Csv, &HashKind::ALL);
    }
    check_fixture("NSRLFile.txt", InputFormat::Csv, &[Md5, Sha1]);
    for name in ["rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst", "rows.jsonl.xz", "own.jsonl"] {
        check_fixture(name, InputFormat::Jsonl, &HashKind::ALL);
    }
    check_fixture("nested.jsonl", InputFormat::Jsonl, &[Sha256]);
    check_fixture("array.json", InputFormat::Json, &HashKind::ALL);
    for name in ["hashdeep.txt", "own.hashdeep"] {
        check_fixture(name, InputFormat::Hashdeep, &HashKind::ALL);
    }
    check_fixture("hashdeep.dfxml", InputFormat::Dfxml, &[Md5]);
    check_fixture("bodyfile.txt", InputFormat::Bodyfile, &[Md5]);
    check_fixture("md5sum.txt", InputFormat::Coreutils, &[Md5]);
    check_fixture("sha1sum.txt", InputFormat::Coreutils, &[Sha1]);
    for name in ["sha256sum.txt", "sha256sum-tag.txt", "own.coreutils"] {
        check_fixture(name, InputFormat::Coreutils, &[Sha256]);
    }
}

/// The rows as a table of what was found: content, then the cells.
fn table(content: &[u8], change: impl FnOnce(&mut ListOrder)) -> String {
    let (_dir, mut order) = order(content);
    change(&mut order);
    let layout = recognise(&order).unwrap_or_else(|error| panic!("{error}"));
    let mut list = RawRows::open(&order, &layout).unwrap();
    let mut table = String::new();
    while let Some(row) = list.next() {
        let found = match &row.content {
            content @ (Content::One(_) | Content::Several(_)) => {
                let (digests, bad) = (content.digests().unwrap(), content.bad());
                let kinds: Vec<&str> = digests.iter().map(|digest| digest.kind().name()).collect();
                let bad = bad.map_or(String::new(), |bad| format!(", cell {}: {}", bad.cell, bad.why));
                kinds.join("+") + &bad
            }
            Content::Invalid(why) => format!("invalid: {why}"),
            Content::Lost(skip) => format!("lost: {skip}"),
        };
        let cells: Vec<String> = row.fields.iter().map(|cell| cell.escape_ascii().to_string()).collect();
        writeln!(table, "{found} [{}]", cells.join("][")).expect("a String takes everything");
    }
    let known = [(MD5, "MD5"), (SHA1, "SHA1"), (SHA256, "SHA256")];
    known.iter().fold(table, |table, (digest, name)| table.replace(digest, name))
}

#[track_caller]
fn check(content: &str, expected: &str) {
    let expected: String = expected.trim().lines().map(|line| line.trim().to_owned() + "\n").collect();
    assert_eq!(table(content.as_bytes(), |_| {}), expected);
}

#[test]
fn values_that_are_no_json_cost_themselves() {
    check(
        &format!(
            "{{\"sha1\":\"{SHA1}\",\"n\":1}}\nhello\n\n{{\"sha1\":12}}\n{{\"n\":1}}\n{{\"sha1\":\"zz\"}}\n[]\n{{\"md5\":\"{MD5}\",\"sha1\":\"x\"}}\n"
        ),
        r#"sha1 [{\"sha1\":\"SHA1\",\"n\":1}]
        invalid: not JSON: expected value at line 1 column 1 [hello]
        invalid: empty []
        invalid: /sha1 is no text [{\"sha1\":12}]
        invalid: no /md5, /sha1, /sha256 [{\"n\":1}]
        invalid: not hex at character 1 [{\"sha1\":\"zz\"}]
        invalid: no /md5, /sha1, /sha256 [[]]
        md5, cell 2: not hex at character 1 [{\"md5\":\"MD5\",\"sha1\":\"x\"}]"#,
    );
    check(&format!("[\"{MD5}\", \"{SHA1}\"]"), "md5 [\\\"MD5\\\"]\nsha1 [\\\"SHA1\\\"]");
    check(
        &format!("[{{\"h\":\"{MD5}\"}},\n {{\"h\":\"{}", &MD5[..9]),
        r#"md5 [{\"h\":\"MD5\"}]
        lost: unreadable: it ends in the middle of this row [{\"h\":\"d41d8cd98]"#,
    );
    check(
        &format!("[{{\"h\":\"{MD5}\"}}] [1]"),
        "md5 [{\\\"h\\\":\\\"MD5\\\"}]\nlost: unreadable: there is more behind the array []",
    );
    check("[]\n", "");
    check(
        &format!("{{\n \"h\": \"{MD5}\"\n}}\n{{\"h\":\n\"x\"}}\n"),
        r#"md5 [{\n \"h\": \"MD5\"\n}]
        invalid: not hex at character 1 [{\"h\":\n\"x\"}]"#,
    );
}

#[test]
fn a_manifest_whose_columns_change_is_read_to_there() {
    check(
        &format!(
            "%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n## note\n1,{MD5},a,b\n\n%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n2,{MD5},c\n%%%% size,sha1,filename\n3,{SHA1},d\n"
        ),
        "md5 [1][MD5][a,b]
        invalid: 1 of 3 columns []
        md5 [2][MD5][c]
        lost: unreadable: from here on the manifest has other columns [%%%% size,sha1,filename]",
    );
}

#[test]
fn dfxml_counts_the_files_own_hashes_alone() {
    check(
        &format!(
            "<?xml version='1.0'?><dfxml><fileobject><filename>a &amp; b&#10;</filename><filesize>5</filesize>\
             <byte_runs><byte_run><hashdigest type='md5'>{MD5}</hashdigest></byte_run></byte_runs>\
             <hashdigest type='SHA1'> {SHA1} </hashdigest></fileobject><fileobject/>\
             <fileobject><hashdigest type='sha512'>00</hashdigest></fileobject>\
             <fileobject><hashdigest type='md5'>12</oops></fileobject>\
             <fileobject><filename>z</filename><hashdigest type='md5'>{MD5}</hashdigest>"
        ),
        r"sha1 [a & b\n][5][][ SHA1 ][]
        invalid: empty [][][][][]
        invalid: empty [][][][][]
        invalid: not XML: ill-formed document: expected `</hashdigest>`, but `</oops>` was found [][][][][]
        lost: unreadable: it ends in the middle of this row [<fileobject><filename>z</filename><hashdigest type=\'md5\'>MD5</hashdigest>]",
    );
}

#[test]
fn every_hash_of_a_text_is_extracted_once() {
    let text = format!(
        "Seen at hxxp://bad[.]example/{MD5}/x, sha1={SHA1}.\r\nnot this: a{MD5} nor {MD5}0 nor {}\n\
         0x{SHA256}, broken {}=\r\n{} end\n{}\n",
        &SHA1[1..],
        &SHA1[..10],
        &SHA1[10..],
        "0".repeat(128),
    );
    let extract = |order: &mut ListOrder| order.format = Some(InputFormat::Extract);
    let expected = format!(
        "md5 [MD5][1][Seen at hxxp://bad[.]example/MD5/x, sha1=SHA1.]\n\
         sha1 [SHA1][1][/x, sha1=SHA1.]\n\
         sha256 [SHA256][3][0xSHA256, broken da39a3ee5e=]\n\
         sha1 [SHA1][3][, broken da39a3ee5e=\\r\\n{} end]\n\
         invalid: 128 hex digits: SHA-512 cannot be asked [{zeros}][5][{zeros}]\n",
        &SHA1[10..],
        zeros = "0".repeat(128),
    );
    assert_eq!(table(text.as_bytes(), extract), expected);
    // Wherever it lies against the blocks in which a file is read, and whatever stands around it.
    for (filler, is_word) in [("-", false), ("f", true), ("z", true), ("\n", false)] {
        for n in (65_536 - 80..65_536 + 10).step_by(7).chain([5 << 20]) {
            let text = format!("{}{SHA1}{}", filler.repeat(n), filler.repeat(300));
            let (_dir, mut order) = order(text.as_bytes());
            extract(&mut order);
            assert_eq!(rows(&order, 1).unwrap().0.len(), usize::from(!is_word), "{n} × {filler:?}");
        }
    }
}

#[test]
fn utf_16_is_read_as_utf_8_in_either_order_of_bytes() {
    for (big_endian, mark) in [(false, true), (true, true), (false, false), (true, false)] {
        let text = format!("{}name,md5\nä😀,{MD5}\n", if mark { "\u{feff}" } else { "" });
        let unit = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
        let content: Vec<u8> = text.encode_utf16().flat_map(unit).collect();
        let (_dir, order) = order(&content);
        assert_eq!(rows(&order, 1).unwrap().0, [(1, MD5.to_owned())]);
        let mut list = RawRows::open(&order, &recognise(&order).unwrap()).unwrap();
        assert_eq!(list.preamble().starts_with(b"\xef\xbb\xbf"), mark);
        assert_eq!(list.next().unwrap().raw, format!("ä😀,{MD5}").as_bytes());
    }
}

fn packed(name: &str, content: &[u8]) -> Vec<u8> {
    match name {
        "gzip" => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(content).unwrap();
            packer.finish().unwrap()
        }
        "zstd" => {
            let mut packer = zstd::Encoder::new(Vec::new(), 1).unwrap();
            // As its own tool does: without one a flipped bit may pass for another text.
            packer.include_checksum(true).unwrap();
            packer.write_all(content).unwrap();
            packer.finish().unwrap()
        }
        "xz" => {
            let mut packer =
                lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
            packer.write_all(content).unwrap();
            packer.finish().unwrap()
        }
        other => panic!("{other}"),
    }
}

/// Digests that do not pack away.
fn many(n: u32) -> String {
    (0..n).fold(String::new(), |mut text, i| {
        let digest = hashsweep_source::digests_of(&i.to_le_bytes()[..], &"sha1".parse().unwrap()).unwrap().1;
        writeln!(text, "{}", digest.sha1.unwrap()).expect("a String takes everything");
        text
    })
}

#[test]
fn a_stream_that_is_cut_off_keeps_its_rows_and_says_so() {
    let text = many(20_000);
    for name in ["gzip", "zstd", "xz"] {
        let whole = packed(name, text.as_bytes());
        let twice = [whole.clone(), whole.clone()].concat();
        let (_dir, order) = order(&twice);
        assert_eq!(rows(&order, 1).unwrap().0.len(), 40_000, "several members of {name}");

        let (_dir, order) = self::order(&whole[..whole.len() / 2]);
        let (found, list) = rows(&order, 1).unwrap();
        let (end, kept) = found.split_last().unwrap();
        assert!(kept.len() > 1_000, "{name} gives {} rows of 20000", kept.len());
        assert!(kept.iter().map(|(_, digest)| &**digest).eq(text.lines().take(kept.len())), "for {name}");
        assert!(end.1.starts_with(&format!("i/o error: the {name} stream ")), "{}", end.1);
        assert!(list.finished && list.fingerprint.is_some());
        // The same again from the row behind the last.
        assert_eq!(rows(&order, end.0).unwrap().0, std::slice::from_ref(end));

        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        let (_dir, order) = self::order(&damaged);
        let (found, _) = rows(&order, 1).unwrap();
        assert!(found.last().unwrap().1.starts_with(&format!("i/o error: the {name} stream ")), "for {name}");

        let (_dir, order) = self::order(&whole[..8]);
        let error = recognise(&order).unwrap_err().to_string();
        assert!(error.starts_with("unpack \"") || error.starts_with("read \""), "{error}");
    }
}

#[test]
fn a_bomb_is_one_row() {
    for name in ["gzip", "zstd", "xz"] {
        let mut content = format!("{MD5}\n").into_bytes();
        content.resize(24 << 20, b'a');
        content.extend(format!("\n{SHA1}\n").bytes());
        let bomb = packed(name, &content);
        assert!(bomb.len() < 1 << 20);
        let (_dir, order) = order(&bomb);
        let n_bytes = (24 << 20) - MD5.len() - 1;
        assert_eq!(
            rows(&order, 1).unwrap().0,
            [(1, MD5.to_owned()), (2, format!("limit: {n_bytes} bytes in one row")), (3, SHA1.to_owned())]
        );
    }
}

#[test]
fn the_fuzzers_corpus_is_read_as_the_csv_crate_reads_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/records");
    let mut n_inputs = 0;
    for input in std::fs::read_dir(corpus).unwrap() {
        n_inputs += 1;
        let input = std::fs::read(input.unwrap().path()).unwrap();
        hashsweep_source::list::fuzzing::records(&input, |delimiter, bytes| {
            let mut reader = csv::ReaderBuilder::new();
            reader.has_headers(false).flexible(true).delimiter(delimiter);
            let records = reader.from_reader(bytes).into_byte_records();
            records.map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
        });
    }
    assert!(n_inputs >= 6);
}

fn check_binary_error(name: &str, change: impl Fn(&mut ListOrder), expected: &str) {
    let mut order = ListOrder::new(fixture(name), "sha1".parse().unwrap());
    change(&mut order);
    let error = recognise(&order).unwrap_err().to_string();
    assert!(error.contains(expected), "{error} for {name}");
}

#[test]
fn a_binary_table_has_columns_to_choose_from_and_no_other_form() {
    let (name, kinds) = ("pyarrow.parquet", [HashKind::Sha1]);
    let mut order = ListOrder::new(fixture(name), "sha1".parse().unwrap());
    order.column = Some(ColumnChoice::Name("SHA1".to_owned()));
    let found = digests(&order);
    order.column = Some(ColumnChoice::Index(3));
    assert_eq!(found, digests(&order));
    let kinds_found: Vec<HashKind> =
        found.iter().flat_map(Digests::iter).map(|digest| digest.kind()).collect();
    assert_eq!(kinds_found, kinds.repeat(8));
    let column = |order: &mut ListOrder, name: &str| order.column = Some(ColumnChoice::Name(name.to_owned()));
    check_binary_error(
        name,
        |order| column(order, "tags"),
        "what lies in lists and maps has no row of its own: 1 \"tags",
    );
    check_binary_error("rds3.db", |order| column(order, "tags"), "its columns are 1 \"sha256\"");
    check_binary_error(name, |order| order.format = Some(InputFormat::Csv), "as csv: it is a Parquet file");
    check_binary_error("rds3.db", |order| order.delimiter = Some(b';'), "leave out --delimiter");
    check_binary_error(
        "rds3.csv",
        |order| order.format = Some(InputFormat::Parquet),
        "as parquet: it begins with",
    );
}

#[test]
fn a_parquet_file_without_its_end_is_an_error() {
    let whole = std::fs::read(fixture("pyarrow-v2.parquet")).unwrap();
    for n in [4, 100, whole.len() / 2, whole.len() - 1] {
        let (_dir, order) = order(&whole[..n]);
        let error = recognise(&order).unwrap_err().to_string();
        assert!(error.contains("Parquet"), "{error}");
    }
}
