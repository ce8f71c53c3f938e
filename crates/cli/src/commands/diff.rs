//! `hashsweep diff`: two sweeps of one case held against one another, without a request.

use super::written::{MAX_TABLE_ROWS, Troubles, names};
use crate::args::{Diff, DifferenceFormat, Output};
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{Outputs, SIMULATOR, case_path};
use crate::shell::{Terminal, day_and_time, say};
use crate::stored::Stored;
use anyhow::{anyhow, bail};
use hashsweep_case::{Case, Only, Order, Sweep, SweepId};
use hashsweep_model::Row;
use hashsweep_report::{
    Compared, Counts, Difference, DifferenceCsv, DifferenceJsonl, DifferenceSummary, Differences, LeftOut,
    Side, TableLayout, compare,
};
use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread::{self, Scope};

/// Rows in one message between a reader and the merge. Large enough that a message costs little beside its rows; a
/// guess, unmeasured.
const BATCH: usize = 256;

/// Messages that wait at most. A reader that is ahead waits; a thousand rows hide its hiccups.
const DOOR: usize = 4;

pub(crate) fn run(diff: Diff, terminal: &Terminal) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&diff.case, diff.sim)?)?;
    let pair = Pair::choose(&case, diff.old.zip(diff.new), diff.incomplete_ok, terminal)?;
    let simulated = case.service()?.as_deref() == Some(SIMULATOR);
    let (old, new) = (compared(&pair.old), compared(&pair.new));
    let ended = |mut counts: Counts, write: &dyn Fn(&DifferenceSummary<'_>) -> io::Result<()>| {
        counts.simulated |= simulated;
        let summary = DifferenceSummary { counts: &counts, old: &old, new: &new };
        write(&summary)
            .map(|()| Exit::of_differences(&counts, diff.incomplete_ok || summary.is_whole(), diff.fail_on))
    };
    if diff.json {
        let counts = pair.compare(case.path(), |_| Ok(()))?;
        return Ok(ended(counts, &|summary| writeln!(io::stdout(), "{}", summary.json()))?);
    }
    let typed = Output {
        output: diff.output,
        format: diff.format.map(Into::into),
        emit: None,
        metrics: None,
        dataset: None,
        no_clobber: diff.no_clobber,
    };
    let outputs = Outputs::resolve(&typed, terminal.stdout, Vec::new())?;
    // Said before anything is opened.
    for target in &outputs.targets {
        DifferenceFormat::try_from(target.format())?;
    }
    let (mut counts, mut troubles) = (None, Troubles::default());
    for output in outputs::open(&outputs, &Case::files_of(case.path()))? {
        troubles.note(output.fill(|format, out| {
            counts = Some(pair.write(case.path(), format.try_into()?, out)?);
            Ok(())
        }));
    }
    if outputs.table && !terminal.talk.quiet {
        let layout = TableLayout {
            width: terminal.width(),
            colour: terminal.stdout && terminal.colour,
            max_rows: terminal.stdout.then_some(MAX_TABLE_ROWS),
            simulated,
        };
        let mut table = Differences::new(layout, names(&pair.new));
        counts = Some(pair.compare(case.path(), |difference| {
            table.add(difference);
            Ok(())
        })?);
        troubles.note(flushed(|out| table.write(out)));
    }
    let counts = match counts {
        Some(counts) => counts,
        None => pair.compare(case.path(), |_| Ok(()))?,
    };
    let exit = ended(counts, &|summary| {
        if !terminal.talk.quiet {
            // If stderr is closed there is nobody left to tell; the exit code still says it.
            let _ = summary.write(&mut io::stderr().lock(), terminal.stderr && terminal.colour);
        }
        Ok(())
    })?;
    troubles.first()?;
    Ok(exit)
}

fn flushed(write: impl FnOnce(&mut BufWriter<io::StdoutLock<'_>>) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out)?;
    Ok(out.flush()?)
}

/// The two sweeps, with what their settings say of one another.
pub(super) struct Pair {
    old: Sweep,
    new: Sweep,
    left_out: [LeftOut; 2],
}

impl Pair {
    fn choose(
        case: &Case,
        numbers: Option<(i64, i64)>,
        unfinished_ok: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Pair> {
        let (old, new) = match numbers {
            Some((old, new)) => (case.sweep(Some(SweepId(old)))?, case.sweep(Some(SweepId(new)))?),
            None => last_two(case, unfinished_ok, terminal)?,
        };
        Pair::of(old, new)
    }

    pub(super) fn of(old: Sweep, new: Sweep) -> anyhow::Result<Pair> {
        let of_list = |sweep: &Sweep| sweep.command == "list";
        match (of_list(&old), of_list(&new)) {
            (true, true) if lists(&old).is_none() || lists(&old) != lists(&new) => bail!(
                "sweeps {} and {} did not read the same lists to their ends, and rows of other lists cannot be told apart",
                old.id.0,
                new.id.0
            ),
            (true, true) | (false, false) => {}
            (true, false) | (false, true) => {
                bail!("one of sweeps {} and {} is of a list, and lists have no paths", old.id.0, new.id.0)
            }
        }
        let filters = [&old, &new].map(|sweep| Stored::parse(&sweep.settings).map(|stored| stored.walking));
        let [Ok(filters_old), Ok(filters_new)] = filters else {
            bail!("the settings of sweep {} or {} cannot be read", old.id.0, new.id.0);
        };
        let left_out = [&old, &new].map(|sweep| match (&filters_old, &filters_new) {
            _ if sweep.excluded == 0 => LeftOut::Nothing,
            (Some(a), Some(b)) if !a.same_as(b) => LeftOut::Anything,
            (Some(a), Some(_)) if a.go_by_file() => LeftOut::ByFile,
            (Some(_), Some(_)) | (None, None) => LeftOut::Nothing,
            (Some(_), None) | (None, Some(_)) => LeftOut::Anything,
        });
        Ok(Pair { old, new, left_out })
    }

    /// Reads both sweeps, each on a thread of its own, and merges them here.
    pub(super) fn compare(
        &self,
        case: &Path,
        each: impl FnMut(&Difference) -> anyhow::Result<()>,
    ) -> anyhow::Result<Counts> {
        thread::scope(|scope| {
            let [old, new] = [&self.old, &self.new].map(|sweep| read(scope, case, sweep.id));
            let [left_out_old, left_out_new] = self.left_out;
            compare(side(&self.old, left_out_old), side(&self.new, left_out_new), old, new, each)
        })
    }

    fn write(&self, case: &Path, format: DifferenceFormat, out: &mut dyn Write) -> anyhow::Result<Counts> {
        let names = names(&self.new);
        match format {
            DifferenceFormat::Csv => {
                let mut rows = DifferenceCsv::new(out, names)?;
                let counts = self.compare(case, |difference| Ok(rows.row(difference)?))?;
                rows.finish()?;
                Ok(counts)
            }
            DifferenceFormat::Jsonl => {
                let mut rows = DifferenceJsonl::new(out, names);
                let counts = self.compare(case, |difference| Ok(rows.row(difference)?))?;
                rows.finish()?;
                Ok(counts)
            }
        }
    }
}

/// The latest sweep, and the one before it over the same roots. What did not reach its end is passed over: against
/// half a sweep nothing could be said to be new, and in half a sweep nothing to be gone. Where half a sweep is good
/// enough, the latest is taken as it is, and an unfinished one before it if there is no other.
fn last_two(case: &Case, unfinished_ok: bool, terminal: &Terminal) -> anyhow::Result<(Sweep, Sweep)> {
    let latest = case.sweep(None)?;
    let (mut new, mut unfinished, mut passed_over) = (None, None, Vec::new());
    for id in case.sweep_ids()?.into_iter().rev() {
        let sweep = case.sweep(Some(id))?;
        if id.0 > latest.id.0 || !same_roots(&sweep, &latest) {
            continue;
        }
        let is_usable = sweep.intake_finished || unfinished_ok && new.is_none();
        match (is_usable, new.take()) {
            (true, None) => new = Some(sweep),
            (true, Some(new)) => {
                if !passed_over.is_empty() && !terminal.talk.quiet {
                    let numbers = passed_over.join(", ");
                    say(format!("passed over sweep {numbers}, which did not reach its end"));
                }
                return Ok((sweep, new));
            }
            (false, found) => {
                new = found;
                passed_over.push(id.0.to_string());
                unfinished.get_or_insert(sweep);
            }
        }
    }
    match (new, unfinished) {
        (Some(new), Some(old)) if unfinished_ok => Ok((old, new)),
        (_, Some(unfinished)) => bail!(
            "there are no two sweeps over the roots of sweep {} that reached their ends\n  hint: 'hashsweep resume --sweep {}' finishes one; --incomplete-ok compares as far as they came",
            latest.id.0,
            unfinished.id.0
        ),
        (_, None) => bail!(
            "sweep {} is the only one over its roots, so there is nothing to hold it against\n  hint: 'hashsweep diff OLD NEW' compares any two sweeps of the case",
            latest.id.0
        ),
    }
}

/// Whether two sweeps went over the same things, and would call them by the same names. The same path is another thing
/// on another machine.
fn same_roots(a: &Sweep, b: &Sweep) -> bool {
    if a.command == "list" || b.command == "list" {
        let given = |sweep: &Sweep| sweep.roots.iter().map(|root| root.given.clone()).collect::<Vec<_>>();
        return a.command == b.command
            && given(a) == given(b)
            && (lists(a) == lists(b) || lists(b).is_none());
    }
    // Paths compare by their components: `tree/` is `tree`.
    let roots = |sweep: &Sweep| -> BTreeSet<_> {
        sweep.roots.iter().map(|root| (bare(&root.given).to_vec(), root.opened.clone())).collect()
    };
    let is_one_host = a.host.is_none() || b.host.is_none() || a.host == b.host;
    a.command == b.command && roots(a) == roots(b) && is_one_host
}

fn bare(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

/// What the lists of a sweep held; `None` unless all of them were read to their ends.
fn lists(sweep: &Sweep) -> Option<Vec<[u8; 32]>> {
    sweep.roots.iter().map(|root| root.fingerprint).collect()
}

fn side(sweep: &Sweep, left_out: LeftOut) -> Side {
    let given = sweep.roots.iter().map(|root| root.given.clone());
    let roots = match sweep.command.as_str() {
        "list" => Vec::new(),
        // What is in an image lies below its name and a colon.
        "image" => given.map(|name| [&name[..], b":"].concat()).collect(),
        _ => given.collect(),
    };
    Side { roots, intake_finished: sweep.intake_finished, left_out }
}

fn compared(sweep: &Sweep) -> Compared {
    Compared {
        sweep: sweep.id.0,
        started: day_and_time(sweep.started_at),
        roots: sweep.roots.iter().map(|root| root.given.clone()).collect(),
        intake_finished: sweep.intake_finished,
    }
}

/// The rows of a sweep in the order of their paths, from a thread of its own. Dropping them ends the thread.
fn read<'scope>(
    scope: &'scope Scope<'scope, '_>,
    case: &'scope Path,
    sweep: SweepId,
) -> impl Iterator<Item = anyhow::Result<Row>> + 'scope {
    let (door, rows) = sync_channel::<anyhow::Result<Vec<Row>>>(DOOR);
    scope.spawn(move || {
        let deliver = |batch: Vec<Row>| door.send(Ok(batch)).map_err(|_| anyhow!("nobody reads any more"));
        let all = || -> anyhow::Result<()> {
            let mut batch = Vec::with_capacity(BATCH);
            Case::open_to_read(case)?.rows(sweep, Only::All, Order::Path, |row| {
                batch.push(row);
                if batch.len() < BATCH {
                    return Ok(());
                }
                deliver(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))
            })?;
            deliver(batch)
        };
        if let Err(error) = all() {
            // When the merge has ended already, its own error tells more than this could.
            let _ = door.send(Err(error));
        }
    });
    rows.into_iter().flat_map(|batch| {
        let (rows, error) = match batch {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(error)
    })
}
