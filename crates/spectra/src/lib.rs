//! One attempt against Spectra Intelligence.
//!
//! [`Client::ask`] sends one batch once and says what came back: a [`Reply`], or a [`Fault`] that describes itself
//! well enough for somebody else to decide what to do. Nothing here waits, retries, follows a redirect, counts
//! quota or knows that there is more than one batch; that is the submit room's business. Secrets live in types
//! that cannot be printed.
//!
//! ```text
//!   Batch ──► wire::question ──► POST ──► status ──200──► wire::reply ──► Reply
//!                                           └──── anything else ───────► Fault
//! ```

mod client;
mod endpoint;
mod fault;
mod secret;
mod wire;

pub use client::{Client, ClientError, Settings};
pub use endpoint::{DEFAULT_URL, Endpoint, EndpointError};
pub use fault::{Booking, Fault, Remedy};
pub use secret::{Credentials, Secret};
pub use wire::{Entry, Reply};
