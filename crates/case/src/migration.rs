//! Older cases brought up to date, one version at a time and all in one transaction.

use crate::CaseError;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// A case of version 1 becomes one of version 2. The first of them did not say to which product an attempt belongs,
/// because there was one.
pub(crate) fn from_1(case: &Connection) -> Result<(), CaseError> {
    let names_products = "SELECT 1 FROM pragma_table_info('attempt') WHERE name = 'product'";
    if !case.prepare(names_products)?.exists([])? {
        case.execute_batch("ALTER TABLE attempt ADD COLUMN product TEXT NOT NULL DEFAULT 'TCA-0101'")?;
    }
    case.execute_batch(include_str!("from-1.sql"))?;
    crate::waiting::put_pending(case)
}

/// A case of version 2 becomes one of version 3.
pub(crate) fn from_2(case: &Connection) -> Result<(), CaseError> {
    case.execute_batch(concat!(include_str!("from-2.sql"), include_str!("derived.sql")))?;
    name_what_is_there(case)
}

/// A case of version 3 becomes one of version 4.
pub(crate) fn from_3(case: &Connection) -> Result<(), CaseError> {
    Ok(case.execute_batch(concat!(include_str!("from-3.sql"), include_str!("views.sql")))?)
}

/// Gives sweeps, runs and the case their names. They come from what the case holds, so that copies of it, each brought
/// up to date by itself, are known to be copies.
fn name_what_is_there(case: &Connection) -> Result<(), CaseError> {
    let mut name_sweep = case.prepare("UPDATE sweep SET uid = ?2 WHERE id = ?1")?;
    let mut name_run = case.prepare("UPDATE run SET uid = ?2 WHERE id = ?1")?;
    let mut of_case = None;
    for sweep in ids(case, "SELECT id FROM sweep ORDER BY id", &[])? {
        let mut print = Sha256::new();
        for what in [
            "SELECT id, command, settings, started_at FROM sweep WHERE id = ?1",
            "SELECT n, given, opened FROM root WHERE sweep = ?1 ORDER BY n",
            // Two machines may begin the same sweep at the same moment; what they find first is not the same.
            "SELECT path, line, size, md5, sha1, sha256, inode, changed_ns FROM sighting WHERE sweep = ?1
             ORDER BY seq LIMIT 64",
        ] {
            add(&mut print, case, what, sweep)?;
        }
        let uid = hex(print);
        name_sweep.execute((sweep, &uid))?;
        for run in ids(case, "SELECT id FROM run WHERE sweep = ?1 ORDER BY id", &[sweep])? {
            let mut print = Sha256::new_with_prefix(&uid);
            add(&mut print, case, "SELECT id, started_at FROM run WHERE id = ?1", run)?;
            name_run.execute((run, hex(print)))?;
        }
        of_case.get_or_insert(uid);
    }
    case.execute(
        "INSERT INTO meta VALUES ('uid', coalesce(?1, lower(hex(randomblob(16)))))",
        [of_case.map(|first| hex(Sha256::new_with_prefix(first)))],
    )?;
    Ok(())
}

fn ids(case: &Connection, which: &str, of: &[i64]) -> Result<Vec<i64>, CaseError> {
    let mut ids = case.prepare(which)?;
    let ids = ids.query_map(rusqlite::params_from_iter(of), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Adds every value of these rows, each with its kind and length, so that no two sequences of values look alike.
fn add(print: &mut Sha256, case: &Connection, what: &str, id: i64) -> Result<(), CaseError> {
    let mut rows = case.prepare(what)?;
    let n_columns = rows.column_count();
    let mut rows = rows.query([id])?;
    while let Some(row) = rows.next()? {
        for i in 0..n_columns {
            let (mark, bytes) = match row.get_ref(i)? {
                ValueRef::Null => (0, Vec::new()),
                ValueRef::Integer(number) => (1, number.to_le_bytes().to_vec()),
                ValueRef::Real(number) => (2, number.to_le_bytes().to_vec()),
                ValueRef::Text(text) => (3, text.to_vec()),
                ValueRef::Blob(blob) => (4, blob.to_vec()),
            };
            print.update([mark]);
            print.update(bytes.len().to_le_bytes());
            print.update(bytes);
        }
    }
    Ok(())
}

/// The first 128 bits, as the names of new sweeps are.
fn hex(print: Sha256) -> String {
    print.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every text");
        text
    })
}
