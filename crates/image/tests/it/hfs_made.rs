#![expect(clippy::cast_possible_truncation, reason = "a volume of a few megabytes")]
//! HFS+ volumes by hand, with what no tool here makes: fragments, forks, hard links, compressed files.

use std::collections::BTreeMap;

pub(crate) const BLOCK: usize = 4096;
/// First free number.
pub(crate) const FIRST: u32 = 16;

/// A volume that is being made.
pub(crate) struct Maker {
    pub(crate) bytes: Vec<u8>,
    catalog: BTreeMap<(u32, Vec<u16>), Vec<u8>>,
    extents: BTreeMap<(u32, u8, u32), Vec<u8>>,
    attributes: BTreeMap<(u32, Vec<u16>), Vec<u8>>,
    pub(crate) n_files: u32,
    pub(crate) n_folders: u32,
    pub(crate) journal: u32,
}

/// What a file's record says beside its name and number.
#[derive(Default)]
pub(crate) struct File<'f> {
    pub(crate) mode: u16,
    pub(crate) flags: u16,
    pub(crate) owner_flags: u8,
    pub(crate) kind: &'f [u8],
    pub(crate) special: u32,
    pub(crate) data: &'f [u8],
    /// Pieces that do not lie one behind the other.
    pub(crate) n_parts: usize,
    pub(crate) resource: &'f [u8],
}

impl Maker {
    pub(crate) fn new() -> Maker {
        let mut maker = Maker {
            bytes: vec![0; BLOCK],
            catalog: BTreeMap::new(),
            extents: BTreeMap::new(),
            attributes: BTreeMap::new(),
            n_files: 0,
            n_folders: 0,
            journal: 0,
        };
        maker.folder(1, "Volume", 2);
        maker.n_folders = 0;
        maker
    }

    /// The block that the bytes are put at.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u32 {
        let block = self.bytes.len() / BLOCK;
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        block as u32
    }

    fn fork(&mut self, file: u32, which: u8, content: &[u8], n_parts: usize) -> Vec<u8> {
        let mut extents = Vec::new();
        let part = content.len().div_ceil(n_parts.max(1)).next_multiple_of(BLOCK).max(BLOCK);
        for piece in content.chunks(part) {
            let block = self.put(piece);
            extents.push((block, piece.len().div_ceil(BLOCK) as u32));
            if n_parts > 1 {
                self.put(&[0xaa; BLOCK]);
            }
        }
        let n_blocks: u32 = extents.iter().map(|(_, n)| n).sum();
        let mut record = (content.len() as u64).to_be_bytes().to_vec();
        record.extend(0_u32.to_be_bytes());
        record.extend(n_blocks.to_be_bytes());
        let mut before = 0;
        for (nth, eight) in extents.chunks(8).enumerate() {
            let mut bytes: Vec<u8> =
                eight.iter().flat_map(|(at, n)| [at.to_be_bytes(), n.to_be_bytes()].concat()).collect();
            bytes.resize(64, 0);
            if nth == 0 {
                record.extend(&bytes);
            } else {
                self.extents.insert((file, which, before), bytes);
            }
            before += eight.iter().map(|(_, n)| n).sum::<u32>();
        }
        record.resize(80, 0);
        record
    }

    pub(crate) fn folder(&mut self, parent: u32, name: &str, number: u32) {
        let mut record = vec![0; 88];
        record[1] = 1;
        record[8..12].copy_from_slice(&number.to_be_bytes());
        record[42..44].copy_from_slice(&0o40755_u16.to_be_bytes());
        self.add(parent, name, number, record, 3);
        self.n_folders += 1;
    }

    pub(crate) fn file(&mut self, parent: u32, name: &str, number: u32, file: &File<'_>) {
        let mut record = vec![0; 88];
        record[1] = 2;
        record[2..4].copy_from_slice(&file.flags.to_be_bytes());
        record[8..12].copy_from_slice(&number.to_be_bytes());
        record[41] = file.owner_flags;
        let mode = if file.mode == 0 { 0o100_644 } else { file.mode };
        record[42..44].copy_from_slice(&mode.to_be_bytes());
        record[44..48].copy_from_slice(&file.special.to_be_bytes());
        record[48..48 + file.kind.len()].copy_from_slice(file.kind);
        record.extend(self.fork(number, 0, file.data, file.n_parts));
        record.extend(self.fork(number, 0xff, file.resource, 1));
        self.add(parent, name, number, record, 4);
        self.n_files += 1;
    }

    fn add(&mut self, parent: u32, name: &str, number: u32, record: Vec<u8>, thread: u8) {
        let units: Vec<u16> = name.encode_utf16().collect();
        let mut back = vec![0, thread, 0, 0];
        back.extend(parent.to_be_bytes());
        back.extend((units.len() as u16).to_be_bytes());
        back.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
        self.catalog.insert((number, Vec::new()), back);
        self.catalog.insert((parent, units), record);
    }

    /// Describes the file as compressed.
    pub(crate) fn compressed(&mut self, file: u32, method: u32, len: usize, payload: &[u8]) {
        let mut value = b"fpmc".to_vec();
        value.extend(method.to_le_bytes());
        value.extend((len as u64).to_le_bytes());
        value.extend(payload);
        let mut record = 0x10_u32.to_be_bytes().to_vec();
        record.extend([0; 8]);
        record.extend((value.len() as u32).to_be_bytes());
        record.extend(value);
        record.resize(record.len().next_multiple_of(2), 0);
        self.attributes.insert((file, "com.apple.decmpfs".encode_utf16().collect()), record);
    }

    /// The volume, with `more` as a change of its header.
    pub(crate) fn finish(mut self, more: &dyn Fn(&mut [u8])) -> Vec<u8> {
        let with_name = |first: &[u8], name: &[u16], record: &[u8]| {
            let mut key = first.to_vec();
            key.extend((name.len() as u16).to_be_bytes());
            key.extend(name.iter().flat_map(|unit| unit.to_be_bytes()));
            (key, record.to_vec())
        };
        let catalog =
            self.catalog.iter().map(|((parent, name), r)| with_name(&parent.to_be_bytes(), name, r));
        let catalog = tree(&catalog.collect::<Vec<_>>());
        let first = |file: &u32| [&[0, 0][..], &file.to_be_bytes(), &[0; 4]].concat();
        let attributes = self.attributes.iter().map(|((file, name), r)| with_name(&first(file), name, r));
        let attributes = tree(&attributes.collect::<Vec<_>>());
        let key = |(file, which, before): &(u32, u8, u32)| {
            [&[*which, 0][..], &file.to_be_bytes(), &before.to_be_bytes()].concat()
        };
        let extents = self.extents.iter().map(|(at, r)| (key(at), r.clone())).collect::<Vec<_>>();
        let forks = [(3, tree(&extents)), (4, catalog), (8, attributes)];
        let forks: Vec<_> = forks.into_iter().map(|(file, bytes)| self.fork(file, 0, &bytes, 1)).collect();
        let bitmap = self.fork(6, 0, &[0xff; 512], 1);
        self.put(&[0; BLOCK]);
        let n_blocks = (self.bytes.len() / BLOCK) as u32;
        let mut header = b"H+\0\x04".to_vec();
        let attributes: u32 = 1 << 8 | if self.journal == 0 { 0 } else { 1 << 13 };
        header.extend(attributes.to_be_bytes());
        header.extend(b"10.0");
        header.extend(self.journal.to_be_bytes());
        header.resize(32, 0);
        for number in [self.n_files, self.n_folders, BLOCK as u32, n_blocks] {
            header.extend(number.to_be_bytes());
        }
        header.resize(64, 0);
        header.extend(1000_u32.to_be_bytes());
        header.resize(112, 0);
        header.extend([bitmap, forks.concat()].concat());
        header.resize(512, 0);
        more(&mut header);
        self.bytes[1024..1536].copy_from_slice(&header);
        let copy = self.bytes.len() - 1024;
        self.bytes[copy..copy + 512].copy_from_slice(&header);
        self.bytes
    }
}

/// A B-tree of these records, in their order: its header, its leaves, then its index, level by level.
fn tree(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let keyed = |key: &[u8], rest: &[u8]| [&(key.len() as u16).to_be_bytes()[..], key, rest].concat();
    let mut level: Vec<(Vec<u8>, Vec<u8>)> = records.to_vec();
    let mut nodes: Vec<Vec<u8>> = Vec::new();
    let (mut height, mut root, mut n_leaves) = (0, 0, 0);
    while !records.is_empty() && (height == 0 || level.len() > 1) {
        height += 1;
        let mut groups: Vec<Vec<(Vec<u8>, Vec<u8>)>> = vec![Vec::new()];
        for (key, rest) in level {
            let group = groups.last_mut().unwrap();
            let used: usize = group.iter().map(|(k, r)| 4 + k.len() + r.len()).sum();
            if used + 4 + key.len() + rest.len() > BLOCK - 16 {
                groups.push(Vec::new());
            }
            groups.last_mut().unwrap().push((key, rest));
        }
        level = Vec::new();
        for group in groups {
            let number = nodes.len() as u32 + 1;
            let records: Vec<_> = group.iter().map(|(key, rest)| keyed(key, rest)).collect();
            nodes.push(node(if height == 1 { 0xff } else { 0 }, height, &records));
            level.push((group[0].0.clone(), number.to_be_bytes().to_vec()));
            root = number;
        }
        n_leaves = if height == 1 { nodes.len() } else { n_leaves };
    }
    let n_nodes = nodes.len() + 1;
    let mut head = u16::from(height).to_be_bytes().to_vec();
    for number in [root, records.len() as u32, 1, n_leaves as u32] {
        head.extend(number.to_be_bytes());
    }
    head.extend((BLOCK as u16).to_be_bytes());
    head.extend(516_u16.to_be_bytes());
    head.extend((n_nodes as u32).to_be_bytes());
    head.resize(38, 0);
    // Long keys, of different lengths in the index.
    head.extend(6_u32.to_be_bytes());
    head.resize(106, 0);
    let mut map = vec![0; BLOCK - 14 - 106 - 128 - 8];
    (0..n_nodes).for_each(|number| map[number / 8] |= 0x80 >> (number % 8));
    nodes.insert(0, node(1, 0, &[head, vec![0; 128], map]));
    nodes.concat()
}

fn node(kind: u8, height: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let mut node = vec![0; 8];
    node.extend([kind, height]);
    node.extend((records.len() as u16).to_be_bytes());
    node.extend([0, 0]);
    let mut offsets = vec![14_u16];
    for record in records {
        node.extend(record);
        offsets.push(node.len() as u16);
    }
    assert!(node.len() + 2 * offsets.len() <= BLOCK, "a node's records fit");
    node.resize(BLOCK - 2 * offsets.len(), 0);
    offsets.iter().rev().for_each(|offset| node.extend(offset.to_be_bytes()));
    node
}
