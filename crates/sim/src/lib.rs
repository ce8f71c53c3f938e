//! The other side of the wire: a simulator of Spectra Intelligence's file reputation service, with its own meter.
//!
//! It exists so that everything which asks the service can be tried, measured and demonstrated without an account.
//! It deliberately shares nothing with the client, not even the nouns: a misreading of the protocol that both
//! sides inherit from common code could never be noticed. Where the vendor's texts contradict one another the
//! [`World`] has a switch, because a client has to survive every reading.
//!
//! ```text
//!  socket ──► http (reads the clock, waits, cuts) ──► Service::answer(request, now) ──► Response
//!                                                        │ World: switches, script
//!                                                        │ Verdicts: hash → facts
//!                                                        └ books: rate, quota, Witness
//! ```
//!
//! [`Service`] is the whole of the simulation as one synchronous function without clock or socket, so a test under
//! a paused clock can drive it in memory. [`Simulator`] is that function behind a loopback port.

mod basic;
mod books;
mod digest;
mod entry;
mod exchange;
mod fault;
mod http;
mod invented;
mod list;
mod presence;
mod refusal;
mod service;
mod verdicts;
mod world;

pub use books::{AccountTotals, Witness};
pub use exchange::{Body, Delivery, Moment, Request, Response};
pub use fault::{Cue, Fault, When};
pub use http::Simulator;
pub use list::VerdictListError;
pub use service::{BODY_LIMIT, LEDGER_PATH, Service, Visit};
pub use verdicts::{Status, Verdicts};
pub use world::{Account, ChargeMode, InvalidMode, UnknownMode, World};
