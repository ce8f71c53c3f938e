//! Opening a case: creating it privately, locking it, refusing what is not ours.

use crate::error::CaseError;
use crate::group::Group;
use crate::migration::{from_1, from_2, from_3};
use crate::others::Others;
use crate::queue::Hand;
use crate::session::Session;
use crate::sweeps::Maker;
use crate::turn::Line;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A case: "hswp" in SQLite's header.
pub(crate) const CASE: Schema = Schema {
    application_id: 0x6873_7770,
    version: 4,
    sql: concat!(include_str!("schema.sql"), include_str!("derived.sql"), include_str!("views.sql")),
    from_older: &[from_1, from_2, from_3],
};

/// What shows the tables.
pub(crate) const VIEWS: &str = include_str!("views.sql");

/// What a database of ours holds, and how it is told from others.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Marks the file as ours in SQLite's header.
    pub(crate) application_id: i64,
    /// What this version writes, kept in SQLite's `user_version`.
    pub(crate) version: i64,
    /// Its tables.
    pub(crate) sql: &'static str,
    /// What brings each older version to the next, from version 1 on.
    pub(crate) from_older: &'static [Migration],
}

/// Brings a database from one version to the next.
pub(crate) type Migration = fn(&Connection) -> Result<(), CaseError>;

/// A connection is used by one thread at a time; Rust sees to that, so SQLite need not lock. Names are URIs, so that
/// another case can be attached that is only to be read.
const OPEN: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_URI);

/// How long one waits for another at the same case. Most transactions take milliseconds, letting 400,000 digests join
/// a second; putting ten million back into the queue on a slow disk may take a minute. Who holds the case for longer
/// is stopped.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// 64 MiB of pages: the upper levels of the queue's and the answers' trees at ten million digests. It also bounds
/// what a sort holds in memory. Negative means KiB.
const CACHE_KIB: i64 = -65536;

/// The log is written back once it holds this many pages, 64 MiB. A page that is written to again and again within
/// a run is then written back once for some ten commits, not once for each.
const CHECKPOINT_PAGES: i64 = 16_384;

/// Statements kept prepared; there are about 30, and rusqlite's own 16 would make a group parse most of its own anew.
const STATEMENTS: usize = 64;

/// File systems on which SQLite's locks and shared memory do not hold (statfs `f_type`).
const NETWORK_FILE_SYSTEMS: [(i64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB2"),
    (0xff53_4d42, "CIFS"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
];

/// One case file, open.
#[derive(Debug)]
pub struct Case {
    pub(crate) connection: Connection,
    pub(crate) hand: Hand,
    others: Others,
    maker: Maker,
    path: PathBuf,
    /// Absent for a reader.
    writer: Option<Writer>,
}

/// What a process that writes has beside the database.
#[derive(Debug)]
struct Writer {
    line: Line,
    /// Dropping it gives everything we hold to whoever comes.
    session: Session,
}

impl Case {
    /// Opens a case to write, and makes it if it is not there: the file 0600, a directory that must be made for it
    /// 0700. Other processes may write to it as well.
    pub fn open(path: &Path) -> Result<Case, CaseError> {
        // First, so that nothing is made beside a file that is not ours.
        refuse_foreign(path, &CASE)?;
        private_directory(path)?;
        let connection = open_database(path, &CASE, PATIENCE)?;
        // Whatever links lead to it, everybody must stand in the same line.
        let database = path.canonicalize().map_err(io(path))?;
        let writer = Writer { line: Line::before(&database)?, session: Session::begin(&database)? };
        // What refers to a row was given its number by us a moment ago, and looking it up again costs as much as
        // finding the row to change. `PRAGMA foreign_key_check` finds any reference that is wrong.
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Case { writer: Some(writer), ..Case::reading(connection, path) })
    }

    fn reading(connection: Connection, path: &Path) -> Case {
        Case {
            connection,
            hand: Hand::default(),
            others: Others::default(),
            maker: Maker::default(),
            path: path.to_owned(),
            writer: None,
        }
    }

    /// Opens an existing case to read beside whoever writes it.
    pub fn open_to_read(path: &Path) -> Result<Case, CaseError> {
        if !path.exists() {
            return Err(CaseError::Missing(path.to_owned()));
        }
        refuse_foreign(path, &CASE)?;
        match Case::reading_beside(path) {
            // Where nothing may be written, nobody writes, and the file is read as it lies.
            Err(CaseError::Database(error)) if is_no_permission(&error) => {
                if has_log(path) {
                    return Err(CaseError::LogOnReadOnly(path.to_owned()));
                }
                Case::reading_from(Connection::open_with_flags(as_it_lies(path), LOOK)?, path)
            }
            read => read,
        }
    }

    fn reading_beside(path: &Path) -> Result<Case, CaseError> {
        // Read-write, because a reader of a WAL database may have to recover it; nothing here writes.
        let connection = Connection::open_with_flags(uri(path, "mode=rw"), OPEN).or_else(|_| {
            Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
        })?;
        Case::reading_from(connection, path)
    }

    fn reading_from(connection: Connection, path: &Path) -> Result<Case, CaseError> {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        match version(&connection, path, &CASE)? {
            Some(found) if found < CASE.version => {
                // A writer brings it up to date.
                drop(Case::open(path)?);
                Case::open_to_read(path)
            }
            Some(_) => Ok(Case::reading(connection, path)),
            None => Err(CaseError::NotACase(path.to_owned())),
        }
    }

    /// Says who begins sweeps and runs from now on; until then it is unknown.
    pub fn made_by(&mut self, maker: Maker) {
        self.maker = maker;
    }

    /// By which the case is told from others, whatever it is called. Its copies have the same.
    pub fn uid(&self) -> Result<String, CaseError> {
        self.meta("uid")?.ok_or_else(|| CaseError::Damaged("a case without a name of its own".to_owned()))
    }

    /// The file that says that this process is at work, as long as it is. Absent where it only reads.
    pub fn session_file(&self) -> Option<&Path> {
        self.session().map(|session| session.path.as_path())
    }

    /// The session of this process. Absent where it only reads.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.writer.as_ref().map(|writer| &writer.session)
    }

    /// Where those who write stand. Absent for a reader.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.writer.as_ref().map(|writer| &writer.line)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that make up a case at `path`, for a walk to leave alone. Each process at work has one more, whose
    /// name begins as [`sessions_of`](Case::sessions_of) says.
    pub fn files_of(path: &Path) -> Vec<PathBuf> {
        ["", "-wal", "-shm", "-journal", "-lock"].iter().map(|suffix| beside(path, suffix)).collect()
    }

    /// How the names of the session files begin.
    pub fn sessions_of(path: &Path) -> PathBuf {
        beside(path, "-session-")
    }

    /// Waits no longer than this for another process that holds the case.
    pub fn be_patient_for(&mut self, patience: Duration) -> Result<(), CaseError> {
        if let Some(writer) = &mut self.writer {
            writer.line.patience = patience;
        }
        Ok(self.connection.busy_timeout(patience)?)
    }

    /// One transaction: everything in it is durable when this returns, or nothing of it happened.
    pub fn group<T>(
        &mut self,
        work: impl FnOnce(&mut Group<'_>) -> Result<T, CaseError>,
    ) -> Result<T, CaseError> {
        let Case { connection, hand, others, maker, writer, .. } = self;
        let at_front = writer.as_ref().map(|writer| writer.line.stand()).transpose()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        drop(at_front);
        hand.begin();
        let session = writer.as_ref().map(|writer| &writer.session);
        let mut group = Group { transaction, hand, others, maker, session };
        let done = work(&mut group);
        let Group { transaction, hand, others, .. } = group;
        // An error drops the transaction, which undoes it.
        let done = done.and_then(|done| transaction.commit().map(|()| done).map_err(CaseError::from));
        if done.is_err() {
            hand.undo();
            others.undo();
        }
        done
    }

    /// Binds a new case to a service, and refuses one that belongs to another.
    pub fn belong_to(&mut self, service: &str) -> Result<(), CaseError> {
        if self.service()?.is_none() {
            // Another process may be first.
            self.connection.execute("INSERT OR IGNORE INTO meta VALUES ('service', ?1)", [service])?;
        }
        match self.service()? {
            Some(has) if has != service => Err(CaseError::OtherService { has, wants: service.to_owned() }),
            _ => Ok(()),
        }
    }

    /// The service it belongs to, if it was ever meant for one.
    pub fn service(&self) -> Result<Option<String>, CaseError> {
        self.meta("service")
    }

    pub(crate) fn meta(&self, name: &str) -> Result<Option<String>, CaseError> {
        Ok(self
            .connection
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
            .optional()?)
    }
}

/// The directory that will hold a database, made 0700 if it is not there and refused on a network.
pub(crate) fn private_directory(database: &Path) -> Result<(), CaseError> {
    let parent = database.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io(parent))?;
    refuse_network(database, parent)
}

/// Opens a database of ours to write, 0600, furnishes a new one and brings an older one up to date. Waits so long for
/// another writer.
pub(crate) fn open_database(
    path: &Path,
    schema: &Schema,
    patience: Duration,
) -> Result<Connection, CaseError> {
    refuse_foreign(path, schema)?;
    // Only SQLite may close a database: on POSIX systems, closing any descriptor of a file drops every lock that this
    // process has on it, those of its other connections too.
    if !path.exists() {
        if has_log(path) {
            return Err(CaseError::LogWithoutCase(path.to_owned()));
        }
        drop(private_file(path).map_err(io(path))?);
    }
    let mut connection = Connection::open_with_flags(uri(path, "mode=rw"), OPEN)?;
    connection.busy_timeout(patience)?;
    // Before anything is changed; setting the journal mode writes, and so may closing what turns out to be damaged.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = version(&connection, path, schema)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    if found != Some(schema.version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been first.
        match version(&transaction, path, schema)? {
            None => transaction.execute_batch(schema.sql)?,
            Some(found) => {
                let steps = usize::try_from(found - 1).ok().and_then(|done| schema.from_older.get(done..));
                for step in steps.unwrap_or_default() {
                    step(&transaction)?;
                }
            }
        }
        transaction.pragma_update(None, "application_id", schema.application_id)?;
        transaction.pragma_update(None, "user_version", schema.version)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// The schema of a database that is ours, or `None` for one with nothing in it yet. Somebody else's is refused here
/// once more, because what its log holds does not show in the file's header.
pub(crate) fn version(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
) -> Result<Option<i64>, CaseError> {
    let Schema { application_id, version: known, .. } = *schema;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let n_objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (pragma("application_id")?, pragma("user_version")?) {
        (mark, found @ 1..) if mark == application_id && found <= known => {
            refuse_armed(connection, path)?;
            Ok(Some(found))
        }
        (mark, found) if mark == application_id && found > known => {
            Err(CaseError::Newer { path: path.to_owned(), found, known })
        }
        (0, 0) if n_objects == 0 => Ok(None),
        _ => Err(CaseError::NotACase(path.to_owned())),
    }
}

/// A case may come from anywhere. Ours have no triggers, no virtual tables, and no views but four; a view in the place of
/// a table may go on for ever when it is read.
fn refuse_armed(connection: &Connection, path: &Path) -> Result<(), CaseError> {
    let what = connection.query_row(
        "SELECT iif(type = 'table', 'a virtual table', 'a ' || type) || ' ' || name FROM sqlite_schema
         WHERE type = 'trigger' OR type = 'view' AND name NOT IN ('listed', 'recorded', 'present', 'result')
             OR type = 'table' AND rootpage = 0 LIMIT 1",
        [],
        |row| row.get(0),
    );
    match what.optional()? {
        Some(what) => Err(CaseError::Armed { path: path.to_owned(), what }),
        None => Ok(()),
    }
}

/// A file that is there, not empty, and not an SQLite database with our mark must not be touched: not even by
/// opening it to write, which could roll back a journal beside it.
pub(crate) fn refuse_foreign(path: &Path, schema: &Schema) -> Result<(), CaseError> {
    let not_a_case = || CaseError::NotACase(path.to_owned());
    match path.metadata() {
        // Opening a FIFO would wait for its other end.
        Ok(found) if !found.is_file() => return Err(not_a_case()),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(CaseError::Io { path: path.to_owned(), source }),
    }
    let looked = (|| {
        let connection = Connection::open_with_flags(as_it_lies(path), LOOK)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok::<_, rusqlite::Error>((pragma("application_id")?, pragma("schema_version")?))
    })();
    match looked {
        // A case whose very first transaction is still in its log has an empty file, or a header with neither a mark
        // nor changes of the schema.
        Ok((mark, _)) if mark == schema.application_id => Ok(()),
        Ok((0, 0)) => Ok(()),
        Ok(_) => Err(not_a_case()),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) if !has_mark(path, schema)? => {
                Err(not_a_case())
            }
            // The rest may be in its log: writing that back, a full disk takes the first page, which says how long the
            // file is to be, and not the last.
            Some(ErrorCode::DatabaseCorrupt) if has_log(path) => Ok(()),
            Some(ErrorCode::NotADatabase) => Err(CaseError::Damaged(error.to_string())),
            _ => Err(error.into()),
        },
    }
}

pub(crate) fn has_log(path: &Path) -> bool {
    beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

/// Whether a file that SQLite cannot read carries our mark nevertheless.
fn has_mark(path: &Path, schema: &Schema) -> Result<bool, CaseError> {
    use std::io::Read;
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(72).read_to_end(&mut head)).map_err(io(path))?;
    let mark = u32::try_from(schema.application_id).ok().map(u32::to_be_bytes);
    Ok(head.starts_with(b"SQLite format 3\0") && head.get(68..72) == mark.as_ref().map(<[u8; 4]>::as_slice))
}

/// To look at a file's header without a lock, a log or a journal, and without the last close of it.
pub(crate) const LOOK: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_URI).union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A database as the bytes of its file are, in SQLite's words.
pub(crate) fn as_it_lies(path: &Path) -> String {
    uri(path, "immutable=1")
}

/// A database to be read beside whoever writes it, in SQLite's words.
pub(crate) fn only_to_read(path: &Path) -> String {
    uri(path, "mode=ro")
}

fn uri(path: &Path, how: &str) -> String {
    use std::fmt::Write;
    let mut uri = "file://".to_owned();
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for byte in whole.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?" + how
}

/// Whether SQLite could not have what it needs beside a database.
pub(crate) fn is_no_permission(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn refuse_network(path: &Path, directory: &Path) -> Result<(), CaseError> {
    let Ok(found) = rustix::fs::statfs(directory) else { return Ok(()) };
    #[expect(clippy::unnecessary_cast, reason = "the field's width differs between platforms")]
    let f_type = found.f_type as i64;
    match NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == f_type) {
        Some((_, kind)) => Err(CaseError::NetworkFileSystem { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// One that was not there before.
pub(crate) fn private_file_anew(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> CaseError {
    let path = path.to_owned();
    move |source| CaseError::Io { path, source }
}
