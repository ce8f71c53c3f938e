//! What a list looks like: its form, and where in it the hashes are.

use super::{JsonField, JsonShape, bodyfile, coreutils, dfxml, extract};
use hashsweep_model::HashKind;

/// A form, and what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One hash on each line.
    Text,
    /// Records of cells.
    Table(Table),
    /// hashdeep's manifest.
    Hashdeep {
        /// As its second line names them.
        columns: Vec<Vec<u8>>,
    },
    /// What `sha1sum` and its kin write, tagged or not.
    Coreutils,
    /// The Sleuth Kit's bodyfile.
    Bodyfile,
    /// DFXML's file objects.
    Dfxml,
    /// JSON values.
    Json {
        /// How they stand in the file.
        shape: JsonShape,
        /// Where the hashes are in each.
        fields: Vec<JsonField>,
        /// The user named the field: hashes anywhere else are left out on purpose.
        is_named: bool,
    },
    /// Any text, for the hashes in it.
    Extract,
}

/// A CSV or one of its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What stands between the cells.
    pub delimiter: u8,
    /// The names of the columns, if the first record holds them.
    pub header: Option<Vec<Vec<u8>>>,
    /// How many columns there are; rows may have more or fewer.
    pub n_columns: usize,
    /// Where the hashes are.
    pub columns: Vec<Column>,
}

/// A column of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// From 0.
    pub at: usize,
    /// The only kind that is taken, where another column holds another.
    pub kind: Option<HashKind>,
}

/// What an enriched list is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The list's own records, with cells of ours behind.
    Spliced {
        /// What stands between the cells.
        delimiter: u8,
    },
    /// The row's cells, written as a CSV.
    Cells,
    /// The list's own objects, with members of ours behind.
    Objects,
}

impl Layout {
    /// As `--input-format` calls it.
    pub const fn format(&self) -> InputFormat {
        match self {
            Layout::Text => InputFormat::Text,
            Layout::Table(_) => InputFormat::Csv,
            Layout::Hashdeep { .. } => InputFormat::Hashdeep,
            Layout::Coreutils => InputFormat::Coreutils,
            Layout::Bodyfile => InputFormat::Bodyfile,
            Layout::Dfxml => InputFormat::Dfxml,
            Layout::Json { shape: JsonShape::Lines, .. } => InputFormat::Jsonl,
            Layout::Json { .. } => InputFormat::Json,
            Layout::Extract => InputFormat::Extract,
        }
    }

    /// What its rows become when they are written out again.
    pub const fn style(&self) -> Style {
        match self {
            Layout::Table(table) => Style::Spliced { delimiter: table.delimiter },
            Layout::Json { .. } => Style::Objects,
            Layout::Text
            | Layout::Hashdeep { .. }
            | Layout::Coreutils
            | Layout::Bodyfile
            | Layout::Dfxml
            | Layout::Extract => Style::Cells,
        }
    }

    /// The names of its columns.
    pub fn names(&self) -> Vec<Vec<u8>> {
        let named = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        match self {
            Layout::Text => named(&["hash"]),
            Layout::Table(Table { header: Some(header), .. }) => header.clone(),
            Layout::Table(Table { n_columns, .. }) => {
                (1..=*n_columns).map(|n| format!("column_{n}").into_bytes()).collect()
            }
            Layout::Hashdeep { columns } => columns.clone(),
            Layout::Coreutils => named(&coreutils::COLUMNS),
            Layout::Bodyfile => named(&bodyfile::COLUMNS),
            Layout::Dfxml => named(&dfxml::COLUMNS),
            Layout::Json { .. } => named(&["record"]),
            Layout::Extract => named(&extract::COLUMNS),
        }
    }
}

/// A form that the user may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// One hash a line.
    Text,
    /// Cells between delimiters.
    Csv,
    /// hashdeep's manifest.
    Hashdeep,
    /// `sha1sum` and its kin.
    Coreutils,
    /// The Sleuth Kit's bodyfile.
    Bodyfile,
    /// Digital forensics XML.
    Dfxml,
    /// An array, or values one behind the other.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// Any text with hashes in it.
    Extract,
    /// An Apache Parquet file.
    Parquet,
    /// A SQLite database, as NSRL's RDS 3 is.
    Sqlite,
}

impl InputFormat {
    /// Every one.
    pub const ALL: [InputFormat; 11] = [
        InputFormat::Text,
        InputFormat::Csv,
        InputFormat::Hashdeep,
        InputFormat::Coreutils,
        InputFormat::Bodyfile,
        InputFormat::Dfxml,
        InputFormat::Json,
        InputFormat::Jsonl,
        InputFormat::Extract,
        InputFormat::Parquet,
        InputFormat::Sqlite,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            InputFormat::Text => "text",
            InputFormat::Csv => "csv",
            InputFormat::Hashdeep => "hashdeep",
            InputFormat::Coreutils => "coreutils",
            InputFormat::Bodyfile => "bodyfile",
            InputFormat::Dfxml => "dfxml",
            InputFormat::Json => "json",
            InputFormat::Jsonl => "jsonl",
            InputFormat::Extract => "extract",
            InputFormat::Parquet => "parquet",
            InputFormat::Sqlite => "sqlite",
        }
    }
}

impl std::str::FromStr for InputFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<InputFormat, String> {
        InputFormat::ALL.into_iter().find(|format| format.name() == word).ok_or_else(|| {
            let known: Vec<&str> = InputFormat::ALL.iter().map(|format| format.name()).collect();
            format!("'{word}' is no form of a list (known: {})", known.join(", "))
        })
    }
}
