//! A request and its answer as plain data, and the moment at which they meet.
//!
//! Nothing here knows sockets or axum. What a real server does besides sending bytes (waiting, going silent,
//! breaking off) is written into the [`Response`] as an instruction, for the HTTP shell or a test to carry out.

use crate::{tree::Tree, xml};
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// In upper case, as HTTP writes it.
    pub method: String,
    /// What stands before the question mark.
    pub path: String,
    /// What stands after it, without the mark; empty when there is none.
    pub query: String,
    /// Names in any case. Of a header that is there twice the first counts.
    pub headers: Vec<(String, String)>,
    /// What was sent.
    pub body: Body,
}

/// What was sent along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it; empty when there was none.
    Whole(Vec<u8>),
    /// Longer than [`BODY_LIMIT`](crate::BODY_LIMIT): the server stopped keeping it.
    TooLong,
}

/// What the simulator does about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Response {
    /// The status code; means nothing when the delivery is [`Delivery::Never`].
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body, even when the delivery cuts it.
    pub body: Vec<u8>,
    /// How long to wait before the first byte of the answer.
    pub delay: Duration,
    /// How much of the answer reaches the client.
    pub delivery: Delivery,
}

/// How much of an answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All of it.
    Whole,
    /// The head with the full `Content-Length`, this many bytes of the body, then the connection is dropped.
    CutAfter(usize),
    /// Not a byte; the connection stays open until the client or the simulator goes away.
    Never,
}

/// One of the two forms in which the service reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
}

/// When something happens, told by whoever holds the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the simulator was started; the rate limit and the arrival times are measured in it.
    pub since_start: Duration,
    /// Since 1970 in UTC; its days are the days of the quota.
    pub unix_seconds: u64,
}

impl Request {
    /// A GET; the target is a path with or without a query.
    pub fn get(target: &str) -> Request {
        Request::new("GET", target, Vec::new())
    }

    /// A POST; the target is a path with or without a query.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", target, body.into())
    }

    /// The same request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first header of that name, in whatever case it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn new(method: &str, target: &str, body: Vec<u8>) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Body::Whole(body),
        }
    }

    /// The value of a query parameter, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        form_pairs(&self.query).find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// What a query or a form says, decoded, in the order in which it says it.
pub(crate) fn form_pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

impl Response {
    pub(crate) fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
        }
    }

    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        Response { body: body.into(), ..Response::empty(status).with_header("content-type", content_type) }
    }

    pub(crate) fn json(status: u16, value: &impl serde::Serialize) -> Response {
        let body = serde_json::to_vec(value).expect("answers have string keys and finite numbers only");
        Response::text(status, "application/json", body)
    }

    pub(crate) fn of_tree(format: Format, tree: &Tree) -> Response {
        match format {
            Format::Json => Response::json(200, tree),
            Format::Xml => Response::text(200, "application/xml", xml::write(tree)),
        }
    }

    pub(crate) fn silence() -> Response {
        Response { delivery: Delivery::Never, ..Response::empty(0) }
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }
}
