//! Where people come in: the gateways on the public address, the admin port on another.

use super::{Embedded, ServeError};
use crate::admin::Admin;
use crate::gateway::{Gateway, GatewayOptions, Gateways, Secret};
use crate::live::Live;
use crate::pages;
use crate::signature::hex;
use crate::switches;
use flashsale_http::{Limits, Running, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests that are under way may take when the front closes.
const GRACE: Duration = Duration::from_secs(5);

/// Where to listen, and how.
#[derive(Debug, Clone)]
pub struct FrontOptions {
    /// The buyers' address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The admin port's address; port 0 takes a free one.
    pub admin: SocketAddr,
    /// Whether buyers may pay without a payment provider. Development only.
    pub dev_pay: bool,
    /// A directory with the shop's own pages, read anew when they change.
    pub pages: Option<PathBuf>,
    /// Whether the simulated crowd comes from this machine: connections from one address aren't limited then.
    pub crowd: bool,
}

/// Addresses that are this process's from now on, before anything of a sale is written: whoever comes waits
/// until it is served.
pub struct Doors {
    options: FrontOptions,
    server: Server,
    listener: TcpListener,
}

impl Doors {
    /// Takes the addresses, for so many gateways.
    ///
    /// # Errors
    /// One is in use, or not this machine's.
    pub async fn take(options: FrontOptions, gateways: usize) -> Result<Self, ServeError> {
        let bound = TcpListener::bind(options.admin).await;
        let listener = bound.map_err(|e| {
            let address = options.admin;
            ServeError::Front(format!(
                "admin port: can't listen on {address} ({e}): give another address with `--admin`"
            ))
        })?;
        let mut limits = Limits::default();
        if options.crowd {
            limits.connections_per_peer = u32::MAX;
        }
        let server = Server::bind(&[options.listen], limits, gateways)
            .map_err(|e| ServeError::Front(format!("{e} (`--listen`)")))?;
        Ok(Self {
            options,
            server,
            listener,
        })
    }
}

/// The open doors of a sale.
pub struct Front {
    /// The buyers' address.
    pub listen: SocketAddr,
    /// The admin port's address.
    pub admin: SocketAddr,
    live: watch::Receiver<Live>,
    server: Running,
    admin_server: JoinHandle<()>,
}

impl Front {
    /// Opens the doors of a sale that was started with as many gateways.
    ///
    /// # Errors
    /// A gateway can't be started.
    pub fn open(embedded: &mut Embedded, doors: Doors) -> Result<Self, ServeError> {
        let Doors {
            options,
            server,
            listener,
        } = doors;
        let replies = std::mem::take(&mut embedded.replies);
        let stats = Arc::new(server.stats());

        let ticket_secret = hex(&embedded.orders.ticket_secret().0);
        let payment_secret = Secret::new(&*embedded.payment_secret);
        let mut gateway = GatewayOptions::new(Secret::new(ticket_secret), payment_secret);
        gateway.dev_pay = options.dev_pay;
        let all = Gateways::new(
            gateway,
            Arc::clone(&embedded.shared),
            embedded.port.clone(),
            embedded.desk.clone(),
        )
        .map_err(|e| ServeError::Front(e.to_string()))?;
        let replies: Vec<_> = replies.into_iter().map(|r| Mutex::new(Some(r))).collect();
        let server = server
            .serve(move |thread| {
                let replies = replies[thread].lock().ok().and_then(|mut r| r.take());
                // Each thread is started once.
                let replies = replies.unwrap_or_else(|| tokio::sync::mpsc::unbounded_channel().1);
                Gateway::new(thread as u8, &all, replies)
            })
            .map_err(|e| ServeError::Front(e.to_string()))?;

        tokio::spawn(switches::keep(Arc::downgrade(&embedded.shared)));
        if let Some(dir) = options.pages {
            pages::publish(&embedded.shared, &dir).map_err(|e| {
                ServeError::Front(format!("{}: the pages can't be read ({e})", dir.display()))
            })?;
            tokio::spawn(pages::keep(Arc::downgrade(&embedded.shared), dir));
        }
        let admin = Admin::start(Arc::clone(&embedded.shared), Some(stats));
        let live = admin.live();
        let admin_address = listener.local_addr().unwrap_or(options.admin);
        let router = admin.router();
        let admin_server = tokio::spawn(async move {
            // Ends with the process; a failed accept is retried by axum itself.
            let _ = axum::serve(listener, router).await;
        });
        let listen = server.local_addrs().first().copied().unwrap_or(options.listen);
        Ok(Self {
            listen,
            admin: admin_address,
            live,
            server,
            admin_server,
        })
    }

    /// The live document, as it changes.
    #[must_use]
    pub fn live(&self) -> watch::Receiver<Live> {
        self.live.clone()
    }

    /// Closes the doors: takes no more connections, and finishes what is under way.
    pub async fn close(self) {
        self.admin_server.abort();
        if let Err(error) = self.server.shutdown(GRACE).await {
            tracing::warn!(%error, "a gateway thread didn't end well");
        }
    }
}
