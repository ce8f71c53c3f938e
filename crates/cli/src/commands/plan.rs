//! `--dry-run`: what asking about a sweep would cost, in which order, and for what it would not reach. Everything is
//! read and nothing is sent; the sweep stays in the case, so that `resume` carries the plan out.

use crate::settings::{Sending, Service};
use crate::shell::{day_and_time, lines_safe, say};
use hashsweep_case::{Case, SweepId, day_of, month_of};
use hashsweep_model::{Class, HashKind, Stamp};
use hashsweep_pipeline::{Rate, now};
use hashsweep_spectra::{Allowance, REPUTATION, Renewal};
use std::io::Write;
use std::time::Duration;

/// Lines of one class that are shown; the rest is summed up.
const LINES_OF_A_CLASS: usize = 6;

/// What a sweep would ask.
pub(crate) struct Plan {
    rows: u64,
    cached: u64,
    local: u64,
    to_ask: u64,
    requests: u64,
    /// Class by class, in the order of asking: how many digests, and why.
    lines: Vec<(Class, u64, String)>,
    left: Vec<Left>,
    max_quota: Option<u64>,
    rate: Rate,
}

/// What one window of the quota leaves.
struct Left {
    words: &'static str,
    n_hashes: u64,
    limit: u64,
    resets_at: Stamp,
}

impl Plan {
    /// Reads the plan from the case, and what may be spent from the account and, where it can be reached, the
    /// service.
    pub(crate) async fn of(case: &Case, sweep: SweepId, sending: &Sending) -> anyhow::Result<Plan> {
        let batch_size = sending.asking.batch_size as u64;
        let planned = case.plan(sweep)?;
        let mut plan = Plan {
            rows: case.tally(sweep)?.rows,
            cached: planned.iter().map(|line| line.cached).sum(),
            local: planned.iter().map(|line| line.local).sum(),
            to_ask: planned.iter().map(|line| line.to_ask).sum(),
            requests: 0,
            lines: Vec::new(),
            left: left(sending).await?,
            max_quota: sending.asking.max_quota,
            rate: sending.asking.rate,
        };
        for kind in HashKind::ALL {
            let n: u64 = planned.iter().filter(|line| line.kind == kind).map(|line| line.to_ask).sum();
            plan.requests += n.div_ceil(batch_size);
        }
        for line in planned.into_iter().filter(|line| line.to_ask > 0) {
            let why = line.suspicion.unwrap_or_else(|| "rows of lists".to_owned());
            match plan.lines.iter_mut().find(|(class, _, words)| *class == line.class && *words == why) {
                Some((_, n, _)) => *n += line.to_ask,
                None => plan.lines.push((line.class, line.to_ask, why)),
            }
        }
        plan.lines.sort_by_key(|(class, n, _)| (*class, std::cmp::Reverse(*n)));
        Ok(plan)
    }

    /// Hashes that would be put off for want of quota.
    fn deferred(&self) -> u64 {
        let least = self.left.iter().map(|left| left.n_hashes).chain(self.max_quota).min();
        least.map_or(0, |least| self.to_ask.saturating_sub(least))
    }

    /// For people, on stdout: it is what the command was asked for.
    pub(crate) fn write(&self, next_step: &str, out: &mut impl Write) -> std::io::Result<()> {
        let known = self.cached + self.local;
        writeln!(out, "{} rows, {} distinct digests; nothing was sent", self.rows, self.to_ask + known)?;
        writeln!(out, "  answered before    {:>12}", self.cached)?;
        writeln!(out, "  decided here       {:>12}", self.local)?;
        let plural = if self.requests == 1 { "" } else { "s" };
        writeln!(out, "  to ask             {:>12}   in {} request{plural}", self.to_ask, self.requests)?;
        if !self.lines.is_empty() {
            writeln!(out, "in this order")?;
        }
        for class in Class::ALL {
            let lines: Vec<_> = self.lines.iter().filter(|(of, ..)| *of == class).collect();
            for (_, n, why) in lines.iter().take(LINES_OF_A_CLASS) {
                writeln!(out, "  {:<18} {n:>12}   {why}", class.to_string())?;
            }
            if lines.len() > LINES_OF_A_CLASS {
                let n: u64 = lines[LINES_OF_A_CLASS..].iter().map(|(_, n, _)| n).sum();
                let kinds = lines.len() - LINES_OF_A_CLASS;
                writeln!(out, "  {:<18} {n:>12}   for {kinds} more reasons", class.to_string())?;
            }
        }
        writeln!(out, "cost")?;
        writeln!(out, "  quota              {:>12}   at most", self.to_ask)?;
        for Left { words, n_hashes, limit, resets_at } in &self.left {
            let begins = day_and_time(*resets_at);
            writeln!(out, "  left {words:<13} {n_hashes:>12}   of {limit}; begins anew at {begins}")?;
        }
        if let Some(most) = self.max_quota {
            writeln!(out, "  --max-quota        {most:>12}")?;
        }
        if let Some(time) = self.time() {
            writeln!(out, "  time               {:>12}   at {}", words_of(time), self.rate)?;
        }
        let deferred = self.deferred();
        if deferred > 0 {
            writeln!(out, "  put off            {deferred:>12}   the last of the order above")?;
        }
        writeln!(out, "to go on: {next_step}")
    }

    /// How long the requests take at the set rate.
    fn time(&self) -> Option<Duration> {
        match self.rate {
            Rate::Unlimited => None,
            Rate::Limited { n, per } => {
                let requests = u32::try_from(self.requests).unwrap_or(u32::MAX);
                Some(per.checked_mul(requests).unwrap_or(Duration::MAX) / n.get())
            }
        }
    }
}

/// What the account's limits leave; nothing where no limit is known.
async fn left(sending: &Sending) -> anyhow::Result<Vec<Left>> {
    let Service::Remote(client) = &sending.service else { return Ok(Vec::new()) };
    let allowance = match client.allowance().await {
        Ok(allowance) => allowance,
        Err(fault) => {
            let why = lines_safe(&fault.to_string());
            say(format!("what is left of the quota is not known: {why}"));
            Allowance::default()
        }
    };
    let account = sending.account()?;
    let now = now();
    let mut left = Vec::new();
    for window in allowance.windows {
        let (Some(renewal), Some(limit)) = (window.renewal, window.limit) else { continue };
        let (words, during) = match renewal {
            Renewal::Daily => ("today", day_of(now)),
            Renewal::Monthly => ("this month", month_of(now)),
        };
        let ours = account.spent(REPUTATION, &during)?.at_most();
        let used = ours.max(window.used.unwrap_or(0)).saturating_add(sending.asking.reserve);
        let n_hashes = if window.is_exceeded { 0 } else { limit.saturating_sub(used) };
        left.push(Left { words, n_hashes, limit, resets_at: during.end });
    }
    Ok(left)
}

fn words_of(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{} s", seconds.max(1)),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
