//! From a list to sorted runs without duplicates, in memory: what reading a list costs before any store.
//!
//! The rows come through the door that a sweep takes them by; a full run is sorted at once, so that memory is a run
//! and what is distinct.

#![expect(clippy::print_stdout, reason = "its figures are its output")]

use hashsweep_model::{Digest, Kinds, Seen, Sighting};
use hashsweep_source::list::{ListOrder, read, recognise};
use hashsweep_source::{Gauges, Rows};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Digests in a run: 33 MiB, within reach of the caches of two cores.
const RUN: usize = 1 << 20;

#[derive(Default)]
struct Runs(Mutex<(Vec<Digest>, Vec<Vec<Digest>>)>);

fn sorted(mut run: Vec<Digest>) -> Vec<Digest> {
    run.sort_unstable();
    run.dedup();
    run
}

impl Rows for Runs {
    fn take(&self, rows: Vec<Sighting>) -> ControlFlow<()> {
        let (open, runs) = &mut *self.0.lock().expect("nobody panicked with it");
        for row in &rows {
            if let Seen::Listed { digests, asked } = &row.seen {
                open.extend(digests.get(*asked));
            }
        }
        if open.len() >= RUN {
            runs.push(sorted(std::mem::take(open)));
        }
        ControlFlow::Continue(())
    }
}

fn main() {
    let path = PathBuf::from(std::env::args_os().nth(1).expect("the list is named"));
    let order = ListOrder::new(path, Kinds::default());
    let layout = recognise(&order).expect("it is a list");
    let runs = Runs::default();
    let read = read(&order, &layout, 0, &runs, 1, &Gauges::default(), &Arc::default()).expect("it is read");
    let (open, mut runs) = runs.0.into_inner().expect("nobody panicked with it");
    runs.push(sorted(open));
    let n_digests: usize = runs.iter().map(Vec::len).sum();
    println!("{} rows, {} runs of {n_digests} digests", read.rows, runs.len());
}
