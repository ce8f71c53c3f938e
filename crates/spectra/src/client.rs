//! What can be asked of one service under one account, each question once.

use crate::attempt::innermost;
use crate::details::Details;
use crate::usage::{self, Limit, Period, Scope, Usage};
use crate::wire::{ContentType, DETAILS_PATH, Dialect, Form, Format, Reply};
use crate::{Credentials, Endpoint, Fault};
use hashsweep_model::{Batch, Digest, HashKind};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Proxy, redirect};
use std::fmt;
use std::time::Duration;

/// Connecting takes a few round trips; a host that needs longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. A request that is written just as the other side closes an idle connection
/// ends as `Lost`, in doubt although nobody read it; so ours closes first. Of the common servers' own limits
/// Apache's is the shortest (`KeepAliveTimeout`, 5 s).
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A report is half a megabyte (a recorded one, 491 kB) where an entry of a lookup is half a kilobyte, so a hundred
/// of them get this many times the time of a lookup. A guess: at the usual 60 s it is 1.4 Mbit/s.
const DETAILS_PATIENCE: u32 = 5;

/// What a client needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where the service is.
    pub endpoint: Endpoint,
    /// Absent only for the built-in simulator.
    pub credentials: Option<Credentials>,
    /// Extra roots to trust, PEM.
    pub ca_cert_pem: Option<Vec<u8>>,
    /// Overrides what the environment says (`HTTPS_PROXY`, `NO_PROXY`). Never used for loopback.
    pub proxy: Option<String>,
    /// Whether the environment names a proxy, so that a 5xx may be a gateway's and its cost is in doubt.
    pub environment_proxy: bool,
    /// For one whole request, from its first byte to the answer's last.
    pub timeout: Duration,
    /// How many requests travel at once, to keep as many connections open between them.
    pub concurrency: usize,
    /// Which of the vendor's two descriptions to follow.
    pub dialect: Dialect,
    /// The language of lookups. Usage and details are asked for in JSON always.
    pub format: Format,
    /// What a bulk lookup calls its body.
    pub content_type: ContentType,
}

/// Prints no secret: a proxy's address may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
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
        } = self;
        f.debug_struct("Settings")
            .field("endpoint", endpoint)
            .field("credentials", credentials)
            .field("ca_cert_pem", &ca_cert_pem.is_some())
            .field("proxy", &proxy.as_ref().map(|_| "[redacted]"))
            .field("environment_proxy", environment_proxy)
            .field("timeout", timeout)
            .field("concurrency", concurrency)
            .field("dialect", dialect)
            .field("format", format)
            .field("content_type", content_type)
            .finish()
    }
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The extra roots do not read.
    #[error("the CA file holds no PEM certificate")]
    CaCert,
    /// The proxy's address does not read. It is not repeated: it may hold a password.
    #[error("the proxy's address is not a URL")]
    Proxy,
    /// The quick start describes no XML.
    #[error("the quick-start dialect speaks JSON only")]
    QuickStartXml,
    /// Anything else while TLS is set up, most often a system without any root certificate.
    #[error("TLS cannot be set up: {0}\n  hint: install the system's CA certificates, or give --ca-cert")]
    Tls(String),
}

/// A client of one service under one account. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) proxied: bool,
    form: Form,
    timeout: Duration,
}

impl Client {
    /// Sets up TLS and the connection pool; nothing is sent.
    pub fn new(settings: Settings) -> Result<Client, ClientError> {
        // Err means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Settings {
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
        } = settings;
        let form = Form { dialect, format, content_type };
        if (dialect, format) == (Dialect::QuickStart, Format::Xml) {
            return Err(ClientError::QuickStartXml);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("hashsweep/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(timeout)
            // Less than the whole: if both ended at once, an attempt that never left would count as in doubt.
            .connect_timeout(CONNECT_TIMEOUT.min(timeout / 2))
            .pool_max_idle_per_host(concurrency)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_nodelay(true);
        let extra = match ca_cert_pem {
            Some(pem) => match Certificate::from_pem_bundle(&pem) {
                Ok(roots) if !roots.is_empty() => roots,
                _ => return Err(ClientError::CaCert),
            },
            None => Vec::new(),
        };
        builder = if endpoint.is_https() {
            builder.https_only(true).tls_certs_merge(extra)
        } else {
            // Plain http goes to loopback only and needs no roots: a machine without any can use the simulator.
            builder.tls_certs_only(extra)
        };
        let is_loopback = endpoint.identity() == "loopback";
        let proxied = !is_loopback && (proxy.is_some() || environment_proxy);
        if is_loopback {
            builder = builder.no_proxy();
        } else if let Some(address) = proxy {
            builder = builder.proxy(Proxy::all(&address).map_err(|_| ClientError::Proxy)?);
        }
        let http = builder.build().map_err(|e| ClientError::Tls(innermost(&e)))?;
        Ok(Client { http, endpoint, credentials, proxied, form, timeout })
    }

    /// Whether the dialect has a way to ask by this kind.
    pub fn can_ask(&self, kind: HashKind) -> bool {
        self.form.can_ask(kind)
    }

    /// Asks about one batch, once.
    pub async fn ask(&self, batch: &Batch) -> Result<Reply, Fault> {
        let kind = batch.kind();
        if !self.can_ask(kind) {
            return Err(Fault::CannotAsk { kind });
        }
        let question = self
            .post(self.form.bulk_path())
            .header(CONTENT_TYPE, self.form.content_type())
            .body(self.form.question(batch));
        let body = self.body_of(question).await?;
        self.form.reply(&body, kind).map_err(|why| Fault::BrokenBody { why })
    }

    /// Asks about one digest, once. A 404 is then "not found" by some of the vendor's texts, and stays
    /// [`Fault::NotFound`]: whether this address can be believed is the caller's to know. The quick start
    /// describes no single question and is asked for a list of one.
    pub async fn ask_one(&self, digest: &Digest) -> Result<Reply, Fault> {
        match self.form.dialect {
            Dialect::MalwarePresence => {
                let body = self.body_of(self.get(&self.form.single_path(digest))).await?;
                self.form.single_reply(&body, digest.kind()).map_err(|why| Fault::BrokenBody { why })
            }
            Dialect::QuickStart => {
                let alone = Batch::new(vec![*digest]).expect("one digest is a batch");
                self.ask(&alone).await
            }
        }
    }

    /// What has been asked of the service, by product. It lags behind by an unknown time (vendor, "Customer
    /// usage").
    pub async fn usage(&self, period: Period, scope: Scope) -> Result<Usage, Fault> {
        let body = self.body_of(self.get(&usage::usage_path(period, scope))).await?;
        usage::read_usage(&body).map_err(|why| Fault::BrokenBody { why })
    }

    /// What may be asked, and whether that is used up.
    pub async fn limits(&self, scope: Scope) -> Result<Vec<Limit>, Fault> {
        let body = self.body_of(self.get(usage::limits_path(scope))).await?;
        usage::read_limits(&body).map_err(|why| Fault::BrokenBody { why })
    }

    /// Asks for the whole reports about a batch, once (TCA-0104). They are megabytes: the answer is read entry by
    /// entry, as [`Details::next`] is called.
    pub async fn details(&self, batch: &Batch) -> Result<Details, Fault> {
        let question = self
            .post(DETAILS_PATH)
            .timeout(self.timeout.saturating_mul(DETAILS_PATIENCE))
            .header(CONTENT_TYPE, Form::default().content_type())
            .body(Form::default().question(batch));
        Ok(Details::new(self.answered(question).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(url: &str, proxy: Option<&str>, environment_proxy: bool) -> bool {
        let settings = Settings {
            endpoint: Endpoint::parse(url).unwrap(),
            credentials: None,
            ca_cert_pem: None,
            proxy: proxy.map(str::to_owned),
            environment_proxy,
            timeout: Duration::from_secs(1),
            concurrency: 1,
            dialect: Dialect::default(),
            format: Format::default(),
            content_type: ContentType::default(),
        };
        Client::new(settings).unwrap().proxied
    }

    #[test]
    fn a_5xx_may_be_a_gateways_only_where_a_proxy_is_used() {
        let (service, loopback) = ("https://service.invalid", "http://127.0.0.1:9");
        assert!(proxied(service, None, true));
        assert!(proxied(service, Some("http://proxy.invalid:3128"), false));
        assert!(!proxied(service, None, false));
        assert!(!proxied(loopback, Some("http://proxy.invalid:3128"), true));
    }
}
