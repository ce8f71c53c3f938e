//! The TAXII 2.1 feed: discovery, one root with one collection, and pages of STIX objects.
//!
//! A collection holds an object for each of the last full hours, invented from the hour. So it stands still while
//! somebody turns its pages, and moves on with the clock. Every 24th object is about a malicious file of the fixture
//! list, if there is one, so that a feed can find what the demonstration hides.

use crate::{
    World,
    calendar::{parse_timestamp, timestamp},
    digest::{Digest, Kind},
    door::FEED,
    exchange::{Moment, Request, Response},
    finding::{Answer, Finding},
    invented::Lot,
    refusal::Refusal,
    tree::Tree,
    world::Paging,
};

/// The root and the collection that the vendor's notebooks use.
const ROOT: &str = "ransomware-api-root";
const COLLECTION: &str = "f0997a32-b823-562d-9856-c754ac5e1159";
const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";

/// What the vendor's SDK asks for when nobody says otherwise.
const DEFAULT_LIMIT: u64 = 500;
/// A guess; a page of this size has some four megabytes.
const MAX_LIMIT: u64 = 5_000;

const HOUR: u64 = 3_600;

/// A request that can be answered.
#[derive(Debug)]
pub(crate) enum Ask {
    Discovery,
    Root,
    Collections,
    Collection,
    Objects(Page),
}

/// Which objects of the collection.
#[derive(Debug)]
pub(crate) struct Page {
    limit: u64,
    /// Only objects of later hours.
    after: Option<u64>,
    id: Option<String>,
}

impl Ask {
    pub(crate) fn read(request: &Request) -> Result<Ask, Refusal> {
        let rest = request.path.strip_prefix(FEED).unwrap_or_default();
        match rest.split('/').collect::<Vec<_>>()[..] {
            ["taxii2", ""] => Ok(Ask::Discovery),
            [ROOT, ""] => Ok(Ask::Root),
            [ROOT, "collections", ""] => Ok(Ask::Collections),
            [ROOT, "collections", COLLECTION, ""] => Ok(Ask::Collection),
            [ROOT, "collections", COLLECTION, "objects", ""] => Page::read(request).map(Ask::Objects),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Only pages of objects cost anything, and each of them.
    pub(crate) fn answer(&self, world: &World, now: Moment) -> Finding {
        let free = |tree: &Tree| Finding { units: 0, answer: Answer::Whole(taxii(tree)) };
        match self {
            Ask::Discovery => free(&Tree::record([
                ("title", "Simulated TAXII server".into()),
                ("default", format!("{FEED}{ROOT}/").into()),
                ("api_roots", vec![format!("{FEED}{ROOT}/")].into()),
            ])),
            Ask::Root => free(&Tree::record([
                ("title", "Simulated ransomware indicators".into()),
                ("versions", vec![MEDIA_TYPE].into()),
                ("max_content_length", 9_765_625_u64.into()),
            ])),
            Ask::Collections => free(&Tree::record([("collections", Tree::List(vec![collection()]))])),
            Ask::Collection => free(&collection()),
            Ask::Objects(page) => Finding { units: 1, answer: Answer::Whole(page.answer(world, now)) },
        }
    }
}

impl Page {
    fn read(request: &Request) -> Result<Page, Refusal> {
        let number = |name: &str| match request.parameter(name) {
            None => Ok(None),
            Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(Refusal::BadRequest("a parameter is no number"))
            }
            // What is too long for a number is as good as endless.
            Some(text) => Ok(Some(text.parse::<u64>().unwrap_or(u64::MAX))),
        };
        let limit = number("limit")?.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            return Err(Refusal::BadRequest("the limit is 0"));
        }
        let added_after = match request.parameter("added_after") {
            None => None,
            Some(text) => {
                Some(parse_timestamp(&text).ok_or(Refusal::BadRequest("added_after is no timestamp"))?)
            }
        };
        let after = added_after.map(|seconds| seconds / HOUR).max(number("next")?);
        Ok(Page { limit: limit.min(MAX_LIMIT), after, id: request.parameter("match[id]") })
    }

    fn answer(&self, world: &World, now: Moment) -> Response {
        let newest = now.unix_seconds / HOUR;
        let before_oldest = newest.saturating_sub(world.feed.hours);
        let first = self.after.map_or(before_oldest, |after| after.max(before_oldest)).saturating_add(1);
        let bad = world.verdicts.listed_malicious();
        let id_fits = |object: &Tree| match &self.id {
            None => true,
            Some(id) => object.get("id").and_then(Tree::as_text) == Some(id),
        };
        let mut hours = (first..=newest).map(|hour| (hour, object(hour, &bad))).filter(|(_, it)| id_fits(it));
        let page: Vec<(u64, Tree)> =
            hours.by_ref().take(usize::try_from(self.limit).unwrap_or(usize::MAX)).collect();
        let more = hours.next().is_some();
        let (Some((oldest, _)), Some((last, _))) = (page.first(), page.last()) else {
            return taxii(&Tree::record([]));
        };
        let (oldest, last) = (*oldest, *last);
        let next = (more && world.feed.paging == Paging::Next).then(|| last.to_string());
        let objects = page.into_iter().map(|(_, object)| object).collect();
        let envelope = Tree::record([("more", more.into())])
            .with_some("next", next)
            .with("objects", Tree::List(objects));
        taxii(&envelope)
            .with_header("x-taxii-date-added-first", &moment(oldest * HOUR))
            .with_header("x-taxii-date-added-last", &moment(last * HOUR))
    }
}

fn collection() -> Tree {
    Tree::record([
        ("id", COLLECTION.into()),
        ("title", "Simulated ransomware indicators".into()),
        ("can_read", true.into()),
        ("can_write", false.into()),
        ("media_types", vec!["application/stix+json;version=2.1"].into()),
    ])
}

/// Of eight objects six are indicators of files, one of them revoked; one is an indicator of a URL, which a reader of
/// hashes has to skip, and one is a file itself.
fn object(hour: u64, listed: &[[Digest; 3]]) -> Tree {
    let seed = hour.to_be_bytes();
    let lot = Lot::of_bytes("feed", &seed);
    let digests =
        match usize::try_from(hour / 24 % listed.len().max(1) as u64).ok().and_then(|n| listed.get(n)) {
            Some(digests) if hour.is_multiple_of(24) => *digests,
            _ => [0, 1, 2].map(|n| Digest::cut_from(Kind::ALL[usize::from(n)], lot.bytes(n))),
        };
    let [md5, sha1, sha256] = digests.map(|digest| digest.to_string());
    let added = moment(hour * HOUR);
    let named = |kind: &str| {
        Tree::record([
            ("type", kind.to_owned().into()),
            ("spec_version", "2.1".into()),
            ("id", format!("{kind}--{}", uuid(&lot)).into()),
        ])
    };
    if hour % 8 == 6 {
        let hashes = Tree::record([("MD5", md5.into()), ("SHA-1", sha1.into()), ("SHA-256", sha256.into())]);
        return named("file").with("hashes", hashes);
    }
    let (name, pattern) = if hour % 8 == 5 {
        ("Simulated URL".to_owned(), format!("[url:value = 'https://{}.invalid/']", lot.hex(8, 6)))
    } else {
        let pattern = format!(
            "[file:hashes.'SHA-1' = '{sha1}' OR file:hashes.'MD5' = '{md5}' OR file:hashes.'SHA-256' = '{sha256}']"
        );
        (sha1, pattern)
    };
    named("indicator")
        .with("created", added.as_str())
        .with("modified", added.as_str())
        .with_some("revoked", (hour % 8 == 7).then_some(true))
        .with("name", name)
        .with("indicator_types", vec!["malicious-activity"])
        .with("pattern", pattern)
        .with("pattern_type", "stix")
        .with("valid_from", added)
        .with("valid_until", moment((hour + 30 * 24) * HOUR))
        .with("labels", vec!["ransomware", "simulated"])
        .with("confidence", 50 + lot.number(9) % 51)
}

/// Marked as one that was made from a name.
fn uuid(lot: &Lot<'_>) -> String {
    let hex = lot.hex(7, 16);
    format!("{}-{}-5{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn moment(unix_seconds: u64) -> String {
    format!("{}.000Z", timestamp(unix_seconds))
}

fn taxii(tree: &Tree) -> Response {
    let body = serde_json::to_vec(tree).expect("answers have string keys and finite numbers only");
    Response::text(200, MEDIA_TYPE, body)
}
