//! The rows of a list, byte for byte.
//!
//! Put together again, the preamble, every row with what stands before and behind it, and the tail are the file.
//! Knows where fields end, and nothing of what a hash is.

use super::{Layout, ListError, MAX_LINE, MAX_RECORD, value};
use csv::{ByteRecord, Reader, ReaderBuilder};
use hashsweep_model::{Digest, DigestError, HashKind};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What one call to the kernel reads.
const BLOCK: usize = 64 * 1024;

/// UTF-8's byte order mark, which some tools write before the first character.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Goes through a list's rows in their order. A CSV needs as much memory as its longest record, at most 16 MiB;
/// of a text line no more than 4 KiB are kept.
#[derive(Debug)]
pub struct RawRows {
    path: PathBuf,
    form: Form,
    n_rows: u64,
    /// Scratch for the row at hand.
    row: Scratch,
    preamble: Vec<u8>,
    tail: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    Text(Tape),
    Csv { reader: Box<Reader<Tape>>, record: ByteRecord },
}

/// The parts of the row at hand, one behind the other.
#[derive(Debug, Default)]
struct Scratch {
    bytes: Vec<u8>,
    n_before: usize,
    n_raw: usize,
    /// Bytes of the line that were not kept.
    n_cut: u64,
    is_open: bool,
}

/// One row. Lives until the next one is asked for.
#[derive(Debug)]
pub struct RawRow<'a> {
    /// From 1.
    pub number: u64,
    /// What stands between the row before and this one and belongs to none: blank lines of a CSV.
    pub before: &'a [u8],
    /// The row as it stands in the file. Of a text line longer than 4 KiB, its beginning.
    pub raw: &'a [u8],
    /// What ended it: `\n`, `\r\n`, a CSV's `\r`, or nothing at the end of the file.
    pub terminator: &'a [u8],
    /// The whole row's length, where `raw` is only its beginning.
    pub cut: Option<u64>,
    /// Whether a quote is still open at the end of it, and of the file. Whoever writes something behind the row
    /// must close it first, or it becomes part of the last cell.
    pub is_open: bool,
    /// Its cells; a text line is one.
    pub fields: Fields<'a>,
}

/// The cells of a row, quotes taken off where they are the format's.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Cells<'a>);

#[derive(Clone, Copy, Debug)]
enum Cells<'a> {
    One(&'a [u8]),
    Many(&'a ByteRecord),
}

impl<'a> Fields<'a> {
    /// The cell in this column, from 0; a ragged row may lack it.
    pub fn get(&self, column: usize) -> Option<&'a [u8]> {
        match self.0 {
            Cells::One(cell) => (column == 0).then_some(cell),
            Cells::Many(record) => record.get(column),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let fields = *self;
        (0..).map_while(move |column| fields.get(column))
    }
}

impl RawRow<'_> {
    /// The hash in the row, or why there is none.
    pub fn digest(&self, layout: &Layout, hash_type: Option<HashKind>) -> Result<Digest, DigestError> {
        let column = match layout {
            Layout::Text => 0,
            Layout::Csv { column, .. } => *column,
        };
        let digest = value::parse(self.fields.get(column).unwrap_or_default(), hash_type);
        match (self.cut, digest) {
            // What was cut off may be anything, so what is left is not a hash even if it looks like one.
            (Some(n_bytes), Ok(_)) => {
                Err(DigestError::Length { n_digits: usize::try_from(n_bytes).unwrap_or(usize::MAX) })
            }
            (_, digest) => digest,
        }
    }
}

/// What is known at the end of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEnd {
    /// What stands behind the last row and belongs to none: blank lines of a CSV.
    pub tail: Vec<u8>,
    /// SHA-256 of the whole file.
    pub fingerprint: [u8; 32],
    /// The file's length.
    pub n_bytes: u64,
}

impl RawRows {
    /// Opens the list and reads past its header.
    pub fn open(path: &Path, layout: &Layout) -> Result<RawRows, ListError> {
        match layout {
            Layout::Text => RawRows::text(path),
            Layout::Csv { .. } => {
                let mut rows = RawRows::csv(path)?;
                if rows.next()?.is_some() {
                    rows.preamble.append(&mut rows.row.bytes);
                    rows.n_rows = 0;
                }
                Ok(rows)
            }
        }
    }

    fn text(path: &Path) -> Result<RawRows, ListError> {
        let (tape, preamble) = Tape::open(path)?;
        Ok(RawRows::new(path, Form::Text(tape), preamble))
    }

    /// Every record is a row, the header too.
    pub(super) fn csv(path: &Path) -> Result<RawRows, ListError> {
        let (tape, preamble) = Tape::open(path)?;
        let reader =
            ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(BLOCK).from_reader(tape);
        let form = Form::Csv { reader: Box::new(reader), record: ByteRecord::new() };
        Ok(RawRows::new(path, form, preamble))
    }

    fn new(path: &Path, form: Form, preamble: Vec<u8>) -> RawRows {
        RawRows {
            path: path.to_owned(),
            form,
            n_rows: 0,
            row: Scratch::default(),
            preamble,
            tail: Vec::new(),
        }
    }

    /// Everything before the first row: a byte order mark, and a CSV's header with its terminator.
    pub fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    /// Bytes read so far, a little ahead of the row at hand.
    pub fn n_bytes(&self) -> u64 {
        let tape = match &self.form {
            Form::Text(tape) => tape,
            Form::Csv { reader, .. } => reader.get_ref(),
        };
        tape.n_bytes
    }

    /// The next row, or `None` at the end of the list.
    #[expect(clippy::should_implement_trait, reason = "a row borrows from this, which an Iterator's cannot")]
    pub fn next(&mut self) -> Result<Option<RawRow<'_>>, ListError> {
        let row = self.n_rows;
        let found = match &mut self.form {
            Form::Text(tape) => next_line(tape, &mut self.row),
            Form::Csv { reader, record } => next_record(reader, record, &mut self.row),
        };
        let is_there = found.map_err(|source| {
            let path = self.path.clone();
            if source.kind() == io::ErrorKind::FileTooLarge {
                ListError::RecordTooLong { path, row }
            } else {
                ListError::Unreadable { path, source }
            }
        })?;
        if !is_there {
            self.tail.append(&mut self.row.bytes);
            return Ok(None);
        }
        self.n_rows += 1;
        let (before, rest) = self.row.bytes.split_at(self.row.n_before);
        let (raw, terminator) = rest.split_at(self.row.n_raw);
        let cells = match &self.form {
            Form::Text(_) => Cells::One(raw),
            Form::Csv { record, .. } => Cells::Many(record),
        };
        Ok(Some(RawRow {
            number: self.n_rows,
            before,
            raw,
            terminator,
            cut: (self.row.n_cut > 0).then(|| self.row.n_raw as u64 + self.row.n_cut),
            is_open: self.row.is_open,
            fields: Fields(cells),
        }))
    }

    /// Reads whatever rows are left and says what the whole file was.
    pub fn finish(mut self) -> Result<RawEnd, ListError> {
        while self.next()?.is_some() {}
        let tape = match self.form {
            Form::Text(tape) => tape,
            Form::Csv { reader, .. } => reader.into_inner(),
        };
        Ok(RawEnd { tail: self.tail, fingerprint: tape.fingerprint.finalize().into(), n_bytes: tape.n_bytes })
    }
}

fn next_line(tape: &mut Tape, row: &mut Scratch) -> io::Result<bool> {
    *row = Scratch { bytes: std::mem::take(&mut row.bytes), ..Scratch::default() };
    row.bytes.clear();
    loop {
        if tape.unread().is_empty() && !tape.pull()? {
            let is_there = !row.bytes.is_empty();
            row.n_raw = row.bytes.len();
            return Ok(is_there);
        }
        let unread = tape.unread();
        let end = unread.iter().position(|byte| *byte == b'\n');
        let piece = &unread[..end.unwrap_or(unread.len())];
        let n_piece = piece.len();
        let kept = piece.len().min(MAX_LINE - row.bytes.len());
        row.bytes.extend_from_slice(&piece[..kept]);
        row.n_cut += (n_piece - kept) as u64;
        let n_taken = n_piece + usize::from(end.is_some());
        tape.n_seen += n_taken;
        tape.release(n_taken);
        if end.is_some() {
            let with_return = row.n_cut == 0 && row.bytes.last() == Some(&b'\r');
            row.n_raw = row.bytes.len() - usize::from(with_return);
            row.bytes.push(b'\n');
            return Ok(true);
        }
    }
}

fn next_record(reader: &mut Reader<Tape>, record: &mut ByteRecord, row: &mut Scratch) -> io::Result<bool> {
    let is_there = reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })?;
    let mut end = reader.position().byte();
    let tape = reader.get_mut();
    // The reader yields a record at the `\r` of a `\r\n` and takes the `\n` for the next one's.
    if is_there && tape.up_to(end).last() == Some(&b'\r') && tape.peek(end)? == Some(b'\n') {
        end += 1;
    }
    let is_last = is_there && tape.peek(end)?.is_none();
    let bytes = tape.up_to(end);
    *row = Scratch { bytes: std::mem::take(&mut row.bytes), ..Scratch::default() };
    row.bytes.clear();
    row.bytes.extend_from_slice(bytes);
    if is_there {
        let is_break = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        row.n_before = bytes.iter().take_while(is_break).count();
        let rest = &bytes[row.n_before..];
        row.is_open = is_last && has_open_quote(rest, record);
        let n_terminator = match rest {
            _ if row.is_open => 0,
            [.., b'\r', b'\n'] => 2,
            [.., b'\r' | b'\n'] => 1,
            _ => 0,
        };
        row.n_raw = rest.len() - n_terminator;
    }
    tape.release(row.bytes.len());
    Ok(is_there)
}

/// Whether one more comma would still belong to the record's last cell.
fn has_open_quote(bytes: &[u8], record: &ByteRecord) -> bool {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.chain(&b","[..]));
    let mut records = reader.into_byte_records();
    let first = records.next();
    records.next().is_none()
        && first.is_some_and(|first| first.is_ok_and(|first| first.len() == record.len()))
}

/// A file on its way to a reader, of which the last bytes are kept until they are no longer needed.
#[derive(Debug)]
struct Tape {
    file: File,
    fingerprint: Sha256,
    n_bytes: u64,
    /// Bytes from the file, from position `start` on.
    kept: Vec<u8>,
    /// Position of the first kept byte, the byte order mark not counted.
    start: u64,
    /// How many of the kept bytes the reader has seen.
    n_seen: usize,
    /// How many of them nobody needs any more; one more than were seen, perhaps, after a peek.
    n_released: usize,
}

impl Tape {
    /// The tape behind a byte order mark, and the mark.
    fn open(path: &Path) -> Result<(Tape, Vec<u8>), ListError> {
        let unreadable = |source| ListError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut tape = Tape {
            file,
            fingerprint: Sha256::new(),
            n_bytes: 0,
            kept: Vec::new(),
            start: 0,
            n_seen: 0,
            n_released: 0,
        };
        while tape.kept.len() < BOM.len() && tape.pull().map_err(unreadable)? {}
        match tape.kept.get(..2) {
            Some(b"\xff\xfe" | b"\xfe\xff") => Err(ListError::Utf16 { path: path.to_owned() }),
            _ if tape.kept.starts_with(BOM) => {
                tape.kept.drain(..BOM.len());
                Ok((tape, BOM.to_vec()))
            }
            _ => Ok((tape, Vec::new())),
        }
    }

    /// Gets more of the file; `false` at its end.
    fn pull(&mut self) -> io::Result<bool> {
        if self.kept.len() >= MAX_RECORD + 2 * BLOCK {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n_kept = self.kept.len();
        self.kept.resize(n_kept + BLOCK, 0);
        let read = loop {
            match self.file.read(&mut self.kept[n_kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        let n = *read.as_ref().unwrap_or(&0);
        self.kept.truncate(n_kept + n);
        self.fingerprint.update(&self.kept[n_kept..]);
        self.n_bytes += n as u64;
        read.map(|n| n > 0)
    }

    fn unread(&self) -> &[u8] {
        &self.kept[self.n_seen..]
    }

    /// What was not released yet, up to this position.
    fn up_to(&self, end: u64) -> &[u8] {
        let end = usize::try_from(end - self.start).expect("kept bytes are in memory");
        &self.kept[self.n_released.min(end)..end]
    }

    /// Lets go of the next `n` bytes; moves the rest now and then only, so that it costs nothing much.
    fn release(&mut self, n: usize) {
        self.n_released += n;
        let n_done = self.n_released.min(self.n_seen);
        if n_done >= BLOCK {
            self.kept.drain(..n_done);
            self.start += n_done as u64;
            self.n_released -= n_done;
            self.n_seen -= n_done;
        }
    }

    /// The byte at this position, which the reader may not have seen yet.
    fn peek(&mut self, at: u64) -> io::Result<Option<u8>> {
        let at = usize::try_from(at - self.start).expect("kept bytes are in memory");
        if at >= self.kept.len() {
            self.pull()?;
        }
        Ok(self.kept.get(at).copied())
    }
}

/// The reader's own pace: it takes what was pulled for a peek first.
impl Read for Tape {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.unread().is_empty() {
            self.pull()?;
        }
        let n = self.unread().len().min(space.len());
        space[..n].copy_from_slice(&self.unread()[..n]);
        self.n_seen += n;
        Ok(n)
    }
}
