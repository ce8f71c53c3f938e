//! So many threads at a time wait for a device.
//!
//! Only a read that has to wait passes here: what lies in the page cache is read by everybody at once.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex};

/// Bounds how many read from a device at the same time.
pub(crate) struct Gate {
    n_free: Mutex<usize>,
    freed: Condvar,
}

impl Gate {
    pub(crate) fn new(readers: NonZeroUsize) -> Gate {
        Gate { n_free: Mutex::new(readers.get()), freed: Condvar::new() }
    }

    /// Waits for its turn and runs `read`.
    pub(crate) fn pass<T>(&self, read: impl FnOnce() -> T) -> T {
        let mut n_free = self.n_free.lock().expect("no panic while it is held");
        while *n_free == 0 {
            n_free = self.freed.wait(n_free).expect("no panic while it is held");
        }
        *n_free -= 1;
        drop(n_free);
        let done = read();
        *self.n_free.lock().expect("no panic while it is held") += 1;
        self.freed.notify_one();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn never_more_at_once_than_there_are_readers_and_everybody_gets_through() {
        for readers in 1..4 {
            let gate = Gate::new(NonZeroUsize::new(readers).unwrap());
            let (inside, most, n_done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            gate.pass(|| {
                                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                                std::thread::yield_now();
                                inside.fetch_sub(1, SeqCst);
                            });
                            n_done.fetch_add(1, SeqCst);
                        }
                    });
                }
            });
            assert!(most.into_inner() <= readers);
            assert_eq!(n_done.into_inner(), 1600);
        }
    }
}
