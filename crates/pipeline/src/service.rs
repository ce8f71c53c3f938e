//! What the pipeline asks of a service: one attempt.

use hashsweep_model::Batch;
use hashsweep_spectra::{Client, Fault, Reply};
use std::future::Future;

/// Somebody who answers a batch, or says why not. One attempt: no retry, no waiting inside.
pub trait Service: Send + Sync + 'static {
    /// Asks once.
    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Reply, Fault>> + Send;
}

impl Service for Client {
    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Reply, Fault>> + Send {
        Client::ask(self, batch)
    }
}
