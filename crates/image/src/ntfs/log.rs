//! Whether `$LogFile` was closed. Two restart pages at its beginning say so, the later one counts; a log of nothing but
//! ones is a fresh one.

use super::file::File;
use super::mft::Mft;
use super::record::{DATA, State, mend};
use crate::fault::{Fault, damaged, le16, le32, le64};
use crate::item::Content;
use std::sync::Arc;

/// The record of the log.
const LOG: u64 = 2;
/// Bytes at the log's beginning that are looked at, and the largest page that Windows has.
const LOOKED_AT: usize = 128 << 10;
const LARGEST_PAGE: usize = 64 << 10;
const NO_CLIENT: u16 = 0xffff;
const VOLUME_IS_CLEAN: u16 = 2;

pub(super) fn is_clean(mft: &Mft) -> Result<bool, Fault> {
    let missing = || damaged("a volume without a log", LOG);
    let record = mft.record(LOG, State::InUse)?.ok_or_else(missing)?;
    let streams = File::read(mft, &record).streams;
    let log = streams.into_iter().find(|stream| stream.kind == DATA && stream.name.is_empty());
    let log = log.ok_or_else(missing)?;
    let len = usize::try_from(log.size).unwrap_or(usize::MAX).min(LOOKED_AT);
    let mut bytes = vec![0; len];
    let mut content = Content::new(Arc::clone(&mft.image), log.size, log.extents?);
    let mut done = 0;
    while done < len {
        done += content.read(&mut bytes[done..])?;
    }
    says_clean(&bytes)
}

fn says_clean(log: &[u8]) -> Result<bool, Fault> {
    if !log.is_empty() && log.iter().all(|byte| *byte == 0xff) {
        return Ok(true);
    }
    // The second page is behind the first, whose size the first says, if it is whole.
    let pages = [0, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, LARGEST_PAGE];
    let latest = pages.into_iter().filter_map(|at| restart(log.get(at..)?)).max_by_key(|(lsn, _)| *lsn);
    latest.map(|(_, is_clean)| is_clean).ok_or_else(|| damaged("a log without a restart page", LOG))
}

/// How late this restart page is and what it says; nothing if it is none.
fn restart(page: &[u8]) -> Option<(u64, bool)> {
    if !page.starts_with(b"RSTR") && !page.starts_with(b"CHKD") {
        return None;
    }
    let len = usize::try_from(le32(page, 16).ok()?).ok().filter(|len| *len <= LARGEST_PAGE)?;
    let mut page = page.get(..len)?.to_vec();
    mend(&mut page, LOG).ok()?;
    let area = page.get(usize::from(le16(&page, 24).ok()?)..)?;
    let (clients, flags) = (le16(area, 12).ok()?, le16(area, 14).ok()?);
    Some((le64(area, 0).ok()?, clients == NO_CLIENT || flags & VOLUME_IS_CLEAN != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lsn: u64, clients: u16, flags: u16) -> Vec<u8> {
        let mut page = vec![0; 4096];
        page[..4].copy_from_slice(b"RSTR");
        page[4..8].copy_from_slice(&[0x1e, 0, 9, 0]);
        page[16..20].copy_from_slice(&4096_u32.to_le_bytes());
        page[24] = 0x30;
        page[0x30..0x38].copy_from_slice(&lsn.to_le_bytes());
        page[0x3c..0x3e].copy_from_slice(&clients.to_le_bytes());
        page[0x3e..0x40].copy_from_slice(&flags.to_le_bytes());
        page
    }

    #[test]
    fn the_later_restart_page_says_whether_the_log_was_closed() {
        let check = |pages: &[Vec<u8>], expected: Option<bool>| {
            assert_eq!(says_clean(&pages.concat()).ok(), expected);
        };
        check(&[page(5, NO_CLIENT, 0), page(4, 0, 0)], Some(true));
        check(&[page(5, 0, 0), page(4, NO_CLIENT, 0)], Some(false));
        check(&[page(4, NO_CLIENT, 0), page(5, 0, 0)], Some(false));
        check(&[page(5, 0, VOLUME_IS_CLEAN), page(4, 0, 0)], Some(true));
        let mut torn = page(9, NO_CLIENT, 0);
        torn[510] = 1;
        check(&[torn.clone(), page(4, 0, 0)], Some(false));
        check(&[torn], None);
        check(&[vec![0xff; 8192]], Some(true));
        check(&[vec![0; 8192]], None);
        check(&[], None);
    }
}
