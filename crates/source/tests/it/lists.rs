//! Lists of hashes: what is recognised, what each row becomes, and that not a byte of them is lost.

use crate::support::{Kept, told};
use hashsweep_model::{HashKind, Kinds, Place, Sighting};
use hashsweep_source::list::{
    ColumnChoice, InputFormat, Layout, ListError, ListOrder, ListRead, RawRows, Table, read, recognise,
};
use hashsweep_source::{Gauges, Rows};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) fn order(content: &[u8]) -> (tempfile::TempDir, ListOrder) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    std::fs::write(&path, content).unwrap();
    (dir, ListOrder::new(path, Kinds::default()))
}

pub(crate) fn rows(order: &ListOrder, first_row: u64) -> Result<(Vec<(u64, String)>, ListRead), ListError> {
    let kept = Kept::default();
    let layout = recognise(order)?;
    let list = read(order, &layout, 3, &kept, first_row, &Gauges::default(), &Arc::default())?;
    let rows = kept
        .0
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|row| {
            let Place::Line(line) = row.place else { panic!("a list shows lines") };
            assert_eq!(row.root, 3);
            (line, told(&row.seen))
        })
        .collect();
    Ok((rows, list))
}

/// The whole list again from its pieces, and how many rows it has.
fn reassembled(order: &ListOrder) -> (Vec<u8>, u64, [u8; 32]) {
    let layout = recognise(order).unwrap();
    let mut list = RawRows::open(order, &layout).unwrap();
    let mut bytes = list.preamble().to_vec();
    let mut n_rows = 0;
    while let Some(row) = list.next() {
        n_rows += 1;
        assert_eq!(row.number, n_rows);
        for piece in [row.before, row.raw, row.terminator] {
            bytes.extend_from_slice(piece);
        }
    }
    let end = list.finish().unwrap();
    bytes.extend_from_slice(&end.tail);
    (bytes, n_rows, end.fingerprint)
}

fn check(content: &str, expected: &[&str]) {
    let (_dir, order) = order(content.as_bytes());
    let (rows, list) = rows(&order, 1).unwrap_or_else(|error| panic!("{error} for {content:?}"));
    let told: Vec<&str> = rows.iter().map(|(_, told)| &**told).collect();
    assert_eq!(told, expected, "for {content:?}");
    assert!(rows.iter().map(|(line, _)| *line).eq(1..=expected.len() as u64));
    assert!(list.finished);
    assert_eq!(list.rows, expected.len() as u64);
    assert_eq!(list.n_bytes, content.len() as u64);
    let fingerprint: [u8; 32] = Sha256::digest(content).into();
    assert_eq!(list.fingerprint, Some(fingerprint));
    assert_eq!(reassembled(&order), (content.as_bytes().to_vec(), list.rows, fingerprint), "for {content:?}");
}

#[test]
fn a_text_is_one_hash_on_each_line() {
    check("", &[]);
    check(MD5, &[MD5]);
    check(&format!("{MD5}\n"), &[MD5]);
    check(&format!("\u{feff}{MD5}\r\n\r\n{SHA1}\r\n"), &[MD5, "invalid: empty", SHA1]);
    check(&format!("{MD5}\n\n"), &[MD5, "invalid: empty"]);
    check(&format!("\n  0x{MD5}\t\n"), &["invalid: empty", MD5]);
    check(&format!("{}\nhello\n", SHA1.to_uppercase()), &[SHA1, "invalid: not hex at character 1"]);
    check(&format!("{MD5}\n{SHA1},x\n"), &[MD5, "invalid: not hex at character 41"]);
}

#[test]
fn a_table_has_its_hashes_wherever_they_are() {
    check(&format!("hash\n{MD5}\n"), &[MD5]);
    check(&format!("\u{feff}name,hash\r\na,{MD5}\r\n"), &[MD5]);
    check(&format!("hash,name\n{MD5},\"a\n,b\"\n\n{SHA1}\n"), &[MD5, SHA1]);
    check(
        &format!("name,hash\na,{MD5}\nb\nc,,\nd, \"{SHA1}\"\n"),
        &[MD5, "invalid: empty", "invalid: empty", SHA1],
    );
    check(&format!("name,hash\na,\"{MD5}\""), &[MD5]);
    check(&format!("a,b\r{MD5},x\r{SHA1},\r\r"), &[MD5, SHA1]);
    check("name,hash\n", &[]);
    check(&format!("\n\nname,hash\n\n\na,{MD5}\n\n"), &[MD5]);
}

#[test]
fn delimiters_are_told_apart() {
    for delimiter in [",", ";", "\t", "|"] {
        let row = |cells: [&str; 3]| cells.join(delimiter) + "\n";
        check(&(row(["a", "sha1", "b"]) + &row(["1,5", SHA1, "x;y"])), &[SHA1]);
        check(&(row(["x", SHA1, "b"]) + &row(["y", MD5, "z|w"])), &[SHA1, MD5]);
        check(&row(["a", "sha1", "b"]), &[]);
    }
    check(&format!("sep=;\r\nname;hash\r\na,b;{MD5}\r\n"), &[MD5]);
    check(&format!("sep=,\n{MD5},a\n"), &[MD5]);
}

#[test]
fn a_first_row_that_could_be_one_is_one() {
    check(&format!("{MD5},a\n{SHA1},b\n"), &[MD5, SHA1]);
    check(&format!(",5\n{SHA1},6\n"), &["invalid: empty", SHA1]);
    check(&format!("{},5\n{SHA1},6\n", &SHA1[1..]), &["invalid: 39 hex digits", SHA1]);
}

#[test]
fn several_columns_of_hashes_are_one_content() {
    let content = format!(
        "md5,name,SHA-1,sha256\n{MD5},a,{SHA1},{SHA256}\n{MD5},b,zz,\n,c,,\nzz,d,12,\n{MD5},e,{MD5},{SHA256}\n"
    );
    let content = content + &format!(",f,{SHA1},\n").repeat(9);
    let (_dir, mut order) = order(content.as_bytes());
    for (kinds, firsts) in [("sha1", [SHA1, MD5]), ("md5", [MD5, MD5]), ("sha256,md5", [SHA256, MD5])] {
        order.kinds = kinds.parse().unwrap();
        let (rows, list) = rows(&order, 1).unwrap();
        let told: Vec<&str> = rows.iter().take(5).map(|(_, told)| &**told).collect();
        let of_fifth = if kinds == "md5" { MD5 } else { SHA256 };
        let expected = [firsts[0], firsts[1], "invalid: empty", "invalid: not hex at character 1", of_fifth];
        assert_eq!(told, expected, "for {kinds}");
        // A cell with another kind than its column's is a bad one too.
        assert_eq!(list.with_bad_cell, 2);
        let (row, bad) = list.first_bad_cell.unwrap();
        assert_eq!((row, bad.cell, bad.why.to_string()), (2, 3, "not hex at character 1".to_owned()));
    }
    // A column that is blank in every row that is looked at is known by its name.
    let blank = format!(",{SHA1}\n").repeat(300);
    let content = format!("md5,sha1\n{blank}{MD5},\n");
    let (_dir, order) = self::order(content.as_bytes());
    assert_eq!(rows(&order, 301).unwrap().0, [(301, MD5.to_owned())]);
}

#[test]
fn what_is_no_hash_says_why() {
    let sha512 = "0".repeat(128);
    check(
        &format!(
            "{MD5}\n{}\n{}g{}\n\n{sha512}\n 0X{} \n'{MD5}'\n\"{SHA1}\"\n{MD5}\0\n",
            &SHA1[1..],
            &SHA1[..6],
            &SHA1[7..],
            SHA256.to_uppercase(),
        ),
        &[
            MD5,
            "invalid: 39 hex digits",
            "invalid: not hex at character 7",
            "invalid: empty",
            "invalid: 128 hex digits: SHA-512 cannot be asked",
            SHA256,
            MD5,
            SHA1,
            "invalid: not hex at character 33",
        ],
    );
    let refused = "invalid: 128 hex digits: SHA-512 cannot be asked";
    check(&format!("{sha512}\n{sha512}\n"), &[refused; 2]);
    check(&format!("sha512,name\n{sha512},a\n"), &[refused]);
    check(&format!("sha512,md5\n{sha512},{MD5}\n"), &[MD5]);
}

#[test]
fn a_quote_left_open_at_the_end_is_said() {
    for (last, is_open) in [
        ("\"a", true),
        ("\"a\n", true),
        ("\"a\"\"\n", true),
        ("\"", true),
        ("\"a\n\"", false),
        ("\"a\n\"\n", false),
        ("a\"", false),
        ("", false),
    ] {
        let content = format!("hash,name\n{MD5},{last}");
        let (_dir, order) = order(content.as_bytes());
        let layout = recognise(&order).unwrap();
        let mut list = RawRows::open(&order, &layout).unwrap();
        assert_eq!(list.next().unwrap().is_open, is_open, "for {last:?}");
        check(&content, &[MD5]);
    }
}

fn refused(content: &[u8], change: impl FnOnce(&mut ListOrder)) -> String {
    let (_dir, mut order) = order(content);
    change(&mut order);
    let error = recognise(&order).unwrap_err().to_string();
    error.replace(&format!("\"{}\"", order.path.display()), "LIST")
}

#[test]
fn a_list_that_cannot_be_understood_says_what_was_seen_and_what_to_do() {
    let several = refused(format!("sha1,name,parent\n{SHA1},a,{SHA1}\n").as_bytes(), |_| {});
    assert_eq!(
        several,
        "choose a column of LIST: hashes that cannot all be the row's own stand in 1 \"sha1\", 3 \"parent\"\n  hint: name one with --column NAME or --column N"
    );
    let none = refused(b"a,b\nx,y\n", |_| {});
    assert!(
        none.starts_with("find a column of hashes in LIST: its columns are 1 \"a\", 2 \"b\"\n"),
        "{none}"
    );
    let content = format!("a,b\n{MD5},y\n");
    for (choice, wanted) in [
        (ColumnChoice::Name("c".into()), "\"c\""),
        (ColumnChoice::Index(3), "3"),
        (ColumnChoice::Index(0), "0"),
    ] {
        let absent = refused(content.as_bytes(), |order| order.column = Some(choice));
        assert!(absent.starts_with(&format!("find the column {wanted} in LIST: its columns are 1 \"a\"")));
    }
    let neither = refused(b"no\nhash\n", |_| {});
    assert!(neither.starts_with("find a hash in LIST: it begins with \"no\"\n  hint: "), "{neither}");
    assert!(neither.contains("--extract") && neither.contains("--column"), "{neither}");
    for (content, what, hint) in [
        (&b"PK\x03\x04...."[..], "a ZIP archive", "as CSV"),
        (b"%PDF-1.7\n", "a PDF", "--extract"),
        (b"BZh91AY&SY", "packed with bzip2", "bzcat"),
        (b"<html><body>", "markup", "--extract"),
        (b"{\"command\":\"scan\",\"kind\":\"hashsweep manifest\"}\n", "hashsweep's manifest", "report"),
        (b"0|/a|1|r/r|0|0|5|1|2|3|4\n", "a bodyfile without hashes", "-h"),
    ] {
        let said = refused(content, |_| {});
        assert!(said.contains(&format!("it is {what}")) && said.contains(hint), "{said}");
    }
    let unnamed = refused(b"hello\n", |order| order.format = Some(InputFormat::Hashdeep));
    assert!(unnamed.starts_with("read LIST as hashdeep: its second line names no columns\n"), "{unnamed}");
    let fields = refused(b"{\"a\":\"x\",\"b\":{\"c\":\"y\"}}\n", |_| {});
    assert!(fields.contains("they have 1 \"/a\", 2 \"/b/c\"\n  hint: name the member"), "{fields}");
    let fields = refused(format!("{{\"a\":\"{MD5}\",\"b\":\"{MD5}\"}}\n").as_bytes(), |_| {});
    assert!(
        fields.contains(
            "that cannot all be the row's own stand in 1 \"/a\", 2 \"/b\"\n  hint: name one with --field"
        ),
        "{fields}"
    );
}

#[test]
fn the_user_may_name_the_column_and_the_kind() {
    let content = format!("MD5,name,Sha1 \n{MD5},a,{SHA1}\n");
    let (_dir, mut order) = order(content.as_bytes());
    for (choice, digest) in [
        (ColumnChoice::Name("md5".into()), MD5),
        (ColumnChoice::Name("sha1".into()), SHA1),
        (ColumnChoice::Index(3), SHA1),
    ] {
        order.column = Some(choice);
        assert_eq!(rows(&order, 1).unwrap().0, [(1, digest.to_owned())]);
    }
    order.column = Some(ColumnChoice::Index(1));
    order.hash_type = Some(HashKind::Sha1);
    assert_eq!(rows(&order, 1).unwrap().0, [(1, "invalid: 32 hex digits".to_owned())]);
    order.column = None;
    let Layout::Table(Table { columns, header, .. }) = recognise(&order).unwrap() else { panic!("a table") };
    assert_eq!((columns.len(), columns[0].at, header.unwrap().len()), (1, 2, 3));
}

#[test]
fn the_user_may_say_how_a_table_is_read() {
    let content = format!("a:b,{MD5}:{SHA1}\n");
    let (_dir, mut order) = order(content.as_bytes());
    order.delimiter = Some(b':');
    order.column = Some(ColumnChoice::Index(3));
    assert_eq!(rows(&order, 1).unwrap().0, [(1, SHA1.to_owned())]);
    let (_dir, mut order) = self::order(format!("name,what\nx,{MD5}\n").as_bytes());
    order.no_header = true;
    let not_hex = "invalid: not hex at character 1".to_owned();
    assert_eq!(rows(&order, 1).unwrap().0, [(1, not_hex.clone()), (2, MD5.to_owned())]);
    order.format = Some(InputFormat::Text);
    assert_eq!(rows(&order, 1).unwrap().0, [(1, not_hex.clone()), (2, not_hex)]);
}

#[test]
fn rows_that_are_recorded_are_not_offered_again() {
    let (_dir, order) = order(format!("{MD5}\n{SHA1}\nx\n").as_bytes());
    let (rows, list) = rows(&order, 3).unwrap();
    assert_eq!(rows, [(3, "invalid: not hex at character 1".to_owned())]);
    assert_eq!(list.rows, 3);
}

#[test]
fn a_stop_ends_the_reading() {
    let (_dir, order) = order(format!("{MD5}\n{SHA1}\n").as_bytes());
    let kept = Kept::default();
    let list = read(&order, &Layout::Text, 0, &kept, 1, &Gauges::default(), &Arc::new(AtomicBool::new(true)))
        .unwrap();
    assert!(!list.finished && list.fingerprint.is_none());
    assert!(kept.0.into_inner().unwrap().is_empty());
}

#[test]
fn a_line_without_end_is_one_row_in_little_memory() {
    let mut content = MD5.as_bytes().to_vec();
    content.push(b'\n');
    content.extend(MD5.as_bytes());
    content.resize(20 << 20, b' ');
    content.extend(format!("x\n{SHA1}\n").as_bytes());
    let (_dir, order) = order(&content);
    let (rows, _) = rows(&order, 1).unwrap();
    let n_bytes = content.len() - MD5.len() - 1 - SHA1.len() - 2;
    assert_eq!(
        rows,
        [(1, MD5.to_owned()), (2, format!("limit: {n_bytes} bytes in one row")), (3, SHA1.to_owned())]
    );
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_row() {
    for n_behind in [3, 250_000] {
        let behind = (0..n_behind).fold(String::new(), |mut rows, n| {
            write!(rows, "{n:040x},x\r\n").unwrap();
            rows
        });
        let unclosed = "invalid: a quote is opened and never closed";
        // The hash counts where it stands before the quote.
        for (row, expected) in [(format!("{SHA1},\"b \"\"c"), SHA1), (format!("\"{SHA1},b"), unclosed)] {
            let content = format!("hash,name\n{MD5},a\r\n{row}\n{behind}").into_bytes();
            let (_dir, order) = order(&content);
            let (rows, list) = rows(&order, 1).unwrap();
            assert_eq!(list.rows, 2 + n_behind);
            assert_eq!(rows[1].1, expected);
            assert_eq!(rows[2].1, format!("{:040x}", 0));
            assert_eq!(reassembled(&order).0, content);
        }
    }
}

#[test]
fn a_record_without_end_is_one_row() {
    let mut content = format!("hash,name\n{MD5},").into_bytes();
    content.resize(20 << 20, b',');
    content.extend(format!("\n{SHA1},x\n").as_bytes());
    let (_dir, order) = order(&content);
    let n = (20 << 20) - "hash,name\n".len();
    assert_eq!(
        rows(&order, 1).unwrap().0,
        [(1, format!("limit: {n} bytes in one row")), (2, SHA1.to_owned())]
    );
}

/// Cells that quoting, line ends and hashes are made of.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(MD5.to_owned()),
        Just(SHA1.to_uppercase()),
        "[a\", \r\n]{0,6}",
        Just(format!("\"{MD5}\"")),
        Just("\"a\"\"\r\n,b\"".to_owned()),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", ""]);
    let row = (prop::collection::vec(cell(), 1..5), end).prop_map(|(cells, end)| cells.join(",") + end);
    (any::<bool>(), prop::collection::vec(row, 0..30)).prop_map(|(mark, rows)| {
        let mark = if mark { "\u{feff}" } else { "" };
        format!("{mark}name,hash,other\n{}", rows.concat()).into_bytes()
    })
}

proptest! {
    #[test]
    fn a_csv_is_put_together_again_byte_for_byte(content in content(), column in 1usize..4) {
        let (_dir, mut order) = order(&content);
        order.column = Some(ColumnChoice::Index(column));
        let (bytes, n_rows, fingerprint) = reassembled(&order);
        prop_assert_eq!(&bytes, &content);
        let (rows, list) = rows(&order, 1).unwrap();
        prop_assert_eq!(list.rows, n_rows);
        prop_assert_eq!(list.fingerprint, Some(fingerprint));
        prop_assert!(rows.iter().map(|(line, _)| *line).eq(1..=n_rows));
        // Another reading of the same bytes finds the same cells.
        let mut other = csv::ReaderBuilder::new().flexible(true).from_reader(&content[..]);
        let layout = recognise(&order).unwrap();
        let mut list = RawRows::open(&order, &layout).unwrap();
        for record in other.byte_records() {
            let record = record.unwrap();
            let row = list.next().unwrap();
            if row.is_open && row.terminator != b"" {
                // The crate makes one record of all that follows an open quote; here it costs its line.
                return Ok(());
            }
            prop_assert!(row.fields.iter().eq(record.iter()));
            // And so does a reading of the row alone.
            let mut alone =
                csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(row.raw);
            let again = alone.byte_records().next().unwrap().unwrap();
            prop_assert!(row.fields.iter().eq(again.iter()));
        }
        prop_assert!(list.next().is_none());
    }

    #[test]
    fn a_text_is_put_together_again_byte_for_byte(
        lines in prop::collection::vec(("[a ,\r\"]{0,8}", prop::sample::select(vec!["\n", "\r\n"])), 0..40),
        last in "[a ]{0,3}",
    ) {
        let lines: String = lines.into_iter().map(|(line, end)| line + end).collect();
        let content = lines + &last;
        let (_dir, order) = order(content.as_bytes());
        let mut list = RawRows::open(&order, &Layout::Text).unwrap();
        let mut bytes = Vec::new();
        let mut n_rows = 0;
        while let Some(row) = list.next() {
            bytes.extend([row.raw, row.terminator].concat());
            n_rows += 1;
        }
        prop_assert_eq!(bytes, content.as_bytes());
        prop_assert_eq!(n_rows, content.split_inclusive('\n').count());
    }
}

#[test]
fn a_hash_of_something_else_is_not_taken_for_the_rows_own() {
    let rows = |header: &str| format!("{header}\nf0,{SHA256},{SHA1}\nf1,{SHA256},{SHA1}\n");
    for header in ["name,sha256,parent_sha1", "name,SHA-256,ParentProcessSHA1", "name,hash,session"] {
        let (_dir, order) = order(rows(header).as_bytes());
        let error = recognise(&order).unwrap_err().to_string();
        assert!(error.contains("that cannot all be the row's own stand in 2 "), "{error}");
    }
    for header in [
        "name,sha256,sha1",
        "n,SHA-256,file_sha1",
        "n,FileHash (SHA256),SHA1 Hash",
        "n,parent_sha256,parent_sha1",
    ] {
        let (_dir, order) = order(rows(header).as_bytes());
        assert!(recognise(&order).is_ok(), "{header}");
    }
    let blank = format!("sha256,parent_sha1\n{}", format!(",{SHA1}\n").repeat(3));
    let (_dir, order) = order(blank.as_bytes());
    assert!(recognise(&order).is_err());
    let (_dir, order) =
        self::order(format!("{{\"sha256\":\"{SHA256}\",\"parent\":{{\"sha1\":\"{SHA1}\"}}}}\n").as_bytes());
    assert!(recognise(&order).unwrap_err().to_string().contains("2 \"/sha256\""));
}

/// Sought to 4 MiB for each of its lines, this took hours.
#[test]
#[expect(clippy::disallowed_methods, reason = "the time that it takes is what is tested")]
fn a_table_that_opens_a_quote_on_every_line_takes_linear_time() {
    let content = format!("sha1,a\n{}", format!("{SHA1},x\n").repeat(200)) + &"a\"b,\"c\n".repeat(30_000);
    let (_dir, order) = order(content.as_bytes());
    let started = std::time::Instant::now();
    let (rows, list) = rows(&order, 1).unwrap();
    assert!(list.finished && rows.len() >= 30_200, "{} rows", rows.len());
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn a_list_that_ends_inside_of_what_holds_its_rows_says_so() {
    let last = |content: &[u8]| {
        let (_dir, order) = order(content);
        rows(&order, 1).unwrap().0.pop().unwrap().1
    };
    let file = format!("<fileobject><hashdigest type='sha1'>{SHA1}</hashdigest></fileobject>");
    assert_eq!(last(format!("<dfxml>{file}").as_bytes()), "unreadable: there is no </dfxml>");
    let torn = "unreadable: it ends in the middle of this row";
    assert_eq!(last(format!("<dfxml>{file}{}", &file[..40]).as_bytes()), torn);
    assert_eq!(last(format!("<dfxml>{file}</dfxml>").as_bytes()), SHA1);
    let value = format!("{{\n\"sha1\": \"{SHA1}\"\n}}\n");
    assert_eq!(last(format!("{value}{}", &value[..20]).as_bytes()), torn);
    assert_eq!(last(format!("{value}{{\n\"sha1\": \"{SHA1}\"\n{value}{value}").as_bytes()), torn);
    let utf16: Vec<u8> = format!("{SHA1}\n{SHA1}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut = &utf16[..utf16.len() - 1];
    assert!(last(cut).contains("the UTF-16 text ends inside a character"), "{}", last(cut));
}

#[test]
fn what_is_odd_elsewhere_in_a_row_does_not_hide_its_hash() {
    for name in ["f\\udcff", "\\ud83d\\ude00 \\ud83d", "\\\\udcff \\u00e4"] {
        check(&format!("{{\"path\":\"{name}\",\"sha1\":\"{SHA1}\"}}\n"), &[SHA1]);
    }
    let (_dir, order) = order(&[b"{\"path\":\"\xff\",\"sha1\":\"", SHA1.as_bytes(), b"\"}\n"].concat());
    assert_eq!(rows(&order, 1).unwrap().0, [(1, SHA1.to_owned())]);
    let file =
        |name: &str| format!("<fileobject>{name}<hashdigest type='sha1'>{SHA1}</hashdigest></fileobject>");
    let cdata = file("<filename><![CDATA[</fileobject>]]></filename>");
    let (_dir, order) =
        self::order(format!("<dfxml><!-- <fileobject> -->{cdata}{}</dfxml>", file("")).as_bytes());
    assert_eq!(rows(&order, 1).unwrap().0, [(1, SHA1.to_owned()), (2, SHA1.to_owned())]);
}

#[test]
fn manifests_whose_lines_end_otherwise_are_no_single_row() {
    for end in ["\r", "\0"] {
        let (_dir, order) = order(format!("{SHA1}  f0{end}{SHA1}  f1{end}").as_bytes());
        let error = recognise(&order).unwrap_err().to_string();
        assert!(error.contains("a list whose lines end in a") && error.contains("hint: tr "), "{error}");
    }
    let (_dir, order) = order(format!("{SHA1}  f0\n{SHA1}  f1\r{SHA1}  f2\n").as_bytes());
    assert_eq!(rows(&order, 1).unwrap().1.with_bad_cell, 1);
}

#[test]
fn a_bad_row_behind_line_breaks_is_told_by_its_line() {
    check(&format!("sha1,a\n{SHA1},x\nabc,y\n"), &[SHA1, "invalid: 3 hex digits"]);
    let reason = "invalid: 3 hex digits (line 4)";
    check(&format!("sha1,a\n{SHA1},\"x\ny\"\nabc,y\n"), &[SHA1, reason]);
    check(&format!("sha1,a\n{SHA1},x\n\nabc,y\n"), &[SHA1, reason]);
    let long = format!("{SHA1},{}\n", "x".repeat(5 << 20));
    let (_dir, order) = order(format!("sha1,a\n\n{long}{SHA1},\"\n\"\nabc,y\n").as_bytes());
    let told: Vec<String> = rows(&order, 1).unwrap().0.into_iter().map(|(_, told)| told).collect();
    assert!(told[0].ends_with("bytes in one row (line 3)"), "{}", told[0]);
    assert_eq!(told[1..], [SHA1.to_owned(), "invalid: 3 hex digits (line 6)".to_owned()]);
}

#[test]
fn zeros_behind_a_gzip_member_are_padding_and_nothing_else_is() {
    let mut list = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut list, format!("{SHA1}\n").as_bytes()).unwrap();
    let member = list.finish().unwrap();
    let told = |content: &[u8]| -> Vec<String> {
        let (_dir, order) = order(content);
        rows(&order, 1).unwrap().0.into_iter().map(|(_, told)| told).collect()
    };
    assert_eq!(told(&[&member[..], &vec![0; 100_000]].concat()), [SHA1]);
    assert_eq!(told(&[&member[..], &[0; 512], &member].concat()), [SHA1, SHA1]);
    let mut twice = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut twice, &member).unwrap();
    let (_dir, twice) = order(&twice.finish().unwrap());
    assert!(recognise(&twice).unwrap_err().to_string().contains("it is packed twice"));
    let garbage = told(&[&member[..], b"\0\0garbage"].concat());
    assert_eq!(garbage.len(), 2);
    assert!(garbage[1].contains("something that is no gzip follows its last member"), "{garbage:?}");
}

#[test]
fn a_first_row_of_any_length_is_recognised_or_refused() {
    let sha1s = |n: usize| (0..n).map(|i| format!("{i:040x}"));
    let table = sha1s(10_000).collect::<Vec<_>>().join(",f\r") + ",f\r";
    let (_dir, order) = order(format!("sha1,name\r{table}").as_bytes());
    assert_eq!(rows(&order, 1).unwrap().1.with_digest, 10_000);
    let text = sha1s(10_000).collect::<Vec<_>>().join("\r");
    let plain = refused(text.as_bytes(), |_| {});
    assert!(plain.contains("a list whose lines end in a carriage return alone"), "{plain}");
    let objects: Vec<String> = sha1s(10_000).map(|sha1| format!("{{\"sha1\":\"{sha1}\"}}")).collect();
    let wrapped = refused(format!("{{\"data\":[{}]}}", objects.join(",")).as_bytes(), |_| {});
    assert!(
        wrapped.contains("stand in arrays within its values") && wrapped.contains("/data/*/sha1"),
        "{wrapped}"
    );
    let long = format!("{{\"name\":\"{}\",\"sha1\":\"{SHA1}\"}}\n", "x".repeat(300 << 10));
    check(&format!("{long}{{\"sha1\":\"{SHA1}\"}}\n"), &[SHA1, SHA1]);
    check(&format!("name,sha1\n{},{SHA1}\na,{SHA1}\n", "x".repeat(300 << 10)), &[SHA1, SHA1]);
    for nothing in ["[".repeat(300 << 10), "x".repeat(5 << 20), format!("{{\"a\":\"{}", "x,".repeat(3 << 20))]
    {
        let said = refused(nothing.as_bytes(), |_| {});
        assert!(said.starts_with("find a hash in LIST: it begins with "), "{said}");
    }
}

#[test]
fn hashes_within_json_that_are_not_looked_at_are_not_passed_in_silence() {
    let other = "a".repeat(40);
    let wrapped = format!("{{\"sha1\":\"{SHA1}\",\"data\":[{{\"sha1\":\"{other}\"}}]}}\n");
    let said = refused(wrapped.as_bytes(), |_| {});
    assert!(
        said.contains("/data/*/sha1") && said.contains("--field") && said.contains("--extract"),
        "{said}"
    );
    let (_dir, mut named) = order(wrapped.as_bytes());
    named.field = Some("/sha1".to_owned());
    assert_eq!(rows(&named, 1).unwrap().0, [(1, SHA1.to_owned())]);
    // Behind the rows that a list is recognised by.
    let plain = format!("{{\"sha1\":\"{SHA1}\",\"tags\":[\"x\"]}}\n").repeat(200);
    let (_dir, order) = order(format!("{plain}{wrapped}").as_bytes());
    let last = rows(&order, 1).unwrap().0.pop().unwrap().1;
    assert_eq!(last, "unreadable: a hash in an array, at /data/0/sha1; see --field and --extract");
    let twice = format!("{{\"sha1\":\"{SHA1}\",\"sha1\":\"{other}\"}}\n");
    check(&twice, &["unreadable: two members /sha1 with different hashes"]);
    check(&twice.replace(&other, &SHA1.to_uppercase()), &[SHA1]);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    check(&format!("{{\"sha1\":\"{SHA1}\",\"n\":1e999,\"deep\":{deep}}}\n"), &[SHA1]);
    check(
        &format!("{{\"sha1\":\"{SHA1}\"}}\n{{\"sha1\":\"{SHA1}\" x}}\n{{\"sha1\" x}}\n"),
        &[
            SHA1,
            "unreadable: not JSON (expected `,` or `}` at line 1 column 52), and a hash stands in it",
            "invalid: not JSON: expected `:` at line 1 column 9",
        ],
    );
}

#[test]
fn a_stop_is_obeyed_within_a_row_without_end() {
    /// Wants no more once it has seen anything.
    struct Sated(Arc<AtomicBool>);
    impl Rows for Sated {
        fn take(&self, _rows: Vec<Sighting>) -> ControlFlow<()> {
            self.0.store(true, Relaxed);
            ControlFlow::Continue(())
        }
    }
    let mut content = format!("{SHA1}\n").repeat(1000).into_bytes();
    content.resize(8 << 20, b'x');
    let (_dir, order) = order(&content);
    let stop = Arc::new(AtomicBool::new(false));
    let sated = Sated(Arc::clone(&stop));
    let read = read(&order, &Layout::Text, 0, &sated, 1, &Gauges::default(), &stop).unwrap();
    assert!(!read.finished && read.rows < 1000);
    assert!(read.n_bytes < 1 << 20, "{}", read.n_bytes);
    // Within the row as well.
    let mut rows = RawRows::open(&order, &Layout::Text).unwrap().stopped_by(Arc::clone(&stop));
    while rows.next().is_some() {}
    assert!(rows.n_bytes() < 1 << 20, "{}", rows.n_bytes());
}

#[test]
fn the_bytes_of_a_digest_beside_its_digits_are_no_second_hash() {
    check(&format!("sha1,sha1_bytes\n{SHA1},{}\n,\n", SHA1.to_uppercase()), &[SHA1, "invalid: empty"]);
    let other = "b".repeat(40);
    let said = refused(format!("sha1,sha1_bytes\n{SHA1},{SHA1}\n{SHA1},{other}\n").as_bytes(), |_| {});
    assert!(said.contains("2 \"sha1_bytes\""), "{said}");
}
