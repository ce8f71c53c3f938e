//! How the model's words stand in the tables.

use crate::CaseError;
use hashsweep_model::{Class, Digest, Digests, HashKind, Outcome};

/// 1, 2, 3: stable on disk whatever the enum's order.
pub(crate) const fn kind_code(kind: HashKind) -> i64 {
    match kind {
        HashKind::Md5 => 1,
        HashKind::Sha1 => 2,
        HashKind::Sha256 => 3,
    }
}

/// A kind from its column.
pub(crate) fn kind(code: i64) -> Result<HashKind, CaseError> {
    HashKind::ALL
        .into_iter()
        .find(|kind| kind_code(*kind) == code)
        .ok_or_else(|| CaseError::Damaged(format!("a digest of kind {code}")))
}

/// 1 to 4, best first.
pub(crate) const fn class_code(class: Class) -> i64 {
    match class {
        Class::First => 1,
        Class::Second => 2,
        Class::Third => 3,
        Class::Last => 4,
    }
}

/// A class from its column.
pub(crate) fn class(code: i64) -> Result<Class, CaseError> {
    Class::ALL
        .into_iter()
        .find(|class| class_code(*class) == code)
        .ok_or_else(|| CaseError::Damaged(format!("a digest of class {code}")))
}

/// A digest from its column; anything of a wrong length is damage.
pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, CaseError> {
    Digest::from_bytes(bytes).ok_or_else(|| CaseError::Damaged("a digest of a wrong length".to_owned()))
}

/// The digests of a row's three columns.
pub(crate) fn digests(columns: [Option<&[u8]>; 3]) -> Result<Digests, CaseError> {
    columns.into_iter().flatten().try_fold(Digests::default(), |all, bytes| Ok(all.with(digest(bytes)?)))
}

/// An outcome from its column.
pub(crate) fn outcome(word: &str) -> Result<Outcome, CaseError> {
    word.parse().map_err(|e: hashsweep_model::NotAnOutcome| CaseError::Damaged(e.to_string()))
}

/// A count from its column; SQLite's integers are signed, ours never negative.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A count for its column.
pub(crate) fn column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
