//! Why a case or an account cannot be used, and what the user can do about it.

use hashsweep_model::Stamp;
use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;
use std::path::{Path, PathBuf};

/// Why a case cannot be used, by what the user can do about it.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// There is none at that path.
    #[error("there is no case at {0}\n  hint: scan or list makes one; --case names another")]
    Missing(PathBuf),
    /// Another process holds it and does not go on.
    #[error(
        "another process has kept the case to itself for too long\n  hint: see whether one is stopped; what was confirmed before is safe, and 'hashsweep resume' goes on"
    )]
    Busy,
    /// Made by a newer version.
    #[error("{path} was written by a newer hashsweep (schema {found}, this one knows {known})")]
    Newer {
        /// The case.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// Some other file.
    #[error("{0} is not a hashsweep case; it was left untouched")]
    NotACase(PathBuf),
    /// On a network file system.
    #[error(
        "{path} is on a network file system ({kind}), where a case is not safe\n  hint: put it on a local disk with --case"
    )]
    NetworkFileSystem {
        /// The case.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// It belongs to another service.
    #[error(
        "this case belongs to {has}, not to {wants}\n  hint: answers of two services do not mix; give another --case"
    )]
    OtherService {
        /// The service it belongs to.
        has: String,
        /// The one asked for.
        wants: String,
    },
    /// No such sweep in it.
    #[error("the case has no sweep {0}")]
    NoSuchSweep(i64),
    /// Its rows were dropped.
    #[error(
        "sweep {sweep} was pruned on {}; what it cost and what was found is still in the case\n  hint: 'hashsweep case info' lists the sweeps that are whole",
        crate::calendar::date(*at)
    )]
    Pruned {
        /// The sweep.
        sweep: i64,
        /// When it was.
        at: Stamp,
    },
    /// No sweep at all.
    #[error("the case holds no sweep yet")]
    NoSweep,
    /// What it holds contradicts itself.
    #[error(
        "the case is damaged: {0}\n  hint: copy it with its -wal before anything else; restore it from a copy, or save what can be read with: sqlite3 CASE .recover | sqlite3 NEW"
    )]
    Damaged(String),
    /// There is a log without a case, which SQLite would clear away.
    #[error(
        "there is no case at {0}, but a log of one\n  hint: the case was moved or removed without it; put both together again, or move the log away"
    )]
    LogWithoutCase(PathBuf),
    /// Its log has not been written back, and cannot be read where nothing may be written.
    #[error(
        "{0} has a log beside it that cannot be read where nothing may be written\n  hint: copy both to a directory of yours, and name that one with --case"
    )]
    LogOnReadOnly(PathBuf),
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// No room for more.
    #[error(
        "the disk that holds the case is full, or a quota on it is used up; what was confirmed before is safe in it\n  hint: make room and do it again; a sweep goes on with 'hashsweep resume'"
    )]
    DiskFull,
    /// Another process is at work where nobody may be.
    #[error("another process is at work at {0}\n  hint: do it again when that one has ended")]
    InUse(PathBuf),
    /// Two copies of one case, each with something that the other has not.
    #[error(
        "{0} and the case to merge it into are copies of one case, and each has gone on by itself: their rows cannot be told apart\n  hint: merge both into a case of their own only as far as one is ahead of the other, or read them side by side"
    )]
    Diverged(PathBuf),
    /// A copy is not to replace anything.
    #[error("{0} is there already, and nothing is replaced\n  hint: name another file")]
    Taken(PathBuf),
    /// It holds one sweep only.
    #[error(
        "{0} holds one sweep of another case, and its place among the others cannot be told\n  hint: merge the case that it was taken from"
    )]
    Excerpt(PathBuf),
    /// Merged into itself.
    #[error("{0} is the case to merge into")]
    IsTarget(PathBuf),
    /// What is to be merged breaks a rule.
    #[error(
        "{path} does not keep a case's rules, and nothing of it was brought in: {rule}: first {example}\n  hint: 'hashsweep case verify' names every rule that it breaks; bring in the case that it was copied from"
    )]
    Unsound {
        /// The source.
        path: PathBuf,
        /// The rule.
        rule: &'static str,
        /// What breaks it first.
        example: String,
    },
    /// What was brought in before is something else now.
    #[error(
        "{0} says something else than before about what was brought in already: a request or an answer at the same place is another one\n  hint: one of the two cases was damaged or changed by hand; 'hashsweep case verify' may say which"
    )]
    Altered(PathBuf),
    /// Verdicts that say nothing, for a case that was not made to hold such.
    #[error(
        "what {0} holds was said by the simulator and is about no file, and this case was not made with --sim"
    )]
    Simulated(PathBuf),
    /// It holds what acts by itself.
    #[error("{path} holds {what} that hashsweep has not made; it was left untouched")]
    Armed {
        /// The database.
        path: PathBuf,
        /// What, and its name.
        what: String,
    },
    /// Too little room for a copy.
    #[error(
        "{} has {} MB free, and {} MB are needed\n  hint: make room, or name another directory",
        directory.display(), available / 1_000_000, needed.div_ceil(1_000_000)
    )]
    NoRoom {
        /// Where.
        directory: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
    /// One of these, about an account's ledger.
    #[error("{}", of_ledger(path, error))]
    Account {
        /// The ledger.
        path: PathBuf,
        /// What it is.
        error: Box<CaseError>,
    },
    /// The database said no.
    #[error("the case cannot be written or read: {0}")]
    Database(rusqlite::Error),
}

impl CaseError {
    /// Whether its words leave open which file is meant, so that whoever knows should say.
    pub fn names_no_file(&self) -> bool {
        match self {
            CaseError::Busy | CaseError::Damaged(_) | CaseError::DiskFull | CaseError::Database(_) => true,
            CaseError::Missing(_)
            | CaseError::Newer { .. }
            | CaseError::NotACase(_)
            | CaseError::NetworkFileSystem { .. }
            | CaseError::OtherService { .. }
            | CaseError::NoSuchSweep(_)
            | CaseError::Pruned { .. }
            | CaseError::NoSweep
            | CaseError::NoRoom { .. }
            | CaseError::InUse(_)
            | CaseError::Diverged(_)
            | CaseError::IsTarget(_)
            | CaseError::Unsound { .. }
            | CaseError::Altered(_)
            | CaseError::Simulated(_)
            | CaseError::Armed { .. }
            | CaseError::Account { .. }
            | CaseError::Excerpt(_)
            | CaseError::Taken(_)
            | CaseError::LogOnReadOnly(_)
            | CaseError::LogWithoutCase(_)
            | CaseError::Io { .. } => false,
        }
    }
}

/// What is said of a case, said of a ledger.
fn of_ledger(path: &Path, error: &CaseError) -> String {
    let ledger = format!("the account's ledger {}", path.display());
    match error {
        CaseError::Busy => {
            format!(
                "another process has kept {ledger} to itself for too long\n  hint: see whether one is stopped"
            )
        }
        CaseError::Damaged(why) => format!(
            "{ledger} is damaged: {why}\n  hint: move it away; what is spent is then counted anew, and bounded by the service's own count if it tells one"
        ),
        CaseError::DiskFull => format!(
            "the disk that holds {ledger} is full, or a quota on it is used up; nothing leaves that is not booked\n  hint: make room, then 'hashsweep resume'"
        ),
        CaseError::NotACase(_) => {
            format!("{} is not an account's ledger; it was left untouched", path.display())
        }
        CaseError::LogWithoutCase(_) => {
            format!(
                "{ledger} is not there, but a log of it\n  hint: put both together again, or move the log away"
            )
        }
        CaseError::Database(error) => format!("{ledger} cannot be written or read: {error}"),
        other => other.to_string(),
    }
}

/// A column that holds something else than it should.
impl From<FromSqlError> for CaseError {
    fn from(error: FromSqlError) -> CaseError {
        CaseError::Damaged(error.to_string())
    }
}

impl From<rusqlite::Error> for CaseError {
    fn from(error: rusqlite::Error) -> CaseError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                CaseError::Damaged(error.to_string())
            }
            Some(ErrorCode::DiskFull) => CaseError::DiskFull,
            // What a quota or a limit on the size of files looks like.
            Some(ErrorCode::SystemIoFailure) if is_write(&error) => CaseError::DiskFull,
            Some(ErrorCode::DatabaseBusy) => CaseError::Busy,
            _ => CaseError::Database(error),
        }
    }
}

/// Whether it was a write that the system refused.
fn is_write(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(rusqlite::ffi::SQLITE_IOERR_WRITE | rusqlite::ffi::SQLITE_IOERR_SHMSIZE))
}
