//! What can be typed. Nothing here looks at the system; `settings` turns it into what is meant.

mod case;
mod sim;
mod values;

pub(crate) use case::{
    CaseAction, CaseAnswers, CaseExport, CaseInfo, CaseLook, CaseMerge, CasePending, CasePrune, CaseTools,
};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use hashsweep_model::{HashKind, Kinds};
use hashsweep_pipeline::Rate;
use hashsweep_source::list::InputFormat;
pub(crate) use sim::{Sim, Switches};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;
pub(crate) use values::time;
use values::{delimiter, percent, read_rate, size};

/// Sweep files and hash lists through a file-reputation service.
#[derive(Debug, Parser)]
#[command(name = "hashsweep", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 complete, nothing found; 1 complete, findings; 2 could not run; 3 incomplete."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) talk: Talk,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Talk {
    /// Say nothing unless there are findings, gaps or errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for every request
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to draw progress
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Walk directories, hash every file, look the hashes up, report
    Scan(Box<Scan>),
    /// The same for the files inside disk images, without mounting them
    Image(Box<Image>),
    /// Look up the hashes of lists: CSV, text, JSON, manifests, bodyfiles, reports
    List(Box<List>),
    /// Only hash: a manifest on stdout, no case, no network
    Hash(Box<Hash>),
    /// Finish what a sweep still owes
    Resume(Box<Resume>),
    /// Write any format again from the case, without a request
    Report(Report),
    /// Hold two sweeps against one another: what is new, gone, changed, moved, or judged otherwise
    Diff(Diff),
    /// Show what asking has cost
    Quota(Quota),
    /// Look at the case itself, make it smaller, copy it, unite it with others
    Case(CaseTools),
    /// Fetch the whole reports of what was found (TCA-0104; each costs quota of its own)
    Details(Box<Details>),
    /// Serve the Spectra Intelligence simulator
    Sim(Box<Sim>),
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Directories and files to sweep
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) walking: Walking,
    #[command(flatten)]
    pub(crate) rehashing: Rehashing,
    #[command(flatten)]
    pub(crate) hashing: Hashing,
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) ending: Ending,
}

#[derive(Debug, Args)]
pub(crate) struct Image {
    /// Disk images to sweep, each by its first piece: raw, split raw, E01, virtual disks
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,
    /// Say of every row what has happened to it since this sweep of the case: the exit code, and a last column `change`
    #[arg(long, value_name = "SWEEP")]
    pub(crate) baseline: Option<i64>,
    #[command(flatten)]
    pub(crate) reading: ImageReading,
    #[command(flatten)]
    pub(crate) hashing: Hashing,
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// What of disk images is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ImageReading {
    /// Call a volume by this name in paths: p2=C: (repeatable)
    #[arg(long, value_name = "VOLUME=NAME")]
    pub(crate) path_map: Vec<String>,
    /// Hold the whole disk against the digests that are stored with it, where the container has any
    #[arg(long)]
    pub(crate) verify: bool,
    /// Look for deleted files of NTFS, FAT and exFAT, too; each path says how sure its content is
    #[arg(long)]
    pub(crate) deleted: bool,
    /// Leave out what matches, by path or by name (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Read only files that match (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out smaller files (suffixes: k, M, G, T of 1024; kB, MB, GB, TB of 1000)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) min_size: Option<u64>,
    /// Leave out larger files
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Hashing threads [default: one a core]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// What a scan takes from earlier ones.
#[derive(Debug, Args)]
pub(crate) struct Rehashing {
    /// Say of every row what has happened to it since this sweep of the case: the exit code, and a last column `change`
    #[arg(long, value_name = "SWEEP")]
    pub(crate) baseline: Option<i64>,
    /// Read every file, also those that are unchanged since the last scan of the same paths
    #[arg(long)]
    pub(crate) rehash: bool,
    /// Read a share of the unchanged files (5%), another one in each scan, and report content that changed unnoticed
    #[arg(long, value_name = "P%", value_parser = percent, conflicts_with = "rehash")]
    pub(crate) rehash_sample: Option<u8>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Lists to look up; - is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Refused with a sentence: a list has no paths
    #[arg(long, value_name = "SWEEP", hide = true)]
    pub(crate) baseline: Option<i64>,
    #[command(flatten)]
    pub(crate) reading: ListReading,
    #[command(flatten)]
    pub(crate) hashing: Hashing,
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// How lists are read, where the first rows do not tell.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ListReading {
    /// The column of a table that holds the hash: its name, or its number from 1
    #[arg(long, value_name = "NAME|N")]
    pub(crate) column: Option<String>,
    /// The only kind of hash to accept
    #[arg(long, value_name = "KIND")]
    pub(crate) hash_type: Option<HashKind>,
    /// What stands between the cells of a table: one character, or tab
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// The first line of a table is a row
    #[arg(long)]
    pub(crate) no_header: bool,
    /// The form of the lists: text, csv, hashdeep, coreutils, bodyfile, dfxml, json, jsonl, extract, parquet, sqlite
    #[arg(long, value_name = "FORM")]
    pub(crate) input_format: Option<InputFormat>,
    /// The member of each JSON value that holds the hash, as a JSON pointer
    #[arg(long, value_name = "/NAME/…", conflicts_with_all = ["column", "delimiter", "no_header"])]
    pub(crate) field: Option<String>,
    /// Take every hash in a text of any kind: a report, an e-mail, a log
    #[arg(long, conflicts_with_all = ["column", "delimiter", "no_header", "input_format", "field"])]
    pub(crate) extract: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Hash {
    /// Directories and files to hash
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    pub(crate) paths: Vec<PathBuf>,
    /// The paths are disk images, and the files inside them are hashed
    #[arg(long, conflicts_with_all = ["one_file_system", "follow", "max_depth", "newer", "missing_root", "readers", "io",
          "nice", "max_read", "exclude_from"])]
    pub(crate) image: bool,
    /// Call a volume of an image by this name in paths: p2=C: (repeatable)
    #[arg(long, value_name = "VOLUME=NAME", requires = "image")]
    pub(crate) path_map: Vec<String>,
    /// Look for deleted files in the images, too; each path says how sure its content is
    #[arg(long, requires = "image")]
    pub(crate) deleted: bool,
    #[command(flatten)]
    pub(crate) walking: Walking,
    #[command(flatten)]
    pub(crate) hashing: Hashing,
    /// How the manifest is written
    #[arg(long, value_name = "FORMAT", default_value = "coreutils")]
    pub(crate) format: ManifestFormat,
    /// Write the manifest there instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Refuse to replace an output that is there
    #[arg(long, requires = "output")]
    pub(crate) no_clobber: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    /// Which sweep; the latest unless given
    #[arg(long, value_name = "N")]
    pub(crate) sweep: Option<i64>,
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) ending: Ending,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    /// The case of the built-in simulator, unless --case names one
    #[arg(long)]
    pub(crate) sim: bool,
    /// Which sweep; the latest unless given
    #[arg(long, value_name = "N")]
    pub(crate) sweep: Option<i64>,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) ending: Ending,
    /// Write the summary as one JSON object to stdout, and no rows
    #[arg(long, conflicts_with_all = ["output", "format", "emit"])]
    pub(crate) json: bool,
    /// Who answers for the sweep; goes into its manifest
    #[arg(long, value_name = "NAME", help_heading = "Manifest")]
    pub(crate) examiner: Option<String>,
    /// What the evidence is called; goes into the sweep's manifest
    #[arg(long, value_name = "ID", help_heading = "Manifest")]
    pub(crate) evidence_id: Option<String>,
    /// Anything else that belongs into the sweep's manifest
    #[arg(long, value_name = "TEXT", help_heading = "Manifest")]
    pub(crate) note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The sweep to hold against [default: the last two over the same roots are compared]
    #[arg(value_name = "OLD", requires = "new")]
    pub(crate) old: Option<i64>,
    /// The sweep to ask about; with numbers, roots may differ
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<i64>,
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    /// The case of the built-in simulator, unless --case names one
    #[arg(long)]
    pub(crate) sim: bool,
    /// Write the differences there (repeatable; - is stdout); the ending names the format
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Vec<PathBuf>,
    /// Write this format whatever the ending says
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub(crate) format: Option<DifferenceFormat>,
    /// Refuse to replace an output that is there
    #[arg(long, help_heading = "Output")]
    pub(crate) no_clobber: bool,
    /// Write the counts as one JSON object to stdout, and no rows
    #[arg(long, conflicts_with_all = ["output", "format"], help_heading = "Output")]
    pub(crate) json: bool,
    /// What makes the exit code 1: something new with this verdict or a worse one, or any difference
    #[arg(long, value_name = "WHAT", default_value = "suspicious", help_heading = "Exit code")]
    pub(crate) fail_on: FailOnDifference,
    /// Compare as far as the sweeps came, and do not exit with 3 for what could not be told
    #[arg(long, help_heading = "Exit code")]
    pub(crate) incomplete_ok: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOnDifference {
    Malicious,
    Suspicious,
    Unknown,
    Any,
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct Quota {
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    /// The case of the built-in simulator, unless --case names one
    #[arg(long)]
    pub(crate) sim: bool,
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Only our own ledger; do not ask the service for its count
    #[arg(long)]
    pub(crate) offline: bool,
    /// Warn when this part of a limit is used
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) warn_at: u8,
    /// Where the service is, unless the latest sweep says so
    #[arg(long, value_name = "URL", conflicts_with = "sim")]
    pub(crate) api_url: Option<String>,
    /// Trust these roots too (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Go through this proxy
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// A TOML file with username and password, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
}

/// Which case.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Case")]
pub(crate) struct CaseChoice {
    #[arg(
        help = "The case file [default: case.db, or simulator.db with --sim, under $XDG_STATE_HOME/hashsweep/]",
        long,
        value_name = "PATH"
    )]
    pub(crate) case: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Hashing")]
pub(crate) struct Hashing {
    /// Hash functions to record; the first is the one asked
    #[arg(long, value_name = "KINDS", default_value = "sha1")]
    pub(crate) hash: Kinds,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Walking")]
pub(crate) struct Walking {
    /// Leave out what matches, by path or by name (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Read only files that match (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Read globs to exclude from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude_from: Vec<PathBuf>,
    /// Stay on the file system of each root
    #[arg(short = 'x', long)]
    pub(crate) one_file_system: bool,
    /// Follow symbolic links
    #[arg(short = 'L', long)]
    pub(crate) follow: bool,
    /// Descend at most so many levels
    #[arg(long, value_name = "N")]
    pub(crate) max_depth: Option<usize>,
    /// Leave out smaller files (suffixes: k, M, G, T of 1024; kB, MB, GB, TB of 1000)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) min_size: Option<u64>,
    /// Leave out larger files
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Leave out files unchanged since a date (2026-11-01, 2026-11-01T12:00Z) or for longer than a time (24h)
    #[arg(long, value_name = "WHEN")]
    pub(crate) newer: Option<String>,
    /// Read more paths from a file, one a line; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) files_from: Option<PathBuf>,
    /// The paths of --files-from end in NUL
    #[arg(short = '0', long, requires = "files_from")]
    pub(crate) null: bool,
    /// What to do about a root that does not exist
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub(crate) missing_root: MissingRoot,
    /// Hashing threads [default: one a core]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Threads that may wait for a device at once [default: 1 if it is rotational or unknown, else all]
    #[arg(long, value_name = "N")]
    pub(crate) readers: Option<NonZeroUsize>,
    /// Read files, or map them into memory; auto reads
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) io: Io,
    /// Stay out of others' way: run and read only when nothing else wants to, and leave nothing in the page cache that was not there before
    #[arg(long)]
    pub(crate) nice: bool,
    /// Read at most so much a second (200MB/s; suffixes as for --min-size)
    #[arg(long, value_name = "RATE", value_parser = read_rate)]
    pub(crate) max_read: Option<NonZeroU64>,
    /// Hash with this engine (avx512, avx2, single) instead of the best one; for tests and bug reports
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) engine: Option<hashsweep_source::Engine>,
    /// Accepted because other tools want it; directories are always walked
    #[arg(short, long, hide = true)]
    pub(crate) recursive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Io {
    Auto,
    Read,
    Mmap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingRoot {
    Fail,
    Skip,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Asking")]
pub(crate) struct Sending {
    /// Ask the built-in simulator; its verdicts say nothing about your files
    #[arg(long, conflicts_with_all = ["api_url", "ca_cert", "proxy", "credentials"])]
    pub(crate) sim: bool,
    #[arg(help = "Where the service is [default: https://data.reversinglabs.com]", long, value_name = "URL")]
    pub(crate) api_url: Option<String>,
    /// Trust these roots too (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    #[arg(help = "Go through this proxy [default: HTTPS_PROXY, NO_PROXY]", long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    #[arg(
        help = "A TOML file with username and password, readable by you alone [default: SPECTRA_USERNAME and SPECTRA_PASSWORD]",
        long,
        value_name = "FILE"
    )]
    pub(crate) credentials: Option<PathBuf>,
    /// The service's manner of speaking [default: malware-presence; quickstart asks SHA-1 only]
    #[arg(long, value_name = "DIALECT", conflicts_with = "sim")]
    pub(crate) dialect: Option<Dialect>,
    /// How questions and answers are written [default: json]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) wire_format: Option<WireFormat>,
    /// What a question says it is [default: json, or xml]
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<ContentType>,
    /// Requests in time: 100/s, 30/m, unlimited [default: 100/s]
    #[arg(long)]
    pub(crate) rate: Option<Rate>,
    /// Requests on their way at once [default: 16]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Hashes in a request, at most 100 [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) batch_size: Option<u8>,
    /// Time for one request [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
    /// How long the service may fail before the run gives up [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) give_up_after: Option<Duration>,
    /// Spend at most so many hashes of quota in this run, the most suspicious first; the rest is deferred
    #[arg(long, value_name = "N")]
    pub(crate) max_quota: Option<u64>,
    /// Leave so many hashes of every quota window of the account to others [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) reserve: Option<u64>,
    /// When the quota is used up, wait until it begins anew and go on
    #[arg(long)]
    pub(crate) wait_for_quota: bool,
    /// Stop by itself at this time of day (local); the rest is deferred
    #[arg(long, value_name = "HH:MM")]
    pub(crate) stop_at: Option<jiff::civil::Time>,
    /// What becomes of a batch that was sent and never answered: ask again (it may be charged twice) or defer
    /// [default: resend]
    #[arg(long, value_name = "WHAT")]
    pub(crate) on_doubt: Option<OnDoubt>,
    /// Ask nobody and use every earlier answer, however old; what has none is deferred
    #[arg(long)]
    pub(crate) offline: bool,
    /// Read everything, show what would be asked, in which order and at what cost, and send nothing
    #[arg(long, conflicts_with_all = ["offline", "stop_at", "wait_for_quota"])]
    pub(crate) dry_run: bool,
    /// Write the plan of --dry-run as one JSON object
    #[arg(long = "json", requires = "dry_run", id = "plan_as_json")]
    pub(crate) plan_as_json: bool,
    /// Ask again what is known already
    #[arg(long, conflicts_with = "max_cache_age")]
    pub(crate) refresh: bool,
    /// Ask again what was answered longer ago than this
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) max_cache_age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnDoubt {
    Resend,
    Hold,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write the report there (repeatable; - is stdout); the ending names the format
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// Write this format whatever the ending says
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Which rows to write; new is what has changed since --baseline [default: all to a file or a pipe, findings to a
    /// terminal]; html, markdown, sarif and stix hold findings only, a manifest counts all
    #[arg(long, value_name = "ROWS")]
    pub(crate) emit: Option<Emit>,
    /// Refuse to replace an output that is there
    #[arg(long)]
    pub(crate) no_clobber: bool,
    /// Write figures for Prometheus there, beside whatever else is written; its name without the ending is the label
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    /// Add the rows to this directory of Parquet files, one a sweep, which other programs read as one table
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Csv,
    Jsonl,
    Html,
    Manifest,
    Markdown,
    Sarif,
    Stix,
    Dfxml,
    Bodyfile,
    Hashdeep,
    Metrics,
    Parquet,
    /// A directory of Parquet files, a night each: `--dataset`.
    #[value(skip)]
    Dataset,
}

impl Format {
    /// Whether it tells of files, so that a list cannot be written in it.
    pub(crate) fn is_of_files(self) -> bool {
        match self {
            Format::Dfxml | Format::Bodyfile | Format::Hashdeep => true,
            Format::Csv
            | Format::Jsonl
            | Format::Html
            | Format::Manifest
            | Format::Markdown
            | Format::Sarif
            | Format::Stix
            | Format::Metrics
            | Format::Parquet
            | Format::Dataset => false,
        }
    }
}

/// How differences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DifferenceFormat {
    Csv,
    Jsonl,
}

impl From<DifferenceFormat> for Format {
    fn from(format: DifferenceFormat) -> Format {
        match format {
            DifferenceFormat::Csv => Format::Csv,
            DifferenceFormat::Jsonl => Format::Jsonl,
        }
    }
}

impl TryFrom<Format> for DifferenceFormat {
    type Error = anyhow::Error;

    fn try_from(format: Format) -> anyhow::Result<DifferenceFormat> {
        match format {
            Format::Csv => Ok(DifferenceFormat::Csv),
            Format::Jsonl => Ok(DifferenceFormat::Jsonl),
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
                anyhow::bail!("differences are written as CSV or JSONL only")
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Emit {
    All,
    Findings,
    Unknown,
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    MalwarePresence,
    #[value(name = "quickstart")]
    QuickStart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireFormat {
    Json,
    Xml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ContentType {
    Json,
    OctetStream,
}

#[derive(Debug, Args)]
pub(crate) struct Details {
    #[command(flatten)]
    pub(crate) case: CaseChoice,
    /// Which sweep; the latest unless given
    #[arg(long, value_name = "N")]
    pub(crate) sweep: Option<i64>,
    #[command(flatten)]
    pub(crate) sending: Sending,
    /// Add the reports to this file, one JSON object a line; those in it are not paid for again; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Refuse to add to a file that is there
    #[arg(long)]
    pub(crate) no_clobber: bool,
    /// Ask for at most so many reports
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestFormat {
    Coreutils,
    Hashdeep,
    Csv,
    Jsonl,
    Dfxml,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Exit code")]
pub(crate) struct Ending {
    /// The mildest verdict that makes the exit code 1 [default: suspicious]
    #[arg(long, value_name = "VERDICT")]
    pub(crate) fail_on: Option<FailOn>,
    /// Do not exit with 3 for these kinds of incompleteness, or for any
    #[arg(long, value_name = "KINDS", num_args = 0..=1, require_equals = true, value_delimiter = ',',
          default_missing_value = "all")]
    pub(crate) incomplete_ok: Vec<Gap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FailOn {
    Malicious,
    Suspicious,
    Unknown,
    Never,
}

/// A way for a sweep to be incomplete that a user may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gap {
    All,
    Changed,
    Unreadable,
    Vanished,
    Missing,
    Limit,
    Snapshots,
    Deferred,
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
