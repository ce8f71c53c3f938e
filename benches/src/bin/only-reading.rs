//! Walks a directory on all cores and reads every file, and that is all: what no hashing tool can beat.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

fn main() -> io::Result<()> {
    let roots = std::env::args_os().skip(1).map(PathBuf::from).collect::<VecDeque<_>>();
    // Directories to list, and how many are being listed: the end is when both are none.
    let work = Mutex::new((roots, 0_usize));
    let n_threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(|| read_all(&work))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("reading does not panic"))
    })
}

fn read_all(work: &Mutex<(VecDeque<PathBuf>, usize)>) -> io::Result<()> {
    let mut space = vec![0; 128 * 1024];
    loop {
        let dir = {
            let mut work = work.lock().expect("no panic while it is held");
            match work.0.pop_back() {
                Some(dir) => {
                    work.1 += 1;
                    dir
                }
                None if work.1 == 0 => return Ok(()),
                None => {
                    drop(work);
                    thread::yield_now();
                    continue;
                }
            }
        };
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                work.lock().expect("no panic while it is held").0.push_back(entry.path());
            } else if kind.is_file() {
                let mut file = File::open(entry.path())?;
                while file.read(&mut space)? > 0 {}
            }
        }
        work.lock().expect("no panic while it is held").1 -= 1;
    }
}
