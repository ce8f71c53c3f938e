//! The other side of the wire: a simulator of Spectra Intelligence with its own meter. It has file reputation,
//! analysis reports, usage and limits, a TAXII feed and an analysis appliance.
//!
//! It exists so that everything which asks the service can be tried, measured and demonstrated without an account.
//! It deliberately shares nothing with the client, not even the nouns: a misreading of the protocol that both
//! sides inherit from common code could never be noticed. Where the vendor's texts contradict one another the
//! [`World`] has a switch, because a client has to survive every reading.
//!
//! ```text
//!  socket ──► http, tls (read the clock, wait, cut) ──► Service::answer(request, now) ──► Response
//!                                                         │ door: path → which service
//!                                                         │ question, presence, report: hashes
//!                                                         │ usage, taxii, appliance: the rest
//!                                                         │ World: switches, script; Verdicts: hash → facts
//!                                                         │ tree: what is said, as JSON or as XML
//!                                                         └ books: rate, Witness; quota: days and limits
//! ```
//!
//! [`Service`] is the whole of the simulation as one synchronous function without clock or socket, so a test under
//! a paused clock can drive it in memory. [`Simulator`] is that function behind a loopback port.

mod appliance;
mod basic;
mod books;
mod calendar;
mod digest;
mod door;
mod entry;
mod exchange;
mod fault;
mod finding;
mod gzip;
mod http;
mod invented;
mod list;
mod presence;
mod product;
mod question;
mod quota;
mod refusal;
mod report;
mod service;
mod taxii;
#[cfg(feature = "tls")]
mod tls;
mod tree;
mod usage;
mod verdicts;
mod world;
mod world_file;
mod xml;

pub use appliance::Submission;
pub use books::{AccountTotals, Witness};
pub use exchange::{Body, Delivery, Moment, Request, Response};
pub use fault::{Cue, Fault, When};
pub use http::{ADVANCE_PATH, Listen, Simulator};
pub use invented::Shares;
pub use list::VerdictListError;
pub use product::Product;
pub use quota::{Period, Quota};
pub use service::{BODY_LIMIT, LEDGER_PATH, OPENAPI_PATH, Service, UPLOAD_LIMIT, Visit};
pub use verdicts::{Status, Verdicts};
pub use world::{
    Account, ChargeMode, Dialects, Duplicates, Feed, InvalidMode, OverLimit, Paging, RetryAfterForm,
    ScriptHits, UnknownMode, Uppercase, World,
};
pub use world_file::WorldFileError;
