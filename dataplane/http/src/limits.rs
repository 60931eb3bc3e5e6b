//! Every bound of the server, with its unit.

use std::time::Duration;

/// The most header lines of one request; one more is answered with 431.
pub const MAX_HEADERS: usize = 32;

/// The bounds of a server. Times are kept to within a tenth of a second.
///
/// Start from [`Limits::default`] and change single fields.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of a request line and its headers together; more is answered with 431.
    pub head_bytes: usize,
    /// The most bytes of a request body; more is answered with 413.
    pub body_bytes: usize,
    /// From the first byte of a request until its head is whole; then 408.
    pub head_timeout: Duration,
    /// From the end of the head until the body is whole; then 408.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request (on HTTP/2: without any activity of a stream).
    pub idle_timeout: Duration,
    /// How long a client may take to accept the next 16 KiB of its answers before the connection is dropped.
    pub write_timeout: Duration,
    /// A backstop for a [`Reply::Later`](crate::Reply::Later) that never ends: then the connection is dropped.
    pub reply_timeout: Duration,
    /// How long a closed connection is read out, so that the client sees the last answer instead of a reset.
    pub linger_timeout: Duration,
    /// The most open connections of one thread; one more is answered with 503.
    pub connections_per_thread: usize,
    /// The most open connections of one client address (IPv6: of one /64) over all threads; one more gets 503.
    pub connections_per_peer: u32,
    /// The most requests of one HTTP/1.1 connection whose answers are outstanding; reading stops there.
    pub pipelined_replies: usize,
    /// Once this many bytes of answers are collected they are sent before another request is read.
    pub output_bytes: usize,
    /// The kernel's send buffer of one connection in bytes (Linux doubles it).
    pub send_buffer_bytes: usize,
    /// The kernel's receive buffer of one connection in bytes (Linux doubles it).
    pub receive_buffer_bytes: usize,
    /// Connections the kernel may hold before they are accepted, for each listener.
    pub backlog: u16,
    /// The most concurrent streams of an HTTP/2 connection.
    pub h2_streams: u32,
    /// The most streams a client may reset before the server has looked at them; one more ends the connection.
    pub h2_resets: usize,
    /// How often an HTTP/2 client is asked for a sign of life.
    pub h2_ping_interval: Duration,
    /// How long it may take to give one.
    pub h2_ping_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes: 8 * 1024,
            body_bytes: 4 * 1024,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(20),
            reply_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(2),
            connections_per_thread: 60_000,
            connections_per_peer: 1_024,
            pipelined_replies: 64,
            output_bytes: 64 * 1024,
            send_buffer_bytes: 64 * 1024,
            receive_buffer_bytes: 64 * 1024,
            backlog: 4_096,
            h2_streams: 128,
            h2_resets: 32,
            h2_ping_interval: Duration::from_secs(20),
            h2_ping_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The most bytes a chunked body may take on the wire, its framing included.
    pub(crate) fn chunked_bytes(&self) -> usize {
        self.body_bytes * 4 + 1024
    }

    /// Room for one whole request of the largest kind and a good piece of the next ones.
    pub(crate) fn input_bytes(&self) -> usize {
        (self.head_bytes + self.chunked_bytes() + 4096).max(32 * 1024)
    }
}
