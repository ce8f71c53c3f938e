//! The one table of a SQLite database that is a list: `FILE` of NSRL's RDS 3, else the only one there is.

use crate::TableError;
use crate::rows::{Gone, Rows};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The table or view of RDS 3 that has a row for every file.
const RDS: &str = "FILE";

/// The longest text, blob or row that SQLite may build; far above what a row of a list may be.
const MAX_VALUE: i32 = 64 << 20;

pub(crate) struct Table {
    connection: Connection,
    name: String,
}

impl Table {
    /// Immutable: nothing is written beside the file and no lock is taken. What lies in a log beside it would be
    /// missed, so such a log is an error.
    pub(crate) fn open(path: &Path) -> Result<Table, TableError> {
        for ending in ["-wal", "-journal"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(ending);
            if fs::metadata(&beside).is_ok_and(|log| log.len() > 0) {
                return Err(TableError::Form(format!(
                    "changes that are not in it lie beside it in {}; a copy with both in it: sqlite3 DATABASE \"VACUUM INTO 'COPY'\"",
                    Path::new(&beside).display()
                )));
            }
        }
        // Every byte that could mean something in a URI is escaped, `?` above all.
        let escaped = percent_encode(OsStr::as_bytes(path.as_os_str()), NON_ALPHANUMERIC);
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
        // The schema is the sender's: its views may compute, and call nothing that reaches outside.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let name = chosen(&connection)?;
        Ok(Table { connection, name })
    }

    pub(crate) fn read(&self, rows: &mut Rows) -> Result<(), TableError> {
        let query = format!("SELECT * FROM \"{}\"", self.name.replace('"', "\"\""));
        let mut statement = self.connection.prepare(&query)?;
        let n_columns = statement.column_count();
        for name in statement.column_names() {
            rows.cell(name.as_bytes());
        }
        if let Err(Gone) = rows.end_row() {
            return Ok(());
        }
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            for column in 0..n_columns {
                match row.get_ref(column)? {
                    ValueRef::Null => rows.cell(b""),
                    ValueRef::Integer(number) => rows.shown(number),
                    ValueRef::Real(number) => rows.shown(number),
                    ValueRef::Text(text) => rows.cell(text),
                    ValueRef::Blob(bytes) => rows.hex(bytes),
                }
            }
            if let Err(Gone) = rows.end_row() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn chosen(connection: &Connection) -> Result<String, TableError> {
    let mut statement = connection.prepare(
        "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let all: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    if let Some((name, _)) = all.iter().find(|(name, _)| name.eq_ignore_ascii_case(RDS)) {
        return Ok(name.clone());
    }
    let tables: Vec<&String> = all.iter().filter(|(_, form)| form == "table").map(|(name, _)| name).collect();
    match tables[..] {
        [only] => Ok(only.clone()),
        [] => Err(TableError::Form("the database has no table".to_owned())),
        _ => {
            let shown: Vec<String> = tables.iter().take(20).map(|name| format!("{name:?}")).collect();
            Err(TableError::Form(format!(
                "no table is called {RDS}, and there are {}: {}; one of them: sqlite3 -csv -header DATABASE 'SELECT * FROM TABLE' | hashsweep list -",
                tables.len(),
                shown.join(", ")
            )))
        }
    }
}
