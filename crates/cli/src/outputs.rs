//! Opening outputs before the work, and putting them in place after it.
//!
//! A file is written beside its target under a temporary name and takes the target's place in one step, so that a
//! reader never sees half a report and a failed run leaves the old one. What is not an ordinary file (a pipe, a
//! device) is written straight.

use crate::args::Format;
use crate::settings::{Outputs, Target};
use anyhow::{Context, bail};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// What one call to the kernel writes. Guess, unmeasured.
const BUFFER: usize = 256 << 10;

/// Where halves of outputs lie, for whoever ends the process without dropping them. One that has been put in place, or
/// was dropped, is not there any more.
static HALVES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// An output that will certainly be there when the work is done.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) format: Format,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stdout,
    Straight(PathBuf, File),
    Beside {
        target: PathBuf,
        file: NamedTempFile,
    },
    /// Somewhere in this directory, which depends on the sweep.
    Within {
        directory: PathBuf,
        file: NamedTempFile,
    },
}

/// Opens all of them, or none. What is in use (the case, the lists that are read) is no place for a report.
pub(crate) fn open(outputs: &Outputs, in_use: &[PathBuf]) -> anyhow::Result<Vec<Open>> {
    let in_use: Vec<PathBuf> = in_use.iter().map(|path| behind_links(path)).collect();
    refuse_twice(outputs)?;
    outputs
        .targets
        .iter()
        .map(|target| match target {
            Target::Stdout(format) => Ok(Open { format: *format, place: Place::Stdout }),
            Target::File(path, format) => {
                if in_use.contains(&behind_links(path)) {
                    bail!("the output {} is the case or a list of this sweep", path.display());
                }
                let place =
                    if *format == Format::Dataset { within(path) } else { place(path, outputs.no_clobber) };
                let place = place.with_context(|| format!("open the output {}", path.display()))?;
                Ok(Open { format: *format, place })
            }
        })
        .collect()
}

/// Two reports in one place: the second would take the first one's, and nobody would miss it before it is needed.
fn refuse_twice(outputs: &Outputs) -> anyhow::Result<()> {
    let mut places = HashSet::new();
    for target in &outputs.targets {
        match target {
            Target::Stdout(_) if !places.insert(PathBuf::from("-")) => bail!("two outputs go to stdout"),
            Target::File(path, _) if !places.insert(behind_links(path)) => {
                bail!("two outputs go to {}", path.display())
            }
            Target::Stdout(_) | Target::File(..) => {}
        }
    }
    Ok(())
}

fn within(directory: &Path) -> anyhow::Result<Place> {
    std::fs::create_dir_all(directory)?;
    let directory = directory.canonicalize()?;
    // The leading dot keeps readers of the dataset from taking half a file for a part of it.
    let file = half(".rows".as_ref(), &directory, Permissions::from_mode(0o666))?;
    Ok(Place::Within { directory, file })
}

fn half(prefix: &OsStr, directory: &Path, permissions: Permissions) -> io::Result<NamedTempFile> {
    let half = tempfile::Builder::new()
        .prefix(prefix)
        .suffix(".partial")
        .permissions(permissions)
        .tempfile_in(directory)?;
    HALVES.lock().unwrap_or_else(PoisonError::into_inner).push(half.path().to_owned());
    Ok(half)
}

/// Removes what was begun and will not be finished, before the process ends at once.
pub(crate) fn discard_halves() {
    for half in HALVES.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = std::fs::remove_file(half);
    }
}

/// What a path leads to, by one name whatever it is called, also where the last of its links leads to nothing yet.
fn behind_links(path: &Path) -> PathBuf {
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(real) = at.canonicalize() {
            return real;
        }
        let Ok(link) = at.read_link() else { break };
        at = at.parent().unwrap_or(Path::new("")).join(link);
    }
    // Whatever its directory is called.
    let by_directory = || Some(at.parent()?.canonicalize().ok()?.join(at.file_name()?));
    by_directory().unwrap_or(at)
}

fn place(path: &Path, no_clobber: bool) -> anyhow::Result<Place> {
    // A link is written through, not replaced.
    let target = behind_links(path);
    // 0666 less the umask, like any file a shell would make; a report that was private stays so.
    let mut permissions = Permissions::from_mode(0o666);
    match target.metadata() {
        Ok(there) if there.is_dir() => bail!("it is a directory"),
        Ok(_) if no_clobber => bail!("it is there already, and --no-clobber was given"),
        Ok(there) if !there.is_file() => {
            let file = OpenOptions::new().write(true).open(&target)?;
            return Ok(Place::Straight(target, file));
        }
        Ok(there) => permissions = there.permissions(),
        Err(_) => {}
    }
    let directory = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(target.file_name().context("it names no file")?);
    let file = half(&prefix, directory, permissions)?;
    Ok(Place::Beside { target, file })
}

impl Open {
    /// The files of ours that this output is or will be.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        match &self.place {
            Place::Stdout => Vec::new(),
            Place::Straight(path, _) => vec![path.clone()],
            Place::Beside { target, file } => vec![target.clone(), file.path().to_owned()],
            Place::Within { file, .. } => vec![file.path().to_owned()],
        }
    }

    /// The file that it is written to until it takes its place, under a name that nobody chose.
    pub(crate) fn temporary(&self) -> Option<&Path> {
        match &self.place {
            Place::Stdout | Place::Straight(..) => None,
            Place::Beside { file, .. } | Place::Within { file, .. } => Some(file.path()),
        }
    }

    /// What it is called, without directory and ending.
    pub(crate) fn name(&self) -> Vec<u8> {
        let path = self.paths().into_iter().next().unwrap_or_default();
        path.file_stem().map(|stem| stem.as_bytes().to_vec()).unwrap_or_default()
    }

    /// Gives an output within a directory its place there; others have one.
    pub(crate) fn in_partition(
        self,
        place: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Open> {
        let Place::Within { directory, file } = self.place else { return Ok(self) };
        let target = directory.join(place()?);
        if let Some(partition) = target.parent() {
            std::fs::create_dir_all(partition).with_context(|| format!("make {}", partition.display()))?;
        }
        Ok(Open { place: Place::Beside { target, file }, ..self })
    }

    /// Lets `write` fill it, and puts it in place.
    pub(crate) fn fill(
        self,
        write: impl FnOnce(Format, &mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self.place {
            Place::Stdout => {
                let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
                write(self.format, &mut out)?;
                out.flush()?;
            }
            Place::Straight(path, file) => {
                let mut out = BufWriter::with_capacity(BUFFER, file);
                let written = write(self.format, &mut out).and_then(|()| Ok(out.flush()?));
                named(&path, written)?;
            }
            Place::Within { directory, .. } => bail!("{} is given no place", directory.display()),
            Place::Beside { target, file } => {
                let mut out = BufWriter::with_capacity(BUFFER, file);
                let written = write(self.format, &mut out).and_then(|()| Ok(out.flush()?));
                named(&target, written)?;
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                named(&target, file.as_file().sync_all().map_err(Into::into))?;
                file.persist(&target)
                    .map_err(|e| e.error)
                    .with_context(|| format!("put {} in place", target.display()))?;
            }
        }
        Ok(())
    }
}

/// A full disk says which of the outputs it is full for.
fn named(target: &Path, written: anyhow::Result<()>) -> anyhow::Result<()> {
    written.map_err(|error| {
        let is_of_writing = error.chain().any(<dyn std::error::Error>::is::<io::Error>);
        if is_of_writing { error.context(format!("write {}", target.display())) } else { error }
    })
}
