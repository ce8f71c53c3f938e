//! What one failed attempt says about itself.

use hashsweep_model::HashKind;
use std::time::Duration;

/// Every way an attempt can end without a usable answer. The message names cause and next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// 400: the service could not read the request.
    #[error(
        "the service refused the request as malformed (400)\n  hint: an older service may want the content type application/octet-stream, which is a setting"
    )]
    BadRequest,
    /// 401.
    #[error(
        "the service refused the credentials (401)\n  hint: check user name and password; a suspended account gets the same answer, which the vendor's support can tell"
    )]
    Unauthorized,
    /// 403.
    #[error(
        "the account may not use this service (403)\n  hint: check that the contract covers what was asked (TCA-0101 for lookups, TCA-0104 for details, TCA-9999 for usage) and that the user name has the right company part (u/COMPANY/NAME)"
    )]
    Forbidden,
    /// 404. Nothing is concluded from it here.
    #[error(
        "nothing answers at this address (404)\n  hint: check --api-url; it wants the host of the API, not of the portal"
    )]
    NotFound {
        /// Whether the body was empty or JSON, as the API's own would be; a portal or proxy sends HTML.
        looks_like_the_api: bool,
    },
    /// 3xx. Never followed, so that credentials go nowhere else.
    #[error("the service redirects to {to}\n  hint: if that is where the API lives, give it as --api-url")]
    Redirect {
        /// The target as sent, or a word for its lack.
        to: String,
    },
    /// 413: more than 100 hashes, which is a bug of ours.
    #[error(
        "the service found the batch too large (413)\n  hint: it takes 100 hashes; a proxy that takes less is served by a smaller --batch-size"
    )]
    TooLarge,
    /// 429 whose body names the rate.
    #[error("the service asks us to slow down (429)\n  hint: set --rate below what the contract allows")]
    RateLimited {
        /// What `Retry-After` asked for, if it came.
        retry_after: Option<Duration>,
    },
    /// 429 that does not say which limit it means: quota, as the vendor describes it, or an expired licence.
    #[error(
        "the quota is used up, or the licence of an appliance has expired (429)\n  hint: daily quotas reset at 00:00 UTC, monthly ones on the first of the month; `hashsweep quota` shows the account's"
    )]
    QuotaOrUnclear {
        /// What `Retry-After` asked for, if it came.
        retry_after: Option<Duration>,
    },
    /// 500.
    #[error(
        "the service failed ({status})\n  hint: it is the service's trouble; `hashsweep resume` asks again later"
    )]
    Server {
        /// The status.
        status: u16,
        /// Whether a proxy stood between, so that the origin may have answered.
        proxied: bool,
    },
    /// 503.
    #[error(
        "the service is overloaded or down for maintenance (503)\n  hint: a large batch may be what it cannot serve; try a smaller --batch-size"
    )]
    Unavailable {
        /// What `Retry-After` asked for, if it came.
        retry_after: Option<Duration>,
        /// Whether a proxy stood between, so that the origin may have answered.
        proxied: bool,
    },
    /// 408, 502, 504: somebody between gave up while the service may have answered.
    #[error(
        "a gateway gave up waiting for the service ({status})\n  hint: a proxy may cut long requests; try a smaller --batch-size"
    )]
    Gateway {
        /// The status.
        status: u16,
    },
    /// Any other status.
    #[error("{}", about_status(*status))]
    OtherStatus {
        /// The status.
        status: u16,
    },
    /// A 200 whose body is cut, too large, not JSON or of the wrong shape. Never a set of absences.
    #[error(
        "the service's answer is broken: {why}\n  hint: a proxy or a login page may stand between; check --api-url and --proxy"
    )]
    BrokenBody {
        /// What is wrong with it.
        why: String,
    },
    /// No status within the time limit.
    #[error(
        "no answer within the time limit\n  hint: --timeout raises it; a proxy may be holding the request"
    )]
    Timeout,
    /// The connection broke after the request had begun to leave.
    #[error(
        "the connection broke before an answer came: {why}\n  hint: a proxy or firewall may cut connections; check --proxy"
    )]
    Lost {
        /// The system's words.
        why: String,
    },
    /// The connection was not made within its time limit.
    #[error(
        "no connection within the time limit\n  hint: a firewall may drop the packets; check --api-url and --proxy"
    )]
    ConnectTimeout,
    /// Nobody listens there.
    #[error("the connection was refused\n  hint: check --api-url and --proxy")]
    Refused,
    /// The name does not resolve.
    #[error(
        "the host name does not resolve\n  hint: check --api-url and the DNS settings; behind a proxy, set --proxy or HTTPS_PROXY"
    )]
    Dns,
    /// The proxy did not connect us to the service, or wants to know who we are.
    #[error("{}", about_proxy(*wants_credentials))]
    ProxyRefused {
        /// 407, as opposed to any other refusal.
        wants_credentials: bool,
    },
    /// The certificate is from nobody that this machine trusts.
    #[error(
        "no secure connection: nobody this machine trusts has signed the certificate ({why})\n  hint: behind a TLS-inspecting proxy or for an appliance give its root with --ca-cert, or install the system's CA certificates"
    )]
    Issuer {
        /// The TLS library's words.
        why: String,
    },
    /// The certificate has expired or is not valid yet, by this machine's clock.
    #[error(
        "no secure connection: by this machine's clock the certificate is out of date ({why})\n  hint: check the clock first (`timedatectl status`); if it is right, whoever runs the service or the inspecting proxy must renew the certificate"
    )]
    Clock {
        /// The TLS library's words, with both moments where it knows them.
        why: String,
    },
    /// TLS was not established for another reason.
    #[error(
        "no secure connection: {why}\n  hint: behind a TLS-inspecting proxy give its root with --ca-cert; check --api-url, and that this machine's clock is right"
    )]
    Tls {
        /// The TLS library's words.
        why: String,
    },
    /// Any other failure before the connection was usable.
    #[error("no connection: {why}\n  hint: check the network, --api-url and --proxy")]
    NoConnection {
        /// The system's words.
        why: String,
    },
    /// The dialect has no way to ask by this kind. Nothing was sent.
    #[error(
        "the quick-start dialect cannot ask by {kind}\n  hint: it knows sha1 only; hash by sha1 or use the default --dialect"
    )]
    CannotAsk {
        /// The kind that was to be asked by.
        kind: HashKind,
    },
}

/// The statuses that nobody expects of a well-formed request (vendor, "General information", status codes).
fn about_status(status: u16) -> String {
    let (what, hint) = match status {
        405 => (
            "does not take this method at this address",
            "check --api-url and --dialect; a proxy may rewrite requests",
        ),
        409 => (
            "finds the request in conflict with its state",
            "the vendor's support can tell; asking again does not help",
        ),
        415 => (
            "does not take this content type",
            "the content type is a setting: application/json or application/octet-stream",
        ),
        422 => (
            "can read the request but not follow it",
            "check --dialect; an appliance may know fewer services than the cloud",
        ),
        200..=299 => ("answers without an answer", "a proxy or another service may stand at --api-url"),
        _ => ("answered with an unexpected status", "check --api-url and --proxy"),
    };
    format!("the service {what} ({status})\n  hint: {hint}")
}

fn about_proxy(wants_credentials: bool) -> &'static str {
    if wants_credentials {
        "the proxy wants a user name and password (407)\n  hint: put them into HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT)"
    } else {
        "the proxy refused to connect to the service\n  hint: the proxy's rules must allow CONNECT to the service's host and port; check --proxy and --api-url"
    }
}

/// What a fault asks for. Whoever waits decides how often and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Ask the same batch again after a while; everybody else goes on.
    Again,
    /// Everybody slows down, then the same batch again.
    SlowDown {
        /// The service's own wish, if it said one.
        retry_after: Option<Duration>,
    },
    /// Ask in smaller batches.
    Split,
    /// A 404: a verdict, or a wrong address, as rule 3 of asking says.
    Judge404,
    /// Quota: stop sending.
    Quota,
    /// Nothing more can be asked in this run.
    Halt,
}

/// How an attempt that ended in this fault stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booking {
    /// Not charged.
    Nothing,
    /// A 200 was seen: every hash sent may be charged.
    Charged,
    /// Nobody saw the status: it may or may not be charged.
    InDoubt,
}

impl Fault {
    /// What it asks for.
    pub fn remedy(&self) -> Remedy {
        match self {
            Fault::BadRequest | Fault::TooLarge => Remedy::Split,
            Fault::Unauthorized
            | Fault::Forbidden
            | Fault::Redirect { .. }
            | Fault::OtherStatus { .. }
            | Fault::CannotAsk { .. } => Remedy::Halt,
            Fault::NotFound { .. } => Remedy::Judge404,
            Fault::RateLimited { retry_after } | Fault::Unavailable { retry_after, .. } => {
                Remedy::SlowDown { retry_after: *retry_after }
            }
            Fault::QuotaOrUnclear { .. } => Remedy::Quota,
            Fault::Server { .. }
            | Fault::Gateway { .. }
            | Fault::BrokenBody { .. }
            | Fault::Timeout
            | Fault::Lost { .. } => Remedy::Again,
            // The network is everybody's: hammering a dead link batch by batch would burn every batch's budget.
            Fault::ConnectTimeout
            | Fault::Refused
            | Fault::Dns
            | Fault::ProxyRefused { .. }
            | Fault::Issuer { .. }
            | Fault::Clock { .. }
            | Fault::Tls { .. }
            | Fault::NoConnection { .. } => Remedy::SlowDown { retry_after: None },
        }
    }

    /// What it may have cost.
    pub fn booking(&self) -> Booking {
        match self {
            Fault::BrokenBody { .. } => Booking::Charged,
            Fault::Gateway { .. }
            | Fault::Timeout
            | Fault::Lost { .. }
            | Fault::Server { proxied: true, .. }
            | Fault::Unavailable { proxied: true, .. } => Booking::InDoubt,
            Fault::BadRequest
            | Fault::Unauthorized
            | Fault::Forbidden
            | Fault::NotFound { .. }
            | Fault::Redirect { .. }
            | Fault::TooLarge
            | Fault::RateLimited { .. }
            | Fault::QuotaOrUnclear { .. }
            | Fault::Server { proxied: false, .. }
            | Fault::Unavailable { proxied: false, .. }
            | Fault::OtherStatus { .. }
            | Fault::ConnectTimeout
            | Fault::Refused
            | Fault::Dns
            | Fault::ProxyRefused { .. }
            | Fault::Issuer { .. }
            | Fault::Clock { .. }
            | Fault::Tls { .. }
            | Fault::NoConnection { .. }
            | Fault::CannotAsk { .. } => Booking::Nothing,
        }
    }

    /// Whether no connection came to be: on the first request of a run there is then nothing to wait for.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Fault::ConnectTimeout
                | Fault::Refused
                | Fault::Dns
                | Fault::ProxyRefused { .. }
                | Fault::Issuer { .. }
                | Fault::Clock { .. }
                | Fault::Tls { .. }
                | Fault::NoConnection { .. }
        )
    }

    /// Whether asking again may end otherwise: the trouble is the moment's, not the address's or the account's.
    pub fn may_pass(&self) -> bool {
        match self.remedy() {
            Remedy::Again | Remedy::SlowDown { .. } => true,
            Remedy::Split | Remedy::Judge404 | Remedy::Quota | Remedy::Halt => false,
        }
    }

    /// Whether the service refused who we are.
    pub fn is_about_credentials(&self) -> bool {
        matches!(self, Fault::Unauthorized | Fault::Forbidden)
    }

    /// One or two words for the `reason` column and the ledger.
    pub fn word(&self) -> String {
        match self {
            Fault::BadRequest => "400".into(),
            Fault::Unauthorized => "401".into(),
            Fault::Forbidden => "403".into(),
            Fault::NotFound { .. } => "404".into(),
            Fault::Redirect { .. } => "redirect".into(),
            Fault::TooLarge => "413".into(),
            Fault::RateLimited { .. } => "429 rate".into(),
            Fault::QuotaOrUnclear { .. } => "429 quota".into(),
            Fault::Unavailable { .. } => "503".into(),
            Fault::Server { status, .. } | Fault::Gateway { status } | Fault::OtherStatus { status } => {
                status.to_string()
            }
            Fault::BrokenBody { .. } => "broken body".into(),
            Fault::Timeout => "timeout".into(),
            Fault::Lost { .. } => "connection lost".into(),
            Fault::ConnectTimeout => "connect timeout".into(),
            Fault::Refused => "refused".into(),
            Fault::Dns => "dns".into(),
            Fault::ProxyRefused { wants_credentials: true } => "407".into(),
            Fault::ProxyRefused { wants_credentials: false } => "proxy refused".into(),
            Fault::Issuer { .. } => "tls issuer".into(),
            Fault::Clock { .. } => "tls clock".into(),
            Fault::Tls { .. } => "tls".into(),
            Fault::NoConnection { .. } => "no connection".into(),
            Fault::CannotAsk { .. } => "cannot ask".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_fault() -> Vec<Fault> {
        let why = || "why".to_owned();
        let statuses = [202, 405, 406, 409, 415, 418, 422];
        let mut faults: Vec<Fault> = statuses.map(|status| Fault::OtherStatus { status }).into();
        faults.extend([true, false].map(|wants_credentials| Fault::ProxyRefused { wants_credentials }));
        faults.extend([
            Fault::BadRequest,
            Fault::Unauthorized,
            Fault::Forbidden,
            Fault::NotFound { looks_like_the_api: true },
            Fault::Redirect { to: "https://portal.example".to_owned() },
            Fault::TooLarge,
            Fault::RateLimited { retry_after: None },
            Fault::QuotaOrUnclear { retry_after: None },
            Fault::Server { status: 500, proxied: false },
            Fault::Unavailable { retry_after: None, proxied: false },
            Fault::Gateway { status: 504 },
            Fault::BrokenBody { why: why() },
            Fault::Timeout,
            Fault::Lost { why: why() },
            Fault::ConnectTimeout,
            Fault::Refused,
            Fault::Dns,
            Fault::Issuer { why: why() },
            Fault::Clock { why: why() },
            Fault::Tls { why: why() },
            Fault::NoConnection { why: why() },
            Fault::CannotAsk { kind: HashKind::Md5 },
        ]);
        faults
    }

    #[test]
    fn every_fault_names_cause_and_next_step_in_a_message_of_its_own() {
        let mut messages = std::collections::BTreeSet::new();
        for fault in every_fault() {
            let message = fault.to_string();
            let Some((cause, hint)) = message.split_once("\n  hint: ") else { panic!("no hint: {message}") };
            for line in [cause, hint] {
                assert!(!line.is_empty() && !line.ends_with('.') && !line.contains('\n'), "{line:?}");
                assert!(!line.starts_with(char::is_uppercase), "{line:?}");
            }
            assert!(messages.insert(message.clone()), "said of two faults: {message}");
            assert!(!fault.word().is_empty());
        }
    }

    /// What was never sent, or was refused, costs nothing; only what may have been answered may cost.
    #[test]
    fn what_never_became_a_connection_costs_nothing() {
        for fault in every_fault() {
            if fault.is_unreachable() {
                assert_eq!(fault.booking(), Booking::Nothing, "{fault:?}");
                assert_eq!(fault.remedy(), Remedy::SlowDown { retry_after: None }, "{fault:?}");
            }
        }
    }
}
