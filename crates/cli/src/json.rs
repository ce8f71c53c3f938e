//! How paths and moments stand in stored JSON.

use hashsweep_model::Stamp;
use hashsweep_report::safe;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

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
