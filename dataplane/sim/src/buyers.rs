//! Buyers: they try early, late and twice, retry what wasn't answered, look at their tickets, cancel,
//! pay in time, late, doubly or never.

use crate::breaks::Break;
use crate::dice::Dice;
use crate::ledger::Told;
use crate::scenario::{Homes, Scenario};
use crate::stats::{Fault, Stat};
use crate::world::{Load, World};
use flashsale_core::attempt::{Answer, Attempt, Refusal, Registered};
use flashsale_core::event::{ReleaseReason, TicketNo};
use flashsale_core::fold::Segment;
use flashsale_core::ids::{BuyerKey, ItemIx, Millis, RequestKey, ShardId};
use flashsale_core::owner::Owner;
use flashsale_core::room::Answered;
use flashsale_core::ticket::{self, Shown};

/// How a buyer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pays {
    Never,
    InTime,
    Late,
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Idle,
    Asked,
    Has(usize),
    Done,
}

/// Something that a buyer wants.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) item: ItemIx,
    pub(crate) quantity: u32,
    pub(crate) key: Option<RequestKey>,
    pub(crate) at: At,
    pub(crate) tries: u8,
    pub(crate) since: u32,
    pub(crate) paid: bool,
}

/// One buyer.
#[derive(Debug)]
pub(crate) struct Buyer {
    pub(crate) key: BuyerKey,
    pub(crate) id: Box<str>,
    pub(crate) home: ShardId,
    pub(crate) registers: bool,
    pub(crate) registered: bool,
    pub(crate) cancels: bool,
    pub(crate) pays: Pays,
    pub(crate) keys: u64,
    pub(crate) wishes: Vec<Wish>,
}

/// A request on its way, or answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) buyer: usize,
    pub(crate) wish: usize,
    pub(crate) item: ItemIx,
    pub(crate) quantity: u32,
    pub(crate) key: Option<RequestKey>,
    /// Asked to see whether the answer is still the same: changes nothing for the buyer.
    pub(crate) probe: bool,
}

/// A payment callback on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    pub(crate) shard: ShardId,
    pub(crate) ticket: TicketNo,
    pub(crate) id: u32,
    pub(crate) not_before: Millis,
}

/// A buyer gives up a wish after so many tries.
const TRIES_MAX: u8 = 12;

impl Buyer {
    pub(crate) fn draw(ix: usize, sc: &Scenario, dice: &mut Dice) -> Self {
        let home = match sc.homes {
            Homes::Uniform => dice.below(usize::from(sc.shards)),
            Homes::Skewed if dice.one_in(4) => dice.below(usize::from(sc.shards)),
            Homes::Skewed | Homes::One => 0,
        };
        // The middle of the home shard's part of the key space.
        let high = ((2 * home as u128 + 1) << 64) / (2 * u128::from(sc.shards));
        let mut buyer = Self {
            key: BuyerKey((high << 64) | ix as u128),
            id: format!("b{ix}").into(),
            home: ShardId(home as u16),
            registers: !dice.one_in(8),
            registered: false,
            cancels: dice.one_in(6),
            pays: dice.pick(&[
                Pays::Never,
                Pays::InTime,
                Pays::InTime,
                Pays::InTime,
                Pays::Late,
                Pays::Twice,
            ]),
            keys: 0,
            wishes: Vec::new(),
        };
        debug_assert_eq!(buyer.key.home(sc.shards), buyer.home);
        for _ in 0..dice.pick(&[1, 1, 2]) {
            buyer.wish(ix, sc, dice);
        }
        buyer
    }

    fn wish(&mut self, ix: usize, sc: &Scenario, dice: &mut Dice) {
        self.keys += 1;
        let item = ItemIx(dice.below(sc.stock.len()) as u16);
        self.wishes.push(Wish {
            item,
            quantity: dice.between(1, u64::from(sc.rules.limits[item.ix()])) as u32,
            key: (!dice.one_in(6)).then(|| request_key(ix, self.keys)),
            at: At::Idle,
            tries: 0,
            since: 0,
            paid: false,
        });
    }
}

fn request_key(buyer: usize, n: u64) -> RequestKey {
    RequestKey(((buyer as u128) << 64) | u128::from(n))
}

impl World {
    /// A buyer does the next thing.
    pub(crate) fn buyer_acts(&mut self, b: usize) {
        if self.sc.rules.registered_only && !self.buyers[b].registered && self.buyers[b].registers {
            self.register(b);
            return;
        }
        let w = self.dice.below(self.buyers[b].wishes.len());
        let wish = &self.buyers[b].wishes[w];
        match wish.at {
            At::Idle => {
                // A few come before the opening.
                if self.now + 1_000 >= self.sc.rules.opens || self.dice.one_in(8) {
                    self.send(b, w);
                }
            }
            At::Asked => {
                if self.step - wish.since > 30 || self.dice.one_in(16) {
                    self.send(b, w);
                }
            }
            At::Has(told) => match self.dice.below(8) {
                0 => self.probe(b, w),
                _ => self.look(b, w, told),
            },
            At::Done => {
                if self.buyers[b].wishes.len() < 4 && self.dice.one_in(4) && self.now < self.sc.rules.closes {
                    let Self { buyers, sc, dice, .. } = self;
                    buyers[b].wish(b, sc, dice);
                }
            }
        }
    }

    /// A buyer at the end of the sale: looks at tickets, and goes on for a while.
    pub(crate) fn buyer_rests(&mut self, b: usize, round: u32) {
        if round < 6 {
            self.buyer_acts(b);
        }
        for w in 0..self.buyers[b].wishes.len() {
            if let At::Has(told) = self.buyers[b].wishes[w].at {
                self.look(b, w, told);
            }
        }
    }

    fn register(&mut self, b: usize) {
        let (home, key) = (self.buyers[b].home, self.buyers[b].key);
        let p = self.route(home);
        if !self.runs(p) || self.noise(Fault::Request) {
            return;
        }
        let registered = self.procs[p].room.register(home, key);
        self.note(|_| format!("process {p}: register buyer {b}: {registered:?}"));
        if registered == Registered::New {
            self.stats.count(Stat::Registered);
        }
        self.buyers[b].registered = matches!(registered, Registered::New | Registered::Already);
    }

    fn send(&mut self, b: usize, w: usize) {
        let step = self.step;
        if self.buyers[b].wishes[w].tries > 0 && self.bug == Some(Break::RetryWithNewKey) {
            // The buyer believes to have sent the same key; the system sees another.
            self.buyers[b].keys += 1;
        }
        let wish = &mut self.buyers[b].wishes[w];
        wish.tries += 1;
        wish.at = if wish.tries > TRIES_MAX {
            At::Done
        } else {
            At::Asked
        };
        wish.since = step;
        if wish.at == At::Asked {
            let (item, quantity, key) = (wish.item, wish.quantity, wish.key);
            self.post(Request {
                buyer: b,
                wish: w,
                item,
                quantity,
                key,
                probe: false,
            });
        }
    }

    /// The same key again, with the same body or another.
    fn probe(&mut self, b: usize, w: usize) {
        let other = self.dice.one_in(3);
        let limit = self.sc.rules.limits[self.buyers[b].wishes[w].item.ix()];
        let wish = &self.buyers[b].wishes[w];
        let (item, key) = (wish.item, wish.key);
        let quantity = if other {
            wish.quantity % limit.max(2) + 1
        } else {
            wish.quantity
        };
        self.post(Request {
            buyer: b,
            wish: w,
            item,
            quantity,
            key,
            probe: true,
        });
    }

    fn post(&mut self, request: Request) {
        let token = self.requests.len() as u64;
        let mut home = self.buyers[request.buyer].home;
        if self.bug == Some(Break::NoHome) {
            home = ShardId(self.dice.below(usize::from(self.sc.shards)) as u16);
        }
        if let Some(key) = request.key {
            self.ledger
                .keys
                .entry(key)
                .or_default()
                .bodies
                .push((request.item, request.quantity));
        }
        self.note(|_| format!("request {token}: {request:?}"));
        self.requests.push(request);
        let lost_or_doubled = self.noise(Fault::Request);
        if !lost_or_doubled {
            self.mail.push((token, home));
        } else if self.dice.one_in(2) {
            self.mail.extend([(token, home), (token, home)]);
        }
    }

    /// A batch of requests for one shard arrives.
    pub(crate) fn deliver_mail(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let first = if self.dice.one_in(4) {
            self.dice.below(self.mail.len())
        } else {
            0
        };
        let (s, batch) = (self.mail[first].1, self.dice.between(1, 4) as usize);
        let p = self.route(s);
        let mut attempts = Vec::new();
        let mut at = first;
        while at < self.mail.len() && attempts.len() < batch {
            if self.mail[at].1 == s {
                let (token, _) = self.mail.remove(at);
                attempts.push(self.attempt(token));
            } else {
                at += 1;
            }
        }
        // Nobody answers: the buyers' patience runs out, and they ask again.
        if !self.runs(p) {
            return;
        }
        self.stats.counts[Stat::Requests as usize] += attempts.len() as u64;
        let mut answers: Vec<Answered> = Vec::new();
        if self.loads[0] != Load::Seeded && self.bug != Some(Break::Reseed) {
            // The gate: nothing is sold before the stock is known to be loaded.
            answers.extend(
                attempts
                    .iter()
                    .map(|a| (a.token, Answer::Refused(Refusal::Unavailable))),
            );
        } else {
            self.decide(p, s, attempts, &mut answers);
        }
        self.answered(p, &answers);
        self.settle(p);
    }

    fn decide(&mut self, p: usize, s: ShardId, attempts: Vec<Attempt>, answers: &mut Vec<Answered>) {
        let mut now = self.clock(p);
        let waited = self.procs[p].room.waiting();
        match self.bug {
            Some(Break::GatewayClock) => {
                now = (self.now + self.dice.between(0, 10_000)).saturating_sub(5_000);
            }
            Some(Break::PlaceFromGateway) => {
                let places = vec![1_000; self.sc.stock.len()];
                let mut verdicts = Vec::new();
                if let Some(owner) = self.procs[p].room.owner_mut(s) {
                    owner.purchase(now, &places, &attempts, &mut verdicts);
                }
                for (attempt, verdict) in attempts.iter().zip(verdicts) {
                    if let flashsale_core::attempt::Verdict::Answer(answer) = verdict {
                        answers.push((attempt.token, answer));
                    }
                }
                return;
            }
            Some(Break::SoldOutAtHome) => {
                let owner = self.procs[p].room.owner(s).filter(|o| o.takes());
                if owner.is_some_and(|o| attempts.iter().all(|a| o.engine().free(a.item) < a.quantity)) {
                    let sold_out = Answer::Refused(Refusal::SoldOut);
                    answers.extend(attempts.iter().map(|a| (a.token, sold_out)));
                    return;
                }
            }
            _ => {}
        }
        self.procs[p].room.purchase(now, s, attempts, answers);
        let waits = self.procs[p].room.waiting().saturating_sub(waited);
        self.stats.counts[Stat::Waited as usize] += waits as u64;
    }

    fn attempt(&mut self, token: u64) -> Attempt {
        let Request {
            buyer,
            item,
            quantity,
            mut key,
            ..
        } = self.requests[token as usize];
        if self.bug == Some(Break::KeyDropped) && self.dice.one_in(2) {
            key = None;
        }
        if self.bug == Some(Break::RetryWithNewKey) {
            key = key.map(|k| RequestKey((k.0 << 32) | u128::from(self.buyers[buyer].keys)));
        }
        let Buyer { key: buyer, id, .. } = &self.buyers[buyer];
        Attempt {
            token,
            buyer: *buyer,
            buyer_id: id.clone(),
            item,
            quantity,
            key,
        }
    }

    /// What a ticket says, asked of process `p`; `None` if that can't be known now.
    pub(crate) fn shown(&self, p: usize, s: ShardId, ticket: TicketNo) -> Option<Shown> {
        if !self.runs(p) || self.dbs[s.ix()].down {
            return None;
        }
        let owner = self.procs[p].room.owner(s)?;
        let order = self.dbs[s.ix()].order(ticket).map(|o| o.state);
        let mut progress = owner.progress();
        match self.bug {
            Some(Break::PromiseOnReceipt) => {
                let receipts = &self.logs[s.ix()].receipts;
                let receipt = receipts
                    .iter()
                    .find(|(e, _)| *e == progress.epoch)
                    .map_or(0, |(_, n)| *n);
                if receipt > progress.promised {
                    let (first, made) = (progress.promised + 1, progress.epoch);
                    progress.segments.push(Segment { first, made });
                    progress.promised = receipt;
                }
            }
            Some(Break::LostAtClaim) => progress.excludes_before = self.dbs[s.ix()].row.claimed,
            _ => {}
        }
        Some(ticket::shown(ticket, &progress, order))
    }

    /// A buyer looks at a ticket, and does what it suggests.
    fn look(&mut self, b: usize, w: usize, told: usize) {
        let Told {
            shard: s,
            ticket,
            shown: before,
            ..
        } = self.ledger.told[told];
        let p = self.route(s);
        let Some(shown) = self.shown(p, s, ticket) else {
            return;
        };
        let fresh = self.is_current(p, s) && self.procs[p].room.owner(s).is_some_and(Owner::takes);
        self.ledger.show(self.step, told, shown, fresh);
        if shown != before {
            self.note(|_| format!("buyer {b}: {s:?} {ticket:?} is {shown:?}"));
        }
        let cancels = self.buyers[b].cancels && self.dice.one_in(4);
        match shown {
            Shown::Lost => {
                self.stats.count(Stat::Lost);
                self.buyers[b].wishes[w].at = At::Idle;
            }
            Shown::Closed(_) => self.buyers[b].wishes[w].at = At::Done,
            Shown::Reserved | Shown::Ordered if cancels => self.close(s, ticket, ReleaseReason::Cancelled),
            Shown::Ordered => self.pay(b, w, s, ticket),
            Shown::Queued | Shown::Reserved | Shown::Paid => {}
        }
    }

    fn pay(&mut self, b: usize, w: usize, shard: ShardId, ticket: TicketNo) {
        let pays = self.buyers[b].pays;
        let wish = &mut self.buyers[b].wishes[w];
        if wish.paid || pays == Pays::Never {
            return;
        }
        wish.paid = true;
        let late = pays == Pays::Late;
        let not_before = self.now + if late { self.sc.pay_within } else { 0 };
        for _ in 0..if pays == Pays::Twice { 2 } else { 1 } {
            self.payment_ids += 1;
            self.payments.push(Payment {
                shard,
                ticket,
                id: self.payment_ids,
                not_before,
            });
        }
    }
}

/// The entry of a ticket that a buyer is told.
pub(crate) fn tell(told: &mut Vec<Told>, shard: ShardId, ticket: TicketNo) -> usize {
    let known = told.iter().position(|t| (t.shard, t.ticket) == (shard, ticket));
    known.unwrap_or_else(|| {
        told.push(Told {
            shard,
            ticket,
            shown: Shown::Queued,
            acknowledged: false,
        });
        told.len() - 1
    })
}
