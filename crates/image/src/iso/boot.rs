//! The boot images of El Torito, which firmware finds by a catalogue of its own and which need no name in a tree.

use super::SECTOR;
use crate::fat::Fat;
use crate::fault::{Fault, damaged, le16, le32, size, times};
use crate::reader::{ImageReader, read_vec};

const ENTRY: usize = 32;
/// Entries of a catalogue that are looked at.
const MOST: usize = 1024;
/// The unit in which a catalogue counts what is loaded.
const COUNTED: u64 = 512;

/// Where an image is, and its length.
pub(super) type Place = (u64, u64);

/// All images of the catalogue in this block, and why there are not more if there should be.
pub(super) fn images(image: &dyn ImageReader, block: u32) -> (Vec<Result<Place, Fault>>, Option<Fault>) {
    let mut all = Vec::new();
    let at = u64::from(block) * SECTOR;
    let catalogue = match read_vec(image, at, size(SECTOR).unwrap_or(ENTRY)) {
        Ok(first) => {
            // A longer one goes on in the sectors behind it.
            let rest = read_vec(image, at + SECTOR, (MOST - 64) * ENTRY).unwrap_or_default();
            [first, rest].concat()
        }
        Err(fault) => return (all, Some(fault)),
    };
    let (head, entries) = catalogue.split_at(ENTRY);
    let words = head.chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
    if head[0] != 1 || head[30..] != [0x55, 0xaa] || words.fold(0, u16::wrapping_add) != 0 {
        return (all, Some(damaged("the catalogue of boot images", at)));
    }
    let mut entries = entries.chunks_exact(ENTRY);
    all.extend(entries.next().map(|entry| place(image, entry)));
    while let Some(header @ [kind @ (0x90 | 0x91), ..]) = entries.next() {
        let mut n = u16::from_le_bytes([header[2], header[3]]);
        while n > 0 {
            match entries.next() {
                // More about the one before.
                Some([0x44, ..]) => {}
                Some(entry) => {
                    all.push(place(image, entry));
                    n -= 1;
                }
                None => return (all, Some(Fault::Limit { what: "boot images", limit: MOST as u64 })),
            }
        }
        if *kind == 0x91 {
            break;
        }
    }
    (all, None)
}

/// Where an entry's image is. What is loaded may be its beginning alone, so the image itself is asked first.
fn place(image: &dyn ImageReader, entry: &[u8]) -> Result<Place, Fault> {
    let block = le32(entry, 8)?;
    let at = u64::from(block) * SECTOR;
    let head = read_vec(image, at, 512)?;
    let loaded = u64::from(le16(entry, 6)?) * COUNTED;
    let len = match entry[1] & 0xf {
        1 => 1200 << 10,
        2 => 1440 << 10,
        3 => 2880 << 10,
        // A hard disk's table says where its partitions end.
        4 => {
            let ends = head[446..510]
                .chunks_exact(16)
                .map(|one| Ok(u64::from(le32(one, 8)?) + u64::from(le32(one, 12)?)));
            let ends = ends.collect::<Result<Vec<u64>, Fault>>()?;
            times(ends.into_iter().max().unwrap_or(0), COUNTED, "a boot image beyond all sizes")?
        }
        // Loaders of ISOLINUX's kind have a table of where they are.
        _ if le32(&head, 8)? == 16 && le32(&head, 12)? == block => le32(&head, 16)?.into(),
        _ => Fat::len_of(&head).unwrap_or(0).max(loaded),
    };
    if len == 0 {
        return Err(damaged("a boot image of no length", at));
    }
    if at + len > image.size() {
        return Err(Fault::PastEnd { offset: image.size() });
    }
    Ok((at, len))
}
