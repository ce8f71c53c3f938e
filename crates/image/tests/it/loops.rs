//! Trees and directories that lead back to themselves: each ends by the work that its volume permits, and says so.

use crate::crafted::{base, check, nodes, places, put};

/// An inode of ext2 that begins so and has at least so many blocks of its own.
fn ext_inode(bytes: &[u8], mode: [u8; 2], n_blocks: usize) -> usize {
    let has_blocks = |inode: &[u8]| inode[40..40 + 4 * n_blocks].chunks(4).all(|block| block != [0; 4]);
    places(bytes, 128, |inode| inode.len() >= 128 && inode[..2] == mode && has_blocks(inode))[0]
}

#[test]
fn a_directory_of_one_block_again_and_again_is_listed_once() {
    let mut bytes = base("ext2");
    let dir = ext_inode(&bytes, [0xed, 0x41], 2);
    let whole = bytes.clone();
    bytes.copy_within(dir + 40..dir + 44, dir + 44);
    check(&bytes, "a block that two directories have");
    bytes = whole;
    put(&mut bytes, dir + 4, &(1_u32 << 20).to_le_bytes());
    check(&bytes, "a directory with a hole");

    let mut bytes = base("xfs4");
    let is_directory = |inode: &[u8]| inode.starts_with(b"IN\x41\xed\x02\x02");
    let dir = places(&bytes, 256, is_directory)[0];
    let first: [u8; 16] = bytes[dir + 100..dir + 116].try_into().unwrap();
    let n_blocks = u64::from_be_bytes(first[8..].try_into().unwrap()) & 0x1f_ffff;
    let again = (n_blocks << 9).to_be_bytes();
    put(&mut bytes, dir + 116, &again);
    put(&mut bytes, dir + 124, &first[8..]);
    put(&mut bytes, dir + 76, &[0, 0, 0, 2]);
    check(&bytes, "a block that two directories have");
    put(&mut bytes, dir + 76, &[0x80, 0, 0, 0]);
    check(&bytes, "extents of one file");
}

/// A node of ext's extent tree: entries of a first logical block and a block below.
fn ext_node(depth: u8, entries: &[(u32, u32)]) -> Vec<u8> {
    let n = u8::try_from(entries.len()).unwrap();
    let mut node = vec![0x0a, 0xf3, n, 0, n, 0, depth, 0, 0, 0, 0, 0];
    for (first, block) in entries {
        node.extend(first.to_le_bytes());
        node.extend(block.to_le_bytes());
        node.extend([0; 4]);
    }
    node
}

#[test]
fn trees_of_extents_of_ext_that_lead_back_end() {
    let whole = base("ext2");
    let file = ext_inode(&whole, [0xa4, 0x81], 7);
    let blocks: Vec<u32> =
        (0..6).map(|nth| u32::from_le_bytes(whole[file + 40 + nth * 4..][..4].try_into().unwrap())).collect();
    let with = |root: &[(u32, u32)], depth: u8, nodes: &[Vec<u8>]| {
        let mut bytes = whole.clone();
        put(&mut bytes, file + 32, &0x8_0000_u32.to_le_bytes());
        put(&mut bytes, file + 40, &ext_node(depth, root));
        for (block, node) in blocks.iter().zip(nodes) {
            put(&mut bytes, *block as usize * 1024, node);
        }
        bytes
    };
    let first = blocks[0];
    check(&with(&[(0, first)], 1, &[ext_node(1, &[(0, first)])]), "a node of the extent tree that is none");
    let mut extent = ext_node(0, &[(0, 1)]);
    put(&mut extent, 20, &first.to_le_bytes());
    check(&with(&[(0, first), (1, first)], 1, &[extent]), "an extent outside its node");
    let below = ext_node(1, &[]);
    check(&with(&[(0, first)], 2, &[below]), "a node of the extent tree with nothing below");
}

#[test]
fn trees_of_extents_of_xfs_that_lead_back_end() {
    let whole = base("xfs4");
    let is_file = |inode: &[u8]| inode.starts_with(b"IN\x81\xa4\x02\x02") && inode[62] >= 16;
    let file = places(&whole, 256, is_file)[0];
    // The second word of its first extent has the block's number above the length.
    let extent: [u8; 16] = whole[file + 100..file + 116].try_into().unwrap();
    let block = (u64::from_be_bytes(extent[8..].try_into().unwrap()) >> 21).to_be_bytes();
    let block_size = u32::from_be_bytes(whole[4..8].try_into().unwrap()) as usize;
    let at = usize::try_from(u64::from_be_bytes(block)).unwrap() * block_size;
    let fork = 256 - 100;
    let with = |level: u8, n: u8, leaf: &[u8]| {
        let mut bytes = whole.clone();
        bytes[file + 5] = 3;
        bytes[file + 82] = 0;
        put(&mut bytes, file + 100, &[0, level, 0, n]);
        for nth in 0..usize::from(n) {
            put(&mut bytes, file + 104 + (fork - 4) / 16 * 8 + nth * 8, &block);
        }
        put(&mut bytes, at, leaf);
        bytes
    };
    let node = |level: u8, body: &[u8]| [&b"BMAP\0"[..], &[level, 0, 1], &[0; 16], body].concat();
    check(&with(1, 2, &node(0, &extent)), "extents that are not in order");
    let mut to_itself = node(1, &[]);
    to_itself.resize(24 + (block_size - 24) / 16 * 8, 0);
    to_itself.extend(block);
    check(&with(2, 1, &to_itself), "a block of a tree of extents");
    check(&with(17, 1, &to_itself), "the root of a tree of extents");
}

#[test]
fn an_index_of_ntfs_that_does_not_go_on_ends() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    crate::made::ntfs("ntfs-4096", &image);
    let mut bytes = std::fs::read(&image).unwrap();
    let block = places(&bytes, 4096, |block| block.starts_with(b"INDX"))[0];
    let first =
        usize::try_from(u32::from_le_bytes(bytes[block + 24..block + 28].try_into().unwrap())).unwrap();
    put(&mut bytes, block + 24 + first + 8, &[0, 0]);
    check(&bytes, "an index that contradicts itself");
}

/// The volume with every extent that is meant changed: by its key's place and its data's.
fn changed(bytes: &[u8], is_meant: fn(&[u8]) -> bool, change: impl Fn(&mut [u8], usize, usize)) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let extents = extents(bytes, is_meant);
    assert!(!extents.is_empty());
    for (item, data) in extents {
        change(&mut changed, item, data);
    }
    changed
}

fn extents(bytes: &[u8], is_meant: fn(&[u8]) -> bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for leaf in nodes(bytes, 0) {
        for nth in 0..usize::from(bytes[leaf + 96]) {
            let item = leaf + 101 + nth * 25;
            let start = u32::from_le_bytes(bytes[item + 17..item + 21].try_into().unwrap());
            let data = leaf + 101 + start as usize;
            if bytes[item + 8] == 108 && is_meant(&bytes[data..]) {
                found.push((item, data));
            }
        }
    }
    found
}

#[test]
fn extents_of_btrfs_cannot_claim_more_than_they_can_hold() {
    let whole = base("btrfs");
    let is_inline: fn(&[u8]) -> bool = |data| data[20] == 0;
    let is_on_disk: fn(&[u8]) -> bool = |data| data[20] == 1 && data[21..29] != [0; 8];
    for claimed in [1_u64 << 20, 1 << 60, u64::MAX] {
        let claim = |bytes: &mut [u8], _: usize, data: usize| {
            put(bytes, data + 8, &claimed.to_le_bytes());
            bytes[data + 16] = 1;
        };
        let is_small = claimed <= 1 << 20;
        let what = if is_small { "bytes packed within the metadata" } else { "bytes in a packed extent" };
        check(&changed(&whole, is_inline, claim), what);
        if !is_small {
            check(&changed(&whole, is_on_disk, claim), what);
        }
    }
    let elsewhere = |bytes: &mut [u8], item: usize, _: usize| put(bytes, item + 9, &4096_u64.to_le_bytes());
    check(&changed(&whole, is_inline, elsewhere), "that is not a file's beginning");
    let long = |bytes: &mut [u8], _: usize, data: usize| put(bytes, data + 45, &(1_u64 << 60).to_le_bytes());
    check(&changed(&whole, is_on_disk, long), "an extent across two chunks");
}
