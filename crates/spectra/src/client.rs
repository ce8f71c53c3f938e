//! One attempt over HTTP.

use crate::wire::{self, Reply};
use crate::{Credentials, Endpoint, Fault};
use hashsweep_model::Batch;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Proxy, Response, StatusCode, redirect};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An answer to 100 hashes is 60 kB at the usual size of an entry; one that passes this is not an answer.
const MAX_BODY_BYTES: usize = 16 << 20;

/// The vendor's longest advice on waiting is hours (a quota); a server that asks for more in a header is ignored.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// Connecting takes a few round trips; a host that needs longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. A request that is written just as the other side closes an idle connection
/// ends as `Lost`, in doubt although nobody read it; so ours closes first. Of the common servers' own limits
/// Apache's is the shortest (`KeepAliveTimeout`, 5 s).
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A redirect's target longer than this is no address that anybody would copy.
const MAX_TARGET_CHARS: usize = 300;

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
}

/// Prints no secret: a proxy's address may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { endpoint, credentials, ca_cert_pem, proxy, environment_proxy, timeout, concurrency } =
            self;
        f.debug_struct("Settings")
            .field("endpoint", endpoint)
            .field("credentials", credentials)
            .field("ca_cert_pem", &ca_cert_pem.is_some())
            .field("proxy", &proxy.as_ref().map(|_| "[redacted]"))
            .field("environment_proxy", environment_proxy)
            .field("timeout", timeout)
            .field("concurrency", concurrency)
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
    /// Anything else while TLS is set up, most often a system without any root certificate.
    #[error("TLS cannot be set up: {0}\n  hint: install the system's CA certificates, or give --ca-cert")]
    Tls(String),
}

/// A client of one service under one account. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    credentials: Option<Credentials>,
    proxied: bool,
}

impl Client {
    /// Sets up TLS and the connection pool; nothing is sent.
    pub fn new(settings: Settings) -> Result<Client, ClientError> {
        // Err means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Settings { endpoint, credentials, ca_cert_pem, proxy, environment_proxy, timeout, concurrency } =
            settings;
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
        Ok(Client { http, endpoint, credentials, proxied })
    }

    /// Asks about one batch, once.
    pub async fn ask(&self, batch: &Batch) -> Result<Reply, Fault> {
        let mut request = self
            .http
            .post(self.endpoint.join(wire::BULK_PATH))
            .header(CONTENT_TYPE, "application/json")
            .body(wire::question(batch));
        if let Some(Credentials { username, password }) = &self.credentials {
            request = request.basic_auth(username, Some(password.reveal()));
        }
        let response = request.send().await.map_err(|e| fault_of_send(&e))?;
        match response.status() {
            StatusCode::OK => {
                let body = read_whole(response).await.map_err(|why| Fault::BrokenBody { why })?;
                wire::reply(&body, batch.kind()).map_err(|why| Fault::BrokenBody { why })
            }
            status => Err(self.fault_of_status(status, response).await),
        }
    }

    async fn fault_of_status(&self, status: StatusCode, response: Response) -> Fault {
        let headers = response.headers().clone();
        let retry_after = retry_after(&headers);
        // The body only tells the kinds of 404 and 429 apart; if it does not arrive, it tells nothing.
        let body = read_whole(response).await.unwrap_or_default();
        match status.as_u16() {
            300..=399 => Fault::Redirect { to: location(&headers) },
            400 => Fault::BadRequest,
            401 => Fault::Unauthorized,
            403 => Fault::Forbidden,
            404 => Fault::NotFound { looks_like_the_api: is_empty_or_json(&body) },
            408 | 502 | 504 => Fault::Gateway { status: status.as_u16() },
            413 => Fault::TooLarge,
            429 if names_the_rate(&body) => Fault::RateLimited { retry_after },
            429 => Fault::QuotaOrUnclear { retry_after },
            503 => Fault::Unavailable { retry_after, proxied: self.proxied },
            500..=599 => Fault::Server { status: status.as_u16(), proxied: self.proxied },
            other => Fault::OtherStatus { status: other },
        }
    }
}

/// The whole body within the size limit, or what went wrong.
async fn read_whole(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY_BYTES => {
                return Err(format!("it is larger than {MAX_BODY_BYTES} bytes"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(e) if e.is_timeout() => return Err("it did not end within the time limit".to_owned()),
            Err(e) => return Err(format!("it was cut: {}", innermost(&e))),
        }
    }
}

/// A failure without a status. What never became a connection cost nothing; anything later may have.
fn fault_of_send(error: &reqwest::Error) -> Fault {
    if !error.is_connect() {
        return if error.is_timeout() { Fault::Timeout } else { Fault::Lost { why: innermost(error) } };
    }
    if error.is_timeout() {
        return Fault::ConnectTimeout;
    }
    if error.is_dns() {
        return Fault::Dns;
    }
    let mut cause = cause_of(error);
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Fault::Tls { why: tls.to_string() };
        }
        let io = inner.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Fault::Refused;
        }
        cause = cause_of(inner);
    }
    Fault::NoConnection { why: innermost(error) }
}

/// The last cause, which names the trouble; the outer ones repeat the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = cause_of(last) {
        last = inner;
    }
    last.to_string()
}

/// What an error wraps. An `io::Error` passes over the error that it wraps and names that one's cause as its own,
/// and the TLS library's error comes wrapped in two of them.
fn cause_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// No source promises `Retry-After`; if it comes in seconds it is honoured, capped. The date form needs a clock
/// and is left to the caller's own backoff.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The target without what may be secret in it: user and password, query, fragment.
fn location(headers: &HeaderMap) -> String {
    let Some(target) = headers.get(LOCATION) else { return "an address it does not name".to_owned() };
    let target = String::from_utf8_lossy(target.as_bytes());
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let start = target.find("//").map_or(target.len(), |at| at + 2);
    let end = target[start..].find('/').map_or(target.len(), |at| start + at);
    let (scheme, path) = (&target[..start], &target[end..]);
    let authority = match target[start..end].rsplit_once('@') {
        Some((_, host)) => format!("[redacted]@{host}"),
        None => target[start..end].to_owned(),
    };
    format!("{scheme}{authority}{path}").chars().take(MAX_TARGET_CHARS).collect()
}

fn is_empty_or_json(body: &[u8]) -> bool {
    body.trim_ascii().is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// `{"message": "Rate limit exceeded"}` in any letter case (vendor, troubleshooting: 429).
fn names_the_rate(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("rate limit exceeded")
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
