//! Figures for Prometheus beside a sweep's reports.

use super::documents;
use super::written::Troubles;
use crate::outputs::Open;
use crate::settings::Sending;
use hashsweep_case::{Account, Case, RunId, Scope, SweepId, day_of, month_of};
use hashsweep_model::{Quota, Stamp, Tally};
use hashsweep_report::Circumstances;
use hashsweep_spectra::REPUTATION;
use std::path::PathBuf;

/// What this run may still spend, and what all have spent.
pub(crate) struct Budget {
    account: Option<PathBuf>,
    max_quota: Option<u64>,
}

impl Budget {
    pub(crate) fn of(sending: &Sending) -> Budget {
        Budget { account: sending.account.clone(), max_quota: sending.asking.max_quota }
    }

    /// What the account was charged today and this month, if it has a ledger.
    pub(crate) fn of_account(&self, now: Stamp) -> anyhow::Result<Option<[Quota; 2]>> {
        let Some(path) = self.account.as_ref().filter(|path| path.exists()) else { return Ok(None) };
        let account = Account::open(path)?;
        Ok(Some([account.spent(REPUTATION, &day_of(now))?, account.spent(REPUTATION, &month_of(now))?]))
    }

    /// What is left of the run's own budget, in hashes.
    pub(crate) fn left(&self, case: &Case, run: RunId) -> anyhow::Result<Option<u64>> {
        let Some(max_quota) = self.max_quota else { return Ok(None) };
        Ok(Some(max_quota.saturating_sub(case.quota(Scope::Run(run))?.at_most())))
    }
}

/// Puts the figures of a sweep where they were wanted, each under the name of its file.
pub(crate) fn write_metrics(
    metrics: Vec<Open>,
    case: &Case,
    sweep: SweepId,
    tally: &Tally,
    circumstances: &Circumstances,
) -> anyhow::Result<()> {
    let sweep = case.sweep(Some(sweep))?;
    let mut troubles = Troubles::default();
    for open in metrics {
        let circumstances = Circumstances { name: open.name(), ..circumstances.clone() };
        troubles.note(open.fill(|_, out| documents::metrics(case, &sweep, tally, circumstances, out)));
    }
    troubles.first()
}
