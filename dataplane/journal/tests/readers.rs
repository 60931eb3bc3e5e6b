//! Many readers while many write.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{LONG, open, read_all, small};
use flashsale_journal::{AppendError, Journal, Options, Position, WaitError};
use tempfile::tempdir;

const WRITERS: u16 = 3;
const EACH: u64 = 3000;
const ALL: u64 = WRITERS as u64 * EACH;

/// Appends, and tries again while the queue is full.
fn append(journal: &Journal, partition: u16, number: u64) {
    let record = [
        number.to_le_bytes().as_slice(),
        &vec![partition as u8; (number % 90) as usize],
    ]
    .concat();
    loop {
        match journal.append(partition, record.clone()) {
            Ok(_) => return,
            Err(AppendError::Full { .. }) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn concurrent_readers_see_every_record_once_in_order_and_only_durable_ones() {
    let dir = tempdir().unwrap();
    // A queue this short also makes the writers meet backpressure.
    let options = Options {
        queue_bytes_max: 16 << 10,
        ..small()
    };
    let opened = Journal::open(dir.path(), options).unwrap();
    let (journal, committed) = (&opened.journal, &opened.committed);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for partition in 0..WRITERS {
            scope.spawn(move || (0..EACH).for_each(|number| append(journal, partition, number)));
        }
        let delivered = scope.spawn(|| {
            let mut all = Vec::new();
            while all.len() < ALL as usize {
                let batch = committed.recv_timeout(LONG).unwrap().unwrap();
                assert!(
                    journal.durable() > batch.last().unwrap().position,
                    "delivered before it counted as durable"
                );
                all.extend(batch);
            }
            done.store(true, Ordering::SeqCst);
            all
        });
        let tails: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let mut reader = journal.reader(Position::START).unwrap();
                    let mut all = Vec::new();
                    while all.len() < ALL as usize {
                        match reader.try_next().unwrap() {
                            Some(record) => {
                                assert!(record.position < journal.durable());
                                all.push(record);
                            }
                            None => reader.wait(LONG).unwrap(),
                        }
                    }
                    all
                })
            })
            .collect();
        // Readers that start anywhere, over and over, across segments that are just being made.
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let durable = journal.durable();
                for from in [
                    Position(durable.0 / 2),
                    Position(durable.0.saturating_sub(1)),
                    durable,
                ] {
                    let first = journal.reader(from).unwrap().try_next().unwrap();
                    assert!(first.iter().all(|record| record.position == from));
                    assert!(first.is_some() || from == durable);
                }
            }
        });
        let delivered = delivered.join().unwrap();
        for (at, record) in delivered.iter().enumerate() {
            assert_eq!(record.position, Position(at as u64));
        }
        for partition in 0..WRITERS {
            let own = delivered.iter().filter(|record| record.partition == partition);
            let numbers = own.map(|record| u64::from_le_bytes(record.record[..8].try_into().unwrap()));
            assert!(
                numbers.eq(0..EACH),
                "partition {partition} is not in its writer's order"
            );
        }
        for tail in tails {
            assert_eq!(tail.join().unwrap(), delivered);
        }
    });
    assert_eq!(opened.journal.close().unwrap(), Position(ALL));
    drop(opened);
    let again = open(dir.path());
    assert!(again.recovered.segments > 5, "{:?}", again.recovered);
    assert_eq!(read_all(&again.journal).len(), ALL as usize);
}

#[test]
fn a_waiting_reader_is_told_of_the_closing_and_still_reads_what_was_durable() {
    let dir = tempdir().unwrap();
    let opened = open(dir.path());
    let mut reader = opened.journal.reader(Position::START).unwrap();
    assert!(matches!(reader.wait(Duration::ZERO), Err(WaitError::TimedOut)));
    let position = opened.journal.append(1, b"last".to_vec()).unwrap();
    assert_eq!(opened.journal.close().unwrap(), position.plus(1));
    assert!(matches!(
        opened.journal.append(1, b"late".to_vec()),
        Err(AppendError::Closed)
    ));
    assert_eq!(&reader.try_next().unwrap().unwrap().record[..], b"last");
    assert!(reader.try_next().unwrap().is_none());
    assert!(matches!(reader.wait(LONG), Err(WaitError::Closed)));
    assert_eq!(
        opened.committed.iter().count(),
        1,
        "delivered before the channel ended"
    );
}

#[test]
fn append_all_is_all_or_nothing_and_a_record_too_long_is_refused() {
    let dir = tempdir().unwrap();
    let opened = open(dir.path());
    let long = small().record_bytes_max as usize + 1;
    let refused = opened
        .journal
        .append_all(vec![(0, vec![1].into()), (0, vec![0; long].into())]);
    assert!(
        matches!(refused, Err(AppendError::TooLarge { bytes, .. }) if bytes == long as u64),
        "{refused:?}"
    );
    let range = opened
        .journal
        .append_all(vec![(0, vec![1].into()), (1, vec![0; long - 1].into())])
        .unwrap();
    assert_eq!(
        range,
        Position(0)..Position(2),
        "the refused ones took no position"
    );
    opened.journal.wait_durable(Position(1), LONG).unwrap();
    assert_eq!(read_all(&opened.journal).len(), 2);
}
