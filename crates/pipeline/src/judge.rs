//! One attempt, one judge: what follows from what came back. Pure; moments and dice are arguments.
//!
//! The rules are DESIGN's "rules of asking". Everything that one attempt changes for the others (a pause, a halt,
//! the first proof that the service is there) is kept here, so that the submit loop only carries out.

use crate::exhaustion::{Exhaustion, Next};
use crate::halt::{Halt, HaltKind};
use crate::load::Load;
use crate::reconcile::{Reconciled, all_absent, reconcile};
use crate::{Asking, OnDoubt};
use hashsweep_case::{Fate, Period};
use hashsweep_model::{Batch, Digest, Quota, Stamp};
use hashsweep_spectra::{Allowance, Booking, Fault, Remedy, Renewal, Reply};
use std::time::Duration;
use tokio::time::Instant;

/// Asks after the first that a batch may spend on broken answers and doubtful ends together: more would charge a
/// sick service's failures to the customer.
const BROKEN_BUDGET: u8 = 2;

/// Asks after the first that a batch may spend on 500, 502 and 504: four, backed off, outlast a restart.
const SERVER_BUDGET: u8 = 4;

/// Failed attempts without one answer between them, from which on the trouble is the service's and not a batch's:
/// everybody pauses, so that an outage does not burn the budget of every batch in the queue. Three, because two
/// batches may be unlucky at once.
const GENERAL_TROUBLE: u32 = 3;

/// Failures of one batch that a smaller one may not meet, from which on it is halved whatever others do.
const CHOKED_TWICE: u8 = 2;

/// The first wait after a fault: short enough not to be noticed, long enough for a dropped connection to clear.
const BACKOFF_BASE: Duration = Duration::from_millis(500);

/// The longest wait: a service back from maintenance is noticed within a minute.
const BACKOFF_CAP: Duration = Duration::from_secs(60);

/// What our own books say when they leave no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// What this run may spend is spent.
    Budget,
    /// A window of the account's quota is used up, less what is to be left of it.
    Quota(Period),
}

/// A batch in hand, with what it has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) batch: Batch,
    broken: u8,
    server: u8,
    /// Failures that a smaller batch may not meet: 503, timeouts.
    choked: u8,
    /// Whether these digests were left out of a whole answer once already.
    omitted: bool,
}

impl Task {
    pub(crate) fn new(batch: Batch) -> Task {
        Task { batch, broken: 0, server: 0, choked: 0, omitted: false }
    }

    /// The same digests in batches of at most `size`, each with what this one has spent.
    pub(crate) fn in_pieces(self, size: usize) -> Vec<Task> {
        if self.batch.len() <= size {
            return vec![self];
        }
        let pieces = Batch::group(self.batch.digests().to_vec(), size);
        pieces.into_iter().map(|batch| self.with_batch(batch)).collect()
    }

    fn with_batch(&self, batch: Batch) -> Task {
        Task { batch, ..self.clone() }
    }
}

/// What follows from one attempt. Every digest of the task is in `fates` or in `again`, exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// For the ledger: `200`, or the fault's word.
    pub(crate) word: String,
    pub(crate) quota: Quota,
    pub(crate) fates: Vec<(Digest, Fate)>,
    pub(crate) reports_unknowns: bool,
    /// To be asked again, not before the moment beside it.
    pub(crate) again: Vec<(Task, Instant)>,
    /// Whether the service asked for fewer requests in time.
    pub(crate) eases: bool,
}

/// What all attempts share.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    give_up_after: Duration,
    on_doubt: OnDoubt,
    load: Load,
    exhaustion: Exhaustion,
    /// Hashes of each window to be left to others.
    reserve: u64,
    unknowns_are_reported: bool,
    /// Whether this run has had a parsed 200 from this service.
    proven: bool,
    /// Pauses in a row without an answer between them.
    streak: u32,
    paused_until: Option<Instant>,
    /// The first fault since the last answer.
    trouble_since: Option<Instant>,
    /// Attempts that failed since the last answer, those that only said "slow down" apart.
    failures: u32,
    halt: Option<Halt>,
}

impl Judge {
    pub(crate) fn new(asking: &Asking, unknowns_are_reported: bool) -> Judge {
        Judge {
            give_up_after: asking.give_up_after,
            on_doubt: asking.on_doubt,
            load: Load::new(asking.concurrency, asking.batch_size),
            exhaustion: Exhaustion::new(asking.wait_for_quota),
            reserve: asking.reserve,
            unknowns_are_reported,
            proven: false,
            streak: 0,
            paused_until: None,
            trouble_since: None,
            failures: 0,
            halt: None,
        }
    }

    /// Why nothing more is asked, once that is so.
    pub(crate) fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Whether the service has answered anything in this run.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven
    }

    /// How many requests may travel: one until the service has proved itself, and one to find out whether a pause
    /// has helped.
    pub(crate) fn limit(&self) -> usize {
        if self.proven && self.streak == 0 { self.load.concurrency() } else { 1 }
    }

    /// Hashes that a batch may hold.
    pub(crate) fn batch_size(&self) -> usize {
        self.load.batch_size()
    }

    /// Whether nobody sends until the limits are known.
    pub(crate) fn waits_for_limits(&self) -> bool {
        self.exhaustion.asks()
    }

    /// The moment before which there is no quota, while it lies ahead.
    pub(crate) fn no_quota_until(&mut self, now: Stamp) -> Option<Stamp> {
        self.exhaustion.until(now)
    }

    /// The moment before which nobody asks, while it lies ahead.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Rules on one attempt. `dice` is uniform in 0 to 1.
    pub(crate) fn rule(&mut self, task: Task, came: Result<Reply, Fault>, now: Instant, dice: f64) -> Ruling {
        match came {
            Ok(reply) => self.answered(&task, &reply, now),
            Err(fault) => {
                let mut ruling = Ruling {
                    word: fault.word(),
                    quota: cost(&fault, task.batch.len()),
                    fates: Vec::new(),
                    reports_unknowns: false,
                    again: Vec::new(),
                    eases: false,
                };
                self.faulted(task, &fault, now, dice, &mut ruling);
                ruling
            }
        }
    }

    /// What the limits said, asked because something is to be left of them, or about a 429. Returns whether that is
    /// all that can be known of them for now.
    pub(crate) fn told(
        &mut self,
        told: Result<&Allowance, &Fault>,
        (now, moment): (Instant, Stamp),
        dice: f64,
    ) -> bool {
        if self.exhaustion.asks() {
            let next = self.exhaustion.told(told, moment, dice);
            self.go_on(next, Some(about_the_quota()), now, dice);
        } else if let Err(fault) = told
            && self.reserve > 0
            && !self.proven
        {
            if fault.may_pass() && !fault.is_unreachable() && self.streak < GENERAL_TROUBLE {
                self.pause(now, None, dice);
                return false;
            }
            // A 403 may be about this page alone; what refuses or misses everybody would refuse the lookups too.
            let kind = match fault {
                Fault::Unauthorized => HaltKind::Credentials,
                fault if fault.is_unreachable() => HaltKind::Unreachable,
                _ => HaltKind::NoLimits,
            };
            self.halt_with(kind, Some(fault.clone()));
        }
        true
    }

    /// Our own books leave no more: of a window of the quota, or of what this run may spend.
    pub(crate) fn denied(&mut self, by: Denied, (now, moment): (Instant, Stamp), dice: f64) {
        match by {
            Denied::Budget => self.halt_with(HaltKind::Budget, None),
            Denied::Quota(period) => {
                let renewal = match period {
                    Period::Day => Renewal::Daily,
                    Period::Month => Renewal::Monthly,
                };
                let next = self.exhaustion.over(Some(renewal), moment, dice);
                self.go_on(next, None, now, dice);
            }
        }
    }

    fn go_on(&mut self, next: Next, fault: Option<Fault>, now: Instant, dice: f64) {
        match next {
            Next::Backoff => {
                self.pause(now, None, dice);
            }
            Next::Wait => {
                // After the reset one finds out whether it has helped.
                self.streak = self.streak.max(1);
                self.trouble_since = None;
                self.failures = 0;
            }
            Next::Over(resets_at) => {
                self.halt_with(HaltKind::Quota, fault);
                if let Some(halt) = self.halt.as_mut().filter(|halt| halt.kind == HaltKind::Quota) {
                    halt.resets_at = Some(resets_at);
                }
            }
            Next::Licence => self.halt_with(HaltKind::Licence, fault),
        }
    }

    /// The service has answered. Nobody leaves during a pause, so an answer that lands in one had left before it
    /// and says nothing about what the pause is for.
    fn is_well(&mut self, now: Instant) {
        self.proven = true;
        self.trouble_since = None;
        self.failures = 0;
        self.load.answered();
        // While somebody asks what a 429 means, answers to what left before it say nothing about it.
        if self.paused_until(now).is_none() && !self.exhaustion.asks() {
            self.streak = 0;
        }
        self.exhaustion.refuted();
    }

    fn answered(&mut self, task: &Task, reply: &Reply, now: Instant) -> Ruling {
        self.is_well(now);
        let Reconciled { mut fates, again, n_unasked, n_doubled, n_malformed, reports_unknowns, quota } =
            reconcile(&task.batch, reply, self.unknowns_are_reported);
        self.unknowns_are_reported |= reports_unknowns;
        if n_unasked + n_doubled + n_malformed > 0 {
            tracing::warn!(n_unasked, n_doubled, n_malformed, "the answer holds entries that do not fit");
        }
        let again = match Batch::new(again) {
            Ok(left_out) if task.omitted => {
                fates.extend(all_failed(&left_out, "omitted"));
                Vec::new()
            }
            Ok(left_out) => vec![(Task { omitted: true, ..task.with_batch(left_out) }, now)],
            Err(_) => Vec::new(),
        };
        Ruling { word: "200".to_owned(), quota, fates, reports_unknowns, again, eases: false }
    }

    fn faulted(&mut self, mut task: Task, fault: &Fault, now: Instant, dice: f64, ruling: &mut Ruling) {
        if let Fault::CannotAsk { .. } = fault {
            // Nothing left: the dialect has no way to ask about this kind, today or tomorrow.
            ruling.fates = all_failed(&task.batch, &fault.word());
            return;
        }
        if fault.booking() == Booking::InDoubt && self.on_doubt == OnDoubt::Hold {
            ruling.fates = all(&task.batch, || Fate::Deferred("in doubt".to_owned()));
        }
        // A question that the service does not take says nothing about its health.
        let is_trouble = fault.may_pass();
        let trouble_since = if is_trouble { *self.trouble_since.get_or_insert(now) } else { now };
        if chokes(fault) {
            self.load.choke(now);
            task.choked = task.choked.saturating_add(1);
        }
        match fault.remedy() {
            Remedy::Again => {
                let is_servers = matches!(fault, Fault::Server { .. } | Fault::Gateway { .. });
                let (spent, budget) = if is_servers {
                    (&mut task.server, SERVER_BUDGET)
                } else {
                    (&mut task.broken, BROKEN_BUDGET)
                };
                if !ruling.fates.is_empty() {
                    // Held back.
                } else if *spent == budget && !self.proven && matches!(fault, Fault::BrokenBody { .. }) {
                    // Always 200 and never an answer: somebody else stands there, and each 200 may be charged.
                    self.stop(HaltKind::WrongEndpoint, fault, &task, ruling);
                } else if *spent == budget {
                    ruling.fates = all_failed(&task.batch, &fault.word());
                } else {
                    *spent += 1;
                    let wait = backoff(u32::from(*spent), dice);
                    self.ask_again(task, now + wait, ruling);
                }
                self.failures += 1;
                if self.failures >= GENERAL_TROUBLE {
                    self.pause(now, None, dice);
                }
            }
            Remedy::SlowDown { .. } if fault.is_unreachable() && !self.proven => {
                self.stop(HaltKind::Unreachable, fault, &task, ruling);
            }
            Remedy::SlowDown { retry_after } => {
                ruling.eases = matches!(fault, Fault::RateLimited { .. }) && self.paused_until(now).is_none();
                let until = self.pause(now, retry_after, dice);
                if ruling.fates.is_empty() {
                    self.ask_again(task, until, ruling);
                }
            }
            Remedy::Split if !self.proven && *fault == Fault::BadRequest => {
                self.stop(HaltKind::Refused, fault, &task, ruling);
            }
            Remedy::Split => match task.batch.split() {
                Some((low, high)) => {
                    ruling.again.extend([low, high].map(|half| (task.with_batch(half), now)));
                }
                None if *fault == Fault::BadRequest => {
                    let why = "refused by the service (400)".to_owned();
                    ruling.fates = all(&task.batch, || Fate::Invalid(why.clone()));
                }
                None => ruling.fates = all_failed(&task.batch, &fault.word()),
            },
            Remedy::Judge404 => match fault {
                // Where UNKNOWN is said aloud, a 404 is no way to say it.
                Fault::NotFound { looks_like_the_api: true } if self.proven && self.unknowns_are_reported => {
                    if task.omitted {
                        ruling.fates = all_failed(&task.batch, &fault.word());
                    } else {
                        task.omitted = true;
                        ruling.again.push((task, now));
                    }
                }
                Fault::NotFound { looks_like_the_api: true } if self.proven => {
                    ruling.fates = all_absent(&task.batch);
                    self.is_well(now);
                    return;
                }
                _ => self.stop(HaltKind::WrongEndpoint, fault, &task, ruling),
            },
            Remedy::Quota => {
                self.exhaustion.doubted();
                self.trouble_since = None;
                ruling.again.push((task, now));
            }
            Remedy::Halt if fault.is_about_credentials() => {
                self.stop(HaltKind::Credentials, fault, &task, ruling);
            }
            Remedy::Halt => {
                let kind = match fault {
                    Fault::Redirect { .. } => HaltKind::WrongEndpoint,
                    _ => HaltKind::Refused,
                };
                self.stop(kind, fault, &task, ruling);
            }
        }
        // Nobody asks during a pause, so one that outlasts the patience ends the run when it begins.
        // One fault long ago and one now are no outage: nothing may have been asked in between.
        let next_ask = self.paused_until(now).unwrap_or(now);
        let is_general = self.failures + self.streak >= GENERAL_TROUBLE;
        let waits_too_long = next_ask.duration_since(now) >= self.give_up_after;
        let lasts_too_long = is_general && next_ask.duration_since(trouble_since) >= self.give_up_after;
        if waits_too_long || lasts_too_long {
            self.halt_with(HaltKind::Unavailable, Some(fault.clone()));
        }
    }

    /// Once more, in smaller batches if this one or its like have choked the service before.
    fn ask_again(&self, task: Task, at: Instant, ruling: &mut Ruling) {
        let size = if task.choked >= CHOKED_TWICE {
            self.load.batch_size().min(task.batch.len().div_ceil(2).max(self.load.smallest()))
        } else {
            self.load.batch_size()
        };
        ruling.again.extend(task.in_pieces(size).into_iter().map(|piece| (piece, at)));
    }

    /// Everybody waits. What was already on its way when a pause began only confirms it.
    fn pause(&mut self, now: Instant, retry_after: Option<Duration>, dice: f64) -> Instant {
        if let Some(until) = self.paused_until(now) {
            return until;
        }
        self.load.ease(now);
        self.streak += 1;
        let until = now + backoff(self.streak, dice).max(retry_after.unwrap_or_default());
        self.paused_until = Some(until);
        until
    }

    /// Nothing more is asked, and this task is left for another run.
    fn stop(&mut self, kind: HaltKind, fault: &Fault, task: &Task, ruling: &mut Ruling) {
        self.halt_with(kind, Some(fault.clone()));
        let why = self.halt.as_ref().map_or(kind, |halt| halt.kind).word().to_owned();
        ruling.fates = all(&task.batch, || Fate::Deferred(why.clone()));
    }

    /// Nothing more is asked. The first reason stays: what was on its way may fail differently.
    fn halt_with(&mut self, kind: HaltKind, fault: Option<Fault>) {
        self.halt.get_or_insert(Halt { kind, fault, after_an_answer: self.proven, resets_at: None });
    }
}

/// Whether a smaller batch might have passed (vendor, troubleshooting: 503 and timeouts on big batches).
fn chokes(fault: &Fault) -> bool {
    matches!(fault, Fault::Unavailable { .. } | Fault::Timeout)
}

fn about_the_quota() -> Fault {
    Fault::QuotaOrUnclear { retry_after: None }
}

fn all(batch: &Batch, fate: impl Fn() -> Fate) -> Vec<(Digest, Fate)> {
    batch.digests().iter().map(|digest| (*digest, fate())).collect()
}

fn all_failed(batch: &Batch, why: &str) -> Vec<(Digest, Fate)> {
    all(batch, || Fate::Failed(why.to_owned()))
}

pub(crate) fn cost(fault: &Fault, n_hashes: usize) -> Quota {
    let n = n_hashes as u64;
    match fault.booking() {
        Booking::Nothing => Quota::default(),
        Booking::Charged => Quota { charged_max: n, ..Quota::default() },
        Booking::InDoubt => Quota { in_doubt: n, ..Quota::default() },
    }
}

/// Exponential with full jitter, the `n`th wait in a row from 1.
fn backoff(n: u32, dice: f64) -> Duration {
    BACKOFF_BASE.saturating_mul(2u32.saturating_pow(n - 1)).min(BACKOFF_CAP).mul_f64(dice.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
