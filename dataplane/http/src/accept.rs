//! Taking connections in, within bounds.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::h1::{Connection, End};
use crate::peers::Peers;
use crate::worker::{Seat, Worker};
use crate::{Service, h2};

/// The most connections of one thread that are told they are refused; more are just closed.
const REFUSING: usize = 128;
/// How long to leave off after accepting failed, which is mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// When to stop, and how long what is in flight may take then.
pub(crate) type Stop = watch::Receiver<Option<Duration>>;

/// Accepts the connections of one listener of one thread.
pub(crate) struct Acceptor<S> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) service: Rc<S>,
    pub(crate) peers: Arc<Peers>,
}

impl<S: Service> Acceptor<S> {
    /// Accepts until it is told to stop. What the kernel has already accepted by then is still served.
    pub(crate) async fn run(self, listener: TcpListener, mut stop: Stop) {
        loop {
            let accepted = tokio::select! {
                biased;
                // The sender's end is a stop as well.
                _ = stop.wait_for(Option::is_some) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) => {
                    self.worker.stats.accept_errors.add(1);
                    if !is_of_one_connection(&error) {
                        tracing::warn!(%error, "can't accept connections; trying again shortly");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        if let Ok(listener) = listener.into_std() {
            while let Ok((stream, peer)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    self.take(stream, peer);
                }
            }
        }
    }

    /// Starts to serve a connection, or to refuse it.
    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let Acceptor {
            worker,
            service,
            peers,
        } = self;
        // Answers are written whole, so waiting to fill a segment would only delay them. A failure means the
        // connection is gone already, which its first read will tell.
        let _ = stream.set_nodelay(true);
        let limits = &worker.limits;
        let slot = if worker.open() >= limits.connections_per_thread {
            worker.stats.refused_thread_full.add(1);
            None
        } else {
            let slot = peers.take(peer.ip(), limits.connections_per_peer);
            worker.stats.refused_peer_full.add(u64::from(slot.is_none()));
            slot
        };
        let connection = if slot.is_some() {
            Connection::new(stream, peer, service.clone(), Seat::take(worker, slot))
        } else if worker.refusing() < REFUSING {
            Connection::refused(stream, peer, service.clone(), Seat::take(worker, None))
        } else {
            worker.stats.refused_unanswered.add(1);
            return;
        };
        tokio::task::spawn_local(serve(connection));
    }
}

async fn serve<S: Service>(mut connection: Connection<S>) {
    if let End::Http2(read) = poll_fn(|cx| connection.poll(cx)).await {
        let (stream, peer, service, seat) = connection.into_parts();
        // Boxed, so that HTTP/1 connections don't carry the size of an HTTP/2 one.
        Box::pin(h2::serve(stream, read, peer, service, seat)).await;
    }
}

/// Whether accepting failed for a connection that was gone already; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
