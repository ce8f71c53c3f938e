//! The client alone: asks about every hash of a list, a hundred at a time, so many at once, and keeps nothing. What
//! a sweep costs beyond this is the case's. For `benches/submission`; it keeps no pace and counts no quota.
//!
//! ```text
//! ask LIST URL CA.pem CONCURRENCY      # SPECTRA_USERNAME, SPECTRA_PASSWORD
//! ```

use futures::{StreamExt, TryStreamExt, stream};
use hashsweep_model::{Batch, Digest};
use hashsweep_spectra::{
    Client, ContentType, Credentials, Dialect, Endpoint, Entry, Fault, Format, Secret, Settings,
};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [list, url, ca, concurrency] = args.as_slice() else {
        return Err("ask LIST URL CA.pem CONCURRENCY".into());
    };
    let concurrency: usize = concurrency.parse()?;
    let username = std::env::var("SPECTRA_USERNAME")?;
    let password = Secret::new(std::env::var("SPECTRA_PASSWORD")?);
    let client = Client::new(Settings {
        endpoint: Endpoint::parse(url)?,
        credentials: Some(Credentials { username, password }),
        ca_cert_pem: Some(std::fs::read(ca)?),
        proxy: None,
        environment_proxy: false,
        timeout: Duration::from_secs(60),
        concurrency,
        dialect: Dialect::default(),
        format: Format::default(),
        content_type: ContentType::default(),
    })?;
    let digests = BufReader::new(std::fs::File::open(list)?)
        .lines()
        .map(|line| Ok(line?.parse::<Digest>()?))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let client = &client;
    let n_answers: usize = stream::iter(Batch::group(digests, 100))
        .map(|batch| async move {
            let reply = client.ask(&batch).await?;
            Ok::<_, Fault>(reply.entries.iter().filter(|entry| matches!(entry, Entry::Answer(_))).count())
        })
        .buffer_unordered(concurrency)
        .try_fold(0, |sum, n| async move { Ok(sum + n) })
        .await?;
    #[expect(clippy::print_stdout, reason = "it is what the program was asked for")]
    {
        println!("{n_answers} answers");
    }
    Ok(())
}
