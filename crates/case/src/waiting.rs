//! How waiting digests are stored: many to a row, so that a million of them join or leave in the time of a few
//! thousand rows.
//!
//! A block holds digests of one sweep, kind, class and turn in ascending order. Blocks of one rank may overlap: each
//! joining makes blocks of its own. No digest of a sweep stands in two.

use crate::codes::{class, class_code, column, count, kind, kind_code};
use crate::group::Group;
use crate::{CaseError, RunId, SweepId};
use hashsweep_model::{Class, Digest, HashKind};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// Digests in one block. A claim takes a few blocks apart, so a larger one would cost more than it saves.
const BLOCK: usize = 512;

/// Where a digest stands in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) class: Class,
    /// Within its class: 0 if an earlier run put it off, else 1.
    pub(crate) turn: i64,
}

impl Rank {
    /// What nobody has put off yet.
    pub(crate) fn new(class: Class) -> Rank {
        Rank { class, turn: 1 }
    }

    /// As a claim stores it.
    pub(crate) fn code(self) -> u8 {
        u8::try_from(class_code(self.class) * 2 + self.turn).expect("four classes and two turns")
    }

    pub(crate) fn of_code(code: u8) -> Result<Rank, CaseError> {
        Ok(Rank { class: class(i64::from(code) / 2)?, turn: i64::from(code) % 2 })
    }
}

/// Some digests that wait, of one rank.
#[derive(Debug)]
pub(crate) struct Block {
    id: i64,
    pub(crate) rank: Rank,
    pub(crate) digests: Vec<Digest>,
}

/// Digests one behind the other, as the case stores them.
pub(crate) fn packed<'d>(digests: impl IntoIterator<Item = &'d Digest>) -> Vec<u8> {
    digests.into_iter().flat_map(Digest::as_bytes).copied().collect()
}

/// What [`packed`] made.
pub(crate) fn unpacked(kind: HashKind, bytes: &[u8]) -> Result<Vec<Digest>, CaseError> {
    let digests = bytes.chunks(kind.n_bytes());
    digests.map(crate::codes::digest).collect()
}

impl Group<'_> {
    /// Puts digests into the queue. They are none that is there already.
    pub(crate) fn put(&self, sweep: SweepId, digests: Vec<(Rank, Digest)>) -> Result<(), CaseError> {
        put(&self.transaction, sweep, digests)
    }

    /// Leaves only these of a block's digests where they are.
    pub(crate) fn keep(&self, block: &Block, left: &[Digest]) -> Result<(), CaseError> {
        let Some(first) = left.first() else {
            self.transaction.prepare_cached("DELETE FROM queue WHERE block = ?1")?.execute([block.id])?;
            self.transaction.prepare_cached("DELETE FROM block WHERE id = ?1")?.execute([block.id])?;
            return Ok(());
        };
        self.transaction
            .prepare_cached("UPDATE queue SET first = ?2, n = ?3 WHERE block = ?1")?
            .execute(params![block.id, first.as_bytes(), column(left.len() as u64)])?;
        self.transaction
            .prepare_cached("UPDATE block SET digests = ?2 WHERE id = ?1")?
            .execute(params![block.id, packed(left)])?;
        Ok(())
    }

    /// The blocks of one kind in the order of asking, down to a class, until `each` says that it has enough.
    pub(crate) fn blocks(
        &self,
        (sweep, kind): (SweepId, HashKind),
        up_to: Class,
        mut each: impl FnMut(Block) -> Result<bool, CaseError>,
    ) -> Result<(), CaseError> {
        let mut blocks = self.transaction.prepare_cached(
            "SELECT id, class, turn, digests FROM queue JOIN block ON block.id = queue.block
             WHERE sweep = ?1 AND kind = ?2 AND class <= ?3 ORDER BY class, turn, first",
        )?;
        let mut rows = blocks.query(params![sweep.0, kind_code(kind), class_code(up_to)])?;
        while let Some(row) = rows.next()? {
            if !each(block_of(kind, row)?)? {
                break;
            }
        }
        Ok(())
    }

    /// How many digests of a sweep stand in the queue.
    pub(crate) fn waiting(&self, sweep: SweepId) -> Result<u64, CaseError> {
        let mut sum =
            self.transaction.prepare_cached("SELECT coalesce(sum(n), 0) FROM queue WHERE sweep = ?1")?;
        Ok(count(sum.query_row([sweep.0], |row| row.get(0))?))
    }

    /// Writes a batch down that has left the queue. Returns what it is known by.
    pub(crate) fn write_claim(
        &self,
        (sweep, run): (SweepId, RunId),
        batch: &[(Rank, Digest)],
    ) -> Result<i64, CaseError> {
        let kind = batch[0].1.kind();
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO claim (sweep, kind, n, digests, ranks, run) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        Ok(insert.insert(params![
            sweep.0,
            kind_code(kind),
            column(batch.len() as u64),
            packed(batch.iter().map(|(_, digest)| digest)),
            codes(batch),
            run.0
        ])?)
    }

    /// Changes a claim, and removes it when nothing is left of it.
    pub(crate) fn amend(
        &self,
        claim: i64,
        change: impl FnOnce(&mut Vec<(Rank, Digest)>),
    ) -> Result<(), CaseError> {
        let mut find =
            self.transaction.prepare_cached("SELECT sweep, kind, digests, ranks FROM claim WHERE id = ?1")?;
        let (_, mut digests) = find.query_row([claim], |row| Ok(claim_of(row)))??;
        change(&mut digests);
        if digests.is_empty() {
            self.transaction.prepare_cached("DELETE FROM claim WHERE id = ?1")?.execute([claim])?;
        } else {
            self.transaction
                .prepare_cached("UPDATE claim SET n = ?2, digests = ?3, ranks = ?4 WHERE id = ?1")?
                .execute(params![
                    claim,
                    column(digests.len() as u64),
                    packed(digests.iter().map(|(_, digest)| digest)),
                    codes(&digests)
                ])?;
        }
        Ok(())
    }

    /// Puts back into the queue what runs had claimed that nobody is at work on any more.
    pub(crate) fn return_claims(&self) -> Result<(), CaseError> {
        let mut claims = self.transaction.prepare_cached(
            "DELETE FROM claim WHERE run IN (SELECT id FROM run WHERE session IS NULL)
             RETURNING sweep, kind, digests, ranks",
        )?;
        let mut rows = claims.query([])?;
        let mut returned = Vec::new();
        while let Some(row) = rows.next()? {
            returned.push(claim_of(row)?);
        }
        for (sweep, digests) in returned {
            self.put(sweep, digests)?;
        }
        Ok(())
    }
}

fn put(case: &Connection, sweep: SweepId, mut digests: Vec<(Rank, Digest)>) -> Result<(), CaseError> {
    digests.sort_unstable();
    let mut insert = case.prepare_cached("INSERT INTO block (digests) VALUES (?1)")?;
    let mut place = case.prepare_cached(
        "INSERT INTO queue (block, sweep, kind, class, turn, first, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for alike in digests.chunk_by(|(rank, a), (other, b)| rank == other && a.kind() == b.kind()) {
        for block in alike.chunks(BLOCK) {
            let (rank, first) = &block[0];
            let id = insert.insert([packed(block.iter().map(|(_, digest)| digest))])?;
            place.execute(params![
                id,
                sweep.0,
                kind_code(first.kind()),
                class_code(rank.class),
                rank.turn,
                first.as_bytes(),
                column(block.len() as u64),
            ])?;
        }
    }
    Ok(())
}

/// Version 1 kept every digest that waited in a row of its own.
pub(crate) fn put_pending(case: &Connection) -> Result<(), CaseError> {
    let mut pending =
        case.prepare("DELETE FROM want WHERE state = 'pending' RETURNING sweep, digest, class")?;
    let mut rows = pending.query([])?;
    let mut waiting: BTreeMap<SweepId, Vec<(Rank, Digest)>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let digest = crate::codes::digest(row.get_ref(1)?.as_blob()?)?;
        waiting.entry(SweepId(row.get(0)?)).or_default().push((Rank::new(class(row.get(2)?)?), digest));
    }
    drop(rows);
    waiting.into_iter().try_for_each(|(sweep, digests)| put(case, sweep, digests))
}

/// The ranks of a claim's digests, as it stores them.
fn codes(digests: &[(Rank, Digest)]) -> Vec<u8> {
    digests.iter().map(|(rank, _)| rank.code()).collect()
}

fn block_of(kind: HashKind, row: &Row<'_>) -> Result<Block, CaseError> {
    Ok(Block {
        id: row.get(0)?,
        rank: Rank { class: class(row.get(1)?)?, turn: row.get(2)? },
        digests: unpacked(kind, row.get_ref(3)?.as_blob().unwrap_or_default())?,
    })
}

pub(crate) fn claim_of(row: &Row<'_>) -> Result<(SweepId, Vec<(Rank, Digest)>), CaseError> {
    let digests = unpacked(kind(row.get(1)?)?, row.get_ref(2)?.as_blob().unwrap_or_default())?;
    let ranks = row.get_ref(3)?.as_blob().unwrap_or_default();
    if ranks.len() != digests.len() {
        return Err(CaseError::Damaged("a claim whose digests and ranks differ in number".to_owned()));
    }
    let ranked = ranks.iter().zip(digests).map(|(code, digest)| Ok((Rank::of_code(*code)?, digest)));
    Ok((SweepId(row.get(0)?), ranked.collect::<Result<_, CaseError>>()?))
}
