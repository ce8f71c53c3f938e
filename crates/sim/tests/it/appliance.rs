//! The analysis appliance: a token, a file, its state.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use crate::client::{Client, reply};
use hashsweep_sim::{Account, Submission, World};
use reqwest::Method;
use serde_json::{Value, json};

/// Of the bytes that [`form`] hands in.
const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

fn form() -> String {
    [
        "--x\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\none,two\r\n",
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\nabc\r\n--x--\r\n",
    ]
    .concat()
}

async fn post(client: &Client, target: &str, token: &str, content_type: &str, body: &str) -> (u16, Value) {
    let request = client.request(Method::POST, target).header("content-type", content_type);
    let request = request.header("authorization", token).body(body.to_owned());
    let reply = reply(request).await.unwrap();
    (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap_or_default())
}

#[tokio::test]
async fn a_file_is_handed_in_with_a_token_and_found_again() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const PARTS: &str = "multipart/form-data; boundary=x";
    let account = Account { username: "u/acme/ana".into(), password: "p w".into(), daily_quota: None };
    let client = Client::of(World { accounts: vec![account], ..World::default() }).await;

    let (status, answer) =
        post(&client, "/api-token-auth/", "", FORM, "username=u%2Facme%2Fana&password=p+w").await;
    assert_eq!(status, 200);
    let token = format!("Token {}", answer["token"].as_str().unwrap());
    for wrong in ["username=u%2Facme%2Fana&password=pw", "username=x&password=p+w", "username=x", ""] {
        assert_eq!(post(&client, "/api-token-auth/", "", FORM, wrong).await.0, 400, "{wrong}");
    }

    for wrong in ["", "Token 00", "Basic dTpw"] {
        assert_eq!(post(&client, "/api/submit/file/", wrong, PARTS, &form()).await.0, 401, "{wrong}");
    }
    let status = async |query: &str| {
        let body = format!("hash_values={SHA1}&hash_values={}", "0".repeat(40));
        post(&client, &format!("/api/samples/status/{query}"), &token, FORM, &body).await.1["results"].take()
    };
    assert_eq!(status("?status=processed").await, json!([]));
    let (code, answer) = post(&client, "/api/submit/file/", &token, PARTS, &form()).await;
    assert_eq!((code, &answer["code"], &answer["message"]), (201, &json!(201), &json!("Done.")));
    assert_eq!((&answer["detail"]["sha1"], &answer["detail"]["filename"]), (&json!(SHA1), &json!("a.bin")));
    assert_eq!(status("?status=processed").await, json!([{"hash_value": SHA1, "status": "processed"}]));
    assert_eq!(status("").await.as_array().unwrap().len(), 2);
    assert_eq!(status("?status=odd").await, Value::Null);
    assert_eq!(
        post(&client, "/api/submit/file/", &token, PARTS, &form().replace("\"file\"", "\"files\"")).await.0,
        400
    );
    assert_eq!(post(&client, "/api/submit/file/", &token, FORM, &form()).await.0, 400);

    assert_eq!(
        client.sim.submissions(),
        [Submission {
            sha1: SHA1.into(),
            n_bytes: 3,
            filename: "a.bin".into(),
            username: "u/acme/ana".into()
        }]
    );
    assert_eq!(client.sim.witness().charged(), 0);
}

#[tokio::test]
async fn a_file_may_be_longer_than_a_question() {
    let client = Client::of(World::default()).await;
    let content = "a".repeat(3 << 20);
    let long = form().replace("abc", &content);
    let (status, _) = post(&client, "/api/submit/file/", "", "multipart/form-data; boundary=x", &long).await;
    assert_eq!((status, client.sim.submissions()[0].n_bytes), (201, 3 << 20));
}
