//! The door that sightings leave by, the memory of an earlier run, and the gauges that a progress bar reads.
//!
//! Nobody here knows what becomes of a row.

use hashsweep_model::{Place, Seen, Sighting, Trace};
use std::mem;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Takes what was seen. Called from every reading thread at once.
pub trait Rows: Sync {
    /// May block while the next room is full; that is what slows the readers down. `Break` means that nobody
    /// wants more: nothing is offered after it.
    fn take(&self, rows: Vec<Sighting>) -> ControlFlow<()>;
}

/// What is known from before: the rows of an earlier, interrupted run of the same intake, and those of an earlier
/// intake of the same things. Neither are read or offered again.
pub trait Recorded: Sync {
    /// Whether a row with this root and this path, as shown, is already there.
    fn has(&self, root: u32, path: &[u8]) -> bool;

    /// Whether the file that an earlier intake saw here is this very one, unchanged, so that its row holds.
    fn still_holds(&self, root: u32, path: &[u8], trace: &Trace) -> bool;
}

/// No earlier run.
pub struct Fresh;

impl Recorded for Fresh {
    fn has(&self, _root: u32, _path: &[u8]) -> bool {
        false
    }

    fn still_holds(&self, _root: u32, _path: &[u8], _trace: &Trace) -> bool {
        false
    }
}

/// Counts of what has happened so far. For the eye only: a figure may be a moment old, and a file that was read
/// twice counts its bytes twice.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Regular files that passed the filters.
    pub files_seen: AtomicU64,
    /// Files whose digests are known, a hard link to a file that was already read included.
    pub files_hashed: AtomicU64,
    /// Files that were not read, because an earlier row of theirs still holds.
    pub files_unchanged: AtomicU64,
    /// Bytes that went through the hash functions.
    pub bytes_hashed: AtomicU64,
    /// Rows offered, of every sort.
    pub rows: AtomicU64,
    /// Entries that the user's own filters left out.
    pub excluded: AtomicU64,
    /// Rows among them that say why nothing was read.
    pub skipped: AtomicU64,
    /// Files that were read and are disk images.
    pub images: AtomicU64,
    /// The path of one of them.
    pub an_image: OnceLock<Vec<u8>>,
}

impl Gauges {
    pub(crate) fn image(&self, path: &[u8]) {
        self.images.fetch_add(1, Relaxed);
        self.an_image.get_or_init(|| path.to_vec());
    }
}

/// A group this large makes the door's own cost vanish, and is still small beside the memory of one reader.
/// Guess, unmeasured.
const GROUP: usize = 256;

/// Rows wait in the outbox at most for the reading of this many bytes: about 0.1 s of one core.
const HELD_BYTES: u64 = 64 << 20;

/// Groups one task's rows on their way to the door. Dropping it drops the rows in it: a task ends with
/// [`flush`](Outbox::flush).
pub(crate) struct Outbox<'a> {
    rows: Vec<Sighting>,
    held_bytes: u64,
    door: &'a dyn Rows,
    gauges: &'a Gauges,
    /// Set once the door has said that nobody wants more; shared by every outbox of the intake.
    closed: &'a AtomicBool,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(door: &'a dyn Rows, gauges: &'a Gauges, closed: &'a AtomicBool) -> Outbox<'a> {
        Outbox { rows: Vec::new(), held_bytes: 0, door, gauges, closed }
    }

    #[inline]
    pub(crate) fn put(&mut self, root: u32, place: Place, seen: Seen) {
        self.gauges.rows.fetch_add(1, Relaxed);
        match &seen {
            Seen::Read { size, .. } => {
                self.gauges.files_hashed.fetch_add(1, Relaxed);
                self.held_bytes += size;
            }
            Seen::Skipped(_) => {
                self.gauges.skipped.fetch_add(1, Relaxed);
            }
            Seen::Listed { .. } | Seen::Invalid(_) => {}
        }
        self.rows.push(Sighting { root, place, seen });
        if self.rows.len() >= GROUP || self.held_bytes >= HELD_BYTES {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        self.held_bytes = 0;
        // As large as the one before: growing from nothing would copy every row once more.
        let room = Vec::with_capacity(self.rows.len());
        let rows = mem::replace(&mut self.rows, room);
        if !rows.is_empty() && !self.closed.load(Relaxed) && self.door.take(rows).is_break() {
            self.closed.store(true, Relaxed);
        }
    }
}
