//! What a sweep remembers of its command line, as JSON in the case: enough to go on with it from anywhere, and no
//! secret.

use crate::args::{Emit, Format};
use crate::settings::{Ending, Filters, Outputs, Target};
use anyhow::Context;
use hashsweep_model::Stamp;
use hashsweep_report::safe;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Raised when an older hashsweep would misread what is stored.
const VERSION: u32 = 1;

/// A sweep's command line.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stored {
    version: u32,
    pub(crate) kinds: String,
    pub(crate) walking: Option<Filters>,
    pub(crate) list: Option<StoredList>,
    pub(crate) sending: StoredSending,
    outputs: Vec<StoredOutput>,
    pub(crate) emit: Option<Emit>,
    pub(crate) ending: Ending,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredList {
    pub(crate) column: Option<String>,
    pub(crate) hash_type: Option<String>,
}

/// How the service was asked. Absent is the default.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct StoredSending {
    pub(crate) simulated: bool,
    pub(crate) api_url: Option<String>,
    pub(crate) ca_cert: Option<String>,
    pub(crate) rate: Option<String>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) batch_size: Option<u8>,
    pub(crate) timeout_seconds: Option<f64>,
    pub(crate) give_up_after_seconds: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct StoredOutput {
    /// `-` is stdout.
    path: String,
    format: Format,
}

impl Stored {
    pub(crate) fn new(
        kinds: String,
        walking: Option<Filters>,
        list: Option<StoredList>,
        sending: StoredSending,
        outputs: &Outputs,
        ending: &Ending,
    ) -> Stored {
        let stored = |target: &Target| match target {
            Target::Stdout(format) => StoredOutput { path: "-".to_owned(), format: *format },
            Target::File(path, format) => StoredOutput { path: path_text(path), format: *format },
        };
        Stored {
            version: VERSION,
            kinds,
            walking,
            list,
            sending,
            outputs: outputs.targets.iter().map(stored).collect(),
            emit: outputs.emit,
            ending: ending.clone(),
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("settings hold only texts and numbers")
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Stored> {
        let stored: Stored = serde_json::from_str(text).context("read the sweep's settings")?;
        anyhow::ensure!(stored.version <= VERSION, "the sweep was begun by a newer hashsweep");
        Ok(stored)
    }

    /// Where the sweep's own reports went.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let target = |output: &StoredOutput| match output.path.as_str() {
            "-" => Target::Stdout(output.format),
            text => Target::File(text_path(text), output.format),
        };
        self.outputs.iter().map(target).collect()
    }
}

/// A path as JSON text, losslessly.
pub(crate) fn path_text(path: &Path) -> String {
    safe::text(path.as_os_str().as_bytes()).into_owned()
}

/// The path of [`path_text`].
pub(crate) fn text_path(text: &str) -> PathBuf {
    PathBuf::from(OsString::from_vec(safe::decode(text)))
}

/// A moment in JSON.
pub(crate) mod stamp {
    use super::Stamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands over a reference")]
    pub(crate) fn serialize<S: Serializer>(stamp: &Option<Stamp>, to: S) -> Result<S::Ok, S::Error> {
        match stamp {
            Some(Stamp(millis)) => to.serialize_some(millis),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Stamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Stamp))
    }
}
