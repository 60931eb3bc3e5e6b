//! A server to test, and a client that sends exactly the bytes it is told to.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flashsale_http::{
    HeaderValue, Limits, Prepared, Reply, Request, Response, Running, Server, Snapshot, StatusCode, header,
};
use futures_core::Stream;
use tokio::sync::{Notify, Semaphore, mpsc};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What tests and the service under test share.
pub(crate) struct Gate {
    /// `/hold` is answered once per permit.
    pub(crate) permits: Semaphore,
    /// Told when `/hold` is asked.
    pub(crate) asked: Notify,
}

pub(crate) struct Fixture {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) gate: Arc<Gate>,
    /// Whatever is sent here is an event of each `/events`.
    pub(crate) events: tokio::sync::broadcast::Sender<bytes::Bytes>,
}

pub(crate) fn start(limits: Limits) -> Fixture {
    start_on(limits, 1)
}

pub(crate) fn start_on(limits: Limits, threads: usize) -> Fixture {
    let gate = Arc::new(Gate {
        permits: Semaphore::new(0),
        asked: Notify::new(),
    });
    let (events, _) = tokio::sync::broadcast::channel(1024);
    let server = Server::bind(&["127.0.0.1:0".parse().unwrap()], limits, threads).unwrap();
    let address = server.local_addrs()[0];
    let running = server
        .serve({
            let (gate, events) = (gate.clone(), events.clone());
            move |_| service(gate.clone(), events.clone())
        })
        .unwrap();
    Fixture {
        running,
        address,
        gate,
        events,
    }
}

fn service(
    gate: Arc<Gate>,
    events: tokio::sync::broadcast::Sender<bytes::Bytes>,
) -> impl Fn(&Request<'_>) -> Reply {
    let sold_out = Arc::new(Prepared::new(
        Response::problem(StatusCode::GONE, "{\"status\":410}")
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ));
    move |request| match request.path {
        "/sold-out" => sold_out.clone().into(),
        "/hold" => {
            let gate = gate.clone();
            gate.asked.notify_one();
            let echo = echo(request);
            Reply::later(async move {
                gate.permits.acquire().await.unwrap().forget();
                echo
            })
        }
        "/soon" => {
            let echo = echo(request);
            Reply::later(async move {
                tokio::task::yield_now().await;
                echo
            })
        }
        "/never" => Reply::later(std::future::pending::<Response>()),
        "/events" => Reply::events(subscribe(&events)),
        "/events-soon" => {
            let events = events.clone();
            Reply::later(async move {
                tokio::task::yield_now().await;
                Reply::events(subscribe(&events))
            })
        }
        "/big" => Response::new(StatusCode::OK).body(vec![b'x'; 8 << 20]).into(),
        "/nothing" => Response::new(StatusCode::NO_CONTENT).into(),
        "/panic" => panic!("the service panicked, as the test asked it to"),
        _ => echo(request).into(),
    }
}

/// Says what the service saw.
fn echo(request: &Request<'_>) -> Response {
    let text = format!(
        "{:?} {} {:?} {:?} {}",
        request.method,
        request.path,
        request.query,
        request.headers.get("X-BUYER-ID").map(String::from_utf8_lossy),
        String::from_utf8_lossy(request.body)
    );
    Response::new(StatusCode::OK).body(text)
}

/// Events until the empty one.
fn subscribe(
    events: &tokio::sync::broadcast::Sender<bytes::Bytes>,
) -> impl Stream<Item = bytes::Bytes> + 'static {
    struct Items(mpsc::Receiver<bytes::Bytes>);
    impl Stream for Items {
        type Item = bytes::Bytes;
        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<bytes::Bytes>> {
            self.0.poll_recv(cx)
        }
    }
    let mut source = events.subscribe();
    let (sender, receiver) = mpsc::channel(16);
    sender.try_send("event: hello\n\n".into()).unwrap();
    tokio::task::spawn_local(async move {
        while let Ok(item) = source.recv().await {
            if item.is_empty() || sender.send(item).await.is_err() {
                break;
            }
        }
    });
    Items(receiver)
}

impl Fixture {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends `bytes` on a new connection and returns all that comes back until the server closes it.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        read_all(&mut stream)
    }

    pub(crate) fn stats(&self) -> Snapshot {
        self.running.stats().total()
    }

    /// Lets one `/hold` go on.
    pub(crate) fn release(&self) {
        self.gate.permits.add_permits(1);
    }

    /// Waits until the service has been asked so many times.
    pub(crate) fn until_asked(&self, requests: u64) {
        self.until(|stats| stats.requests_h1 + stats.requests_h2 >= requests);
    }

    /// Waits until the counters are as wanted; they tell nobody when they change.
    pub(crate) fn until(&self, wanted: impl Fn(Snapshot) -> bool) {
        let start = std::time::Instant::now();
        while !wanted(self.stats()) {
            assert!(start.elapsed() < PATIENCE, "gave up at {:?}", self.stats());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a `/hold` has been asked.
    pub(crate) fn until_held(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.gate.asked.notified()).await })
            .unwrap();
    }
}

/// Everything until the server closes, without the `Date` lines.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    without_dates(&String::from_utf8(all).unwrap())
}

pub(crate) fn without_dates(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find("date: ") {
        out.push_str(&rest[..at]);
        let line = rest[at..].find("\r\n").unwrap();
        assert_eq!(line, 35, "a date line has a fixed length");
        rest = &rest[at + line + 2..];
    }
    out + rest
}

/// Reads until what came ends in `end`.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0; 1];
    while !all.ends_with(end.as_bytes()) {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "closed after {:?}",
            String::from_utf8_lossy(&all)
        );
        all.push(byte[0]);
    }
    without_dates(&String::from_utf8(all).unwrap())
}

/// The answer `echo` gives.
pub(crate) fn echoed(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}
