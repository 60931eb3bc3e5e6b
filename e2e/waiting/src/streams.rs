//! Event streams: one per buyer, on a connection of its own, or on HTTP/2 connections shared by many.

use crate::crowd::ticket_request;
use crate::http;
use crate::world::{World, bump, name};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

/// Connections being opened at the same time.
const OPENING_MAX: usize = 256;
/// Streams on one HTTP/2 connection; the server allows 128.
const STREAMS_PER_CONNECTION: u32 = 100;
/// An event longer than this is an error.
const EVENT_BYTES_MAX: usize = 8 * 1024;

thread_local! {
    /// What any of the streams reads into: a stream at rest needs no buffer of its own.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 32 * 1024]);
}

/// What has come of an event that isn't whole.
#[derive(Default)]
struct Partial(Vec<u8>);

impl Partial {
    /// Looks at all whole lines; whether the buyer goes on waiting.
    fn take(&mut self, world: &World, buyer: u32, bytes: &[u8]) -> anyhow::Result<bool> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = if self.0.is_empty() {
                &rest[..end]
            } else {
                self.0.extend_from_slice(&rest[..end]);
                &self.0
            };
            // Everything else is framing or the event's name.
            if let Some(ticket) = line.strip_prefix(b"data: ") {
                bump(&world.events);
                if !world.look(buyer, ticket)? {
                    return Ok(false);
                }
            }
            self.0 = Vec::new();
            rest = &rest[end + 1..];
        }
        self.0.extend_from_slice(rest);
        ensure!(self.0.len() <= EVENT_BYTES_MAX, "an event without an end");
        Ok(true)
    }
}

/// Opens a stream on a connection of its own for each buyer named.
pub(crate) async fn own(world: Rc<World>, mut buyers: UnboundedReceiver<u32>) {
    let opening = Rc::new(Semaphore::new(OPENING_MAX));
    while let Some(buyer) = buyers.recv().await {
        let (world, opening) = (world.clone(), opening.clone());
        tokio::task::spawn_local(async move {
            while let Err(error) = follow(&world, &opening, buyer).await {
                setback(&world, &error).await;
            }
        });
    }
}

async fn setback(world: &World, error: &anyhow::Error) {
    bump(&world.setbacks);
    if world.setbacks.get() < 5 {
        eprintln!("an event stream: {error:#}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn follow(world: &World, opening: &Semaphore, buyer: u32) -> anyhow::Result<()> {
    let mut stream = {
        let _place = opening.acquire().await?;
        http::connect(world.server, Some(world.source())).await?
    };
    let mut request = Vec::new();
    ticket_request(&mut request, &world.buyer(buyer).ticket, "/events", buyer);
    stream.write_all(&request).await?;
    drop(request);
    let _open = Open::of(world);
    let mut partial = Partial::default();
    loop {
        stream.readable().await?;
        let waits = BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
            Ok(0) => bail!("the server ended it"),
            Ok(read) => {
                ensure!(
                    !buffer.starts_with(b"HTTP/1.1 ") || buffer.starts_with(b"HTTP/1.1 200"),
                    "refused"
                );
                partial.take(world, buyer, &buffer[..read])
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        })?;
        if !waits {
            return Ok(());
        }
    }
}

/// Opens streams on shared connections, for all buyers named.
pub(crate) async fn shared(world: Rc<World>, mut buyers: UnboundedReceiver<u32>) {
    let mut line: Option<(SendRequest<Bytes>, u32)> = None;
    while let Some(buyer) = buyers.recv().await {
        let mut send = match line.take() {
            Some((send, left)) if left > 0 => {
                line = Some((send.clone(), left - 1));
                send
            }
            _ => match connection(&world).await {
                Ok(send) => {
                    line = Some((send.clone(), STREAMS_PER_CONNECTION - 1));
                    send
                }
                Err(error) => {
                    setback(&world, &error).await;
                    continue;
                }
            },
        };
        let world = world.clone();
        tokio::task::spawn_local(async move {
            while let Err(error) = follow_shared(&world, &mut send, buyer).await {
                setback(&world, &error).await;
            }
        });
    }
}

async fn connection(world: &World) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = http::connect(world.server, Some(world.source())).await?;
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .handshake(stream)
        .await?;
    tokio::task::spawn_local(async move {
        // Its streams learn of the end themselves.
        let _ = connection.await;
    });
    Ok(send)
}

async fn follow_shared(world: &World, send: &mut SendRequest<Bytes>, buyer: u32) -> anyhow::Result<()> {
    let request = http_request(world, buyer)?;
    std::future::poll_fn(|cx| send.poll_ready(cx)).await?;
    let (answer, _) = send.send_request(request, true)?;
    let answer = answer.await?;
    ensure!(
        answer.status() == ::http::StatusCode::OK,
        "answered {}",
        answer.status()
    );
    let _open = Open::of(world);
    let mut body = answer.into_body();
    let mut partial = Partial::default();
    loop {
        let data = body.data().await.context("the server ended it")??;
        let _ = body.flow_control().release_capacity(data.len());
        if !partial.take(world, buyer, &data)? {
            return Ok(());
        }
    }
}

fn http_request(world: &World, buyer: u32) -> anyhow::Result<::http::Request<()>> {
    let uri = format!(
        "http://{}/v1/tickets/{}/events",
        world.server,
        world.buyer(buyer).ticket
    );
    let request = ::http::Request::builder()
        .uri(uri)
        .header("x-buyer-id", name(buyer));
    Ok(request.body(())?)
}

/// Counts an open stream.
struct Open<'a>(&'a World);

impl<'a> Open<'a> {
    fn of(world: &'a World) -> Self {
        bump(&world.streams_open);
        world
            .most_streams
            .set(world.most_streams.get().max(world.streams_open.get()));
        Self(world)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.streams_open.set(self.0.streams_open.get() - 1);
    }
}
