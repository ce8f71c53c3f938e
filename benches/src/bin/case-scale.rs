//! What the case costs at scale: distinct digests that enter it as rows of a list, are settled, and are looked up
//! again by a second sweep. Wall and CPU seconds of each step, and what the file grew to.
//!
//! ```text
//! case-scale CASE [DIGESTS] [DIGESTS A GROUP]
//! ```

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures for people to read")]

use hashsweep_case::{Case, CaseError, Claim, Fate, Freshness, Group, NewRoot, NewSweep, RunId, SweepId};
use hashsweep_model::{
    Answer, Class, Digest, Digests, HashKind, MAX_BATCH, Outcome, Place, Quota, Seen, Sighting, Source,
    Stamp, Verdict,
};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let n_digests: u64 = arguments.next().map_or(Ok(10_000_000), |n| n.parse())?;
    let per_group: u64 = arguments.next().map_or(Ok(20_000), |n| n.parse())?;
    let path = Path::new(&path);
    if path.exists() {
        return Err(format!("{} is there already", path.display()).into());
    }
    let mut case = Case::open(path)?;
    let list = List { n_digests, per_group };

    let (first, run) = begin(&mut case)?;
    measured("enter", n_digests, || list.enter(&mut case, first, &Freshness::NOTHING))?;
    measured("count", n_digests, || settled_as(&case, first, Outcome::Deferred, n_digests))?;
    println!("{:.1} bytes a digest", bytes_of(path) as f64 / n_digests as f64);
    measured("settle", n_digests, || settle(&mut case, (first, run)))?;
    println!("{:.1} bytes a digest with its answer", bytes_of(path) as f64 / n_digests as f64);

    let (second, _) = begin(&mut case)?;
    // As a sweep with --offline.
    case.group(|group| {
        group.ask_nobody();
        Ok::<_, CaseError>(())
    })?;
    measured("look up", n_digests, || list.enter(&mut case, second, &Freshness::ANYTHING))?;
    measured("count", n_digests, || settled_as(&case, second, Outcome::Cached, n_digests))?;
    println!("{} MiB at the peak", peak_kib()? / 1024);
    Ok(())
}

/// Some distinct digests, in no order.
struct List {
    n_digests: u64,
    per_group: u64,
}

impl List {
    fn enter(&self, case: &mut Case, sweep: SweepId, fresh: &Freshness) -> Result<(), Box<dyn Error>> {
        let mut line = 0;
        while line < self.n_digests {
            let next = (line + self.per_group).min(self.n_digests);
            let rows: Vec<Sighting> = (line..next).map(row).collect();
            case.group(|group| group.record(sweep, &rows, fresh))?;
            line = next;
        }
        case.group(|group| group.finish_intake(sweep, 0, fresh, Stamp(3)))?;
        Ok(())
    }
}

/// The same digest for the same number, another for another: a permutation of 64 bits, so that keys come in no order.
fn digest(n: u64) -> Digest {
    let mixed = (n ^ (n >> 31)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    bytes[12..].copy_from_slice(&mixed.to_be_bytes());
    Digest::from_bytes(&bytes).expect("twenty bytes are a SHA-1")
}

fn row(n: u64) -> Sighting {
    let digests = Digests::default().with(digest(n));
    Sighting { root: 0, place: Place::Line(n + 1), seen: Seen::Listed { digests, asked: HashKind::Sha1 } }
}

fn begin(case: &mut Case) -> Result<(SweepId, RunId), Box<dyn Error>> {
    let new = NewSweep {
        command: "list".into(),
        settings: "{}".into(),
        roots: vec![NewRoot { given: b"hashes.txt".to_vec(), opened: "/hashes.txt".into() }],
    };
    let begin = |group: &mut Group<'_>| {
        let sweep = group.begin_sweep(&new, Stamp(1))?;
        Ok((sweep, group.begin_run(sweep, Stamp(2))?))
    };
    Ok(case.group(begin)?)
}

/// Claims and settles everything, twenty batches to a group.
fn settle(case: &mut Case, at: (SweepId, RunId)) -> Result<(), Box<dyn Error>> {
    let claim = Claim {
        n_batches: 20,
        batch_size: MAX_BATCH,
        also_partial: true,
        most_digests: u64::MAX,
        up_to: Class::Last,
    };
    loop {
        let n_claimed = case.group(|group| {
            let claimed = group.claim(at, claim, &Freshness::NOTHING, Stamp(4))?.batches;
            for one in &claimed {
                let n = one.batch.len() as u64;
                let quota = Quota { charged_max: n, charged_min: n, in_doubt: 0 };
                let known =
                    |digest: &Digest| (*digest, Fate::Answered(Answer::bare(*digest, Verdict::Known)));
                let fates: Vec<_> = one.batch.digests().iter().map(known).collect();
                group.mark_sent(one.attempt, Stamp(5))?;
                group.book(one.attempt, "200", quota, Stamp(6))?;
                group.settle(at, one.attempt, &fates, Source::Service, Stamp(6))?;
            }
            Ok(claimed.len())
        })?;
        if n_claimed == 0 {
            return Ok(());
        }
    }
}

/// Counts the sweep, and makes sure that every digest became what it should.
fn settled_as(case: &Case, sweep: SweepId, outcome: Outcome, n_digests: u64) -> Result<(), Box<dyn Error>> {
    let tally = case.tally(sweep)?;
    tally.check().map_err(|wrong| format!("{wrong:?}"))?;
    let n = tally.digests_of(outcome);
    if n == n_digests {
        Ok(())
    } else {
        Err(format!("{n} of {n_digests} digests are {}", outcome.name()).into())
    }
}

fn measured(
    step: &str,
    n_digests: u64,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
    let (wall, cpu) = (Instant::now(), cpu_s());
    work()?;
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_s() - cpu);
    println!("{step:8} {:9.0}/s {wall:7.2} s wall {cpu:7.2} s CPU", n_digests as f64 / wall);
    Ok(())
}

fn cpu_s() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// The case and its log.
fn bytes_of(case: &Path) -> u64 {
    Case::files_of(case).iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
