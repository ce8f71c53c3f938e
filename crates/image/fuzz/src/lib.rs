//! An image that a tool made, with some of its bytes replaced, read whole.
//!
//! What libFuzzer changes is not the image but a list of replacements: three bytes say where, as a place among those
//! that are not zero, and one says what. So every mutation hits what a reader looks at.

#![forbid(unsafe_code)]

use hashsweep_image::{
    Container, Content, Deleted, Fault, ImageReader, Item, Place, Stream, deleted, open, walk,
};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Content that is read of one image: the rest is read by the same code.
const MOST_CONTENT: u64 = 4 << 20;

/// An image and the places of its bytes that are not zero, and of some zeros behind each.
pub struct Base {
    pub bytes: Vec<u8>,
    places: Vec<usize>,
}

/// The image that `packed` is, made once.
pub fn base(once: &'static OnceLock<Arc<Base>>, packed: &[u8]) -> Arc<Base> {
    base_within(once, packed, 0..usize::MAX)
}

/// The same, of which only these bytes are replaced.
pub fn base_within(once: &'static OnceLock<Arc<Base>>, packed: &[u8], within: Range<usize>) -> Arc<Base> {
    Arc::clone(once.get_or_init(|| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("the base is whole");
        let blocks = (0..bytes.len() / 16)
            .filter(|block| within.contains(&(block * 16)))
            .filter(|block| bytes[block * 16..][..16].iter().any(|byte| *byte != 0));
        let places = blocks.flat_map(|block| block * 16..block * 16 + 16).collect();
        Arc::new(Base { bytes, places })
    }))
}

impl Base {
    /// The replacements that the data stands for.
    pub fn replacements(&self, data: &[u8]) -> BTreeMap<usize, u8> {
        let place = |at: &[u8]| {
            let nth = usize::from(at[0]) << 16 | usize::from(at[1]) << 8 | usize::from(at[2]);
            self.places[nth % self.places.len()]
        };
        data.chunks_exact(4).map(|four| (place(four), four[3])).collect()
    }
}

struct Changed {
    base: Arc<Base>,
    replaced: BTreeMap<usize, u8>,
}

impl ImageReader for Changed {
    fn size(&self) -> u64 {
        self.base.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(self.base.bytes.len());
        let n = buf.len().min(self.base.bytes.len() - at);
        buf[..n].copy_from_slice(&self.base.bytes[at..at + n]);
        for (place, byte) in self.replaced.range(at..at + n) {
            buf[place - at] = *byte;
        }
        Ok(n)
    }

    fn locate(&self, offset: u64) -> Place {
        Place::Host(offset)
    }
}

/// Reads the image with the replacements that `data` stands for.
pub fn read(base: Arc<Base>, data: &[u8]) {
    let replaced = base.replacements(data);
    let disk: Arc<dyn ImageReader> = Arc::new(Changed { base, replaced });
    read_disk(&Container { disk, gaps: Vec::new(), ewf: None, notices: Vec::new() });
}

/// The same for a physical volume of LVM2 at `start`, whose label and only area of metadata get the checksums that
/// are right for what was replaced: else nothing behind these would be looked at.
pub fn read_lvm(base: Arc<Base>, data: &[u8], start: usize, area: usize) {
    let replaced = base.replacements(data);
    let mut disk = Changed { base, replaced };
    let at = |place: usize, disk: &Changed| disk.bytes(place, 8).try_into().map_or(0, usize_of);
    let (text, len) = (at(area + 40, &disk), at(area + 48, &disk));
    if text < 1 << 17 && len < 1 << 17 {
        let sum = summed(&disk.bytes(area + text, len));
        disk.put(area + 56, sum);
    }
    let sum = summed(&disk.bytes(area + 4, 508));
    disk.put(area, sum);
    let sum = summed(&disk.bytes(start + 512 + 20, 492));
    disk.put(start + 512 + 16, sum);
    read_disk(&Container { disk: Arc::new(disk), gaps: Vec::new(), ewf: None, notices: Vec::new() });
}

fn usize_of(bytes: [u8; 8]) -> usize {
    usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

/// LVM's CRC-32, which begins elsewhere and is not inverted.
fn summed(bytes: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
    hasher.update(bytes);
    (!hasher.finalize()).to_le_bytes()
}

impl Changed {
    fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read_at(at as u64, &mut bytes).expect("memory can be read");
        bytes
    }

    fn put(&mut self, at: usize, bytes: [u8; 4]) {
        self.replaced.extend((at..).zip(bytes));
    }
}

/// The same as [`read`] for a container, which is opened by its path: a file in memory, one for each process, in which what was
/// replaced is put back.
pub fn read_file(base: &Base, ending: &str, data: &[u8]) {
    static FILE: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (path, file) = FILE.get_or_init(|| {
        let dir = PathBuf::from(format!("/dev/shm/hashsweep-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory in memory can be made");
        let path = dir.join(format!("disk.{ending}"));
        std::fs::write(&path, &base.bytes).expect("a file in memory can be written");
        let file = OpenOptions::new().write(true).open(&path).expect("it was just written");
        (path, file)
    });
    let replaced = base.replacements(data);
    let put =
        |at: usize, byte| file.write_all_at(&[byte], at as u64).expect("a file in memory can be written");
    for (at, byte) in &replaced {
        put(*at, *byte);
    }
    if let Ok(container) = open(path) {
        read_disk(&container);
    }
    for at in replaced.keys() {
        put(*at, base.bytes[*at]);
    }
}

/// Walks and reads, deleted files too; every sum must be equal whatever the bytes.
pub fn read_disk(container: &Container) {
    let mut left = MOST_CONTENT;
    let walked = walk(container, &mut |_, bytes, item| {
        if let Item::Stream(stream) = item {
            read_stream(bytes, stream, &mut left);
        }
        ControlFlow::Continue(())
    });
    deleted(container, &mut |_, bytes, found| {
        if let Deleted::Kept { stream, .. } = found {
            read_stream(bytes, stream, &mut left);
        }
        ControlFlow::Continue(())
    });
    for sum in &walked.volumes {
        assert!(sum.summary.adds_up(), "{:?}", sum.summary);
    }
    assert!(!walked.volumes.is_empty() || walked.problems > 0 || walked.is_complete());
}

fn read_stream(bytes: &Arc<dyn ImageReader>, stream: Stream, left: &mut u64) {
    let size = stream.size;
    let mut end = 0;
    for extent in &stream.extents {
        assert!(extent.logical >= end, "extents overlap");
        end = extent.logical + extent.len;
    }
    assert!(end <= size, "extents reach past their file");
    let mut content = Content::new(Arc::clone(bytes), size, stream.extents);
    let mut block = vec![0; 64 * 1024];
    while *left > 0 {
        match content.read(&mut block) {
            Ok(0) => {
                assert_eq!(content.left(), 0, "a file ended early");
                break;
            }
            Ok(n) => *left = left.saturating_sub(n as u64),
            Err(_) => break,
        }
    }
}
