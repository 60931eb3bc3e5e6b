//! A healthy log.

use crate::world::{World, all_until_caught_up, patiently, records};
use bytes::Bytes;
use flashsale_pulsar::{AppendError, From, Layout, LogOptions, OrderLog, Reader, Record, probe};
use std::sync::Arc;
use std::time::Duration;

fn log(world: &World, layout: &Layout) -> OrderLog {
    OrderLog::start(
        &world.service,
        &layout.names,
        0..layout.shards,
        LogOptions::default(),
    )
}

fn of(records: &[Record], partition: u16) -> Vec<Bytes> {
    let of = records.iter().filter(|r| r.partition == partition);
    of.map(|r| r.bytes.clone()).collect()
}

fn numbered(partition: u16, count: usize) -> Vec<Bytes> {
    (0..count).map(|n| format!("{partition}/{n}").into()).collect()
}

/// Appends and reads back `count` records in each of the sale's partitions.
async fn filled(world: &World, layout: &Layout, count: usize) -> Vec<Record> {
    let log = log(world, layout);
    let mut reader = world.reader(layout);
    for n in 0..count {
        for partition in 0..layout.shards {
            log.append(partition, numbered(partition, count)[n].clone())
                .expect("room");
        }
    }
    let read = records(&mut reader, count * usize::from(layout.shards)).await;
    log.close(Duration::from_secs(5)).await;
    read
}

pub(crate) async fn what_is_appended_is_read_back_in_order_per_partition(world: Arc<World>) {
    let layout = world.sale(4).await;
    let read = filled(&world, &layout, 200).await;
    for partition in 0..4 {
        assert_eq!(of(&read, partition), numbered(partition, 200));
    }
    let in_order = |p: u16| {
        read.iter()
            .filter(|r| r.partition == p)
            .is_sorted_by_key(|r| r.id)
    };
    assert!((0..4).all(in_order), "ids grow with the log");
}

pub(crate) async fn a_reader_from_the_start_gets_everything_and_says_when(world: Arc<World>) {
    let layout = world.sale(3).await;
    let mut early = world.reader(&layout);
    assert_eq!(
        all_until_caught_up(&mut early, 3).await,
        [],
        "an empty log has an end, too"
    );

    let first = filled(&world, &layout, 300).await;
    let mut late = world.reader(&layout);
    let all = all_until_caught_up(&mut late, 3).await;
    for partition in 0..3 {
        assert_eq!(of(&all, partition), of(&first, partition));
    }
    let last = all.iter().rfind(|r| r.partition == 1).map(|r| r.id);
    assert_eq!(probe(&world.service, &layout.names, 1).await, Ok(last));
    assert_eq!(late.try_next(), None);
    assert_eq!(late.state().stats().messages, 900);
}

pub(crate) async fn a_reader_goes_on_behind_a_given_record(world: Arc<World>) {
    let layout = world.sale(1).await;
    let all = filled(&world, &layout, 50).await;
    for seen in [0, 20, 49] {
        let from = From::After(all[seen].id);
        let mut reader = Reader::start(&world.service, &layout.names, [(0, from)]);
        assert_eq!(all_until_caught_up(&mut reader, 1).await, all[seen + 1..]);
    }
}

pub(crate) async fn a_full_queue_refuses_and_never_waits(world: Arc<World>) {
    let layout = world.sale(1).await;
    let options = LogOptions {
        queue_records_max: 8,
        queue_bytes_max: 1 << 20,
    };
    // This thread appends without ever letting the publisher run on it; the broker can't be that fast.
    let log = OrderLog::start(&world.service, &layout.names, [0], options);
    let full = (0..100_000)
        .map(|_| log.append(0, vec![0; 1000]))
        .find_map(Result::err);
    assert_eq!(full, Some(AppendError::Full { partition: 0 }));
    assert_eq!(log.append(7, "x"), Err(AppendError::NotOurs { partition: 7 }));
    assert!(log.stats().refused > 0);
    // And it takes more once there is room.
    let mut reader = world.reader(&layout);
    records(&mut reader, 8).await;
    log.append(0, "more").expect("room again");
    patiently(async { while records(&mut reader, 1).await[0].bytes != "more" {} }).await;
}

pub(crate) async fn what_was_taken_is_sent_before_the_log_closes(world: Arc<World>) {
    let layout = world.sale(1).await;
    let log = log(&world, &layout);
    for record in numbered(0, 500) {
        log.append(0, record).expect("room");
    }
    log.close(Duration::from_secs(30)).await;
    let mut reader = world.reader(&layout);
    assert_eq!(
        of(&all_until_caught_up(&mut reader, 1).await, 0),
        numbered(0, 500)
    );
}
