//! One attempt over HTTP: what leaves, and what its end is called.

use crate::wire::looks_like_the_api;
use crate::{Client, Credentials, Fault};
use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

/// An answer to 100 hashes is 60 kB at the usual size of an entry; one that passes this is not an answer.
const MAX_BODY_BYTES: usize = 16 << 20;

/// The documented body of a 429 has 34 bytes, and more than a page of JSON tells nobody more.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// The vendor's longest advice on waiting is hours (a quota); a server that asks for more in a header is ignored.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// A redirect's target longer than this is no address that anybody would copy.
const MAX_TARGET_CHARS: usize = 300;

impl Client {
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.signed(self.http.get(self.endpoint.join(path)))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.signed(self.http.post(self.endpoint.join(path)))
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Some(Credentials { username, password }) => request.basic_auth(username, Some(password.reveal())),
            None => request,
        }
    }

    /// Sends a question, once. What comes back has the status 200, and nothing of its body is read.
    pub(crate) async fn answered(&self, question: RequestBuilder) -> Result<Response, Fault> {
        let response = question.send().await.map_err(|e| fault_of_send(&e))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(self.fault_of_status(status, response).await),
        }
    }

    /// The whole body of the answer to a question.
    pub(crate) async fn body_of(&self, question: RequestBuilder) -> Result<Vec<u8>, Fault> {
        let response = self.answered(question).await?;
        read_whole(response, MAX_BODY_BYTES).await.map_err(|why| Fault::BrokenBody { why })
    }

    async fn fault_of_status(&self, status: StatusCode, response: Response) -> Fault {
        let headers = response.headers();
        let retry_after = retry_after(headers);
        match status.as_u16() {
            300..=399 => Fault::Redirect { to: location(headers) },
            400 => Fault::BadRequest,
            401 => Fault::Unauthorized,
            403 => Fault::Forbidden,
            404 => {
                let body = read_whole(response, MAX_REFUSAL_BYTES).await;
                Fault::NotFound { looks_like_the_api: body.is_ok_and(|body| looks_like_the_api(&body)) }
            }
            407 => Fault::ProxyRefused { wants_credentials: true },
            408 | 502 | 504 => Fault::Gateway { status: status.as_u16() },
            413 => Fault::TooLarge,
            // If the body does not arrive, it does not name the rate.
            429 => match read_whole(response, MAX_REFUSAL_BYTES).await {
                Ok(body) if names_the_rate(&body) => Fault::RateLimited { retry_after },
                _ => Fault::QuotaOrUnclear { retry_after },
            },
            503 => Fault::Unavailable { retry_after, proxied: self.proxied },
            500..=599 => Fault::Server { status: status.as_u16(), proxied: self.proxied },
            other => Fault::OtherStatus { status: other },
        }
    }
}

/// The whole body, unpacked, within the size limit, or what went wrong.
async fn read_whole(mut response: Response, limit: usize) -> Result<Vec<u8>, String> {
    let too_large = || format!("it is larger than {limit} bytes");
    if response.content_length().is_some_and(|announced| announced > limit as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| broken_off(&e))? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How a body that began to come did not end.
pub(crate) fn broken_off(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "it did not end within the time limit".to_owned()
    } else {
        format!("it was cut: {}", innermost(error))
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
            return fault_of_tls(tls);
        }
        let io = inner.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return Fault::Refused;
        }
        // The connector's type for it is private; a test fails if its words change.
        match inner.to_string().as_str() {
            "tunnel error: proxy authorization required" => {
                return Fault::ProxyRefused { wants_credentials: true };
            }
            "tunnel error: unsuccessful" => return Fault::ProxyRefused { wants_credentials: false },
            _ => {}
        }
        cause = cause_of(inner);
    }
    Fault::NoConnection { why: innermost(error) }
}

fn fault_of_tls(error: &rustls::Error) -> Fault {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer};
    let why = error.to_string();
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => Fault::Issuer { why },
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => Fault::Clock { why },
        _ => Fault::Tls { why },
    }
}

/// The last cause, which names the trouble; the outer ones repeat the URL.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = cause_of(last) {
        last = inner;
    }
    last.to_string()
}

/// What an error wraps. An `io::Error` passes over the error that it wraps and names that one's cause as its own,
/// and the TLS library's error comes wrapped in two of them.
fn cause_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// No source promises `Retry-After`; if it comes it is honoured, capped, in both its forms. A date is held against
/// the server's own `Date`, which needs no clock of ours and forgives a wrong one of theirs; without that it says
/// nothing, and the caller's own backoff decides.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text: &str| -> Option<SystemTime> { httpdate::parse_http_date(text).ok() };
    let wish = text(RETRY_AFTER)?;
    let wait = match wish.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A moment that is over asks for no wait at all.
        Err(_) => date(wish)?.duration_since(date(text(DATE)?)?).unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
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

/// `{"message": "Rate limit exceeded"}` in any letter case (vendor, troubleshooting: 429).
fn names_the_rate(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("rate limit exceeded")
}
