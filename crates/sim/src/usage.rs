//! Customer usage, TCA-9999: what an account or its company used, and which limits apply.
//!
//! The figures are those of the simulator's own meter; nothing is kept here. Answers are JSON, as the newer of the
//! vendor's two pages says, unless XML is asked for.

use crate::{
    World,
    calendar::{Date, Month},
    door::USAGE,
    exchange::{Format, Request, Response},
    finding::{Answer, Finding},
    product::Product,
    quota::{Limit, Meter, Period, Quota},
    refusal::Refusal,
    tree::Tree,
};
use std::collections::{BTreeMap, BTreeSet};

/// The vendor's ceiling on days in one request.
const MAX_DAYS: u64 = 365;
/// Ten years. A guess: nothing says how many months may be asked for.
const MAX_MONTHS: usize = 120;

/// A request for figures that can be answered.
#[derive(Debug)]
pub(crate) struct Ask {
    subject: Subject,
    whole_company: bool,
    format: Format,
}

#[derive(Debug)]
enum Subject {
    /// One day; today when none is named.
    Day(Option<Date>),
    Days(Date, Date),
    Month(Option<Month>),
    Months(Month, Month),
    /// What is not limited by day or month. There are no such products here.
    DateRange,
    Limits,
}

impl Ask {
    pub(crate) fn read(request: &Request) -> Result<Ask, Refusal> {
        let rest = request.path.strip_prefix(USAGE).unwrap_or_default();
        let (page, whole_company) = match rest.split('/').collect::<Vec<_>>()[..] {
            ["usage", page] => (page, false),
            ["usage", "company", page] => (page, true),
            ["limits"] => ("limits", false),
            ["limits", "company"] => ("limits", true),
            _ => return Err(Refusal::NotFound),
        };
        let format = match request.parameter("format").as_deref() {
            None | Some("json") => Format::Json,
            Some("xml") => Format::Xml,
            Some(_) => return Err(Refusal::BadRequest("the format is neither json nor xml")),
        };
        let subject = match page {
            "daily" => match span(request, "date", Date::parse)? {
                Span::One(day) => Subject::Day(day),
                Span::Many(from, to) if to.days() - from.days() < MAX_DAYS => Subject::Days(from, to),
                Span::Many(..) => return Err(Refusal::BadRequest("more than 365 days are asked for")),
            },
            "monthly" => match span(request, "month", Month::parse)? {
                Span::One(month) => Subject::Month(month),
                Span::Many(from, to) if months(from, to).nth(MAX_MONTHS).is_none() => {
                    Subject::Months(from, to)
                }
                Span::Many(..) => return Err(Refusal::BadRequest("more than 120 months are asked for")),
            },
            "date_range" => Subject::DateRange,
            "limits" => Subject::Limits,
            _ => return Err(Refusal::NotFound),
        };
        Ok(Ask { subject, whole_company, format })
    }

    /// The request counts as used, but not in its own answer.
    pub(crate) fn answer(&self, world: &World, meter: &Meter, account: &str, unix_seconds: u64) -> Finding {
        let today = Date::of_moment(unix_seconds);
        let is_mine = |user: &str| {
            user == account
                || (self.whole_company && company(user).is_some_and(|name| company(account) == Some(name)))
        };
        let day = |date: Date| {
            let used = meter.used(is_mine, date.days()..date.days() + 1);
            Tree::record([("date", date.to_string().into()), ("usage_report", report(&used))])
        };
        let month = |month: Month| {
            let used = meter.used(is_mine, month.days());
            Tree::record([("month", month.to_string().into()), ("usage_report", report(&used))])
        };
        let reports = |list: Vec<Tree>| Tree::record([("usage_reports", Tree::List(list))]);
        let rl = match self.subject {
            Subject::Day(date) => day(date.unwrap_or(today)),
            Subject::Days(from, to) => {
                reports((from.days()..=to.days()).map(Date::of_day).map(day).collect())
            }
            Subject::Month(asked) => month(asked.unwrap_or(today.month)),
            Subject::Months(from, to) => reports(months(from, to).map(month).collect()),
            Subject::DateRange => Tree::record([("usage_report", report(&BTreeMap::new()))]),
            Subject::Limits => {
                let everybody: BTreeSet<&str> = world
                    .accounts
                    .iter()
                    .map(|account| account.username.as_str())
                    .chain(meter.users())
                    .chain([account])
                    .collect();
                let mine: Vec<&str> = everybody.into_iter().filter(|user| is_mine(user)).collect();
                let limits = meter.limits(|quota| mine.iter().any(|user| quota.is_for(user)), unix_seconds);
                let limits = limits.iter().map(|it| limit(it, &mine)).collect();
                Tree::record([("limits", Tree::List(limits))])
            }
        };
        let response = Response::of_tree(self.format, &Tree::record([("rl", rl)]));
        Finding { units: 1, answer: Answer::Whole(response) }
    }
}

enum Span<T> {
    One(Option<T>),
    Many(T, T),
}

fn span<T: Ord>(request: &Request, one: &str, parse: fn(&str) -> Option<T>) -> Result<Span<T>, Refusal> {
    let read = |name: &str| match request.parameter(name) {
        None => Ok(None),
        Some(text) => parse(&text)
            .map(Some)
            .ok_or(Refusal::BadRequest("a date is not of the form YYYY-MM-DD or YYYY-MM")),
    };
    match (read(one)?, read("from")?, read("to")?) {
        (one, None, None) => Ok(Span::One(one)),
        (None, Some(from), Some(to)) if from <= to => Ok(Span::Many(from, to)),
        (None, Some(_), Some(_)) => Err(Refusal::BadRequest("from is later than to")),
        (None, _, _) => Err(Refusal::BadRequest("from and to go together")),
        (Some(_), _, _) => Err(Refusal::BadRequest("one date and a range exclude one another")),
    }
}

fn months(from: Month, to: Month) -> impl Iterator<Item = Month> {
    std::iter::successors(Some(from), |month| Some(month.next())).take_while(move |month| *month <= to)
}

/// `company` in `u/company/name`.
fn company(username: &str) -> Option<&str> {
    match username.split('/').collect::<Vec<_>>()[..] {
        ["u", company, _] => Some(company),
        _ => None,
    }
}

fn report(used: &BTreeMap<Product, u64>) -> Tree {
    let line = |(product, units): (&Product, &u64)| {
        Tree::record([("product", product.title().into()), ("number_of_queries", (*units).into())])
    };
    Tree::List(used.iter().map(line).collect())
}

/// Nothing says how the vendor names the two types. A quota for everybody lists those of its users whom the asker may
/// know of.
fn limit(limit: &Limit<'_>, mine: &[&str]) -> Tree {
    let Quota { products, users, period, limit: units } = limit.quota;
    let limit_type = match period {
        Period::Day => "daily",
        Period::Month => "monthly",
    };
    let products: Vec<&str> = match products.as_slice() {
        [] => Product::ALL.iter().filter(|product| product.is_charged()).map(|it| it.title()).collect(),
        some => some.iter().map(|product| product.title()).collect(),
    };
    let users: Vec<&str> = match users.as_slice() {
        [] => mine.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    Tree::record([
        ("limit_type", limit_type.into()),
        ("limit", (*units).into()),
        ("limit_exceeded", limit.exceeded.into()),
        ("products", products.into()),
        ("users", users.into()),
    ])
}
