//! Buyers on kept connections: each gets a ticket, and asks for it now and then until it is an order.

use crate::buyer::Ticket;
use crate::http::Connection;
use crate::sale;
use crate::world::{World, bump, name};
use anyhow::bail;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// From the ticket to the first look at it, in milliseconds.
const FIRST_LOOK_MS: Range<u64> = 300..1_300;
/// From one look to the next, in milliseconds.
const NEXT_LOOK_MS: Range<u64> = 5_000..10_000;
/// Who was told to come back comes back after this time, in milliseconds.
const AGAIN_MS: Range<u64> = 500..1_500;

/// How buyers behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Kept connections.
    pub(crate) connections: u32,
    /// Everybody comes within this time.
    pub(crate) arrive: Duration,
    /// The first so many wait on an event stream each, on a connection of its own.
    pub(crate) streams: u32,
    /// The next so many wait on event streams that share HTTP/2 connections.
    pub(crate) shared_streams: u32,
    /// Whether the others look at their tickets, or just have them.
    pub(crate) polls: bool,
}

/// Those who open event streams; each is told which buyers have their ticket.
#[derive(Clone)]
pub(crate) struct Openers {
    pub(crate) own: UnboundedSender<u32>,
    pub(crate) shared: UnboundedSender<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Buy,
    Look,
}

/// Starts the connections, and the buyers on them.
pub(crate) fn start(world: &Rc<World>, plan: Plan, openers: &Openers, seed: u64) {
    for connection in 0..plan.connections {
        let (world, openers) = (world.clone(), openers.clone());
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ u64::from(connection) << 32);
        tokio::task::spawn_local(async move {
            let mut line = Line {
                world,
                plan,
                openers,
                rng,
                due: BinaryHeap::new(),
                request: Vec::with_capacity(512),
            };
            line.fill(connection);
            // A server that ends connections is given another chance by the same buyers.
            while let Err(error) = line.run().await {
                bump(&line.world.setbacks);
                if line.world.setbacks.get() < 5 {
                    eprintln!("a buyers' connection: {error:#}");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
}

/// One kept connection.
struct Line {
    world: Rc<World>,
    plan: Plan,
    openers: Openers,
    rng: Xoshiro256PlusPlus,
    due: BinaryHeap<Reverse<(Instant, u32, Act)>>,
    request: Vec<u8>,
}

impl Line {
    fn fill(&mut self, connection: u32) {
        let arrive = self.plan.arrive.as_micros() as u64;
        for buyer in (connection..self.world.len()).step_by(self.plan.connections as usize) {
            let at = Duration::from_micros(self.rng.random_range(0..=arrive));
            self.due.push(Reverse((self.world.started + at, buyer, Act::Buy)));
        }
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.world.server, Some(self.world.source())).await?;
        while let Some(&Reverse((at, buyer, act))) = self.due.peek() {
            tokio::time::sleep_until(at.into()).await;
            let next = match act {
                Act::Buy => self.buy(&mut connection, buyer).await?,
                Act::Look => self.look(&mut connection, buyer).await?,
            };
            // Only now: an act that failed is due again on the next connection.
            self.due.pop();
            if let Some((act, pause)) = next {
                let pause = Duration::from_millis(self.rng.random_range(pause));
                self.due.push(Reverse((Instant::now() + pause, buyer, act)));
            }
        }
        Ok(())
    }

    async fn buy(
        &mut self,
        connection: &mut Connection,
        buyer: u32,
    ) -> anyhow::Result<Option<(Act, Range<u64>)>> {
        let item = self.world.buyer(buyer).item;
        let body = format!(
            r#"{{"item":"{}","quantity":1}}"#,
            sale::item_id(usize::from(item))
        );
        self.request.clear();
        self.request.extend_from_slice(
            format!(
                "POST /v1/sales/{}/purchases HTTP/1.1\r\nHost: e2e\r\nX-Buyer-Id: {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                sale::NAME,
                name(buyer),
                body.len()
            )
            .as_bytes(),
        );
        let since = Instant::now();
        let answer = connection.ask(&self.request).await?;
        self.world.answered(since);
        match answer.status {
            200 | 202 => {
                let seen: Ticket<'_> = serde_json::from_slice(answer.body)?;
                self.world.buyer(buyer).receive(seen.ticket)?;
                self.world.look(buyer, answer.body)?;
                bump(&self.world.tickets);
            }
            429 | 503 => {
                bump(&self.world.setbacks);
                return Ok(Some((Act::Buy, AGAIN_MS)));
            }
            status => bail!(
                "a purchase was answered {status}: {}",
                String::from_utf8_lossy(answer.body)
            ),
        }
        let (streams, shared) = (self.plan.streams, self.plan.shared_streams);
        // Those who open streams go on until the run ends.
        if buyer < streams {
            let _ = self.openers.own.send(buyer);
        } else if buyer < streams + shared {
            let _ = self.openers.shared.send(buyer);
        } else if self.plan.polls {
            return Ok(Some((Act::Look, FIRST_LOOK_MS)));
        }
        Ok(None)
    }

    async fn look(
        &mut self,
        connection: &mut Connection,
        buyer: u32,
    ) -> anyhow::Result<Option<(Act, Range<u64>)>> {
        self.request.clear();
        ticket_request(&mut self.request, &self.world.buyer(buyer).ticket, "", buyer);
        let since = Instant::now();
        let answer = connection.ask(&self.request).await?;
        self.world.answered(since);
        bump(&self.world.polls);
        match answer.status {
            200 => Ok(self
                .world
                .look(buyer, answer.body)?
                .then_some((Act::Look, NEXT_LOOK_MS))),
            429 | 503 => {
                bump(&self.world.setbacks);
                Ok(Some((Act::Look, AGAIN_MS)))
            }
            status => bail!(
                "a look was answered {status}: {}",
                String::from_utf8_lossy(answer.body)
            ),
        }
    }
}

/// `GET` of a ticket, or of what is under it.
pub(crate) fn ticket_request(to: &mut Vec<u8>, ticket: &str, under: &str, buyer: u32) {
    let request = format!(
        "GET /v1/tickets/{ticket}{under} HTTP/1.1\r\nHost: e2e\r\nX-Buyer-Id: {}\r\n\r\n",
        name(buyer)
    );
    to.extend_from_slice(request.as_bytes());
}
