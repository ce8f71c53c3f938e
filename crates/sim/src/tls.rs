//! The simulator over TLS: an authority and a certificate made for one run, and a listener that shakes hands.
//!
//! Nothing is kept: the next run has another authority. The private keys never leave the process.

use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::{
    future::{self, Future},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

/// Connections that have shaken hands and wait to be served. A full queue makes the next ones wait in their own
/// tasks; a guess, serving takes from it at once.
const QUEUE: usize = 64;

/// A client that has not shaken hands by then is dropped. A guess: far longer than any handshake takes.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Who vouches for the simulator, and the acceptor that shows the certificate.
pub(crate) struct Authority {
    /// What a client has to trust.
    pub(crate) pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Authority {
    /// An authority and a certificate by it for the loopback names and this address. They are two certificates,
    /// because some clients refuse an authority that speaks for itself.
    pub(crate) fn new(address: IpAddr) -> io::Result<Authority> {
        let made = || -> Result<_, rcgen::Error> {
            let mut root = CertificateParams::default();
            root.distinguished_name.push(DnType::CommonName, "hashsweep simulator authority");
            root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let root_key = KeyPair::generate()?;
            let root_certificate = root.self_signed(&root_key)?;
            let issuer = Issuer::new(root, root_key);

            let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
            if !address.is_unspecified() && !names.contains(&address.to_string()) {
                names.push(address.to_string());
            }
            let mut own = CertificateParams::new(names)?;
            own.distinguished_name.push(DnType::CommonName, "hashsweep simulator");
            own.use_authority_key_identifier_extension = true;
            own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            own.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            let own_key = KeyPair::generate()?;
            let certificate = own.signed_by(&own_key, &issuer)?;
            Ok((root_certificate.pem(), certificate.der().clone(), own_key.serialize_der()))
        };
        let (pem, certificate, key) = made().map_err(io::Error::other)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Authority { pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// Takes connections and shakes hands with each in a task of its own, so that a slow one does not keep the others
/// waiting.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Takes connections until `closed` resolves.
    pub(crate) fn new(
        mut listener: TcpListener,
        acceptor: TlsAcceptor,
        closed: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<TlsListener> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let take = async {
                loop {
                    let (stream, peer) = Listener::accept(&mut listener).await;
                    let (acceptor, sender) = (acceptor.clone(), sender.clone());
                    tokio::spawn(async move {
                        // As without TLS: failing to say so costs speed, nothing else.
                        let _ = stream.set_nodelay(true);
                        let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
                        if let Ok(Ok(stream)) = shaken {
                            // Nobody takes it when the simulator is gone, and then it may be dropped.
                            let _ = sender.send((stream, peer)).await;
                        }
                    });
                }
            };
            tokio::select! {
                () = take => {}
                () = closed => {}
            }
        });
        Ok(TlsListener { ready, address })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TlsStream<TcpStream>, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Nothing comes any more; the server ends by its own signal.
            None => future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
