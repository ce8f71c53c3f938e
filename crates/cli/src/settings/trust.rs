//! Which earlier answers a run makes use of.

use crate::args;
use crate::config::Cache;
use anyhow::{Context, anyhow};
use hashsweep_case::Freshness;
use hashsweep_model::{Stamp, Verdict};
use std::time::Duration;

/// How long an answer counts, in days: what is malicious stays so, what is unknown is so only until somebody
/// looks. Guesses, unmeasured.
const DAYS_FRESH: [(Verdict, i64); 4] =
    [(Verdict::Malicious, 30), (Verdict::Suspicious, 7), (Verdict::Known, 7), (Verdict::Unknown, 1)];

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Which earlier answers a run makes use of.
#[derive(Clone, Copy)]
pub(super) struct Trust<'a> {
    pub(super) refresh: bool,
    pub(super) offline: bool,
    /// Whatever else is said, nothing older counts.
    pub(super) max_age: Option<Duration>,
    pub(super) by_verdict: &'a Cache,
}

impl Trust<'_> {
    /// An answer is as young as it is far from now, in either direction, because the clock may have been set back since.
    /// Where nobody is asked, an old answer is better than none.
    pub(super) fn freshness(&self, now: Stamp) -> anyhow::Result<Freshness> {
        if self.refresh {
            return Ok(Freshness::NOTHING);
        }
        let mut fresh = Freshness::ANYTHING;
        for (verdict, days) in DAYS_FRESH {
            let configured = match verdict {
                Verdict::Malicious => &self.by_verdict.malicious,
                Verdict::Suspicious => &self.by_verdict.suspicious,
                Verdict::Unknown => &self.by_verdict.unknown,
                Verdict::Known => &self.by_verdict.known,
            };
            let limit = match configured {
                Some(text) => millis(
                    args::time(text)
                        .map_err(|e| anyhow!("{e}"))
                        .with_context(|| format!("read '{verdict}' under [cache] in the configuration"))?,
                ),
                None => days * DAY_MILLIS,
            };
            let limit = if self.offline { None } else { Some(limit) };
            if let Some(limit) = limit.into_iter().chain(self.max_age.map(millis)).min() {
                let between = now.0.saturating_sub(limit)..=now.0.saturating_add(limit);
                fresh.accept(verdict, Stamp(*between.start())..=Stamp(*between.end()));
            }
        }
        Ok(fresh)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Stamp = Stamp(1_795_359_845_999);

    fn counts(trust: &Trust<'_>, verdict: Verdict, at: i64) -> bool {
        trust.freshness(NOW).unwrap().between(verdict).contains(&Stamp(at))
    }

    fn cache(days: i64) -> Cache {
        let text = Some(format!("{days}d"));
        Cache { malicious: text.clone(), suspicious: text.clone(), unknown: text.clone(), known: text }
    }

    fn trust(by_verdict: &Cache) -> Trust<'_> {
        Trust { refresh: false, offline: false, max_age: None, by_verdict }
    }

    #[test]
    fn an_answer_counts_up_to_the_day_that_its_verdict_lasts() {
        for (verdict, days) in DAYS_FRESH {
            let none = Cache::default();
            let (trust, limit) = (trust(&none), days * DAY_MILLIS);
            let check = |at, expected| assert_eq!(counts(&trust, verdict, at), expected, "{verdict} {at}");
            check(NOW.0 - limit, true);
            check(NOW.0 - limit - 1, false);
            check(NOW.0 + limit, true);
            check(NOW.0 + limit + 1, false);
        }
    }

    #[test]
    fn a_limit_that_is_no_time_is_named() {
        let cache = Cache { known: Some("soon".to_owned()), ..Cache::default() };
        let error = format!("{:#}", trust(&cache).freshness(NOW).unwrap_err());
        assert!(error.starts_with("read 'known' under [cache] in the configuration: "), "{error}");
    }

    proptest! {
        #[test]
        fn the_shorter_of_what_is_configured_and_what_is_typed_holds(
            days in 1i64..4000, typed in prop::option::of(0i64..4000), off in -2i64..=2, future: bool,
        ) {
            let cache = cache(days);
            let max_age = typed.map(|days| Duration::from_secs(days.unsigned_abs() * 24 * 3600));
            let trust = Trust { max_age, ..trust(&cache) };
            let limit = typed.map_or(days, |typed| typed.min(days)) * DAY_MILLIS;
            let age = if future { -(limit + off) } else { limit + off };
            for verdict in Verdict::WORST_FIRST {
                prop_assert_eq!(counts(&trust, verdict, NOW.0 - age), age.abs() <= limit);
                let refresh = Trust { refresh: true, ..trust };
                prop_assert!(!counts(&refresh, verdict, NOW.0 - age));
                let offline = Trust { offline: true, ..trust };
                let old_enough = typed.is_none_or(|typed| age.abs() <= typed * DAY_MILLIS);
                prop_assert_eq!(counts(&offline, verdict, NOW.0 - age), old_enough);
            }
        }
    }
}
