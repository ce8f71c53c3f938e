//! Files mapped into memory, and the guard that makes this safe to live with.
//!
//! A page of a mapping that lies behind the file's end kills the process with SIGBUS when it is touched, and evidence
//! is cut short at will by whoever owns it. So every mapping is on a board, and a handler that finds the fault's
//! address there puts zeros in place of what is gone and marks the mapping broken: the hashing goes on to its end
//! and its digests are thrown away. A fault at any other address is handed to whoever handled it before.
//!
//! ```text
//!  touch ─► SIGBUS ─► on the board? ─┬─ yes ─► zero pages to the mapping's end, `is_broken`, on with the hashing
//!                                    └─ no ──► the earlier handler, as if there was none of ours
//! ```
//!
//! Knows nothing of what a file is read for. The only home of `unsafe` outside of `lanes`: neither a mapping of
//! somebody else's file nor a handler that is told the address can be had without.
#![allow(unsafe_code, reason = "see above; each block says what it relies on")]

use libc::{c_int, c_void, siginfo_t};
use memmap2::{Advice, Mmap, MmapOptions};
use rustix::fd::{AsRawFd as _, BorrowedFd};
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst, compiler_fence};

/// Mappings at once, of all walks in the process: sixteen lanes for each of 64 threads. Without a place on the board
/// a file is read instead.
const PLACES: usize = 1024;

/// A whole file in memory, to be touched only by the thread that holds it.
pub(crate) struct Mapped {
    map: Mmap,
    place: &'static Place,
}

impl Mapped {
    /// Maps the first `n_bytes` of a regular file on a local file system; `None` where that cannot be had, and then
    /// the file is to be read.
    pub(crate) fn new(fd: BorrowedFd<'_>, n_bytes: u64) -> Option<Mapped> {
        let n_bytes = usize::try_from(n_bytes).ok().filter(|n| *n > 0)?;
        if !is_guarded() {
            return None;
        }
        let place = BOARD.iter().find(|place| !place.is_taken.swap(true, SeqCst))?;
        // SAFETY: the mapping is private to this process and read only. Others may write to the file meanwhile, so
        // its bytes are not to be relied on to stay what they are: they are only ever copied or fed to hash
        // functions, for which every byte is as good as another, and the file's size and times are held against
        // what they were before the digests are believed. Bytes that go away are the handler's business.
        let Ok(map) = (unsafe { MmapOptions::new().len(n_bytes).map(fd.as_raw_fd()) }) else {
            place.is_taken.store(false, SeqCst);
            return None;
        };
        // Advice: without it the file is mapped none the less.
        let _ = map.advise(Advice::Sequential);
        let start = map.as_ptr().expose_provenance();
        place.set(start, start + n_bytes);
        Some(Mapped { map, place })
    }

    /// The file's bytes; zeros where there are none any more.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Whether some of the bytes that were looked at so far had gone.
    pub(crate) fn is_broken(&self) -> bool {
        // The handler runs in the middle of an ordinary load, which must not be moved behind this question.
        compiler_fence(SeqCst);
        self.place.is_broken.load(SeqCst)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Off the board before the addresses can belong to somebody else.
        self.place.set(0, 0);
        self.place.is_taken.store(false, SeqCst);
    }
}

/// Where the handler finds the mappings.
static BOARD: [Place; PLACES] = [const { Place::new() }; PLACES];

/// One mapping, or room for one. Changed only by whoever has taken it; read by the handler in any thread.
struct Place {
    is_taken: AtomicBool,
    /// Odd while the two addresses are being changed.
    turn: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    is_broken: AtomicBool,
}

impl Place {
    const fn new() -> Place {
        Place {
            is_taken: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
        }
    }

    fn set(&self, start: usize, end: usize) {
        self.turn.fetch_add(1, SeqCst);
        self.start.store(start, SeqCst);
        self.end.store(end, SeqCst);
        self.is_broken.store(false, SeqCst);
        self.turn.fetch_add(1, SeqCst);
    }

    /// The end of the mapping if the address lies in it. A place that changes under the handler's eyes is not the
    /// one whose holder is stopped in this handler, so it is passed over.
    fn end_around(&self, address: usize) -> Option<usize> {
        let turn = self.turn.load(SeqCst);
        let (start, end) = (self.start.load(SeqCst), self.end.load(SeqCst));
        let is_it =
            turn.is_multiple_of(2) && (start..end).contains(&address) && self.turn.load(SeqCst) == turn;
        is_it.then_some(end)
    }
}

/// What the handler needs that it may not ask for itself.
struct Before {
    action: libc::sigaction,
    page: usize,
}

static BEFORE: OnceLock<Before> = OnceLock::new();

/// Puts the handler in place, once in the life of the process; whether it is there.
fn is_guarded() -> bool {
    static GUARDED: OnceLock<bool> = OnceLock::new();
    *GUARDED.get_or_init(|| {
        // SAFETY: asks for a number.
        let Ok(page) = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) else { return false };
        let mut before = MaybeUninit::uninit();
        // SAFETY: a null action changes nothing; the current one is written to where it fits.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call above succeeded, so it has written the action.
        let action = unsafe { before.assume_init() };
        // The handler may run as soon as it is installed, so what it needs is there before.
        BEFORE.get_or_init(|| Before { action, page });
        // SAFETY: all zeros is a valid action: the default one.
        let mut ours: libc::sigaction = unsafe { mem::zeroed() };
        ours.sa_sigaction = on_sigbus as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `on_sigbus` has the signature that SA_SIGINFO asks for and does only what a handler may.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) == 0 }
    })
}

/// Everything in here is async-signal-safe: atomic loads and stores, `mmap`, `sigaction` and `raise`. It takes no
/// lock, allocates nothing and does not panic.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid siginfo, and for SIGBUS one with an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // Codes above zero are the kernel's own: a fault, not somebody's kill(2), whose address field means nothing.
    if !(code > 0 && heal(address, before.page)) {
        pass_on(before, code, signal, info, context);
    }
}

/// Puts zeros in place of everything from the fault to the mapping's end; whether the fault was in a mapping of ours.
fn heal(address: usize, page: usize) -> bool {
    for place in &BOARD {
        let Some(end) = place.end_around(address) else { continue };
        let from = address - address % page;
        // SAFETY: the pages lie between the fault's own and the end of a mapping of ours that this very thread
        // holds, so replacing them takes memory from nobody else. They go with the mapping when it is dropped.
        let zeros = unsafe {
            libc::mmap(
                ptr::with_exposed_provenance_mut(from),
                end - from,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if zeros == libc::MAP_FAILED {
            return false;
        }
        place.is_broken.store(true, SeqCst);
        return true;
    }
    false
}

/// What would have happened without us.
fn pass_on(before: &Before, code: c_int, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let earlier = before.action.sa_sigaction;
    if earlier == libc::SIG_IGN && code <= 0 {
        return;
    }
    if earlier == libc::SIG_DFL || earlier == libc::SIG_IGN {
        // SAFETY: all zeros is the default action. After a fault the same instruction faults again and the kernel
        // ends the process; a signal that was sent is sent once more, and comes when this handler returns.
        unsafe {
            let default: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, &raw const default, ptr::null_mut());
            if code <= 0 {
                libc::raise(signal);
            }
        }
    } else if before.action.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the kernel held this number to be such a handler.
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { mem::transmute(earlier) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above, without SA_SIGINFO.
        let handler: extern "C" fn(c_int) = unsafe { mem::transmute(earlier) };
        handler(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    const N_BYTES: usize = 64 * 1024;

    fn file() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; N_BYTES]).unwrap();
        file
    }

    fn mapped(file: &File) -> Mapped {
        Mapped::new(file.as_fd(), N_BYTES as u64).unwrap()
    }

    #[test]
    fn what_a_file_lost_under_its_mapping_reads_as_zeros_and_says_so() {
        let file = file();
        let map = mapped(&file);
        assert!(map.bytes().iter().all(|byte| *byte == 7) && !map.is_broken());
        file.set_len(4096).unwrap();
        assert_eq!(map.bytes()[4095], 7);
        assert!(!map.is_broken(), "what is still there does not break it");
        assert!(map.bytes()[4096..].iter().all(|byte| *byte == 0));
        assert!(map.is_broken());
        drop(map);
        assert!(!mapped(&self::file()).is_broken(), "a place is handed on as new");
    }

    #[test]
    fn many_threads_lose_their_files_at_once_and_keep_the_others() {
        std::thread::scope(|scope| {
            for nth in 0..16 {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let (lost, kept) = (file(), file());
                        let (lost_map, kept_map) = (mapped(&lost), mapped(&kept));
                        lost.set_len(nth * 1024).unwrap();
                        let n_left = usize::try_from(nth * 1024).unwrap();
                        assert!(lost_map.bytes()[..n_left].iter().all(|byte| *byte == 7));
                        assert!(lost_map.bytes()[n_left..].iter().all(|byte| *byte == 0));
                        assert!(lost_map.is_broken());
                        assert!(kept_map.bytes().iter().all(|byte| *byte == 7) && !kept_map.is_broken());
                    }
                });
            }
        });
    }

    #[test]
    fn an_empty_file_is_not_mapped() {
        assert!(Mapped::new(file().as_fd(), 0).is_none());
    }

    /// Runs this very test again in a child, which does what would kill this process.
    fn child(test: &str, deed: impl FnOnce()) -> Option<std::process::ExitStatus> {
        if std::env::var_os("HASHSWEEP_TEST_CHILD").is_some() {
            deed();
            return None;
        }
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("HASHSWEEP_TEST_CHILD", "1")
            .output()
            .unwrap();
        Some(run.status)
    }

    #[test]
    fn a_fault_in_anybody_elses_mapping_kills_as_before() {
        let status = child("mapped::tests::a_fault_in_anybody_elses_mapping_kills_as_before", || {
            let (ours, foreign) = (file(), file());
            let map = mapped(&ours);
            // SAFETY: a mapping of a file that nobody else knows.
            let theirs = unsafe { Mmap::map(&foreign) }.unwrap();
            foreign.set_len(0).unwrap();
            ours.set_len(0).unwrap();
            assert_eq!(map.bytes()[0], 0, "ours is healed");
            std::hint::black_box(theirs[0]);
        });
        if let Some(status) = status {
            assert_eq!(status.signal(), Some(libc::SIGBUS), "{status}");
        }
    }
}
