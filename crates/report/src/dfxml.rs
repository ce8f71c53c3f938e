//! Digital Forensics XML: an inventory of files that forensic tools exchange.
//!
//! Exactly what the schema of version 1.1 allows, in its order; it has no place for verdicts. XML cannot hold
//! every byte of a name: what it cannot is spelled as [`safe::xml`] does.

use crate::columns::when;
use crate::safe;
use hashsweep_model::{Dates, Digests, HashKind, Outcome, Row, Skip, SkipKind, Stamp};
use jiff::Timestamp;
use std::io::{self, Write};

/// A document being written. Hand in a buffered writer.
pub struct Dfxml<W: Write> {
    out: W,
}

impl<W: Write> Dfxml<W> {
    /// Writes what stands before the files: when the reading of them began, and below which roots.
    pub fn new(mut out: W, started_at: Stamp, roots: &[&[u8]]) -> io::Result<Dfxml<W>> {
        out.write_all(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
              <dfxml xmlns=\"http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML\" \
              xmlns:dc=\"http://purl.org/dc/elements/1.1/\" version=\"1.1.1\">\n\
              <metadata><dc:type>Hash List</dc:type></metadata>\n\
              <creator version=\"1.0\"><program>hashsweep</program>",
        )?;
        writeln!(
            out,
            "<version>{}</version><execution_environment><start_time>{}</start_time></execution_environment></creator>",
            env!("CARGO_PKG_VERSION"),
            when(started_at)
        )?;
        write!(out, "<source>")?;
        for root in roots {
            write!(out, "<image_filename>{}</image_filename>", text(root))?;
        }
        writeln!(out, "</source>")?;
        Ok(Dfxml { out })
    }

    /// Writes one row under this name.
    pub fn file(&mut self, path: &[u8], row: &Row) -> io::Result<()> {
        self.object(path, name_type(row), row.size, &row.dates, &row.digests)
    }

    /// Writes a file that was hashed and about which nobody was asked.
    pub fn hashed(&mut self, path: &[u8], size: u64, dates: &Dates, digests: &Digests) -> io::Result<()> {
        self.object(path, 'r', Some(size), dates, digests)
    }

    fn object(
        &mut self,
        path: &[u8],
        name_type: char,
        size: Option<u64>,
        dates: &Dates,
        digests: &Digests,
    ) -> io::Result<()> {
        write!(
            self.out,
            "<fileobject><filename>{}</filename><name_type>{name_type}</name_type>",
            text(path)
        )?;
        if let Some(size) = size {
            write!(self.out, "<filesize>{size}</filesize>")?;
        }
        if let Some(inode) = dates.inode {
            write!(self.out, "<inode>{inode}</inode>")?;
        }
        let dates = [("mtime", dates.modified_ns), ("ctime", dates.changed_ns), ("crtime", dates.born_ns)];
        for (element, ns) in dates {
            if let Some(at) = ns.and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok()) {
                write!(self.out, "<{element}>{at}</{element}>")?;
            }
        }
        self.digests(digests)?;
        writeln!(self.out, "</fileobject>")
    }

    /// Closes the document, flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        writeln!(self.out, "</dfxml>")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn digests(&mut self, digests: &Digests) -> io::Result<()> {
        for kind in HashKind::ALL {
            if let Some(digest) = digests.get(kind) {
                write!(self.out, "<hashdigest type=\"{}\">{digest}</hashdigest>", kind.name())?;
            }
        }
        Ok(())
    }
}

/// The letter that The Sleuth Kit has for what an entry is; a dash where nobody knows.
fn name_type(row: &Row) -> char {
    if row.outcome != Outcome::Skipped {
        return 'r';
    }
    let kind = row.reason.as_deref().and_then(|reason| reason.parse::<Skip>().ok()).map(|skip| skip.kind);
    match kind {
        Some(SkipKind::SymbolicLink | SkipKind::DanglingLink | SkipKind::LinkLoop) => 'l',
        Some(SkipKind::Fifo) => 'p',
        Some(SkipKind::Socket) => 's',
        Some(SkipKind::BlockDevice) => 'b',
        Some(SkipKind::CharacterDevice) => 'c',
        Some(SkipKind::OwnFile | SkipKind::NotRecoverable) => 'r',
        Some(
            SkipKind::PseudoFileSystem
            | SkipKind::Unreadable
            | SkipKind::IoError
            | SkipKind::ChangedWhileReading
            | SkipKind::Vanished
            | SkipKind::MissingRoot
            | SkipKind::Limit
            | SkipKind::NotAFileSystem
            | SkipKind::Damaged
            | SkipKind::Unsupported
            | SkipKind::Snapshots,
        )
        | None => '-',
    }
}

/// Hostile bytes as the text of an element.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in safe::xml(bytes).chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            c => text.push(c),
        }
    }
    text
}
