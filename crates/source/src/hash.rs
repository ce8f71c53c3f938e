//! Bytes become digests: one pass, every kind that was asked for.
//!
//! This is the door behind which the engine can be replaced. It knows nothing of files.

use hashsweep_model::{Digest, Digests, HashKind, Kinds};
use sha2::digest::Digest as _;
use std::io::{self, Read};

/// Computes the digests of one content, fed in pieces of any size.
pub struct Hasher {
    md5: Option<md5::Md5>,
    sha1: Option<sha1::Sha1>,
    sha256: Option<sha2::Sha256>,
}

impl Hasher {
    /// A hasher of these kinds and no others; each costs its own pass over the processor's cache.
    pub fn new(kinds: &Kinds) -> Hasher {
        Hasher {
            md5: kinds.contains(HashKind::Md5).then(md5::Md5::new),
            sha1: kinds.contains(HashKind::Sha1).then(sha1::Sha1::new),
            sha256: kinds.contains(HashKind::Sha256).then(sha2::Sha256::new),
        }
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// The digests of everything that was fed.
    pub fn finish(self) -> Digests {
        let found = [
            self.md5.map(|md5| digest(&md5.finalize())),
            self.sha1.map(|sha1| digest(&sha1.finalize())),
            self.sha256.map(|sha256| digest(&sha256.finalize())),
        ];
        found.into_iter().flatten().fold(Digests::default(), Digests::with)
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(bytes).expect("a hash function's output has its kind's length")
}

/// Reads to the end and hashes on the way: how many bytes there were, and their digests.
pub fn digests_of(mut reader: impl Read, kinds: &Kinds) -> io::Result<(u64, Digests)> {
    let mut hasher = Hasher::new(kinds);
    let mut buffer = vec![0; 128 * 1024];
    let mut n_bytes = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((n_bytes, hasher.finish())),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                n_bytes += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Kinds {
        text.parse().unwrap()
    }

    #[test]
    fn the_digests_of_abc_are_the_standards_own() {
        let (n_bytes, digests) = digests_of(&b"abc"[..], &kinds("md5,sha1,sha256")).unwrap();
        assert_eq!(n_bytes, 3);
        let texts: Vec<String> = digests.iter().map(|digest| digest.to_string()).collect();
        assert_eq!(
            texts,
            [
                "900150983cd24fb0d6963f7d28e17f72",
                "a9993e364706816aba3e25717850c26c9cd0d89d",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ]
        );
    }

    #[test]
    fn only_the_kinds_that_were_asked_for_are_computed() {
        let (_, digests) = digests_of(&b""[..], &kinds("sha256")).unwrap();
        assert_eq!(digests.iter().collect::<Vec<_>>(), [HashKind::Sha256.empty_input()]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_digests_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            cuts in prop::collection::vec(0usize..700, 0..40),
        ) {
            let all = kinds("md5,sha1,sha256");
            let mut hasher = Hasher::new(&all);
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                hasher.update(piece);
                rest = after;
            }
            hasher.update(rest);
            prop_assert_eq!(hasher.finish(), digests_of(&bytes[..], &all).unwrap().1);
        }
    }
}
