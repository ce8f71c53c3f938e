//! How the digests of recorded rows join the queue: many at a time and in key order, each either new, or answered
//! already, or there before.
//!
//! Everything is set against everything by walking two ascending sequences side by side. A join of a million digests
//! against a case of ten million reads both once.

use crate::codes::{class, class_code, column, count, digest, kind, kind_code};
use crate::group::{Freshness, Group};
use crate::results::parse_verdict;
use crate::stretch::{Recorded, in_order};
use crate::waiting::Rank;
use crate::{CaseError, SweepId};
use hashsweep_model::{Class, Digest, HashKind, Outcome, Stamp, Verdict};
use rusqlite::{CachedStatement, Connection, Row, params};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// Whoever asks has enough to do while so many wait.
const ENOUGH_WAIT: u64 = 20_000;

/// Rows whose digests join together, at least and at most. Digests come in any order, so a joining touches pages all
/// over the case, however few they are; a large one holds up claims, and its digests in memory.
const JOIN_AT_LEAST: u64 = 20_000;
const JOIN_AT_MOST: u64 = 1_000_000;

/// The same where nobody waits for digests to ask: some 100 bytes of memory for each, and every answer in the case is
/// read once for so many instead of once for each million.
const JOIN_UNASKED: u64 = 4_000_000;

/// Digests whose answers are in memory at once.
const SETTLED_AT_ONCE: usize = 500_000;

/// A digest that rows offer, and the best of their classes.
pub(crate) type Offer = (Digest, Class);

impl Group<'_> {
    /// Lets the digests of recorded rows join the queue, if they are a good part of all.
    pub(crate) fn enqueue_if_due(
        &mut self,
        sweep: SweepId,
        last_row: i64,
        fresh: &Freshness,
    ) -> Result<u64, CaseError> {
        let queued = self.queued(sweep)?;
        let due = if self.hand.asks_nobody {
            JOIN_UNASKED
        } else {
            (count(queued) / 4).clamp(JOIN_AT_LEAST, JOIN_AT_MOST)
        };
        if count(last_row - queued) >= due { self.enqueue(sweep, fresh) } else { Ok(0) }
    }

    /// Says that this process asks nobody, so that digests may join in as few goes as memory allows.
    pub fn ask_nobody(&mut self) {
        self.hand.asks_nobody = true;
    }

    /// Lets the digests of all recorded rows join the queue if few wait there: for when no more rows are at hand, so
    /// that whoever asks does not run dry beside digests on their way. Returns how many are new to it.
    pub fn catch_up(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        let is_idle = !self.hand.asks_nobody && self.hand.backlog.waiting < ENOUGH_WAIT;
        if is_idle { self.enqueue(sweep, fresh) } else { Ok(0) }
    }

    /// The last row of the sweep whose digest has joined.
    fn queued(&self, sweep: SweepId) -> Result<i64, CaseError> {
        let mut queued = self.transaction.prepare_cached("SELECT queued FROM sweep WHERE id = ?1")?;
        Ok(queued.query_row([sweep.0], |row| row.get(0))?)
    }

    /// Lets the digests of all recorded rows join the queue. Returns how many are new to it.
    pub(crate) fn enqueue(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        let mut joined = 0;
        let mut queued = self.queued(sweep)?;
        loop {
            let (offers, last_row) = self.offers(sweep, queued)?;
            if last_row == queued {
                break;
            }
            joined += self.join((sweep, queued..last_row), offers, fresh, true)?;
            queued = last_row;
        }
        self.transaction
            .prepare_cached("UPDATE sweep SET queued = ?2 WHERE id = ?1")?
            .execute([sweep.0, queued])?;
        self.hand.backlog.came(joined);
        Ok(joined)
    }

    /// What the next rows offer, each digest once and in key order, and the last of these rows.
    fn offers(&self, sweep: SweepId, queued: i64) -> Result<(Vec<Offer>, i64), CaseError> {
        let most = if self.hand.asks_nobody { JOIN_UNASKED } else { JOIN_AT_MOST };
        let enough = queued.saturating_add(column(most));
        let mut offers = Vec::new();
        let mut last_row = queued;
        let alone = "SELECT seq, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END, class
             FROM sighting WHERE sweep = ?1 AND seq > ?2 ORDER BY seq";
        in_order(&self.transaction, (sweep, queued), alone, |recorded| {
            match recorded {
                Recorded::Alone(row) => {
                    last_row = row.get(0)?;
                    if let (Some(bytes), Some(code)) = (row.get_ref(1)?.as_blob_or_null()?, row.get(2)?) {
                        offers.push((digest(bytes)?, class(code)?));
                    }
                }
                Recorded::Together(stretch) => {
                    last_row = stretch.last();
                    offers.extend(stretch.rows().map(|(_, digest)| (digest, Class::First)));
                }
            }
            Ok(if last_row < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        offers.sort_unstable();
        offers.dedup_by_key(|(digest, _)| *digest);
        Ok((offers, last_row))
    }

    /// Lets the digests of the rows that a sweep took over join the queue, unless the sweep wants them already, an answer
    /// counted for them as it took them over, or this machine decides them. Returns how many did.
    ///
    /// Those with an answer get no `want`: what counts for them can be told from the answers and the sweep, so that a
    /// sweep over unchanged files writes nothing for them. When nobody is asked, only what this machine decides or an
    /// answer tells in another way is settled; the sweep says for all the others why they wait.
    pub fn want_carried(&mut self, sweep: SweepId, fresh: &Freshness, asks: bool) -> Result<u64, CaseError> {
        let of_all = asks || self.more_may_be_known(sweep)?;
        let offers = self.carried_offers(sweep, of_all)?;
        let joined = self.join((sweep, CARRIED), offers, fresh, asks)?;
        if asks {
            self.transaction.execute(
                "UPDATE sweep SET carried_queued = 1 WHERE id = ?1 AND answers IS NOT NULL",
                [sweep.0],
            )?;
        }
        self.hand.backlog.came(joined);
        Ok(joined)
    }

    /// Whether the answers may tell more of what a sweep took over than those that counted for it then: by way of
    /// another digest, or because they were given since.
    fn more_may_be_known(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let mut since = self.transaction.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM answer WHERE id > (SELECT answers FROM sweep WHERE id = ?1))",
        )?;
        if since.query_row([sweep.0], |row| row.get(0))? {
            return Ok(true);
        }
        let mut of_kind =
            self.transaction.prepare_cached(&format!("SELECT s.kind {FROM_CARRIED} LIMIT 1"))?;
        let of_kind = of_kind.query_map([sweep.0], |row| row.get(0))?.next().transpose()?;
        of_kind.map_or(Ok(false), |code| self.others_were_asked(kind(code)?))
    }

    /// What those rows offer that no answer counted for, each digest once and in key order: all of them, or those of
    /// empty files.
    fn carried_offers(&self, sweep: SweepId, of_all: bool) -> Result<Vec<Offer>, CaseError> {
        let mut rows = self.transaction.prepare_cached(&format!(
            "SELECT CASE s.kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END, class
             {FROM_CARRIED} AND later.answers IS NOT NULL AND (?2 OR s.size = 0)"
        ))?;
        let mut rows = rows.query(params![sweep.0, of_all])?;
        let mut offers = Vec::new();
        while let Some(row) = rows.next()? {
            offers.push((digest(row.get_ref(0)?.as_blob()?)?, class(row.get(1)?)?));
        }
        drop(rows);
        offers.sort_unstable();
        offers.dedup_by_key(|(digest, _)| *digest);
        let mut left = Vec::new();
        for of_kind in offers.chunk_by(|(a, _), (b, _)| a.kind() == b.kind()) {
            left.extend(self.without_counted(sweep, of_kind)?);
        }
        Ok(left)
    }

    /// Those that no answer counted for when the sweep took them over.
    fn without_counted(&self, sweep: SweepId, offers: &[Offer]) -> Result<Vec<Offer>, CaseError> {
        let newest = took_over(&self.transaction, sweep, offers, |(digest, _)| digest)?;
        let counted = newest.iter().map(|found| found.is_some_and(|found| found.counts));
        Ok(offers.iter().zip(counted).filter(|(_, counted)| !counted).map(|(offer, _)| *offer).collect())
    }

    /// `rows` are those behind its start, up to its end, or [`CARRIED`]. What is not known already waits from now on,
    /// unless it is only to be looked up.
    fn join(
        &mut self,
        (sweep, rows): (SweepId, Range<i64>),
        offers: Vec<Offer>,
        fresh: &Freshness,
        is_to_wait: bool,
    ) -> Result<u64, CaseError> {
        self.look()?;
        let may_be_known = self.others_may_have_answered(sweep)?;
        let mut new = Vec::new();
        let mut n_raised = 0;
        for of_kind in offers.chunk_by(|(a, _), (b, _)| a.kind() == b.kind()) {
            let mut offers = self.without_fate(sweep, of_kind)?;
            self.settle_empty(sweep, &mut offers)?;
            self.without_claimed(sweep, &mut offers)?;
            let raised = self.without_waiting(sweep, &mut offers)?;
            // Last: another process, or an answer about another digest, may tell meanwhile about what waits here.
            let outdated = self.settle_bridged((sweep, &rows), &mut offers, fresh)?;
            if may_be_known {
                self.settle_known(sweep, &mut offers, fresh, None)?;
            }
            n_raised += raised.len();
            new.extend(raised);
            if is_to_wait {
                let to_ask = offers.into_iter().chain(outdated);
                new.extend(to_ask.map(|(digest, class)| (Rank::new(class), digest)));
            }
        }
        let n_new = new.len() - n_raised;
        self.put(sweep, new)?;
        Ok(n_new as u64)
    }

    /// Those that nothing has become of yet.
    fn without_fate(&self, sweep: SweepId, offers: &[Offer]) -> Result<Vec<Offer>, CaseError> {
        let fates = self.transaction.prepare_cached(
            "SELECT digest FROM want WHERE sweep = ?1 AND kind = ?2 AND digest >= ?3 ORDER BY digest",
        )?;
        let mut has_fate = vec![false; offers.len()];
        walk(
            fates,
            sweep,
            offers,
            |(digest, _)| digest,
            |i, _| {
                has_fate[i] = true;
                Ok(())
            },
        )?;
        Ok(offers.iter().zip(has_fate).filter(|(_, has)| !has).map(|(offer, _)| *offer).collect())
    }

    /// An empty file is known without asking.
    fn settle_empty(&self, sweep: SweepId, offers: &mut Vec<Offer>) -> Result<(), CaseError> {
        if let Some(i) = offers.iter().position(|(digest, _)| digest.is_of_empty_input()) {
            let (digest, class) = offers.remove(i);
            self.transaction
                .prepare_cached(
                    "INSERT INTO want (sweep, kind, digest, state, class, reason) VALUES (?1, ?2, ?3, ?4, ?5, 'empty file')",
                )?
                .execute(params![
                    sweep.0,
                    kind_code(digest.kind()),
                    digest.as_bytes(),
                    Outcome::Local.name(),
                    class_code(class)
                ])?;
        }
        Ok(())
    }

    /// Settles those with an earlier answer that still counts, and takes them out. All are of one kind, ascending.
    pub(crate) fn settle_known(
        &self,
        sweep: SweepId,
        offers: &mut Vec<Offer>,
        fresh: &Freshness,
        learned: Option<&str>,
    ) -> Result<(), CaseError> {
        let mut left = Vec::new();
        for part in offers.chunks(SETTLED_AT_ONCE) {
            self.settle_part(sweep, part, fresh, learned, &mut left)?;
        }
        *offers = left;
        Ok(())
    }

    fn settle_part(
        &self,
        sweep: SweepId,
        offers: &[Offer],
        fresh: &Freshness,
        learned: Option<&str>,
        left: &mut Vec<Offer>,
    ) -> Result<(), CaseError> {
        let answers = self.transaction.prepare_cached(
            "SELECT digest, answered_at, id, verdict FROM answer
             WHERE ?1 IS NOT NULL AND kind = ?2 AND digest >= ?3 ORDER BY digest, answered_at",
        )?;
        // The newest answer decides, even where an older one would still count.
        let mut newest: Vec<Option<Found>> = vec![None; offers.len()];
        walk(
            answers,
            sweep,
            offers,
            |(digest, _)| digest,
            |i, row| {
                let Some(counts) = counts(row, fresh)? else { return Ok(()) };
                let found = Found { at: (row.get(1)?, row.get(2)?), verdict: verdict(row)?, counts };
                if newest[i].is_none_or(|older| older.at < found.at) {
                    newest[i] = Some(found);
                }
                Ok(())
            },
        )?;
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO want (sweep, kind, digest, state, class, answer, learned)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        // Millions of rows that differ in three columns: the others are bound once.
        insert.raw_bind_parameter(1, sweep.0)?;
        insert.raw_bind_parameter(2, offers.first().map(|(digest, _)| kind_code(digest.kind())))?;
        insert.raw_bind_parameter(4, Outcome::Cached.name())?;
        insert.raw_bind_parameter(7, learned)?;
        for (offer, found) in offers.iter().zip(newest) {
            match found {
                Some(Found { at: (_, answer), counts: true, .. }) => {
                    let (digest, class) = offer;
                    insert.raw_bind_parameter(3, digest.as_bytes())?;
                    insert.raw_bind_parameter(5, class_code(*class))?;
                    insert.raw_bind_parameter(6, answer)?;
                    insert.raw_execute()?;
                }
                _ => left.push(*offer),
            }
        }
        Ok(())
    }

    /// Takes out what is being asked already. Should it come back to the queue, it comes back in the better class.
    fn without_claimed(&mut self, sweep: SweepId, offers: &mut Vec<Offer>) -> Result<(), CaseError> {
        let mut raised = BTreeMap::new();
        offers.retain(|(digest, class)| match self.hand.held(sweep, digest) {
            Some(held) => {
                if *class < held.rank.class {
                    raised.insert(*digest, (held.claim, *class));
                }
                false
            }
            None => !self.others.hold_for(sweep, *digest),
        });
        for (digest, (claim, class)) in raised {
            self.amend(claim, |claimed| {
                claimed.iter_mut().filter(|(_, one)| *one == digest).for_each(|(rank, _)| rank.class = class);
            })?;
            self.hand.raise(sweep, digest, class);
        }
        Ok(())
    }

    /// Takes out what waits already. What waited behind the class that it is offered in now leaves its block and is
    /// returned, with its new rank.
    fn without_waiting(
        &self,
        sweep: SweepId,
        offers: &mut Vec<Offer>,
    ) -> Result<Vec<(Rank, Digest)>, CaseError> {
        let Some((first, _)) = offers.first() else { return Ok(Vec::new()) };
        let mut raised = Vec::new();
        let mut changed = Vec::new();
        let mut is_there = vec![false; offers.len()];
        self.blocks((sweep, first.kind()), Class::Last, |block| {
            let lowest = block.digests.first().expect("a block is never empty");
            let mut i = offers.partition_point(|(digest, _)| digest < lowest);
            let mut rises = Vec::new();
            for waiting in &block.digests {
                while offers.get(i).is_some_and(|(digest, _)| digest < waiting) {
                    i += 1;
                }
                match offers.get(i) {
                    None => break,
                    Some((digest, class)) if digest == waiting => {
                        is_there[i] = true;
                        if *class < block.rank.class {
                            raised.push((Rank { class: *class, ..block.rank }, *digest));
                            rises.push(*digest);
                        }
                    }
                    Some(_) => {}
                }
            }
            if !rises.is_empty() {
                let left = block.digests.iter().filter(|digest| rises.binary_search(digest).is_err());
                let left: Vec<Digest> = left.copied().collect();
                changed.push((block, left));
            }
            Ok(true)
        })?;
        for (block, left) in changed {
            self.keep(&block, &left)?;
        }
        let mut there = is_there.into_iter();
        offers.retain(|_| !there.next().unwrap_or_default());
        Ok(raised)
    }

    /// Whether an answer may be there for a digest that this sweep has not asked about.
    pub(crate) fn others_may_have_answered(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let mut others = self.transaction.prepare_cached("SELECT 1 FROM sweep WHERE id <> ?1 LIMIT 1")?;
        Ok(others.exists([sweep.0])?)
    }
}

/// In place of the numbers of rows of its own: those that a sweep took over.
pub(crate) const CARRIED: Range<i64> = 0..0;

/// The rows with a digest that the sweep ?1 took over, as `s`.
pub(crate) const FROM_CARRIED: &str = "FROM sweep AS later
    JOIN sweep AS earlier ON earlier.series = later.series AND earlier.id < later.id
    JOIN sighting AS s ON s.sweep = earlier.id
    WHERE later.id = ?1 AND (s.until IS NULL OR s.until >= later.id) AND s.kind IS NOT NULL";

/// The answer that counted for the digest of `offer` when the sweep ?1 took it over.
pub(crate) const COUNTED: &str = "(SELECT CASE WHEN answered_at >= CASE verdict
            WHEN 'malicious' THEN sweep.malicious_since WHEN 'suspicious' THEN sweep.suspicious_since
            WHEN 'unknown' THEN sweep.unknown_since ELSE sweep.known_since END
        THEN answer.id END
    FROM answer JOIN sweep ON sweep.id = ?1 AND answer.id <= sweep.answers AND answered_at <= sweep.answers_until
        AND answer.origin IS sweep.origin
    WHERE answer.kind = offer.kind AND answer.digest = offer.digest
    ORDER BY answered_at DESC, answer.id DESC LIMIT 1)";

/// An answer that was found for a digest: when it was given, its number, what it said, and whether it still counts.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) at: (i64, i64),
    pub(crate) verdict: Verdict,
    pub(crate) counts: bool,
}

/// The newest answer that there was for each digest when the sweep took over what others had, and whether it counted.
/// The digests are ascending and of one kind.
pub(crate) fn took_over<T>(
    connection: &Connection,
    sweep: SweepId,
    offers: &[T],
    digest: impl Fn(&T) -> &Digest,
) -> Result<Vec<Option<Found>>, CaseError> {
    let answers = connection.prepare_cached(
        "SELECT digest, answered_at, answer.id, verdict, answered_at >= CASE verdict
             WHEN 'malicious' THEN malicious_since WHEN 'suspicious' THEN suspicious_since
             WHEN 'unknown' THEN unknown_since ELSE known_since END
         FROM sweep CROSS JOIN answer
         WHERE sweep.id = ?1 AND kind = ?2 AND digest >= ?3 AND answer.id <= answers
             AND answered_at <= answers_until AND answer.origin IS sweep.origin
         ORDER BY digest, answered_at",
    )?;
    let mut newest: Vec<Option<Found>> = vec![None; offers.len()];
    walk(answers, sweep, offers, digest, |i, row| {
        let found = Found { at: (row.get(1)?, row.get(2)?), verdict: verdict(row)?, counts: row.get(4)? };
        if newest[i].is_none_or(|older| older.at < found.at) {
            newest[i] = Some(found);
        }
        Ok(())
    })?;
    Ok(newest)
}

fn verdict(answer: &Row<'_>) -> Result<Verdict, CaseError> {
    parse_verdict(answer.get_ref(3)?.as_str()?)
}

/// Whether an answer is recent enough; `None` for one that does not even hide an older one.
fn counts(answer: &Row<'_>, fresh: &Freshness) -> Result<Option<bool>, CaseError> {
    let (between, at) = (fresh.between(verdict(answer)?), Stamp(answer.get(1)?));
    // One from too far in the future is as if it had never been given.
    Ok(if at > *between.end() { None } else { Some(between.contains(&at)) })
}

/// Steps over so many rows before it looks the next digest up instead: about what a lookup costs.
const NEAR: u32 = 24;

/// Walks rows beside digests of one kind, both ascending, and hands each row over that is about one of them.
///
/// The statement takes sweep, kind and the lowest digest, and gives the digest in its first column.
pub(crate) fn walk<T>(
    mut statement: CachedStatement<'_>,
    sweep: SweepId,
    offers: &[T],
    digest: impl Fn(&T) -> &Digest,
    mut each: impl FnMut(usize, &Row<'_>) -> Result<(), CaseError>,
) -> Result<(), CaseError> {
    let mut i = 0;
    while let Some(from) = offers.get(i).map(&digest) {
        let kind: HashKind = from.kind();
        let mut rows = statement.query(params![sweep.0, kind_code(kind), from.as_bytes()])?;
        let mut n_between = 0;
        loop {
            let Some(row) = rows.next()? else { return Ok(()) };
            let found = row.get_ref(0)?.as_blob()?;
            while offers.get(i).is_some_and(|offer| digest(offer).as_bytes() < found) {
                i += 1;
                n_between = 0;
            }
            match offers.get(i) {
                None => return Ok(()),
                Some(offer) if digest(offer).as_bytes() == found => each(i, row)?,
                Some(_) if n_between == NEAR => break,
                Some(_) => n_between += 1,
            }
        }
    }
    Ok(())
}
