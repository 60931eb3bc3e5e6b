//! Was anybody told "sold out" while a unit was free?
//!
//! The crowd's history says when each answer was asked for and when it came; the server decided in between. The
//! log says from when on a unit may have been taken, and from when on it was surely free again. From that follows
//! how many units were surely free at each moment. If that was at least one from the asking to the answer, then
//! "sold out" was wrong, at whichever moment in between it was decided.
//!
//! Whatever is in doubt counts as taken, so that the check never accuses wrongly: a unit counts as taken from the
//! beginning of the millisecond of its reservation, and as free again only from the time of a later reservation of
//! the same shard that was decided after everybody could see the release.

use flashsale_core::event::{Change, Event, Record, TicketNo};
use flashsale_core::ids::ShardId;
use flashsale_core::units;
use std::collections::HashMap;

/// Nanoseconds; of the Unix epoch, or of the crowd's clock.
pub(crate) type Nanos = i128;
const MILLI: Nanos = 1_000_000;

/// An answer "sold out" on the crowd's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SoldOut {
    pub(crate) buyer: String,
    pub(crate) asked: Nanos,
    pub(crate) answered: Nanos,
}

/// What the crowd wrote down of its purchases.
#[derive(Debug, Default)]
pub(crate) struct Purchases {
    pub(crate) sold_out: Vec<SoldOut>,
    /// Of each buyer: the first asking, and the first answer with a ticket.
    first: HashMap<String, (Nanos, Option<Nanos>)>,
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    op: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    buyer: &'a str,
    req: &'a str,
    state: &'a str,
    mono_ns: u64,
}

impl Purchases {
    /// Reads a crowd's history. Of a request that is sent several times at once nobody knows which one an answer
    /// belongs to: then all count as asked for when the first one was.
    pub(crate) fn read(history: &str) -> Self {
        let mut this = Self::default();
        // By request: how many are under way, and since when there are any.
        let mut under_way: HashMap<(&str, &str), (u32, Nanos)> = HashMap::new();
        for line in history.lines() {
            let line: Line<'_> = serde_json::from_str(line).unwrap();
            if line.op != "purchase" {
                continue;
            }
            let now = Nanos::from(line.mono_ns);
            let request = under_way.entry((line.buyer, line.req)).or_insert((0, now));
            let first = this.first.entry(line.buyer.to_owned()).or_insert((now, None));
            if line.kind == "invoke" {
                if request.0 == 0 {
                    request.1 = now;
                }
                request.0 += 1;
                continue;
            }
            request.0 = request.0.saturating_sub(1);
            match (line.kind, line.state) {
                ("ok", _) => first.1 = first.1.or(Some(now)),
                ("fail", "sold-out") => this.sold_out.push(SoldOut {
                    buyer: line.buyer.to_owned(),
                    asked: request.1,
                    answered: now,
                }),
                _ => {}
            }
        }
        this
    }

    /// What must be added to the crowd's clock to get the server's, at least and at most: whoever holds a unit
    /// asked before its reservation was made and was answered after it.
    pub(crate) fn offset(&self, lists: &[Vec<Event>]) -> (Nanos, Nanos) {
        let (mut least, mut most) = (Nanos::MIN, Nanos::MAX);
        let mut first_reservation: HashMap<&str, Nanos> = HashMap::new();
        for event in lists.iter().flatten() {
            if let Change::Reserved(r) = &event.change {
                let at = Nanos::from(r.at) * MILLI;
                let first = first_reservation.entry(&r.buyer_id).or_insert(at);
                *first = (*first).min(at);
            }
        }
        for (buyer, at) in first_reservation {
            if let Some((asked, answered)) = self.first.get(buyer) {
                most = most.min(at + MILLI - asked);
                least = answered.map_or(least, |answered| least.max(at - answered));
            }
        }
        (least, most)
    }
}

/// In which record of its partition each event was first written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    records: HashMap<ShardId, usize>,
    of_event: HashMap<(ShardId, TicketNo), usize>,
}

impl Written {
    pub(crate) fn add(&mut self, shard: ShardId, record: &Record) {
        let count = self.records.entry(shard).or_default();
        *count += 1;
        if let Record::Batch { events, .. } = record {
            for event in events {
                self.of_event.entry((shard, event.ticket())).or_insert(*count);
            }
        }
    }

    /// Whether `later` was decided after everybody could see `event`. One record per burst of the host is the
    /// rule, and what a burst changed is shown before the next one begins; a very large burst makes two.
    fn shows(&self, shard: ShardId, event: &Event, later: &Event) -> bool {
        let record = |event: &Event| self.of_event.get(&(shard, event.ticket()));
        matches!((record(event), record(later)), (Some(a), Some(b)) if a + 2 <= *b)
    }
}

/// How many units of the one item were surely free, from each moment on (server's clock).
#[derive(Debug)]
pub(crate) struct Free(Vec<(Nanos, i64)>);

impl Free {
    /// From the events that count, by shard, of a sale of one item with this stock.
    pub(crate) fn new(stock: u32, lists: &[Vec<Event>], written: &Written) -> Self {
        let mut steps = vec![(Nanos::MIN, i64::from(stock))];
        for (shard, events) in lists.iter().enumerate() {
            let shard = ShardId(shard as u16);
            let mut held: HashMap<TicketNo, i64> = HashMap::new();
            for (ix, event) in events.iter().enumerate() {
                match &event.change {
                    Change::Reserved(r) => {
                        let quantity = i64::from(units::count(&r.units));
                        held.insert(event.ticket(), quantity);
                        steps.push((Nanos::from(r.at) * MILLI, -quantity));
                    }
                    Change::Released { ticket, .. } => {
                        let free_at = events[ix..].iter().find_map(|later| match &later.change {
                            Change::Reserved(r) if written.shows(shard, event, later) => Some(r.at),
                            _ => None,
                        });
                        if let (Some(at), Some(quantity)) = (free_at, held.remove(ticket)) {
                            steps.push(((Nanos::from(at) + 1) * MILLI, quantity));
                        }
                    }
                    _ => {}
                }
            }
        }
        // What is taken at a moment comes before what is freed.
        steps.sort_unstable();
        let mut free = 0;
        for step in &mut steps {
            free += step.1;
            step.1 = free;
        }
        Self(steps)
    }

    /// The fewest units that were surely free between two moments.
    pub(crate) fn fewest(&self, from: Nanos, until: Nanos) -> i64 {
        let before = self.0.partition_point(|(at, _)| *at <= from);
        let behind = self.0.partition_point(|(at, _)| *at <= until);
        let during = &self.0[before.saturating_sub(1)..behind];
        during.iter().map(|(_, free)| *free).min().unwrap_or(0)
    }

    /// When the last unit was taken for the first time.
    pub(crate) fn none_since(&self) -> Option<Nanos> {
        self.0.iter().find(|(_, free)| *free <= 0).map(|(at, _)| *at)
    }

    /// Those who were told "sold out" while a unit was free all the time.
    pub(crate) fn wronged<'a>(&self, answers: &'a [SoldOut], offset: (Nanos, Nanos)) -> Vec<&'a SoldOut> {
        let wrong = |a: &&SoldOut| self.fewest(a.asked + offset.0, a.answered + offset.1) > 0;
        answers.iter().filter(wrong).collect()
    }
}
