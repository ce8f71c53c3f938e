//! `hashsweep quota`: what asking has cost, by our own ledger.

use crate::args::Quota as Args;
use crate::exit::Exit;
use crate::settings::case_path;
use crate::shell::say;
use anyhow::Context;
use hashsweep_case::{Case, Scope};
use hashsweep_model::{Quota, Stamp};
use hashsweep_pipeline::now;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use std::io::Write;

pub(crate) fn run(quota: &Args) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&quota.case, quota.sim)?)?;
    let today = utc_date(now())?;
    let figures = [
        ("ledger", "whole case", case.quota(Scope::Case)?),
        ("today", "today (UTC)", case.quota(between(today, today.checked_add(1.day())?)?)?),
        (
            "month",
            "this month (UTC)",
            case.quota(between(today.first_of_month(), today.first_of_month().checked_add(1.month())?)?)?,
        ),
        ("last_run", "last run", case.quota(Scope::LastRun)?),
    ];
    let mut out = std::io::stdout().lock();
    if quota.json {
        let object: serde_json::Map<String, Value> =
            figures.iter().map(|(key, _, quota)| ((*key).to_owned(), in_json(*quota))).collect();
        writeln!(out, "{}", Value::Object(object))?;
    } else {
        writeln!(out, "{:<18}{:>16}{:>16}{:>16}", "", "charged at most", "at least", "in doubt")?;
        for (_, words, Quota { charged_max, charged_min, in_doubt }) in figures {
            writeln!(out, "{words:<18}{charged_max:>16}{charged_min:>16}{in_doubt:>16}")?;
        }
    }
    if !quota.offline {
        say(
            "this is our own ledger; this version does not ask the service for its count (--offline says so too)",
        );
    }
    Ok(Exit::Clean)
}

fn in_json(quota: Quota) -> Value {
    let Quota { charged_max, charged_min, in_doubt } = quota;
    json!({ "charged_max": charged_max, "charged_min": charged_min, "in_doubt": in_doubt })
}

/// The service's days and months turn at 00:00 UTC (vendor, "Limits and quotas").
fn utc_date(at: Stamp) -> anyhow::Result<Date> {
    let at = Timestamp::from_millisecond(at.0).context("read the clock")?;
    Ok(at.to_zoned(TimeZone::UTC).date())
}

fn between(from: Date, to: Date) -> anyhow::Result<Scope> {
    let stamp = |date: Date| {
        Ok::<_, anyhow::Error>(Stamp(date.to_zoned(TimeZone::UTC)?.timestamp().as_millisecond()))
    };
    Ok(Scope::Between { from: stamp(from)?, to: stamp(to)? })
}
