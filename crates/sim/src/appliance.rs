//! The analysis appliance, Spectra Analyze (A1000): a token for a password, a file handed in, what became of it.
//!
//! It keeps of a file its size and its SHA-1 and nothing else. Analysis takes no time: a file that was handed in is
//! processed.

use crate::{
    World,
    calendar::timestamp,
    digest::{Digest, hex},
    exchange::{Body, Request, Response, form_pairs},
    invented::Lot,
    refusal::Refusal,
    tree::Tree,
};
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;

/// A request that can be answered.
#[derive(Debug)]
pub(crate) enum Ask {
    Token {
        username: String,
        password: String,
    },
    Submit(Upload),
    /// Only those of this status, if one is named.
    Status {
        hashes: Vec<String>,
        only: Option<&'static str>,
    },
}

/// A file that came in.
#[derive(Debug)]
pub(crate) struct Upload {
    sha1: String,
    n_bytes: u64,
    filename: String,
}

/// A file that the appliance has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// In lower-case hex.
    pub sha1: String,
    /// The size of the file.
    pub n_bytes: u64,
    /// As the client called it.
    pub filename: String,
    /// Who handed it in.
    pub username: String,
}

/// What the appliance remembers.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    users: BTreeMap<String, String>,
    pub(crate) submissions: Vec<Submission>,
}

impl Ask {
    pub(crate) fn token(request: &Request) -> Result<Ask, Refusal> {
        let mut form: BTreeMap<String, String> = form(request)?.collect();
        let mut field = |name| form.remove(name).filter(|value: &String| !value.is_empty());
        match (field("username"), field("password")) {
            (Some(username), Some(password)) => Ok(Ask::Token { username, password }),
            _ => Err(Refusal::BadRequest("username and password are required")),
        }
    }

    pub(crate) fn submit(request: &Request) -> Result<Ask, Refusal> {
        const NO_FORM: Refusal = Refusal::BadRequest("the body is not multipart/form-data with a file");
        let body = whole(request)?;
        let boundary = request.header("content-type").and_then(boundary).ok_or(NO_FORM)?;
        let parts = parts(body, &boundary).ok_or(NO_FORM)?;
        let text = |name: &str| {
            let part = parts.iter().find(|part| part.name == name)?;
            Some(String::from_utf8_lossy(part.content).into_owned())
        };
        let file = parts.iter().find(|part| part.name == "file").ok_or(NO_FORM)?;
        let filename = text("filename").or_else(|| file.filename.clone()).unwrap_or_default();
        let sha1 = hex(&Sha1::digest(file.content));
        Ok(Ask::Submit(Upload { sha1, n_bytes: file.content.len() as u64, filename }))
    }

    pub(crate) fn status(request: &Request) -> Result<Ask, Refusal> {
        let only = match request.parameter("status").as_deref() {
            None => None,
            Some("processed") => Some("processed"),
            Some("not_found") => Some("not_found"),
            Some(_) => return Err(Refusal::BadRequest("the status is neither processed nor not_found")),
        };
        let hashes: Vec<String> =
            form(request)?.filter(|(name, _)| name == "hash_values").map(|(_, value)| value).collect();
        if hashes.is_empty() || hashes.iter().any(|hash| Digest::parse_any(hash).is_none()) {
            return Err(Refusal::BadRequest("hash_values are required, each a hash"));
        }
        Ok(Ask::Status { hashes, only })
    }
}

impl Bench {
    /// Whose token this is.
    pub(crate) fn user(&self, token: &str) -> Option<&str> {
        self.users.get(token).map(String::as_str)
    }

    /// Does what is asked for this account; a token is asked for by nobody yet.
    pub(crate) fn answer(
        &mut self,
        ask: Ask,
        world: &World,
        account: Option<&str>,
        unix_seconds: u64,
    ) -> Result<Response, Refusal> {
        match ask {
            Ask::Token { username, password } => self.token(world, username, &password),
            Ask::Submit(upload) => {
                let username = account.ok_or(Refusal::Unauthorized)?;
                Ok(self.submit(upload, username, unix_seconds))
            }
            Ask::Status { hashes, only } => Ok(self.status(&hashes, only)),
        }
    }

    fn token(&mut self, world: &World, username: String, password: &str) -> Result<Response, Refusal> {
        let fits = world.accounts.is_empty()
            || world.accounts.iter().any(|it| it.username == username && it.password == password);
        if !fits {
            return Err(Refusal::BadRequest("Unable to log in with provided credentials."));
        }
        let seed = format!("{username}\0{password}");
        let token = Lot::of_bytes("token", seed.as_bytes()).hex(0, 20);
        self.users.insert(token.clone(), username);
        Ok(Response::json(200, &Tree::record([("token", token.into())])))
    }

    fn submit(&mut self, upload: Upload, username: &str, unix_seconds: u64) -> Response {
        let Upload { sha1, n_bytes, filename } = upload;
        let detail = Tree::record([
            ("id", (self.submissions.len() as u64 + 1).into()),
            ("sha1", sha1.as_str().into()),
            ("user", username.into()),
            ("created", format!("{}.000000Z", timestamp(unix_seconds)).into()),
            ("filename", filename.as_str().into()),
        ]);
        self.submissions.push(Submission { sha1, n_bytes, filename, username: username.to_owned() });
        let answer =
            Tree::record([("code", 201_u64.into()), ("message", "Done.".into()), ("detail", detail)]);
        Response::json(201, &answer)
    }

    fn status(&self, hashes: &[String], only: Option<&str>) -> Response {
        let line = |hash: &String| {
            let is_here = self.submissions.iter().any(|it| it.sha1.eq_ignore_ascii_case(hash));
            let status = if is_here { "processed" } else { "not_found" };
            only.is_none_or(|only| only == status)
                .then(|| Tree::record([("hash_value", hash.as_str().into()), ("status", status.into())]))
        };
        let results = hashes.iter().filter_map(line).collect();
        Response::json(200, &Tree::record([("hash_type", "sha1".into()), ("results", Tree::List(results))]))
    }
}

fn whole(request: &Request) -> Result<&[u8], Refusal> {
    match &request.body {
        Body::Whole(bytes) => Ok(bytes),
        Body::TooLong => Err(Refusal::TooLarge),
    }
}

fn form(request: &Request) -> Result<impl Iterator<Item = (String, String)> + use<>, Refusal> {
    let text = str::from_utf8(whole(request)?).map_err(|_| Refusal::BadRequest("the form is not text"))?;
    Ok(form_pairs(text).collect::<Vec<_>>().into_iter())
}

/// One part of a form.
struct Part<'a> {
    name: String,
    filename: Option<String>,
    content: &'a [u8],
}

fn boundary(content_type: &str) -> Option<String> {
    let (essence, rest) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(rest, "boundary").filter(|boundary| !boundary.is_empty())
}

/// Cuts a multipart body apart; `None` when it does not end where it should.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let first = format!("--{boundary}");
    let later = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(first.as_bytes())?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let after_line = rest.strip_prefix(b"\r\n")?;
        let end_of_head = find(after_line, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&after_line[..end_of_head]).into_owned();
        let content = &after_line[end_of_head + 4..];
        let end = find(content, later.as_bytes())?;
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let filename = parameter(disposition, "filename");
        parts.push(Part { name: parameter(disposition, "name")?, filename, content: &content[..end] });
        rest = &content[end + later.len()..];
    }
    Some(parts)
}

/// A parameter of a header; a semicolon in quotes is not understood, and no client of ours writes one.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_cut_apart_or_refused() {
        let check = |body: &str, expected: Option<&[(&str, Option<&str>, &str)]>| {
            let found = parts(body.as_bytes(), "b").map(|parts| {
                let row = |part: &Part<'_>| {
                    (
                        part.name.clone(),
                        part.filename.clone(),
                        String::from_utf8(part.content.to_vec()).unwrap(),
                    )
                };
                parts.iter().map(row).collect::<Vec<_>>()
            });
            let expected = expected.map(|rows| {
                rows.iter()
                    .map(|&(a, b, c)| (a.to_owned(), b.map(str::to_owned), c.to_owned()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{body:?}");
        };
        let text = "--b\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\na,b\r\n";
        let file = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x.bin\"\r\nContent-Type: a/b\r\n\r\n\r\n--c\r\n";
        check("--b--\r\n", Some(&[]));
        check(
            &format!("{text}{file}--b--\r\n"),
            Some(&[("tags", None, "a,b"), ("file", Some("x.bin"), "\r\n--c")]),
        );
        check(&format!("{text}--b"), None);
        check(text, None);
        check("", None);
        check("--b\r\n\r\n\r\nnameless\r\n--b--", None);
    }

    #[test]
    fn boundaries_are_read_from_the_type() {
        let check = |header: &str, expected: Option<&str>| {
            assert_eq!(boundary(header).as_deref(), expected, "{header}");
        };
        check("multipart/form-data; boundary=abc", Some("abc"));
        check("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b"));
        check("multipart/form-data", None);
        check("multipart/form-data; boundary=", None);
        check("application/json; boundary=abc", None);
    }
}
