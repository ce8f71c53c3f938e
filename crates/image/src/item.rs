//! What a walk of a file system gives: streams of content, other entries, problems, and the sum of them.

use crate::fault::{Fault, damaged, plus, size};
use crate::ntfs::{Wof, unpack_lznt1};
use crate::reader::{ImageReader, read_exact_at, read_vec};
use std::io::{self, Read as _};
use std::sync::Arc;

/// A run of a stream's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its position in the stream, in bytes.
    pub logical: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Where the bytes are.
    pub data: Data,
}

/// Where the bytes of an extent are. What no extent covers is zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// At this position of the volume.
    Disk(u64),
    /// Allocated and never written: they read as zeros, whatever the disk holds there.
    Zero,
    /// Within the metadata.
    Inline(Box<[u8]>),
    /// Compressed by NTFS: position on the volume and length of each piece. Decoded at once, and at most a mebibyte.
    Lznt1(Box<[(u64, u64)]>),
    /// Compressed by Windows' overlay filter. Decoded at once, and at most 32 KiB.
    Wof(Box<Wof>),
    /// Compressed with zlib, or stored behind one byte: the same, for files that macOS compressed.
    Zlib(Box<[(u64, u64)]>),
}

impl Data {
    /// Whether reading it reads the volume.
    pub(crate) fn is_on_disk(&self) -> bool {
        match self {
            Data::Disk(_) | Data::Lznt1(_) | Data::Zlib(_) | Data::Wof(_) => true,
            Data::Zero | Data::Inline(_) => false,
        }
    }
}

/// A file's content, under all its names.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Number of the inode.
    pub node: u64,
    /// Paths within the volume, at least one, each beginning with `/`; bytes as the file system has them.
    pub paths: Vec<Vec<u8>>,
    /// Bytes.
    pub size: u64,
    /// In order of `logical`, never overlapping, within `size`.
    pub extents: Vec<Extent>,
}

/// An entry without content of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
    /// A whole volume that holds no file system by its nature: swap space, a boot loader's partition.
    NoFileSystem(&'static str),
}

/// One thing that a walk came across.
#[derive(Debug)]
pub enum Item {
    /// Content to be hashed.
    Stream(Stream),
    /// Nothing to read.
    Other {
        /// As of a stream.
        paths: Vec<Vec<u8>>,
        /// What it is.
        kind: Kind,
    },
    /// Something that was not looked at.
    Problem {
        /// Path in the volume of what is lost, `/` for the whole.
        path: Vec<u8>,
        /// The reason.
        fault: Fault,
    },
}

/// What became of every allocated inode of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inodes that the volume says are in use.
    pub allocated: u64,
    /// Given as streams.
    pub streams: u64,
    /// Given as other entries.
    pub others: u64,
    /// Directories read.
    pub directories: u64,
    /// The file system's own: journal, reserved inodes, values of attributes.
    pub internal: u64,
    /// Allocated inodes that were given as problems.
    pub lost: u64,
    /// All problems, also those that are of no one inode.
    pub problems: u64,
}

impl Summary {
    /// Whether every allocated inode is accounted for.
    pub fn adds_up(&self) -> bool {
        self.allocated == self.streams + self.others + self.directories + self.internal + self.lost
    }

    /// Whether everything was looked at.
    pub fn is_complete(&self) -> bool {
        self.adds_up() && self.problems == 0
    }
}

/// Reads a stream from its first byte to its last. Holes cost no read of the image.
pub struct Content {
    image: Arc<dyn ImageReader>,
    size: u64,
    extents: Vec<Extent>,
    at: u64,
    next: usize,
    /// The compressed extent that was decoded last, by its number.
    decoded: (usize, Vec<u8>),
}

impl Content {
    /// `image` is the volume that gave the stream of `size` bytes and these extents.
    pub fn new(image: Arc<dyn ImageReader>, size: u64, extents: Vec<Extent>) -> Content {
        Content { image, size, extents, at: 0, next: 0, decoded: (usize::MAX, Vec::new()) }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    /// Where on the volume the first of its bytes lies that lies anywhere.
    pub fn first_place(&self) -> u64 {
        let place = |extent: &Extent| match &extent.data {
            Data::Disk(at) => Some(*at),
            Data::Lznt1(pieces) | Data::Zlib(pieces) => pieces.first().map(|(at, _)| *at),
            Data::Wof(chunk) => Some(chunk.first_place()),
            Data::Zero | Data::Inline(_) => None,
        };
        self.extents.iter().find_map(place).unwrap_or(0)
    }

    /// Reads on; nothing read means the end.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        let left = self.left();
        let mut n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if n == 0 {
            return Ok(0);
        }
        while self.extents.get(self.next).is_some_and(|e| e.logical.saturating_add(e.len) <= self.at) {
            self.next += 1;
        }
        match self.extents.get(self.next) {
            Some(extent) if extent.logical <= self.at => {
                let skip = self.at - extent.logical;
                n = usize::try_from(extent.len - skip).unwrap_or(usize::MAX).min(n);
                match &extent.data {
                    Data::Zero => buf[..n].fill(0),
                    Data::Disk(start) => {
                        let from = plus(*start, skip, "an extent beyond all sizes")?;
                        read_exact_at(&*self.image, from, &mut buf[..n])?;
                    }
                    Data::Inline(bytes) => {
                        let there = usize::try_from(skip).ok().and_then(|skip| bytes.get(skip..)?.get(..n));
                        buf[..n].copy_from_slice(
                            there.ok_or_else(|| damaged("inline data ends early", self.at))?,
                        );
                    }
                    packed @ (Data::Lznt1(_) | Data::Zlib(_) | Data::Wof(_)) => {
                        if self.decoded.0 != self.next {
                            self.decoded = (self.next, decode(&*self.image, packed, extent.len)?);
                        }
                        let skip = size(skip)?;
                        buf[..n].copy_from_slice(&self.decoded.1[skip..skip + n]);
                    }
                }
            }
            Some(extent) => {
                n = usize::try_from(extent.logical - self.at).unwrap_or(usize::MAX).min(n);
                buf[..n].fill(0);
            }
            None => buf[..n].fill(0),
        }
        self.at += n as u64;
        Ok(n)
    }
}

fn decode(image: &dyn ImageReader, data: &Data, len: u64) -> Result<Vec<u8>, Fault> {
    match data {
        Data::Lznt1(pieces) => unpack_lznt1(&gather(image, pieces)?, size(len)?),
        Data::Zlib(pieces) => unpack_zlib(&gather(image, pieces)?, len),
        Data::Wof(chunk) => chunk.unpack(image, len),
        Data::Disk(_) | Data::Zero | Data::Inline(_) => unreachable!("it needs no decoding"),
    }
}

fn gather(image: &dyn ImageReader, pieces: &[(u64, u64)]) -> Result<Vec<u8>, Fault> {
    let mut packed = Vec::new();
    for (at, len) in pieces {
        packed.extend(read_vec(image, *at, size(*len)?)?);
    }
    Ok(packed)
}

/// The whole of what was compressed, and nothing behind it.
fn unpack_zlib(packed: &[u8], len: u64) -> Result<Vec<u8>, Fault> {
    let wrong = || damaged("a compressed piece of a file", len);
    let unpacked = match packed.split_first() {
        // No stream of zlib begins so: it did not become shorter.
        Some((first, stored)) if first & 0xf == 0xf => stored.to_vec(),
        _ => {
            let mut unpacked = Vec::with_capacity(size(len)?);
            let mut decoder = flate2::read::ZlibDecoder::new(packed).take(len.saturating_add(1));
            decoder.read_to_end(&mut unpacked).map_err(|_| wrong())?;
            unpacked
        }
    };
    if unpacked.len() as u64 == len { Ok(unpacked) } else { Err(wrong()) }
}

impl io::Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Content::read(self, buf).map_err(io::Error::other)
    }
}
