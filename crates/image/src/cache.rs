//! Decoded chunks of a compressed container, so that many small files in one chunk cost one decoding.

use crate::fault::Fault;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Decoded bytes kept. Guess, unmeasured: 512 chunks of 32 KiB.
const BUDGET: usize = 16 << 20;

#[derive(Default)]
pub(crate) struct Chunks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    chunks: HashMap<u64, (u64, Arc<[u8]>)>,
    n_bytes: usize,
    clock: u64,
}

impl Chunks {
    /// The chunk, decoded by `decode` unless it is still here. Two threads that want the same new chunk may both
    /// decode it: neither waits for the other.
    pub(crate) fn get(
        &self,
        nth: u64,
        decode: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Arc<[u8]>, Fault> {
        if let Some(chunk) = self.0.lock().expect("no panic while it is held").touch(nth) {
            return Ok(chunk);
        }
        let chunk: Arc<[u8]> = decode()?.into();
        self.0.lock().expect("no panic while it is held").keep(nth, &chunk);
        Ok(chunk)
    }
}

impl Kept {
    fn touch(&mut self, nth: u64) -> Option<Arc<[u8]>> {
        self.clock += 1;
        let (used, chunk) = self.chunks.get_mut(&nth)?;
        *used = self.clock;
        Some(Arc::clone(chunk))
    }

    fn keep(&mut self, nth: u64, chunk: &Arc<[u8]>) {
        self.n_bytes += chunk.len();
        if let Some((_, old)) = self.chunks.insert(nth, (self.clock, Arc::clone(chunk))) {
            self.n_bytes -= old.len();
        }
        if self.n_bytes > BUDGET {
            // The older half leaves at once, so that finding it costs next to nothing a chunk.
            let mut used: Vec<u64> = self.chunks.values().map(|(used, _)| *used).collect();
            used.sort_unstable();
            let from = used[used.len() / 2];
            self.chunks.retain(|_, (used, _)| *used >= from);
            self.n_bytes = self.chunks.values().map(|(_, chunk)| chunk.len()).sum();
        }
    }
}
