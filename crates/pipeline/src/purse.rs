//! What this run may still spend: its own budget, and what the account's limits leave. Pure but for the account's
//! books, which it reads.

use crate::judge::Denied;
use hashsweep_case::{Account, Books, Bounds, CaseError, HoldId, Period, day_of, month_of};
use hashsweep_model::{Quota, Stamp};
use hashsweep_spectra::{Allowance, REPUTATION, Renewal};
use std::ops::Range;

/// Keeps the run's own count, and the limits as far as the service has told them.
#[derive(Debug)]
pub(crate) struct Purse {
    max_quota: Option<u64>,
    reserve: u64,
    /// Of this run: settled, and travelling.
    spent: u64,
    held: u64,
    limits: Vec<Limit>,
    /// When the service told what it had counted of all of them, if it did.
    told: Option<Stamp>,
}

/// One limit of the account.
#[derive(Debug)]
struct Limit {
    period: Period,
    n_hashes: u64,
    /// What the service had counted beyond our own books when it told its limits: other machines, or a dearer way
    /// of counting. Holds in that window alone.
    elsewhere: u64,
    window: Range<Stamp>,
}

impl Purse {
    pub(crate) fn new(max_quota: Option<u64>, reserve: u64) -> Purse {
        Purse { max_quota, reserve, spent: 0, held: 0, limits: Vec::new(), told: None }
    }

    /// Takes the account's limits to heart. `ours` is read before anything is sent that the service cannot have
    /// counted, or too much counts: never too little.
    pub(crate) fn bind(
        &mut self,
        allowance: &Allowance,
        account: &Account,
        now: Stamp,
    ) -> Result<(), CaseError> {
        self.limits.clear();
        self.told = allowance.windows.iter().all(|told| told.used.is_some()).then_some(now);
        for told in &allowance.windows {
            let (period, window) = match told.renewal {
                Some(Renewal::Daily) => (Period::Day, day_of(now)),
                Some(Renewal::Monthly) => (Period::Month, month_of(now)),
                None => continue,
            };
            let Some(n_hashes) = told.limit else { continue };
            let ours = account.spent(REPUTATION, &window)?.at_most();
            let elsewhere = told.used.unwrap_or(0).saturating_sub(ours);
            self.limits.push(Limit { period, n_hashes, elsewhere, window });
        }
        Ok(())
    }

    /// Hashes that may still be sent, and what leaves no more.
    pub(crate) fn room(&self, books: &Books<'_>, now: Stamp) -> Result<(u64, Denied), CaseError> {
        let budget = self.max_quota.map_or(u64::MAX, |most| most.saturating_sub(self.spent + self.held));
        Ok(match books.room(REPUTATION, self.bounds(now), now)? {
            Some((room, period)) if room < budget => (room, Denied::Quota(period)),
            _ => (budget, Denied::Budget),
        })
    }

    /// Whether what may be spent might not reach for this many digests.
    pub(crate) fn is_short_of(&self, n_digests: u64, room: u64) -> bool {
        self.max_quota.is_some() || room < n_digests
    }

    /// Puts aside what is about to leave.
    pub(crate) fn hold(
        &mut self,
        books: &Books<'_>,
        n_hashes: usize,
        now: Stamp,
    ) -> Result<HoldId, CaseError> {
        self.held += n_hashes as u64;
        books.hold(REPUTATION, n_hashes, now)
    }

    /// Books what it has cost.
    pub(crate) fn settle(
        &mut self,
        books: &Books<'_>,
        (hold, n_hashes): (HoldId, usize),
        quota: Quota,
    ) -> Result<(), CaseError> {
        self.held = self.held.saturating_sub(n_hashes as u64);
        self.spent += quota.at_most();
        books.settle(hold, quota)
    }

    /// Takes back what never left.
    pub(crate) fn release(
        &mut self,
        books: &Books<'_>,
        (hold, n_hashes): (HoldId, usize),
    ) -> Result<(), CaseError> {
        self.held = self.held.saturating_sub(n_hashes as u64);
        books.release(hold)
    }

    fn bounds(&self, now: Stamp) -> Bounds {
        let least = |period: Period| {
            let of_it = self.limits.iter().filter(|limit| limit.period == period);
            of_it
                .map(|limit| {
                    let elsewhere = if limit.window.contains(&now) { limit.elsewhere } else { 0 };
                    limit.n_hashes.saturating_sub(self.reserve + elsewhere)
                })
                .min()
        };
        Bounds { day: least(Period::Day), month: least(Period::Month), told: self.told }
    }
}
