//! The account: what may be spent and when the next request may leave, for every case and process on this machine
//! that asks one service as one user.
//!
//! Quota and rate belong to whoever pays, so they cannot be kept in a case. A request is held here before its case
//! knows of it and settled here in the same step as there; a process that dies in between leaves a hold, and the
//! next one to come books it as in doubt. So this ledger may count too much and never too little.
//!
//! ```text
//!   hold ──► held ──settle──► spent (by product and day)
//!              │ ──release──► nothing: it never left
//!              └─ its session is over ──► spent, in doubt
//! ```

use crate::calendar::{day_number, day_of, first_moment, month_of};
use crate::codes::{column, count};
use crate::open::{
    LOOK, Schema, beside, io, only_to_read, open_database, private_directory, private_file, refuse_foreign,
    version,
};
use crate::session::Session;
use crate::verify::Costs;
use crate::{CaseError, ledger};
use hashsweep_model::{Quota, Stamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Marks the file as ours in SQLite's header: "hsac".
const SCHEMA: Schema =
    Schema { application_id: 0x6873_6163, version: 1, sql: include_str!("account.sql"), from_older: &[] };

/// Around a reset nobody knows by whose clock a request is counted. What leaves this shortly before midnight counts
/// in both days, and this long after it both days must have room (DESIGN, "quota cost").
const AROUND_RESET: i64 = 120_000;

/// A transaction here takes milliseconds, even with an fsync on a slow disk; somebody who holds the lock for so
/// long is stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Slots are taken about a second ahead by each process. One further ahead than this means that the clock was set
/// back, and nobody waits for that.
const FURTHEST_SLOT: i64 = 120_000_000_000;

/// The ledger and the pace of one account. The cost of the design is one more fsync for every group that asks.
#[derive(Debug)]
pub struct Account {
    connection: Connection,
    path: Option<PathBuf>,
    /// Absent in memory, where nobody else can come, and for readers, who hold nothing.
    session: Option<Session>,
}

/// Names a hold within its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(i64);

/// What bounds the spending of one product, in hashes. `None` bounds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Of a day, what the account's own requests may spend.
    pub day: Option<u64>,
    /// Of a month, the same.
    pub month: Option<u64>,
    /// When the service told its own count of the running windows, if these bounds have that in them. What left
    /// shortly before a window that was well begun by then is in that count or was in the one before, and need not
    /// be counted in both.
    pub told: Option<Stamp>,
}

/// Which window of a quota is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From 00:00 UTC to 00:00 UTC.
    Day,
    /// From the first of a month to the first of the next, UTC.
    Month,
}

/// The pace of an account: hands out the moments at which requests may leave, each to one request of one process.
///
/// It is a file of eight bytes under a lock, beside the ledger and not in it: a slot is taken hundreds of times a
/// second, and must wait neither for an fsync nor for somebody's transaction. A slot lost in a power cut is no loss.
#[derive(Debug)]
pub struct Slots {
    /// Absent where nobody else can come.
    shared: Option<(File, PathBuf)>,
    next_ns: i64,
}

/// One open transaction. Dropping it without [`Books::commit`] undoes it.
#[derive(Debug)]
pub struct Books<'account> {
    transaction: Transaction<'account>,
    session: &'account str,
    path: Option<&'account Path>,
}

impl Account {
    /// Opens an account's file, and makes it if it is not there. What dead processes held is booked as in doubt.
    pub fn open(path: &Path) -> Result<Account, CaseError> {
        Account::open_file(path).map_err(of_account(Some(path)))
    }

    fn open_file(path: &Path) -> Result<Account, CaseError> {
        private_directory(path)?;
        let connection = open_database(path, &SCHEMA, PATIENCE)?;
        let session = Session::begin(path)?;
        let mut account = Account { connection, path: Some(path.to_owned()), session: Some(session) };
        account.bury_the_dead()?;
        Ok(account)
    }

    /// Opens an account's file to look at it, beside whoever asks.
    pub fn open_to_read(path: &Path) -> Result<Account, CaseError> {
        Account::look_at(path).map_err(of_account(Some(path)))
    }

    fn look_at(path: &Path) -> Result<Account, CaseError> {
        refuse_foreign(path, &SCHEMA)?;
        let connection = Connection::open_with_flags(only_to_read(path), LOOK)?;
        connection.busy_timeout(PATIENCE)?;
        match version(&connection, path, &SCHEMA)? {
            Some(_) => Ok(Account { connection, path: Some(path.to_owned()), session: None }),
            None => Err(CaseError::NotACase(path.to_owned())),
        }
    }

    /// What every product has cost at most, by day. What is held counts on the day it was held.
    pub(crate) fn by_day(&self) -> Result<Costs, CaseError> {
        let mut days = self.connection.prepare(
            "SELECT product, day, sum(n) FROM (
                 SELECT product, day, charged_max + in_doubt AS n FROM spent
                 UNION ALL SELECT product, at / 86400000, n_hashes FROM held) GROUP BY 1, 2",
        )?;
        let days = days.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), count(row.get(2)?))))?;
        Ok(days.collect::<Result<_, _>>()?)
    }

    /// An account that ends with the process: that of a simulator of its own.
    pub fn in_memory() -> Result<Account, CaseError> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(SCHEMA.sql)?;
        Ok(Account { connection, path: None, session: None })
    }

    /// What this product has cost from one moment's day to another's, the first included and the second not. What is
    /// held counts as in doubt on the day it was held.
    pub fn spent(&self, product: &str, during: &Range<Stamp>) -> Result<Quota, CaseError> {
        self.sum(product, during).map_err(of_account(self.path()))
    }

    fn sum(&self, product: &str, during: &Range<Stamp>) -> Result<Quota, CaseError> {
        // One snapshot for both sums: what somebody settles between them would be in neither.
        let _snapshot = self.connection.unchecked_transaction()?;
        let days = day_number(during.start)..day_number(Stamp(during.end.0.saturating_sub(1))) + 1;
        let settled = self.connection.query_row(
            "SELECT coalesce(sum(charged_max), 0), coalesce(sum(charged_min), 0), coalesce(sum(in_doubt), 0)
             FROM spent WHERE product = ?1 AND day >= ?2 AND day < ?3",
            params![product, days.start, days.end],
            ledger::quota,
        )?;
        let held: i64 = self.connection.query_row(
            "SELECT coalesce(sum(n_hashes), 0) FROM held WHERE product = ?1 AND at >= ?2 AND at < ?3",
            params![product, first_moment(days.start).0, first_moment(days.end).0],
            |row| row.get(0),
        )?;
        Ok(settled + Quota { in_doubt: count(held), ..Quota::default() })
    }

    /// Where it is kept, if it is kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The account's pace.
    pub fn slots(&self) -> Result<Slots, CaseError> {
        let shared = match &self.path {
            Some(path) => {
                let path = beside(path, "-pace");
                Some((private_file(&path).map_err(io(&path))?, path))
            }
            None => None,
        };
        Ok(Slots { shared, next_ns: 0 })
    }

    /// Begins a transaction. Nobody else's begins before it ends.
    pub fn books(&mut self) -> Result<Books<'_>, CaseError> {
        let session = self.session.as_ref().map_or("", |session| session.name.as_str());
        let path = self.path.as_deref();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(CaseError::from).map_err(of_account(path))?;
        Ok(Books { transaction, session, path })
    }

    fn bury_the_dead(&mut self) -> Result<(), CaseError> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let books = self.books()?;
        let mut sessions =
            books.transaction.prepare("SELECT DISTINCT session FROM held WHERE session != ?1")?;
        let names: Vec<String> =
            sessions.query_map([books.session], |row| row.get(0))?.collect::<Result<_, _>>()?;
        drop(sessions);
        for name in names {
            if Session::is_over(&path, &name)? {
                books.doubt(&name)?;
            }
        }
        books.commit()
    }
}

impl Slots {
    /// Takes the next `n` slots, this many nanoseconds apart, at or after `now_ns`. Returns the first.
    pub fn take(&mut self, n: usize, apart_ns: i64, now_ns: i64) -> Result<i64, CaseError> {
        let Some((file, path)) = &self.shared else {
            let (first, next) = next_slots(self.next_ns, n, apart_ns, now_ns);
            self.next_ns = next;
            return Ok(first);
        };
        let take = || {
            file.lock()?;
            let mut next = [0; 8];
            // A new file is empty, and a cut one says nothing: either begins now.
            if file.read_at(&mut next, 0)? < next.len() {
                next = [0; 8];
            }
            let (first, next) = next_slots(i64::from_le_bytes(next), n, apart_ns, now_ns);
            file.write_all_at(&next.to_le_bytes(), 0)?;
            file.unlock()?;
            Ok(first)
        };
        take().map_err(io(path))
    }
}

/// The first of `n` slots, and the one after the last.
fn next_slots(next: i64, n: usize, apart_ns: i64, now_ns: i64) -> (i64, i64) {
    let furthest = FURTHEST_SLOT.max(apart_ns.saturating_mul(64));
    let first = if next.saturating_sub(now_ns) > furthest { now_ns } else { next.max(now_ns) };
    (first, first.saturating_add(apart_ns.saturating_mul(i64::try_from(n).unwrap_or(i64::MAX))))
}

impl Books<'_> {
    /// Makes everything durable.
    pub fn commit(self) -> Result<(), CaseError> {
        self.transaction.commit().map_err(CaseError::from).map_err(of_account(self.path))
    }

    /// How many hashes may still be sent, and which window leaves no more; `None` where nothing bounds them.
    pub fn room(
        &self,
        product: &str,
        bounds: Bounds,
        now: Stamp,
    ) -> Result<Option<(u64, Period)>, CaseError> {
        let mut least: Option<(u64, Period)> = None;
        for (period, bound) in [(Period::Day, bounds.day), (Period::Month, bounds.month)] {
            let Some(bound) = bound else { continue };
            let running = window_of(period, now);
            let mut windows = vec![running.clone()];
            if now.0 - running.start.0 < AROUND_RESET {
                // The service may still count in the one before, with all that has left since.
                windows.push(window_of(period, Stamp(running.start.0 - 1)).start..running.end);
            }
            for window in windows {
                let is_told = bounds.told.is_some_and(|told| told.0 >= window.start.0 + AROUND_RESET);
                let before = if is_told { 0 } else { AROUND_RESET };
                let weight = self.weight(product, &window, before).map_err(of_account(self.path))?;
                let room = bound.saturating_sub(weight);
                if least.is_none_or(|(found, _)| room < found) {
                    least = Some((room, period));
                }
            }
        }
        Ok(least)
    }

    /// Puts hashes aside that are about to leave.
    pub fn hold(&self, product: &str, n_hashes: usize, now: Stamp) -> Result<HoldId, CaseError> {
        let hold = || {
            self.transaction
                .prepare_cached("INSERT INTO held (session, product, n_hashes, at) VALUES (?1, ?2, ?3, ?4)")?
                .insert(params![self.session, product, column(n_hashes as u64), now.0])
        };
        hold().map(HoldId).map_err(CaseError::from).map_err(of_account(self.path))
    }

    /// Books what a held request has cost, on the day it was held.
    pub fn settle(&self, hold: HoldId, quota: Quota) -> Result<(), CaseError> {
        let settle = || {
            let (product, at) = self
                .transaction
                .prepare_cached("DELETE FROM held WHERE id = ?1 RETURNING product, at")?
                .query_row([hold.0], |row| Ok((row.get::<_, String>(0)?, Stamp(row.get(1)?))))?;
            self.book(&product, at, quota)
        };
        settle().map_err(of_account(self.path))
    }

    /// Forgets a hold: its request never left.
    pub fn release(&self, hold: HoldId) -> Result<(), CaseError> {
        let release = || self.transaction.prepare_cached("DELETE FROM held WHERE id = ?1")?.execute([hold.0]);
        release().map(drop).map_err(CaseError::from).map_err(of_account(self.path))
    }

    /// What counts against a window: what is settled in it, what is held, and what left shortly `before` it began,
    /// if that counts.
    fn weight(&self, product: &str, window: &Range<Stamp>, before: i64) -> Result<u64, CaseError> {
        let days = day_number(window.start)..day_number(window.end);
        let first_day = days.start - i64::from(before > 0);
        let settled: i64 = self
            .transaction
            .prepare_cached(
                "SELECT coalesce(sum(CASE WHEN day < ?2 THEN late ELSE charged_max + in_doubt END), 0)
                 FROM spent WHERE product = ?1 AND day >= ?4 AND day < ?3",
            )?
            .query_row(params![product, days.start, days.end, first_day], |row| row.get(0))?;
        let held: i64 = self
            .transaction
            .prepare_cached(
                "SELECT coalesce(sum(n_hashes), 0) FROM held WHERE product = ?1 AND at >= ?2 AND at < ?3",
            )?
            .query_row(params![product, window.start.0 - before, window.end.0], |row| row.get(0))?;
        Ok(count(settled) + count(held))
    }

    fn book(&self, product: &str, at: Stamp, quota: Quota) -> Result<(), CaseError> {
        let is_late = day_of(at).end.0 - at.0 <= AROUND_RESET;
        self.transaction
            .prepare_cached(
                "INSERT INTO spent VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
                 charged_max = charged_max + excluded.charged_max,
                 charged_min = charged_min + excluded.charged_min,
                 in_doubt = in_doubt + excluded.in_doubt,
                 late = late + excluded.late",
            )?
            .execute(params![
                product,
                day_number(at),
                column(quota.charged_max),
                column(quota.charged_min),
                column(quota.in_doubt),
                column(if is_late { quota.at_most() } else { 0 }),
            ])?;
        Ok(())
    }

    /// Books whatever a session held: its process is gone, and nobody saw what became of it.
    fn doubt(&self, session: &str) -> Result<(), CaseError> {
        let mut held = self.transaction.prepare_cached("SELECT id, n_hashes FROM held WHERE session = ?1")?;
        let held: Vec<(i64, i64)> =
            held.query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (id, n_hashes) in held {
            let doubt = Quota { in_doubt: count(n_hashes), ..Quota::default() };
            self.settle(HoldId(id), doubt)?;
        }
        Ok(())
    }
}

/// Says of an error that it is about an account. What is in memory has no name, and no way to fail but ours.
fn of_account(path: Option<&Path>) -> impl FnOnce(CaseError) -> CaseError {
    move |error| match (path, error) {
        (_, named @ (CaseError::Account { .. } | CaseError::NetworkFileSystem { .. })) => named,
        (Some(path), error) => CaseError::Account { path: path.to_owned(), error: Box::new(error) },
        (None, error) => error,
    }
}

fn window_of(period: Period, moment: Stamp) -> Range<Stamp> {
    match period {
        Period::Day => day_of(moment),
        Period::Month => month_of(moment),
    }
}
