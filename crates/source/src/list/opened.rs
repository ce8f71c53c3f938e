//! A list's file as one stream of UTF-8 bytes: unpacked if it is packed, transcoded if it is UTF-16.
//!
//! A binary table (Parquet, SQLite) comes as the CSV of its columns. All of this is told from the first bytes, never
//! from the name. The fingerprint is of the file as it lies on the disk.
//! Memory is bounded by the decoders' windows, whatever the file unpacks to: a bomb takes time and no memory.

use flate2::read::MultiGzDecoder;
use hashsweep_tables::{Kind, TableError, Transcript};
use lzma_rust2::XzReader;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// What one call to the kernel reads.
const BLOCK: usize = 64 * 1024;

/// zstd's window is at most 2^27 bytes (128 MiB), as its own tool has it unless told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;

/// xz -9 needs 65 MiB to unpack; this is four times as much.
const XZ_MEMORY_KIB: u32 = 256 << 10;

/// How a list was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip, of one member or several.
    Gzip,
    /// Zstandard, of one frame or several.
    Zstd,
    /// xz, of one stream or several.
    Xz,
    /// No packing, but rows in a form of their own, which come as a CSV.
    Table(Kind),
}

impl Packing {
    /// As it is called in a message.
    pub const fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
            Packing::Xz => "xz",
            Packing::Table(kind) => kind.name(),
        }
    }

    /// What happened to it, for a message.
    pub(super) fn damage(self, error: &io::Error) -> String {
        let name = self.name();
        match self {
            Packing::Table(_) => format!("the {name} cannot be read: {error}"),
            _ if error.kind() == io::ErrorKind::UnexpectedEof => {
                format!("the {name} stream ends before its end")
            }
            _ => format!("the {name} stream is damaged: {error}"),
        }
    }

    fn of(start: &[u8]) -> Option<Packing> {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
            _ => Kind::of(start).map(Packing::Table),
        }
    }
}

/// The file, with a fingerprint of every byte that was read from it.
#[derive(Debug)]
struct Printed {
    file: File,
    fingerprint: Sha256,
    n_bytes: u64,
}

impl Read for Printed {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(space)?;
        self.fingerprint.update(&space[..n]);
        self.n_bytes += n as u64;
        Ok(n)
    }
}

type Bytes = BufReader<Printed>;

/// A list, from its first character to its last.
pub(super) struct Opened {
    unpacked: Unpacked,
    packing: Option<Packing>,
    utf16: Option<Utf16>,
}

enum Unpacked {
    Plain(Bytes),
    Gzip(Box<MultiGzDecoder<Bytes>>),
    Zstd(Box<zstd::Decoder<'static, Bytes>>),
    Xz(Box<XzReader<Bytes>>),
    /// What was read of the file itself is beside it: its beginning.
    Table(Transcript, Bytes),
}

impl Opened {
    pub(super) fn new(path: &Path) -> io::Result<Opened> {
        let printed = Printed { file: File::open(path)?, fingerprint: Sha256::new(), n_bytes: 0 };
        let mut bytes = BufReader::with_capacity(BLOCK, printed);
        let packing = Packing::of(bytes.fill_buf()?);
        let unpacked = match packing {
            None => Unpacked::Plain(bytes),
            Some(Packing::Gzip) => Unpacked::Gzip(Box::new(MultiGzDecoder::new(bytes))),
            Some(Packing::Zstd) => {
                let mut decoder = zstd::Decoder::with_buffer(bytes)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Unpacked::Zstd(Box::new(decoder))
            }
            Some(Packing::Xz) => Unpacked::Xz(Box::new(XzReader::new_mem_limit(bytes, true, XZ_MEMORY_KIB))),
            Some(Packing::Table(kind)) => {
                let transcript =
                    Transcript::open(kind, &bytes.get_ref().file, path).map_err(|error| match error {
                        TableError::Io(error) => error,
                        error => io::Error::new(io::ErrorKind::InvalidData, error),
                    })?;
                Unpacked::Table(transcript, bytes)
            }
        };
        Ok(Opened { unpacked, packing, utf16: None })
    }

    /// What follows is UTF-16; `start` was read already, and comes back transcoded.
    pub(super) fn transcode(&mut self, big_endian: bool, start: &[u8]) -> Vec<u8> {
        let mut utf16 = Utf16 { big_endian, held: Vec::new(), raw: Vec::new() };
        let mut out = Vec::new();
        utf16.push(start, &mut out);
        self.utf16 = Some(utf16);
        out
    }

    /// Adds about `n` more bytes to `to`; says whether there was anything more. After an error there is no more.
    pub(super) fn read_more(&mut self, n: usize, to: &mut Vec<u8>) -> io::Result<bool> {
        let Opened { unpacked, utf16, .. } = self;
        let Some(utf16) = utf16 else { return unpacked.read_more(n, to) };
        utf16.raw.clear();
        let mut raw = std::mem::take(&mut utf16.raw);
        let more = unpacked.read_more(n, &mut raw);
        utf16.push(&raw, to);
        utf16.raw = raw;
        if !matches!(more, Ok(true)) {
            return Ok(utf16.finish(to) || more?);
        }
        more
    }

    pub(super) fn packing(&self) -> Option<Packing> {
        self.packing
    }

    /// The columns of a binary table that have no cells.
    pub(super) fn left_out(&self) -> &[String] {
        match &self.unpacked {
            Unpacked::Table(transcript, _) => transcript.left_out(),
            Unpacked::Plain(_) | Unpacked::Gzip(_) | Unpacked::Zstd(_) | Unpacked::Xz(_) => &[],
        }
    }

    /// Bytes of the file that were read.
    pub(super) fn n_bytes(&self) -> u64 {
        self.unpacked.printed().n_bytes
    }

    /// SHA-256 and length of the whole file. A decoder may have stopped before its end.
    pub(super) fn finish(mut self) -> io::Result<([u8; 32], u64)> {
        io::copy(self.unpacked.printed_mut(), &mut io::sink())?;
        let printed = self.unpacked.printed();
        Ok((printed.fingerprint.clone().finalize().into(), printed.n_bytes))
    }
}

impl Unpacked {
    fn read_more(&mut self, n: usize, to: &mut Vec<u8>) -> io::Result<bool> {
        let start = to.len();
        to.resize(start + n, 0);
        let read = loop {
            let space = &mut to[start..];
            let read = match self {
                Unpacked::Plain(bytes) => bytes.read(space),
                Unpacked::Gzip(decoder) => decoder.read(space),
                Unpacked::Zstd(decoder) => decoder.read(space),
                Unpacked::Xz(decoder) => decoder.read(space),
                Unpacked::Table(transcript, _) => transcript.read(space),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        to.truncate(start + *read.as_ref().unwrap_or(&0));
        read.map(|n| n > 0)
    }

    fn printed(&self) -> &Printed {
        match self {
            Unpacked::Plain(bytes) | Unpacked::Table(_, bytes) => bytes.get_ref(),
            Unpacked::Gzip(decoder) => decoder.get_ref().get_ref(),
            Unpacked::Zstd(decoder) => decoder.get_ref().get_ref(),
            Unpacked::Xz(decoder) => decoder.inner().get_ref(),
        }
    }

    fn printed_mut(&mut self) -> &mut Printed {
        match self {
            Unpacked::Plain(bytes) | Unpacked::Table(_, bytes) => bytes.get_mut(),
            Unpacked::Gzip(decoder) => decoder.get_mut().get_mut(),
            Unpacked::Zstd(decoder) => decoder.get_mut().get_mut(),
            Unpacked::Xz(decoder) => decoder.inner_mut().get_mut(),
        }
    }
}

/// Whether a text that begins like this is UTF-16, and if its high bytes come first. Without a byte order mark, the
/// NUL halves of plain letters tell it.
pub(super) fn is_utf16(start: &[u8]) -> Option<bool> {
    match start {
        [0xff, 0xfe, ..] => Some(false),
        [0xfe, 0xff, ..] => Some(true),
        [0, high, 0, low, ..] if *high != 0 && *low != 0 => Some(true),
        [high, 0, low, 0, ..] if *high != 0 && *low != 0 => Some(false),
        _ => None,
    }
}

/// UTF-16 on its way to UTF-8. What is no character becomes U+FFFD.
struct Utf16 {
    big_endian: bool,
    /// Bytes that are no whole character yet: at most three.
    held: Vec<u8>,
    raw: Vec<u8>,
}

impl Utf16 {
    fn push(&mut self, raw: &[u8], to: &mut Vec<u8>) {
        self.held.extend_from_slice(raw);
        let held = std::mem::take(&mut self.held);
        let mut units: Vec<u16> = held.chunks_exact(2).map(|pair| self.unit([pair[0], pair[1]])).collect();
        let mut n_used = units.len() * 2;
        // The first half of a pair waits for the second.
        if units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
            n_used -= 2;
        }
        put(&units, to);
        self.held = held[n_used..].to_vec();
    }

    /// What was held at the end; says whether there was anything.
    fn finish(&mut self, to: &mut Vec<u8>) -> bool {
        let n_held = std::mem::take(&mut self.held).len();
        for _ in 0..n_held.div_ceil(2) {
            put(&[0xd800], to);
        }
        n_held > 0
    }

    fn unit(&self, pair: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    }
}

fn put(units: &[u16], to: &mut Vec<u8>) {
    let characters = char::decode_utf16(units.iter().copied());
    for character in characters.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)) {
        to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("packing", &self.packing).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(start: &[u8], expected: Option<bool>) {
        assert_eq!(is_utf16(start), expected, "{}", start.escape_ascii());
    }

    #[test]
    fn utf_16_is_told_by_its_mark_or_its_nul_halves() {
        check(b"\xff\xfea\0", Some(false));
        check(b"\xfe\xff\0a", Some(true));
        check(b"d\x004\0", Some(false));
        check(b"\0d\x004", Some(true));
        check(b"d41d", None);
        check(b"\0\0\0\0", None);
        check(b"a", None);
    }

    proptest! {
        #[test]
        fn utf_16_comes_out_the_same_wherever_it_is_cut(
            text in ".{0,40}", big_endian: bool, at in 0usize..80, odd: bool,
        ) {
            let unit = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let mut raw: Vec<u8> = text.encode_utf16().flat_map(unit).collect();
            let mut expected = text.into_bytes();
            if odd {
                raw.push(b'x');
                expected.extend("\u{fffd}".bytes());
            }
            let at = at.min(raw.len());
            let mut utf16 = Utf16 { big_endian, held: Vec::new(), raw: Vec::new() };
            let mut out = Vec::new();
            utf16.push(&raw[..at], &mut out);
            utf16.push(&raw[at..], &mut out);
            prop_assert_eq!(utf16.finish(&mut out), odd);
            prop_assert_eq!(out, expected);
        }
    }
}
