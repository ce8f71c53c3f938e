//! What can be typed behind `hashsweep case`.

use super::{CaseChoice, values::time};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct CaseTools {
    #[command(subcommand)]
    pub(crate) action: CaseAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaseAction {
    /// What is in the case: sweeps, answers, cost, size, what is owed
    Info(CaseInfo),
    /// Hold the case against its own rules: nothing lost, nothing twice, the ledger covers the answers
    Verify(CaseLook),
    /// Drop the rows of old sweeps; findings, answers and the ledger stay
    Prune(CasePrune),
    /// Write the case anew without what is free in it
    Vacuum(CaseLook),
    /// Copy the case as it is at this moment, also while others work at it
    Export(CaseExport),
    /// Bring the sweeps, the answers and the ledger of other cases into one
    Merge(CaseMerge),
    /// Write the digests that the case owes answers for, to be asked where there is a network
    ExportPending(CasePending),
    /// Bring in the answers of the case that asked for this one, and settle what they are about
    ImportAnswers(CaseAnswers),
}

/// Which case, and how to tell about it.
#[derive(Debug, Args)]
pub(crate) struct CaseLook {
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    /// The case of the built-in simulator, unless --case names one
    #[arg(long)]
    pub(crate) sim: bool,
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CaseInfo {
    #[command(flatten)]
    pub(crate) look: CaseLook,
    /// Every sweep, not only the latest ten
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct CasePrune {
    #[command(flatten)]
    pub(crate) look: CaseLook,
    /// Keep so many sweeps over the same roots of the same machine, the latest, and drop those before them
    #[arg(long, value_name = "N", group = "which", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep: Option<u64>,
    /// Drop sweeps begun longer ago than this (90d)
    #[arg(long, value_name = "TIME", group = "which", value_parser = time)]
    pub(crate) older_than: Option<Duration>,
    /// Drop sweeps that still owe answers too; what they owe is asked no more
    #[arg(long)]
    pub(crate) abandon: bool,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CaseExport {
    #[command(flatten)]
    pub(crate) look: CaseLook,
    /// Where to; nothing is replaced
    #[arg(value_name = "FILE")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CaseMerge {
    /// The case that takes in the others; made if it is not there
    #[arg(value_name = "TARGET")]
    pub(crate) target: PathBuf,
    /// Cases to bring in; they are only read
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CasePending {
    #[command(flatten)]
    pub(crate) look: CaseLook,
    /// Which sweep; all that were made here unless given
    #[arg(long, value_name = "N")]
    pub(crate) sweep: Option<i64>,
    /// Where to; nothing is replaced [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CaseAnswers {
    #[command(flatten)]
    pub(crate) look: CaseLook,
    /// The case with the answers; it is only read
    #[arg(value_name = "CASE")]
    pub(crate) from: PathBuf,
}
