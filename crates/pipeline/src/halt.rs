//! The ends that a run may come to before its digests do.

use hashsweep_model::Stamp;
use hashsweep_spectra::Fault;

/// Why nothing more is asked in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// The kind of end.
    pub kind: HaltKind,
    /// The fault that brought it; none where our own books did.
    pub fault: Option<Fault>,
    /// Whether the service had answered anything in this run before.
    pub after_an_answer: bool,
    /// When a used-up quota begins anew, as far as is known.
    pub resets_at: Option<Stamp>,
}

/// The kinds of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltKind {
    /// 401, 403.
    Credentials,
    /// No connection from the start.
    Unreachable,
    /// Something answers there, but not the service.
    WrongEndpoint,
    /// The service does not take our questions at all.
    Refused,
    /// The quota is used up, by the service's word or by our own books.
    Quota,
    /// A 429 that no reset lifts, from a service that does not tell its limits.
    Licence,
    /// What this run may spend is spent.
    Budget,
    /// Something is to be left of the quota, and nobody can say how much there is.
    NoLimits,
    /// The service has failed for too long.
    Unavailable,
}

impl HaltKind {
    /// Whether a run that ends so before any answer has not really run: something has to be mended first. An
    /// exhausted quota or a long outage is nobody's mistake, and leaves an ordinary, incomplete sweep.
    pub fn is_fatal(self) -> bool {
        match self {
            HaltKind::Credentials
            | HaltKind::Unreachable
            | HaltKind::WrongEndpoint
            | HaltKind::Refused
            | HaltKind::NoLimits => true,
            HaltKind::Quota | HaltKind::Licence | HaltKind::Budget | HaltKind::Unavailable => false,
        }
    }

    /// The `reason` of what is deferred by it.
    pub fn word(self) -> &'static str {
        match self {
            HaltKind::Credentials => "credentials",
            HaltKind::Unreachable => "service unreachable",
            HaltKind::WrongEndpoint => "wrong endpoint",
            HaltKind::Refused => "refused by the service",
            HaltKind::Quota => "quota",
            HaltKind::Licence => "quota or licence",
            HaltKind::Budget => "budget",
            HaltKind::NoLimits => "limits unknown",
            HaltKind::Unavailable => "service unavailable",
        }
    }
}
