//! Whole reports (TCA-0104, "File analysis"), entry by entry as they arrive.
//!
//! One report may be half a megabyte and a hundred of them tens, so the body is never held: a splitter cuts the
//! `rl.entries` list at its commas, and what it holds is one entry and what arrived with its end.

mod splitter;

use crate::Fault;
use crate::attempt::broken_off;
use crate::wire::{Text, shortened};
use hashsweep_model::{Digest, Digests, HashKind, MAX_BATCH};
use reqwest::Response;
pub(crate) use splitter::Splitter;

/// The largest report that is read. The largest recorded one is a sixteenth of it.
pub(crate) const MAX_ENTRY_BYTES: usize = 8 << 20;

/// All that may come: as many of the largest entries as one question can ask for.
const MAX_TOTAL_BYTES: usize = MAX_BATCH * MAX_ENTRY_BYTES;

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The sample's own digests, to be held against those asked.
    pub sample: Digests,
    /// The report as sent: one JSON object, of the service's making and size.
    pub json: String,
}

/// An answer on its way. Dropping it closes the connection; the service has charged for all of it.
#[derive(Debug)]
pub struct Details {
    response: Response,
    splitter: Splitter,
    n_read: usize,
    /// How it ended, once it has.
    end: Option<Result<(), Fault>>,
}

impl Details {
    pub(crate) fn new(response: Response) -> Details {
        Details { response, splitter: Splitter::default(), n_read: 0, end: None }
    }

    /// The next report. `None` says that the answer was whole, and only then does a missing report mean that the
    /// service has none. After a fault what came before stands, and every further call repeats the fault.
    pub async fn next(&mut self) -> Result<Option<Detail>, Fault> {
        loop {
            if let Some(json) = self.splitter.pop() {
                return match detail(json) {
                    Ok(detail) => Ok(Some(detail)),
                    Err(why) => Err(self.broken(why)),
                };
            }
            match &self.end {
                None => {}
                Some(Ok(())) => return Ok(None),
                Some(Err(fault)) => return Err(fault.clone()),
            }
            self.end = match self.read_on().await {
                Ok(false) => None,
                Ok(true) => Some(Ok(())),
                Err(why) => return Err(self.broken(why)),
            };
        }
    }

    /// Reads one piece of the body; true at its whole end.
    async fn read_on(&mut self) -> Result<bool, String> {
        let Some(chunk) = self.response.chunk().await.map_err(|e| broken_off(&e))? else {
            return self.splitter.finish().map(|()| true);
        };
        self.n_read += chunk.len();
        if self.n_read > MAX_TOTAL_BYTES {
            return Err(format!("it is larger than {MAX_TOTAL_BYTES} bytes"));
        }
        self.splitter.push(&chunk).map(|()| false)
    }

    fn broken(&mut self, why: String) -> Fault {
        let fault = Fault::BrokenBody { why };
        self.splitter.clear();
        self.end = Some(Err(fault.clone()));
        fault
    }
}

/// Reads what identifies a report and leaves the rest as it is. It need not name a digest; what is not an object is
/// no report.
pub(crate) fn detail(json: Vec<u8>) -> Result<Detail, String> {
    #[derive(serde::Deserialize)]
    struct Sample {
        #[serde(default)]
        md5: Text,
        #[serde(default)]
        sha1: Text,
        #[serde(default)]
        sha256: Text,
    }
    let json = String::from_utf8(json).map_err(|e| e.utf8_error().to_string())?;
    if !json.starts_with('{') {
        return Err("an entry is not an object".to_owned());
    }
    let Sample { md5, sha1, sha256 } =
        serde_json::from_str(&json).map_err(|e| shortened(&format!("an entry is broken: {e}")))?;
    let named = [(HashKind::Md5, md5), (HashKind::Sha1, sha1), (HashKind::Sha256, sha256)];
    let digests = named.into_iter().filter_map(|(kind, text)| {
        text.0?.trim().parse::<Digest>().ok().filter(|digest| digest.kind() == kind)
    });
    Ok(Detail { sample: digests.fold(Digests::default(), Digests::with), json })
}
