//! Facts for any hash that no list names, drawn from the hash itself.
//!
//! The same hash always gets the same facts, on every machine and in every run. It knows no list and no request.

use crate::{
    calendar::{DAY, timestamp},
    digest::{Digest, Kind, hex},
    verdicts::{Sample, Standing},
};
use sha2::{Digest as _, Sha256};

/// How many of 1,000 hashes that no list names get which verdict; what is left over is UNKNOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// MALICIOUS.
    pub malicious: u32,
    /// SUSPICIOUS.
    pub suspicious: u32,
    /// KNOWN.
    pub known: u32,
}

/// A guess at the files of an office machine in an incident: most were shipped by somebody, a third exists nowhere
/// else, and so few are bad that a findings table stays readable, yet a few thousand files already show some of each
/// kind.
impl Default for Shares {
    fn default() -> Shares {
        Shares { malicious: 4, suspicious: 6, known: 690 }
    }
}

/// Keeps these draws apart from any other use of SHA-256 over a digest. Changing it changes every verdict.
const SALT: &[u8] = b"hashsweep simulated verdict 1\0";

/// Fictional names in the service's form, platform, type and family; nobody should mistake one for a finding.
const MALICIOUS_NAMES: [&str; 6] = [
    "Win32.Trojan.Simulated",
    "Win64.Ransomware.Pretend",
    "Linux.Backdoor.Fictional",
    "Script-JS.Downloader.Makebelieve",
    "Document-Word.Trojan.Mockup",
    "Win32.Infostealer.Generic",
];
const SUSPICIOUS_NAMES: [&str; 4] = [
    "Win32.PUA.Placebo",
    "Win32.Adware.Rehearsal",
    "Script-PowerShell.Hacktool.Drill",
    "Android.PUA.Generic",
];

/// 2010-01-01 and 2026-01-31 in seconds since 1970: when the simulated service began and last looked.
const FIRST_LOOK: u64 = 14_610 * DAY;
const LAST_LOOK: u64 = 20_484 * DAY;

/// `None` when the hash falls to the share that the service has never seen.
pub(crate) fn sample(digest: &Digest, shares: Shares) -> Option<Sample> {
    let suspicious_from = shares.malicious;
    let known_from = suspicious_from.saturating_add(shares.suspicious);
    let unknown_from = known_from.saturating_add(shares.known);
    let draw = Draw::of(b"facts", digest);
    let share = draw.number(0) % 1000;
    let scanner_count = 40 + draw.below(4, 30);
    let (standing, threat_level, trust_factor, scanner_match) = if share < suspicious_from {
        let percent = u16::from(40 + draw.below(3, 56));
        let hits = u8::try_from(u16::from(scanner_count) * percent / 100).expect("a part of a u8 fits one");
        (Standing::Malicious { threat_name: draw.pick(1, &MALICIOUS_NAMES) }, 2 + draw.below(2, 4), 5, hits)
    } else if share < known_from {
        let threat_name = draw.pick(1, &SUSPICIOUS_NAMES);
        (Standing::Suspicious { threat_name }, 1 + draw.below(2, 3), 5, 1 + draw.below(3, 4))
    } else if share < unknown_from {
        (Standing::Known, 0, draw.below(5, 6), 0)
    } else {
        return None;
    };
    let first_seen = FIRST_LOOK + u64::from(draw.number(6)) % (LAST_LOOK - FIRST_LOOK);
    let last_seen = first_seen + u64::from(draw.number(7)) % (LAST_LOOK - first_seen);
    Some(Sample {
        digests: Kind::ALL.map(|kind| sibling(digest, kind)),
        standing,
        threat_level,
        trust_factor,
        scanner_match,
        scanner_count,
        first_seen: timestamp(first_seen),
        last_seen: timestamp(last_seen),
    })
}

/// A hash of the same kind that belongs to nothing, for answers that nobody asked for.
pub(crate) fn stranger(digest: &Digest) -> Digest {
    Digest::cut_from(digest.kind(), Draw::of(b"stranger", digest).0)
}

/// Orders hashes in a way that has nothing to do with the order of asking, nor with their own.
pub(crate) fn shuffled_rank(digest: &Digest) -> [u8; 32] {
    Draw::of(b"order", digest).0
}

/// The digest of another kind that the invented file is said to have; its own kind is left as it was asked.
fn sibling(digest: &Digest, kind: Kind) -> Digest {
    if kind == digest.kind() {
        *digest
    } else {
        Digest::cut_from(kind, Draw::of(kind.name().as_bytes(), digest).0)
    }
}

/// As many independent draws from a hash as anybody needs, for what is invented beyond the verdict.
pub(crate) struct Lot<'a> {
    purpose: &'static str,
    seed: &'a [u8],
}

impl<'a> Lot<'a> {
    pub(crate) fn of(purpose: &'static str, digest: &'a Digest) -> Lot<'a> {
        Lot { purpose, seed: digest.bytes() }
    }

    pub(crate) fn of_bytes(purpose: &'static str, seed: &'a [u8]) -> Lot<'a> {
        Lot { purpose, seed }
    }

    /// Thirty-two bytes that are the same for the same purpose, seed and slot.
    pub(crate) fn bytes(&self, slot: u8) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(SALT);
        hasher.update(self.purpose);
        hasher.update([0, slot]);
        hasher.update(self.seed);
        hasher.finalize().into()
    }

    pub(crate) fn number(&self, slot: u8) -> u64 {
        u64::from_le_bytes(self.bytes(slot)[..8].try_into().expect("eight bytes were taken"))
    }

    /// An index below `n`, which is not 0.
    pub(crate) fn pick(&self, slot: u8, n: usize) -> usize {
        usize::try_from(self.number(slot) % n as u64).expect("it is below a usize")
    }

    /// So many bytes in hex.
    pub(crate) fn hex(&self, slot: u8, n_bytes: usize) -> String {
        hex(&self.bytes(slot).into_iter().cycle().take(n_bytes).collect::<Vec<u8>>())
    }
}

/// Eight independent numbers out of a hash.
struct Draw([u8; 32]);

impl Draw {
    /// Draws for different purposes have nothing in common.
    fn of(purpose: &[u8], digest: &Digest) -> Draw {
        let mut hasher = Sha256::new();
        hasher.update(SALT);
        hasher.update(purpose);
        hasher.update(b"\0");
        hasher.update(digest.bytes());
        Draw(hasher.finalize().into())
    }

    fn number(&self, slot: usize) -> u32 {
        let bytes = self.0[slot * 4..][..4].try_into().expect("four bytes were taken");
        u32::from_le_bytes(bytes)
    }

    fn below(&self, slot: usize, bound: u8) -> u8 {
        u8::try_from(self.number(slot) % u32::from(bound)).expect("a remainder of a u8 fits one")
    }

    fn pick(&self, slot: usize, names: &[&str]) -> String {
        names[self.number(slot) as usize % names.len()].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    fn digest(n: u32, kind: Kind) -> Digest {
        Digest::cut_from(kind, Sha256::digest(n.to_le_bytes()).into())
    }

    #[test]
    fn shares_are_as_promised_for_every_kind() {
        const N: u32 = 20_000;
        for kind in Kind::ALL {
            let mut counts = [0_u32; 4];
            for n in 0..N {
                let slot = sample(&digest(n, kind), Shares::default())
                    .map_or(0, |sample| sample.standing.status() as usize);
                counts[slot] += 1;
            }
            let per_1000 = |status: Status| f64::from(counts[status as usize]) * 1000.0 / f64::from(N);
            let check = |status: Status, expected: f64, slack: f64| {
                let found = per_1000(status);
                assert!((found - expected).abs() < slack, "{kind:?} {status:?}: {found}");
            };
            // The slack is about four standard deviations of so many draws.
            check(Status::Malicious, 4.0, 1.8);
            check(Status::Suspicious, 6.0, 2.2);
            check(Status::Known, 690.0, 13.0);
            check(Status::Unknown, 300.0, 13.0);
        }
    }

    #[test]
    fn facts_fit_their_status() {
        for n in 0..20_000 {
            let asked = digest(n, Kind::Sha1);
            let Some(found) = sample(&asked, Shares::default()) else { continue };
            assert_eq!(sample(&asked, Shares::default()).as_ref(), Some(&found));
            assert_eq!(found.digests[1], asked);
            assert_eq!(found.digests.map(|digest| digest.kind()), Kind::ALL);
            assert!(found.scanner_match <= found.scanner_count);
            assert!(found.first_seen <= found.last_seen, "{found:?}");
            assert!(found.first_seen.as_str() >= "2010-01-01T00:00:00");
            assert!(found.last_seen.as_str() < "2026-01-31T00:00:00");
            match &found.standing {
                Standing::Known => {
                    assert_eq!((found.threat_level, found.scanner_match), (0, 0));
                    assert!(found.trust_factor <= 5);
                }
                Standing::Suspicious { threat_name } => {
                    assert!(SUSPICIOUS_NAMES.contains(&threat_name.as_str()));
                    assert!((1..=3).contains(&found.threat_level) && (1..=4).contains(&found.scanner_match));
                }
                Standing::Malicious { threat_name } => {
                    assert!(MALICIOUS_NAMES.contains(&threat_name.as_str()));
                    assert!((2..=5).contains(&found.threat_level));
                    assert!(u16::from(found.scanner_match) * 100 >= u16::from(found.scanner_count) * 38);
                }
            }
        }
    }

    /// A verdict that changes between versions would flip in everybody's stored cases.
    #[test]
    fn verdicts_do_not_change_between_versions() {
        let status = |n| {
            sample(&digest(n, Kind::Sha1), Shares::default())
                .map_or(Status::Unknown, |it| it.standing.status())
        };
        let first = |wanted| (0..1000).find(|&n| status(n) == wanted).unwrap();
        let firsts = [Status::Malicious, Status::Suspicious, Status::Known, Status::Unknown].map(first);
        assert_eq!(firsts, [23, 34, 0, 3]);
        let found = sample(&digest(23, Kind::Sha1), Shares::default()).unwrap();
        let name = "Win32.Infostealer.Generic".to_owned();
        assert_eq!(found.standing, Standing::Malicious { threat_name: name });
        assert_eq!(found.first_seen, "2016-08-25T16:52:49");
        assert_eq!(found.digests[0].to_string(), "f1840e0ab97b7b7342ee2f703c2853c3");
        assert_eq!((found.threat_level, found.scanner_match, found.scanner_count), (5, 29, 45));
    }

    #[test]
    fn other_shares_are_kept_too() {
        let count = |shares| (0..1000).filter_map(|n| sample(&digest(n, Kind::Md5), shares)).count();
        assert_eq!(count(Shares { malicious: 0, suspicious: 0, known: 0 }), 0);
        let all_bad = Shares { malicious: u32::MAX, suspicious: u32::MAX, known: u32::MAX };
        assert_eq!(count(all_bad), 1000);
        let bad = sample(&digest(1, Kind::Md5), all_bad).unwrap();
        assert_eq!(bad.standing.status(), Status::Malicious);
    }

    #[test]
    fn timestamps_follow_the_calendar() {
        let check = |unix_seconds, expected: &str| assert_eq!(timestamp(unix_seconds), expected);
        check(0, "1970-01-01T00:00:00");
        check(FIRST_LOOK, "2010-01-01T00:00:00");
        check(951_782_399, "2000-02-28T23:59:59");
        check(951_782_400, "2000-02-29T00:00:00");
        check(951_868_800, "2000-03-01T00:00:00");
        check(1_735_689_599, "2024-12-31T23:59:59");
        check(LAST_LOOK, "2026-01-31T00:00:00");
    }
}
