//! Deleted files: records that were freed and not given away again.
//!
//! A freed record keeps its names and where its content was. Content in the record is whole with it; clusters are held
//! against the bitmap of the volume. Where two freed records claim one cluster, at most one of them is right.

use super::file::{File, Stream};
use super::mft::Mft;
use super::names::{Names, spelled};
use super::record::{DATA, Record, State};
use super::{KEPT, Stands, there};
use crate::deleted::{Confidence, Deleted, Finds, Found, Remains};
use crate::fault::{Fault, damaged};
use crate::item::Data;
use crate::utf16::{name_of, units};
use std::ops::ControlFlow;

/// The record of the file whose content is the bitmap of clusters.
const CLUSTERS: u64 = 6;

/// Clusters that deleted files claim: by one, and by several.
struct Claims {
    once: Vec<u8>,
    again: Vec<u8>,
}

struct Search<'w, 's> {
    mft: &'w Mft,
    finds: Finds<'s>,
    names: Names,
    bitmap: Vec<u8>,
    claims: Claims,
}

pub(super) fn search(mft: &Mft, sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>) -> Remains {
    let finds = Finds::new((mft.boot.n_clusters, mft.boot.cluster), sink);
    let claims = Claims { once: Vec::new(), again: Vec::new() };
    let mut search = Search { mft, finds, names: Names::default(), bitmap: Vec::new(), claims };
    match clusters(mft) {
        Ok(bitmap) => search.bitmap = bitmap,
        Err(why) => {
            search.finds.gone(b"/".to_vec(), why);
            return search.finds.remains;
        }
    }
    let freed = search.records();
    search.claims = Claims { once: vec![0; search.bitmap.len()], again: vec![0; search.bitmap.len()] };
    for number in &freed {
        search.claim(*number);
    }
    for number in freed {
        if search.finds.stopped {
            break;
        }
        search.give(number);
    }
    search.finds.remains
}

fn clusters(mft: &Mft) -> Result<Vec<u8>, Fault> {
    let missing = || damaged("no bitmap says which clusters are in use", CLUSTERS);
    let record = mft.record(CLUSTERS, State::InUse)?.ok_or_else(missing)?;
    let file = File::read(mft, &record);
    let bitmap = file.stream(DATA, b"").ok_or_else(missing)?.bytes(mft)?;
    if (bitmap.len() as u64) < mft.boot.n_clusters.div_ceil(8) { Err(missing()) } else { Ok(bitmap) }
}

fn bit(bits: &[u8], nth: u64) -> Option<bool> {
    let byte = usize::try_from(nth / 8).ok().and_then(|at| bits.get(at));
    byte.map(|byte| byte >> (nth % 8) & 1 == 1)
}

impl Search<'_, '_> {
    /// Learns all names, of what is there and of what was; gives the numbers of freed first records.
    fn records(&mut self) -> Vec<u64> {
        let mut freed = Vec::new();
        let names = &mut self.names;
        for state in [State::InUse, State::Freed] {
            // What is lost of the table is said of the live files.
            let _ = self.mft.all(state, |number, record| {
                if let Ok(Some(record)) = record {
                    let file = record.base.unwrap_or(record.me);
                    if record.base.is_none() {
                        names.know(file);
                        if state == State::Freed && number >= KEPT && !record.is_directory {
                            freed.push(number);
                        }
                    }
                    names.add(file, &record, &mut |_| {});
                }
                true
            });
        }
        freed
    }

    fn file(&self, number: u64) -> Option<File> {
        let record: Record = self.mft.record(number, State::Freed).ok()??;
        Some(File::read(self.mft, &record))
    }

    fn claim(&mut self, number: u64) {
        let Some(file) = self.file(number) else { return };
        for stream in file.streams.iter().filter(|stream| stream.kind == DATA) {
            if self.free(stream).is_ok() {
                for cluster in clusters_of(stream, self.mft.boot.cluster) {
                    let (at, bit) = (usize::try_from(cluster / 8).unwrap_or(usize::MAX), 1 << (cluster % 8));
                    let Claims { once, again } = &mut self.claims;
                    if let (Some(once), Some(again)) = (once.get_mut(at), again.get_mut(at)) {
                        *again |= *once & bit;
                        *once |= bit;
                    }
                }
            }
        }
    }

    /// Whether nothing else has its clusters now.
    fn free(&mut self, stream: &Stream) -> Result<(), Fault> {
        let is_free = |cluster| bit(&self.bitmap, cluster) == Some(false);
        self.finds.all_free(clusters_of(stream, self.mft.boot.cluster), &is_free)
    }

    fn give(&mut self, number: u64) {
        let Some(mut file) = self.file(number) else { return };
        let tag = file.reparse_tag(self.mft);
        let streams: Vec<Stream> = file.streams.drain(..).filter(|stream| stream.kind == DATA).collect();
        let has_name = self.names.has_name(number);
        // A record that was never a file's.
        if streams.is_empty() && !has_name {
            return;
        }
        let paths = self.names.paths(number);
        let stands = match Stands::of(tag) {
            Ok(Stands::Entry(_)) => return,
            Ok(stands) => stands,
            Err(why) => return self.finds.gone(paths[0].clone(), why),
        };
        if let Some(why) = file.faults.into_iter().next() {
            return self.finds.gone(paths[0].clone(), why);
        }
        if streams.is_empty() {
            let why = damaged("nothing says any more where its content was", number);
            return self.finds.gone(paths[0].clone(), why);
        }
        for stream in streams {
            let mut paths = paths.clone();
            if !stream.name.is_empty() {
                let name = spelled(&name_of(&units(&stream.name)));
                for path in &mut paths {
                    path.push(b':');
                    path.extend_from_slice(&name);
                }
            }
            match self.content(stream, stands) {
                Ok(found) => self.finds.kept(number, paths, found),
                Err(why) => self.finds.gone(paths.swap_remove(0), why),
            }
        }
    }

    fn content(&mut self, stream: Stream, stands: Stands) -> Result<Found, Fault> {
        if stream.is_encrypted() {
            return Err(Fault::Unsupported("a file encrypted by Windows (EFS)".into()));
        }
        self.free(&stream)?;
        let is_shared = clusters_of(&stream, self.mft.boot.cluster)
            .any(|cluster| bit(&self.claims.again, cluster) == Some(true));
        let (is_resident, size, extents) = (stream.is_resident, stream.size, stream.extents?);
        if !is_resident && size == 0 {
            return Err(damaged("its size was set to nothing before it was deleted", 0));
        }
        if stands == Stands::CloudFile && there(&extents) < size {
            return Err(Fault::Unsupported("a file that was in the cloud".into()));
        }
        let confidence = match (is_resident, is_shared) {
            (true, _) => Confidence::Certain,
            (false, false) => Confidence::Likely,
            (false, true) => Confidence::Guess,
        };
        Ok(Found { size, extents, confidence })
    }
}

/// The clusters of which a stream consists.
fn clusters_of(stream: &Stream, cluster: u64) -> impl Iterator<Item = u64> + use<'_> {
    let extents = stream.extents.as_deref().unwrap_or_default();
    let pieces = extents.iter().flat_map(|extent| match &extent.data {
        Data::Disk(at) => vec![(*at, extent.len)],
        Data::Lznt1(pieces) | Data::Zlib(pieces) => pieces.to_vec(),
        Data::Zero | Data::Inline(_) | Data::Wof(_) => Vec::new(),
    });
    pieces.flat_map(move |(at, len)| at / cluster..at.saturating_add(len).div_ceil(cluster))
}
