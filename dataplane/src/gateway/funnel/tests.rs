use super::*;
use crate::sale::{Identity, Item, RequestRates, Sale};
use crate::switches::{Document, Entry, Source};
use crossbeam_channel::Receiver;
use flashsale_core::attempt::Ticketed;
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, Keyring, SaleUid};
use flashsale_core::order::Backlog;
use flashsale_crds::Money;
use std::sync::atomic::Ordering;

/// A funnel whose host is played by the test.
struct Stand {
    funnel: Funnel,
    inbox: Receiver<Message>,
    shared: Arc<Shared>,
    keys: Keyring,
}

fn stand(available: u32, shards: u16) -> Stand {
    let currency = "EUR".parse().unwrap();
    let item = Item {
        id: "phone".into(),
        title: "Phone".into(),
        price: Money::from_minor(69_900, currency),
        stock: 1_000,
        limit: 2,
    };
    let sale = Sale {
        uid: SaleUid(1),
        name: "launch".into(),
        namespace: "shop".into(),
        items: vec![item],
        opens: 0,
        closes: u64::MAX,
        shards,
        payment_timeout: Duration::from_secs(900),
        currency,
        orders_per_minute: 600,
        backlog: Backlog::Hold,
        registration: None,
        identity: Identity::TrustedHeader {
            name: "X-Buyer-Id".into(),
            from: Vec::new(),
        },
        requests: RequestRates::default(),
        targets: Vec::new(),
        settlement: None,
        switches: flashsale_crds::Switches::default(),
    };
    let shared = Arc::new(Shared::new(sale));
    shared.stock[0].available.store(available, Ordering::Release);
    let (port, inbox) = Port::channel();
    Stand {
        funnel: Funnel::new(3, port, shared.clone(), 1_000),
        inbox,
        shared,
        keys: Keyring::new(SaleUid(1)),
    }
}

impl Stand {
    fn buy(&mut self, i: usize) -> Key {
        let buyer = self.keys.buyer(&format!("buyer-{i}"));
        let attempt = Attempt {
            token: 0,
            buyer,
            buyer_id: "b".into(),
            item: ItemIx(0),
            quantity: 1,
            key: None,
        };
        let shard = buyer.home(self.shared.sale.shards);
        self.funnel.purchase(attempt, shard, Instant::now()).unwrap()
    }

    /// The tokens of the next call to the host.
    fn call(&self) -> Option<Vec<u64>> {
        match self.inbox.try_recv().ok()? {
            Message::Purchase { attempts, .. } => Some(attempts.iter().map(|a| a.token).collect()),
            other => panic!("{other:?}"),
        }
    }

    fn reply(&mut self, tokens: &[u64], answer: Answer) {
        self.funnel
            .settle(tokens.iter().map(|&token| (token, Outcome::Answered(answer))));
    }

    fn outcome(&mut self, key: Key) -> Option<Outcome> {
        self.funnel.take(key, Waker::noop())
    }
}

fn taken() -> Answer {
    Answer::Taken(Ticketed {
        ticket: TicketNo { made: Epoch(1), n: 1 },
        item: ItemIx(0),
        quantity: 1,
        place: 1,
    })
}

#[test]
fn what_arrives_while_a_call_is_under_way_is_the_next_call() {
    let mut stand = stand(1_000, 1);
    let keys: Vec<Key> = (0..10).map(|i| stand.buy(i)).collect();
    let first = stand.call().unwrap();
    assert_eq!(first.len(), 1);
    assert!(stand.call().is_none(), "one call at a time");
    stand.reply(&first, taken());
    assert_eq!(stand.call().unwrap().len(), 9);
    assert!(matches!(stand.outcome(keys[0]), Some(Outcome::Answered(_))));
    assert!(stand.outcome(keys[1]).is_none());
}

#[test]
fn those_who_wait_for_their_turn_when_the_sale_is_paused_were_never_sent_and_are_told_so() {
    let mut stand = stand(10, 1);
    let keys: Vec<Key> = (0..200).map(|i| stand.buy(i)).collect();
    let sent = stand.call().unwrap();
    let entries = vec![Entry {
        switch: "sale.paused".to_owned(),
        value: true.into(),
        ..Entry::nobody(Source::Spec)
    }];
    stand
        .shared
        .switches
        .declare(Document { revision: 1, entries }, 1);
    stand.funnel.tick(Instant::now());
    let outcomes: Vec<_> = keys.iter().map(|&key| stand.outcome(key)).collect();
    let shut = outcomes
        .iter()
        .filter(|o| matches!(o, Some(Outcome::Shut(door)) if door.paused()));
    assert_eq!(shut.count(), 200 - sent.len());
    stand.reply(&sent, taken());
    assert!(stand.call().is_none(), "nobody else is sent");
}

#[test]
fn no_more_attempts_are_under_way_than_can_win_and_the_rest_is_answered_from_memory() {
    let mut stand = stand(10, 1);
    let keys: Vec<Key> = (0..200).map(|i| stand.buy(i)).collect();
    let mut sent = stand.call().unwrap();
    stand.reply(&sent.clone(), taken());
    sent.extend(stand.call().unwrap());
    // One was answered, so one more may follow: 10 + 5 + 16 under way.
    assert_eq!(sent.len(), 1 + 31);
    let winner = stand.keys.buyer("buyer-150");
    stand.shared.winners.insert(winner);
    stand.shared.stock[0].available.store(0, Ordering::Release);
    stand.funnel.tick(Instant::now());
    let outcomes: Vec<_> = keys.iter().map(|&key| stand.outcome(key)).collect();
    let sold_out = outcomes.iter().filter(|o| matches!(o, Some(Outcome::SoldOut)));
    assert_eq!(sold_out.count(), 200 - sent.len() - 1);
    assert!(
        outcomes[150].is_none(),
        "who may hold a ticket is asked to the host"
    );
}

#[test]
fn busy_is_never_said_of_what_was_sent() {
    let mut stand = stand(0, 1);
    for i in 0..40 {
        stand
            .shared
            .winners
            .insert(stand.keys.buyer(&format!("buyer-{i}")));
    }
    let keys: Vec<Key> = (0..40).map(|i| stand.buy(i)).collect();
    let sent = stand.call().unwrap();
    stand
        .funnel
        .tick(Instant::now() + WAIT_MAX + Duration::from_millis(1));
    assert!(matches!(stand.outcome(keys[0]), Some(Outcome::Unknown)));
    assert!(matches!(stand.outcome(keys[39]), Some(Outcome::Busy)));
    // The host's answer comes late: nobody is told twice, and nothing is counted twice.
    stand.reply(&sent, taken());
    let counters = &stand.shared.counters;
    assert_eq!(counters.busy.load(Ordering::Relaxed), 40);
    assert_eq!(counters.won.load(Ordering::Relaxed), 0);
}

#[test]
fn a_host_that_takes_nothing_makes_buyers_busy_at_once() {
    let mut stand = stand(1_000, 1);
    drop(std::mem::replace(&mut stand.inbox, crossbeam_channel::never()));
    let key = stand.buy(0);
    assert!(matches!(stand.outcome(key), Some(Outcome::Busy)));
    assert!(stand.outcome(key).is_some(), "a key that is used up ends");
}

#[test]
fn who_has_gone_is_not_sent_but_still_counted() {
    let mut stand = stand(1_000, 1);
    let keys: Vec<Key> = (0..3).map(|i| stand.buy(i)).collect();
    let first = stand.call().unwrap();
    stand.funnel.abandon(keys[0]);
    stand.funnel.abandon(keys[1]);
    stand.reply(&first, taken());
    assert_eq!(stand.call().unwrap().len(), 1);
    let counters = &stand.shared.counters;
    assert_eq!(counters.won.load(Ordering::Relaxed), 1);
    assert_eq!(counters.busy.load(Ordering::Relaxed), 1);
}

#[test]
fn more_than_may_wait_are_refused() {
    let mut stand = stand(1, 1);
    for i in 0..1_000 {
        stand.buy(i);
    }
    let buyer = stand.keys.buyer("one-more");
    let attempt = Attempt {
        token: 0,
        buyer,
        buyer_id: "b".into(),
        item: ItemIx(0),
        quantity: 1,
        key: None,
    };
    assert!(
        stand
            .funnel
            .purchase(attempt, ShardId(0), Instant::now())
            .is_none()
    );
}

#[test]
fn a_token_names_one_request_for_ever() {
    let key = Key {
        ix: (1 << IX_BITS) - 1,
        generation: u32::MAX,
    };
    assert_eq!(Key::of_slot(slot_of(token(255, key.slot()))), key);
}
