//! What the simulated service knows about which hash: a fixture list first, and facts drawn from the hash itself
//! for all the rest.
//!
//! It is a pure function: no file, no network, no memory of earlier questions. It does not know how an answer is
//! written.

use crate::{
    digest::Digest,
    invented::{self, Shares},
    list::{self, VerdictListError},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// The demonstration list, compiled in so that the simulator needs no file at run time.
const DEMO_LIST: &str = include_str!("../../../fixtures/demo-verdicts.csv");

/// Maps every hash of every kind to what the service knows of it.
///
/// The price of needing no database is that the three digests of one file get unrelated verdicts, and that the
/// two digests which `show_hashes` adds are made up, unless the fixture list names the file. Ask about one kind
/// only, or list the file.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// `None` is a hash that the list declares UNKNOWN.
    listed: HashMap<Digest, Option<Arc<Sample>>>,
    shares: Shares,
}

/// The four statuses of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Has no established reputation.
    Unknown,
    /// Seen and not found harmful; not the same as clean.
    Known,
    /// Perhaps harmful.
    Suspicious,
    /// Harmful.
    Malicious,
}

/// What the service knows about a file that it has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// In the order of [`Kind::ALL`](crate::digest::Kind::ALL).
    pub(crate) digests: [Digest; 3],
    pub(crate) standing: Standing,
    pub(crate) threat_level: u8,
    pub(crate) trust_factor: u8,
    /// At most `scanner_count`.
    pub(crate) scanner_match: u8,
    pub(crate) scanner_count: u8,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
}

/// The status of a file that has been seen, with the name that only some of them have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Known,
    Suspicious { threat_name: String },
    Malicious { threat_name: String },
}

impl Verdicts {
    /// The list that goes with the files under `fixtures/demo`; hashes outside it are drawn as ever.
    pub fn demo() -> Verdicts {
        Verdicts::from_csv(DEMO_LIST).expect("a test reads the compiled-in list")
    }

    /// Reads a fixture list: a header line and then one file a line, with the columns
    /// `md5,sha1,sha256,status,threat_name,threat_level,trust_factor,scanner_match,scanner_count,first_seen,last_seen`.
    /// Values hold neither commas nor quotes. All three digests are required, and of an UNKNOWN file nothing else.
    pub fn from_csv(text: &str) -> Result<Verdicts, VerdictListError> {
        let mut listed = HashMap::new();
        for line in list::parse(text)? {
            let sample = line.sample.map(Arc::new);
            for digest in line.digests {
                if listed.insert(digest, sample.clone()).is_some() {
                    return Err(VerdictListError::new(line.number, format!("{digest} is listed twice")));
                }
            }
        }
        Ok(Verdicts { listed, shares: Shares::default() })
    }

    /// The same list, with other shares for the hashes that are not in it.
    #[must_use]
    pub fn with_shares(self, shares: Shares) -> Verdicts {
        Verdicts { shares, ..self }
    }

    /// The status that the service gives this hash; `None` when the text is no hash of the three kinds.
    pub fn status_of(&self, hash: &str) -> Option<Status> {
        let digest = Digest::parse_any(hash)?;
        Some(self.sample(&digest).map_or(Status::Unknown, |sample| sample.standing.status()))
    }

    /// The digests of the listed malicious files, in an order that does not change.
    pub(crate) fn listed_malicious(&self) -> Vec<[Digest; 3]> {
        let samples = self.listed.values().flatten();
        let bad = samples.filter(|sample| sample.standing.status() == Status::Malicious);
        bad.map(|sample| sample.digests).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// `None` when the service has never seen it.
    pub(crate) fn sample(&self, digest: &Digest) -> Option<Arc<Sample>> {
        match self.listed.get(digest) {
            Some(listed) => listed.clone(),
            None => invented::sample(digest, self.shares).map(Arc::new),
        }
    }
}

impl Status {
    /// As the service spells it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Unknown => "UNKNOWN",
            Status::Known => "KNOWN",
            Status::Suspicious => "SUSPICIOUS",
            Status::Malicious => "MALICIOUS",
        }
    }
}

impl Standing {
    pub(crate) fn status(&self) -> Status {
        match self {
            Standing::Known => Status::Known,
            Standing::Suspicious { .. } => Status::Suspicious,
            Standing::Malicious { .. } => Status::Malicious,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Kind;
    use md5::Md5;
    use sha1::Sha1;
    use sha2::{Digest as _, Sha256};
    use std::{fs, path::Path};

    fn digest(kind: Kind, bytes: &[u8]) -> Digest {
        let mut padded = [0; 32];
        padded[..bytes.len()].copy_from_slice(bytes);
        Digest::cut_from(kind, padded)
    }

    fn files_under(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files_under(&path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn the_demo_list_names_exactly_the_demo_files() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo");
        let mut paths = Vec::new();
        files_under(&demo, &mut paths);
        assert!((12..=16).contains(&paths.len()), "{paths:?}");

        let verdicts = Verdicts::demo();
        let mut on_disk = BTreeSet::new();
        let mut statuses = Vec::new();
        let mut n_empty = 0;
        for path in &paths {
            let content = fs::read(path).unwrap();
            if content.is_empty() {
                n_empty += 1;
                continue;
            }
            let of_file = [
                digest(Kind::Md5, &Md5::digest(&content)),
                digest(Kind::Sha1, &Sha1::digest(&content)),
                digest(Kind::Sha256, &Sha256::digest(&content)),
            ];
            for digest in of_file {
                assert!(verdicts.listed.contains_key(&digest), "{} is not listed: {digest}", path.display());
                on_disk.insert(digest);
            }
            statuses.push(verdicts.status_of(&of_file[1].to_string()).unwrap());
        }
        let stale: Vec<_> = verdicts.listed.keys().filter(|digest| !on_disk.contains(digest)).collect();
        assert!(stale.is_empty(), "no demo file has these any more: {stale:?}");

        let count = |status| statuses.iter().filter(|&&known| known == status).count();
        assert_eq!((count(Status::Malicious), count(Status::Suspicious), n_empty), (3, 2, 1));
        assert!(count(Status::Known) >= 3 && count(Status::Unknown) >= 3, "{statuses:?}");
        // One malicious file lies there under two names, so there are as many hashes as files less one.
        assert_eq!(on_disk.len(), 3 * (statuses.len() - 1));
    }

    #[test]
    fn the_three_digests_of_a_listed_file_agree() {
        let verdicts = Verdicts::demo();
        for sample in verdicts.listed.values().flatten() {
            for digest in &sample.digests {
                assert_eq!(verdicts.sample(digest).as_ref(), Some(sample));
            }
        }
    }

    #[test]
    fn a_hash_listed_twice_is_refused() {
        let (header, rest) = DEMO_LIST.split_once('\n').unwrap();
        let line = rest.lines().next().unwrap();
        let error = Verdicts::from_csv(&format!("{header}\n{line}\n{line}\n")).unwrap_err();
        assert_eq!(error.line(), 3);
        assert!(error.to_string().ends_with("is listed twice"), "{error}");
    }

    #[test]
    fn what_is_not_a_hash_has_no_status() {
        assert_eq!(Verdicts::default().status_of("not a hash"), None);
    }
}
