//! From a case to the files and the table that a sweep leaves behind.

use super::baseline::Baseline;
use super::{documents, forensic};
use crate::args::{Emit, Format};
use crate::outputs::Open;
use crate::settings::Outputs;
use crate::shell::{Terminal, is_broken_pipe};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::{Case, CaseError, Only, Order, StoredRoot, Sweep, SweepId, Worded};
use hashsweep_model::{Judged, Outcome, Row};
use hashsweep_pipeline::crash::{self, Moment};
use hashsweep_report::{
    CsvReport, Findings, JsonlReport, Labels, Layout, ListCsv, ListHeader, ListJsonl, ListNames,
};
use hashsweep_source::list::{self, Content, ListOrder, RawRows, Style};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Lines of the table: more would scroll away what matters.
pub(crate) const MAX_TABLE_ROWS: usize = 50;

/// Writes every report of a sweep, and the table of findings where there is a terminal for it. A list's reports
/// are the list itself with our columns.
pub(crate) fn write_all(
    case: &Case,
    sweep: SweepId,
    outputs: &Outputs,
    open: Vec<Open>,
    terminal: &Terminal,
    simulated: bool,
    baseline: Option<&Baseline>,
) -> anyhow::Result<()> {
    let sweep = case.sweep(Some(sweep))?;
    let emit = outputs.emit.unwrap_or(Emit::All);
    let mut troubles = Troubles::default();
    for output in open {
        troubles.note(output.in_partition(|| partition(case, &sweep)).and_then(|output| {
            output.fill(|format, out| {
                match sweep.command.as_str() {
                    "list" if is_of_rows(format) => enriched(case, &sweep, emit, format, out),
                    _ => plain(case, &sweep, (emit, baseline), &Labels::default(), format, out),
                }?;
                crash::point(Moment::Reporting);
                Ok(())
            })
        }));
    }
    if outputs.table && !terminal.talk.quiet {
        let emit = outputs.emit.unwrap_or(Emit::Findings);
        troubles.note(table(case, &sweep, (emit, baseline), terminal, simulated));
    }
    troubles.first()
}

/// Where a sweep's rows lie in a dataset, in the manner of Hive, which Spark and its kin know. Sorted by time, and its own
/// in whatever cases feed the dataset; writing the same sweep again replaces it.
pub(crate) fn partition(case: &Case, sweep: &Sweep) -> anyhow::Result<PathBuf> {
    let at = jiff::Timestamp::from_millisecond(sweep.started_at.0)?.strftime("%Y%m%dT%H%M%SZ");
    let uid = case.uid_of(sweep.id)?;
    Ok(PathBuf::from(format!("run={at}-{}", &uid[..uid.len().min(12)])).join("rows.parquet"))
}

/// What went wrong with outputs. One that fails costs itself, not those behind it; one whose reader has gone
/// costs nothing.
#[derive(Default)]
pub(crate) struct Troubles(Option<anyhow::Error>);

impl Troubles {
    pub(crate) fn note(&mut self, written: anyhow::Result<()>) {
        if let Err(error) = written
            && !is_broken_pipe(&error)
        {
            self.0.get_or_insert(error);
        }
    }

    pub(crate) fn first(self) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Hands each row that is wanted to a report.
pub(super) type Rows<'a> = &'a dyn Fn(&mut dyn FnMut(&Row) -> anyhow::Result<()>) -> anyhow::Result<()>;

/// The standard columns; a row of a list is `FILE:ROW`.
pub(crate) fn plain(
    case: &Case,
    sweep: &Sweep,
    (emit, baseline): (Emit, Option<&Baseline>),
    labels: &Labels,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (only, order) = (only(emit), order(sweep));
    let rows =
        |each: &mut dyn FnMut(&Row) -> anyhow::Result<()>| case.rows(sweep.id, only, order, |row| each(&row));
    // Forms without a place for what has happened to a row still leave out what is not wanted.
    let wanted: Rows<'_> = &|each| match baseline.filter(|_| emit == Emit::New) {
        Some(since) => since.mark(emit, rows, |row, _| each(row)),
        None => rows(each),
    };
    match format {
        Format::Csv => {
            let mut report = match baseline {
                Some(_) => CsvReport::marked(out, names(sweep))?,
                None => CsvReport::new(out, names(sweep))?,
            };
            match baseline {
                Some(since) => {
                    since.mark(emit, rows, |row, change| Ok(report.marked_row(row, change)?))?;
                }
                None => rows(&mut |row| Ok(report.row(row)?))?,
            }
            report.finish()?;
        }
        Format::Jsonl => {
            let mut report = JsonlReport::new(out, names(sweep));
            match baseline {
                Some(since) => {
                    since.mark(emit, rows, |row, change| Ok(report.marked_row(row, change)?))?;
                }
                None => rows(&mut |row| Ok(report.row(row)?))?,
            }
            report.finish()?;
        }
        Format::Html => documents::page(case, sweep, out)?,
        Format::Manifest => documents::manifest(case, sweep, labels, out)?,
        Format::Markdown => documents::ticket(case, sweep, out)?,
        Format::Sarif => forensic::sarif(case, sweep, out)?,
        Format::Stix => forensic::stix(case, sweep, out)?,
        Format::Dfxml => forensic::dfxml(sweep, wanted, out)?,
        Format::Bodyfile => forensic::bodyfile(wanted, out)?,
        Format::Hashdeep => forensic::hashdeep(sweep, wanted, out)?,
        Format::Parquet | Format::Dataset => documents::parquet(case, sweep, wanted, out)?,
        Format::Metrics => unreachable!("figures are written apart, under the names of their files"),
    }
    Ok(())
}

/// Whether a list can be written back in this format, with our columns behind its own.
fn is_of_rows(format: Format) -> bool {
    match format {
        Format::Csv | Format::Jsonl => true,
        Format::Html
        | Format::Manifest
        | Format::Markdown
        | Format::Sarif
        | Format::Stix
        | Format::Dfxml
        | Format::Bodyfile
        | Format::Hashdeep
        | Format::Metrics
        | Format::Parquet
        | Format::Dataset => false,
    }
}

/// The findings (or whatever is wanted), worst first.
pub(crate) fn table(
    case: &Case,
    sweep: &Sweep,
    (emit, baseline): (Emit, Option<&Baseline>),
    terminal: &Terminal,
    simulated: bool,
) -> anyhow::Result<()> {
    let layout = Layout {
        width: terminal.width(),
        colour: terminal.stdout && terminal.colour,
        max_rows: terminal.stdout.then_some(MAX_TABLE_ROWS),
        emit: wanted(emit),
        simulated,
    };
    let mut findings = Findings::new(layout, names(sweep));
    let rows = |each: &mut dyn FnMut(&Row) -> Result<(), CaseError>| {
        case.rows(sweep.id, only(emit), Order::Arrival, |row| each(&row))
    };
    let mut add = |row: &Row| {
        findings.add(row);
        Ok(())
    };
    match baseline.filter(|_| emit == Emit::New) {
        Some(since) => since.mark(emit, rows, |row, _| add(row))?,
        None => rows(&mut add)?,
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    findings.write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// The worst findings on stderr, where a mail from cron has them above the summary.
pub(crate) fn findings_for_people(case: &Case, sweep: SweepId, simulated: bool) -> anyhow::Result<()> {
    let sweep = case.sweep(Some(sweep))?;
    let layout = Layout {
        width: None,
        colour: false,
        max_rows: Some(MAX_TABLE_ROWS),
        emit: hashsweep_report::Emit::Findings,
        simulated,
    };
    let mut findings = Findings::new(layout, names(&sweep));
    case.rows(sweep.id, Only::Findings, Order::Arrival, |row| {
        findings.add(&row);
        Ok::<_, CaseError>(())
    })?;
    // If stderr is closed there is nobody left to tell; the exit code still says it.
    let _ = findings.write(&mut std::io::stderr().lock());
    Ok(())
}

/// The lists as they came, row by row, with our columns behind theirs.
fn enriched(
    case: &Case,
    sweep: &Sweep,
    emit: Emit,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let stored = Stored::parse(&sweep.settings)?;
    let mut lists = Vec::new();
    for root in &sweep.roots {
        let order = stored.list_order(&root.opened)?;
        let layout = list::recognise(&order)?;
        lists.push(Source { given: &root.given, order, layout, root });
    }
    let Some(first) = lists.first() else { return Ok(()) };
    if let Some(other) = lists.iter().find(|list| !agree(&list.layout, &first.layout)) {
        bail!(
            "{} and {} have different columns, so one output cannot hold both\n  hint: sweep them one by one, or write the standard columns with 'hashsweep report'",
            String::from_utf8_lossy(first.given),
            String::from_utf8_lossy(other.given)
        );
    }
    let opened = RawRows::open(&first.order, &first.layout)?;
    let names = first.layout.names();
    let header = HeaderLine::of(&opened, &first.layout);
    let (style, terminator) = (first.layout.style(), header.terminator.clone());
    let header = match style {
        Style::Spliced { delimiter } => ListHeader::Columns { raw: &header.raw, names: &names, delimiter },
        Style::Cells | Style::Objects => ListHeader::Cells { names: &names },
    };
    let mut join = Join { lists: &lists, at: 0, read: 0, rows: Some(opened), whole: sweep.intake_finished };
    match format {
        Format::Csv => {
            let mut report = ListCsv::new(out, &header, &terminator)?;
            let words = report.words();
            let say = |judged: Judged<'_>, line: &mut Vec<u8>| words.say(judged, line);
            case.rows_in_words(sweep.id, only(emit), say, |row| {
                let found = join.find(&row)?;
                let written = match style {
                    Style::Spliced { .. } => report.row(found.raw, found.terminator, row.words),
                    Style::Cells | Style::Objects => {
                        let cells: Vec<&[u8]> = found.fields.iter().collect();
                        report.cells(&cells, found.terminator, row.words)
                    }
                };
                written.map_err(anyhow::Error::from)
            })?;
            join.finish()?;
            report.finish()?;
        }
        Format::Jsonl => {
            let mut report = ListJsonl::new(out, &header);
            case.rows(sweep.id, only(emit), Order::Arrival, |row| {
                let found = join.find(&Worded::of(&row, &[])?)?;
                let written = match style {
                    Style::Objects => report.value(found.raw, &row),
                    Style::Spliced { .. } | Style::Cells => {
                        let cells: Vec<&[u8]> = found.fields.iter().collect();
                        report.row(&cells, &row)
                    }
                };
                written.map_err(anyhow::Error::from)
            })?;
            join.finish()?;
            report.finish()?;
        }
        Format::Html
        | Format::Manifest
        | Format::Markdown
        | Format::Sarif
        | Format::Stix
        | Format::Dfxml
        | Format::Bodyfile
        | Format::Hashdeep
        | Format::Metrics
        | Format::Parquet
        | Format::Dataset => {
            unreachable!("it was asked whether this is of rows")
        }
    }
    Ok(())
}

/// The first line of an enriched table: the list's own, or names for the columns of one that has none.
struct HeaderLine {
    raw: Vec<u8>,
    terminator: Vec<u8>,
}

impl HeaderLine {
    fn of(rows: &RawRows, layout: &list::Layout) -> HeaderLine {
        let (raw, terminator) = split_line(rows.preamble());
        match layout {
            list::Layout::Table(table) if table.header.is_none() => {
                let mut raw = rows.preamble().to_vec();
                raw.extend(layout.names().join(&table.delimiter));
                HeaderLine { raw, terminator: Vec::new() }
            }
            _ => HeaderLine { raw: raw.to_vec(), terminator: terminator.to_vec() },
        }
    }
}

/// One list of the sweep, ready to be read again.
struct Source<'a> {
    given: &'a [u8],
    order: ListOrder,
    layout: list::Layout,
    root: &'a StoredRoot,
}

/// The case's rows held against the lists' own, in step. Both come in the order of the lists.
struct Join<'a> {
    lists: &'a [Source<'a>],
    at: usize,
    /// The last row read of the list at hand.
    read: u64,
    rows: Option<RawRows>,
    /// Whether the lists were read to their ends, so that their fingerprints are known.
    whole: bool,
}

impl Join<'_> {
    /// The row of the list that a row of the case came from.
    fn find(&mut self, row: &Worded<'_>) -> anyhow::Result<list::RawRow<'_>> {
        while self.at < row.root as usize {
            self.close()?;
            self.at += 1;
            let list = self.lists.get(self.at).context("a row of a list that is not there")?;
            self.rows = Some(RawRows::open(&list.order, &list.layout)?);
            self.read = 0;
        }
        let given = self.lists[self.at].given;
        let rows = self.rows.as_mut().context("the list is closed")?;
        // Rows that are not wanted are passed over.
        for _ in self.read + 1..row.line {
            if rows.next().is_none() {
                bail!(changed(given));
            }
        }
        self.read = row.line;
        let Some(found) = rows.next() else { bail!(changed(given)) };
        // Whether or not the whole list can be held against its fingerprint, this row must be the row that was read.
        let is = |outcome, why: String| row.outcome == outcome && row.reason == Some(why.as_str());
        let is_same = match &found.content {
            Content::One(_) | Content::Several(_) => Some(row.digests) == found.content.digests(),
            Content::Invalid(why) => is(Outcome::Invalid, why.to_string()),
            Content::Lost(skip) => is(Outcome::Skipped, skip.to_string()),
        };
        if !is_same {
            bail!(changed(given));
        }
        Ok(found)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        while self.at < self.lists.len() {
            self.close()?;
            self.at += 1;
            if let Some(list) = self.lists.get(self.at) {
                self.rows = Some(RawRows::open(&list.order, &list.layout)?);
            }
        }
        Ok(())
    }

    /// Reads the rest of the list at hand: its bytes must be those that the verdicts are about.
    fn close(&mut self) -> anyhow::Result<()> {
        let Some(mut rows) = self.rows.take() else { return Ok(()) };
        if !self.whole {
            return Ok(());
        }
        while rows.next().is_some() {}
        if Some(rows.finish()?.fingerprint) == self.lists[self.at].root.fingerprint {
            return Ok(());
        }
        bail!(changed(self.lists[self.at].given))
    }
}

fn changed(list: &[u8]) -> String {
    format!(
        "{} changed between reading and enriching, so its rows cannot be joined with their verdicts\n  hint: 'hashsweep report' writes what was read as FILE:ROW",
        String::from_utf8_lossy(list)
    )
}

/// Whether the rows of two lists can stand in one output.
pub(crate) fn agree(one: &list::Layout, other: &list::Layout) -> bool {
    (one.style(), one.names()) == (other.style(), other.names())
}

/// A line and what ends it.
fn split_line(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    line.split_at(end)
}

/// What rows of lists are called.
pub(crate) fn names(sweep: &Sweep) -> ListNames {
    let name = |root: &StoredRoot| match root.given.as_slice() {
        b"-" => super::spool::STDIN.to_vec(),
        given => given.to_vec(),
    };
    ListNames::new(sweep.roots.iter().map(name).collect())
}

fn only(emit: Emit) -> Only {
    match emit {
        Emit::All | Emit::New => Only::All,
        Emit::Findings => Only::Findings,
        Emit::Unknown => Only::Unknown,
    }
}

fn wanted(emit: Emit) -> hashsweep_report::Emit {
    match emit {
        // What is not new does not come that far.
        Emit::All | Emit::New => hashsweep_report::Emit::All,
        Emit::Findings => hashsweep_report::Emit::Findings,
        Emit::Unknown => hashsweep_report::Emit::Unknown,
    }
}

pub(crate) fn order(sweep: &Sweep) -> Order {
    if sweep.command == "list" { Order::Arrival } else { Order::Path }
}
