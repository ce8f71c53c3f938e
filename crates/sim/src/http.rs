//! The simulator as a server on a loopback port: the one place with a clock, a socket and waiting.
//!
//! It decides nothing about an answer. It hands every request to [`Service::answer`] and does with the answer what
//! is written in it.

#[cfg(feature = "tls")]
use crate::tls::{Authority, TlsListener};
use crate::{
    Submission, Witness, World,
    exchange::{Body, Delivery, Moment, Request, Response},
    service::{BACKSTAGE, Service},
    tree::Tree,
};
use axum::{
    Router,
    body::{Body as WireBody, Bytes},
    extract::{Request as WireRequest, State},
    http::{StatusCode, header},
    response::Response as WireResponse,
    serve::ListenerExt,
};
use futures::{StreamExt, stream};
use std::{
    future, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::{net::TcpListener, sync::watch};

/// Of a body that is too long this much is read and thrown away, so that the client gets to read its 413 instead of
/// a broken connection. A guess: longer than any mistake, short enough to end.
const DRAIN_LIMIT: usize = 16 << 20;

/// Where a POST moves the simulator's UTC clock forward, by the parameter `seconds`; no part of the simulated service.
pub const ADVANCE_PATH: &str = "/_sim/advance";

/// A running simulator. Dropping it closes the port and every connection, also those that a fault keeps hanging.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    service: Arc<Service>,
    clock: Arc<Clock>,
    ca_pem: Option<String>,
    /// Only held: everybody who serves notices when it is gone.
    _open: watch::Sender<()>,
}

/// Where and how to listen. The default is a free loopback port without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Port 0 is a free one.
    pub address: SocketAddr,
    /// Speak TLS, which needs the feature `tls`: with a certificate for `localhost`, `127.0.0.1`, `::1` and the address, by an authority made for
    /// this run.
    pub tls: bool,
}

/// What serving a request needs.
#[derive(Clone)]
struct House {
    service: Arc<Service>,
    clock: Arc<Clock>,
    closed: watch::Receiver<()>,
}

/// The one clock.
#[derive(Debug)]
struct Clock {
    started: Instant,
    /// The UTC time at the start, if it is not the real one.
    starts_at: Option<u64>,
    /// Seconds by which it was moved forward.
    advanced: AtomicU64,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), tls: false }
    }
}

impl Simulator {
    /// Starts to listen on a free loopback port. The server runs on the tokio runtime that this is called on.
    pub async fn start(world: World) -> io::Result<Simulator> {
        Simulator::start_on(world, Listen::default()).await
    }

    /// Starts to listen there. The server runs on the tokio runtime that this is called on.
    pub async fn start_on(world: World, listen: Listen) -> io::Result<Simulator> {
        let listener = TcpListener::bind(listen.address).await?;
        let address = listener.local_addr()?;
        let clock = Arc::new(Clock {
            started: instant(),
            starts_at: world.starts_at,
            advanced: AtomicU64::default(),
        });
        let service = Arc::new(Service::new(world));
        let (open, closed) = watch::channel(());
        let house =
            House { service: Arc::clone(&service), clock: Arc::clone(&clock), closed: closed.clone() };
        let router = Router::new().fallback(serve).with_state(house);
        let ca_pem = if listen.tls {
            Some(serve_tls(listener, router, closed)?)
        } else {
            // Answers are small and somebody waits for each of them. Failing to say so costs speed, nothing else.
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(gone(closed)).into_future());
            None
        };
        Ok(Simulator { address, service, clock, ca_pem, _open: open })
    }

    /// `http://127.0.0.1:PORT` or the like with `https`, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the authority that a client has to trust, in PEM; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Moves the UTC clock forward, past the next midnight for example. The rate is measured on another clock, which
    /// this does not touch.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by.as_secs());
    }

    /// What has been seen so far.
    pub fn witness(&self) -> Witness {
        self.service.witness()
    }

    /// The files that were handed in to the appliance.
    pub fn submissions(&self) -> Vec<Submission> {
        self.service.submissions()
    }
}

/// Returns the authority that clients have to trust.
#[cfg(feature = "tls")]
fn serve_tls(listener: TcpListener, router: Router, closed: watch::Receiver<()>) -> io::Result<String> {
    let Authority { pem, acceptor } = Authority::new(listener.local_addr()?.ip())?;
    let listener = TlsListener::new(listener, acceptor, gone(closed.clone()))?;
    tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(gone(closed)).into_future());
    Ok(pem)
}

#[cfg(not(feature = "tls"))]
fn serve_tls(_: TcpListener, _: Router, _: watch::Receiver<()>) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the simulator was built without TLS"))
}

/// Resolves when the [`Simulator`] has been dropped.
async fn gone(mut closed: watch::Receiver<()>) {
    while closed.changed().await.is_ok() {}
}

async fn serve(State(house): State<House>, request: WireRequest) -> WireResponse {
    tokio::select! {
        response = attend(&house, request) => response,
        () = gone(house.closed.clone()) => nothing(),
    }
}

async fn attend(house: &House, request: WireRequest) -> WireResponse {
    let visit = (!request.uri().path().starts_with(BACKSTAGE)).then(|| house.service.visit());
    let request = receive(request).await;
    if request.path == ADVANCE_PATH {
        return deliver(house.clock.asked(&request));
    }
    let response = house.service.answer(&request, house.clock.now());
    pause(response.delay).await;
    if response.delivery == Delivery::Never {
        future::pending::<()>().await;
    }
    drop(visit);
    deliver(response)
}

async fn receive(request: WireRequest) -> Request {
    let (head, body) = request.into_parts();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect(),
        body: read(body, Service::body_limit(head.uri.path())).await,
    }
}

/// A body that breaks off is taken for what came of it; its sender will not see the answer.
async fn read(body: WireBody, limit: usize) -> Body {
    let mut pieces = body.into_data_stream();
    let mut kept = Vec::new();
    let mut n_read = 0_usize;
    while let Some(Ok(piece)) = pieces.next().await {
        n_read += piece.len();
        if n_read <= limit {
            kept.extend_from_slice(&piece);
        } else if n_read > limit.max(DRAIN_LIMIT) {
            break;
        }
    }
    if n_read <= limit { Body::Whole(kept) } else { Body::TooLong }
}

fn deliver(response: Response) -> WireResponse {
    let mut wire = WireResponse::builder().status(response.status);
    for (name, value) in &response.headers {
        wire = wire.header(name, value);
    }
    let whole = Bytes::from(response.body);
    let built = match response.delivery {
        Delivery::Whole | Delivery::Never => wire.body(WireBody::from(whole)),
        Delivery::CutAfter(n) => wire
            .header(header::CONTENT_LENGTH, whole.len())
            .body(WireBody::empty())
            .map(|head| cut(head, whole.slice(..n.min(whole.len())))),
    };
    built.unwrap_or_else(|error| {
        let mut wire = WireResponse::new(WireBody::from(format!("the script cannot be sent: {error}\n")));
        *wire.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        wire
    })
}

/// Sends the head and the first piece of the body and drops the connection. Between the two the body has nothing to
/// give for a moment, which makes the server flush what it has; else an error would overtake the bytes before it.
fn cut(head: WireResponse, piece: Bytes) -> WireResponse {
    let pieces = stream::iter([Ok(piece)]).chain(stream::once(async {
        tokio::task::yield_now().await;
        Err(io::Error::other("the connection is cut on purpose"))
    }));
    head.map(|_| WireBody::from_stream(pieces))
}

/// Drops the connection before a byte has been sent: the error overtakes the head.
fn nothing() -> WireResponse {
    let error = io::Error::other("the simulator is gone");
    WireResponse::new(WireBody::from_stream(stream::iter([Err::<Bytes, _>(error)])))
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the shell tells the service what time it is")]
    fn now(&self) -> Moment {
        let since_start = self.started.elapsed();
        let unix_seconds = match self.starts_at {
            Some(start) => start.saturating_add(since_start.as_secs()),
            None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        Moment {
            since_start,
            unix_seconds: unix_seconds.saturating_add(self.advanced.load(Ordering::Relaxed)),
        }
    }

    fn advance(&self, seconds: u64) {
        let add = |advanced: u64| Some(advanced.saturating_add(seconds));
        // It never fails, because the closure never refuses.
        let _ = self.advanced.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Answers with the time that it is now.
    fn asked(&self, request: &Request) -> Response {
        let seconds = request.parameter("seconds").and_then(|text| text.parse().ok());
        match (request.method.as_str(), seconds) {
            ("POST", Some(seconds)) => {
                self.advance(seconds);
                let now = self.now().unix_seconds;
                Response::json(200, &Tree::record([("unix_seconds", now.into())]))
            }
            ("POST", None) => Response::text(400, "text/plain", "the parameter seconds is required\n"),
            _ => Response::empty(405).with_header("allow", "POST"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell keeps the time since the start")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the shell carries out the delays that an answer asks for")]
async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
