//! What can be typed after `hashsweep sim`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub(crate) listen: std::net::SocketAddr,
    /// Speak https, with a certificate authority made at the start
    #[arg(long)]
    pub(crate) tls: bool,
    /// Write the certificate authority there (PEM), for --ca-cert
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) ca_out: Option<PathBuf>,
    /// Read the simulated world from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) switches: Switches,
}

/// The switches of a world file, each over what the file says.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "these are help texts")]
#[command(next_help_heading = "Switches (docs/simulator.md)")]
pub(crate) struct Switches {
    /// entry, omit, list, http404_if_all
    #[arg(long)]
    pub(crate) unknown_mode: Option<String>,
    /// list, omit, http400
    #[arg(long)]
    pub(crate) invalid_mode: Option<String>,
    /// sent, returned_all, returned_found
    #[arg(long)]
    pub(crate) charge_mode: Option<String>,
    /// shuffle, request
    #[arg(long)]
    pub(crate) order: Option<String>,
    /// once, each
    #[arg(long)]
    pub(crate) duplicates: Option<String>,
    /// accept, invalid
    #[arg(long)]
    pub(crate) uppercase: Option<String>,
    /// 413, truncate
    #[arg(long)]
    pub(crate) over_limit: Option<String>,
    /// Requests a second, or off
    #[arg(long)]
    pub(crate) rate_limit_rps: Option<String>,
    /// off, seconds, date
    #[arg(long)]
    pub(crate) retry_after: Option<String>,
    /// Seconds that Retry-After asks for
    #[arg(long)]
    pub(crate) retry_after_s: Option<i64>,
    /// A batch that passes the quota is charged up to it
    #[arg(long)]
    pub(crate) allow_last: bool,
    /// Optional fields come as null, as appliances send them
    #[arg(long)]
    pub(crate) null_fields: bool,
    /// Answers are compressed for whoever accepts it
    #[arg(long)]
    pub(crate) gzip: bool,
    /// malware_presence, quickstart, both
    #[arg(long = "dialects")]
    pub(crate) dialect: Option<String>,
    /// Milliseconds before an answer
    #[arg(long)]
    pub(crate) latency_ms: Option<i64>,
    /// The moment at which the simulated clock starts
    #[arg(long)]
    pub(crate) starts_at: Option<String>,
    /// drawn, demo
    #[arg(long)]
    pub(crate) verdicts: Option<String>,
    /// Units a day that everybody shares
    #[arg(long)]
    pub(crate) quota_daily: Option<i64>,
    /// Units a month that everybody shares
    #[arg(long)]
    pub(crate) quota_monthly: Option<i64>,
}
