//! The asking side of these tests. It builds and reads bytes by hand, so that it cannot agree with the simulator by
//! construction.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use hashsweep_sim::{Simulator, Status, Verdicts, World};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use std::sync::Once;

pub(crate) const BULK: &str = "/api/databrowser/malware_presence/bulk_query/json";
pub(crate) const SINGLE: &str = "/api/databrowser/malware_presence/query";

/// A simulator and somebody to ask it.
pub(crate) struct Client {
    pub(crate) sim: Simulator,
    pub(crate) http: reqwest::Client,
}

/// An answer that arrived whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn of(world: World) -> Client {
        Client { sim: Simulator::start(world).await.unwrap(), http: http() }
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{target}", self.sim.url()))
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        reply(self.request(Method::GET, target)).await.unwrap()
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<reqwest::Body>) -> Reply {
        reply(self.request(Method::POST, target).body(body)).await.unwrap()
    }

    /// A bulk query for SHA-1 hashes.
    pub(crate) async fn bulk(&self, hashes: &[String]) -> Reply {
        self.post(BULK, body("sha1", hashes)).await
    }

    pub(crate) async fn try_bulk(&self, hashes: &[String]) -> reqwest::Result<Reply> {
        reply(self.request(Method::POST, BULK).body(body("sha1", hashes))).await
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn entries(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["rl"]["entries"].as_array().unwrap().clone()
    }

    /// The asked hashes of the entries, in order.
    pub(crate) fn answered(&self) -> Vec<String> {
        let hash = |entry: &Value| entry["query_hash"]["sha1"].as_str().unwrap().to_owned();
        self.entries().iter().map(hash).collect()
    }
}

pub(crate) async fn reply(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Reply { status, headers, body: response.bytes().await?.to_vec() })
}

/// Waits for something to become true, which it will; a test that waits for ever has failed.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Redirects are shown, not followed.
pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub(crate) fn body(kind: &str, hashes: &[String]) -> Vec<u8> {
    serde_json::to_vec(&json!({"rl": {"query": {"hash_type": kind, "hashes": hashes}}})).unwrap()
}

/// Some SHA-1 hashes, never the same ones for two numbers.
pub(crate) fn sha1s(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{n:040x}")).collect()
}

/// So many hashes of which a world without a fixture list says this.
pub(crate) fn with_status(status: Status, n: usize) -> Vec<String> {
    let verdicts = Verdicts::default();
    let fits = |hash: &String| verdicts.status_of(hash) == Some(status);
    sha1s(0..100_000).into_iter().filter(fits).take(n).collect()
}

pub(crate) fn sorted(mut hashes: Vec<String>) -> Vec<String> {
    hashes.sort();
    hashes
}
