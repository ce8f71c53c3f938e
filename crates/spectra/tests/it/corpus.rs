//! The fuzzer's corpus and the recorded shapes through every parser, as they are and with seeded damage.

use hashsweep_spectra::fuzzing::TARGETS;
use std::fs;
use std::path::Path;

/// Damaged copies of each sample: a few seconds in all. The fuzzer itself is run by hand (`.ci/fuzz`).
const N_COPIES: u64 = 60;

/// What damage inserts: the letters of both languages.
const PIECES: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\",
    b"\\u0000",
    b"null",
    b"-1",
    b"1e999",
    b"\xff",
    b"\0",
    b"<",
    b">",
    b"</",
    b"/>",
    b"&",
    b"&#x0;",
    b"<![CDATA[",
    b"<!--",
    b"<item>",
    b"\"rl\"",
];

/// xorshift64*: a seed makes the same damage on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thrown = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(thrown).unwrap() % n.max(1)
    }
}

fn damage(sample: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut copy = sample.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(copy.len() + 1);
        let until = (at + dice.below(12)).min(copy.len());
        match dice.below(5) {
            0 => copy.truncate(at),
            1 => drop(copy.drain(at..until)),
            2 => drop(copy.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied())),
            3 => {
                let piece = copy[at..until].to_vec();
                let to = dice.below(copy.len() + 1);
                drop(copy.splice(to..to, piece));
            }
            _ => {
                if let Some(byte) = copy.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    copy
}

fn samples(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn no_sample_and_no_damaged_sample_breaks_a_parser() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = samples(&here.join("../../fixtures/wire"));
    for (name, target) in TARGETS {
        let own = samples(&here.join("fuzz/corpus").join(name));
        assert!(own.len() >= 5, "{name} has lost its corpus");
        for (n, sample) in own.iter().chain(&recorded).enumerate() {
            target(sample);
            let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ n as u64);
            for _ in 0..N_COPIES {
                target(&damage(sample, &mut dice));
            }
        }
    }
}
