//! Which rows an output shows. It knows verdicts only; where the rows come from and go to is not its business.

use hashsweep_model::{Row, Verdict};

/// A choice of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Every row.
    All,
    /// Malicious and suspicious.
    Findings,
    /// Rows whose verdict is `unknown`. A row that nobody answered for has no verdict and is not among them.
    Unknown,
}

impl Emit {
    /// Whether this row is wanted.
    pub fn wants(self, row: &Row) -> bool {
        match self {
            Emit::All => true,
            Emit::Findings => row.verdict() >= Some(Verdict::Suspicious),
            Emit::Unknown => row.verdict() == Some(Verdict::Unknown),
        }
    }
}
