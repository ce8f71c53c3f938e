//! Any messages in any order and any pieces, through every engine, against RustCrypto.
//!
//! The input is a script: the first byte is the mix of functions; after it, three bytes make a message: two of
//! length, one of the size of the pieces it is read in. Some lengths break at their end.

#![no_main]

use hashsweep_lanes::{Engine, Lanes, Message, Piece, Sums, Wanted};
use sha2::Digest as _;

struct Scripted {
    bytes: Vec<u8>,
    from: usize,
    step: usize,
    breaks: bool,
}

impl Message for Scripted {
    fn read(&mut self, space: &mut [u8]) -> Piece {
        let n = space.len().min(self.step).min(self.bytes.len() - self.from);
        space[..n].copy_from_slice(&self.bytes[self.from..self.from + n]);
        self.from += n;
        match (self.breaks, self.from == self.bytes.len()) {
            (true, true) => Piece::Broken,
            (false, true) => Piece::Last(n),
            (_, false) => Piece::More(n),
        }
    }
}

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    let Some((mix, rest)) = script.split_first() else { return };
    let wanted = Wanted { md5: mix & 1 != 0, sha1: mix & 2 != 0, sha256: mix & 4 != 0 };
    if wanted == Wanted::default() {
        return;
    }
    for engine in Engine::available() {
        let mut lanes = Lanes::new(engine, wanted);
        let mut n_ended = 0;
        let mut ended = |message: Scripted, sums: Option<&Sums>| {
            n_ended += 1;
            assert_eq!(sums.is_none(), message.breaks);
            let Some(sums) = sums else { return };
            assert!(!wanted.md5 || sums.md5[..] == md5::Md5::digest(&message.bytes)[..]);
            assert!(!wanted.sha1 || sums.sha1[..] == sha1::Sha1::digest(&message.bytes)[..]);
            assert!(!wanted.sha256 || sums.sha256[..] == sha2::Sha256::digest(&message.bytes)[..]);
        };
        let (shapes, _) = rest.as_chunks::<3>();
        for (nth, [low, high, step]) in shapes.iter().enumerate() {
            let n_bytes = usize::from(u16::from_le_bytes([*low, *high]));
            let bytes = (0..n_bytes).map(|i| rest[(i + nth) % rest.len()] ^ (i >> 8) as u8).collect();
            let step = if *step == 0 { 1000 } else { usize::from(*step) * 17 };
            lanes.push(Scripted { bytes, from: 0, step, breaks: *high % 16 == 15 }, &mut ended);
        }
        lanes.finish(&mut ended);
        assert_eq!(n_ended, shapes.len());
    }
});
