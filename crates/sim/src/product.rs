//! What the vendor sells: the products that an account may be entitled to, and by which usage is counted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A product of the service. It prints as its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Product {
    /// File reputation, in any dialect.
    #[serde(rename = "TCA-0101")]
    FileReputation,
    /// File analysis reports.
    #[serde(rename = "TCA-0104")]
    FileAnalysis,
    /// Usage and limits. Its requests show in the usage but cost no quota.
    #[serde(rename = "TCA-9999")]
    CustomerUsage,
    /// The TAXII feed. Pages of objects are charged; what only describes the feed is not.
    #[serde(rename = "TCTF-0001")]
    Feed,
}

impl Product {
    /// All of them, in the order in which usage is listed.
    pub const ALL: [Product; 4] =
        [Product::FileReputation, Product::FileAnalysis, Product::CustomerUsage, Product::Feed];

    /// As contracts name it.
    pub fn code(self) -> &'static str {
        match self {
            Product::FileReputation => "TCA-0101",
            Product::FileAnalysis => "TCA-0104",
            Product::CustomerUsage => "TCA-9999",
            Product::Feed => "TCTF-0001",
        }
    }

    /// As usage and limits name it: the code, a space and a name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Product::FileReputation => "TCA-0101 File Reputation",
            Product::FileAnalysis => "TCA-0104 File Analysis",
            Product::CustomerUsage => "TCA-9999 Customer Usage",
            Product::Feed => "TCTF-0001 Ransomware Indicators TAXII Feed",
        }
    }

    /// Whether quota is paid for it.
    pub(crate) fn is_charged(self) -> bool {
        self != Product::CustomerUsage
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
