//! `hashsweep hash`: a manifest and nothing else.

use super::scan::say_overlap;
use crate::args::{Hash, ManifestFormat};
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{Filters, Images, Outputs, Target, absolute, roots};
use crate::shell::{Terminal, lines_safe, say};
use anyhow::Context;
use hashsweep_model::{Dates, Digests, Kinds, Place, Seen, Sighting, Stamp, Trace};
use hashsweep_pipeline::now;
use hashsweep_report::{Dfxml, Format, Manifest, safe};
use hashsweep_source::{Fresh, Gauges, ImageOrder, OwnFiles, Root, Rows, Walk, WalkError, read_images};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, sync_channel};

pub(crate) fn run(hash: &Hash, terminal: &Terminal) -> anyhow::Result<Exit> {
    let target = match &hash.output {
        // The report's format means nothing here: only the opening is shared.
        Some(path) if path.as_os_str() != "-" => Target::File(absolute(path)?, crate::args::Format::Csv),
        _ => Target::Stdout(crate::args::Format::Csv),
    };
    let outputs = Outputs { targets: vec![target], emit: None, no_clobber: hash.no_clobber, table: false };
    let mut open = outputs::open(&outputs, &[])?;
    let output = open.pop().context("open the manifest")?;
    let typed = roots(&hash.paths, &hash.walking)?;
    say_overlap(&typed, terminal);
    let walk_roots = typed
        .into_iter()
        .map(|path| {
            // hashdeep's audit compares names as it spells them itself: absolute and without links.
            let given = match hash.format {
                ManifestFormat::Hashdeep => path.canonicalize().unwrap_or_else(|_| path.clone()),
                ManifestFormat::Coreutils
                | ManifestFormat::Csv
                | ManifestFormat::Jsonl
                | ManifestFormat::Dfxml => path.clone(),
            };
            Ok(Root { given: given.as_os_str().as_bytes().to_vec(), open_at: absolute(&path)? })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let paths = output.paths();
    let own = paths.iter().fold(OwnFiles::of(&paths), OwnFiles::expecting).passing(output.temporary());
    let kinds = hash.hashing.hash.clone();
    let given: Vec<Vec<u8>> = walk_roots.iter().map(|root| root.given.clone()).collect();
    let started_at = now();
    let order = if hash.image {
        let images = Images::of_manifest(hash);
        Source::Images(images.order(walk_roots, kinds.clone(), own)?)
    } else {
        Source::Walk(Filters::new(&hash.walking)?.walk(walk_roots, kinds.clone(), own, started_at)?)
    };
    let mut missed = 0;
    output.fill(|_, out| {
        let form = Form::new(out, hash.format, &kinds, started_at, &given)?;
        missed = write(&order, form, !terminal.talk.quiet)?;
        Ok(())
    })?;
    Ok(if missed == 0 { Exit::Clean } else { Exit::Incomplete })
}

/// What is written: lines, or a document.
enum Form<'w> {
    Lines(Manifest<&'w mut dyn Write>),
    Document(Dfxml<&'w mut dyn Write>),
}

impl<'w> Form<'w> {
    fn new(
        out: &'w mut dyn Write,
        format: ManifestFormat,
        kinds: &Kinds,
        started_at: Stamp,
        roots: &[Vec<u8>],
    ) -> io::Result<Form<'w>> {
        let format = match format {
            ManifestFormat::Coreutils => Format::Coreutils,
            ManifestFormat::Hashdeep => Format::Hashdeep,
            ManifestFormat::Csv => Format::Csv,
            ManifestFormat::Jsonl => Format::Jsonl,
            ManifestFormat::Dfxml => {
                let roots: Vec<&[u8]> = roots.iter().map(Vec::as_slice).collect();
                return Ok(Form::Document(Dfxml::new(out, started_at, &roots)?));
            }
        };
        let comments = [format!("made by hashsweep {}", env!("CARGO_PKG_VERSION"))];
        Ok(Form::Lines(Manifest::new(out, format, kinds, &comments)?))
    }

    fn file(&mut self, path: &[u8], size: u64, digests: &Digests, trace: Option<Trace>) -> io::Result<()> {
        match self {
            Form::Lines(manifest) => manifest.file(path, size, digests),
            Form::Document(document) => {
                document.hashed(path, size, &trace.map(Dates::from).unwrap_or_default(), digests)
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Form::Lines(manifest) => manifest.finish().map(drop),
            Form::Document(document) => document.finish().map(drop),
        }
    }
}

/// Groups of rows between the readers and the writer: a slow pipe soon makes the readers wait.
const GROUPS_WAITING: usize = 16;

/// Where the files are.
enum Source {
    Walk(Walk),
    Images(ImageOrder),
}

impl Source {
    /// Reads everything. Whether all of it was offered goes without saying: nothing stops it but a closed door.
    fn read(&self, rows: &dyn Rows) -> Result<Vec<String>, WalkError> {
        let (gauges, stop) = (Gauges::default(), AtomicBool::new(false));
        match self {
            Source::Walk(walk) => {
                hashsweep_source::walk(walk, rows, &Fresh, &gauges, &stop).map(|_| Vec::new())
            }
            Source::Images(order) => {
                read_images(order, rows, &Fresh, &gauges, &stop).map(|imaged| imaged.remarks)
            }
        }
    }
}

/// Reads on threads of its own and writes on this one. Returns how many entries nobody could look at.
fn write(source: &Source, mut form: Form<'_>, talks: bool) -> anyhow::Result<u64> {
    let (sender, rows) = sync_channel(GROUPS_WAITING);
    std::thread::scope(|scope| {
        // Dropping the sender at the end of the walk ends the loop below; dropping the receiver ends the walk.
        let reading = scope.spawn(move || source.read(&Readers(sender)));
        let mut missed = 0;
        for row in rows.into_iter().flatten() {
            let Place::Path(path) = &row.place else { continue };
            match &row.seen {
                Seen::Read { size, digests, trace, .. } => form.file(path, *size, digests, *trace)?,
                Seen::Skipped(skip) => {
                    if skip.kind.is_not_looked_at() {
                        missed += 1;
                        say(format!(
                            "hashsweep: {}: {}",
                            safe::terminal(path),
                            safe::terminal(skip.to_string().as_bytes())
                        ));
                    } else if talks {
                        tracing::info!("{}: {skip}", safe::terminal(path));
                    }
                }
                Seen::Listed { .. } | Seen::Invalid(_) => {}
            }
        }
        let remarks = reading.join().map_err(|_| anyhow::Error::msg("a bug: the reading panicked"))??;
        for remark in remarks.iter().filter(|_| talks) {
            say(lines_safe(remark));
        }
        form.finish()?;
        Ok(missed)
    })
}

/// The readers' end of the door.
struct Readers(SyncSender<Vec<Sighting>>);

impl Rows for Readers {
    fn take(&self, rows: Vec<Sighting>) -> ControlFlow<()> {
        match self.0.send(rows) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
