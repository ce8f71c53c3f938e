//! Nothing that prints shows a secret.

use crate::server::{Act, Server, response};
use crate::{ask, batch, settings};
use hashsweep_model::HashKind;
use hashsweep_spectra::{Client, Credentials, Endpoint, Period, Scope, Secret, Settings};
use proptest::prelude::*;

fn with_secrets(url: &str, secret: &str, proxy: &str) -> Settings {
    Settings {
        credentials: Some(Credentials { username: "u/company/name".into(), password: Secret::new(secret) }),
        proxy: Some(proxy.to_owned()),
        ..settings(url)
    }
}

#[track_caller]
fn check(shown: &str, secret: &str) {
    assert!(!shown.contains(secret), "{shown}");
}

#[tokio::test]
async fn no_fault_client_or_setting_shows_a_password() {
    let secret = "correct-horse";
    let teapot = Server::start(Act::Say(response("407 Proxy Authentication Required", &[], ""))).await;
    for proxy in [teapot.url(), "http://127.0.0.1:1".to_owned(), "http://no.invalid:1".to_owned()] {
        let proxy = proxy.replace("http://", &format!("http://u:{secret}@"));
        let settings = with_secrets("https://service.invalid", secret, &proxy);
        check(&format!("{settings:?}"), secret);
        let client = Client::new(settings.clone()).unwrap();
        check(&format!("{client:?}"), secret);
        let fault = ask(settings).await.unwrap_err();
        check(&format!("{fault:?} {fault}"), secret);
    }
    let refused =
        Client::new(with_secrets("https://service.invalid", secret, "http://u:correct-horse@:bad:"));
    let refused = refused.unwrap_err();
    check(&format!("{refused:?} {refused}"), secret);
}

#[tokio::test]
async fn no_other_question_shows_a_password_either() {
    let secret = "correct-horse";
    for status in ["200 OK", "401 Unauthorized", "429 Too Many Requests", "500 Internal Server Error"] {
        let server = Server::start(Act::Say(response(status, &[], "{"))).await;
        let client = Client::new(with_secrets(&server.url(), secret, "http://127.0.0.1:1")).unwrap();
        let digest = HashKind::Sha1.empty_input();
        let told = [
            format!("{:?}", client.ask_one(&digest).await),
            format!("{:?}", client.usage(Period::Today, Scope::Own).await),
            format!("{:?}", client.limits(Scope::Company).await),
        ];
        let authorized = server.requests();
        assert!(authorized.iter().all(|request| request.header("authorization").is_some()));
        assert!(authorized.iter().all(|request| !request.line.contains(secret)));
        for told in &told {
            check(told, secret);
        }
    }
    let server = Server::start(Act::Say(response("200 OK", &[], r#"{"rl":{"entries":[]}}"#))).await;
    let client = Client::new(with_secrets(&server.url(), secret, "http://127.0.0.1:1")).unwrap();
    let details = client.details(&batch()).await.unwrap();
    check(&format!("{details:?} {client:?}"), secret);
}

proptest! {
    #[test]
    fn no_secret_prints(secret in "[!-~]{8,20}") {
        let proxy = format!("http://u:{secret}@127.0.0.1:1");
        let settings = with_secrets("http://127.0.0.1:9", &secret, &proxy);
        check(&format!("{settings:?}"), &secret);
        for url in [format!("https://u:{secret}@host.example"), format!("no-url://u:{secret}@[")] {
            if let Err(error) = Endpoint::parse(&url) {
                check(&format!("{error:?} {error}"), &secret);
            }
        }
    }
}
