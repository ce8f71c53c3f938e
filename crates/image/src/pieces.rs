//! Raw images, in one file or in pieces (`.001`, `.aa`), found by themselves.

use crate::fault::Fault;
use crate::reader::{Files, ImageReader, Place};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// One file opened for reading.
pub(crate) struct Piece {
    file: File,
    pub(crate) len: u64,
    id: (u64, u64),
    /// Bytes that the host keeps of it.
    kept: u64,
}

impl Piece {
    pub(crate) fn open(path: &Path) -> Result<Piece, Fault> {
        use std::io::{Seek as _, SeekFrom};
        let lost = |error| Fault::Io { offset: 0, error };
        // Opening a pipe would wait for its writer.
        let kind = fs::metadata(path).map_err(lost)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Fault::Unsupported("neither a file nor a block device".into()));
        }
        let mut file = File::open(path).map_err(lost)?;
        // A block device states no length, and has an end all the same.
        let len = file.seek(SeekFrom::End(0)).map_err(lost)?;
        let meta = file.metadata().map_err(lost)?;
        // Devices state none, and some network file systems do not either.
        let kept = if meta.blocks() == 0 { len } else { meta.blocks().saturating_mul(512).min(len) };
        Ok(Piece { file, len, id: (meta.dev(), meta.ino()), kept })
    }

    /// Puts itself in.
    pub(crate) fn count(&self, files: &mut Files) {
        files.insert(self.id, self.kept);
    }

    pub(crate) fn read_exact(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact_at(buf, offset).map_err(|error| Fault::Io { offset, error })
    }

    /// At most `most` bytes of a record that says how long it is.
    pub(crate) fn record(&self, offset: u64, len: u64, most: u64) -> Result<Vec<u8>, Fault> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Fault::PastEnd { offset });
        }
        if len > most {
            return Err(Fault::Limit { what: "bytes in one record", limit: most });
        }
        let mut bytes = vec![0; crate::fault::size(len)?];
        self.read_exact(offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// The bytes of a disk as they are, from one file or from several put together.
pub struct Raw {
    /// With the position at which each begins.
    pieces: Vec<(u64, Piece)>,
    len: u64,
}

impl Raw {
    /// Opens a file, or the set that it is the first piece of.
    pub fn open(path: &Path) -> Result<Raw, Fault> {
        let mut pieces = Vec::new();
        let mut len = 0_u64;
        for path in set_of(path)? {
            let piece = Piece::open(&path)?;
            let start = len;
            len = crate::fault::plus(len, piece.len, "pieces longer than all sizes")?;
            pieces.push((start, piece));
        }
        Ok(Raw { pieces, len })
    }
}

impl ImageReader for Raw {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let nth = self.pieces.partition_point(|(start, piece)| start + piece.len <= offset);
        let Some((start, piece)) = self.pieces.get(nth) else { return Ok(0) };
        let within = offset - start;
        let n = usize::try_from(piece.len - within).unwrap_or(usize::MAX).min(buf.len());
        piece.read_exact(within, &mut buf[..n])?;
        Ok(n)
    }

    fn locate(&self, offset: u64) -> Place {
        Place::Host(offset)
    }

    fn files(&self, files: &mut Files) {
        self.pieces.iter().for_each(|(_, piece)| piece.count(files));
    }
}

/// All pieces in order; a file that is no piece is alone.
fn set_of(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let alone = vec![path.to_path_buf()];
    let Some(name) = path.file_name().map(|name| name.as_bytes().to_vec()) else { return Ok(alone) };
    let Some(dot) = name.iter().rposition(|b| *b == b'.') else { return Ok(alone) };
    let (stem, suffix) = name.split_at(dot + 1);
    let Some(nth) = number(suffix) else { return Ok(alone) };
    let is_same_set = |other: &[u8]| {
        other.len() == name.len()
            && other.starts_with(stem)
            && suffix[0].is_ascii_digit() == other[dot + 1].is_ascii_digit()
    };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| Fault::Io { offset: 0, error })? {
        let other = entry.map_err(|error| Fault::Io { offset: 0, error })?.file_name();
        if is_same_set(other.as_bytes()) {
            numbers.extend(number(&other.as_bytes()[dot + 1..]));
        }
    }
    numbers.sort_unstable();
    let is_digits = suffix[0].is_ascii_digit();
    let first = u32::from(is_digits && !numbers.contains(&0));
    let end = first
        + u32::try_from(
            numbers.iter().filter(|n| **n >= first).zip(first..).take_while(|(n, at)| *n == at).count(),
        )
        .expect("suffixes are short");
    let missing = || Err(Fault::Missing(named(stem, end, suffix).display().to_string()));
    if !(first..end).contains(&nth) {
        // `disk.raw` is no piece, and `log.250` alone is none either.
        return if is_digits && numbers.len() > 1 { missing() } else { Ok(alone) };
    }
    if nth != first {
        let name = named(stem, first, suffix);
        return Err(Fault::Unsupported(format!(
            "a piece alone; name the first of its set, {}",
            name.display()
        )));
    }
    // Letters are also the endings of other files: only a near one says that the set goes on.
    if numbers.iter().any(|n| *n > end && (is_digits || *n - end < NEAR)) {
        return missing();
    }
    Ok((first..end).map(|n| dir.join(named(stem, n, suffix))).collect())
}

/// Pieces that may be missing in a row for a lettered file to be told from one that only looks so.
const NEAR: u32 = 8;

/// Which piece a suffix of two or three letters or of three digits names.
fn number(suffix: &[u8]) -> Option<u32> {
    let value = |base: u32, zero: u8| suffix.iter().fold(0, |n, b| n * base + u32::from(b - zero));
    match suffix.len() {
        3 if suffix.iter().all(u8::is_ascii_digit) => Some(value(10, b'0')),
        2 | 3 if suffix.iter().all(u8::is_ascii_lowercase) => Some(value(26, b'a')),
        _ => None,
    }
}

fn named(stem: &[u8], number: u32, like: &[u8]) -> OsString {
    let (base, zero) = if like[0].is_ascii_digit() { (10, b'0') } else { (26, b'a') };
    let mut suffix = vec![zero; like.len()];
    let mut rest = number;
    for digit in suffix.iter_mut().rev() {
        *digit = zero + u8::try_from(rest % base).expect("less than 26");
        rest /= base;
    }
    OsString::from_vec([stem, &suffix].concat())
}
