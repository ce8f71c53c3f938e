//! Whether the log's last record says that the volume was unmounted.
//!
//! A record's header is a sector with a signature, which no other sector of the log can begin with: in all others the
//! first word is the number of the round through the log.

use super::superblock::Superblock;
use crate::fault::{Fault, be32, be64, damaged, size};
use crate::reader::{ImageReader, read_vec};

const SIGNATURE: [u8; 4] = [0xfe, 0xed, 0xba, 0xbe];
/// 2 GiB: the most that mkfs makes.
const MOST_LOG: u64 = 2 << 30;
const READ: u64 = 1 << 20;
const UNMOUNT: u8 = 0x20;

pub(super) fn is_clean(image: &dyn ImageReader, sb: &Superblock) -> Result<bool, Fault> {
    let Some((start, len)) = sb.log else {
        return Err(Fault::Unsupported("a log on another device, whose changes nobody saw".into()));
    };
    if len > MOST_LOG {
        return Err(Fault::Limit { what: "bytes of log", limit: MOST_LOG });
    }
    let mut last = None;
    let mut at = start;
    while at < start + len {
        let bytes = read_vec(image, at, size(READ.min(start + len - at))?)?;
        for (nth, sector) in bytes.chunks_exact(512).enumerate() {
            if sector.starts_with(&SIGNATURE) {
                last = last.max(Some((be64(sector, 16)?, at + nth as u64 * 512)));
            }
        }
        at += READ;
    }
    let Some((_, at)) = last else { return Err(damaged("a log without records", start)) };
    let header = read_vec(image, at, 512)?;
    // Versions from 2 on have one more sector of header for every 32 KiB of their buffer.
    let n_headers =
        if be32(&header, 8)? & 2 != 0 { u64::from(be32(&header, 320)?).div_ceil(32 << 10).max(1) } else { 1 };
    let mut body = at.saturating_add(n_headers * 512);
    if body >= start + len {
        body -= len;
    }
    let operation = read_vec(image, body, 12)?;
    Ok(be32(&header, 40)? == 1 && operation[9] & UNMOUNT != 0)
}
