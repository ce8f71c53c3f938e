//! What asking costs, in the three readings that the vendor's documents leave open.

use std::ops::{Add, AddAssign};

/// Quota units, counted three ways because the sources disagree (see docs/output.md, "Quota").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Valid hashes sent in requests that got a 200 status line, whatever its body.
    pub charged_max: u64,
    /// Entries returned with a status other than UNKNOWN.
    pub charged_min: u64,
    /// Valid hashes sent whose fate nobody saw: the service may have charged them.
    pub in_doubt: u64,
}

impl Quota {
    /// The figure budgets are enforced on.
    pub fn at_most(&self) -> u64 {
        self.charged_max + self.in_doubt
    }
}

impl Add for Quota {
    type Output = Quota;

    fn add(self, other: Quota) -> Quota {
        Quota {
            charged_max: self.charged_max + other.charged_max,
            charged_min: self.charged_min + other.charged_min,
            in_doubt: self.in_doubt + other.in_doubt,
        }
    }
}

impl AddAssign for Quota {
    fn add_assign(&mut self, other: Quota) {
        *self = *self + other;
    }
}
