//! What an account may still ask of file reputation: its limits beside its use, in one look.
//!
//! The vendor documents the fields of a limit but not the words of its kind, so a kind is recognised by its stem and
//! one that is not recognised still tells whether it is used up.

use crate::usage::{Limit, Period, Scope};
use crate::{Client, Fault};

/// What file reputation is charged to (vendor, TCA-0101).
pub const REPUTATION: &str = "TCA-0101";

/// How often a limit begins anew, both at 00:00 UTC (vendor, "Limits and quotas").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Renewal {
    /// Every day.
    Daily,
    /// On the first of every month.
    Monthly,
}

/// One limit of file reputation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `None` for one of a kind that is not recognised.
    pub renewal: Option<Renewal>,
    /// Hashes in a window, where the service says so.
    pub limit: Option<u64>,
    /// Hashes that the service has counted in the running window, where it says so. It lags by an unknown time.
    pub used: Option<u64>,
    /// Whether the service says that it is used up.
    pub is_exceeded: bool,
}

/// All limits of file reputation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// In the service's order.
    pub windows: Vec<Window>,
}

impl Allowance {
    /// The window that is used up, the longest if several are.
    pub fn exceeded(&self) -> Option<Window> {
        let exceeded = self.windows.iter().filter(|window| window.is_exceeded);
        exceeded.max_by_key(|window| window.renewal).copied()
    }

    /// Puts limits beside what has been used today and in this month of UTC, in hashes.
    pub fn of(limits: &[Limit], today: impl Into<Option<u64>>, month: impl Into<Option<u64>>) -> Allowance {
        let (today, month) = (today.into(), month.into());
        let windows = limits.iter().filter(|limit| limit.covers(REPUTATION)).map(|limit| {
            let renewal = limit.limit_type.as_deref().and_then(renewal);
            let used = match renewal {
                Some(Renewal::Daily) => today,
                Some(Renewal::Monthly) => month,
                None => None,
            };
            Window { renewal, limit: limit.limit, used, is_exceeded: limit.is_exceeded == Some(true) }
        });
        Allowance { windows: windows.collect() }
    }
}

/// `day`, `daily`, `DAILY_QUOTA`; `month`, `monthly`. The words are not documented (wire reference, section 4).
fn renewal(word: &str) -> Option<Renewal> {
    let word = word.to_ascii_lowercase();
    if word.contains("month") {
        Some(Renewal::Monthly)
    } else if word.contains("day") || word.contains("dai") {
        Some(Renewal::Daily)
    } else {
        None
    }
}

impl Client {
    /// Asks for the limits, and where there are any for what has been used of them: up to three requests, none of
    /// them charged to file reputation. A use that the service does not tell is absent.
    pub async fn allowance(&self) -> Result<Allowance, Fault> {
        let limits = self.limits(Scope::Own).await?;
        let has = |wanted| {
            limits.iter().any(|limit| {
                limit.covers(REPUTATION) && limit.limit_type.as_deref().and_then(renewal) == Some(wanted)
            })
        };
        let today = if has(Renewal::Daily) { self.used(Period::Today).await } else { None };
        let month = if has(Renewal::Monthly) { self.used(Period::ThisMonth).await } else { None };
        Ok(Allowance::of(&limits, today, month))
    }

    async fn used(&self, period: Period) -> Option<u64> {
        Some(self.usage(period, Scope::Own).await.ok()?.n_queries(REPUTATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(kind: &str, product: &str, is_exceeded: bool) -> Limit {
        Limit {
            limit_type: Some(kind.to_owned()),
            limit: Some(1000),
            is_exceeded: Some(is_exceeded),
            products: vec![product.to_owned()],
            ..Limit::default()
        }
    }

    #[test]
    fn each_limit_stands_beside_the_use_of_its_own_window() {
        let limits = [
            limit("daily", "TCA-0101 File Reputation", false),
            limit("MONTHLY_QUOTA", "TCA-0101", true),
            limit("contract", "TCA-0101", false),
            limit("daily", "TCA-0104", true),
        ];
        let allowance = Allowance::of(&limits, 7, 900);
        let seen: Vec<_> = allowance.windows.iter().map(|w| (w.renewal, w.used, w.is_exceeded)).collect();
        assert_eq!(
            seen,
            [
                (Some(Renewal::Daily), Some(7), false),
                (Some(Renewal::Monthly), Some(900), true),
                (None, None, false),
            ]
        );
        assert_eq!(allowance.exceeded().unwrap().renewal, Some(Renewal::Monthly));
    }

    #[test]
    fn of_two_that_are_used_up_the_longer_decides() {
        let limits = [limit("month", "TCA-0101", true), limit("day", "TCA-0101", true)];
        let exceeded = Allowance::of(&limits, None, None).exceeded().unwrap();
        assert_eq!((exceeded.renewal, exceeded.used), (Some(Renewal::Monthly), None));
    }
}
