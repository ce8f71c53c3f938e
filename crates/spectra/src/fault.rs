//! What one failed attempt says about itself.

use std::time::Duration;

/// Every way an attempt can end without a usable answer. The message names cause and next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// 400: the service could not read the request.
    #[error("the service refused the request as malformed (400)")]
    BadRequest,
    /// 401.
    #[error(
        "the service refused the credentials (401)\n  hint: check user name and password; a suspended account gets the same answer"
    )]
    Unauthorized,
    /// 403.
    #[error(
        "the account may not use this service (403)\n  hint: check that the contract covers TCA-0101 and that the user name has the right company part (u/COMPANY/NAME)"
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
    #[error("the service found the batch too large (413)")]
    TooLarge,
    /// 429 whose body names the rate.
    #[error("the service asks us to slow down (429)")]
    RateLimited {
        /// What `Retry-After` asked for, if it came.
        retry_after: Option<Duration>,
    },
    /// 429 that does not say which limit it means: quota, as the vendor describes it, or an expired licence.
    #[error("the quota is used up, or the licence of an appliance has expired (429)")]
    QuotaOrUnclear {
        /// What `Retry-After` asked for, if it came.
        retry_after: Option<Duration>,
    },
    /// 500.
    #[error("the service failed ({status})")]
    Server {
        /// The status.
        status: u16,
        /// Whether a proxy stood between, so that the origin may have answered.
        proxied: bool,
    },
    /// 503.
    #[error("the service is overloaded or down for maintenance (503)")]
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
    #[error("the service answered with an unexpected status ({status})")]
    OtherStatus {
        /// The status.
        status: u16,
    },
    /// A 200 whose body is cut, too large, not JSON or of the wrong shape. Never a set of absences.
    #[error("the service's answer is broken: {why}")]
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
    #[error("the connection broke before an answer came: {why}")]
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
    /// TLS was not established.
    #[error(
        "no secure connection: {why}\n  hint: behind a TLS-inspecting proxy give its root with --ca-cert; check that this machine's clock is right"
    )]
    Tls {
        /// The TLS library's words.
        why: String,
    },
    /// Any other failure before the connection was usable.
    #[error("no connection: {why}")]
    NoConnection {
        /// The system's words.
        why: String,
    },
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
            Fault::Unauthorized | Fault::Forbidden | Fault::Redirect { .. } | Fault::OtherStatus { .. } => {
                Remedy::Halt
            }
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
            | Fault::Tls { .. }
            | Fault::NoConnection { .. } => Booking::Nothing,
        }
    }

    /// Whether no connection came to be: on the first request of a run there is then nothing to wait for.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Fault::ConnectTimeout
                | Fault::Refused
                | Fault::Dns
                | Fault::Tls { .. }
                | Fault::NoConnection { .. }
        )
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
            Fault::Tls { .. } => "tls".into(),
            Fault::NoConnection { .. } => "no connection".into(),
        }
    }
}
