//! What the pipeline asks of a service: one attempt, and what may still be asked.

use hashsweep_model::Batch;
use hashsweep_spectra::{Allowance, Client, Fault, Reply};
use std::future::Future;

/// Somebody who answers a batch, or says why not. One attempt: no retry, no waiting inside.
pub trait Service: Send + Sync + 'static {
    /// Asks once.
    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Reply, Fault>> + Send;

    /// What the account may still ask. Not charged, and not every service can tell.
    fn allowance(&self) -> impl Future<Output = Result<Allowance, Fault>> + Send;
}

impl Service for Client {
    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Reply, Fault>> + Send {
        Client::ask(self, batch)
    }

    fn allowance(&self) -> impl Future<Output = Result<Allowance, Fault>> + Send {
        Client::allowance(self)
    }
}
