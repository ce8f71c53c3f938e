//! Files that Windows' overlay filter (WOF) keeps compressed, as in a compact Windows: the content is a hole, and a
//! stream beside it holds chunks that are each compressed alone.
//!
//! ```text
//!  WofCompressedData: ends of all chunks but the last │ chunk │ chunk │ …
//! ```

mod bits;
mod lzx;
mod xpress;

use super::file::Stream;
use super::mft::Mft;
use crate::fault::{Fault, damaged, le32, le64, size};
use crate::item::{Content, Data, Extent};
use crate::reader::{ImageReader, read_vec};
use std::sync::Arc;

/// The stream's name.
pub(super) const NAME: &[u8] = b"W\0o\0f\0C\0o\0m\0p\0r\0e\0s\0s\0e\0d\0D\0a\0t\0a\0";
/// The reparse point's tag.
pub(super) const TAG: u32 = 0x8000_0017;
/// Of one file, as for every file system.
const MOST_CHUNKS: u64 = 1 << 20;

/// A chunk of a file that Windows' overlay filter keeps compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wof {
    method: Method,
    stored: Stored,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    /// Position on the volume and length of each piece.
    Disk(Box<[(u64, u64)]>),
    /// In the file's record.
    Here(Box<[u8]>),
}

/// How chunks are compressed, of so many bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Xpress(u64),
    Lzx,
}

impl Method {
    /// What a reparse point of WOF says.
    fn of(point: &[u8]) -> Result<Method, Fault> {
        let [version, provider, of_provider, method] = [8, 12, 16, 20].map(|at| le32(point, at));
        let unknown =
            |what: &str| Fault::Unsupported(format!("a file that the Windows overlay filter (WOF) {what}"));
        match (version?, provider?, of_provider?, method?) {
            (1, 2, 1, 0) => Ok(Method::Xpress(4 << 10)),
            (1, 2, 1, 1) => Ok(Method::Lzx),
            (1, 2, 1, 2) => Ok(Method::Xpress(8 << 10)),
            (1, 2, 1, 3) => Ok(Method::Xpress(16 << 10)),
            (1, 1, ..) => Err(unknown("has in an archive")),
            _ => Err(unknown("keeps in an unknown way")),
        }
    }

    fn chunk(self) -> u64 {
        match self {
            Method::Xpress(chunk) => chunk,
            Method::Lzx => 32 << 10,
        }
    }
}

impl Wof {
    /// The chunk's bytes, of which there are so many.
    pub(crate) fn unpack(&self, image: &dyn ImageReader, len: u64) -> Result<Vec<u8>, Fault> {
        let mut packed = Vec::new();
        match &self.stored {
            Stored::Here(bytes) => packed.extend_from_slice(bytes),
            Stored::Disk(pieces) => {
                for (at, len) in pieces {
                    packed.extend(read_vec(image, *at, size(*len)?)?);
                }
            }
        }
        let unpacked = match self.method {
            Method::Xpress(_) => xpress::decode(&packed, size(len)?),
            Method::Lzx => lzx::decode(&packed, size(len)?),
        };
        unpacked.ok_or_else(|| damaged("a compressed chunk cannot be unpacked", self.first_place()))
    }

    /// Where it lies on the volume.
    pub(crate) fn first_place(&self) -> u64 {
        match &self.stored {
            Stored::Disk(pieces) => pieces.first().map_or(0, |(at, _)| *at),
            Stored::Here(_) => 0,
        }
    }
}

/// The content of `len` bytes of a file with this reparse point, from the stream that holds its chunks.
pub(super) fn extents(mft: &Mft, point: &[u8], stream: &Stream, len: u64) -> Result<Vec<Extent>, Fault> {
    let method = Method::of(point)?;
    let wrong = |what| damaged(what, stream.size);
    let Ok(stored) = &stream.extents else { return Err(wrong("a compressed file whose place is not known")) };
    if stream.is_encrypted() {
        return Err(Fault::Unsupported("a compressed file encrypted by Windows (EFS)".into()));
    }
    let n_chunks = len.div_ceil(method.chunk());
    if n_chunks > MOST_CHUNKS {
        return Err(Fault::Limit { what: "chunks of one file", limit: MOST_CHUNKS });
    }
    let width = if len > u32::MAX.into() { 8 } else { 4 };
    let table_len = n_chunks.saturating_sub(1) * width;
    if table_len > stream.size {
        return Err(wrong("a compressed file shorter than the table of its chunks"));
    }
    let mut table = vec![0; size(table_len)?];
    let mut content = Content::new(Arc::clone(&mft.image), stream.size, stored.clone());
    let mut done = 0;
    while done < table.len() {
        done += content.read(&mut table[done..])?;
    }
    let ends = table
        .chunks_exact(size(width)?)
        .map(|end| if width == 4 { le32(end, 0).map(u64::from) } else { le64(end, 0) });
    let mut ends = ends.map(|end| end.map(|end| end.saturating_add(table_len))).chain([Ok(stream.size)]);
    let mut extents = Vec::new();
    let (mut start, mut stored) = (table_len, &stored[..]);
    for nth in 0..n_chunks {
        let end = ends.next().expect("one for each chunk")?;
        let logical = nth * method.chunk();
        let unpacked = method.chunk().min(len - logical);
        let packed = end.checked_sub(start).filter(|n| (1..=unpacked).contains(n) && end <= stream.size);
        let packed = packed.ok_or_else(|| wrong("a compressed file whose chunks are not in order"))?;
        // Chunks follow each other, so that what lies before this one is not needed again.
        let n_before = stored.iter().take_while(|extent| extent.logical + extent.len <= start).count();
        stored = &stored[n_before..];
        let pieces = pieces(stored, start, packed).ok_or_else(|| wrong("a compressed file with a hole"))?;
        if packed == unpacked {
            extents.extend(
                pieces.into_iter().map(|piece| Extent { logical: logical + piece.logical - start, ..piece }),
            );
        } else {
            let data = Data::Wof(Box::new(Wof { method, stored: joined(pieces) }));
            extents.push(Extent { logical, len: unpacked, data });
        }
        start = end;
    }
    Ok(extents)
}

/// The part of `extents` from `start` on; nothing if not all of it is somewhere.
fn pieces(extents: &[Extent], start: u64, len: u64) -> Option<Vec<Extent>> {
    let (mut pieces, mut at, end) = (Vec::new(), start, start + len);
    for extent in extents {
        if at == end {
            break;
        }
        let skip = at.checked_sub(extent.logical)?;
        let n = extent.len.checked_sub(skip)?.min(end - at);
        let data = match &extent.data {
            Data::Disk(place) => Data::Disk(place + skip),
            Data::Inline(bytes) => {
                let skip = usize::try_from(skip).ok()?;
                Data::Inline(bytes.get(skip..)?.get(..usize::try_from(n).ok()?)?.into())
            }
            Data::Zero | Data::Lznt1(_) | Data::Zlib(_) | Data::Wof(_) => return None,
        };
        pieces.push(Extent { logical: at, len: n, data });
        at += n;
    }
    (at == end).then_some(pieces)
}

fn joined(pieces: Vec<Extent>) -> Stored {
    let mut places = Vec::new();
    for Extent { len, data, .. } in pieces {
        match data {
            Data::Disk(at) => places.push((at, len)),
            // What is in the record is in one piece.
            Data::Inline(bytes) => return Stored::Here(bytes),
            Data::Zero | Data::Lznt1(_) | Data::Zlib(_) | Data::Wof(_) => {}
        }
    }
    Stored::Disk(places.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is stored, and what it holds.
    type Chunk = (Vec<u8>, Vec<u8>);

    /// The chunks of a resource that wimlib made.
    fn chunks(form: &str, plain: &[u8]) -> (Method, Vec<Chunk>) {
        let (method, number) = match form {
            "xpress4k" => (Method::Xpress(4096), 0),
            "lzx" => (Method::Lzx, 1),
            "xpress8k" => (Method::Xpress(8192), 2),
            _ => (Method::Xpress(16_384), 3),
        };
        let point: Vec<u8> = [0, 0, 1, 2, 1, number].into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(Method::of(&point).unwrap(), method);
        let path = format!("{}/../../fixtures/images/wof/{form}", env!("CARGO_MANIFEST_DIR"));
        let resource = std::fs::read(path).unwrap();
        let unit = size(method.chunk()).unwrap();
        let n = plain.len().div_ceil(unit);
        let (table, chunks) = resource.split_at((n - 1) * 4);
        let mut starts = vec![0];
        starts.extend(table.chunks(4).map(|end| le32(end, 0).unwrap() as usize));
        starts.push(chunks.len());
        let packed = starts.windows(2).map(|ends| chunks[ends[0]..ends[1]].to_vec());
        (method, packed.zip(plain.chunks(unit).map(<[u8]>::to_vec)).collect())
    }

    fn plain() -> Vec<u8> {
        let path = format!("{}/../../fixtures/images/wof/plain", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    fn unpack(method: Method, packed: &[u8], len: usize) -> Result<Vec<u8>, Fault> {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let nowhere = crate::pieces::Raw::open(empty.path()).unwrap();
        Wof { method, stored: Stored::Here(packed.into()) }.unpack(&nowhere, len as u64)
    }

    const FORMS: [&str; 4] = ["xpress4k", "xpress8k", "xpress16k", "lzx"];

    #[test]
    fn chunks_that_wimlib_packed_are_unpacked() {
        for form in FORMS {
            let (method, chunks) = chunks(form, &plain());
            let mut n_packed = 0;
            for (packed, plain) in chunks {
                if packed.len() < plain.len() {
                    n_packed += 1;
                    assert!(unpack(method, &packed, plain.len()).unwrap() == plain, "{form}");
                }
            }
            assert!(n_packed > 2, "{form}");
        }
    }

    #[test]
    fn changed_chunks_give_as_many_bytes_or_a_fault() {
        let mut dice = fastrand::Rng::with_seed(3);
        for form in FORMS {
            let (method, chunks) = chunks(form, &plain());
            for _ in 0..300 {
                let (packed, plain) = dice.choice(&chunks).unwrap();
                let mut packed = packed.clone();
                let near = dice.bool();
                let at = dice.usize(..if near { packed.len().min(300) } else { packed.len() });
                packed[at] ^= 1 << dice.u8(..8);
                if dice.u8(..4) == 0 {
                    packed.truncate(at);
                }
                if let Ok(bytes) = unpack(method, &packed, plain.len()) {
                    assert_eq!(bytes.len(), plain.len(), "{form}");
                }
            }
        }
    }
}
