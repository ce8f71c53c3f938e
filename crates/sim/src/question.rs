//! A question about hashes, as it is read from a path or from a body.
//!
//! It does not know who asks or what there is to answer. Requests are read here and nowhere else, so the meter counts
//! exactly the hashes that the answer is about.

use crate::{
    World,
    digest::{Digest, Kind},
    door::{Form, Service},
    entry::Detail,
    exchange::{Body, Format, Request},
    refusal::Refusal,
    tree::Tree,
    world::Uppercase,
    xml,
};
use serde::Deserialize;

/// A question that can be answered.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) service: Service,
    pub(crate) form: Form,
    /// In which form the answer is wanted.
    pub(crate) format: Format,
    /// Well-formed hashes in the order of asking, repeats included.
    pub(crate) asked: Vec<Asked>,
    /// What stood among the hashes and is none of that kind.
    pub(crate) malformed: Vec<Malformed>,
    pub(crate) detail: Detail,
}

/// One hash in the letters in which it was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) digest: Digest,
    /// Its place in the list, counted from 0.
    pub(crate) place: usize,
}

/// What was sent instead of a hash.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) text: String,
    /// Its place in the list, counted from 0.
    pub(crate) place: usize,
}

impl Question {
    /// Reads a request. More than 100 hashes are read too, because the meter wants to know how many there were.
    pub(crate) fn read(
        service: Service,
        form: Form,
        request: &Request,
        world: &World,
    ) -> Result<Question, Refusal> {
        let detail = Detail {
            extended: flag(request, "extended")?,
            show_hashes: flag(request, "show_hashes")?,
            null_fields: world.null_fields,
        };
        let (format, kind, hashes) = match form {
            Form::Bulk(format) => {
                let (kind, hashes) = bulk_hashes(format, request)?;
                (format, kind, hashes)
            }
            Form::Single => {
                let (kind, hashes) = single_hash(request)?;
                (wanted_format(request)?, kind, hashes)
            }
        };
        if service == Service::Quickstart && kind != Kind::Sha1 {
            return Err(Refusal::BadRequest("the path is for sha1"));
        }
        let mut question =
            Question { service, form, format, asked: Vec::new(), malformed: Vec::new(), detail };
        for (place, text) in hashes.into_iter().enumerate() {
            let is_foreign =
                world.uppercase == Uppercase::Invalid && text.bytes().any(|byte| byte.is_ascii_uppercase());
            let is_disliked = world.disliked.contains(&text.to_ascii_lowercase());
            match Digest::parse(kind, &text).filter(|_| !is_foreign && !is_disliked) {
                Some(digest) => question.asked.push(Asked { text, digest, place }),
                None => question.malformed.push(Malformed { text, place }),
            }
        }
        Ok(question)
    }

    /// Everything that stood in the list, well-formed or not.
    pub(crate) fn n_hashes(&self) -> usize {
        self.asked.len() + self.malformed.len()
    }

    pub(crate) fn is_single(&self) -> bool {
        self.form == Form::Single
    }
}

/// A GET is answered in XML unless it asks for JSON; a documented surprise.
pub(crate) fn wanted_format(request: &Request) -> Result<Format, Refusal> {
    match request.parameter("format").as_deref() {
        None | Some("xml") => Ok(Format::Xml),
        Some("json") => Ok(Format::Json),
        Some(_) => Err(Refusal::BadRequest("the format is neither json nor xml")),
    }
}

#[derive(Deserialize)]
struct BulkRequest {
    rl: BulkAsk,
}

#[derive(Deserialize)]
struct BulkAsk {
    query: BulkQuery,
}

#[derive(Deserialize)]
struct BulkQuery {
    hash_type: String,
    hashes: Vec<String>,
}

const NOT_A_QUERY: Refusal = Refusal::BadRequest("the body is not a bulk query");

fn bulk_hashes(format: Format, request: &Request) -> Result<(Kind, Vec<String>), Refusal> {
    check_content_type(format, request)?;
    let bytes = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLong => return Err(Refusal::TooLarge),
    };
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
    let text = text.ok_or(Refusal::BadRequest("the body is not ASCII"))?;
    let BulkQuery { hash_type, hashes } = match format {
        Format::Json => serde_json::from_str::<BulkRequest>(text).map_err(|_| NOT_A_QUERY)?.rl.query,
        Format::Xml => xml_query(text).ok_or(NOT_A_QUERY)?,
    };
    let kind = Kind::parse(&hash_type).ok_or(Refusal::BadRequest("the hash_type is not one of the three"))?;
    Ok((kind, hashes))
}

fn xml_query(text: &str) -> Option<BulkQuery> {
    let document = xml::read(text)?;
    let query = document.get("rl")?.get("query")?;
    let hashes = match query.get("hashes")? {
        Tree::List(items) => {
            items.iter().map(|item| item.as_text().map(str::to_owned)).collect::<Option<_>>()?
        }
        // Nothing says whether it is a list.
        Tree::Text(text) if text.is_empty() => Vec::new(),
        _ => return None,
    };
    Some(BulkQuery { hash_type: query.get("hash_type")?.as_text()?.to_owned(), hashes })
}

/// The documents name octets and the vendor's own SDK sends JSON; a missing type is let through as well.
fn check_content_type(format: Format, request: &Request) -> Result<(), Refusal> {
    let Some(value) = request.header("content-type") else { return Ok(()) };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (format, essence.as_str()) {
        (_, "application/octet-stream")
        | (Format::Json, "application/json")
        | (Format::Xml, "application/xml" | "text/xml") => Ok(()),
        (Format::Json, _) => Err(Refusal::BadRequest("the content type is neither JSON nor octet-stream")),
        (Format::Xml, _) => Err(Refusal::BadRequest("the content type is neither XML nor octet-stream")),
    }
}

fn single_hash(request: &Request) -> Result<(Kind, Vec<String>), Refusal> {
    let mut from_the_end = request.path.rsplit('/');
    let (hash, kind) = (from_the_end.next().unwrap_or_default(), from_the_end.next().unwrap_or_default());
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

    const BULK: &str = "/api/databrowser/malware_presence/bulk_query/json";

    fn check(format: Format, request: Request, expected: Result<(usize, usize), &'static str>) {
        let read = Question::read(Service::Presence, Form::Bulk(format), &request, &World::default());
        match (read, expected) {
            (Ok(question), Ok(counts)) => {
                assert_eq!((question.asked.len(), question.malformed.len()), counts, "{request:?}");
            }
            (Err(Refusal::BadRequest(reason)), Err(part)) => {
                assert!(reason.contains(part), "{request:?}: {reason}");
            }
            (found, _) => panic!("{request:?}: {found:?}"),
        }
    }

    #[test]
    fn a_request_in_json_is_read_or_refused() {
        let check = |request, expected| check(Format::Json, request, expected);
        let sha1 = "0a".repeat(20);
        let good = format!(r#"{{ "rl" : {{"query":{{"hash_type":"sha1","hashes":["{sha1}", "zz", ""]}}}}}}"#);
        let post = |body: &str| Request::post(BULK, body);
        let typed = |content_type: &str| post(&good).with_header("Content-Type", content_type);

        check(post(&good), Ok((1, 2)));
        check(typed("application/json"), Ok((1, 2)));
        check(typed("Application/JSON; charset=utf-8"), Ok((1, 2)));
        check(typed("application/octet-stream"), Ok((1, 2)));
        check(typed("application/x-www-form-urlencoded"), Err("content type"));
        check(typed("text/xml"), Err("content type"));
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
    fn a_request_in_xml_is_read_or_refused() {
        let check = |request, expected| check(Format::Xml, request, expected);
        let sha1 = "0a".repeat(20);
        let good = format!(
            "<?xml version=\"1.0\"?><rl><query><hash_type>sha1</hash_type>\
             <hashes><item>{sha1}</item><item>zz</item></hashes></query></rl>"
        );
        let post = |body: &str| Request::post(BULK, body);
        check(post(&good), Ok((1, 1)));
        check(post(&good).with_header("content-type", "application/xml"), Ok((1, 1)));
        check(post(&good).with_header("content-type", "text/xml; charset=utf-8"), Ok((1, 1)));
        check(post(&good).with_header("content-type", "application/octet-stream"), Ok((1, 1)));
        check(post(&good).with_header("content-type", "application/json"), Err("content type"));
        check(post(&good.replace("<item>zz</item>", "<item><b>zz</b></item>")), Err("not a bulk query"));
        check(post(&good.replace("item>", "hash>")), Err("not a bulk query"));
        check(post(&good.replace("sha1<", "sha2<")), Err("hash_type"));
        check(post(&good.replace("zz", "é")), Err("not ASCII"));
        check(post(&good[..good.len() - 1]), Err("not a bulk query"));
        check(post("<rl><query><hash_type>sha1</hash_type><hashes/></query></rl>"), Ok((0, 0)));
        check(post("<rl><query><hash_type>sha1</hash_type></query></rl>"), Err("not a bulk query"));
        check(post(""), Err("not a bulk query"));
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
