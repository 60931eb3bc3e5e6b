//! A small HTTP/1.1 client: one request after the other on a kept connection.

use anyhow::{Context, bail, ensure};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// An answer larger than this is an error.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Header lines of an answer.
const HEADERS_MAX: usize = 32;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    taken: usize,
}

/// An answer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// A connection to `to`, from `source` if one is given.
pub(crate) async fn connect(to: SocketAddr, source: Option<IpAddr>) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source {
        socket.set_reuseaddr(true)?;
        socket
            .bind(SocketAddr::new(source, 0))
            .with_context(|| format!("binding to {source}"))?;
    }
    let stream = socket
        .connect(to)
        .await
        .with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(to: SocketAddr, source: Option<IpAddr>) -> anyhow::Result<Self> {
        Ok(Self {
            stream: connect(to, source).await?,
            buffer: Vec::with_capacity(2048),
            taken: 0,
        })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.stream.write_all(request).await?;
        loop {
            if let Some((status, body)) = whole(&self.buffer)? {
                self.taken = body.end;
                return Ok(Answer {
                    status,
                    body: &self.buffer[body],
                });
            }
            ensure!(self.buffer.len() <= ANSWER_BYTES_MAX, "the answer is too large");
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}

/// The status and the body's place, once the answer is whole.
fn whole(bytes: &[u8]) -> anyhow::Result<Option<(u16, std::ops::Range<usize>)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(bytes)? else {
        return Ok(None);
    };
    let length = head
        .headers
        .iter()
        .find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("an answer without its length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    let status = head.code.context("an answer without a status")?;
    Ok((bytes.len() >= start + length).then_some((status, start..start + length)))
}
