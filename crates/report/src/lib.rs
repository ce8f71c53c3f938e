//! Rows into text: CSV, JSONL, enriched lists, manifests, the page, the findings table and the summary.
//!
//! Everything here takes the model's nouns and writes to an [`io::Write`](std::io::Write). It does not know that a
//! network, a database or a terminal exists, and it never reads a clock: whoever calls it says how wide the screen
//! is, whether colour is wanted and how long things took.
//!
//! ```text
//!            ┌─► CsvReport, JsonlReport     the seventeen columns
//!            ├─► ParquetReport              the same with types
//!  Row ──────┼─► ListCsv, ListJsonl         the user's own list, with ours appended
//!            ├─► Overview ─► Page           the HTML file that people look at
//!            ├─► Ticket                     the summary and the worst findings as Markdown
//!            ├─► Sarif, Stix                findings for pipelines and for threat intelligence
//!            ├─► Bodyfile, Dfxml            files for forensic tools
//!            ├─► Seal ─► write_evidence     the sweep's manifest, sealed with a digest over its rows
//!            └─► Findings                   the table on a screen
//!  digests ────► Manifest                   what `hashsweep hash` prints
//!  Tally ──────► write_metrics              figures for Prometheus
//!  Tally ──────► Summary                    the bottom line and the books
//!  Row + Row ──► compare ─► Difference…     what happened between two sweeps
//! ```
//!
//! File names and the service's texts are hostile. Every one of them passes through [`safe`] on its way out;
//! numbers and our own words do not need to. What is promised to readers of the output is docs/output.md.

mod bodyfile;
mod columns;
mod csv;
mod dfxml;
mod difference;
mod emit;
mod evidence;
mod figures;
mod findings;
mod grid;
mod jsonl;
mod list;
mod manifest;
mod metrics;
mod page;
mod parquet;
mod record;
pub mod safe;
mod sarif;
mod stix;
mod summary;
mod ticket;

pub use bodyfile::Bodyfile;
pub use columns::{ListNames, when};
pub use csv::{CsvReport, CsvWords, ListCsv};
pub use dfxml::Dfxml;
pub use difference::{
    Change, Compared, Counts, Difference, DifferenceCsv, DifferenceJsonl, DifferenceSummary, Differences,
    LeftOut, Note, Side, TableLayout, Unseen, Which, compare,
};
pub use emit::Emit;
pub use evidence::{Labels, Seal, write_evidence};
pub use figures::{bytes, thousands};
pub use findings::{Findings, Layout, finding_line};
pub use jsonl::{JsonlReport, ListJsonl};
pub use list::ListHeader;
pub use manifest::{Format, Manifest};
pub use metrics::{Circumstances, write_metrics};
pub use page::{Overview, Page};
pub use parquet::ParquetReport;
pub use record::{Hashing, Progress, Record, Run};
pub use sarif::Sarif;
pub use stix::Stix;
pub use summary::{Figures, Speed, Summary, What};
pub use ticket::Ticket;

/// Stands wherever a person might take a simulated verdict for a real one.
pub const SIMULATED: &str = "SIMULATED VERDICTS: they say nothing about these files";
