//! Whole reports of single samples, on demand: never part of a sweep, one request after another, each booked under
//! its own product.

use crate::judge::cost;
use crate::pace::Pace;
use crate::{Clock, PipelineError, Rate, now};
use hashsweep_case::{Account, Case, CaseError, HoldId, SweepId};
use hashsweep_model::{Batch, Digest, Quota};
use hashsweep_spectra::{Client, Detail, Fault};
use std::collections::BTreeSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The product that reports are charged to (vendor, TCA-0104).
const PRODUCT: &str = "TCA-0104";

/// Reports asked at once. One may be half a megabyte, so small questions keep a broken answer cheap.
const BATCH: usize = 10;

/// What came of asking.
#[derive(Debug, Default)]
pub struct Detailed {
    /// Reports handed over.
    pub n_reports: u64,
    /// Digests of which the service, in a whole answer, had none.
    pub missing: BTreeSet<Digest>,
    /// Reports of samples that nobody asked about; they are dropped.
    pub n_strangers: u64,
    /// Digests that were not asked, because a fault or the user ended the asking before.
    pub n_unasked: usize,
    /// What ended the asking before its end.
    pub fault: Option<Fault>,
}

/// Asks for the reports of these digests and hands each over as it comes. The first fault ends it: what came before
/// stands, and what it may have cost is booked.
#[expect(clippy::disallowed_methods, reason = "reports are asked one after another, at the set rate")]
pub async fn details<E>(
    (case, account): (&mut Case, &mut Account),
    sweep: SweepId,
    client: &Client,
    digests: Vec<Digest>,
    rate: Rate,
    stop: &CancellationToken,
    mut each: impl FnMut(Detail) -> Result<(), E>,
) -> Result<Detailed, E>
where
    E: From<PipelineError>,
{
    let mut pace = Pace::new(rate);
    let booked = |e: CaseError| E::from(PipelineError::from(e));
    let mut slots = account.slots().map_err(booked)?;
    let run = case.group(|group| group.begin_run(sweep, now())).map_err(booked)?;
    let mut done = Detailed { n_unasked: digests.len(), ..Detailed::default() };
    let mut proven = false;
    for batch in Batch::group(digests, BATCH) {
        if stop.is_cancelled() {
            break;
        }
        if let Some(apart) = pace.apart(Instant::now()) {
            let apart = i64::try_from(apart.as_nanos()).unwrap_or(i64::MAX);
            let slot = slots.take(1, apart, Clock::System.nanos()).map_err(booked)?;
            tokio::time::sleep_until(Clock::System.instant(slot)).await;
        }
        while let Err(at) = pace.take() {
            tokio::time::sleep_until(at).await;
        }
        let hold = hold(account, batch.len()).map_err(booked)?;
        let attempt = case
            .group(|group| {
                let attempt = group.reserve_for(PRODUCT, run, batch.len(), now())?;
                group.mark_sent(attempt, now())?;
                Ok(attempt)
            })
            .map_err(booked)?;
        done.n_unasked -= batch.len();
        let mut missing: BTreeSet<Digest> = batch.digests().iter().copied().collect();
        let mut n_came = 0;
        let mut n_strangers = 0;
        let mut unwritten = None;
        let ended = match client.details(&batch).await {
            // Single queries say "no report" so; once the service has answered, a 404 here can only mean the same.
            Err(Fault::NotFound { looks_like_the_api: true }) if proven => Ok(()),
            Err(fault) => Err(fault),
            Ok(mut reports) => loop {
                match reports.next().await {
                    Ok(Some(report)) => {
                        let is_ours =
                            report.sample.iter().filter(|digest| missing.remove(digest)).count() > 0;
                        if !is_ours {
                            n_strangers += 1;
                            if n_strangers > batch.len() {
                                let why = "it holds reports of other samples".to_owned();
                                break Err(Fault::BrokenBody { why });
                            }
                            continue;
                        }
                        n_came += 1;
                        // The service has charged, whatever becomes of what it sent: booked first, said after.
                        if let Err(error) = each(report) {
                            unwritten = Some(error);
                            break Ok(());
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(fault) => break Err(fault),
                }
            },
        };
        done.n_reports += n_came;
        done.n_strangers += n_strangers as u64;
        let n = batch.len() as u64;
        let (word, quota) = match &ended {
            Ok(()) => ("200".to_owned(), Quota { charged_max: n, charged_min: n_came.min(n), in_doubt: 0 }),
            Err(fault) => (fault.word(), cost(fault, batch.len())),
        };
        case.group(|group| group.book(attempt, &word, quota, now())).map_err(booked)?;
        settle(account, hold, quota).map_err(booked)?;
        if let Some(error) = unwritten {
            case.group(|group| group.end_run(run, now(), None)).map_err(booked)?;
            return Err(error);
        }
        match ended {
            Ok(()) => {
                proven = true;
                done.missing.append(&mut missing);
            }
            Err(fault) => {
                done.fault = Some(fault);
                break;
            }
        }
    }
    case.group(|group| group.end_run(run, now(), None)).map_err(booked)?;
    Ok(done)
}

/// In the account first, in the case after: a crash between the two counts too much, never too little.
fn hold(account: &mut Account, n_hashes: usize) -> Result<HoldId, CaseError> {
    let books = account.books()?;
    let hold = books.hold(PRODUCT, n_hashes, now())?;
    books.commit()?;
    Ok(hold)
}

fn settle(account: &mut Account, hold: HoldId, quota: Quota) -> Result<(), CaseError> {
    let books = account.books()?;
    books.settle(hold, quota)?;
    books.commit()
}
