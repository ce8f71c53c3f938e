//! Where the service is, and which service that makes it.

use std::fmt;
use url::{Host, Url};

/// The vendor's public host (vendor, "General information").
pub const DEFAULT_URL: &str = "https://data.reversinglabs.com";

/// A checked base URL: https anywhere, http to loopback only, no user or password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: Url,
}

/// Why a text is no usable base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL.
    #[error("'{0}' is not a URL; write https://HOST")]
    NotAUrl(String),
    /// A user or password stands in it.
    #[error(
        "the API URL holds a user name or password\n  hint: put credentials into SPECTRA_USERNAME and SPECTRA_PASSWORD or a credentials file"
    )]
    Userinfo,
    /// A query or a fragment stands in it, which the API's own paths would replace.
    #[error("the API URL holds a query or a fragment; it wants only scheme, host and perhaps a path")]
    Query,
    /// http to somewhere else than this machine.
    #[error("plain http would send credentials in the clear to '{0}'; use https (http is for loopback only)")]
    PlainHttp(String),
    /// Neither http nor https.
    #[error("'{0}' is not a scheme of the service; use https")]
    Scheme(String),
}

impl Endpoint {
    /// Checks and keeps the URL.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let mut base = Url::parse(text).map_err(|_| EndpointError::NotAUrl(without_userinfo(text)))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(EndpointError::Userinfo);
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        match base.scheme() {
            "https" if base.host().is_some() => {}
            "http" if is_loopback(&base) => {}
            "http" => return Err(EndpointError::PlainHttp(base.host_str().unwrap_or("").to_owned())),
            other => return Err(EndpointError::Scheme(other.to_owned())),
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(Endpoint { base })
    }

    /// Who answers there, for a case that must not mix services: the host without its port; all loopback
    /// addresses are one.
    pub fn identity(&self) -> String {
        if is_loopback(&self.base) { "loopback".to_owned() } else { self.host().to_ascii_lowercase() }
    }

    /// The host, as messages name it.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or("")
    }

    /// Whether TLS protects the way there.
    pub fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// An absolute URL below the base.
    pub(crate) fn join(&self, path_and_query: &str) -> Url {
        self.base.join(path_and_query).expect("our own relative paths are valid URLs")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A text that may hold a password, made fit for an error message.
fn without_userinfo(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.find("://"), text.rfind('@')) {
        (_, None) => text.to_owned(),
        (scheme, Some(at)) => {
            format!("{}[redacted]{}", &text[..scheme.map_or(0, |i| (i + 3).min(at))], &text[at..])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let got = Endpoint::parse(text).map(|e| e.identity()).map_err(|e| e.to_string());
        match expected {
            Ok(identity) => assert_eq!(got.as_deref(), Ok(identity), "for {text}"),
            Err(part) => assert!(got.as_ref().is_err_and(|e| e.contains(part)), "{got:?} for {text}"),
        }
    }

    #[test]
    fn only_safe_urls_pass() {
        check(DEFAULT_URL, Ok("data.reversinglabs.com"));
        check("https://T1000.example:8443/prefix", Ok("t1000.example"));
        check("http://127.0.0.1:9", Ok("loopback"));
        check("http://127.8.7.6:9/x", Ok("loopback"));
        check("http://[::1]:9", Ok("loopback"));
        check("https://localhost", Ok("loopback"));
        check("http://example.com", Err("plain http"));
        check("http://127.0.0.1.example.com", Err("plain http"));
        check("ftp://example.com", Err("not a scheme"));
        check("https://example.com/?token=x", Err("query or a fragment"));
        check("https://example.com/#x", Err("query or a fragment"));
        check("example.com", Err("is not a URL"));
        check("https://u:secret@example.com", Err("SPECTRA_PASSWORD"));
    }

    #[test]
    fn no_message_repeats_a_password() {
        for text in ["https://u:secret@example.com", "http//u:secret@example.com", "u:secret@[bad"] {
            let message = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_path_prefix_is_kept() {
        let endpoint = Endpoint::parse("https://proxy.example/rl").unwrap();
        assert_eq!(endpoint.join("api/x?y=1").as_str(), "https://proxy.example/rl/api/x?y=1");
    }
}
