//! What a sweep remembers of its command line, as JSON in the case: enough to go on with it from anywhere, and no
//! secret.

use crate::args::{Emit, Format, ListReading};
use crate::json::{path_text, text_path};
use crate::settings::{Ending, Filters, Images, Outputs, StoredSending, Target};
use anyhow::Context;
use hashsweep_source::list::{ColumnChoice, InputFormat, ListOrder};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use std::path::Path;

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
    #[serde(default)]
    pub(crate) distrust: Option<NonZeroU64>,
    #[serde(default)]
    pub(crate) images: Option<Images>,
    /// The sweep that it is held against.
    #[serde(default)]
    pub(crate) baseline: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredList {
    column: Option<String>,
    hash_type: Option<String>,
    #[serde(default)]
    delimiter: Option<u8>,
    #[serde(default)]
    no_header: bool,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    field: Option<String>,
}

impl StoredList {
    pub(crate) fn new(reading: &ListReading) -> StoredList {
        let format = if reading.extract { Some(InputFormat::Extract) } else { reading.input_format };
        StoredList {
            column: reading.column.clone(),
            hash_type: reading.hash_type.map(|kind| kind.name().to_owned()),
            delimiter: reading.delimiter,
            no_header: reading.no_header,
            format: format.map(|format| format.name().to_owned()),
            field: reading.field.clone(),
        }
    }

    fn order(&self, order: &mut ListOrder) -> anyhow::Result<()> {
        order.column = self.column.as_deref().map(|text| match text.parse() {
            Ok(number) if number > 0 => ColumnChoice::Index(number),
            _ => ColumnChoice::Name(text.to_owned()),
        });
        order.hash_type = self.hash_type.as_deref().map(str::parse).transpose()?;
        order.delimiter = self.delimiter;
        order.no_header = self.no_header;
        order.format = self.format.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
        order.field.clone_from(&self.field);
        Ok(())
    }
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
            distrust: None,
            images: None,
            baseline: None,
        }
    }

    /// The same, of a scan that reads one file in so many although nothing tells of a change.
    pub(crate) fn distrusting(self, distrust: Option<NonZeroU64>) -> Stored {
        Stored { distrust, ..self }
    }

    /// The same, of a scan that is held against an earlier sweep.
    pub(crate) fn since(self, baseline: Option<i64>) -> Stored {
        Stored { baseline, ..self }
    }

    /// The same, of a sweep of disk images.
    pub(crate) fn of_images(self, images: &Images) -> Stored {
        Stored { images: Some(images.clone()), ..self }
    }

    /// What decides which rows a scan has and what is in them, beside the roots and the files: scans with the same
    /// shape carry one another's rows on.
    pub(crate) fn shape(&self) -> String {
        let filters = self.walking.as_ref().map(Filters::shape);
        serde_json::json!({ "kinds": self.kinds, "walking": filters }).to_string()
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("settings hold only texts and numbers")
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Stored> {
        let stored: Stored = serde_json::from_str(text).context("read the sweep's settings")?;
        anyhow::ensure!(stored.version <= VERSION, "the sweep was begun by a newer hashsweep");
        Ok(stored)
    }

    /// How one list of the sweep is read.
    pub(crate) fn list_order(&self, path: &Path) -> anyhow::Result<ListOrder> {
        let mut order = ListOrder::new(path.to_owned(), self.kinds.parse()?);
        if let Some(list) = &self.list {
            list.order(&mut order)?;
        }
        Ok(order)
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
