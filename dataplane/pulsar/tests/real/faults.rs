//! Brokers that die, freeze or throw topics out.

use crate::world::{World, all_until_caught_up, patiently, records};
use bytes::Bytes;
use flashsale_core::event::{self, Change, Event, Record as LogRecord};
use flashsale_core::fold::{Fold, Step};
use flashsale_core::ids::{BuyerKey, Epoch, OwnerId, SaleUid, ShardId};
use flashsale_pulsar::{Delivery, Layout, LogOptions, OrderLog, Reader};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

fn log(world: &World, layout: &Layout) -> OrderLog {
    OrderLog::start(
        &world.service,
        &layout.names,
        0..layout.shards,
        LogOptions::default(),
    )
}

fn number(bytes: &Bytes) -> u64 {
    std::str::from_utf8(bytes)
        .expect("text")
        .parse()
        .expect("a number")
}

/// Appends numbers, reading back as it goes, until `last` was read; the first time past `half`, does `fault`.
/// Answers all numbers read.
async fn through(world: &World, layout: &Layout, last: u64, fault: impl Future<Output = ()>) -> Vec<u64> {
    let log = log(world, layout);
    let mut reader = world.reader(layout);
    let (mut appended, mut read) = (0, Vec::new());
    let mut fault = std::pin::pin!(fault);
    let mut done = false;
    while !read.contains(&last) {
        // A window of what isn't read back, as an owner has it.
        while appended < last && appended < read.len() as u64 + 50 {
            log.append(0, (appended + 1).to_string()).expect("room");
            appended += 1;
        }
        if !done && appended > last / 2 {
            fault.as_mut().await;
            done = true;
        }
        read.extend(records(&mut reader, 1).await.iter().map(|r| number(&r.bytes)));
    }
    log.close(Duration::from_secs(10)).await;
    read
}

/// Each number from 1 came, and each for the first time only after all before it.
fn in_order_without_a_gap(read: &[u64]) -> bool {
    let mut len = 0;
    for number in read {
        if *number > len + 1 {
            return false;
        }
        len = len.max(*number);
    }
    true
}

async fn still_there(world: &World, layout: &Layout, read: &[u64]) {
    let mut again = world.reader(layout);
    let all = all_until_caught_up(&mut again, layout.shards).await;
    let all: Vec<u64> = all.iter().map(|r| number(&r.bytes)).collect();
    assert!(
        all.starts_with(read),
        "what was read back stands, in the same order"
    );
}

async fn unload(world: &World, layout: &Layout) {
    let path = format!("persistent/{}/orders-partition-0/unload", layout.names);
    let url = format!("{}/admin/v2/{path}", world.admin.url());
    let response = reqwest::Client::new().put(url).send().await.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
}

pub(crate) async fn an_unloaded_topic_loses_nothing(world: Arc<World>) {
    let layout = world.sale(1).await;
    let read = through(&world, &layout, 400, unload(&world, &layout)).await;
    assert!(in_order_without_a_gap(&read), "{read:?}");
    still_there(&world, &layout, &read).await;
}

/// Sockets of this process.
fn sockets() -> usize {
    let fds = std::fs::read_dir("/proc/self/fd").expect("the process's files");
    let links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    links
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count()
}

pub(crate) async fn rebuilt_readers_and_publishers_leave_no_connections_behind(world: Arc<World>) {
    const UNLOADS: u64 = 12;
    let layout = world.sale(1).await;
    let log = log(&world, &layout);
    let mut reader = world.reader(&layout);
    let mut in_use = 0;
    for n in 0..=UNLOADS {
        let round = n.to_string();
        // Sent again and again, as an owner would: how the old connection ends is the client's business.
        let arrives = async {
            loop {
                let _ = log.append(0, round.clone());
                let next = tokio::time::timeout(Duration::from_millis(200), records(&mut reader, 1));
                if next.await.is_ok_and(|records| records[0].bytes == round) {
                    break;
                }
            }
        };
        patiently(arrives).await;
        if n == 0 {
            in_use = sockets();
        }
        if n < UNLOADS {
            unload(&world, &layout).await;
        }
    }
    assert!(
        reader.state().stats().rebuilds >= UNLOADS / 2,
        "connections were given up"
    );
    // Those of one reader and one publisher stay, each with the client's idle one for lookups.
    let few = async {
        while sockets() > in_use + UNLOADS as usize / 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    patiently(few).await;
    log.close(Duration::from_secs(5)).await;
}

pub(crate) async fn a_broker_frozen_for_seconds_loses_nothing(world: Arc<World>) {
    let layout = world.sale(1).await;
    let freeze = async {
        let server = world.server.lock().await;
        server.stop();
        // The fault itself, longer than the publisher's and the reader's patience.
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.cont();
    };
    let read = through(&world, &layout, 400, freeze).await;
    assert!(in_order_without_a_gap(&read), "{read:?}");
    still_there(&world, &layout, &read).await;
}

pub(crate) async fn a_killed_broker_keeps_what_was_read_back_and_publishing_goes_on(world: Arc<World>) {
    let layout = world.sale(1).await;
    let kill = async {
        let mut server = world.server.lock().await;
        server.kill();
        server.restart().await.unwrap_or_else(|e| panic!("{e}"));
    };
    let read = through(&world, &layout, 400, kill).await;
    assert!(in_order_without_a_gap(&read), "{read:?}");
    still_there(&world, &layout, &read).await;
    // A partition that has only a past still has an end.
    world
        .server
        .lock()
        .await
        .restart()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    still_there(&world, &layout, &read).await;
}

/// An owner of one shard, as far as the log sees it: barrier, `Opened`, events; all that isn't read back is sent again.
struct Resender {
    uid: SaleUid,
    shard: ShardId,
    fold: Fold,
    events: Vec<Event>,
    /// The last event sent since the last time that all was sent again.
    sent: usize,
}

impl Resender {
    const EPOCH: Epoch = Epoch(1);
    const OWNER: OwnerId = OwnerId(77);

    fn new(uid: SaleUid, shard: ShardId, count: u64) -> Self {
        let event = |n| Event {
            n,
            made: Self::EPOCH,
            change: Change::Registered {
                buyer: BuyerKey(u128::from(n)),
            },
        };
        Self {
            uid,
            shard,
            fold: Fold::default(),
            events: (1..=count).map(event).collect(),
            sent: 0,
        }
    }

    fn done(&self) -> bool {
        self.fold.len() == self.events.len() as u64
    }

    /// Nothing has come for a while: everything that isn't read back is sent again.
    fn resend(&mut self, log: &OrderLog) {
        self.sent = self.fold.len() as usize;
        self.publish(log);
    }

    /// What wasn't sent yet, within a window of what isn't read back.
    fn publish(&mut self, log: &OrderLog) {
        const WINDOW: usize = 500;
        let (epoch, owner) = (Self::EPOCH, Self::OWNER);
        let (head, _, open) = self.fold.head();
        let base = self.fold.len();
        if head != epoch {
            return self.append(log, &LogRecord::Barrier { epoch, owner });
        }
        if !open {
            return self.append(log, &LogRecord::Opened { epoch, owner, base });
        }
        let until = self.events.len().min(base as usize + WINDOW);
        let from = self.sent.clamp(base as usize, until);
        for events in self.events[from..until].chunks(7) {
            let events = events.to_vec();
            self.append(log, &LogRecord::Batch { epoch, owner, events });
        }
        self.sent = until;
    }

    fn append(&self, log: &OrderLog, record: &LogRecord) {
        // Full: it isn't read back, so it comes again.
        let _ = log.append(self.shard.0, event::encode(self.uid, self.shard, record));
    }

    /// Takes what was read back; answers how many events counted.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let record = event::decode(self.uid, self.shard, bytes).expect("our record");
        match self.fold.read(&record) {
            Step::Counted(events) => events.len(),
            Step::Opened { .. } | Step::Fenced | Step::Skipped(_) => 0,
        }
    }
}

/// Runs the owners until each event of each counted once; answers how many counted in all.
async fn until_all_counted(
    owners: &mut [Resender],
    log: &OrderLog,
    reader: &mut Reader,
    progress: &watch::Sender<usize>,
) -> usize {
    let mut counted = 0;
    while !owners.iter().all(Resender::done) {
        match tokio::time::timeout(Duration::from_millis(200), reader.next()).await {
            Ok(Some(Delivery::Record(record))) => {
                let owner = &mut owners[usize::from(record.partition)];
                let new = owner.read(&record.bytes);
                counted += new;
                progress.send_replace(counted);
                if new > 0 || owner.fold.is_empty() {
                    owner.publish(log);
                }
            }
            Ok(Some(Delivery::CaughtUp { .. })) => {}
            Ok(None) => panic!("the reader has ended"),
            Err(_) => owners
                .iter_mut()
                .filter(|o| !o.done())
                .for_each(|o| o.resend(log)),
        }
    }
    counted
}

pub(crate) async fn an_owner_that_resends_counts_each_event_once(world: Arc<World>) {
    const EVENTS: u64 = 20_000;
    let layout = world.sale(2).await;
    let uid = SaleUid(1);
    let log = log(&world, &layout);
    let mut reader = world.reader(&layout);
    let mut owners: Vec<Resender> = (0..2).map(|s| Resender::new(uid, ShardId(s), EVENTS)).collect();
    let killer = Arc::clone(&world);
    let (progress, mut seen) = watch::channel(0);
    let kill = tokio::spawn(async move {
        let midway = |counted: &usize| *counted as u64 > EVENTS / 2;
        seen.wait_for(midway).await.expect("events count");
        let mut server = killer.server.lock().await;
        server.kill();
        server.restart().await.unwrap_or_else(|e| panic!("{e}"));
    });
    let counted = patiently(until_all_counted(&mut owners, &log, &mut reader, &progress)).await;
    kill.await.expect("killed and restarted");
    assert_eq!(counted as u64, 2 * EVENTS);
    assert!(log.stats().rebuilds > 0, "the broker did go away");

    // Whoever reads it all again later comes to the same.
    let mut again: Vec<Resender> = (0..2).map(|s| Resender::new(uid, ShardId(s), EVENTS)).collect();
    let mut reader = world.reader(&layout);
    let all = all_until_caught_up(&mut reader, 2).await;
    let counted: usize = all
        .iter()
        .map(|r| again[usize::from(r.partition)].read(&r.bytes))
        .sum();
    assert_eq!(counted as u64, 2 * EVENTS);
}
