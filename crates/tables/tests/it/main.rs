//! Binary tables as real tools made them (fixtures/lists), whole and damaged.

use hashsweep_tables::{Kind, TableError, Transcript};
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lists").join(name)
}

fn open(path: &Path) -> Result<Transcript, TableError> {
    let mut magic = Vec::new();
    File::open(path)?.take(Kind::MAGIC_LEN as u64).read_to_end(&mut magic)?;
    let kind = Kind::of(&magic).expect("it is a binary table");
    Transcript::open(kind, &File::open(path)?, path)
}

/// What can be read of it, and the error behind that.
fn transcript(path: &Path) -> (String, Option<io::Error>) {
    let mut text = Vec::new();
    let mut read = match open(path) {
        Ok(transcript) => transcript,
        Err(error) => return (String::new(), Some(io::Error::other(error))),
    };
    let end = read.read_to_end(&mut text);
    (String::from_utf8(text).unwrap(), end.err())
}

#[test]
fn every_type_of_a_parquet_file_has_its_text() {
    let (text, error) = transcript(&fixture("pyarrow.parquet"));
    assert!(error.is_none(), "{error:?}");
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "path,md5,sha1,sha256,stat.size,stat.mode,at,local,day,cost,largest,share,flag,id"
    );
    assert_eq!(
        lines.next().unwrap(),
        concat!(
            "\"a \"\"quote\"\"\",febe6995bad457991331348f7b9c85fa,1E7720A3460B8A84AC4BA27880D64526A3872F1C,",
            "f6936912184481f5edd4c304ce27c5a1a827804fc7f329f43d273b8621870776,4,,2025-01-02T03:04:05.000006Z,",
            "1925-01-02T03:04:05.000006,1925-01-02,-0.05,18446744073709551615,0.1,true,",
            "00000000-0000-0000-0000-000000000001"
        )
    );
    assert_eq!(lines.count(), 7);
    let (v2, error) = transcript(&fixture("pyarrow-v2.parquet"));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(v2, text);
}

/// A byte that is changed, or an end that is missing, gives an error or other rows. The decoder panics over a few of
/// them; that ends its thread, and is an error to whoever reads.
#[test]
fn damage_is_an_error_or_other_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged");
    for name in ["pyarrow-v2.parquet", "duckdb.parquet"] {
        let whole = fs::read(fixture(name)).unwrap();
        let (mut n_errors, mut n_checked) = (0, 0);
        let mut check = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            n_checked += 1;
            let mut text = Vec::new();
            let read = open(&path)
                .map_err(io::Error::other)
                .and_then(|mut transcript| transcript.read_to_end(&mut text));
            n_errors += usize::from(read.is_err());
            assert!(text.is_empty() || text.ends_with(b"\n"), "a row was broken off");
        };
        // A prime, so that every sort of place is hit.
        for at in (4..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            check(&damaged);
            check(&whole[..at]);
        }
        assert!(n_errors > n_checked / 2, "{n_errors} errors of {n_checked}");
    }
}

fn database(script: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    // Each of these bytes means something in a URI.
    let path = dir.path().join("a?b#c%41&.db");
    Connection::open(&path).unwrap().execute_batch(script).unwrap();
    (dir, path)
}

#[test]
fn a_database_is_read_and_nothing_is_left_beside_it() {
    let (dir, path) =
        database("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, x'00ff'), (NULL, 'x,y'), (0.5, '')");
    let before = fs::read(&path).unwrap();
    assert_eq!(transcript(&path).0, "a,b\n1,00ff\n,\"x,y\"\n0.5,\n");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn check_refused(script: &str, expected: &str) {
    let (_dir, path) = database(script);
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn the_table_of_a_database_is_file_or_the_only_one() {
    let (_dir, path) = database(
        "CREATE TABLE other (a); CREATE TABLE m (a); CREATE VIEW file AS SELECT a + 1 AS a FROM m; INSERT INTO m VALUES (1)",
    );
    assert_eq!(transcript(&path).0, "a\n2\n");
    check_refused("CREATE TABLE a (a); CREATE TABLE b (a)", "there are 2: \"a\", \"b\"");
    check_refused("CREATE VIEW v AS SELECT 1", "no table");
}

#[test]
fn changes_that_lie_beside_a_database_are_not_missed() {
    let (_dir, path) = database("PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("-wal") && error.contains("VACUUM INTO"), "{error}");
    drop(writer);
    assert_eq!(transcript(&path).0, "a\n1\n");
}

#[test]
fn a_damaged_database_is_an_error_behind_the_rows_before_it() {
    let (_dir, path) = database(
        "CREATE TABLE t (a); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) INSERT INTO t SELECT i FROM n",
    );
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let (text, error) = transcript(&path);
    assert!(text.starts_with("a\n1\n2\n"));
    assert!(error.unwrap().to_string().contains("malformed"));
}

#[test]
fn whoever_stops_reading_stops_the_maker() {
    let (_dir, path) = database(
        "CREATE TABLE m (a); CREATE VIEW file AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    );
    let mut transcript = open(&path).unwrap();
    let mut start = [0; 6];
    transcript.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"i\n1\n2\n");
}
