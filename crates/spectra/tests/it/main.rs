//! One attempt from outside: a real client against a server that sends the bytes it is told to.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod answers;
mod connections;
mod corpus;
mod details;
mod forms;
mod hostile;
mod request;
mod secrets;
mod server;
mod simulator;
mod statuses;
mod tls;
mod usage;

use hashsweep_model::{Batch, Digest};
use hashsweep_spectra::{
    Booking, Client, ContentType, Credentials, Dialect, Endpoint, Fault, Format, Remedy, Reply, Secret,
    Settings,
};
use std::fmt::Debug;
use std::time::Duration;

/// Longer than any test takes: where it ends, a test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// For the tests of a timeout itself.
const IMPATIENCE: Duration = Duration::from_millis(250);

const PASSWORD: &str = "hunter2-does-not-print";

fn batch() -> Batch {
    let digests = (1u8..=3).map(|n| Digest::from_bytes(&[n; 20]).unwrap()).collect();
    Batch::new(digests).unwrap()
}

fn settings(url: &str) -> Settings {
    Settings {
        endpoint: Endpoint::parse(url).unwrap(),
        credentials: Some(Credentials { username: "u/company/name".into(), password: Secret::new(PASSWORD) }),
        ca_cert_pem: None,
        proxy: None,
        environment_proxy: false,
        timeout: PATIENCE,
        concurrency: 4,
        dialect: Dialect::default(),
        format: Format::default(),
        content_type: ContentType::default(),
    }
}

async fn ask(settings: Settings) -> Result<Reply, Fault> {
    Client::new(settings).unwrap().ask(&batch()).await
}

/// What a fault must say about itself: what to do, what it cost, its word, and something of its message.
#[derive(Clone, Copy, Debug)]
struct Says(Remedy, Booking, &'static str, &'static str);

#[track_caller]
fn check_fault<T: Debug>(got: &Result<T, Fault>, Says(remedy, booking, word, hint): Says) {
    let fault = got.as_ref().expect_err("a fault was expected");
    let message = fault.to_string();
    assert_eq!(
        (fault.remedy(), fault.booking(), fault.word().as_str()),
        (remedy, booking, word),
        "{fault:?}"
    );
    assert!(message.contains(hint), "{message:?} lacks {hint:?}");
    assert!(!format!("{fault:?} {message}").contains(PASSWORD), "{fault:?}");
}
