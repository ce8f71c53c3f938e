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
mod tests {
    use super::*;
    use crate::Rate;
    use hashsweep_model::{Answer, Verdict};
    use hashsweep_spectra::{Entry, Window};
    use proptest::prelude::*;

    fn digest(n: u8) -> Digest {
        Digest::from_bytes(&[n; 20]).unwrap()
    }

    fn task(of: &[u8]) -> Task {
        Task::new(Batch::new(of.iter().map(|n| digest(*n)).collect()).unwrap())
    }

    fn judge() -> Judge {
        Judge::new(&asking(), false)
    }

    fn unavailable(proxied: bool) -> Fault {
        Fault::Unavailable { retry_after: None, proxied }
    }

    fn asking() -> Asking {
        Asking {
            rate: Rate::Unlimited,
            concurrency: 16,
            batch_size: 100,
            give_up_after: Duration::from_secs(600),
            on_doubt: OnDoubt::Resend,
            wait_for_quota: false,
            max_quota: None,
            reserve: 0,
        }
    }

    /// A judge whose service has answered once.
    fn proven() -> Judge {
        let mut judge = judge();
        judge.rule(task(&[9]), Ok(Reply::default()), Instant::now(), 0.5);
        judge
    }

    fn reasons(ruling: &Ruling) -> Vec<String> {
        let word = |fate: &Fate| match fate {
            Fate::Answered(a) => format!("{} {}", a.verdict, a.reason.as_deref().unwrap_or("")),
            Fate::Failed(why) => format!("failed {why}"),
            Fate::Invalid(why) => format!("invalid {why}"),
            Fate::Deferred(why) => format!("deferred {why}"),
        };
        ruling.fates.iter().map(|(_, fate)| word(fate)).collect()
    }

    #[tokio::test]
    async fn the_first_request_travels_alone_until_a_parsed_200() {
        let mut judge = judge();
        assert_eq!(judge.limit(), 1);
        judge.rule(task(&[1]), Err(Fault::Server { status: 500, proxied: false }), Instant::now(), 0.5);
        assert_eq!(judge.limit(), 1);
        judge.rule(task(&[1]), Err(Fault::BrokenBody { why: "cut".into() }), Instant::now(), 0.5);
        assert_eq!(judge.limit(), 1);
        judge.rule(task(&[1]), Ok(Reply::default()), Instant::now(), 0.5);
        assert_eq!(judge.limit(), 16);
    }

    #[tokio::test]
    async fn limits_that_cannot_be_had_for_a_reserve_halt_for_the_reason_that_keeps_them() {
        for (fault, kind) in [
            (Fault::Unauthorized, HaltKind::Credentials),
            (Fault::Dns, HaltKind::Unreachable),
            (Fault::Forbidden, HaltKind::NoLimits),
            (Fault::NotFound { looks_like_the_api: true }, HaltKind::NoLimits),
        ] {
            let mut judge = Judge::new(&Asking { reserve: 10, ..asking() }, false);
            judge.told(Err(&fault), (Instant::now(), Stamp(0)), 0.5);
            assert_eq!(judge.halt().unwrap().kind, kind, "{fault:?}");
        }
    }

    /// A captive portal, for one.
    #[tokio::test]
    async fn a_first_request_that_gets_nothing_but_broken_bodies_ends_the_run() {
        let mut judge = judge();
        let broken = || Err(Fault::BrokenBody { why: "<html>".into() });
        let mut task = task(&[1]);
        for _ in 0..BROKEN_BUDGET {
            task = judge.rule(task, broken(), Instant::now(), 0.5).again.remove(0).0;
        }
        let ruling = judge.rule(task, broken(), Instant::now(), 0.5);
        assert_eq!(judge.halt().unwrap().kind, HaltKind::WrongEndpoint);
        assert_eq!(reasons(&ruling), ["deferred wrong endpoint"]);
    }

    #[tokio::test]
    async fn refused_credentials_and_dead_addresses_halt_at_once() {
        for (fault, kind) in [
            (Fault::Unauthorized, HaltKind::Credentials),
            (Fault::Forbidden, HaltKind::Credentials),
            (Fault::Refused, HaltKind::Unreachable),
            (Fault::Dns, HaltKind::Unreachable),
            (Fault::Tls { why: "unknown issuer".into() }, HaltKind::Unreachable),
            (Fault::NotFound { looks_like_the_api: true }, HaltKind::WrongEndpoint),
            (Fault::Redirect { to: "https://elsewhere".into() }, HaltKind::WrongEndpoint),
            (Fault::BadRequest, HaltKind::Refused),
            (Fault::OtherStatus { status: 405 }, HaltKind::Refused),
        ] {
            let mut judge = judge();
            let ruling = judge.rule(task(&[1, 2]), Err(fault), Instant::now(), 0.5);
            let halt = judge.halt().unwrap();
            assert_eq!((halt.kind, halt.after_an_answer), (kind, false));
            assert_eq!(reasons(&ruling), vec![format!("deferred {}", kind.word()); 2]);
            assert_eq!(ruling.quota, Quota::default());
        }
    }

    #[tokio::test]
    async fn a_429_without_a_word_is_held_until_the_limits_tell_what_it_means() {
        let mut judge = proven();
        let now = Instant::now();
        let ruling = judge.rule(task(&[1, 2]), Err(about_the_quota()), now, 0.5);
        assert_eq!((ruling.again.len(), judge.halt(), judge.waits_for_limits()), (1, None, true));
        // What left before it may still be answered, and says nothing.
        judge.rule(task(&[3]), Ok(Reply::default()), now, 0.5);
        assert!(judge.waits_for_limits());
        let window = Window { renewal: Some(Renewal::Daily), limit: Some(9), used: None, is_exceeded: true };
        judge.told(Ok(&Allowance { windows: vec![window] }), (now, Stamp(0)), 0.5);
        let halt = judge.halt().unwrap();
        assert_eq!((halt.kind, &halt.fault), (HaltKind::Quota, &Some(about_the_quota())));
        assert!(!judge.waits_for_limits());
    }

    #[tokio::test]
    async fn our_own_books_end_a_run_without_a_fault() {
        for (by, kind) in
            [(Denied::Budget, HaltKind::Budget), (Denied::Quota(Period::Month), HaltKind::Quota)]
        {
            let mut judge = proven();
            judge.denied(by, (Instant::now(), Stamp(0)), 0.5);
            let halt = judge.halt().unwrap();
            assert_eq!((halt.kind, &halt.fault), (kind, &None));
        }
    }

    #[tokio::test]
    async fn what_is_in_doubt_may_be_held_back_instead_of_paid_for_twice() {
        let asking = Asking { on_doubt: OnDoubt::Hold, ..asking() };
        for fault in [Fault::Timeout, Fault::Gateway { status: 504 }, unavailable(true)] {
            let mut judge = Judge::new(&asking, false);
            let ruling = judge.rule(task(&[1, 2]), Err(fault), Instant::now(), 0.5);
            assert_eq!(reasons(&ruling), ["deferred in doubt", "deferred in doubt"]);
            assert_eq!((ruling.again.len(), ruling.quota.in_doubt), (0, 2));
        }
        let ruling =
            Judge::new(&asking, false).rule(task(&[1]), Err(unavailable(false)), Instant::now(), 0.5);
        assert_eq!((ruling.fates.len(), ruling.again.len()), (0, 1));
    }

    #[tokio::test]
    async fn a_batch_that_chokes_the_service_again_and_again_is_asked_in_pieces() {
        let mut judge = proven();
        let hundred: Vec<u8> = (0..100).collect();
        let mut tasks = vec![task(&hundred)];
        let mut sizes = Vec::new();
        let mut now = Instant::now();
        for _ in 0..4 {
            let came = Err(unavailable(false));
            let ruling = judge.rule(tasks.pop().unwrap(), came, now, 0.5);
            sizes.push(ruling.again[0].0.batch.len());
            tasks.extend(ruling.again.into_iter().map(|(task, _)| task));
            now += Duration::from_secs(30);
        }
        assert_eq!(sizes, [100, 50, 25, 25]);
        assert_eq!(tasks.iter().map(|task| task.batch.len()).sum::<usize>(), 100);
    }

    #[tokio::test]
    async fn after_an_answer_credentials_still_halt_but_a_dead_link_only_pauses() {
        let mut judge = proven();
        judge.rule(task(&[1]), Err(Fault::Unauthorized), Instant::now(), 0.5);
        assert!(judge.halt().unwrap().after_an_answer);
        let mut judge = proven();
        let ruling = judge.rule(task(&[1]), Err(Fault::Refused), Instant::now(), 0.5);
        assert_eq!((judge.halt(), ruling.again.len(), judge.limit()), (None, 1, 1));
    }

    #[tokio::test]
    async fn a_404_is_a_verdict_only_from_a_proven_service_that_speaks_json() {
        let mut judge = proven();
        let ruling =
            judge.rule(task(&[1]), Err(Fault::NotFound { looks_like_the_api: true }), Instant::now(), 0.5);
        assert_eq!(reasons(&ruling), ["unknown absent"]);
        judge.rule(task(&[1]), Err(Fault::NotFound { looks_like_the_api: false }), Instant::now(), 0.5);
        assert_eq!(judge.halt().unwrap().kind, HaltKind::WrongEndpoint);
    }

    #[tokio::test]
    async fn budgets_are_spent_apart_and_end_in_failed() {
        let mut judge = proven();
        let mut task = task(&[1]);
        let faults = [
            Fault::Timeout,
            Fault::Server { status: 500, proxied: false },
            Fault::Gateway { status: 504 },
            Fault::BrokenBody { why: "cut".into() },
            Fault::Gateway { status: 502 },
            Fault::Server { status: 500, proxied: false },
        ];
        let mut quota = Quota::default();
        for fault in faults {
            let mut ruling = judge.rule(task, Err(fault), Instant::now(), 0.5);
            quota += ruling.quota;
            task = ruling.again.remove(0).0;
        }
        assert_eq!(quota, Quota { charged_max: 1, charged_min: 0, in_doubt: 3 });
        let over = judge.rule(task.clone(), Err(Fault::Timeout), Instant::now(), 0.5);
        assert_eq!(reasons(&over), ["failed timeout"]);
        let over = judge.rule(task, Err(Fault::Gateway { status: 504 }), Instant::now(), 0.5);
        assert_eq!(reasons(&over), ["failed 504"]);
        assert_eq!(judge.halt(), None);
    }

    #[tokio::test]
    async fn one_429_pauses_everybody_once_and_one_answer_ends_it() {
        let mut judge = proven();
        let now = Instant::now();
        let slow = || Err(Fault::RateLimited { retry_after: Some(Duration::from_secs(7)) });
        judge.rule(task(&[1]), slow(), now, 0.5);
        let until = judge.paused_until(now).unwrap();
        assert_eq!(until, now + Duration::from_secs(7));
        let ruling = judge.rule(task(&[2]), slow(), now + Duration::from_secs(1), 0.5);
        assert_eq!(ruling.again[0].1, until);
        assert_eq!((judge.paused_until(now), judge.limit()), (Some(until), 1));
        judge.rule(task(&[1]), Ok(Reply::default()), until, 0.5);
        assert_eq!((judge.paused_until(until), judge.limit()), (None, 8));
    }

    #[tokio::test]
    async fn an_answer_that_was_on_its_way_when_a_pause_began_does_not_end_it() {
        let mut judge = proven();
        let now = Instant::now();
        let slow = Err(Fault::RateLimited { retry_after: Some(Duration::from_secs(7)) });
        judge.rule(task(&[1]), slow, now, 0.5);
        judge.rule(task(&[2]), Ok(Reply::default()), now + Duration::from_secs(1), 0.5);
        let until = now + Duration::from_secs(7);
        assert_eq!((judge.paused_until(now), judge.limit()), (Some(until), 1));
    }

    #[tokio::test]
    async fn a_404_that_is_an_answer_ends_a_pause_like_any_other() {
        let mut judge = proven();
        let now = Instant::now();
        judge.rule(task(&[1]), Err(Fault::Unavailable { retry_after: None, proxied: false }), now, 0.5);
        let later = now + Duration::from_secs(1);
        judge.rule(task(&[1]), Err(Fault::NotFound { looks_like_the_api: true }), later, 0.5);
        assert_eq!(judge.limit(), 8);
    }

    #[tokio::test]
    async fn failures_without_an_answer_between_them_pause_everybody() {
        let mut judge = proven();
        let now = Instant::now();
        let failed = || Err(Fault::Server { status: 500, proxied: false });
        for n in 1..=2 {
            judge.rule(task(&[n]), failed(), now, 0.5);
            assert_eq!((judge.paused_until(now), judge.limit()), (None, 16));
        }
        judge.rule(task(&[3]), failed(), now, 0.5);
        let until = judge.paused_until(now).unwrap();
        assert_eq!(judge.limit(), 1);
        judge.rule(task(&[4]), Ok(Reply::default()), until, 0.5);
        assert_eq!((judge.paused_until(until), judge.limit()), (None, 8));
        judge.rule(task(&[5]), failed(), until, 0.5);
        assert_eq!(judge.paused_until(until), None);
    }

    #[tokio::test]
    async fn a_service_that_stays_down_ends_the_run() {
        let mut judge = proven();
        let start = Instant::now();
        let down = || Err(Fault::Unavailable { retry_after: None, proxied: false });
        judge.rule(task(&[1]), down(), start, 1.0);
        judge.rule(task(&[1]), down(), start + Duration::from_secs(300), 1.0);
        assert_eq!(judge.halt(), None);
        let ruling = judge.rule(task(&[1]), down(), start + Duration::from_secs(600), 1.0);
        assert_eq!(judge.halt().unwrap().kind, HaltKind::Unavailable);
        assert_eq!(ruling.again.len(), 1);
    }

    #[tokio::test]
    async fn two_faults_far_apart_are_no_outage() {
        let mut judge = proven();
        let start = Instant::now();
        judge.rule(task(&[1]), Err(Fault::Server { status: 500, proxied: false }), start, 0.5);
        let later = start + Duration::from_secs(3600);
        judge.rule(task(&[1]), Err(unavailable(false)), later, 0.5);
        assert_eq!(judge.halt(), None);
        let mut judge = proven();
        judge.rule(task(&[1, 2]), Err(Fault::TooLarge), start, 0.5);
        for seconds in [3600, 3602, 3604] {
            judge.rule(task(&[1]), Err(unavailable(false)), start + Duration::from_secs(seconds), 0.5);
        }
        assert_eq!(judge.halt(), None);
    }

    #[tokio::test]
    async fn limits_that_cannot_be_asked_just_now_are_asked_again_before_a_reserve_is_given_up() {
        let mut judge = Judge::new(&Asking { reserve: 9, ..asking() }, false);
        let at = (Instant::now(), Stamp(0));
        for _ in 0..GENERAL_TROUBLE {
            let now = judge.paused_until(at.0).unwrap_or(at.0);
            assert!(!judge.told(Err(&unavailable(false)), (now, Stamp(0)), 0.5));
        }
        let now = judge.paused_until(at.0).unwrap_or(at.0);
        assert!(judge.told(Err(&unavailable(false)), (now, Stamp(0)), 0.5));
        assert_eq!(judge.halt().unwrap().kind, HaltKind::NoLimits);
    }

    #[tokio::test]
    async fn a_pause_that_outlasts_the_patience_ends_the_run_when_it_begins() {
        let mut judge = proven();
        let later = Err(Fault::Unavailable { retry_after: Some(Duration::from_secs(600)), proxied: false });
        judge.rule(task(&[1]), later, Instant::now(), 0.5);
        assert_eq!(judge.halt().unwrap().kind, HaltKind::Unavailable);
    }

    #[tokio::test]
    async fn a_404_is_no_answer_of_a_service_that_says_unknown_aloud() {
        let mut judge = proven();
        let aloud = Entry::Answer(Answer::bare(digest(1), Verdict::Unknown));
        let reply = Reply { entries: vec![aloud], ..Reply::default() };
        judge.rule(task(&[1]), Ok(reply), Instant::now(), 0.5);
        let absent = || Err(Fault::NotFound { looks_like_the_api: true });
        let mut first = judge.rule(task(&[2]), absent(), Instant::now(), 0.5);
        let second = judge.rule(first.again.remove(0).0, absent(), Instant::now(), 0.5);
        assert_eq!((reasons(&second), judge.halt()), (vec!["failed 404".to_owned()], None));
    }

    #[tokio::test]
    async fn a_hash_left_out_aloud_is_asked_once_more_then_failed() {
        let mut judge = proven();
        let aloud = || {
            let entry = Entry::Answer(Answer::bare(digest(1), Verdict::Unknown));
            Ok(Reply { entries: vec![entry], ..Reply::default() })
        };
        let mut first = judge.rule(task(&[1, 2]), aloud(), Instant::now(), 0.5);
        let (again, _) = first.again.remove(0);
        assert_eq!(again.batch.digests(), [digest(2)]);
        let second = judge.rule(again, Ok(Reply::default()), Instant::now(), 0.5);
        assert_eq!(reasons(&second), ["failed omitted"]);
    }

    #[tokio::test]
    async fn a_400_is_bisected_to_its_culprit() {
        let mut judge = proven();
        let mut open = vec![task(&[1, 2, 3, 4, 5])];
        let mut invalid = Vec::new();
        while let Some(task) = open.pop() {
            let came =
                if task.batch.contains(&digest(4)) { Err(Fault::BadRequest) } else { Ok(Reply::default()) };
            let ruling = judge.rule(task, came, Instant::now(), 0.5);
            invalid.extend(ruling.fates.into_iter().filter(|(_, fate)| matches!(fate, Fate::Invalid(_))));
            open.extend(ruling.again.into_iter().map(|(task, _)| task));
        }
        assert_eq!(invalid.iter().map(|(d, _)| *d).collect::<Vec<_>>(), [digest(4)]);
    }

    fn any_fault() -> impl Strategy<Value = Fault> {
        let proxied = any::<bool>();
        prop_oneof![
            Just(Fault::BadRequest),
            Just(Fault::Unauthorized),
            any::<bool>().prop_map(|looks_like_the_api| Fault::NotFound { looks_like_the_api }),
            Just(Fault::TooLarge),
            Just(Fault::RateLimited { retry_after: None }),
            Just(Fault::QuotaOrUnclear { retry_after: None }),
            proxied.prop_map(|proxied| Fault::Server { status: 500, proxied }),
            Just(Fault::Gateway { status: 504 }),
            Just(Fault::BrokenBody { why: "cut".into() }),
            Just(Fault::Timeout),
            Just(Fault::Refused),
        ]
    }

    proptest! {
        #[test]
        fn no_attempt_loses_a_digest(
            asked in prop::collection::btree_set(0u8..50, 1..50),
            came in prop::collection::vec(prop::option::of(any_fault()), 1..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut judge = judge();
                let mut open = vec![task(&asked.iter().copied().collect::<Vec<_>>())];
                let mut settled = Vec::new();
                for fault in came {
                    let Some(task) = open.pop() else { break };
                    let before = task.batch.digests().to_vec();
                    let ruling = judge.rule(task, fault.map_or(Ok(Reply::default()), Err), Instant::now(), 0.5);
                    let mut after: Vec<Digest> = ruling.fates.iter().map(|(d, _)| *d).collect();
                    after.extend(ruling.again.iter().flat_map(|(t, _)| t.batch.digests().to_vec()));
                    after.sort_unstable();
                    assert_eq!(after, before);
                    settled.extend(ruling.fates.iter().map(|(d, _)| *d));
                    open.extend(ruling.again.into_iter().map(|(task, _)| task));
                }
                settled.extend(open.iter().flat_map(|t| t.batch.digests().to_vec()));
                settled.sort_unstable();
                assert_eq!(settled, asked.iter().map(|n| digest(*n)).collect::<Vec<_>>());
            });
        }

        #[test]
        fn backoff_stays_within_its_cap(n in 1u32..200, dice in 0.0f64..=1.0) {
            prop_assert!(backoff(n, dice) <= BACKOFF_CAP);
        }
    }
}
