//! The simulator as a server on a loopback port: the one place with a clock, a socket and waiting.
//!
//! It decides nothing about an answer. It hands every request to [`Service::answer`] and does with the answer what
//! is written in it.

use crate::{
    Witness, World,
    exchange::{Body, Delivery, Moment, Request, Response},
    service::{BODY_LIMIT, LEDGER_PATH, Service},
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
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{net::TcpListener, sync::watch};

/// Of a body that is too long this much is read and thrown away, so that the client gets to read its 413 instead of
/// a broken connection. A guess: longer than any mistake, short enough to end.
const DRAIN_LIMIT: usize = 16 << 20;

/// A running simulator. Dropping it closes the port and every connection, also those that a fault keeps hanging.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    service: Arc<Service>,
    /// Only held: everybody who serves notices when it is gone.
    _open: watch::Sender<()>,
}

/// What serving a request needs.
#[derive(Clone)]
struct House {
    service: Arc<Service>,
    started: Instant,
    closed: watch::Receiver<()>,
}

impl Simulator {
    /// Starts to listen on a free loopback port. The server runs on the tokio runtime that this is called on.
    pub async fn start(world: World) -> io::Result<Simulator> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        // Answers are small and somebody waits for each of them. Failing to say so costs speed, nothing else.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let service = Arc::new(Service::new(world));
        let (open, closed) = watch::channel(());
        let house = House { service: Arc::clone(&service), started: instant(), closed: closed.clone() };
        let router = Router::new().fallback(serve).with_state(house);
        let server = axum::serve(listener, router).with_graceful_shutdown(gone(closed));
        tokio::spawn(server.into_future());
        Ok(Simulator { address, service, _open: open })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has been seen so far.
    pub fn witness(&self) -> Witness {
        self.service.witness()
    }
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
    let visit = (request.uri().path() != LEDGER_PATH).then(|| house.service.visit());
    let request = receive(request).await;
    let response = house.service.answer(&request, house.now());
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
        body: read(body).await,
    }
}

/// A body that breaks off is taken for what came of it; its sender will not see the answer.
async fn read(body: WireBody) -> Body {
    let mut pieces = body.into_data_stream();
    let mut kept = Vec::new();
    let mut n_read = 0_usize;
    while let Some(Ok(piece)) = pieces.next().await {
        n_read += piece.len();
        if n_read <= BODY_LIMIT {
            kept.extend_from_slice(&piece);
        } else if n_read > DRAIN_LIMIT {
            break;
        }
    }
    if n_read <= BODY_LIMIT { Body::Whole(kept) } else { Body::TooLong }
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

impl House {
    #[expect(clippy::disallowed_methods, reason = "the shell tells the service what time it is")]
    fn now(&self) -> Moment {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { since_start: self.started.elapsed(), unix_seconds: since_1970.as_secs() }
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
