//! The secure connection: whom it trusts, and what it says when it does not.

use crate::server::{Act, NOTHING, Server, response};
use crate::{Says, ask, check_fault, settings};
use hashsweep_spectra::{Booking, Client, ClientError, Remedy, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const DISTRUST: Says = says("tls", "give its root with --ca-cert");
const UNSIGNED: Says = says("tls issuer", "give its root with --ca-cert");
const UNTIMELY: Says = says("tls clock", "check the clock first");

const fn says(word: &'static str, hint: &'static str) -> Says {
    Says(Remedy::SlowDown { retry_after: None }, Booking::Nothing, word, hint)
}

/// A root of its own, in PEM, and a server with a certificate from it.
fn authority(change: impl FnOnce(&mut CertificateParams)) -> (String, TlsAcceptor) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, root_key);

    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut own);
    let certificate = own.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (root_pem, TlsAcceptor::from(Arc::new(config)))
}

async fn server(tls: TlsAcceptor) -> Server {
    Server::start_tls(Act::Say(response("200 OK", &[], NOTHING)), tls).await
}

fn trusting(pem: String, server: &Server) -> Settings {
    Settings { ca_cert_pem: Some(pem.into_bytes()), ..settings(&server.https()) }
}

#[tokio::test]
async fn a_root_of_ones_own_is_trusted_when_it_is_given() {
    let (root, tls) = authority(|_| {});
    let server = server(tls).await;
    assert!(ask(trusting(root, &server)).await.is_ok());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn several_roots_in_one_file_are_all_trusted() {
    let ((other, _), (root, tls)) = (authority(|_| {}), authority(|_| {}));
    let server = server(tls).await;
    assert!(ask(trusting(format!("{other}\n{root}"), &server)).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused_before_anything_is_sent() {
    let (_, tls) = authority(|_| {});
    let unknown = server(tls).await;
    check_fault(&ask(settings(&unknown.https())).await, UNSIGNED);

    let (root, tls) = authority(|own| own.not_after = rcgen::date_time_ymd(2001, 2, 3));
    let expired = server(tls).await;
    check_fault(&ask(trusting(root, &expired)).await, UNTIMELY);

    let (root, tls) = authority(|own| own.not_before = rcgen::date_time_ymd(2998, 1, 1));
    let early = server(tls).await;
    check_fault(&ask(trusting(root, &early)).await, UNTIMELY);

    let (root, tls) =
        authority(|own| *own = CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap());
    let elsewhere = server(tls).await;
    check_fault(&ask(trusting(root, &elsewhere)).await, DISTRUST);

    for server in [unknown, expired, early, elsewhere] {
        assert_eq!(server.requests().len(), 0, "credentials left for a server that is not trusted");
    }
}

#[tokio::test]
async fn tls_to_a_plain_port_fails_before_anything_is_charged() {
    // The test server waits for a whole request, which a TLS greeting is not; this one speaks first.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    check_fault(&ask(settings(&url)).await, DISTRUST);
}

#[tokio::test]
async fn a_handshake_that_breaks_off_costs_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { drop(listener.accept().await) });
    let got = ask(settings(&url)).await.unwrap_err();
    assert!(got.is_unreachable(), "{got:?}");
    assert_eq!(got.booking(), Booking::Nothing);
}

#[test]
fn roots_that_do_not_read_are_refused() {
    for pem in ["", "not a certificate", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        let settings = Settings { ca_cert_pem: Some(pem.into()), ..settings("https://localhost") };
        assert!(matches!(Client::new(settings), Err(ClientError::CaCert)), "{pem:?}");
    }
}
