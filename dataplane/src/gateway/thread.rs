//! One thread's gateway: which call it is, who asks, and whether they may ask so often.

use super::answers::Answers;
use super::client;
use super::funnel::{Funnel, Outcome};
use super::identity::{Buyer, Identifier, NotKnown, address_bits};
use super::jwks::Verifier;
use super::jwt::Rules;
use super::limiter::Limiter;
use super::options::{GatewayError, GatewayOptions, Rate};
use super::owned::Owned;
use super::problem::{Problem, with_api_headers};
use super::route::Route;
use super::throttle::Throttle;
use super::ticket::{self, Held, Standing};
use super::watchers::{ROUND, TicketEvents, Watchers};
use crate::clock::now_ms;
use crate::counters::add;
use crate::desk::Desk;
use crate::host::{HostReply, Port};
use crate::sale::Identity;
use crate::shared::Shared;
use flashsale_core::ids::{Keyring, Millis};
use flashsale_core::ticket::Signer;
use flashsale_http::{Method, Reply, Request, Response, Service, StatusCode};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// The least bytes of a secret.
const SECRET_BYTES_MIN: usize = 16;
/// Sets of 64 bytes for the buyers' limits: 4 MiB per thread, half a million active buyers.
const BUYER_SETS: usize = 1 << 16;
/// The same for addresses: 1 MiB per thread.
const ADDRESS_SETS: usize = 1 << 14;
/// How long a request waits for the shop's keys to be fetched.
const KEYS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Requests of one thread that wait for the shop's keys; one more is answered "busy".
const KEYS_WAITING_MAX: usize = 1_024;

/// What the gateways of all threads share.
pub struct Gateways {
    pub(super) shared: Arc<Shared>,
    pub(super) port: Port,
    pub(super) desk: Desk,
    pub(super) options: GatewayOptions,
    pub(super) signer: Signer,
    pub(super) keys: Keyring,
    pub(super) throttle: Throttle,
    verifier: Option<Arc<Verifier>>,
}

impl Gateways {
    /// Gateways to the host behind `port` and the worker behind `desk`. If buyers come with the shop's tokens, this
    /// starts the thread that keeps the shop's keys up to date.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn new(
        options: GatewayOptions,
        shared: Arc<Shared>,
        port: Port,
        desk: Desk,
    ) -> Result<Arc<Self>, GatewayError> {
        for (what, secret) in [
            ("ticket", &options.ticket_secret),
            ("payment", &options.payment_secret),
        ] {
            let bytes = secret.expose().len();
            if bytes < SECRET_BYTES_MIN {
                return Err(GatewayError::WeakSecret { what, bytes });
            }
        }
        let verifier = match &shared.sale.identity {
            Identity::TrustedHeader { .. } => None,
            Identity::Jwt {
                jwks,
                issuer,
                audiences,
                subject_claim,
            } => {
                let rules = Rules {
                    issuer: issuer.clone(),
                    audiences: audiences.clone(),
                    subject_claim: subject_claim.clone(),
                };
                Some(Arc::new(Verifier::start(jwks, rules, options.jwks_refresh)?))
            }
        };
        Ok(Arc::new(Self {
            signer: Signer::new(shared.sale.uid, options.ticket_secret.expose().as_bytes()),
            keys: Keyring::new(shared.sale.uid),
            throttle: Throttle::new(Instant::now()),
            verifier,
            shared,
            port,
            desk,
            options,
        }))
    }
}

/// The gateway of one thread of the HTTP server.
pub struct Gateway {
    thread: Rc<Thread>,
}

impl Gateway {
    /// The gateway of the server's thread `index`, which must be its index among the host's reply senders, too.
    /// `replies` is the other end of that sender. Must be called on that thread, within its `LocalSet`.
    #[must_use]
    pub fn new(index: u8, all: &Arc<Gateways>, replies: UnboundedReceiver<Vec<HostReply>>) -> Self {
        let thread = Rc::new(Thread::new(index, all.clone()));
        tokio::task::spawn_local(receive(thread.clone(), replies));
        tokio::task::spawn_local(rounds(thread.clone()));
        Self { thread }
    }
}

impl Service for Gateway {
    fn call(&self, request: &Request<'_>) -> Reply {
        add(&self.thread.shared().counters.requests, 1);
        self.thread.answer(request, &Arrival::now(&self.thread, request))
    }
}

async fn receive(thread: Rc<Thread>, mut replies: UnboundedReceiver<Vec<HostReply>>) {
    while let Some(batch) = replies.recv().await {
        let outcomes = batch.into_iter().map(|reply| match reply {
            HostReply::Purchase(token, answer) => (token, Outcome::Answered(answer)),
            HostReply::Register(token, registered) => (token, Outcome::Registered(registered)),
            HostReply::Unknown(token) => (token, Outcome::Unknown),
        });
        thread.funnel.borrow_mut().settle(outcomes);
    }
}

async fn rounds(thread: Rc<Thread>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        rounds.tick().await;
        thread.funnel.borrow_mut().tick(Instant::now());
        thread.watchers.tick(thread.shared());
    }
}

/// When and from where a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// By the wall clock.
    pub(super) ms: Millis,
    /// By a clock that never stands still.
    pub(super) at: Instant,
    /// The same in microseconds, for the limits.
    pub(super) us: u64,
    /// Where the client is, as far as those in between are believed.
    pub(super) client: IpAddr,
    /// The client's address, hashed; `None` if it has no limit.
    pub(super) address: Option<u64>,
    /// Whether it waited for the shop's keys already.
    waited: bool,
}

impl Arrival {
    fn now(thread: &Thread, request: &Request<'_>) -> Self {
        let at = Instant::now();
        let client = client::of(request, &thread.all.options.limits.trusted_proxies);
        Self {
            ms: now_ms(),
            at,
            us: at.saturating_duration_since(thread.started).as_micros() as u64,
            address: thread.address(client),
            client,
            waited: false,
        }
    }
}

/// The state of one thread.
pub(super) struct Thread {
    pub(super) all: Arc<Gateways>,
    pub(super) answers: Answers,
    pub(super) funnel: RefCell<Funnel>,
    pub(super) watchers: Watchers,
    identifier: Identifier,
    buyers: Option<RefCell<Limiter>>,
    addresses: Option<RefCell<Limiter>>,
    hasher: RandomState,
    started: Instant,
    keys_waiting: Cell<usize>,
}

/// The rate that a sale itself sets: twice as much at once as in the long run.
fn own(per_second: Option<u32>) -> Option<Rate> {
    per_second.map(|per_second| Rate {
        per_second,
        burst: per_second.saturating_mul(2),
    })
}

impl Thread {
    fn new(index: u8, all: Arc<Gateways>) -> Self {
        let limits = &all.options.limits;
        let asked = all.shared.sale.requests;
        let limiter = |rate: Option<_>, sets| rate.map(|rate| Limiter::new(rate, sets));
        let bad = limiter(limits.bad_tokens_per_address, ADDRESS_SETS / 16);
        Self {
            answers: Answers::new(),
            funnel: RefCell::new(Funnel::new(
                index,
                all.port.clone(),
                all.shared.clone(),
                limits.waiting_purchases_max,
            )),
            watchers: Watchers::new(limits.event_streams_max),
            identifier: Identifier::new(&all.shared.sale.identity, all.verifier.as_ref(), bad),
            buyers: limiter(own(asked.per_buyer).or(limits.per_buyer), BUYER_SETS).map(RefCell::new),
            addresses: limiter(own(asked.per_address).or(limits.per_address), ADDRESS_SETS).map(RefCell::new),
            hasher: RandomState::new(),
            started: Instant::now(),
            keys_waiting: Cell::new(0),
            all,
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.all.shared
    }

    fn answer(self: &Rc<Self>, request: &Request<'_>, arrival: &Arrival) -> Reply {
        let route = match Route::of(request.path) {
            Route::DevPay(_) if !self.all.options.dev_pay => Route::Unknown,
            route => route,
        };
        if route == Route::Unknown {
            return self.answers.refuse(&Problem::NotFound);
        }
        let (allow, allowed) = route.allows(request.method);
        if !allowed {
            return self.answers.refuse(&Problem::MethodNotAllowed { allow });
        }
        let result = match route {
            Route::Purchases(sale) => self.purchase(sale, request, arrival),
            Route::Ticket(text) if request.method == Method::Delete => self.cancel(text, request, arrival),
            Route::Ticket(text) => self.show(text, request, arrival),
            Route::TicketEvents(text) => self.watch(text, request, arrival),
            Route::Sale(sale) => self.sale(sale, arrival),
            Route::Registrations(sale) => self.register(sale, request, arrival),
            Route::Time => Ok(time(arrival.ms)),
            Route::PaymentCallback => Ok(self.payment_callback(request, arrival)),
            Route::Page(path) => self.page(path, request),
            Route::OpenApi => Ok(self.answers.pages.openapi.clone().into()),
            Route::DevPay(text) => self.dev_pay(text, request, arrival),
            Route::Unknown => Err(Problem::NotFound.into()),
        };
        match result {
            Ok(reply) => reply,
            Err(NotKnown::Problem(problem)) => self.answers.refuse(&problem),
            Err(NotKnown::Fetching(fetched)) => self.wait_for_keys(request, arrival, fetched),
        }
    }

    /// Answers the request once the shop's keys are fetched.
    fn wait_for_keys(
        self: &Rc<Self>,
        request: &Request<'_>,
        arrival: &Arrival,
        mut fetched: tokio::sync::watch::Receiver<(u64, Option<tokio::time::Instant>)>,
    ) -> Reply {
        if arrival.waited || self.keys_waiting.get() >= KEYS_WAITING_MAX {
            return self.answers.refuse(&Problem::Busy);
        }
        let (place, owned, arrival) = (KeysWaiting::new(self), Owned::of(request), *arrival);
        Reply::later(async move {
            // Either way the request is looked at once more.
            let _ = tokio::time::timeout(KEYS_WAIT_MAX, fetched.changed()).await;
            let arrival = Arrival {
                waited: true,
                ..arrival
            };
            place.0.answer(&owned.request(), &arrival)
        })
    }

    /// Who asks, if neither their address nor they have asked too often.
    pub(super) fn buyer<'a>(&self, request: &Request<'a>, arrival: &Arrival) -> Result<Buyer<'a>, NotKnown> {
        let buyer = self.identify(request, arrival)?;
        self.limit(&buyer, arrival)?;
        Ok(buyer)
    }

    /// Who asks, if their address hasn't asked too often.
    pub(super) fn identify<'a>(
        &self,
        request: &Request<'a>,
        arrival: &Arrival,
    ) -> Result<Buyer<'a>, NotKnown> {
        // Whoever waited for the keys has paid already.
        if let (Some(address), Some(limiter), false) = (arrival.address, &self.addresses, arrival.waited) {
            limiter.borrow_mut().take(address, arrival.us).map_err(too_many)?;
        }
        self.identifier.identify(request, &self.all.keys, arrival)
    }

    /// Takes one of the requests that this buyer has.
    pub(super) fn limit(&self, buyer: &Buyer<'_>, arrival: &Arrival) -> Result<(), Problem> {
        match &self.buyers {
            Some(limiter) => limiter
                .borrow_mut()
                .take(buyer.key.0 as u64, arrival.us)
                .map_err(too_many),
            None => Ok(()),
        }
    }

    fn address(&self, client: IpAddr) -> Option<u64> {
        let limited = self.all.options.limits.limit_loopback || !client.is_loopback();
        limited.then(|| self.hasher.hash_one(address_bits(client)))
    }

    /// The ticket that a buyer shows.
    pub(super) fn held(&self, text: &str, buyer: &Buyer<'_>) -> Result<Held, Problem> {
        Held::open(&self.all.signer, text, buyer.key, self.shared()).ok_or(Problem::UnknownTicket)
    }

    fn show(&self, text: &str, request: &Request<'_>, arrival: &Arrival) -> Result<Reply, NotKnown> {
        let held = self.held(text, &self.buyer(request, arrival)?)?;
        let standing = Standing::of(&held.ticket, self.shared());
        Ok(self.ticket(StatusCode::OK, &held, standing))
    }

    fn watch(
        self: &Rc<Self>,
        text: &str,
        request: &Request<'_>,
        arrival: &Arrival,
    ) -> Result<Reply, NotKnown> {
        let held = self.held(text, &self.buyer(request, arrival)?)?;
        if self.shared().switches.door().only_static() {
            return Err(Problem::Busy.into());
        }
        let events = TicketEvents::of(self, held).ok_or(Problem::Busy)?;
        Ok(Reply::events(events))
    }

    /// The answer with a ticket.
    pub(super) fn ticket(&self, status: StatusCode, held: &Held, standing: Standing) -> Reply {
        with_api_headers(Response::json(
            status,
            ticket::json(held, standing, self.shared()),
        ))
        .into()
    }

    fn page(&self, path: &str, request: &Request<'_>) -> Result<Reply, NotKnown> {
        let page = self.answers.pages.answer(&self.shared().pages, path, request);
        Ok(page.ok_or(Problem::NotFound)?)
    }

    fn sale(&self, name: &str, arrival: &Arrival) -> Result<Reply, NotKnown> {
        self.check_sale(name)?;
        Ok(self.answers.sale(self.shared(), arrival.ms))
    }

    pub(super) fn check_sale(&self, name: &str) -> Result<(), Problem> {
        if name == self.shared().sale.name {
            Ok(())
        } else {
            Err(Problem::UnknownSale)
        }
    }
}

/// A place among those who wait for the shop's keys.
struct KeysWaiting(Rc<Thread>);

impl KeysWaiting {
    fn new(thread: &Rc<Thread>) -> Self {
        thread.keys_waiting.set(thread.keys_waiting.get() + 1);
        Self(thread.clone())
    }
}

impl Drop for KeysWaiting {
    fn drop(&mut self) {
        self.0.keys_waiting.set(self.0.keys_waiting.get() - 1);
    }
}

fn too_many(wait_us: u64) -> Problem {
    Problem::TooManyRequests {
        wait_seconds: wait_us.div_ceil(1_000_000),
    }
}

fn time(now: Millis) -> Reply {
    with_api_headers(Response::json(StatusCode::OK, format!(r#"{{"nowMs":{now}}}"#))).into()
}
