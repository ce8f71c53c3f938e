//! What `hashsweep hash` prints: digests and names, in forms that other tools read and check.
//!
//! Each form is written as the tool that owns it writes it, because that tool is the reader. This module does not
//! know how the digests came about, and it keeps nothing: a file in, a line out.

use crate::columns::CONTENT;
use crate::{csv, jsonl, safe};
use hashsweep_model::{Digest, Digests, HashKind, Kinds};
use std::io::{self, Write};

/// The form of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What `sha1sum -c` and its sisters check: `HEX  path` for one kind of hash, tagged lines for several.
    Coreutils,
    /// What `hashdeep -a -k` audits. Two names cannot be said in it: one that holds a newline and one that ends in
    /// a carriage return. Those characters are written `\x0A` and `\x0D`, after a comment; hashdeep then knows
    /// the content, and calls the file moved.
    Hashdeep,
    /// The first five columns of the report.
    Csv,
    /// The first five names of the report.
    Jsonl,
}

/// A manifest being written. Hand in a buffered writer.
pub struct Manifest<W: Write> {
    out: W,
    format: Format,
    /// In the order in which they are written.
    kinds: Vec<HashKind>,
    line: Vec<u8>,
}

impl<W: Write> Manifest<W> {
    /// Writes the header of the forms that have one. `comments` stand at the head of a hashdeep manifest (where it
    /// was made and by which command, as hashdeep itself does); the other forms have no room for them.
    pub fn new(mut out: W, format: Format, kinds: &Kinds, comments: &[String]) -> io::Result<Manifest<W>> {
        let kinds: Vec<HashKind> = match format {
            Format::Coreutils => kinds.iter().collect(),
            Format::Hashdeep | Format::Csv | Format::Jsonl => {
                HashKind::ALL.into_iter().filter(|kind| kinds.contains(*kind)).collect()
            }
        };
        match format {
            Format::Coreutils | Format::Jsonl => {}
            Format::Csv => writeln!(out, "{}", CONTENT.join(","))?,
            Format::Hashdeep => {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                writeln!(out, "%%%% HASHDEEP-1.0\n%%%% size,{},filename", names.join(","))?;
                for comment in comments {
                    writeln!(out, "## {}", safe::terminal(comment.as_bytes()))?;
                }
                writeln!(out, "##")?;
            }
        }
        Ok(Manifest { out, format, kinds, line: Vec::new() })
    }

    /// Writes one file. Its digests must hold every kind of the manifest.
    pub fn file(&mut self, path: &[u8], size: u64, digests: &Digests) -> io::Result<()> {
        self.line.clear();
        match self.format {
            Format::Coreutils => self.coreutils(path, digests),
            Format::Hashdeep => self.hashdeep(path, size, digests),
            Format::Csv => {
                csv::push_content(&mut self.line, path, Some(size), digests);
                self.line.push(b'\n');
            }
            Format::Jsonl => jsonl::push_content(&mut self.line, path, Some(size), digests)?,
        }
        self.out.write_all(&self.line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn coreutils(&mut self, path: &[u8], digests: &Digests) {
        // For the checker a lone dash is standard input.
        let path = if path == b"-" { b"./-" } else { path };
        let needs_escape = path.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'));
        let is_tagged = self.kinds.len() > 1;
        for &kind in &self.kinds {
            let line = &mut self.line;
            if needs_escape {
                line.push(b'\\');
            }
            let hex = digest(digests, kind).to_string();
            if is_tagged {
                line.extend_from_slice(tag(kind).as_bytes());
                line.extend_from_slice(b" (");
                push_coreutils_name(line, path);
                line.extend_from_slice(b") = ");
                line.extend_from_slice(hex.as_bytes());
            } else {
                line.extend_from_slice(hex.as_bytes());
                line.extend_from_slice(b"  ");
                push_coreutils_name(line, path);
            }
            line.push(b'\n');
        }
    }

    fn hashdeep(&mut self, path: &[u8], size: u64, digests: &Digests) {
        let line = &mut self.line;
        let ends_in_return = path.ends_with(b"\r");
        if ends_in_return || path.contains(&b'\n') {
            line.extend_from_slice(
                b"## the next name cannot be said in this format: \\x0A and \\x0D stand for line ends\n",
            );
        }
        line.extend_from_slice(size.to_string().as_bytes());
        for &kind in &self.kinds {
            line.push(b',');
            line.extend_from_slice(digest(digests, kind).to_string().as_bytes());
        }
        line.push(b',');
        for (i, &byte) in path.iter().enumerate() {
            match byte {
                b'\n' => line.extend_from_slice(b"\\x0A"),
                b'\r' if i + 1 == path.len() => line.extend_from_slice(b"\\x0D"),
                byte => line.push(byte),
            }
        }
        line.push(b'\n');
    }
}

fn digest(digests: &Digests, kind: HashKind) -> Digest {
    digests.get(kind).expect("a manifest lists the kinds that were computed for every file")
}

/// The word in a tagged line.
const fn tag(kind: HashKind) -> &'static str {
    match kind {
        HashKind::Md5 => "MD5",
        HashKind::Sha1 => "SHA1",
        HashKind::Sha256 => "SHA256",
    }
}

/// Raw bytes but for the three characters that GNU coreutils escapes; the backslash at the head of the line says so.
fn push_coreutils_name(line: &mut Vec<u8>, path: &[u8]) {
    for &byte in path {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            byte => line.push(byte),
        }
    }
}
