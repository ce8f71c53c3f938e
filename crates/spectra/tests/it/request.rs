//! The request as it goes out.

use crate::server::{Act, NOTHING, Request, Server, response};
use crate::{ask, settings};
use hashsweep_spectra::Settings;

const TARGET: &str = "/api/databrowser/malware_presence/bulk_query/json?extended=true&show_hashes=true";

async fn sent(prefix: &str, change: impl FnOnce(Settings) -> Settings) -> Request {
    let server = Server::start(Act::Say(response("200 OK", &[], NOTHING))).await;
    ask(change(settings(&format!("{}{prefix}", server.url())))).await.unwrap();
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[tokio::test]
async fn the_request_is_what_the_vendor_documents() {
    let request = sent("", |settings| settings).await;
    assert_eq!(request.line, format!("POST {TARGET} HTTP/1.1"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let agent = request.header("user-agent").unwrap();
    assert!(agent.starts_with("hashsweep/") && agent.len() > "hashsweep/".len(), "{agent}");
    // printf 'u/company/name:hunter2-does-not-print' | base64
    let basic = "Basic dS9jb21wYW55L25hbWU6aHVudGVyMi1kb2VzLW5vdC1wcmludA==";
    assert_eq!(request.header("authorization"), Some(basic));
    let hashes = ["01", "02", "03"].map(|byte| format!("\"{}\"", byte.repeat(20))).join(",");
    let body = format!(r#"{{"rl":{{"query":{{"hash_type":"sha1","hashes":[{hashes}]}}}}}}"#);
    assert_eq!(String::from_utf8(request.body).unwrap(), body);
}

#[tokio::test]
async fn without_credentials_no_authorization_is_sent() {
    let request = sent("", |settings| Settings { credentials: None, ..settings }).await;
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn a_path_prefix_of_the_url_is_kept() {
    for prefix in ["/appliance/rl", "/appliance/rl/"] {
        assert_eq!(
            sent(prefix, |settings| settings).await.line,
            format!("POST /appliance/rl{TARGET} HTTP/1.1")
        );
    }
}
