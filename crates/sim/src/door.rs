//! Which path leads where, and by which method.
//!
//! It knows paths and nothing else of a request.

use crate::{World, digest::Kind, exchange::Format, product::Product, world::Dialects};

/// A place where a request can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Questions about hashes.
    Hashes(Service, Form),
    /// TCA-9999.
    Usage,
    /// Everything under the TAXII roots.
    Feed,
    /// The analysis appliance: where a password becomes a token.
    Token,
    /// The analysis appliance: where a file is handed in.
    Submit,
    /// The analysis appliance: what became of it.
    Status,
}

/// Which service is asked about hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// TCA-0101.
    Presence,
    /// TCA-0101 in the dialect of the quick start.
    Quickstart,
    /// TCA-0104.
    Reports,
}

/// One hash in the path, or many in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The format is that of the body and of the answer; the path names it.
    Bulk(Format),
    Single,
}

pub(crate) const PRESENCE: &str = "/api/databrowser/malware_presence/";
pub(crate) const REPORTS: &str = "/api/databrowser/rldata/";
pub(crate) const QUICKSTART: &str = "/api/databrowser/rl_data/query/sha1/list";
pub(crate) const USAGE: &str = "/api/customer_usage/v1/";
pub(crate) const FEED: &str = "/api/taxii/";
pub(crate) const TOKEN: &str = "/api-token-auth/";
pub(crate) const SUBMIT: &str = "/api/submit/file/";
pub(crate) const STATUS: &str = "/api/samples/status/";

impl Door {
    /// The door that a path names in this world, if any.
    pub(crate) fn of(path: &str, world: &World) -> Option<Door> {
        let presence = world.dialects != Dialects::Quickstart;
        let quickstart = world.dialects != Dialects::MalwarePresence;
        if let Some(rest) = path.strip_prefix(PRESENCE).filter(|_| presence) {
            return Form::of(rest).map(|form| Door::Hashes(Service::Presence, form));
        }
        if let Some(rest) = path.strip_prefix(REPORTS) {
            return Form::of(rest).map(|form| Door::Hashes(Service::Reports, form));
        }
        match path {
            QUICKSTART if quickstart => Some(Door::Hashes(Service::Quickstart, Form::Bulk(Format::Json))),
            TOKEN => Some(Door::Token),
            SUBMIT => Some(Door::Submit),
            STATUS => Some(Door::Status),
            _ if path.starts_with(USAGE) && world.monitoring => Some(Door::Usage),
            _ if path.starts_with(FEED) => Some(Door::Feed),
            _ => None,
        }
    }

    /// The one method that the door opens to.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Door::Hashes(_, Form::Bulk(_)) | Door::Token | Door::Submit | Door::Status => "POST",
            Door::Hashes(_, Form::Single) | Door::Usage | Door::Feed => "GET",
        }
    }

    /// What is sold behind it; the appliance is sold with its box.
    pub(crate) fn product(self) -> Option<Product> {
        match self {
            Door::Hashes(Service::Presence | Service::Quickstart, _) => Some(Product::FileReputation),
            Door::Hashes(Service::Reports, _) => Some(Product::FileAnalysis),
            Door::Usage => Some(Product::CustomerUsage),
            Door::Feed => Some(Product::Feed),
            Door::Token | Door::Submit | Door::Status => None,
        }
    }

    /// Whether it is for file reputation, by whatever form.
    pub(crate) fn is_lookup(self) -> bool {
        self.product() == Some(Product::FileReputation)
    }

    /// Whether it takes many hashes at once for file reputation.
    pub(crate) fn is_bulk_lookup(self) -> bool {
        matches!(self, Door::Hashes(Service::Presence | Service::Quickstart, Form::Bulk(_)))
    }

    /// Whether requests are counted against the account's rate; the vendor says that monitoring is not.
    pub(crate) fn is_paced(self) -> bool {
        matches!(self, Door::Hashes(..) | Door::Feed)
    }
}

impl Form {
    fn of(rest: &str) -> Option<Form> {
        match rest.split('/').collect::<Vec<_>>()[..] {
            ["bulk_query", "json"] => Some(Form::Bulk(Format::Json)),
            ["bulk_query", "xml"] => Some(Form::Bulk(Format::Xml)),
            ["query", kind, hash] if Kind::parse(kind).is_some() && !hash.is_empty() => Some(Form::Single),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_say_and_nowhere_near() {
        let sha1 = "00".repeat(20);
        let check = |dialects, path: &str, expected: Option<Door>| {
            let world = World { dialects, ..World::default() };
            assert_eq!(Door::of(path, &world), expected, "{dialects:?} {path}");
        };
        for (base, service) in [(PRESENCE, Service::Presence), (REPORTS, Service::Reports)] {
            for (name, format) in [("json", Format::Json), ("xml", Format::Xml)] {
                let door = Some(Door::Hashes(service, Form::Bulk(format)));
                check(Dialects::Both, &format!("{base}bulk_query/{name}"), door);
            }
            for kind in ["md5", "sha1", "sha256"] {
                let door = Some(Door::Hashes(service, Form::Single));
                check(Dialects::MalwarePresence, &format!("{base}query/{kind}/{sha1}"), door);
            }
            for near in [
                "",
                "bulk_query",
                "bulk_query/json/",
                "bulk_query/yaml",
                "query/sha1",
                "query/sha1/",
                "query/SHA1/00",
                "query/crc32/00",
                "query/sha1/00/11",
            ] {
                check(Dialects::Both, &format!("{base}{near}"), None);
            }
        }
        let quickstart = Some(Door::Hashes(Service::Quickstart, Form::Bulk(Format::Json)));
        check(Dialects::Both, QUICKSTART, quickstart);
        check(Dialects::Quickstart, QUICKSTART, quickstart);
        check(Dialects::MalwarePresence, QUICKSTART, None);
        check(Dialects::Quickstart, &format!("{PRESENCE}bulk_query/json"), None);
        check(Dialects::Both, "", None);
        check(Dialects::Both, "/", None);
        check(Dialects::Both, "/api-token-auth", None);
    }
}
