//! A gateway on real sockets with the real host and journal; orders are kept by a stand-in for the worker.

#![allow(dead_code, reason = "the tests and the example use different parts of it")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::ids::{Epoch, Keyring, OwnerId, SaleUid, ShardId};
use flashsale_core::order::{Backlog, State};
use flashsale_core::owner::{Owner, Phase};
use flashsale_core::room::Room;
use flashsale_core::ticket::{Signer, Ticket};
use flashsale_crds::Money;
use flashsale_dataplane::board::Posted;
use flashsale_dataplane::clock::now_ms;
use flashsale_dataplane::desk::{CancelOutcome, Desk, Payment, PaymentOutcome, Request};
use flashsale_dataplane::gateway::{Gateway, GatewayOptions, Gateways, Secret};
use flashsale_dataplane::host::{Host, Message, Port, WAITING_MAX};
use flashsale_dataplane::sale::{Identity, Item, RequestRates, Sale};
use flashsale_dataplane::shared::Shared;
use flashsale_http::{Limits, Running, Server};
use flashsale_journal::{Journal, Options};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

pub const TICKET_SECRET: &str = "a ticket secret for tests";
pub const PAYMENT_SECRET: &str = "a payment secret for tests";
pub const PHONE: &str = "phone-15-black";
pub const CASE: &str = "case";

/// What is set up; start from [`Setup::default`].
pub struct Setup {
    pub sale: Sale,
    pub options: GatewayOptions,
    pub threads: usize,
}

impl Default for Setup {
    fn default() -> Self {
        let currency = "EUR".parse().expect("a currency");
        let item = |id: &str, minor, stock, limit| Item {
            id: id.to_owned(),
            title: id.to_owned(),
            price: Money::from_minor(minor, currency),
            stock,
            limit,
        };
        let sale = Sale {
            uid: SaleUid(77),
            name: "phone-launch".to_owned(),
            namespace: "shop".to_owned(),
            items: vec![item(PHONE, 69_900, 10, 1), item(CASE, 1_950, 100, 3)],
            opens: now_ms() - 1_000,
            closes: now_ms() + 3_600_000,
            shards: 2,
            payment_timeout: Duration::from_secs(900),
            currency,
            orders_per_minute: 600,
            backlog: Backlog::Hold,
            registration: None,
            identity: Identity::TrustedHeader {
                name: "X-Buyer-Id".to_owned(),
                from: vec!["127.0.0.0/8".parse().expect("a network")],
            },
            requests: RequestRates::default(),
            targets: Vec::new(),
            settlement: None,
            switches: flashsale_crds::Switches::default(),
        };
        let mut options = GatewayOptions::new(Secret::new(TICKET_SECRET), Secret::new(PAYMENT_SECRET));
        options.dev_pay = true;
        Self {
            sale,
            options,
            threads: 1,
        }
    }
}

/// A running gateway.
pub struct Stand {
    pub base: String,
    pub shared: Arc<Shared>,
    pub http: reqwest::Client,
    keys: Keyring,
    signer: Signer,
    port: Port,
    journal: Arc<Journal>,
    _server: Running,
    _dir: tempfile::TempDir,
}

impl Stand {
    pub async fn start(setup: Setup) -> Self {
        Self::start_in(setup, std::env::temp_dir().as_path()).await
    }

    pub async fn start_in(setup: Setup, parent: &Path) -> Self {
        let dir = tempfile::tempdir_in(parent).expect("a directory");
        let Setup {
            sale,
            options,
            threads,
        } = setup;
        let opened = Journal::open(dir.path(), Options::default()).expect("a journal");
        let journal = Arc::new(opened.journal);
        let shared = Arc::new(Shared::new(sale));
        let (port, inbox) = Port::channel();
        let (senders, replies): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::unbounded_channel()).unzip();
        let mut host = Host::new(room(&shared.sale), shared.clone(), journal.clone(), senders);
        host.fence().expect("a journal that takes records");
        std::thread::spawn(move || {
            host.run(&inbox, &opened.committed)
                .expect("a host without failures");
        });
        while shared.shards.iter().any(|s| s.load().phase != Phase::Open) {
            tokio::task::yield_now().await;
        }
        let (loaded, done) = crossbeam_channel::bounded(1);
        assert!(port.send(Message::Load(loaded)));
        let (desk, requests) = Desk::channel();
        tokio::spawn(orders(shared.clone(), port.clone(), requests));
        tokio::task::spawn_blocking(move || {
            done.recv_timeout(Duration::from_secs(30)).expect("loaded stock");
        })
        .await
        .expect("loaded stock");
        let (server, base) = serve(options, &shared, &port, desk, replies);
        Self {
            base,
            keys: Keyring::new(shared.sale.uid),
            signer: Signer::new(shared.sale.uid, TICKET_SECRET.as_bytes()),
            shared,
            http: client(),
            port,
            journal,
            _server: server,
            _dir: dir,
        }
    }

    /// The number in a buyer's ticket.
    pub fn number(&self, ticket: &str, buyer: &str) -> Ticket {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).expect("Base64");
        let bytes = bytes.try_into().expect("a ticket's length");
        self.signer
            .open(&bytes, self.keys.buyer(buyer))
            .expect("the buyer's own ticket")
    }

    /// A ticket signed with the sale's own secret.
    pub fn sign(&self, ticket: &Ticket, buyer: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.signer.sign(ticket, self.keys.buyer(buyer)))
    }

    /// Plays the database: the ticket's order is in this state.
    pub fn post(&self, ticket: &str, buyer: &str, state: State) {
        let ticket = self.number(ticket, buyer);
        post(&self.shared, ticket.shard, ticket.no, state);
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.port.send(Message::Stop);
        let _ = self.journal.close();
    }
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .expect("an HTTP client")
}

fn room(sale: &Sale) -> Room {
    let mut room = Room::new(sale.shards, sale.items.len(), WAITING_MAX);
    for shard in 0..sale.shards {
        let (id, me) = (ShardId(shard), OwnerId(u64::from(shard) + 1));
        let owner = Owner::claimed(id, me, Epoch(1), sale.rules(), &mut Vec::new());
        room.own(owner, &mut Vec::new());
    }
    room
}

type Replies = mpsc::UnboundedReceiver<Vec<flashsale_dataplane::host::HostReply>>;

fn serve(
    options: GatewayOptions,
    shared: &Arc<Shared>,
    port: &Port,
    desk: Desk,
    replies: Vec<Replies>,
) -> (Running, String) {
    let limits = Limits {
        connections_per_peer: u32::MAX,
        ..Limits::default()
    };
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listen = [listen.parse().expect("an address")];
    let server = Server::bind(&listen, limits, replies.len()).expect("a free port");
    let base = format!("http://{}", server.local_addrs()[0]);
    let all = Gateways::new(options, shared.clone(), port.clone(), desk).expect("good options");
    let replies: Vec<_> = replies.into_iter().map(|r| Mutex::new(Some(r))).collect();
    let running = server.serve(move |ix| {
        let replies = replies[ix]
            .lock()
            .expect("a lock")
            .take()
            .expect("one thread each");
        Gateway::new(ix as u8, &all, replies)
    });
    (running.expect("threads"), base)
}

fn post(shared: &Shared, shard: ShardId, ticket: TicketNo, state: State) {
    let pay_by = if state == State::Reserved {
        0
    } else {
        now_ms() + 900_000
    };
    shared.board.post(shard, ticket, Posted { state, pay_by });
}

/// The stand-in for the worker: pays and closes what the board shows.
async fn orders(shared: Arc<Shared>, port: Port, mut requests: mpsc::Receiver<Request>) {
    let mut payments: HashMap<String, (Payment, PaymentOutcome)> = HashMap::new();
    while let Some(request) = requests.recv().await {
        match request {
            Request::Cancel(shard, ticket, reply) => {
                let outcome = match shared.board.read(shard, ticket).map(|p| p.state) {
                    None => CancelOutcome::NotYet,
                    Some(State::Paid) => CancelOutcome::Paid,
                    Some(State::Closed(_)) => CancelOutcome::Closed,
                    Some(State::Reserved | State::Pending) => {
                        let reason = ReleaseReason::Cancelled;
                        post(&shared, shard, ticket, State::Closed(reason));
                        assert!(port.send(Message::Release(vec![(shard, ticket, reason)])));
                        CancelOutcome::Closed
                    }
                };
                let _ = reply.send(outcome);
            }
            Request::Pay(payment, reply) => {
                let outcome = match payments.get(&payment.payment_id) {
                    Some((known, outcome)) if *known == payment => *outcome,
                    Some(_) => PaymentOutcome::Conflict,
                    None => pay(&shared, &payment),
                };
                if matches!(outcome, PaymentOutcome::Paid | PaymentOutcome::RefundDue) {
                    payments.insert(payment.payment_id.clone(), (payment, outcome));
                }
                let _ = reply.send(outcome);
            }
        }
    }
}

fn pay(shared: &Shared, payment: &Payment) -> PaymentOutcome {
    let Some((shard, ticket)) = order_of(shared, &payment.order_id) else {
        return PaymentOutcome::UnknownOrder;
    };
    match shared.board.read(shard, ticket).map(|p| p.state) {
        Some(State::Pending) if payment.amount_minor != 69_900 => PaymentOutcome::WrongAmount {
            expected_minor: 69_900,
        },
        Some(State::Pending) => {
            post(shared, shard, ticket, State::Paid);
            PaymentOutcome::Paid
        }
        Some(State::Paid | State::Closed(_)) => PaymentOutcome::RefundDue,
        Some(State::Reserved) | None => PaymentOutcome::UnknownOrder,
    }
}

/// The ticket that an order's id is for.
fn order_of(shared: &Shared, id: &str) -> Option<(ShardId, TicketNo)> {
    let mut parts = id.rsplit('-').map(str::parse::<u64>);
    let (n, made) = (parts.next()?.ok()?, parts.next()?.ok()? as u32);
    let shard = ShardId(parts.next()?.ok()? as u16);
    let ticket = TicketNo { made: Epoch(made), n };
    let known = shard.ix() < shared.shards.len() && shared.sale.order_id(shard, ticket) == id;
    known.then_some((shard, ticket))
}
