//! A world as a TOML file: every switch by name, strictly read.
//!
//! It knows names and shapes; what a switch means is `world`'s. What is not in the file keeps its default. No file is
//! opened here and none can be named in one.

use crate::{
    Account, ChargeMode, Cue, Dialects, Duplicates, Fault, Feed, InvalidMode, OverLimit, Paging, Period,
    Product, Quota, RetryAfterForm, ScriptHits, Shares, UnknownMode, Uppercase, Verdicts, When, World,
    calendar::parse_timestamp,
};
use serde::{
    Deserialize, Deserializer,
    de::{Unexpected, Visitor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error, fmt,
    num::NonZeroU64,
    time::Duration,
};

/// Why a world file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldFileError(String);

impl World {
    /// Reads a world file; `docs/simulator.md` has the names. A name that is not one of them is an error.
    pub fn from_toml(text: &str) -> Result<World, WorldFileError> {
        let file: File = toml::from_str(text).map_err(|error| WorldFileError(error.to_string()))?;
        file.into_world().map_err(WorldFileError)
    }
}

impl fmt::Display for WorldFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read the world file: {}", self.0.trim_end())
    }
}

impl error::Error for WorldFileError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    unknown_mode: UnknownMode,
    invalid_mode: InvalidMode,
    charge_mode: ChargeMode,
    order: Order,
    duplicates: Duplicates,
    uppercase: Uppercase,
    over_limit: OverLimit,
    rate_limit_rps: Rate,
    retry_after: Option<Form>,
    retry_after_s: u64,
    allow_last: bool,
    null_fields: bool,
    gzip: bool,
    dialect: Dialects,
    latency_ms: u64,
    latency_per_hash_ms: u64,
    disliked: BTreeSet<String>,
    proxy_body_limit: Option<usize>,
    monitoring: bool,
    starts_at: Option<String>,
    verdicts: Known,
    verdict_list: Option<String>,
    shares: Option<ShareTable>,
    feed: FeedTable,
    account: Vec<AccountTable>,
    quota: Vec<QuotaTable>,
    script_hits: ScriptHits,
    fault: Vec<FaultTable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Shuffle,
    Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Off,
    Seconds,
    Date,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Known {
    #[default]
    Drawn,
    Demo,
}

/// A number of requests, or off.
struct Rate(Option<u32>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareTable {
    malicious: u32,
    suspicious: u32,
    known: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FeedTable {
    hours: u64,
    paging: Paging,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    username: String,
    password: String,
    daily_quota: Option<u64>,
    monthly_quota: Option<u64>,
    entitlements: Option<BTreeSet<Product>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaTable {
    #[serde(default)]
    products: Vec<Product>,
    #[serde(default)]
    users: Vec<String>,
    period: Period,
    limit: u64,
}

/// Flat, because a name that belongs to another kind of fault must be refused too.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FaultTable {
    kind: String,
    requests: Option<Vec<u64>>,
    between: Option<[u64; 2]>,
    from: Option<u64>,
    every: Option<NonZeroU64>,
    per_1000: Option<u32>,
    seed: Option<u64>,
    code: Option<u16>,
    body: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    to: Option<String>,
    delay_ms: Option<u64>,
    content_type: Option<String>,
    hashes: Option<usize>,
}

impl Default for File {
    fn default() -> File {
        let World { rate_limit_rps, .. } = World::default();
        File {
            unknown_mode: UnknownMode::default(),
            invalid_mode: InvalidMode::default(),
            charge_mode: ChargeMode::default(),
            order: Order::default(),
            duplicates: Duplicates::default(),
            uppercase: Uppercase::default(),
            over_limit: OverLimit::default(),
            rate_limit_rps: Rate(rate_limit_rps),
            retry_after: None,
            retry_after_s: 1,
            allow_last: false,
            null_fields: false,
            gzip: false,
            dialect: Dialects::default(),
            latency_ms: 0,
            latency_per_hash_ms: 0,
            disliked: BTreeSet::new(),
            proxy_body_limit: None,
            monitoring: true,
            starts_at: None,
            verdicts: Known::default(),
            verdict_list: None,
            shares: None,
            feed: FeedTable::default(),
            account: Vec::new(),
            quota: Vec::new(),
            script_hits: ScriptHits::default(),
            fault: Vec::new(),
        }
    }
}

impl Default for FeedTable {
    fn default() -> FeedTable {
        let Feed { hours, paging } = Feed::default();
        FeedTable { hours, paging }
    }
}

impl File {
    fn into_world(self) -> Result<World, String> {
        let (retry_after, retry_after_form) = match self.retry_after {
            None | Some(Form::Off) => (None, RetryAfterForm::default()),
            Some(Form::Seconds) => (Some(Duration::from_secs(self.retry_after_s)), RetryAfterForm::Seconds),
            Some(Form::Date) => (Some(Duration::from_secs(self.retry_after_s)), RetryAfterForm::Date),
        };
        let starts_at = self.starts_at.as_deref().map(|text| {
            parse_timestamp(text)
                .ok_or_else(|| format!("starts_at is not of the form YYYY-MM-DDThh:mm:ssZ: {text}"))
        });
        let mut verdicts = match (self.verdicts, self.verdict_list) {
            (Known::Drawn, None) => Verdicts::default(),
            (Known::Drawn, Some(list)) => Verdicts::from_csv(&list).map_err(|error| error.to_string())?,
            (Known::Demo, None) => Verdicts::demo(),
            (Known::Demo, Some(_)) => {
                return Err("verdicts = \"demo\" and verdict_list exclude one another".into());
            }
        };
        if let Some(ShareTable { malicious, suspicious, known }) = self.shares {
            if [malicious, suspicious, known]
                .into_iter()
                .try_fold(0, u32::checked_add)
                .is_none_or(|sum| sum > 1000)
            {
                return Err("the shares add up to more than 1000".into());
            }
            verdicts = verdicts.with_shares(Shares { malicious, suspicious, known });
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.account.iter().find(|account| !names.insert(account.username.as_str())) {
            return Err(format!("the account {} is there twice", twice.username));
        }
        let own = self.account.iter().filter_map(AccountTable::monthly);
        let shared = self.quota.into_iter().map(|QuotaTable { products, users, period, limit }| Quota {
            products,
            users,
            period,
            limit,
        });
        Ok(World {
            unknown_mode: self.unknown_mode,
            invalid_mode: self.invalid_mode,
            charge_mode: self.charge_mode,
            shuffle: matches!(self.order, Order::Shuffle),
            rate_limit_rps: self.rate_limit_rps.0,
            retry_after,
            retry_after_form,
            quotas: own.chain(shared).collect(),
            allow_last: self.allow_last,
            entitlements: self.account.iter().filter_map(AccountTable::entitled).collect(),
            duplicates: self.duplicates,
            uppercase: self.uppercase,
            over_limit: self.over_limit,
            dialects: self.dialect,
            gzip: self.gzip,
            feed: Feed { hours: self.feed.hours, paging: self.feed.paging },
            starts_at: starts_at.transpose()?,
            null_fields: self.null_fields,
            latency: Duration::from_millis(self.latency_ms),
            latency_per_hash: Duration::from_millis(self.latency_per_hash_ms),
            disliked: self.disliked.iter().map(|hash| hash.to_ascii_lowercase()).collect(),
            proxy_body_limit: self.proxy_body_limit,
            monitoring: self.monitoring,
            script_hits: self.script_hits,
            verdicts,
            script: self.fault.into_iter().map(FaultTable::into_cue).collect::<Result<_, _>>()?,
            accounts: self.account.into_iter().map(AccountTable::into_account).collect(),
        })
    }
}

impl AccountTable {
    fn monthly(&self) -> Option<Quota> {
        Some(Quota {
            products: vec![Product::FileReputation],
            users: vec![self.username.clone()],
            period: Period::Month,
            limit: self.monthly_quota?,
        })
    }

    fn entitled(&self) -> Option<(String, BTreeSet<Product>)> {
        Some((self.username.clone(), self.entitlements.clone()?))
    }

    fn into_account(self) -> Account {
        Account { username: self.username, password: self.password, daily_quota: self.daily_quota }
    }
}

impl FaultTable {
    fn into_cue(mut self) -> Result<Cue, String> {
        let when = self.when()?;
        let kind = std::mem::take(&mut self.kind);
        let needs = |name: &str| format!("the fault {kind} needs {name}");
        let fault = match kind.as_str() {
            "status" => Fault::Status {
                code: self.code.take().ok_or_else(|| needs("code"))?,
                body: self.body.take().unwrap_or_default(),
                headers: self.headers.take().unwrap_or_default().into_iter().collect(),
            },
            "redirect" => Fault::Redirect { to: self.to.take().ok_or_else(|| needs("to"))? },
            "delay" => {
                Fault::Delay(Duration::from_millis(self.delay_ms.take().ok_or_else(|| needs("delay_ms"))?))
            }
            "hang_before_charge" => Fault::HangBeforeCharge,
            "hang_after_charge" => Fault::HangAfterCharge,
            "reset_mid_body" => Fault::ResetMidBody,
            "short_body" => Fault::ShortBody,
            "bad_json" => Fault::BadJson,
            "not_json" => Fault::NotJson {
                body: self.body.take().ok_or_else(|| needs("body"))?,
                content_type: self.content_type.take().unwrap_or_else(|| "text/html".to_owned()),
            },
            "extra_entry" => Fault::ExtraEntry,
            "doubled_entry" => Fault::DoubledEntry,
            "omit_hashes" => Fault::OmitHashes(self.hashes.take().ok_or_else(|| needs("hashes"))?),
            "gateway_timeout_after_charge" => Fault::GatewayTimeoutAfterCharge,
            "" => return Err("a fault needs a kind".into()),
            other => return Err(format!("there is no kind of fault named {other}")),
        };
        match self.left_over() {
            Some(name) => Err(format!("the fault {kind} has no {name}")),
            None => Ok(Cue::new(when, fault)),
        }
    }

    fn when(&mut self) -> Result<When, String> {
        let seed = self.seed.take();
        let chance = self.per_1000.take();
        if seed.is_some() && chance.is_none() {
            return Err("a seed goes with per_1000".into());
        }
        let named: Vec<When> = [
            self.requests.take().map(When::Listed),
            self.between.take().map(|[first, last]| When::Between(first, last)),
            self.from.take().map(When::From),
            self.every.take().map(When::EveryNth),
            chance.map(|per_1000| When::Chance { per_1000, seed: seed.unwrap_or_default() }),
        ]
        .into_iter()
        .flatten()
        .collect();
        match <[When; 1]>::try_from(named) {
            Ok([when]) => Ok(when),
            Err(none) if none.is_empty() => Ok(When::Always),
            Err(_) => Err("requests, between, from, every and per_1000 exclude one another".into()),
        }
    }

    /// What was given and belongs to another kind.
    fn left_over(&self) -> Option<&'static str> {
        let FaultTable { code, body, headers, to, delay_ms, content_type, hashes, .. } = self;
        [
            (code.is_some(), "code"),
            (body.is_some(), "body"),
            (headers.is_some(), "headers"),
            (to.is_some(), "to"),
            (delay_ms.is_some(), "delay_ms"),
            (content_type.is_some(), "content_type"),
            (hashes.is_some(), "hashes"),
        ]
        .into_iter()
        .find_map(|(is_there, name)| is_there.then_some(name))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        struct RateVisitor;
        impl Visitor<'_> for RateVisitor {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of requests or \"off\"")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Rate, E> {
                let rate =
                    u32::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
                Ok(Rate(Some(rate)))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Rate, E> {
                match value {
                    "off" => Ok(Rate(None)),
                    _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(RateVisitor)
    }
}
