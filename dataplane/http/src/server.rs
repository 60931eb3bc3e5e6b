//! Binding, starting and stopping.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{oneshot, watch};

use crate::peers::Peers;
use crate::stats::Stats;
use crate::thread::ServerThread;
use crate::{Limits, Service};

/// A server that is bound to its addresses: clients can connect, and wait until it [serves](Server::serve).
#[derive(Debug)]
pub struct Server {
    /// Those of each thread.
    listeners: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
    limits: Limits,
    stats: Stats,
}

/// An address can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {source}; choose another address or end what uses it")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A thread of the server failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It couldn't be started.
    #[error("can't start a server thread: {0}")]
    Start(#[from] io::Error),
    /// It panicked outside any connection; the panic itself went to standard error.
    #[error("server thread {0} panicked")]
    Panicked(usize),
}

impl Server {
    /// Binds each address once per thread, so that the kernel spreads connections over the threads. Port 0 takes
    /// a free one, the same for all threads. At least one thread is used.
    ///
    /// # Errors
    ///
    /// [`BindError`] for the first address that can't be bound.
    pub fn bind(addresses: &[SocketAddr], limits: Limits, threads: usize) -> Result<Server, BindError> {
        let threads = threads.max(1);
        let mut listeners: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
        let mut bound = Vec::with_capacity(addresses.len());
        for address in addresses {
            let mut actual = *address;
            probe(actual).map_err(|source| BindError {
                address: *address,
                source,
            })?;
            for own in &mut listeners {
                let listener = listen(actual, &limits).map_err(|source| BindError {
                    address: *address,
                    source,
                })?;
                actual = listener.local_addr().map_err(|source| BindError {
                    address: *address,
                    source,
                })?;
                own.push(listener);
            }
            bound.push(actual);
        }
        Ok(Server {
            listeners,
            addresses: bound,
            limits,
            stats: Stats::new(threads),
        })
    }

    /// The addresses actually bound, in the order given.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The server's counters.
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Starts the threads. `make_service` is called once on each, inside its runtime, with the thread's index from
    /// 0, so a service may spawn local tasks.
    ///
    /// # Errors
    ///
    /// [`ServeError::Start`] when the system gives no more threads; those already started are stopped.
    pub fn serve<S: Service>(
        self,
        make_service: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> Result<Running, ServeError> {
        let make_service = Arc::new(make_service);
        let peers = Arc::new(Peers::default());
        let (stop, _) = watch::channel(None);
        let mut running = Running {
            stop,
            threads: Vec::new(),
            addresses: self.addresses,
            stats: self.stats,
        };
        for (index, listeners) in self.listeners.into_iter().enumerate() {
            let thread = ServerThread {
                index,
                listeners,
                limits: self.limits.clone(),
                stats: running.stats.thread(index),
                peers: peers.clone(),
                stop: running.stop.subscribe(),
            };
            let make_service = make_service.clone();
            let (end, ended) = oneshot::channel::<()>();
            let handle = std::thread::Builder::new()
                .name(format!("http-{index}"))
                .spawn(move || {
                    // Dropped, and so told, however the thread ends.
                    let _end = end;
                    thread.run(&*make_service)
                })?;
            running.threads.push(Thread { handle, ended });
        }
        Ok(running)
    }
}

/// Makes sure that nobody listens there. Sharing the port among the threads would also let another server share it,
/// and each would get some of the buyers.
fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listen(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit the following.
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_recv_buffer_size(limits.receive_buffer_bytes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.write_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(i32::from(limits.backlog))?;
    Ok(socket.into())
}

/// A server that serves. Dropping it stops it at once, without waiting for anything.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<Option<Duration>>,
    threads: Vec<Thread>,
    addresses: Vec<SocketAddr>,
    stats: Stats,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<Result<(), ServeError>>,
    /// Told, by its sender being dropped, when the thread ends.
    ended: oneshot::Receiver<()>,
}

impl Running {
    /// The addresses actually bound, in the order given.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The server's counters.
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Waits until a thread ends, which without a [shutdown](Running::shutdown) is a failure of that thread.
    pub async fn failed(&mut self) {
        std::future::poll_fn(|cx| {
            let mut threads = self.threads.iter_mut();
            let any = threads.any(|thread| {
                thread.ended.is_terminated() || Pin::new(&mut thread.ended).poll(cx).is_ready()
            });
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Stops: accepts nothing new, closes idle connections, lets requests in flight finish for at most `grace`,
    /// ends event streams, and drops what is left then. Works inside any async runtime.
    ///
    /// # Errors
    ///
    /// The first failure of a thread.
    pub async fn shutdown(mut self, grace: Duration) -> Result<(), ServeError> {
        self.stop.send_replace(Some(grace));
        for thread in &mut self.threads {
            if !thread.ended.is_terminated() {
                // Nothing is ever sent: the error is the news.
                let _ = (&mut thread.ended).await;
            }
        }
        self.join()
    }

    /// The same as [`shutdown`](Running::shutdown), blocking this thread.
    ///
    /// # Errors
    ///
    /// The first failure of a thread.
    pub fn shutdown_blocking(mut self, grace: Duration) -> Result<(), ServeError> {
        self.stop.send_replace(Some(grace));
        self.join()
    }

    fn join(&mut self) -> Result<(), ServeError> {
        let mut result = Ok(());
        for (index, thread) in self.threads.drain(..).enumerate() {
            result = result.and(thread.handle.join().unwrap_or(Err(ServeError::Panicked(index))));
        }
        result
    }
}
