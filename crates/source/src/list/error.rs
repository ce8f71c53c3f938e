//! Why a list cannot be read: what was seen, and which flag to give.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a list cannot be read.
#[derive(Debug, Error)]
pub enum ListError {
    /// The file itself.
    #[error("read {path:?}: {source}")]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It was recognised, and cannot be read by us.
    #[error("read {path:?}: it is {what}\n  hint: {hint}")]
    Foreign {
        /// The list.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// The stream broke before anything came of it.
    #[error("read {path:?}: {why}")]
    Damaged {
        /// The list.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// It is not what the user said.
    #[error("read {path:?} as {format}: {why}\n  hint: leave out {flag} to have it recognised")]
    NotThat {
        /// The list.
        path: PathBuf,
        /// The form that was named.
        format: &'static str,
        /// What is missing.
        why: String,
        /// The flag that said so.
        flag: &'static str,
    },
    /// Not one hash in the first rows.
    #[error(
        "find a hash in {path:?}: it begins with {seen:?}\n  hint: docs/lists.md has the forms that are recognised; --extract finds hashes in any text, --column and --delimiter say how a table is read"
    )]
    NoHashes {
        /// The list.
        path: PathBuf,
        /// How it begins.
        seen: String,
    },
    /// No column holds hashes.
    #[error(
        "find a column of hashes in {path:?}: its columns are {columns}\n  hint: name one with --column NAME or --column N; --delimiter says what stands between them"
    )]
    NoHashColumn {
        /// The list.
        path: PathBuf,
        /// All columns.
        columns: Columns,
    },
    /// No column of a binary table holds hashes, and some of its columns have no cells.
    #[error(
        "find a column of hashes in {path:?}: its columns are {columns}, and what lies in lists and maps has no row of its own: {nested}\n  hint: one row for each: duckdb -csv -c \"SELECT unnest(COLUMN) FROM 'FILE'\" | hashsweep list -"
    )]
    Nested {
        /// The list.
        path: PathBuf,
        /// Those with a cell in each row.
        columns: Columns,
        /// The others.
        nested: Columns,
    },
    /// More than one column holds hashes of one kind, or of different things by their names.
    #[error(
        "choose a column of {path:?}: hashes that cannot all be the row's own stand in {columns}\n  hint: name one with --column NAME or --column N"
    )]
    SeveralHashColumns {
        /// The list.
        path: PathBuf,
        /// Those with hashes.
        columns: Columns,
    },
    /// There is no column as the user named it.
    #[error(
        "find the column {wanted} in {path:?}: its columns are {columns}\n  hint: --column takes a name or a number"
    )]
    NoSuchColumn {
        /// The list.
        path: PathBuf,
        /// As it was named.
        wanted: String,
        /// All columns.
        columns: Columns,
    },
    /// No text of the JSON values is a hash.
    #[error(
        "find a hash in the values of {path:?}: they have {fields}\n  hint: name the member that holds it with --field /NAME/NAME"
    )]
    NoHashField {
        /// The list.
        path: PathBuf,
        /// The texts in them.
        fields: Columns,
    },
    /// Hashes stand in arrays within the values, of which there may be any number.
    #[error(
        "say which hashes of {path:?} are meant: some stand in arrays within its values, which have no rows of their own: {fields}\n  hint: --field /NAME takes that one member of each value, --extract takes every hash; elements become rows with: jq -c '.NAME[]' FILE | hashsweep list -"
    )]
    HashesInArrays {
        /// The list.
        path: PathBuf,
        /// Where; an asterisk is the number of an element.
        fields: Columns,
    },
    /// More than one text of each value is a hash of one kind, or of different things by their names.
    #[error(
        "choose a field of {path:?}: hashes that cannot all be the row's own stand in {fields}\n  hint: name one with --field"
    )]
    SeveralHashFields {
        /// The list.
        path: PathBuf,
        /// Those with hashes.
        fields: Columns,
    },
}

/// Columns of a list, with their numbers from 1, as a message shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(pub Vec<(usize, String)>);

impl std::fmt::Display for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // More would push the hint off the screen.
        const MAX_SHOWN: usize = 20;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (i, (number, name)) in self.0.iter().take(MAX_SHOWN).enumerate() {
            write!(f, "{}{number} {name:?}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            n_more => write!(f, " and {n_more} more"),
        }
    }
}
