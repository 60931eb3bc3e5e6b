//! Payment deadlines, and letters that are delivered at least once.

use crate::world::{PATIENCE, World, patiently};
use flashsale_core::event::TicketNo;
use flashsale_core::ids::{Epoch, ShardId};
use flashsale_pulsar::{Deadlines, Hint, Hints, Letter, Mailbox, Post, Topic};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_millis() as u64
}

fn hint(n: u64) -> Hint {
    let ticket = TicketNo { made: Epoch(1), n };
    Hint {
        shard: ShardId(3),
        ticket,
    }
}

/// A broker delivers up to a tick, of 100 ms by the namespace's policy, before the time, which it cuts by less than another.
const EARLY_MAX_MS: u64 = 200;

pub(crate) async fn a_hint_comes_when_its_deadline_has_come_and_the_others_after_it(world: Arc<World>) {
    let layout = world.sale(1).await;
    let (deadlines, mut hints) = (
        Deadlines::start(&world.service, &layout.names),
        Hints::start(&world.service, &layout.names),
    );
    // One that is due at once: when it has come, both connections are there, and nothing below waits for them.
    deadlines.remind(hint(0), now_ms());
    assert_eq!(patiently(hints.next()).await, Some(hint(0)));
    // The later one is sent first, and is far enough behind that only its deadline can put it there.
    let (soon, later) = (now_ms() + 2_000, now_ms() + 10_000);
    deadlines.remind(hint(2), later);
    deadlines.remind(hint(1), soon);
    assert_eq!(patiently(hints.next()).await, Some(hint(1)));
    assert!(now_ms() + EARLY_MAX_MS >= soon, "not before its deadline");
    assert_eq!(patiently(hints.next()).await, Some(hint(2)));
    assert!(now_ms() + EARLY_MAX_MS >= later, "not before its deadline");
    assert!(hints.health().is_up());
    assert_eq!(deadlines.stats().messages, 3);
}

fn letter(n: u32) -> Letter {
    Letter {
        bytes: format!("letter {n}").into(),
        properties: HashMap::from([("id".to_owned(), n.to_string())]),
    }
}

pub(crate) async fn a_dead_letter_waits_until_it_is_replayed_and_done_with(world: Arc<World>) {
    let layout = world.sale(1).await;
    let post = Post::start(&world.service, &layout.names, Topic::DeadLetter);
    for n in 0..20 {
        post.post(letter(n), None, PATIENCE).await.expect("stored");
    }
    // The first to come takes some and does half of them.
    let mut first = Mailbox::start(&world.service, &layout.names, Topic::DeadLetter, "replay");
    let mut done = BTreeSet::new();
    for _ in 0..10 {
        let received = patiently(first.next()).await.expect("a letter");
        done.insert(received.letter.properties["id"].clone());
        received.done().await;
    }
    let unfinished = patiently(first.next()).await.expect("a letter").letter;
    drop(first);
    // The next one gets the rest, that one too.
    let mut second = Mailbox::start(&world.service, &layout.names, Topic::DeadLetter, "replay");
    let mut seen = Vec::new();
    let mut all = done.clone();
    while all.len() < 20 {
        let received = patiently(second.next()).await.expect("a letter");
        all.insert(received.letter.properties["id"].clone());
        seen.push(received.letter.clone());
        received.done().await;
    }
    assert!(seen.contains(&unfinished), "what wasn't done with comes again");
    assert_eq!(all, (0..20).map(|n| n.to_string()).collect());
}

pub(crate) async fn letters_posted_while_the_broker_restarts_arrive(world: Arc<World>) {
    let layout = world.sale(1).await;
    let post = Post::start(&world.service, &layout.names, Topic::Retry);
    let mut mailbox = Mailbox::start(&world.service, &layout.names, Topic::Retry, "workers");
    post.post(letter(0), None, PATIENCE).await.expect("stored");
    assert_eq!(
        patiently(mailbox.next()).await.expect("a letter").letter,
        letter(0)
    );
    world.server.lock().await.kill();
    let impatient = post.post(letter(1), None, Duration::from_millis(300)).await;
    assert!(impatient.is_err(), "nobody can have confirmed it");
    world
        .server
        .lock()
        .await
        .restart()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    post.post(letter(2), None, PATIENCE).await.expect("stored");
    let mut missing = BTreeSet::from(["0", "1", "2"].map(str::to_owned));
    while !missing.is_empty() {
        let received = patiently(mailbox.next()).await.expect("a letter");
        missing.remove(&received.letter.properties["id"]);
        received.done().await;
    }
}
