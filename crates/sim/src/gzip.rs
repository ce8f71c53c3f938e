//! Answers in gzip, for clients that say they take it. Whether the real service does is not known.

use crate::exchange::{Delivery, Request, Response};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// Whether the client takes it; one that names it with a weight of nothing does not.
pub(crate) fn is_welcome(request: &Request) -> bool {
    request.header("accept-encoding").unwrap_or_default().split(',').any(|coding| {
        let mut parts = coding.split(';').map(|part| part.trim().to_ascii_lowercase());
        let is_gzip = parts.next().is_some_and(|name| name == "gzip" || name == "*");
        is_gzip && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

/// The same answer in gzip. One that is to be cut is cut in the middle of what goes out.
pub(crate) fn compress(mut response: Response) -> Response {
    if response.body.is_empty() || response.delivery == Delivery::Never {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let compressed = encoder.write_all(&response.body).and_then(|()| encoder.finish());
    response.body = compressed.expect("a vector takes everything");
    if let Delivery::CutAfter(n) = &mut response.delivery {
        *n = response.body.len() / 2;
    }
    response.with_header("content-encoding", "gzip").with_header("vary", "accept-encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_welcome_where_it_is_named() {
        let check = |value: &str, expected: bool| {
            let request = Request::get("/").with_header("Accept-Encoding", value);
            assert_eq!(is_welcome(&request), expected, "{value}");
        };
        check("gzip, deflate", true);
        check("deflate, GZIP;q=0.5", true);
        check("*", true);
        check("gzip;q=0", false);
        check("identity", false);
        check("", false);
        assert!(!is_welcome(&Request::get("/")));
    }
}
