//! The engines against RustCrypto's single stream, taking turns, in this thread's CPU time; a receipt in JSON.
//!
//! Rounds are short and many. The median is what a busy machine gives; beside it stands the best twentieth, which is
//! what the processor gives when its sibling is idle.

use hashsweep_benches::{MIXES, by_rustcrypto, in_lanes};
use hashsweep_lanes::Engine;
use rustix::time::{ClockId, clock_gettime};
use std::io::{self, Write};

const ROUNDS: usize = 201;
/// Hashed in one turn.
const N_BYTES: usize = 4 << 20;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{{\n  \"unit\": \"GB/s of this thread's CPU time\",\n  \"rounds\": {ROUNDS},")?;
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    for key in ["model name", "cpu family", "model\t"] {
        let value = processor
            .lines()
            .find_map(|line| line.strip_prefix(key)?.split_once(": "))
            .map(|(_, value)| value);
        writeln!(out, "  \"{}\": \"{}\",", key.trim(), value.unwrap_or("unknown"))?;
    }
    writeln!(out, "  \"results\": [")?;
    let sizes = [4 * 1024, 64 * 1024];
    for (nth, n_bytes) in sizes.into_iter().enumerate() {
        for (nth_mix, (name, wanted)) in MIXES.into_iter().enumerate() {
            let n_messages = N_BYTES / n_bytes;
            let message = vec![7; n_bytes];
            let mut single = Vec::new();
            let mut ours: Vec<(Engine, Vec<f64>)> =
                Engine::available().map(|engine| (engine, Vec::new())).collect();
            for _ in 0..ROUNDS {
                single.push(seconds(|| by_rustcrypto(wanted, n_messages, &message)));
                for (engine, times) in &mut ours {
                    times.push(seconds(|| in_lanes(*engine, wanted, n_messages, n_bytes)));
                }
            }
            let (median, best) = rates(&mut single);
            write!(out, "    {{\"mix\": \"{name}\", \"message_bytes\": {n_bytes}, ")?;
            write!(out, "\"rustcrypto\": {{\"median\": {median:.3}, \"best\": {best:.3}}}")?;
            for (engine, times) in &mut ours {
                let (m, b) = rates(times);
                write!(out, ", \"{engine}\": {{\"median\": {m:.3}, \"best\": {b:.3}, ")?;
                write!(out, "\"median_ratio\": {:.2}, \"best_ratio\": {:.2}}}", m / median, b / best)?;
            }
            let is_last = nth + 1 == sizes.len() && nth_mix + 1 == MIXES.len();
            writeln!(out, "}}{}", if is_last { "" } else { "," })?;
        }
    }
    writeln!(out, "  ]\n}}")
}

/// The CPU time that `work` took in this thread.
fn seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        f64::from(u32::try_from(time.tv_sec).expect("136 years of CPU time"))
            + f64::from(u32::try_from(time.tv_nsec).expect("less than a second")) * 1e-9
    };
    let before = now();
    work();
    now() - before
}

/// Rates in GB/s: the median, and what only a twentieth of the rounds were better than.
fn rates(seconds: &mut [f64]) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    let gigabytes = f64::from(u32::try_from(N_BYTES).expect("a few MiB")) * 1e-9;
    (gigabytes / seconds[seconds.len() / 2], gigabytes / seconds[seconds.len() / 20])
}
