//! One attempt against Spectra Intelligence.
//!
//! [`Client::ask`] sends one batch once and says what came back: a [`Reply`], or a [`Fault`] that describes itself
//! well enough for somebody else to decide what to do. So do its other questions: [`Client::ask_one`],
//! [`Client::usage`], [`Client::limits`], [`Client::allowance`], and [`Client::details`], whose answer is read as it arrives. Nothing here
//! waits, retries, follows a redirect, counts quota or knows that there is more than one question; that is the
//! submit room's business. Secrets live in types that cannot be printed.
//!
//! ```text
//!   Batch ──► wire: question ──► attempt ──► status ──200──► wire: reply ──► Reply
//!                                               └──── anything else ────────► Fault
//! ```

mod allowance;
mod attempt;
mod client;
mod details;
mod endpoint;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod secret;
mod usage;
mod wire;

pub use allowance::{Allowance, REPUTATION, Renewal, Window};
pub use client::{Client, ClientError, Settings};
pub use details::{Detail, Details};
pub use endpoint::{DEFAULT_URL, Endpoint, EndpointError};
pub use fault::{Booking, Fault, Remedy};
pub use secret::{Credentials, Secret};
pub use usage::{Amount, Date, Limit, Month, NotADate, Period, ProductUse, Scope, Usage, UsageReport};
pub use wire::{ContentType, Dialect, Entry, Format, Reply};
