//! A server without manners of its own: it reads a request and writes bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A whole answer that says nothing about any hash.
pub(crate) const NOTHING: &str = r#"{"rl":{"entries":[]}}"#;

/// Between the bytes of [`Act::Drip`]: a fraction of the tests' impatience.
const DRIP: Duration = Duration::from_millis(20);

/// What happens to each request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// These bytes, then the connection closes.
    Say(Vec<u8>),
    /// These bytes, and the connection stays open for the next request.
    SayAndStay(Vec<u8>),
    /// A 200 whose body never ends.
    Pour,
    /// These bytes, and then nothing for ever.
    Stall(Vec<u8>),
    /// These bytes, and then a blank now and then for ever.
    Drip(Vec<u8>),
    /// The connection closes without a byte.
    HangUp,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the server saw. The server itself ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    bytes_written: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(act: Act) -> Server {
        Server::with(act, None).await
    }

    pub(crate) async fn start_tls(act: Act, tls: TlsAcceptor) -> Server {
        Server::with(act, Some(tls)).await
    }

    async fn with(act: Act, tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let theirs = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                theirs.connections.fetch_add(1, SeqCst);
                let (act, tls, seen) = (act.clone(), tls.clone(), Arc::clone(&theirs));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, act, &seen).await,
                        // A handshake that fails is the client's to report.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, act, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Server { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn https(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    pub(crate) fn bytes_written(&self) -> usize {
        self.seen.bytes_written.load(SeqCst)
    }
}

/// A response with its length.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len().to_string();
    let headers = [headers, &[("Content-Length", length.as_str())]].concat();
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let head = format!("HTTP/1.1 {status}\r\n{}\r\n\r\n", lines.join("\r\n"));
    [head.as_bytes(), body].concat()
}

/// Whatever a closed connection does to a read or a write is the end of serving it.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, act: Act, seen: &Seen) {
    while let Some(request) = read_request(&mut stream).await {
        seen.requests.lock().unwrap().push(request);
        match &act {
            Act::SayAndStay(bytes) => {
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Act::Say(bytes) => {
                let _ = stream.write_all(bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Act::HangUp => return,
            Act::Stall(bytes) => {
                let _ = stream.write_all(bytes).await;
                std::future::pending::<()>().await;
            }
            Act::Drip(bytes) => {
                let mut ticks = tokio::time::interval(DRIP);
                let mut bytes = bytes.as_slice();
                while stream.write_all(bytes).await.is_ok() {
                    bytes = b" ";
                    ticks.tick().await;
                }
                return;
            }
            Act::Pour => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = [b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat();
                let mut bytes = head.as_slice();
                while stream.write_all(bytes).await.is_ok() {
                    seen.bytes_written.fetch_add(bytes.len(), SeqCst);
                    bytes = &chunk;
                }
                return;
            }
        }
    }
}

/// One request with a `Content-Length`, or `None` at the connection's end.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut request = Request { line, headers, body: Vec::new() };
    let n_bytes: usize = request.header("content-length").map_or(0, |value| value.parse().unwrap());
    while body.len() < n_bytes {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    request.body = body;
    Some(request)
}
