//! What is meant: arguments, stored settings, configuration and defaults, put together once. Commands see only
//! this.

mod images;
mod outputs;
mod trust;

pub(crate) use images::Images;
pub(crate) use outputs::{Outputs, Target};

use crate::args::{self, FailOn, Gap};
use crate::config::{Config, home};
use crate::json::{path_text, stamp, text_path};
use anyhow::{Context, anyhow, bail};
use hashsweep_case::{Account, CaseError, Freshness};
use hashsweep_model::{HashKind, Kinds, Source, Stamp};
use hashsweep_pipeline::{Asking, OnDoubt, Rate, now};
use hashsweep_source::{Engine, Globs, Io, MissingRoot, OwnFiles, Root, Walk};
use hashsweep_spectra::{
    Client, ContentType, DEFAULT_URL, Dialect, Endpoint, Format as WireFormat, Settings,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trust::Trust;

/// A fifth of what the vendor's service takes (500 requests a second for TCA-0101), so that a first run on an
/// unknown contract is no storm.
const DEFAULT_RATE: u32 = 100;

/// At 100 requests a second and the 150 ms of a far service, 15 are on their way.
const DEFAULT_CONCURRENCY: usize = 16;

/// What the vendor's troubleshooting page raises the time limit to for big batches.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longer than a restart or a failover, shorter than a night.
const DEFAULT_GIVE_UP_AFTER: Duration = Duration::from_secs(600);

/// What a walk leaves out, as it can be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Filters {
    include: Vec<String>,
    exclude: Vec<String>,
    one_file_system: bool,
    follow: bool,
    max_depth: Option<usize>,
    min_size: Option<u64>,
    max_size: Option<u64>,
    #[serde(with = "stamp")]
    newer: Option<Stamp>,
    skip_missing_roots: bool,
    jobs: Option<NonZeroUsize>,
    #[serde(default)]
    nice: bool,
    #[serde(default)]
    max_read: Option<NonZeroU64>,
    /// This run's affair, not the sweep's: a resume may happen on another machine.
    #[serde(skip)]
    engine: Option<Engine>,
    /// As the engine.
    #[serde(skip)]
    io: Io,
    /// As the engine.
    #[serde(skip)]
    readers: Option<NonZeroUsize>,
}

impl Filters {
    pub(crate) fn new(walking: &args::Walking) -> anyhow::Result<Filters> {
        let mut exclude = walking.exclude.clone();
        for file in &walking.exclude_from {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            exclude.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        }
        Ok(Filters {
            include: walking.include.clone(),
            exclude,
            one_file_system: walking.one_file_system,
            follow: walking.follow,
            max_depth: walking.max_depth,
            min_size: walking.min_size,
            max_size: walking.max_size,
            newer: walking.newer.as_deref().map(moment).transpose()?,
            skip_missing_roots: walking.missing_root == args::MissingRoot::Skip,
            jobs: walking.jobs,
            nice: walking.nice,
            max_read: walking.max_read,
            engine: walking.engine,
            io: match walking.io {
                args::Io::Auto => Io::Auto,
                args::Io::Read => Io::Read,
                args::Io::Mmap => Io::Mmap,
            },
            readers: walking.readers,
        })
    }

    /// Whether a path is left out by both or by neither, as long as the file stays what it is. The moment of
    /// `--newer` goes on from night to night.
    pub(crate) fn same_as(&self, other: &Filters) -> bool {
        let by_path = |of: &Filters| (of.one_file_system, of.follow, of.max_depth, of.newer.is_some());
        (&self.include, &self.exclude, by_path(self), self.min_size, self.max_size)
            == (&other.include, &other.exclude, by_path(other), other.min_size, other.max_size)
    }

    /// The same in words that can be compared. How fast and with what a walk works makes no difference to its rows.
    pub(crate) fn shape(&self) -> Filters {
        Filters {
            skip_missing_roots: false,
            jobs: None,
            nice: false,
            max_read: None,
            engine: None,
            ..self.clone()
        }
    }

    /// Whether it depends on the file, and not on its path alone, what is left out.
    pub(crate) fn go_by_file(&self) -> bool {
        self.min_size.is_some() || self.max_size.is_some() || self.newer.is_some()
    }

    pub(crate) fn walk(
        &self,
        roots: Vec<Root>,
        kinds: Kinds,
        own: OwnFiles,
        sweep_started: Stamp,
    ) -> anyhow::Result<Walk> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Walk {
            roots,
            kinds,
            follow: self.follow,
            one_file_system: self.one_file_system,
            max_depth: self.max_depth,
            min_size: self.min_size,
            max_size: self.max_size,
            newer: self.newer,
            include: globs(&self.include)?,
            exclude: globs(&self.exclude)?,
            own,
            jobs: self.jobs.unwrap_or(cores),
            engine: engine(self.engine)?,
            io: self.io,
            readers: self.readers,
            nice: self.nice,
            max_read: self.max_read,
            missing_root: if self.skip_missing_roots { MissingRoot::Skip } else { MissingRoot::Fail },
            sweep_started,
        })
    }
}

/// The hashing engine that was asked for, by switch before environment, or the best there is.
fn engine(by_switch: Option<Engine>) -> anyhow::Result<Engine> {
    let by_name = match std::env::var("HASHSWEEP_ENGINE") {
        Ok(name) if !name.is_empty() => Some(name.parse::<Engine>().context("read HASHSWEEP_ENGINE")?),
        _ => None,
    };
    match by_switch.or(by_name) {
        Some(engine) => Ok(engine.checked()?),
        None => Ok(Engine::best()),
    }
}

fn globs(patterns: &[String]) -> anyhow::Result<Globs> {
    if patterns.is_empty() { Ok(Globs::none()) } else { Ok(Globs::new(patterns)?) }
}

/// `2026-11-01`, `2026-11-01T12:00:00Z`, or how long ago.
fn moment(text: &str) -> anyhow::Result<Stamp> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Ok(Stamp(timestamp.as_millisecond()));
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        let local = civil.to_zoned(jiff::tz::TimeZone::system())?;
        return Ok(Stamp(local.timestamp().as_millisecond()));
    }
    let ago = args::time(text).map_err(|_| {
        anyhow::anyhow!("'{text}' is no moment (write 2026-11-01, 2026-11-01T12:00:00Z, 24h)")
    })?;
    Ok(Stamp(now().0 - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
}

/// The roots of a walk: typed ones first, then those of `--files-from`; one typed twice counts once.
pub(crate) fn roots(paths: &[PathBuf], walking: &args::Walking) -> anyhow::Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    let mut listed = Vec::new();
    if let Some(file) = &walking.files_from {
        let mut bytes = Vec::new();
        if file.as_os_str() == "-" {
            std::io::stdin().read_to_end(&mut bytes).context("read paths from stdin")?;
        } else {
            bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        }
        let end = if walking.null { b'\0' } else { b'\n' };
        listed.extend(
            bytes.split(|b| *b == end).filter(|p| !p.is_empty()).map(|p| PathBuf::from(OsStr::from_bytes(p))),
        );
    }
    let mut seen = HashSet::new();
    for path in paths.iter().cloned().chain(listed) {
        if path.as_os_str().is_empty() {
            bail!("an empty path was given");
        }
        if seen.insert(path.clone()) {
            roots.push(path);
        }
    }
    if roots.is_empty() {
        bail!("there is no path to look at");
    }
    Ok(roots)
}

/// What is to be said of roots that lie within one another: each is swept under its own name, so that what is in both
/// has a row for each.
pub(crate) fn overlap(roots: &[PathBuf]) -> Option<String> {
    let mut real: Vec<(PathBuf, &PathBuf)> =
        roots.iter().filter_map(|root| Some((root.canonicalize().ok()?, root))).collect();
    // By components, so that what lies within a directory comes right behind it.
    real.sort();
    let (mut outer, mut pairs) = (None::<&(PathBuf, &PathBuf)>, Vec::new());
    for inner in &real {
        match outer {
            Some(outer) if inner.0.starts_with(&outer.0) => pairs.push((inner.1, outer.1)),
            Some(_) | None => outer = Some(inner),
        }
    }
    let (inner, outer) = pairs.first()?;
    let more =
        if pairs.len() > 1 { format!(", and {} more like it", pairs.len() - 1) } else { String::new() };
    Some(format!(
        "{} lies within {}{more}: what is in both has a row under each name, and is counted twice",
        inner.display(),
        outer.display()
    ))
}

/// A path as it is opened later, from wherever.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("find {}", path.display()))
}

/// Where a case is unless the user says so.
pub(crate) fn case_path(choice: &args::CaseChoice, simulated: bool) -> anyhow::Result<PathBuf> {
    if let Some(path) = &choice.case {
        return absolute(path);
    }
    let name = if simulated { "simulator.db" } else { "case.db" };
    let directory = home("XDG_STATE_HOME", ".local/state")
        .context("there is no home directory to keep a case in\n  hint: name one with --case")?;
    Ok(directory.join(name))
}

/// Who is asked.
#[derive(Debug)]
pub(crate) enum Service {
    /// The simulator inside this process.
    Simulator,
    /// A service somewhere.
    Remote(Client),
    /// Nobody.
    Offline,
}

/// How a sweep asks.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) service: Service,
    /// Where the account's ledger and pace are kept; a simulator of our own has an account of its own.
    pub(crate) account: Option<PathBuf>,
    /// To which service a case of this sweep belongs; nothing is said when offline.
    pub(crate) identity: Option<String>,
    pub(crate) source: Source,
    pub(crate) asking: Asking,
    pub(crate) timeout: Duration,
    pub(crate) speech: Speech,
    pub(crate) fresh: Freshness,
    /// When the run ends by itself.
    pub(crate) stop_at: Option<Stamp>,
    /// Whether only a plan is wanted.
    pub(crate) dry_run: bool,
    /// The plan of a dry run is written for programs.
    pub(crate) plan_as_json: bool,
}

/// How the identity of every other case begins; its host follows.
const SERVICE_AT: &str = "the service at ";

/// The identity of the built-in simulator's cases.
pub(crate) const SIMULATOR: &str = "the built-in simulator";

impl Sending {
    /// Arguments over stored settings over configuration over defaults.
    pub(crate) fn resolve(typed: &args::Sending, stored: &StoredSending) -> anyhow::Result<Sending> {
        let config = Config::load()?;
        let simulated = typed.sim || (stored.simulated && typed.api_url.is_none());
        let rate = match (typed.rate, stored.rate.as_ref().or(config.rate.as_ref())) {
            (Some(rate), _) => rate,
            (None, Some(text)) => text.parse().map_err(anyhow::Error::msg)?,
            (None, None) => default_rate(),
        };
        let concurrency = typed
            .concurrency
            .or(stored.concurrency.and_then(NonZeroUsize::new))
            .or(config.concurrency)
            .map_or(DEFAULT_CONCURRENCY, NonZeroUsize::get);
        let seconds = |seconds: Option<f64>| seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let timeout = typed.timeout.or(seconds(stored.timeout_seconds)).unwrap_or(DEFAULT_TIMEOUT);
        let asking = Asking {
            rate,
            concurrency,
            batch_size: usize::from(typed.batch_size.or(stored.batch_size).unwrap_or(100)),
            give_up_after: typed
                .give_up_after
                .or(seconds(stored.give_up_after_seconds))
                .unwrap_or(DEFAULT_GIVE_UP_AFTER),
            on_doubt: match typed.on_doubt.or(stored.on_doubt) {
                Some(args::OnDoubt::Hold) => OnDoubt::Hold,
                Some(args::OnDoubt::Resend) | None => OnDoubt::Resend,
            },
            wait_for_quota: typed.wait_for_quota,
            max_quota: typed.max_quota,
            reserve: typed.reserve.or(stored.reserve).or(config.reserve).unwrap_or(0),
            // Whoever waits for an answer settles something within the time that a request may take.
            patience: 2 * timeout,
        };
        let mut account = None;
        let (service, identity, source) = if typed.offline {
            let identity = simulated.then(|| SIMULATOR.to_owned());
            (Service::Offline, identity, if simulated { Source::Simulator } else { Source::Service })
        } else if simulated {
            (Service::Simulator, Some(SIMULATOR.to_owned()), Source::Simulator)
        } else {
            match remote(typed, stored, &config, timeout, concurrency) {
                Ok(settings) => {
                    let identity = format!("{SERVICE_AT}{}", settings.endpoint.identity());
                    account = account_path(&settings)?;
                    (Service::Remote(Client::new(settings)?), Some(identity), Source::Service)
                }
                // A plan needs nobody; it only knows less.
                Err(error) if typed.dry_run => {
                    tracing::warn!("what is left of the quota is not known: {error:#}");
                    (Service::Offline, None, Source::Service)
                }
                Err(error) => return Err(error),
            }
        };
        let trust = Trust {
            refresh: typed.refresh,
            offline: typed.offline,
            max_age: typed.max_cache_age,
            by_verdict: &config.cache,
        };
        let (speech, fresh) = (Speech::resolve(typed, stored), trust.freshness(now())?);
        let stop_at = typed.stop_at.map(|time| next(time, now())).transpose()?;
        let (dry_run, plan_as_json) = (typed.dry_run, typed.plan_as_json);
        Ok(Sending {
            service,
            account,
            identity,
            source,
            asking,
            timeout,
            speech,
            fresh,
            stop_at,
            dry_run,
            plan_as_json,
        })
    }
}

impl Sending {
    /// Who pays.
    pub(crate) fn account(&self) -> anyhow::Result<Account> {
        match &self.account {
            Some(path) => Account::open(path).map_err(|error| match error {
                CaseError::NetworkFileSystem { path, kind } => anyhow!(
                    "the account's ledger {} would be on a network file system ({kind}), where it is not safe\n  hint: set XDG_STATE_HOME to a directory on a local disk",
                    path.display()
                ),
                error => error.into(),
            }),
            None => Ok(Account::in_memory()?),
        }
    }
}

/// Quota and rate belong to whoever the service knows us as, so every case and process of this user that asks it
/// shares one file. Its name shows the host, and the user only as a digest.
fn account_path(settings: &Settings) -> anyhow::Result<Option<PathBuf>> {
    let Some(directory) = home("XDG_STATE_HOME", ".local/state") else {
        tracing::warn!(
            "there is no home directory to keep the account's ledger in: pace and quota are this run's alone"
        );
        return Ok(None);
    };
    let host = settings.endpoint.identity();
    let user = settings.credentials.as_ref().map_or("", |credentials| credentials.username.as_str());
    let kinds = Kinds::new([HashKind::Sha1]).expect("one kind is enough");
    let (_, digests) = hashsweep_source::digests_of(format!("{host}\0{user}").as_bytes(), &kinds)?;
    let id: String = digests.iter().map(|digest| digest.to_string()).collect();
    Ok(Some(directory.join("accounts").join(format!("{}-{}.db", file_safe(&host), &id[..12]))))
}

/// The accounts of this user at the service that a case belongs to, whoever the service knew us as.
pub(crate) fn accounts_at(identity: &str) -> Vec<PathBuf> {
    let Some(host) = identity.strip_prefix(SERVICE_AT) else { return Vec::new() };
    let Some(directory) = home("XDG_STATE_HOME", ".local/state") else { return Vec::new() };
    let Ok(entries) = directory.join("accounts").read_dir() else { return Vec::new() };
    let begins = format!("{}-", file_safe(host));
    let is_account = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let id = name.strip_prefix(&begins).and_then(|rest| rest.strip_suffix(".db"));
        id.is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let mut accounts: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_account).collect();
    accounts.sort();
    accounts
}

/// A host's name as part of a file's.
fn file_safe(host: &str) -> String {
    host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect()
}

/// The next moment at which the clock on the wall shows this.
fn next(time: jiff::civil::Time, now: Stamp) -> anyhow::Result<Stamp> {
    let zone = jiff::tz::TimeZone::system();
    let now = jiff::Timestamp::from_millisecond(now.0)?.to_zoned(zone.clone());
    let mut day = now.date();
    loop {
        let at = day.to_datetime(time).to_zoned(zone.clone())?;
        if at > now {
            return Ok(Stamp(at.timestamp().as_millisecond()));
        }
        day = day.tomorrow()?;
    }
}

/// How the service was asked. Absent is the default.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct StoredSending {
    pub(crate) simulated: bool,
    pub(crate) api_url: Option<String>,
    pub(crate) ca_cert: Option<String>,
    #[serde(default)]
    pub(crate) dialect: Option<args::Dialect>,
    #[serde(default)]
    pub(crate) wire_format: Option<args::WireFormat>,
    #[serde(default)]
    pub(crate) content_type: Option<args::ContentType>,
    pub(crate) rate: Option<String>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) batch_size: Option<u8>,
    pub(crate) timeout_seconds: Option<f64>,
    pub(crate) give_up_after_seconds: Option<f64>,
    #[serde(default)]
    pub(crate) on_doubt: Option<args::OnDoubt>,
    #[serde(default)]
    pub(crate) reserve: Option<u64>,
}

/// What of the command line a sweep stores: no proxy (it may hold a password), no credentials.
pub(crate) fn to_store(typed: &args::Sending) -> anyhow::Result<StoredSending> {
    Ok(StoredSending {
        simulated: typed.sim,
        api_url: typed.api_url.clone(),
        ca_cert: typed.ca_cert.as_deref().map(absolute).transpose()?.as_deref().map(path_text),
        dialect: typed.dialect,
        wire_format: typed.wire_format,
        content_type: typed.content_type,
        rate: typed.rate.map(|rate| rate.to_string()),
        concurrency: typed.concurrency.map(NonZeroUsize::get),
        batch_size: typed.batch_size,
        timeout_seconds: typed.timeout.map(|t| t.as_secs_f64()),
        give_up_after_seconds: typed.give_up_after.map(|t| t.as_secs_f64()),
        on_doubt: typed.on_doubt,
        reserve: typed.reserve,
    })
}

fn default_rate() -> Rate {
    let n = NonZeroU32::new(DEFAULT_RATE).expect("it is not zero");
    Rate::Limited { n, per: Duration::from_secs(1) }
}

fn remote(
    typed: &args::Sending,
    stored: &StoredSending,
    config: &Config,
    timeout: Duration,
    concurrency: usize,
) -> anyhow::Result<Settings> {
    let url = typed.api_url.as_ref().or(stored.api_url.as_ref()).or(config.api_url.as_ref());
    let endpoint = Endpoint::parse(url.map_or(DEFAULT_URL, String::as_str))?;
    let proxy = typed.proxy.clone();
    if proxy.as_ref().is_some_and(|proxy| proxy.contains('@')) {
        bail!(
            "the proxy's URL holds a user name or password\n  hint: put it into HTTPS_PROXY or the configuration file"
        );
    }
    let stored_ca = stored.ca_cert.as_deref().map(text_path);
    let ca_cert = typed.ca_cert.clone().or(stored_ca).or_else(|| config.ca_cert.clone());
    let ca_cert_pem = ca_cert
        .map(|path| std::fs::read(&path).with_context(|| format!("read {}", path.display())))
        .transpose()?;
    let credentials = config.credentials(typed.credentials.as_deref())?;
    if credentials.is_none() && endpoint.identity() != "loopback" {
        bail!(
            "there are no credentials for {}\n  hint: set SPECTRA_USERNAME and SPECTRA_PASSWORD, or try --sim or --offline",
            endpoint.host()
        );
    }
    // The case may come from anywhere, and must not choose who is shown this user's password.
    let is_chosen_here = [typed.api_url.as_deref(), config.api_url.as_deref(), Some(DEFAULT_URL)]
        .into_iter()
        .flatten()
        .any(|url| Endpoint::parse(url).is_ok_and(|chosen| chosen.identity() == endpoint.identity()));
    if !is_chosen_here
        && endpoint.identity() != "loopback"
        && accounts_at(&format!("{SERVICE_AT}{}", endpoint.identity())).is_empty()
    {
        bail!(
            "the case says to ask {}, which you have never asked from this machine\n  hint: if that is right, say so with --api-url",
            endpoint.host()
        );
    }
    let proxy = proxy.or_else(|| config.proxy.clone());
    let environment_proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let Speech { dialect, format, content_type } = Speech::resolve(typed, stored);
    Ok(Settings {
        endpoint,
        credentials,
        ca_cert_pem,
        proxy,
        environment_proxy,
        timeout,
        concurrency,
        dialect,
        format,
        content_type,
    })
}

/// How a service is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
    pub(crate) dialect: Dialect,
    pub(crate) format: WireFormat,
    pub(crate) content_type: ContentType,
}

impl Speech {
    /// Refuses a kind that the dialect has no words for, before anything is hashed for it.
    pub(crate) fn can_ask(&self, kind: HashKind) -> anyhow::Result<()> {
        match (self.dialect, kind) {
            (Dialect::QuickStart, HashKind::Md5 | HashKind::Sha256) => {
                bail!(
                    "the quick-start dialect asks SHA-1 only, not {kind}\n  hint: put sha1 first: --hash sha1,{kind}"
                )
            }
            (Dialect::QuickStart, HashKind::Sha1) | (Dialect::MalwarePresence, _) => Ok(()),
        }
    }

    fn resolve(typed: &args::Sending, stored: &StoredSending) -> Speech {
        Speech {
            dialect: match typed.dialect.or(stored.dialect) {
                Some(args::Dialect::QuickStart) => Dialect::QuickStart,
                Some(args::Dialect::MalwarePresence) | None => Dialect::MalwarePresence,
            },
            format: match typed.wire_format.or(stored.wire_format) {
                Some(args::WireFormat::Xml) => WireFormat::Xml,
                Some(args::WireFormat::Json) | None => WireFormat::Json,
            },
            content_type: match typed.content_type.or(stored.content_type) {
                Some(args::ContentType::OctetStream) => ContentType::OctetStream,
                Some(args::ContentType::Json) | None => ContentType::Json,
            },
        }
    }
}

/// What the exit code depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ending {
    pub(crate) fail_on: FailOn,
    pub(crate) incomplete_ok: Vec<Gap>,
}

impl Ending {
    /// What was typed over what the sweep was begun with.
    pub(crate) fn resolve(typed: &args::Ending, before: Option<&Ending>) -> Ending {
        let fail_on = typed.fail_on.or(before.map(|b| b.fail_on)).unwrap_or(FailOn::Suspicious);
        let incomplete_ok = match before {
            Some(before) if typed.incomplete_ok.is_empty() => before.incomplete_ok.clone(),
            _ => typed.incomplete_ok.clone(),
        };
        Ending { fail_on, incomplete_ok }
    }
}
