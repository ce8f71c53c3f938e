//! `hashsweep quota`: what asking has cost, by our own ledger and by the service's count.

use crate::args::Quota as Args;
use crate::exit::Exit;
use crate::settings::{SIMULATOR, Sending, Service, StoredSending, case_path};
use crate::shell::{day_and_time, json_line, lines_safe, say};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::{Account, Case, CaseError, RunCost, Scope as Attempts, day_of, month_of};
use hashsweep_model::{Quota, Stamp};
use hashsweep_pipeline::now;
use hashsweep_report::safe;
use hashsweep_spectra::{Allowance, Fault, Limit, Period, REPUTATION, Renewal, Scope};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::ops::Range;

/// How many runs are shown.
const RUNS: usize = 20;

pub(crate) fn run(quota: &Args) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&quota.case, quota.sim)?)?;
    // The built-in simulator forgets with the process, so it has neither an account nor a count to compare with.
    // A case that has never been online has no service to ask, unless the user names one.
    let nobody = match case.service()?.as_deref() {
        Some(SIMULATOR) => true,
        Some(_) => false,
        None => quota.api_url.is_none(),
    };
    let sending = if nobody { None } else { Some(sending(quota, &case)) };
    let now = now();
    let account = match &sending {
        Some(Ok(Sending { account: Some(path), .. })) if path.exists() => Some(Account::open(path)?),
        _ => None,
    };
    let ledger = Ledger::of(&case, account.as_ref(), now)?;
    let vendor = match sending {
        Some(sending) if !quota.offline => Some(sending.and_then(vendor)),
        _ => None,
    };
    let told = vendor.as_ref().and_then(|vendor| vendor.as_ref().ok());
    let warnings = told.map_or_else(Vec::new, |vendor| vendor.warnings(&ledger, quota.warn_at));
    let mut out = std::io::stdout().lock();
    if quota.json {
        let mut object = ledger.json(told)?;
        if told.is_some() {
            object["warnings"] = json!(warnings);
        }
        writeln!(out, "{}", json_line(&object.to_string()))?;
    } else {
        ledger.write(told, &mut out)?;
        for warning in &warnings {
            writeln!(out, "warning: {warning}")?;
        }
    }
    match vendor {
        Some(Err(error)) => {
            say(format!("the service's own count is missing: {}", lines_safe(&format!("{error:#}"))));
            Ok(Exit::Incomplete)
        }
        Some(Ok(_)) | None => Ok(Exit::Clean),
    }
}

/// Our own figures.
struct Ledger {
    all: Quota,
    today: Quota,
    month: Quota,
    last_run: Quota,
    products: Vec<(String, Quota)>,
    days: Vec<(Stamp, Quota)>,
    months: Vec<(Stamp, Quota)>,
    runs: Vec<RunCost>,
    account: Option<OfAccount>,
    /// Of file reputation, to be held against the service's count of it: today's and this month's. The account's
    /// where there is one, else this case's.
    reputation: [Quota; 2],
    resets: [Stamp; 2],
}

/// The account's own figures for file reputation: all cases and processes of this machine.
struct OfAccount {
    all: Quota,
    today: Quota,
    month: Quota,
}

/// The service's own figures for file reputation.
struct Vendor {
    today: u64,
    month: u64,
    limits: Vec<Limit>,
    allowance: Allowance,
}

/// Which of the vendor's two descriptions of charging its own count fits (wire reference, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charging {
    /// Every valid hash sent.
    Sent,
    /// What was found.
    Found,
    /// Nothing asked, or nothing unknown: both would count the same.
    Either,
    /// Somebody else asks under this account, or the count lags.
    Neither,
}

impl Charging {
    fn of(ours: Quota, theirs: u64) -> Charging {
        let sent = (ours.charged_max..=ours.at_most()).contains(&theirs);
        let found = (ours.charged_min..=ours.charged_min + ours.in_doubt).contains(&theirs);
        match (sent, found) {
            (true, true) => Charging::Either,
            (true, false) => Charging::Sent,
            (false, true) => Charging::Found,
            (false, false) => Charging::Neither,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Charging::Sent => "sent",
            Charging::Found => "found",
            Charging::Either => "either",
            Charging::Neither => "neither",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Charging::Sent => "the service charges every hash that is sent",
            Charging::Found => "the service charges only what it has found",
            Charging::Either => "the figures fit either way of charging",
            Charging::Neither => {
                "the figures fit no way of charging: somebody else asks under this account, or the count lags"
            }
        }
    }
}

impl Ledger {
    fn of(case: &Case, account: Option<&Account>, now: Stamp) -> anyhow::Result<Ledger> {
        let (day, month) = (day_of(now), month_of(now));
        let between = |of: &Range<Stamp>| Attempts::Between { from: of.start, to: of.end };
        let days = case.quota_by_day()?;
        let mut months: Vec<(Stamp, Quota)> = Vec::new();
        for (day, quota) in &days {
            let first = month_of(*day).start;
            match months.last_mut() {
                Some((month, sum)) if *month == first => *sum += *quota,
                _ => months.push((first, *quota)),
            }
        }
        let account = account
            .map(|account| {
                let ever = Stamp(0)..month.end;
                Ok::<_, CaseError>(OfAccount {
                    all: account.spent(REPUTATION, &ever)?,
                    today: account.spent(REPUTATION, &day)?,
                    month: account.spent(REPUTATION, &month)?,
                })
            })
            .transpose()?;
        let reputation = match &account {
            Some(OfAccount { today, month, .. }) => [*today, *month],
            None => [
                case.quota_of(REPUTATION, day.start, day.end)?,
                case.quota_of(REPUTATION, month.start, month.end)?,
            ],
        };
        Ok(Ledger {
            all: case.quota(Attempts::Case)?,
            today: case.quota(between(&day))?,
            month: case.quota(between(&month))?,
            last_run: case.quota(Attempts::LastRun)?,
            products: case.quota_by_product()?,
            days,
            months,
            runs: case.quota_by_run(RUNS)?,
            account,
            reputation,
            resets: [day.end, month.end],
        })
    }

    fn json(&self, vendor: Option<&Vendor>) -> anyhow::Result<Value> {
        let products: Map<String, Value> =
            self.products.iter().map(|(product, quota)| (product.clone(), in_json(*quota))).collect();
        let of_time = |name: &str, text: String, quota: Quota| {
            let mut object = in_json(quota);
            object[name] = text.into();
            object
        };
        let days: Vec<Value> = self
            .days
            .iter()
            .map(|(at, quota)| Ok(of_time("day", date(*at)?.to_string(), *quota)))
            .collect::<anyhow::Result<_>>()?;
        let months: Vec<Value> = self
            .months
            .iter()
            .map(|(at, quota)| Ok(of_time("month", date(*at)?.strftime("%Y-%m").to_string(), *quota)))
            .collect::<anyhow::Result<_>>()?;
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                let mut object = of_time("started_at", utc(run.started_at)?, run.quota);
                object["run"] = run.run.into();
                object["sweep"] = run.sweep.0.into();
                Ok(object)
            })
            .collect::<anyhow::Result<_>>()?;
        let mut object = json!({
            "ledger": in_json(self.all),
            "today": in_json(self.today),
            "month": in_json(self.month),
            "last_run": in_json(self.last_run),
            "products": products,
            "days": days,
            "months": months,
            "runs": runs,
            "resets": { "day": utc(self.resets[0])?, "month": utc(self.resets[1])? },
        });
        if let Some(OfAccount { all, today, month }) = &self.account {
            let mut account = in_json(*all);
            account["today"] = in_json(*today);
            account["month"] = in_json(*month);
            object["account"] = account;
        }
        if let Some(Vendor { today, month, limits, .. }) = vendor {
            object["vendor"] = json!({ "today": today, "month": month });
            object["limits"] = limits.iter().map(limit_in_json).collect();
            // Above zero: somebody else asks under this account, or the service counts more.
            object["drift"] = json!({
                "today": signed(*today) - signed(self.reputation[0].at_most()),
                "month": signed(*month) - signed(self.reputation[1].at_most()),
            });
            object["charging"] = Charging::of(self.reputation[1], *month).word().into();
        }
        Ok(object)
    }

    fn write(&self, vendor: Option<&Vendor>, out: &mut impl Write) -> anyhow::Result<()> {
        writeln!(out, "{:<24}{:>16}{:>16}{:>16}", "", "charged at most", "at least", "in doubt")?;
        let mut line = |words: &str, Quota { charged_max, charged_min, in_doubt }: Quota| {
            writeln!(out, "{words:<24}{charged_max:>16}{charged_min:>16}{in_doubt:>16}")
        };
        line("whole case", self.all)?;
        line("  today (UTC)", self.today)?;
        line("  this month (UTC)", self.month)?;
        line("  last run", self.last_run)?;
        for (product, quota) in &self.products {
            line(&format!("  {product}"), *quota)?;
        }
        if let Some(OfAccount { all, today, month }) = &self.account {
            line("account, all cases", *all)?;
            line("  today (UTC)", *today)?;
            line("  this month (UTC)", *month)?;
        }
        for (day, quota) in self.days.iter().rev().take(7).rev() {
            line(&date(*day)?.to_string(), *quota)?;
        }
        for (month, quota) in &self.months {
            line(&date(*month)?.strftime("%Y-%m").to_string(), *quota)?;
        }
        let [day, month] = self.resets;
        writeln!(out, "a new day begins at {}, a new month at {}", day_and_time(day), day_and_time(month))?;
        let Some(Vendor { today: of_day, month: of_month, limits, .. }) = vendor else { return Ok(()) };
        let whose = if self.account.is_some() { "this account's ledger" } else { "this case" };
        let [ours_today, ours_month] = self.reputation.map(|quota| quota.at_most());
        writeln!(out, "{REPUTATION} today: the service counts {of_day}, {whose} at most {ours_today}")?;
        writeln!(
            out,
            "{REPUTATION} this month: the service counts {of_month}, {whose} at most {ours_month}"
        )?;
        writeln!(out, "{}", Charging::of(self.reputation[1], *of_month).sentence())?;
        for limit in limits {
            let kind = safe::terminal(limit.limit_type.as_deref().unwrap_or("limit").as_bytes());
            let most = limit.limit.map_or_else(|| "?".to_owned(), |n| n.to_string());
            let state = if limit.is_exceeded == Some(true) { "used up" } else { "open" };
            writeln!(out, "limit {kind}: {most}, {state}")?;
        }
        Ok(())
    }
}

impl Vendor {
    /// A sentence for each limit of which this part is used, by the larger of the service's count and ours.
    fn warnings(&self, ledger: &Ledger, percent: u8) -> Vec<String> {
        let mut warnings = Vec::new();
        for window in &self.allowance.windows {
            let (words, ours) = match window.renewal {
                Some(Renewal::Daily) => ("today's", ledger.reputation[0]),
                Some(Renewal::Monthly) => ("this month's", ledger.reputation[1]),
                None => continue,
            };
            let Some(limit) = window.limit else { continue };
            let used = ours.at_most().max(window.used.unwrap_or(0));
            if window.is_exceeded || used.saturating_mul(100) >= limit.saturating_mul(percent.into()) {
                warnings.push(format!("{used} of {words} {limit} are used"));
            }
        }
        warnings
    }
}

/// How the service would be asked.
fn sending(quota: &Args, case: &Case) -> anyhow::Result<Sending> {
    let stored = match case.sweep(None) {
        Ok(sweep) => Stored::parse(&sweep.settings)?.sending,
        Err(_) => StoredSending::default(),
    };
    let typed = crate::args::Sending {
        api_url: quota.api_url.clone(),
        ca_cert: quota.ca_cert.clone(),
        proxy: quota.proxy.clone(),
        credentials: quota.credentials.clone(),
        ..crate::args::Sending::default()
    };
    Sending::resolve(&typed, &stored)
}

/// Asks the service for its count.
fn vendor(sending: Sending) -> anyhow::Result<Vendor> {
    let Service::Remote(client) = sending.service else {
        bail!("there is no service to ask");
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let told: Result<Vendor, Fault> = runtime.block_on(async {
        let today = client.usage(Period::Today, Scope::Own).await?.n_queries(REPUTATION);
        let month = client.usage(Period::ThisMonth, Scope::Own).await?.n_queries(REPUTATION);
        let mut limits = client.limits(Scope::Own).await?;
        limits.retain(|limit| limit.covers(REPUTATION));
        let allowance = Allowance::of(&limits, today, month);
        Ok(Vendor { today, month, limits, allowance })
    });
    told.map_err(|fault| anyhow::Error::msg(fault.to_string()))
}

fn in_json(quota: Quota) -> Value {
    let Quota { charged_max, charged_min, in_doubt } = quota;
    json!({ "charged_max": charged_max, "charged_min": charged_min, "in_doubt": in_doubt })
}

fn limit_in_json(limit: &Limit) -> Value {
    json!({
        "limit_type": limit.limit_type,
        "limit": limit.limit,
        "exceeded": limit.is_exceeded,
        "products": limit.products,
        "users": limit.users,
    })
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The day of UTC, as the service counts days (vendor, "Limits and quotas").
fn date(at: Stamp) -> anyhow::Result<Date> {
    let at = Timestamp::from_millisecond(at.0).context("read the clock")?;
    Ok(at.to_zoned(TimeZone::UTC).date())
}

fn utc(at: Stamp) -> anyhow::Result<String> {
    Ok(Timestamp::from_millisecond(at.0).context("read the clock")?.to_string())
}
