//! File reputation, the vendor's TCA-0101 "malware presence": reading a question and composing its answer.
//!
//! It does not know who asks, how often they may, or what it costs them in a day. Requests are read here and
//! nowhere else, so the meter counts exactly the hashes that the answer is about.
//!
//! Every answer is JSON. The real single query answers XML unless `format=json` is given; this one ignores
//! `format`, and the XML form of the bulk query is not there yet, so its path is unknown.

use crate::{
    ChargeMode, InvalidMode, Status, UnknownMode, World,
    digest::{Digest, Kind},
    entry::{Detail, Entry},
    exchange::{Body, Request, Response},
    fault::Fault,
    invented,
    refusal::Refusal,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

const BULK_PATH: &str = "/api/databrowser/malware_presence/bulk_query/json";
const SINGLE_PATH: &str = "/api/databrowser/malware_presence/query/";

/// The vendor's ceiling on hashes in one bulk request.
const MAX_HASHES: usize = 100;

/// A question that can be answered.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) form: Form,
    /// Well-formed hashes in the order of asking, repeats included.
    pub(crate) asked: Vec<Asked>,
    /// What stood among the hashes and is none of that kind.
    pub(crate) malformed: Vec<String>,
    detail: Detail,
}

/// By which of the two doors a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bulk,
    Single,
}

/// One hash in the letters in which it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    text: String,
    pub(crate) digest: Digest,
}

/// What there is to say to a question, before it is written down.
pub(crate) struct Finding {
    entries: Vec<Entry>,
    unknown: Vec<String>,
    invalid: Vec<String>,
    form: Form,
    /// What it costs.
    pub(crate) units: u64,
    /// For [`Fault::ExtraEntry`].
    first_asked: Option<Digest>,
}

/// Which door a path names, if any.
pub(crate) fn door(path: &str) -> Option<Form> {
    match path.strip_prefix(SINGLE_PATH).map(|rest| rest.split('/').collect::<Vec<_>>()).as_deref() {
        Some([kind, hash]) if Kind::parse(kind).is_some() && !hash.is_empty() => Some(Form::Single),
        _ => (path == BULK_PATH).then_some(Form::Bulk),
    }
}

impl Form {
    /// The one method that the door opens to.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Form::Bulk => "POST",
            Form::Single => "GET",
        }
    }
}

impl Question {
    /// Reads a request that has come through this door. More than 100 hashes are read too, because the meter wants
    /// to know how many there were; [`Question::check`] refuses them.
    pub(crate) fn read(form: Form, request: &Request) -> Result<Question, Refusal> {
        let detail = Detail {
            extended: flag(request, "extended")?,
            show_hashes: flag(request, "show_hashes")?,
            null_fields: false,
        };
        let (kind, hashes) = match form {
            Form::Bulk => bulk_hashes(request)?,
            Form::Single => single_hash(request)?,
        };
        let mut question = Question { form, asked: Vec::new(), malformed: Vec::new(), detail };
        for text in hashes {
            match Digest::parse(kind, &text) {
                Some(digest) => question.asked.push(Asked { text, digest }),
                None => question.malformed.push(text),
            }
        }
        Ok(question)
    }

    /// Everything that stood in the list, well-formed or not.
    pub(crate) fn n_hashes(&self) -> usize {
        self.asked.len() + self.malformed.len()
    }

    /// Composes the answer of this world, or the refusal.
    pub(crate) fn answer(&self, world: &World) -> Result<Finding, Refusal> {
        self.check(world)?;
        let mut finding = Finding {
            entries: Vec::new(),
            unknown: Vec::new(),
            invalid: Vec::new(),
            form: self.form,
            units: 0,
            first_asked: self.asked.first().map(|asked| asked.digest),
        };
        let detail = Detail { null_fields: world.null_fields, ..self.detail };
        let mut n_found = 0_u64;
        for asked in self.distinct(world.shuffle) {
            let sample = world.verdicts.sample(&asked.digest);
            let entry = || Entry::new(&asked.text, &asked.digest, sample.as_deref(), detail);
            n_found += u64::from(sample.is_some());
            match world.unknown_mode {
                _ if sample.is_some() => finding.entries.push(entry()),
                UnknownMode::Entry => finding.entries.push(entry()),
                UnknownMode::List if self.form == Form::Single => finding.entries.push(entry()),
                UnknownMode::List => finding.unknown.push(asked.text.clone()),
                UnknownMode::Omit | UnknownMode::Http404IfAll => {}
            }
        }
        let not_found_is_404 = match self.form {
            Form::Single => true,
            Form::Bulk => world.unknown_mode == UnknownMode::Http404IfAll && !self.asked.is_empty(),
        };
        if finding.entries.is_empty() && not_found_is_404 {
            return Err(Refusal::NotFound);
        }
        if world.invalid_mode == InvalidMode::List {
            finding.invalid.clone_from(&self.malformed);
        }
        finding.units = match world.charge_mode {
            ChargeMode::Sent => self.asked.len() as u64,
            ChargeMode::ReturnedAll => finding.entries.len() as u64,
            ChargeMode::ReturnedFound => n_found,
        };
        Ok(finding)
    }

    fn check(&self, world: &World) -> Result<(), Refusal> {
        let some_malformed = !self.malformed.is_empty();
        if self.n_hashes() > MAX_HASHES {
            Err(Refusal::TooLarge)
        } else if self.n_hashes() == 0 {
            Err(Refusal::BadRequest("there are no hashes in the query"))
        } else if some_malformed && (self.form == Form::Single || world.invalid_mode == InvalidMode::Http400)
        {
            Err(Refusal::BadRequest("a hash in the query is malformed"))
        } else {
            Ok(())
        }
    }

    /// A hash that was sent twice is answered once, in the letters in which it came first.
    fn distinct(&self, shuffle: bool) -> Vec<&Asked> {
        let mut seen = HashSet::with_capacity(self.asked.len());
        let mut distinct: Vec<&Asked> = self.asked.iter().filter(|asked| seen.insert(asked.digest)).collect();
        if shuffle {
            distinct.sort_by_cached_key(|asked| invented::shuffled_rank(&asked.digest));
        }
        distinct
    }
}

impl Finding {
    /// How many entries the answer holds.
    pub(crate) fn n_entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Does to the list of entries what the script says; other faults are not about the list.
    pub(crate) fn spoil(&mut self, fault: &Fault) {
        match (fault, self.form) {
            (Fault::ExtraEntry, Form::Bulk) => {
                // Malicious, because that is what a client would regret most to believe.
                let stranger = self.first_asked.as_ref().map(invented::stranger);
                self.entries.extend(
                    stranger.map(|digest| Entry::bare(&digest.to_string(), &digest, Status::Malicious)),
                );
            }
            (Fault::DoubledEntry, Form::Bulk) => self.entries.extend_from_within(..self.entries.len().min(1)),
            (Fault::OmitHashes(n), Form::Bulk) => {
                let n_entries = (*n).min(self.entries.len());
                self.entries.drain(..n_entries);
                // In list mode the unknown hashes are part of the answer too.
                let n_listed = (n - n_entries).min(self.unknown.len());
                self.unknown.drain(..n_listed);
            }
            _ => {}
        }
    }

    /// Writes the answer down.
    pub(crate) fn response(&self) -> Response {
        match (self.form, self.entries.as_slice()) {
            (Form::Single, [entry, ..]) => {
                Response::json(200, &Rl { rl: SingleAnswer { malware_presence: entry } })
            }
            _ => Response::json(
                200,
                &Rl {
                    rl: BulkAnswer {
                        entries: &self.entries,
                        unknown_hashes: &self.unknown,
                        invalid_hashes: &self.invalid,
                    },
                },
            ),
        }
    }
}

/// The object around everything, in both directions.
#[derive(Serialize, Deserialize)]
struct Rl<T> {
    rl: T,
}

#[derive(Deserialize)]
struct BulkRequest {
    query: BulkQuery,
}

#[derive(Deserialize)]
struct BulkQuery {
    hash_type: String,
    hashes: Vec<String>,
}

#[derive(Serialize)]
struct SingleAnswer<'a> {
    malware_presence: &'a Entry,
}

#[derive(Serialize)]
struct BulkAnswer<'a> {
    entries: &'a [Entry],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    unknown_hashes: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    invalid_hashes: &'a [String],
}

fn bulk_hashes(request: &Request) -> Result<(Kind, Vec<String>), Refusal> {
    check_content_type(request)?;
    let body = match &request.body {
        Body::TooLong => return Err(Refusal::TooLarge),
        Body::Whole(body) => body,
    };
    if !body.is_ascii() {
        return Err(Refusal::BadRequest("the body is not ASCII"));
    }
    let Ok(Rl { rl: BulkRequest { query } }) = serde_json::from_slice(body) else {
        return Err(Refusal::BadRequest("the body is not a bulk query in JSON"));
    };
    let Some(kind) = Kind::parse(&query.hash_type) else {
        return Err(Refusal::BadRequest("hash_type is not md5, sha1 or sha256"));
    };
    Ok((kind, query.hashes))
}

/// The documents want octet-stream, the vendor's own SDK sends JSON, and both work; so does saying nothing.
fn check_content_type(request: &Request) -> Result<(), Refusal> {
    let Some(value) = request.header("content-type") else { return Ok(()) };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "application/octet-stream" => Ok(()),
        _ => Err(Refusal::BadRequest("the content type is neither JSON nor octet-stream")),
    }
}

fn single_hash(request: &Request) -> Result<(Kind, Vec<String>), Refusal> {
    let rest = request.path.strip_prefix(SINGLE_PATH).and_then(|rest| rest.split_once('/'));
    let (kind, hash) = rest.ok_or(Refusal::NotFound)?;
    Ok((Kind::parse(kind).ok_or(Refusal::NotFound)?, vec![hash.to_owned()]))
}

/// Letter case is free, because the vendor's own connectors write `True`. Anything else is refused, so that a
/// client's misspelling is noticed.
fn flag(request: &Request, name: &str) -> Result<bool, Refusal> {
    match request.parameter(name) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(_) => Err(Refusal::BadRequest("a parameter is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_the_two_paths_and_nothing_near_them() {
        let sha1 = "00".repeat(20);
        assert_eq!(door(BULK_PATH), Some(Form::Bulk));
        for kind in ["md5", "sha1", "sha256"] {
            assert_eq!(door(&format!("{SINGLE_PATH}{kind}/{sha1}")), Some(Form::Single));
        }
        for path in [
            "",
            "/",
            "/api/databrowser/malware_presence/bulk_query/json/",
            "/api/databrowser/malware_presence/bulk_query",
            "/api/databrowser/malware_presence/query/sha1",
            "/api/databrowser/malware_presence/query/sha1/",
            "/api/databrowser/malware_presence/query/SHA1/00",
            "/api/databrowser/malware_presence/query/crc32/00",
            "/api/databrowser/malware_presence/query/sha1/00/11",
        ] {
            assert_eq!(door(path), None, "{path}");
        }
    }

    #[test]
    fn a_request_is_read_or_refused() {
        let check = |request: Request, expected: Result<(usize, usize), &'static str>| {
            let read = Question::read(Form::Bulk, &request);
            match (read, expected) {
                (Ok(question), Ok(counts)) => {
                    assert_eq!((question.asked.len(), question.malformed.len()), counts, "{request:?}");
                }
                (Err(Refusal::BadRequest(reason)), Err(part)) => {
                    assert!(reason.contains(part), "{request:?}: {reason}");
                }
                (found, _) => panic!("{request:?}: {found:?}"),
            }
        };
        let sha1 = "0a".repeat(20);
        let good = format!(r#"{{ "rl" : {{"query":{{"hash_type":"sha1","hashes":["{sha1}", "zz", ""]}}}}}}"#);
        let post = |body: &str| Request::post(BULK_PATH, body);
        let typed = |content_type: &str| post(&good).with_header("Content-Type", content_type);

        check(post(&good), Ok((1, 2)));
        check(typed("application/json"), Ok((1, 2)));
        check(typed("Application/JSON; charset=utf-8"), Ok((1, 2)));
        check(typed("application/octet-stream"), Ok((1, 2)));
        check(typed("application/x-www-form-urlencoded"), Err("content type"));
        check(post(&good.replace("\"sha1\"", "\"md5\"")), Ok((0, 3)));
        check(post(&good.replace("\"sha1\"", "\"SHA1\"")), Err("hash_type"));
        check(post(&good.replace("\"sha1\"", "\"crc32\"")), Err("hash_type"));
        check(post(&good.replace("\"zz\"", "7")), Err("not a bulk query"));
        check(post(&good.replace("hashes", "hash")), Err("not a bulk query"));
        check(post(&good.replace("query", "queries")), Err("not a bulk query"));
        check(post(&good.replace("zz", "é")), Err("not ASCII"));
        check(post(&good[1..]), Err("not a bulk query"));
        check(post("[]"), Err("not a bulk query"));
        check(post("null"), Err("not a bulk query"));
        check(post(""), Err("not a bulk query"));
        check(post(&"[".repeat(100_000)), Err("not a bulk query"));
    }

    #[test]
    fn flags_are_read_in_any_case() {
        let check = |query: &str, expected: Option<bool>| {
            let request = Request::get(&format!("/?{query}"));
            assert_eq!(flag(&request, "extended").ok(), expected, "{query}");
        };
        check("", Some(false));
        check("extended=true", Some(true));
        check("format=json&extended=True", Some(true));
        check("extended=TRUE&show_hashes=false", Some(true));
        check("extended=FALSE", Some(false));
        check("Extended=true", Some(false));
        check("extended", None);
        check("extended=", None);
        check("extended=1", None);
    }
}
