//! `--dry-run`: what asking about a sweep would cost, in which order, and for what it would not reach. Everything is
//! read, nothing is sent, and nothing of it stays.

use crate::settings::{Sending, Service};
use crate::shell::{day_and_time, lines_safe, say};
use hashsweep_case::{Account, Case, KnownBefore, Planned, SweepId, Teller, day_of, month_of};
use hashsweep_model::{Class, HashKind, Stamp};
use hashsweep_pipeline::{Rate, now};
use hashsweep_spectra::{Allowance, REPUTATION, Renewal};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// Reasons of one class that are shown; the rest is summed up.
const REASONS_OF_A_CLASS: usize = 6;

/// What a sweep would ask.
pub(crate) struct Plan {
    rows: u64,
    is_whole: bool,
    known: Vec<KnownBefore>,
    kinds: Vec<OfKind>,
    /// In the order of asking, those that have anything to ask.
    classes: Vec<OfClass>,
    quota: Quota,
    rate: Rate,
    made_at: Stamp,
}

/// What is asked by one kind of digest: no request mixes two.
struct OfKind {
    kind: HashKind,
    n_digests: u64,
    n_requests: u64,
}

/// What is asked at one place of the order.
struct OfClass {
    class: Class,
    n_digests: u64,
    /// What of it nothing is left for.
    n_put_off: u64,
    /// How many for which reason, most first.
    reasons: Vec<(String, u64)>,
}

/// What may be spent.
struct Quota {
    windows: Vec<Window>,
    max_quota: Option<u64>,
    reserve: u64,
}

/// One window of the account's quota.
struct Window {
    renewal: Renewal,
    /// Hashes by our own ledger, over all cases of the account.
    ours: u64,
    /// Hashes by the service's count, and its limit, where it tells them.
    vendors: Option<u64>,
    limit: Option<u64>,
    /// Hashes that a run may spend; `None` where no limit is known.
    left: Option<u64>,
    resets_at: Stamp,
}

impl Plan {
    /// Reads the plan from the case, and what may be spent from the account and, where it can be reached, the
    /// service.
    pub(crate) async fn of(case: &Case, sweep: SweepId, sending: &Sending) -> anyhow::Result<Plan> {
        let planned = case.plan(sweep)?;
        let quota = Quota::of(sending).await?;
        Ok(Plan {
            rows: case.tally(sweep)?.rows,
            is_whole: case.sweep(Some(sweep))?.intake_finished,
            known: case.known_before(sweep)?,
            kinds: of_kinds(&planned, sending.asking.batch_size as u64),
            classes: of_classes(planned, quota.least()),
            quota,
            rate: sending.asking.rate,
            made_at: now(),
        })
    }

    fn n_to_ask(&self) -> u64 {
        self.kinds.iter().map(|of| of.n_digests).sum()
    }

    fn n_requests(&self) -> u64 {
        self.kinds.iter().map(|of| of.n_requests).sum()
    }

    fn n_known(&self) -> u64 {
        self.known.iter().map(|known| known.n_digests).sum()
    }

    fn n_put_off(&self) -> u64 {
        self.classes.iter().map(|of| of.n_put_off).sum()
    }

    /// For people, on stdout: it is what the command was asked for.
    pub(crate) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let (n_to_ask, n_requests) = (self.n_to_ask(), self.n_requests());
        writeln!(
            out,
            "{} rows, {} distinct digests; nothing was sent",
            self.rows,
            n_to_ask + self.n_known()
        )?;
        if !self.is_whole {
            writeln!(out, "  NOT EVERYTHING WAS READ: there may be more")?;
        }
        for known in &self.known {
            let (words, how_old) = (words_of_teller(&known.from), self.how_old(known));
            writeln!(out, "  {words:<18} {:>12}{how_old}", known.n_digests)?;
        }
        let plural = if n_requests == 1 { "" } else { "s" };
        writeln!(out, "  to ask             {n_to_ask:>12}   in {n_requests} request{plural}")?;
        if !self.classes.is_empty() {
            writeln!(out, "in this order")?;
        }
        for of in &self.classes {
            let class = of.class.to_string();
            for (why, n) in of.reasons.iter().take(REASONS_OF_A_CLASS) {
                writeln!(out, "  {class:<18} {n:>12}   {why}")?;
            }
            if let Some(more) = of.reasons.get(REASONS_OF_A_CLASS..).filter(|more| !more.is_empty()) {
                let n: u64 = more.iter().map(|(_, n)| n).sum();
                writeln!(out, "  {class:<18} {n:>12}   for {} more reasons", more.len())?;
            }
        }
        writeln!(out, "cost")?;
        writeln!(out, "  quota              {n_to_ask:>12}   at most")?;
        self.quota.write(out)?;
        if let Some(time) = self.time() {
            writeln!(out, "  time               {:>12}   at {}", words_of(time), self.rate)?;
        }
        let n_put_off = self.n_put_off();
        if n_put_off > 0 {
            let parts: Vec<String> = self
                .classes
                .iter()
                .filter(|of| of.n_put_off > 0)
                .map(|of| format!("{} of the {} class", of.n_put_off, of.class))
                .collect();
            writeln!(out, "  put off            {n_put_off:>12}   {}", parts.join(", "))?;
        }
        writeln!(out, "to go on: the same command without --dry-run; nothing of this was kept")
    }

    /// For programs: docs/quota.md, "The plan".
    pub(crate) fn json(&self) -> Value {
        let when = |stamp: Stamp| hashsweep_report::when(stamp);
        let known = self.known.iter().map(|known| {
            let reason = match &known.from {
                Teller::Local(reason) => Some(reason.as_str()),
                Teller::Settled | Teller::Asked | Teller::Bridged | Teller::Brought => None,
            };
            json!({
                "from": name_of_teller(&known.from), "reason": reason, "digests": known.n_digests,
                "oldest": known.oldest.map(when), "newest": known.newest.map(when),
            })
        });
        let kinds = self
            .kinds
            .iter()
            .map(|of| json!({ "kind": of.kind.name(), "digests": of.n_digests, "requests": of.n_requests }));
        let order = self.classes.iter().map(|of| {
            let reasons = of.reasons.iter().map(|(why, n)| json!({ "why": why, "digests": n }));
            json!({
                "class": of.class.to_string(), "digests": of.n_digests, "put_off": of.n_put_off,
                "reasons": reasons.collect::<Vec<_>>(),
            })
        });
        json!({
            "made_at": when(self.made_at),
            "complete": self.is_whole,
            "rows": self.rows,
            "distinct": self.n_to_ask() + self.n_known(),
            "known": known.collect::<Vec<_>>(),
            "to_ask": {
                "digests": self.n_to_ask(), "requests": self.n_requests(), "kinds": kinds.collect::<Vec<_>>(),
            },
            "order": order.collect::<Vec<_>>(),
            "quota": self.quota.json(self.n_to_ask()),
            "rate": self.rate.to_string(),
            "seconds": self.time().map(|time| time.as_secs_f64()),
            "put_off": self.n_put_off(),
        })
    }

    /// `   3 days to 2 hours old`
    fn how_old(&self, known: &KnownBefore) -> String {
        let age = |stamp: Stamp| words_of_age(self.made_at.0.saturating_sub(stamp.0));
        match (known.oldest.map(age), known.newest.map(age)) {
            (Some(oldest), Some(newest)) if oldest == newest => format!("   {oldest} old"),
            (Some(oldest), Some(newest)) => format!("   {newest} to {oldest} old"),
            _ => String::new(),
        }
    }

    /// How long the requests take at the set rate.
    fn time(&self) -> Option<Duration> {
        match self.rate {
            Rate::Unlimited => None,
            Rate::Limited { n, per } => {
                let requests = u32::try_from(self.n_requests()).unwrap_or(u32::MAX);
                Some(per.checked_mul(requests).unwrap_or(Duration::MAX) / n.get())
            }
        }
    }
}

fn of_kinds(planned: &[Planned], batch_size: u64) -> Vec<OfKind> {
    let of = |kind| {
        let n_digests: u64 = planned.iter().filter(|line| line.kind == kind).map(|line| line.to_ask).sum();
        OfKind { kind, n_digests, n_requests: n_digests.div_ceil(batch_size) }
    };
    HashKind::ALL.into_iter().map(of).filter(|of| of.n_digests > 0).collect()
}

/// `least` is what may be spent: what comes first gets it.
fn of_classes(planned: Vec<Planned>, least: Option<u64>) -> Vec<OfClass> {
    let mut classes: Vec<OfClass> = Class::ALL
        .into_iter()
        .map(|class| OfClass { class, n_digests: 0, n_put_off: 0, reasons: Vec::new() })
        .collect();
    for line in planned.into_iter().filter(|line| line.to_ask > 0) {
        let of = classes.iter_mut().find(|of| of.class == line.class).expect("every class is there");
        of.n_digests += line.to_ask;
        let why = line.suspicion.unwrap_or_else(|| "rows of lists".to_owned());
        match of.reasons.iter_mut().find(|(words, _)| *words == why) {
            Some((_, n)) => *n += line.to_ask,
            None => of.reasons.push((why, line.to_ask)),
        }
    }
    classes.retain(|of| of.n_digests > 0);
    let mut left = least.unwrap_or(u64::MAX);
    for of in &mut classes {
        of.n_put_off = of.n_digests.saturating_sub(left);
        left = left.saturating_sub(of.n_digests);
        of.reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    }
    classes
}

impl Quota {
    async fn of(sending: &Sending) -> anyhow::Result<Quota> {
        let windows = match &sending.service {
            Service::Remote(client) => match client.allowance().await {
                Ok(allowance) => windows(&allowance, &sending.account()?, sending.asking.reserve)?,
                Err(fault) => {
                    let why = lines_safe(&fault.to_string());
                    say(format!("what is left of the quota is not known: {why}"));
                    windows(&Allowance::default(), &sending.account()?, sending.asking.reserve)?
                }
            },
            // Each has a quota of its own, and nobody pays for it.
            Service::Simulator | Service::Offline => Vec::new(),
        };
        Ok(Quota { windows, max_quota: sending.asking.max_quota, reserve: sending.asking.reserve })
    }

    /// What a run may spend.
    fn least(&self) -> Option<u64> {
        self.windows.iter().filter_map(|window| window.left).chain(self.max_quota).min()
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        for window in &self.windows {
            let words = match window.renewal {
                Renewal::Daily => "today",
                Renewal::Monthly => "this month",
            };
            if let (Some(left), Some(limit)) = (window.left, window.limit) {
                let begins = day_and_time(window.resets_at);
                writeln!(out, "  left {words:<13} {left:>12}   of {limit}; begins anew at {begins}")?;
            } else {
                let ours = window.ours;
                writeln!(out, "  spent {words:<12} {ours:>12}   by our ledger; no limit is known")?;
            }
        }
        if let Some(most) = self.max_quota {
            writeln!(out, "  --max-quota        {most:>12}")?;
        }
        Ok(())
    }

    fn json(&self, at_most: u64) -> Value {
        let window = |window: &Window| {
            json!({
                "left": window.left, "limit": window.limit,
                "used": { "ledger": window.ours, "vendor": window.vendors },
                "resets_at": hashsweep_report::when(window.resets_at),
            })
        };
        let of = |renewal| self.windows.iter().find(|window| window.renewal == renewal).map(window);
        json!({
            "at_most": at_most, "today": of(Renewal::Daily), "month": of(Renewal::Monthly),
            "max_quota": self.max_quota, "reserve": self.reserve,
        })
    }
}

/// Today and this month, whether or not the service tells of them.
fn windows(allowance: &Allowance, account: &Account, reserve: u64) -> anyhow::Result<Vec<Window>> {
    let now = now();
    let mut windows = Vec::new();
    for (renewal, during) in [(Renewal::Daily, day_of(now)), (Renewal::Monthly, month_of(now))] {
        let ours = account.spent(REPUTATION, &during)?.at_most();
        // Of several limits of one kind, the one that leaves least.
        let told = allowance.windows.iter().filter(|told| told.renewal == Some(renewal));
        let told = told.map(|told| {
            let used = ours.max(told.used.unwrap_or(0)).saturating_add(reserve);
            let left = told.limit.map(|limit| limit.saturating_sub(used));
            (if told.is_exceeded { Some(0) } else { left }, told)
        });
        let told = told.min_by_key(|(left, _)| left.unwrap_or(u64::MAX));
        windows.push(Window {
            renewal,
            ours,
            vendors: told.and_then(|(_, told)| told.used),
            limit: told.and_then(|(_, told)| told.limit),
            left: told.and_then(|(left, _)| left),
            resets_at: during.end,
        });
    }
    Ok(windows)
}

fn words_of_teller(teller: &Teller) -> &str {
    match teller {
        Teller::Settled => "settled already",
        Teller::Asked => "answered before",
        Teller::Bridged => "by another digest",
        Teller::Brought => "brought here",
        Teller::Local(reason) => reason,
    }
}

fn name_of_teller(teller: &Teller) -> &'static str {
    match teller {
        Teller::Settled => "settled",
        Teller::Asked => "asked",
        Teller::Bridged => "bridged",
        Teller::Brought => "brought",
        Teller::Local(_) => "local",
    }
}

/// The largest unit that is full.
fn words_of_age(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    let (n, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

fn words_of(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{} s", seconds.max(1)),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_to_the_first_classes() {
        let line = |class, suspicion: &str, to_ask| Planned {
            class,
            kind: HashKind::Sha1,
            suspicion: Some(suspicion.to_owned()),
            to_ask,
            cached: 1,
            local: 0,
        };
        let check = |least, expected: [u64; 2]| {
            let planned = vec![
                line(Class::Second, "script", 4),
                line(Class::First, "executable", 3),
                line(Class::First, "script", 5),
                line(Class::Last, "text", 0),
            ];
            let classes = of_classes(planned, least);
            let found: Vec<u64> = classes.iter().map(|of| of.n_put_off).collect();
            assert_eq!(found, expected);
            assert_eq!(classes[0].reasons, [("script".to_owned(), 5), ("executable".to_owned(), 3)]);
        };
        check(None, [0, 0]);
        check(Some(12), [0, 0]);
        check(Some(9), [0, 3]);
        check(Some(7), [1, 4]);
        check(Some(0), [8, 4]);
    }

    #[test]
    fn an_age_is_told_in_its_largest_full_unit() {
        let check = |seconds: i64, expected: &str| assert_eq!(words_of_age(seconds * 1000), expected);
        check(-5, "0 seconds");
        check(1, "1 second");
        check(3599, "59 minutes");
        check(172_799, "47 hours");
        check(172_800, "2 days");
    }
}
