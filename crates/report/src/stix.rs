//! STIX 2.1: what was found, as threat intelligence platforms take it in.
//!
//! ```text
//!  indicator ◄── sighting ──► observed-data ──► file ──► directory
//!  (a digest)    (how often)   (in this sweep)   (each place)
//! ```
//!
//! Every identifier is computed from what the object says, so the same sweep gives the same bundle, and the same
//! file the same `file` object as anybody else's tool gives it. Findings are held in memory until the end, because
//! the sighting of a digest counts all its places.

use crate::columns::ListNames;
use crate::jsonl::to_text;
use crate::{Record, SIMULATED, safe};
use hashsweep_model::{Digest, Digests, HashKind, Place, Row, Settled, Stamp, Verdict};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Of cyber-observable objects; the standard's own, so that two tools name one file alike.
const OBSERVABLE: [u8; 16] = uuid(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);

/// Of everything else that hashsweep names; drawn at random once.
const OURS: [u8; 16] = uuid(0x6c1f_0d3e_58a7_4b92_9d40_2e7b_b1c6_8a55);

/// The limit of the standard for counts.
const MAX_COUNT: usize = 999_999_999;

/// A bundle being made.
pub struct Stix {
    names: ListNames,
    findings: BTreeMap<Digest, Finding>,
}

/// One content that was found, with its places in the order of the rows.
struct Finding {
    settled: Settled,
    digests: BTreeSet<Digest>,
    places: Vec<Found>,
}

struct Found {
    place: Vec<u8>,
    is_file: bool,
    size: Option<u64>,
    digests: Digests,
    modified_ns: Option<i64>,
    born_ns: Option<i64>,
}

impl Stix {
    /// Of no findings yet. Rows of lists are called by these names.
    pub fn new(names: ListNames) -> Stix {
        Stix { names, findings: BTreeMap::new() }
    }

    /// Takes a row in, if it is a finding.
    pub fn add(&mut self, row: &Row) {
        let Some(settled) =
            row.answer.as_ref().filter(|settled| settled.answer.verdict >= Verdict::Suspicious)
        else {
            return;
        };
        let digest = settled.answer.digest;
        let finding = self.findings.entry(digest).or_insert_with(|| Finding {
            settled: settled.clone(),
            digests: BTreeSet::from([digest]),
            places: Vec::new(),
        });
        finding.digests.extend(row.digests.iter());
        finding.places.push(Found {
            place: self.names.path(row).into_owned(),
            is_file: matches!(row.place, Place::Path(_)),
            size: row.size,
            digests: row.digests.with(digest),
            modified_ns: row.dates.modified_ns,
            born_ns: row.dates.born_ns,
        });
    }

    /// Writes the bundle, an object a line.
    pub fn write(self, out: &mut impl Write, record: &Record) -> io::Result<()> {
        let sweep = format!(
            "{}|{}|{}|{}",
            record.command,
            record.sweep,
            record.started_at.0,
            record.roots.iter().map(|root| safe::unquoted(root)).collect::<Vec<_>>().join("|")
        );
        write!(out, "{{\"type\":\"bundle\",\"id\":\"{}\",\"objects\":[", id("bundle", &OURS, &sweep))?;
        write!(out, "\n{}", to_text(&tool()))?;
        let mut scene = Scene { out, record, sweep, written: HashSet::new() };
        for (digest, finding) in &self.findings {
            scene.finding(digest, finding)?;
        }
        scene.out.write_all(b"\n]}\n")?;
        scene.out.flush()
    }
}

/// What the objects of one bundle have in common.
struct Scene<'a, W: Write> {
    out: &'a mut W,
    record: &'a Record,
    /// Names the sweep in identifiers.
    sweep: String,
    /// Observables that stand there already; the same file may be found below two roots.
    written: HashSet<String>,
}

impl<W: Write> Scene<'_, W> {
    fn finding(&mut self, digest: &Digest, finding: &Finding) -> io::Result<()> {
        let indicator = self.indicator(digest, finding)?;
        let files =
            finding.places.iter().map(|found| self.file(found)).collect::<io::Result<BTreeSet<_>>>()?;
        let (began, ended) = (self.record.started_at, self.record.ended_at());
        // A clock that was set back in between must not make the bundle unreadable.
        let (first, last) = (moment(began), moment(ended.map_or(began, |ended| ended.max(began))));
        let count = finding.places.len().min(MAX_COUNT);
        let name = format!("{}|{indicator}|{last}", self.sweep);
        let observed = id("observed-data", &OURS, &name);
        let data = json!({
            "type": "observed-data", "spec_version": "2.1", "id": observed,
            "created_by_ref": id("identity", &OURS, "hashsweep"),
            "created": last, "modified": last, "first_observed": first, "last_observed": last,
            "number_observed": count, "object_refs": files,
        });
        self.push(data)?;
        let sighting = json!({
            "type": "sighting", "spec_version": "2.1", "id": id("sighting", &OURS, &name),
            "created_by_ref": id("identity", &OURS, "hashsweep"),
            "created": last, "modified": last, "first_seen": first, "last_seen": last,
            "count": count, "sighting_of_ref": indicator, "observed_data_refs": [observed],
            "description": places(&finding.places),
        });
        self.push(sighting)
    }

    /// An answer is an indicator: another answer about the same digest is another.
    fn indicator(&mut self, digest: &Digest, finding: &Finding) -> io::Result<String> {
        let Settled { answer, answered_at, source } = &finding.settled;
        let at = moment(*answered_at);
        let tests: Vec<String> = finding
            .digests
            .iter()
            .map(|digest| format!("file:hashes.'{}' = '{digest}'", hash_name(digest.kind())))
            .collect();
        let pattern = format!("[{}]", tests.join(" OR "));
        let threat = answer.threat_name.as_deref().map(|threat| safe::terminal(threat.as_bytes()));
        let name = format!("{source}|{at}|{}|{}|{pattern}", answer.verdict, threat.as_deref().unwrap_or(""));
        let id = id("indicator", &OURS, &name);
        let (kind, words) = if answer.verdict == Verdict::Malicious {
            ("malicious-activity", "malicious")
        } else {
            ("anomalous-activity", "suspicious")
        };
        let mut title = threat.unwrap_or_else(|| format!("{words} file {digest}"));
        let mut description = format!("The {source} calls this content {words}.");
        if let Some(level) = answer.threat_level {
            write!(description, " Threat level {level} of 5.").expect("a String takes every text");
        }
        if let (Some(hits), Some(engines)) = (answer.scanner_match, answer.scanner_count) {
            write!(description, " {hits} of {engines} engines.").expect("a String takes every text");
        }
        if self.record.simulated {
            title = format!("SIMULATED: {title}");
            description = format!("{description} {SIMULATED}.");
        }
        let mut indicator = json!({
            "type": "indicator", "spec_version": "2.1", "id": id,
            "created_by_ref": self::id("identity", &OURS, "hashsweep"),
            "created": at, "modified": at, "valid_from": at,
            "name": title, "description": description, "indicator_types": [kind],
            "pattern": pattern, "pattern_type": "stix",
        });
        if self.record.simulated {
            indicator["labels"] = json!(["simulated"]);
        }
        self.push(indicator)?;
        Ok(id)
    }

    /// A file in its directory; for a row of a list, a content that lies nobody knows where.
    fn file(&mut self, found: &Found) -> io::Result<String> {
        let mut hashes = Map::new();
        for digest in found.digests.iter() {
            hashes.insert(hash_name(digest.kind()).to_owned(), digest.to_string().into());
        }
        // Of several hashes the standard lets the first of this order name the file.
        let naming = ["MD5", "SHA-1", "SHA-256"].into_iter().find_map(|name| hashes.get_key_value(name));
        let mut named = json!({ "hashes": naming.map(|(name, hash)| json!({ name: hash })) });
        if found.is_file {
            let slash = found.place.iter().rposition(|byte| *byte == b'/');
            let (directory, name) = match slash {
                Some(0) => (Some(&b"/"[..]), &found.place[1..]),
                Some(at) => (Some(&found.place[..at]), &found.place[at + 1..]),
                None => (None, &found.place[..]),
            };
            if !name.is_empty() {
                named["name"] = safe::text(name).into();
            }
            if let Some(directory) = directory {
                named["parent_directory_ref"] = self.directory(directory)?.into();
            }
        }
        let id = id("file", &OBSERVABLE, &canonical(&named));
        let mut file = named;
        file["hashes"] = hashes.into();
        for (key, value) in [
            ("type", Some("file".into())),
            ("spec_version", Some("2.1".into())),
            ("id", Some(id.as_str().into())),
            ("size", found.size.map(Value::from)),
            ("mtime", found.modified_ns.and_then(moment_ns).map(Value::from)),
            ("ctime", found.born_ns.and_then(moment_ns).map(Value::from)),
        ] {
            if let Some(value) = value {
                file[key] = value;
            }
        }
        self.push_once(&id, file)?;
        Ok(id)
    }

    fn directory(&mut self, path: &[u8]) -> io::Result<String> {
        let path = safe::text(path);
        let id = id("directory", &OBSERVABLE, &canonical(&json!({ "path": path })));
        self.push_once(&id, json!({ "type": "directory", "spec_version": "2.1", "id": id, "path": path }))?;
        Ok(id)
    }

    fn push_once(&mut self, id: &str, object: Value) -> io::Result<()> {
        if self.written.insert(id.to_owned()) { self.push(object) } else { Ok(()) }
    }

    fn push(&mut self, object: Value) -> io::Result<()> {
        write!(self.out, ",\n{}", to_text(&object))
    }
}

/// Who says so. The same in every bundle, so nothing in it may change.
fn tool() -> Value {
    json!({
        "type": "identity", "spec_version": "2.1", "id": id("identity", &OURS, "hashsweep"),
        "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z",
        "name": "hashsweep", "identity_class": "system",
    })
}

/// The first places, in one line.
fn places(all: &[Found]) -> String {
    const MAX_NAMED: usize = 10;
    let named: Vec<String> = all.iter().take(MAX_NAMED).map(|found| safe::terminal(&found.place)).collect();
    let more = all.len() - named.len();
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{and_more}", named.join(", "))
}

fn hash_name(kind: HashKind) -> &'static str {
    match kind {
        HashKind::Md5 => "MD5",
        HashKind::Sha1 => "SHA-1",
        HashKind::Sha256 => "SHA-256",
    }
}

/// Whole milliseconds, always three digits of them. A stamp beyond the calendar can only come from a damaged case.
fn moment(stamp: Stamp) -> String {
    let at = Timestamp::from_millisecond(stamp.0).unwrap_or(Timestamp::MAX);
    format!("{at:.3}")
}

fn moment_ns(ns: i64) -> Option<String> {
    // The standard has no year before 1; no file system has one either.
    Timestamp::from_nanosecond(ns.into()).ok().map(|at| format!("{at:.3}"))
}

/// RFC 8785 for what stands in identifiers: objects of texts with ASCII names, which `serde_json` keeps in order.
fn canonical(value: &Value) -> String {
    value.to_string()
}

/// `TYPE--` and the UUID, version 5, of a name.
fn id(object_type: &str, namespace: &[u8; 16], name: &str) -> String {
    // Observables are named by their properties alone; our own objects of two types may not share a name.
    let mut hasher = Sha1::new_with_prefix(namespace);
    if namespace == &OURS {
        hasher.update(object_type);
        hasher.update(":");
    }
    hasher.update(name);
    let digest = hasher.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x50;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let n = u128::from_be_bytes(bytes);
    format!(
        "{object_type}--{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        n >> 80 & 0xFFFF,
        n >> 64 & 0xFFFF,
        n >> 48 & 0xFFFF,
        n & 0xFFFF_FFFF_FFFF
    )
}

const fn uuid(number: u128) -> [u8; 16] {
    number.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python's `uuid.uuid5` gives it.
    #[test]
    fn a_file_has_the_name_that_others_give_it() {
        let named =
            canonical(&json!({ "name": "a\"é", "hashes": { "MD5": "d41d8cd98f00b204e9800998ecf8427e" } }));
        assert_eq!(named, "{\"hashes\":{\"MD5\":\"d41d8cd98f00b204e9800998ecf8427e\"},\"name\":\"a\\\"é\"}");
        assert_eq!(id("file", &OBSERVABLE, &named), "file--525a51b1-3786-5250-b2f1-0d2e45120f2e");
    }
}
