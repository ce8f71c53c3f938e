//! Lists of hashes: what is recognised, what each row becomes, and that not a byte of them is lost.

use crate::support::{Kept, told};
use hashsweep_model::{HashKind, Kinds, Place};
use hashsweep_source::Gauges;
use hashsweep_source::list::{
    ColumnChoice, Layout, ListError, ListOrder, ListRead, RawRows, read, recognise,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::AtomicBool;

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

fn order(content: &[u8]) -> (tempfile::TempDir, ListOrder) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    std::fs::write(&path, content).unwrap();
    (dir, ListOrder { path, kinds: Kinds::default(), column: None, hash_type: None })
}

fn rows(order: &ListOrder, first_row: u64) -> Result<(Vec<(u64, String)>, ListRead), ListError> {
    let kept = Kept::default();
    let layout = recognise(order)?;
    let stop = AtomicBool::new(false);
    let list = read(order, &layout, 3, &kept, first_row, &Gauges::default(), &stop)?;
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
    let mut list = RawRows::open(&order.path, &layout).unwrap();
    let mut bytes = list.preamble().to_vec();
    let mut n_rows = 0;
    while let Some(row) = list.next().unwrap() {
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
fn a_csv_has_a_header_and_one_column_of_hashes() {
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
        let mut list = RawRows::open(&order.path, &layout).unwrap();
        assert_eq!(list.next().unwrap().unwrap().is_open, is_open, "for {last:?}");
        check(&content, &[MD5]);
    }
}

fn refused(content: &str, column: Option<ColumnChoice>) -> String {
    let (_dir, mut order) = order(content.as_bytes());
    order.column = column;
    let error = recognise(&order).unwrap_err().to_string();
    error.replace(&format!("\"{}\"", order.path.display()), "LIST")
}

#[test]
fn a_list_that_cannot_be_understood_says_what_was_seen_and_what_to_do() {
    let several = refused(&format!("md5,name,sha1\n{MD5},a,{SHA1}\n"), None);
    assert_eq!(
        several,
        "choose a column of LIST: hashes stand in 1 \"md5\", 3 \"sha1\"\n  hint: name one with --column NAME or --column N"
    );
    let none = refused("a,b\nx,y\n", None);
    assert!(
        none.starts_with("find a column of hashes in LIST: its columns are 1 \"a\", 2 \"b\"\n"),
        "{none}"
    );
    let no_header = refused(&format!("{MD5},a\n{MD5},b\n"), None);
    assert!(no_header.contains(&format!("its first line holds the hash {MD5}, not a header")), "{no_header}");
    let content = format!("a,b\n{MD5},y\n");
    for (choice, wanted) in [
        (ColumnChoice::Name("c".into()), "\"c\""),
        (ColumnChoice::Index(3), "3"),
        (ColumnChoice::Index(0), "0"),
    ] {
        let absent = refused(&content, Some(choice));
        assert!(absent.starts_with(&format!("find the column {wanted} in LIST: its columns are 1 \"a\"")));
    }
    let neither = refused("no\nhash\n", None);
    assert!(neither.starts_with("find a hash in LIST: it begins with \"no\"\n  hint: "), "{neither}");
    let (_dir, order) = order(b"\xff\xfea\0");
    assert!(matches!(recognise(&order), Err(ListError::Utf16 { .. })));
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
    let Layout::Csv { column, header } = recognise(&order).unwrap() else { panic!("a CSV") };
    assert_eq!((column, header.len()), (2, 3));
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
    let list = read(&order, &Layout::Text, 0, &kept, 1, &Gauges::default(), &AtomicBool::new(true)).unwrap();
    assert!(!list.finished && list.fingerprint.is_none());
    assert!(kept.0.into_inner().unwrap().is_empty());
}

#[test]
fn a_line_without_end_is_one_invalid_row_in_little_memory() {
    let mut content = MD5.as_bytes().to_vec();
    content.push(b'\n');
    content.extend(MD5.as_bytes());
    content.resize(20 << 20, b' ');
    content.extend(format!("x\n{SHA1}\n").as_bytes());
    let (_dir, order) = order(&content);
    let (rows, _) = rows(&order, 1).unwrap();
    let n_digits = content.len() - MD5.len() - 1 - SHA1.len() - 2;
    assert_eq!(
        rows,
        [(1, MD5.to_owned()), (2, format!("invalid: {n_digits} hex digits")), (3, SHA1.to_owned())]
    );
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_list() {
    let mut content = format!("hash,name\n{MD5},a\n{SHA1},\"b\n").into_bytes();
    content.resize(20 << 20, b'\n');
    let (_dir, mut order) = order(&content);
    order.column = Some(ColumnChoice::Index(1));
    let layout = recognise(&order).unwrap();
    let kept = Kept::default();
    let stop = AtomicBool::new(false);
    let error = read(&order, &layout, 0, &kept, 1, &Gauges::default(), &stop).unwrap_err();
    assert!(matches!(error, ListError::RecordTooLong { row: 1, .. }), "{error}");
    assert_eq!(kept.0.into_inner().unwrap().len(), 1, "the row before it is as good as any");
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
        let mut list = RawRows::open(&order.path, &layout).unwrap();
        for record in other.byte_records() {
            let record = record.unwrap();
            let row = list.next().unwrap().unwrap();
            prop_assert!(row.fields.iter().eq(record.iter()));
            // And so does a reading of the row alone.
            let mut alone =
                csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(row.raw);
            let again = alone.byte_records().next().unwrap().unwrap();
            prop_assert!(row.fields.iter().eq(again.iter()));
        }
        prop_assert!(list.next().unwrap().is_none());
    }

    #[test]
    fn a_text_is_put_together_again_byte_for_byte(
        lines in prop::collection::vec(("[a ,\r\"]{0,8}", prop::sample::select(vec!["\n", "\r\n"])), 0..40),
        last in "[a ]{0,3}",
    ) {
        let lines: String = lines.into_iter().map(|(line, end)| line + end).collect();
        let content = lines + &last;
        let (_dir, order) = order(content.as_bytes());
        let mut list = RawRows::open(&order.path, &Layout::Text).unwrap();
        let mut bytes = Vec::new();
        let mut n_rows = 0;
        while let Some(row) = list.next().unwrap() {
            bytes.extend([row.raw, row.terminator].concat());
            n_rows += 1;
        }
        prop_assert_eq!(bytes, content.as_bytes());
        prop_assert_eq!(n_rows, content.split_inclusive('\n').count());
    }
}
