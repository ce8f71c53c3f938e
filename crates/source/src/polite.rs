//! A thread that gives way: it runs, and reads the disk, when nothing else wants to.

use thread_priority::unix::{NormalThreadSchedulePolicy, ThreadSchedulePolicy};
use thread_priority::{ThreadPriority, set_thread_priority_and_policy, thread_native_id};

/// Puts the calling thread behind every other of the machine, for as long as it lives.
///
/// The kernel derives the class of a thread's reads and writes from its scheduling policy unless told otherwise, and
/// from the idle policy the idle class (`ionice -c3`): see the kernel's `Documentation/block/ioprio.rst`. What the
/// class is worth depends on the disk's scheduler: bfq and mq-deadline heed it, none does not. Where the policy is
/// refused, by a sandbox say, the walk is merely less polite.
pub(crate) fn give_way() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read_to_string;
    use std::thread;

    /// The scheduling policy of the calling thread (proc(5), field 41 of `stat`).
    fn policy() -> u32 {
        let stat = read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        after_name.split(' ').nth(38).unwrap().parse().unwrap()
    }

    /// From the kernel's `sched.h`.
    const SCHED_IDLE: u32 = 5;

    #[test]
    fn only_the_thread_that_asks_gives_way() {
        let before = policy();
        let there = thread::spawn(|| {
            give_way();
            policy()
        });
        assert_eq!(there.join().unwrap(), SCHED_IDLE);
        assert_eq!(policy(), before);
    }
}
