//! Who used how much of what on which day, and which quota that exhausts.
//!
//! It keeps whole UTC days and adds them up to months when asked, so that a figure cannot depend on when it is asked
//! for. It reads no clock and knows no request.

use crate::{calendar::Date, product::Product};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

/// A number of units that some users may spend on some products together, in a day or a month of UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What it is good for; empty is every product that is charged.
    pub products: Vec<Product>,
    /// The user names that share it; empty is everybody.
    pub users: Vec<String>,
    /// When it starts afresh.
    pub period: Period,
    /// Units in a period.
    pub limit: u64,
}

/// When a quota starts afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// At 00:00 UTC.
    Day,
    /// At 00:00 UTC on the first day of the month.
    Month,
}

/// What an answer costs whom.
#[derive(Clone, Copy)]
pub(crate) struct Bill<'a> {
    pub(crate) account: &'a str,
    pub(crate) product: Product,
    pub(crate) units: u64,
    pub(crate) n_entries: u64,
}

/// The days of all accounts, and the quotas they are held against.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    quotas: Vec<Quota>,
    /// Units by day since 1970.
    spent: BTreeMap<(String, Product), BTreeMap<u64, u64>>,
    /// The period in which a quota, by its number, last refused somebody.
    refused: HashMap<usize, Range<u64>>,
}

/// A quota and whether it has run out.
pub(crate) struct Limit<'a> {
    pub(crate) quota: &'a Quota,
    pub(crate) exceeded: bool,
}

impl Quota {
    /// Whether this user's spending on this product counts against it.
    pub(crate) fn covers(&self, user: &str, product: Product) -> bool {
        self.is_for(user) && self.is_of(product)
    }

    pub(crate) fn is_for(&self, user: &str) -> bool {
        self.users.is_empty() || self.users.iter().any(|known| known == user)
    }

    fn is_of(&self, product: Product) -> bool {
        product.is_charged() && (self.products.is_empty() || self.products.contains(&product))
    }
}

impl Period {
    /// The days of the period that the moment lies in.
    fn around(self, unix_seconds: u64) -> Range<u64> {
        let today = Date::of_moment(unix_seconds);
        match self {
            Period::Day => today.days()..today.days() + 1,
            Period::Month => today.month.days(),
        }
    }
}

impl Meter {
    pub(crate) fn new(quotas: Vec<Quota>) -> Meter {
        Meter { quotas, ..Meter::default() }
    }

    /// Books an answer, or refuses it when a quota has too few units left. With `allow_last` one unit left is
    /// enough, and the quota is overdrawn.
    pub(crate) fn charge(&mut self, bill: Bill<'_>, allow_last: bool, unix_seconds: u64) -> bool {
        let short: Vec<usize> = (0..self.quotas.len())
            .filter(|&number| {
                let quota = &self.quotas[number];
                let left = quota.limit.saturating_sub(self.spent_of(quota, unix_seconds));
                let enough = bill.units <= left || (allow_last && left > 0);
                quota.covers(bill.account, bill.product) && !enough
            })
            .collect();
        for &number in &short {
            self.refused.insert(number, self.quotas[number].period.around(unix_seconds));
        }
        if short.is_empty() {
            let days = self.spent.entry((bill.account.to_owned(), bill.product)).or_default();
            *days.entry(Date::of_moment(unix_seconds).days()).or_default() += bill.units;
        }
        short.is_empty()
    }

    /// Units by product of these users in these days; a product that was not used is left out.
    pub(crate) fn used(&self, users: impl Fn(&str) -> bool, days: Range<u64>) -> BTreeMap<Product, u64> {
        let mut used = BTreeMap::new();
        for ((user, product), spent) in &self.spent {
            let units: u64 = spent.range(days.clone()).map(|(_, units)| units).sum();
            if units > 0 && users(user) {
                *used.entry(*product).or_default() += units;
            }
        }
        used
    }

    /// The quotas of these users. One has run out when nothing is left or when it has refused a request in this
    /// period: whoever asks wants to know whether a 429 was its doing.
    pub(crate) fn limits(&self, users: impl Fn(&Quota) -> bool, unix_seconds: u64) -> Vec<Limit<'_>> {
        let quotas = self.quotas.iter().enumerate().filter(|(_, quota)| users(quota));
        quotas
            .map(|(number, quota)| {
                let spent_all = self.spent_of(quota, unix_seconds) >= quota.limit;
                let has_refused = self.refused.get(&number) == Some(&quota.period.around(unix_seconds));
                Limit { quota, exceeded: spent_all || has_refused }
            })
            .collect()
    }

    /// What each account has ever paid for each product.
    pub(crate) fn totals(&self) -> BTreeMap<String, BTreeMap<Product, u64>> {
        let mut totals: BTreeMap<String, BTreeMap<Product, u64>> = BTreeMap::new();
        for ((user, product), spent) in &self.spent {
            totals.entry(user.clone()).or_default().insert(*product, spent.values().sum());
        }
        totals
    }

    /// Everybody who has ever used anything.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        self.spent.keys().map(|(user, _)| user.as_str())
    }

    fn spent_of(&self, quota: &Quota, unix_seconds: u64) -> u64 {
        let days = quota.period.around(unix_seconds);
        let covered = self.spent.iter().filter(|((user, product), _)| quota.covers(user, *product));
        covered.flat_map(|(_, spent)| spent.range(days.clone())).map(|(_, units)| units).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{DAY, parse_timestamp};

    fn quota(users: &[&str], products: &[Product], period: Period, limit: u64) -> Quota {
        let users = users.iter().map(|&user| user.to_owned()).collect();
        Quota { products: products.to_vec(), users, period, limit }
    }

    fn bill(account: &str, units: u64) -> Bill<'_> {
        Bill { account, product: Product::FileReputation, units, n_entries: units }
    }

    #[test]
    fn a_daily_quota_is_that_of_a_utc_day() {
        let mut meter = Meter::new(vec![quota(&["a"], &[], Period::Day, 10)]);
        let mut check = |units, unix_seconds, expected: bool| {
            assert_eq!(
                meter.charge(bill("a", units), false, unix_seconds),
                expected,
                "{units} at {unix_seconds}"
            );
        };
        check(11, 0, false);
        check(6, 0, true);
        check(5, DAY - 1, false);
        check(4, DAY - 1, true);
        check(1, DAY - 1, false);
        check(0, DAY - 1, true);
        check(10, DAY, true);
        check(1, DAY, false);
        assert_eq!(meter.totals()["a"][&Product::FileReputation], 20);
    }

    #[test]
    fn a_monthly_quota_starts_afresh_on_the_first() {
        let at = |text| parse_timestamp(text).unwrap();
        let mut meter = Meter::new(vec![quota(&["a"], &[], Period::Month, 10)]);
        let mut check = |units, when, expected: bool| {
            assert_eq!(meter.charge(bill("a", units), false, at(when)), expected, "{units} at {when}");
        };
        check(6, "2028-02-01T00:00:00", true);
        check(4, "2028-02-29T23:59:59", true);
        check(1, "2028-02-29T23:59:59", false);
        check(10, "2028-03-01T00:00:00", true);
        check(1, "2028-03-31T23:59:59", false);
        assert_eq!(
            meter.used(|user| user == "a", Date::of_moment(at("2028-02-10T00:00:00")).month.days()),
            [(Product::FileReputation, 10)].into()
        );
    }

    #[test]
    fn sharers_spend_from_one_purse_and_others_do_not() {
        let mut meter = Meter::new(vec![
            quota(&["a", "b"], &[Product::FileReputation], Period::Day, 10),
            quota(&[], &[Product::FileAnalysis], Period::Day, 3),
        ]);
        assert!(meter.charge(bill("a", 7), false, 0));
        assert!(!meter.charge(bill("b", 4), false, 0));
        assert!(meter.charge(bill("c", 400), false, 0));
        let report = |account, units| Bill { product: Product::FileAnalysis, ..bill(account, units) };
        assert!(meter.charge(report("a", 2), false, 0));
        assert!(!meter.charge(report("c", 2), false, 0));
        let usage = Bill { product: Product::CustomerUsage, ..bill("a", 1000) };
        assert!(meter.charge(usage, false, 0));
        let exceeded = |user: &'static str, unix_seconds: u64| -> Vec<bool> {
            meter
                .limits(|quota| quota.is_for(user), unix_seconds)
                .iter()
                .map(|limit| limit.exceeded)
                .collect()
        };
        assert_eq!(
            (exceeded("a", 0), exceeded("c", 0), exceeded("a", DAY)),
            (vec![true, true], vec![true], vec![false, false])
        );
    }

    #[test]
    fn the_last_unit_may_let_a_whole_batch_through() {
        let mut meter = Meter::new(vec![quota(&[], &[], Period::Day, 10)]);
        assert!(meter.charge(bill("a", 9), true, 0));
        assert!(meter.charge(bill("a", 100), true, 0));
        assert!(!meter.charge(bill("a", 1), true, 0));
        assert!(meter.limits(|_| true, 0)[0].exceeded);
    }
}
