//! Bytes become digests: one pass, every kind that was asked for.
//!
//! This is the door behind which the engine can be replaced. It knows nothing of files.

use hashsweep_lanes::{Stream, Sums, Wanted};
use hashsweep_model::{Digest, Digests, HashKind, Kinds};
use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Computes the digests of one content, fed in pieces of any size.
pub struct Hasher {
    kinds: Kinds,
    stream: Stream,
}

impl Hasher {
    /// A hasher of these kinds and no others; each costs its own pass over the processor's cache.
    pub fn new(kinds: &Kinds) -> Hasher {
        Hasher { kinds: kinds.clone(), stream: Stream::new(wanted(kinds)) }
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.stream.update(bytes);
    }

    /// The digests of everything that was fed.
    pub fn finish(self) -> Digests {
        digests(&self.kinds, &self.stream.finish())
    }
}

/// What the engine is to compute for these kinds.
pub(crate) fn wanted(kinds: &Kinds) -> Wanted {
    Wanted {
        md5: kinds.contains(HashKind::Md5),
        sha1: kinds.contains(HashKind::Sha1),
        sha256: kinds.contains(HashKind::Sha256),
    }
}

/// The engine's results for these kinds.
pub(crate) fn digests(kinds: &Kinds, sums: &Sums) -> Digests {
    let digest = |bytes| Digest::from_bytes(bytes).expect("a hash function's output has its kind's length");
    let of = |kind| match kind {
        HashKind::Md5 => digest(&sums.md5),
        HashKind::Sha1 => digest(&sums.sha1),
        HashKind::Sha256 => digest(&sums.sha256),
    };
    HashKind::ALL
        .into_iter()
        .filter(|kind| kinds.contains(*kind))
        .map(of)
        .fold(Digests::default(), Digests::with)
}

/// The same for one huge content when there is nothing else to do: MD5, the slowest, is computed by a thread of its
/// own, from the very bytes that the others see.
pub(crate) struct Shared {
    kinds: Kinds,
    here: Stream,
    there: JoinHandle<Sums>,
    /// Dropping it ends the other thread's work.
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

/// Pieces on their way to the other thread: enough that neither waits for the other's hiccups.
const IN_FLIGHT: usize = 4;

impl Shared {
    /// `None` where there is nothing to share out, or the system gives no thread.
    pub(crate) fn new(kinds: &Kinds) -> Option<Shared> {
        let all = wanted(kinds);
        let here = Wanted { md5: false, ..all };
        if !all.md5 || here == Wanted::default() {
            return None;
        }
        let (full, pieces) = sync_channel::<Vec<u8>>(IN_FLIGHT);
        let (used, empty) = sync_channel(IN_FLIGHT + 1);
        let work = move || {
            let mut stream = Stream::new(Wanted { md5: true, ..Wanted::default() });
            for piece in pieces {
                stream.update(&piece);
                // The reader is gone when its file was given up; then nobody needs the space again.
                let _ = used.send(piece);
            }
            stream.finish()
        };
        let there = thread::Builder::new().name("md5".to_owned()).spawn(work).ok()?;
        Some(Shared { kinds: kinds.clone(), here: Stream::new(here), there, full, empty })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut piece = self.empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        self.full.send(piece).expect("the other thread ends only when this end is dropped");
        self.here.update(bytes);
    }

    pub(crate) fn finish(self) -> Digests {
        let Shared { kinds, here, there, full, empty } = self;
        mem::drop((full, empty));
        let Sums { md5, .. } = there.join().expect("hashing does not panic");
        digests(&kinds, &Sums { md5, ..here.finish() })
    }
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

    #[test]
    fn shared_out_over_two_threads_the_digests_are_the_same() {
        let bytes = vec![7; 1_000_003];
        for mix in ["md5,sha1,sha256", "md5,sha1", "md5,sha256"] {
            let kinds = kinds(mix);
            let mut shared = Shared::new(&kinds).unwrap();
            bytes.chunks(100_000).for_each(|piece| shared.update(piece));
            assert_eq!(shared.finish(), digests_of(&bytes[..], &kinds).unwrap().1);
        }
        assert!(Shared::new(&kinds("sha1,sha256")).is_none());
        assert!(Shared::new(&kinds("md5")).is_none());
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
