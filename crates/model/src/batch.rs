//! What one request carries.

use crate::{Digest, HashKind};
use std::fmt;

/// The service's own ceiling on hashes in one bulk request; one more is answered 413 (vendor, "General
/// information", response status codes).
pub const MAX_BATCH: usize = 100;

/// One to [`MAX_BATCH`] distinct digests of one kind, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    digests: Vec<Digest>,
}

/// Why some digests are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// There are none.
    Empty,
    /// More than [`MAX_BATCH`].
    TooMany,
    /// More than one hash function.
    MixedKinds,
}

impl Batch {
    /// Sorts the digests and drops doubles before it counts them.
    pub fn new(mut digests: Vec<Digest>) -> Result<Batch, BatchError> {
        digests.sort_unstable();
        digests.dedup();
        match (digests.first(), digests.last()) {
            (Some(first), Some(last)) if first.kind() != last.kind() => Err(BatchError::MixedKinds),
            (Some(_), Some(_)) if digests.len() > MAX_BATCH => Err(BatchError::TooMany),
            (Some(_), Some(_)) => Ok(Batch { digests }),
            _ => Err(BatchError::Empty),
        }
    }

    /// Groups any digests into batches of at most `size` (itself at most [`MAX_BATCH`]) of one kind. Doubles are
    /// dropped; every distinct digest lands in exactly one batch.
    pub fn group(mut digests: Vec<Digest>, size: usize) -> Vec<Batch> {
        let size = size.clamp(1, MAX_BATCH);
        digests.sort_unstable();
        digests.dedup();
        digests
            .chunk_by(|a, b| a.kind() == b.kind())
            .flat_map(|one_kind| one_kind.chunks(size))
            .map(|chunk| Batch { digests: chunk.to_vec() })
            .collect()
    }

    /// The hash function of every digest in it.
    pub fn kind(&self) -> HashKind {
        self.digests[0].kind()
    }

    /// Ascending and distinct.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// How many digests; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether this digest was asked in this batch.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.digests.binary_search(digest).is_ok()
    }

    /// Two halves, or `None` for a batch of one.
    pub fn split(&self) -> Option<(Batch, Batch)> {
        if self.len() < 2 {
            return None;
        }
        let (low, high) = self.digests.split_at(self.len() / 2);
        Some((Batch { digests: low.to_vec() }, Batch { digests: high.to_vec() }))
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BatchError::Empty => "a batch of no digests",
            BatchError::TooMany => "more than 100 digests in a batch",
            BatchError::MixedKinds => "digests of two kinds in a batch",
        })
    }
}

impl std::error::Error for BatchError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn digest() -> impl Strategy<Value = Digest> {
        // A small alphabet, so that doubles happen.
        (prop::sample::select(HashKind::ALL.to_vec()), 0u16..400).prop_map(|(kind, n)| {
            let mut bytes = vec![0; kind.n_bytes()];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            Digest::from_bytes(&bytes).unwrap()
        })
    }

    proptest! {
        #[test]
        fn every_distinct_digest_lands_in_exactly_one_batch(
            digests in prop::collection::vec(digest(), 0..900),
            size in 0usize..130,
        ) {
            let batches = Batch::group(digests.clone(), size);
            for batch in &batches {
                prop_assert!((1..=MAX_BATCH).contains(&batch.len()));
                prop_assert!(batch.len() <= size.max(1));
                prop_assert!(batch.digests().iter().all(|d| d.kind() == batch.kind()));
            }
            let flat: Vec<Digest> = batches.iter().flat_map(|b| b.digests().to_vec()).collect();
            let distinct: BTreeSet<Digest> = digests.into_iter().collect();
            prop_assert_eq!(flat, distinct.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn full_batches_leave_no_gap(n in 1usize..1000) {
            let digests = (0..n as u64).map(|i| {
                let mut bytes = [0; 20];
                bytes[..8].copy_from_slice(&i.to_be_bytes());
                Digest::from_bytes(&bytes).unwrap()
            }).collect();
            prop_assert_eq!(Batch::group(digests, MAX_BATCH).len(), n.div_ceil(MAX_BATCH));
        }
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        let sha1 = HashKind::Sha1.empty_input();
        let md5 = HashKind::Md5.empty_input();
        assert_eq!(Batch::new(vec![]), Err(BatchError::Empty));
        assert_eq!(Batch::new(vec![sha1, md5]), Err(BatchError::MixedKinds));
        assert_eq!(Batch::new(vec![sha1, sha1]).unwrap().len(), 1);
        assert_eq!(Batch::new(vec![sha1]).unwrap().split(), None);
    }
}
