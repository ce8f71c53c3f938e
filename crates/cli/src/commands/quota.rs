//! `hashsweep quota`: what asking has cost, by our own ledger and by the service's count.

use crate::args::Quota as Args;
use crate::exit::Exit;
use crate::settings::{SIMULATOR, Sending, Service, StoredSending, case_path};
use crate::shell::{json_line, lines_safe, say};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::Case;
use hashsweep_case::Scope as Attempts;
use hashsweep_model::{Quota, Stamp};
use hashsweep_pipeline::now;
use hashsweep_report::safe;
use hashsweep_spectra::{Fault, Limit, Period, Scope};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use std::io::Write;

/// What a sweep's questions are charged to.
const PRODUCT: &str = "TCA-0101";

pub(crate) fn run(quota: &Args) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&quota.case, quota.sim)?)?;
    let ledger = Ledger::of(&case, utc_date(now())?)?;
    // The built-in simulator forgets with the process, so it has no count to compare with.
    // A case that has never been online has no service to ask, unless the user names one.
    let nobody = match case.service()?.as_deref() {
        Some(SIMULATOR) => true,
        Some(_) => false,
        None => quota.api_url.is_none(),
    };
    let vendor = if quota.offline || nobody { None } else { Some(vendor(quota, &case)) };
    let told = vendor.as_ref().and_then(|vendor| vendor.as_ref().ok());
    let mut out = std::io::stdout().lock();
    if quota.json {
        writeln!(out, "{}", json_line(&ledger.json(told).to_string()))?;
    } else {
        ledger.write(told, &mut out)?;
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
    /// Of file reputation alone, to be held against the service's count of it: today's and this month's.
    reputation: [Quota; 2],
}

/// The service's own figures for file reputation.
struct Vendor {
    today: u64,
    month: u64,
    limits: Vec<Limit>,
}

impl Ledger {
    fn of(case: &Case, today: Date) -> anyhow::Result<Ledger> {
        let first = today.first_of_month();
        let day = (stamp(today)?, stamp(today.checked_add(1.day())?)?);
        let month = (stamp(first)?, stamp(first.checked_add(1.month())?)?);
        let between = |(from, to)| Attempts::Between { from, to };
        Ok(Ledger {
            all: case.quota(Attempts::Case)?,
            today: case.quota(between(day))?,
            month: case.quota(between(month))?,
            reputation: [case.quota_of(PRODUCT, day.0, day.1)?, case.quota_of(PRODUCT, month.0, month.1)?],
            last_run: case.quota(Attempts::LastRun)?,
            products: case.quota_by_product()?,
        })
    }

    fn json(&self, vendor: Option<&Vendor>) -> Value {
        let products: Map<String, Value> =
            self.products.iter().map(|(product, quota)| (product.clone(), in_json(*quota))).collect();
        let mut object = json!({
            "ledger": in_json(self.all),
            "today": in_json(self.today),
            "month": in_json(self.month),
            "last_run": in_json(self.last_run),
            "products": products,
        });
        if let Some(Vendor { today, month, limits }) = vendor {
            object["vendor"] = json!({ "today": today, "month": month });
            object["limits"] = limits.iter().map(limit_in_json).collect();
            // Above zero: somebody else asks under this account (another case, too), or the service counts more.
            object["drift"] = json!({
                "today": signed(*today) - signed(self.reputation[0].at_most()),
                "month": signed(*month) - signed(self.reputation[1].at_most()),
            });
        }
        object
    }

    fn write(&self, vendor: Option<&Vendor>, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "{:<18}{:>16}{:>16}{:>16}", "", "charged at most", "at least", "in doubt")?;
        let mut line = |words: &str, Quota { charged_max, charged_min, in_doubt }: Quota| {
            writeln!(out, "{words:<18}{charged_max:>16}{charged_min:>16}{in_doubt:>16}")
        };
        line("whole case", self.all)?;
        line("today (UTC)", self.today)?;
        line("this month (UTC)", self.month)?;
        line("last run", self.last_run)?;
        for (product, quota) in &self.products {
            line(product, *quota)?;
        }
        let Some(Vendor { today, month, limits }) = vendor else { return Ok(()) };
        let [ours_today, ours_month] = self.reputation.map(|quota| quota.at_most());
        writeln!(out, "{PRODUCT} today: the service counts {today}, this case at most {ours_today}")?;
        writeln!(out, "{PRODUCT} this month: the service counts {month}, this case at most {ours_month}")?;
        for limit in limits {
            let kind = safe::terminal(limit.limit_type.as_deref().unwrap_or("limit").as_bytes());
            let most = limit.limit.map_or_else(|| "?".to_owned(), |n| n.to_string());
            let state = if limit.is_exceeded == Some(true) { "used up" } else { "open" };
            writeln!(out, "limit {kind}: {most}, {state}")?;
        }
        Ok(())
    }
}

/// Asks the service for its count.
fn vendor(quota: &Args, case: &Case) -> anyhow::Result<Vendor> {
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
    let Service::Remote(client) = Sending::resolve(&typed, &stored)?.service else {
        bail!("there is no service to ask");
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let told: Result<Vendor, Fault> = runtime.block_on(async {
        let today = client.usage(Period::Today, Scope::Own).await?.n_queries(PRODUCT);
        let month = client.usage(Period::ThisMonth, Scope::Own).await?.n_queries(PRODUCT);
        let mut limits = client.limits(Scope::Own).await?;
        limits.retain(|limit| limit.covers(PRODUCT));
        Ok(Vendor { today, month, limits })
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

/// The service's days and months turn at 00:00 UTC (vendor, "Limits and quotas").
fn utc_date(at: Stamp) -> anyhow::Result<Date> {
    let at = Timestamp::from_millisecond(at.0).context("read the clock")?;
    Ok(at.to_zoned(TimeZone::UTC).date())
}

fn stamp(date: Date) -> anyhow::Result<Stamp> {
    Ok(Stamp(date.to_zoned(TimeZone::UTC)?.timestamp().as_millisecond()))
}
