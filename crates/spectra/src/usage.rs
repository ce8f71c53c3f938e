//! What an account has used and may use (TCA-9999, "Customer usage").
//!
//! All that is optional in the vendor's pages is optional here, and products are named by a code that may have a
//! name behind it. The figures lag behind by an unknown time, so they are no gate for single requests.

use crate::wire::{List, Number, Object, Text, shortened, without_mark};
use serde::de::DeserializeOwned;
use std::fmt;
use std::str::FromStr;

/// A day of the calendar as the service writes it, `2026-02-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    month: Month,
    day: u8,
}

/// A month of the calendar as the service writes it, `2026-02`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: u16,
    month: u8,
}

/// Which figures are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The current day, UTC.
    Today,
    /// One day.
    Day(Date),
    /// Each day from the first to the second, at most 365.
    Days(Date, Date),
    /// The current month, UTC.
    ThisMonth,
    /// One month.
    Month(Month),
    /// Each month from the first to the second.
    Months(Month, Month),
    /// The whole run of those quotas that reset neither daily nor monthly.
    Contract,
}

/// Whose figures are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The account that asks.
    Own,
    /// Its whole company.
    Company,
}

/// What has been used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// One for each day or month that was asked about and in which something was used.
    pub reports: Vec<UsageReport>,
}

/// What has been used in one day or month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// The day, for figures by day.
    pub date: Option<String>,
    /// The month, for figures by month.
    pub month: Option<String>,
    /// What has not been used is left out.
    pub products: Vec<ProductUse>,
}

/// What has been used of one product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductUse {
    /// A code, sometimes with its name: `TCA-0101 File Reputation`.
    pub product: Option<String>,
    /// Requests; for bulk services presumably the hashes in them.
    pub n_queries: Option<u64>,
    /// For products that are counted by volume.
    pub used_bytes: Option<u64>,
}

/// One limit, shared by its products and users. A product may stand in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The service's own word; its values are not documented.
    pub limit_type: Option<String>,
    /// How many queries.
    pub limit: Option<u64>,
    /// Whether it is used up, which tells an exhausted quota from other refusals.
    pub is_exceeded: Option<bool>,
    /// Codes, sometimes with their names.
    pub products: Vec<String>,
    /// Accounts, `u/company/name`.
    pub users: Vec<String>,
    /// For limits that are not a number of queries.
    pub limit_size: Option<Amount>,
    /// First day of a quota that resets neither daily nor monthly.
    pub start_date: Option<String>,
    /// Its last day.
    pub end_date: Option<String>,
}

/// A limit with a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many of the unit.
    pub value: Option<u64>,
    /// The service's own word.
    pub unit: Option<String>,
}

impl Usage {
    /// Queries of a product over all reports, by its code (`TCA-0101`). What is left out was not used.
    pub fn n_queries(&self, code: &str) -> u64 {
        let products = self.reports.iter().flat_map(|report| &report.products);
        products
            .filter(|used| used.product.as_deref().is_some_and(|product| is_of(product, code)))
            .filter_map(|used| used.n_queries)
            .fold(0, u64::saturating_add)
    }
}

impl Limit {
    /// Whether it limits the product of this code (`TCA-0101`).
    pub fn covers(&self, code: &str) -> bool {
        self.products.iter().any(|product| is_of(product, code))
    }
}

/// `TCA-0101` and `TCA-0101 File Reputation` are of `TCA-0101`; `TCA-01012` is not.
fn is_of(product: &str, code: &str) -> bool {
    let product = product.trim();
    match (product.get(..code.len()), product.get(code.len()..)) {
        (Some(start), Some(rest)) => {
            start.eq_ignore_ascii_case(code) && !rest.starts_with(|c: char| c.is_alphanumeric())
        }
        _ => false,
    }
}

impl Month {
    /// A month from 1 to 12 of a year of four digits.
    pub fn new(year: u16, month: u8) -> Option<Month> {
        ((1000..=9999).contains(&year) && (1..=12).contains(&month)).then_some(Month { year, month })
    }

    fn n_days(self) -> u8 {
        let Month { year, month } = self;
        match month {
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl Date {
    /// A day that the month has.
    pub fn new(month: Month, day: u8) -> Option<Date> {
        (1..=month.n_days()).contains(&day).then_some(Date { month, day })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.month, self.day)
    }
}

/// A text that is no date or month of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not written as YYYY-MM-DD or YYYY-MM, or is not in the calendar")]
pub struct NotADate(pub String);

impl FromStr for Month {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Month, NotADate> {
        let parsed = || {
            let (year, month) = text.split_once('-')?;
            Month::new(digits(year, 4)?, u8::try_from(digits(month, 2)?).ok()?)
        };
        parsed().ok_or_else(|| NotADate(text.to_owned()))
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Date, NotADate> {
        let parsed = || {
            let (month, day) = text.rsplit_once('-')?;
            Date::new(month.parse().ok()?, u8::try_from(digits(day, 2)?).ok()?)
        };
        parsed().ok_or_else(|| NotADate(text.to_owned()))
    }
}

fn digits(text: &str, n: usize) -> Option<u16> {
    (text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The older of the vendor's two pages names XML as the default, so the format is always asked for.
pub(crate) fn usage_path(period: Period, scope: Scope) -> String {
    let company = match scope {
        Scope::Own => "",
        Scope::Company => "company/",
    };
    let (what, span) = match period {
        Period::Today => ("daily", String::new()),
        Period::Day(date) => ("daily", format!("&date={date}")),
        Period::Days(from, to) => ("daily", format!("&from={from}&to={to}")),
        Period::ThisMonth => ("monthly", String::new()),
        Period::Month(month) => ("monthly", format!("&month={month}")),
        Period::Months(from, to) => ("monthly", format!("&from={from}&to={to}")),
        Period::Contract => ("date_range", String::new()),
    };
    format!("api/customer_usage/v1/usage/{company}{what}?format=json{span}")
}

pub(crate) fn limits_path(scope: Scope) -> &'static str {
    match scope {
        Scope::Own => "api/customer_usage/v1/limits?format=json",
        Scope::Company => "api/customer_usage/v1/limits/company?format=json",
    }
}

#[derive(serde::Deserialize)]
struct Envelope<T> {
    rl: Option<Object<T>>,
}

#[derive(serde::Deserialize)]
struct RawUsage {
    /// Of a span, one report for each part of it.
    usage_reports: Option<List<Object<RawReport>>>,
    #[serde(flatten)]
    one: RawReport,
}

#[derive(serde::Deserialize)]
struct RawReport {
    #[serde(default)]
    date: Text,
    #[serde(default)]
    month: Text,
    usage_report: Option<List<Object<RawProduct>>>,
}

#[derive(serde::Deserialize)]
struct RawProduct {
    #[serde(default)]
    product: Text,
    #[serde(default)]
    number_of_queries: Number,
    #[serde(default)]
    used_bytes: Number,
}

#[derive(serde::Deserialize)]
struct RawLimits {
    limits: Option<List<Object<RawLimit>>>,
}

#[derive(serde::Deserialize)]
struct RawLimit {
    #[serde(default)]
    limit_type: Text,
    #[serde(default)]
    limit: Number,
    limit_exceeded: Option<bool>,
    products: Option<List<Text>>,
    users: Option<List<Text>>,
    limit_size: Option<Object<RawSize>>,
    #[serde(default)]
    start_date: Text,
    #[serde(default)]
    end_date: Text,
}

#[derive(serde::Deserialize)]
struct RawSize {
    #[serde(default)]
    value: Number,
    #[serde(default)]
    unit: Text,
}

pub(crate) fn read_usage(body: &[u8]) -> Result<Usage, String> {
    let RawUsage { usage_reports, one } = inside(body)?;
    let reports = match (usage_reports, one.usage_report.is_some()) {
        (Some(List(reports)), _) => reports,
        (None, true) => vec![Object(one)],
        (None, false) => return Err("it has no 'rl.usage_report' list".to_owned()),
    };
    Ok(Usage { reports: reports.into_iter().map(|Object(raw)| raw.into()).collect() })
}

pub(crate) fn read_limits(body: &[u8]) -> Result<Vec<Limit>, String> {
    let RawLimits { limits } = inside(body)?;
    let List(limits) = limits.ok_or("it has no 'rl.limits' list")?;
    Ok(limits.into_iter().map(|Object(raw)| raw.into()).collect())
}

fn inside<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(without_mark(body)).map_err(|e| e.to_string())?;
    let Object(envelope): Object<Envelope<T>> =
        serde_json::from_str(text).map_err(|e| shortened(&e.to_string()))?;
    let Object(inside) = envelope.rl.ok_or("it has no 'rl' object")?;
    Ok(inside)
}

impl From<RawReport> for UsageReport {
    fn from(raw: RawReport) -> UsageReport {
        let products = raw.usage_report.map(|list| list.0).unwrap_or_default().into_iter();
        UsageReport {
            date: raw.date.0,
            month: raw.month.0,
            products: products
                .map(|Object(raw)| ProductUse {
                    product: raw.product.0,
                    n_queries: count(raw.number_of_queries),
                    used_bytes: count(raw.used_bytes),
                })
                .collect(),
        }
    }
}

impl From<RawLimit> for Limit {
    fn from(raw: RawLimit) -> Limit {
        let texts = |list: Option<List<Text>>| -> Vec<String> {
            list.map(|list| list.0).unwrap_or_default().into_iter().filter_map(|text| text.0).collect()
        };
        Limit {
            limit_type: raw.limit_type.0,
            limit: count(raw.limit),
            is_exceeded: raw.limit_exceeded,
            products: texts(raw.products),
            users: texts(raw.users),
            limit_size: raw
                .limit_size
                .map(|Object(size)| Amount { value: count(size.value), unit: size.unit.0 }),
            start_date: raw.start_date.0,
            end_date: raw.end_date.0,
        }
    }
}

fn count(number: Number) -> Option<u64> {
    u64::try_from(number.0?).ok()
}
