//! Reports in the forms of other people's tools: forensic inventories, and findings for pipelines.

use super::documents::record;
use super::written::{Rows, names, order};
use crate::stored::Stored;
use anyhow::Context;
use hashsweep_case::{Case, Only, Sweep};
use hashsweep_model::{Kinds, Place, Row};
use hashsweep_report::{Bodyfile, Dfxml, Format, Manifest, Sarif, Stix};
use std::io::Write;

/// Findings as SARIF.
pub(crate) fn sarif(case: &Case, sweep: &Sweep, out: &mut dyn Write) -> anyhow::Result<()> {
    let tally = case.tally(sweep.id)?;
    let mut log = Sarif::new(out, names(sweep), &record(case, sweep, &tally)?, &tally)?;
    case.rows(sweep.id, Only::Findings, order(sweep), |row| Ok::<_, anyhow::Error>(log.row(&row)?))?;
    log.finish()?;
    Ok(())
}

/// Findings as a STIX bundle.
pub(crate) fn stix(case: &Case, sweep: &Sweep, mut out: &mut dyn Write) -> anyhow::Result<()> {
    let tally = case.tally(sweep.id)?;
    let mut bundle = Stix::new(names(sweep));
    case.rows(sweep.id, Only::Findings, order(sweep), |row| {
        bundle.add(&row);
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(bundle.write(&mut out, &record(case, sweep, &tally)?)?)
}

/// Files as DFXML.
pub(crate) fn dfxml(sweep: &Sweep, rows: Rows<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let roots: Vec<&[u8]> = sweep.roots.iter().map(|root| root.given.as_slice()).collect();
    let mut document = Dfxml::new(out, sweep.started_at, &roots)?;
    files(rows, |path, row| Ok(document.file(path, row)?))?;
    document.finish()?;
    Ok(())
}

/// Files as a bodyfile.
pub(crate) fn bodyfile(rows: Rows<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut bodyfile = Bodyfile::new(out);
    files(rows, |path, row| Ok(bodyfile.file(path, row)?))?;
    bodyfile.finish()?;
    Ok(())
}

/// Files that were hashed as a manifest of hashdeep. The others are counted at its end.
pub(crate) fn hashdeep(sweep: &Sweep, rows: Rows<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let kinds: Kinds =
        Stored::parse(&sweep.settings)?.kinds.parse().context("read the sweep's hash functions")?;
    let comments = [format!("made by hashsweep {} of sweep {}", env!("CARGO_PKG_VERSION"), sweep.id.0)];
    let mut manifest = Manifest::new(out, Format::Hashdeep, &kinds, &comments)?;
    let mut n_without = 0_u64;
    files(rows, |path, row| {
        match row.size {
            Some(size) if kinds.iter().all(|kind| row.digests.get(kind).is_some()) => {
                manifest.file(path, size, &row.digests)?;
            }
            _ => n_without += 1,
        }
        Ok(())
    })?;
    let out = manifest.finish()?;
    if n_without > 0 {
        writeln!(out, "## {n_without} more without digests: links, devices, what could not be read")?;
    }
    Ok(())
}

/// Each row of a sweep of files, with its name.
fn files(rows: Rows<'_>, mut each: impl FnMut(&[u8], &Row) -> anyhow::Result<()>) -> anyhow::Result<()> {
    rows(&mut |row| match &row.place {
        Place::Path(path) => each(path, row),
        Place::Line(_) => anyhow::bail!("a row of a list where files are written"),
    })
}
