//! The answers to requests: what the buyer makes of them, and whether they may be given.

use crate::buyers::{At, Request, tell};
use crate::check::Checker;
use crate::stats::{Fault, Stat};
use crate::world::World;
use flashsale_core::attempt::{Answer, Refusal, Ticketed};
use flashsale_core::engine::Engine;
use flashsale_core::ids::{ItemIx, RequestKey, ShardId};
use flashsale_core::owner::Owner;
use flashsale_core::room::Answered;
use flashsale_core::units;

impl World {
    /// Answers leave a process. They are checked whether they arrive or not.
    pub(crate) fn answered(&mut self, p: usize, answers: &[Answered]) {
        for &(token, answer) in answers {
            let request = self.requests[token as usize];
            self.note(|_| format!("process {p} answers {token}: {answer:?}"));
            self.check_answer(p, &request, answer);
            if !self.noise(Fault::Answer) {
                self.hear(&request, answer);
            }
        }
    }

    fn hear(&mut self, request: &Request, answer: Answer) {
        let Request {
            buyer: b,
            wish: w,
            probe,
            ..
        } = *request;
        let shard = self.buyers[b].home;
        let again = self.dice.one_in(2);
        if answer == Answer::Refused(Refusal::NotEntitled) {
            self.buyers[b].registered = false;
        }
        let registers = self.buyers[b].registers;
        let wish = &mut self.buyers[b].wishes[w];
        if probe || matches!(wish.at, At::Has(_)) {
            return;
        }
        wish.at = match answer {
            Answer::Taken(ticketed) | Answer::Existing(ticketed) => {
                At::Has(tell(&mut self.ledger.told, shard, ticketed.ticket))
            }
            Answer::Refused(Refusal::SoldOut) if again => At::Idle,
            Answer::Refused(Refusal::NotEntitled) if registers => At::Idle,
            Answer::Refused(Refusal::NotOpen { .. } | Refusal::Unavailable) => At::Idle,
            Answer::Refused(_) => At::Done,
        };
        if answer == Answer::Refused(Refusal::Unavailable) {
            wish.tries = wish.tries.saturating_sub(1);
        }
    }

    /// Checks an answer at the moment it is given.
    fn check_answer(&mut self, p: usize, request: &Request, answer: Answer) {
        let shard = self.buyers[request.buyer].home;
        let current = self.is_current(p, shard);
        if !current && !matches!(answer, Answer::Refused(_)) {
            self.stats.count(Stat::Zombie);
        }
        match answer {
            Answer::Taken(ticketed) => {
                self.stats.count(Stat::Taken);
                self.ledger.taken += 1;
                let takings = self.ledger.takings.entry((request.buyer, ticketed.item));
                takings
                    .or_default()
                    .push((shard, ticketed.ticket, ticketed.quantity));
                if let Some(key) = request.key {
                    self.ledger.taken_by.insert((shard, ticketed.ticket), key);
                }
                let clock = self.clock(p);
                if clock < self.sc.rules.opens || clock >= self.sc.rules.closes {
                    self.violation(
                        Checker::Window,
                        format!("process {p} took {ticketed:?} at {clock}"),
                    );
                }
                if ticketed.place == 0 || ticketed.place > self.ledger.taken {
                    let what = format!("{ticketed:?} after {} reservations", self.ledger.taken);
                    self.violation(Checker::Place, what);
                }
            }
            Answer::Existing(ticketed) => {
                self.stats.count(Stat::Existing);
                if self.ledger.taken_by.get(&(shard, ticketed.ticket)).copied() != request.key {
                    // Not by the key, so because this buyer has all that one may have.
                    let limit = self.sc.rules.limits[request.item.ix()];
                    self.check_held(p, shard, request, |held| held >= limit);
                }
            }
            Answer::Refused(refusal) => {
                self.count_refusal(refusal);
                if refusal == Refusal::SoldOut {
                    self.check_sold_out(p, request);
                } else if let Refusal::LimitExceeded { held, .. } = refusal {
                    self.check_held(p, shard, request, |holds| holds == held);
                }
            }
        }
        if let Some(key) = request.key {
            self.check_key(key, request, answer, current);
        }
    }

    /// Units that have left one of the process' engines and haven't come into another.
    fn moving(&self, p: usize, item: ItemIx) -> u32 {
        let engine = |s: ShardId| self.procs[p].room.owner(s).map(Owner::engine);
        let mut moving = 0;
        for from in (0..self.sc.shards).map(ShardId) {
            for (&to, sent) in engine(from).into_iter().flat_map(Engine::outgoing) {
                let taken = engine(to)
                    .and_then(|e| e.incoming(from))
                    .map_or(0, |(number, _)| number);
                if sent.item == item && sent.number > taken {
                    moving += units::count(&sent.units);
                }
            }
        }
        moving
    }

    /// Nobody is refused for units that they don't hold any more.
    fn check_held(&mut self, p: usize, s: ShardId, request: &Request, fits: impl Fn(u32) -> bool) {
        let takings = self.ledger.takings.get(&(request.buyer, request.item));
        let Some(owner) = self.procs[p].room.owner(s) else {
            return;
        };
        let live = takings.into_iter().flatten();
        let live = live.filter(|(shard, ticket, _)| *shard == s && owner.engine().is_live(*ticket));
        let holds: u32 = live.map(|(.., quantity)| quantity).sum();
        if !fits(holds) {
            let what = format!("{request:?} is refused for its limit, and holds {holds}");
            self.violation(Checker::BuyerLimit, what);
        }
    }

    /// The same key, the same answer.
    fn check_key(&mut self, key: RequestKey, request: &Request, answer: Answer, current: bool) {
        let facts = self.ledger.keys.entry(key).or_default();
        let body = (request.item, request.quantity);
        let fits = |t: Ticketed| (t.item, t.quantity) == body;
        let one_body = facts.bodies.iter().all(|b| *b == body);
        let problem = match (answer, facts.promised) {
            (Answer::Refused(Refusal::KeyConflict), _) if one_body => Some("a conflict with itself"),
            (Answer::Refused(Refusal::Unavailable), _) => None,
            (_, Some((ticket, item, quantity))) if current => match answer {
                Answer::Existing(t) if t.ticket == ticket && fits(t) => None,
                Answer::Refused(Refusal::KeyConflict) if (item, quantity) != body => None,
                _ => Some("another answer than the promised ticket"),
            },
            _ => None,
        };
        if let Some(problem) = problem {
            let what = format!(
                "{problem}: {request:?} promised {:?}, got {answer:?}",
                facts.promised
            );
            self.violation(Checker::SameAnswer, what);
        }
    }

    /// Nobody is told "sold out" while every shard is open and one has enough units.
    fn check_sold_out(&mut self, p: usize, request: &Request) {
        let room = &self.procs[p].room;
        let open = (0..self.sc.shards)
            .map(ShardId)
            .all(|s| self.is_current(p, s) && room.owner(s).is_some_and(Owner::takes));
        let free: u32 = room.engines().flatten().map(|e| e.free(request.item)).sum();
        let moving = if open { self.moving(p, request.item) } else { 0 };
        if !open {
            // A stale process can't say it either: it doesn't know all shards.
            let blind =
                room.owners().count() < usize::from(self.sc.shards) || room.owners().any(|o| !o.takes());
            if blind {
                self.violation(
                    Checker::SellThrough,
                    format!("process {p} says sold out, and can't know"),
                );
            }
        } else if free + moving >= request.quantity {
            let what = format!("{request:?} was told sold out with {free} units free, {moving} on their way");
            self.violation(Checker::SellThrough, what);
        }
    }
}
