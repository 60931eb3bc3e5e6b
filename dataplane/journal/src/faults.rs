//! Tests on a disk that waits, fails and is watched.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::storage::{Disk, Storage};
use crate::{AppendError, Journal, Opened, Options, Position, WaitError};

const LONG: Duration = Duration::from_secs(20);

fn small() -> Options {
    Options {
        segment_bytes_max: 64 << 10,
        queue_bytes_max: 1 << 20,
        batch_bytes_max: 8 << 10,
        record_bytes_max: 4 << 10,
        ..Options::default()
    }
}

/// A disk whose every sync announces itself, then waits to be told its outcome.
struct Gated {
    started: Sender<()>,
    outcome: Receiver<io::Result<()>>,
}

impl Storage for Gated {
    fn write(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        Disk.write(file, bytes, offset)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        self.started.send(()).unwrap();
        self.outcome.recv().unwrap_or(Ok(()))?;
        Disk.sync(file)
    }
}

/// A journal on a gated disk, the announcements of its syncs, and the way to answer them.
struct Gate {
    opened: Opened,
    syncs: Receiver<()>,
    answer: Option<Sender<io::Result<()>>>,
    _dir: tempfile::TempDir,
}

impl Gate {
    fn open() -> Gate {
        let dir = tempfile::tempdir().unwrap();
        let (started, syncs) = unbounded();
        let (answer, outcome) = unbounded();
        let opened = Journal::open_on(Gated { started, outcome }, dir.path(), &small()).unwrap();
        Gate {
            opened,
            syncs,
            answer: Some(answer),
            _dir: dir,
        }
    }

    fn answer(&self, outcome: io::Result<()>) {
        self.answer.as_ref().unwrap().send(outcome).unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.answer = None; // All further syncs pass, so that closing ends.
    }
}

#[test]
fn nothing_is_told_before_the_sync_returns() {
    let gate = Gate::open();
    let journal = &gate.opened.journal;
    let position = journal.append(3, b"one".to_vec()).unwrap();
    gate.syncs.recv_timeout(LONG).unwrap();
    // The record is written, its sync is under way.
    assert!(matches!(
        gate.opened.committed.try_recv(),
        Err(TryRecvError::Empty)
    ));
    assert_eq!(journal.durable(), Position::START);
    assert!(
        journal
            .reader(Position::START)
            .unwrap()
            .try_next()
            .unwrap()
            .is_none()
    );
    assert!(matches!(
        journal.wait_durable(position, Duration::ZERO),
        Err(WaitError::TimedOut)
    ));
    gate.answer(Ok(()));
    let batch = gate.opened.committed.recv_timeout(LONG).unwrap().unwrap();
    assert_eq!(
        (batch.len(), batch[0].position, batch[0].partition),
        (1, position, 3)
    );
    assert_eq!(
        journal.reader(Position::START).unwrap().try_next().unwrap(),
        Some(batch[0].clone())
    );
}

#[test]
fn all_that_arrives_during_a_sync_shares_the_next_one() {
    let gate = Gate::open();
    let journal = &gate.opened.journal;
    journal.append(0, b"first".to_vec()).unwrap();
    gate.syncs.recv_timeout(LONG).unwrap();
    for shard in 0..100 {
        journal.append(shard, vec![1; 10]).unwrap();
    }
    gate.answer(Ok(()));
    gate.answer(Ok(()));
    assert_eq!(
        gate.opened.committed.recv_timeout(LONG).unwrap().unwrap().len(),
        1
    );
    assert_eq!(
        gate.opened.committed.recv_timeout(LONG).unwrap().unwrap().len(),
        100
    );
    assert_eq!(journal.stats().batches, 2);
}

#[test]
fn appending_past_the_bound_is_refused_while_the_disk_hangs_and_accepted_after() {
    let gate = Gate::open();
    let journal = &gate.opened.journal;
    let mut accepted = 0;
    let refused = loop {
        match journal.append(0, vec![0; 4000]) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1000, "the queue has no bound");
    };
    assert!(
        matches!(refused, AppendError::Full { queue_bytes_max, .. } if queue_bytes_max == 1 << 20),
        "{refused}"
    );
    assert_eq!(accepted, (1 << 20) / (4000 + Options::RECORD_OVERHEAD_BYTES));
    gate.syncs.recv_timeout(LONG).unwrap();
    gate.answer(Ok(()));
    let freed = gate.opened.committed.recv_timeout(LONG).unwrap().unwrap();
    // A refusal takes no position: the next record follows the last accepted one.
    assert!(!freed.is_empty());
    assert_eq!(journal.append(0, vec![0; 4000]).unwrap(), Position(accepted));
}

#[test]
fn after_a_failed_sync_everything_is_refused_with_the_same_error_and_nothing_is_retried() {
    let gate = Gate::open();
    let journal = &gate.opened.journal;
    let position = journal.append(0, b"lost?".to_vec()).unwrap();
    gate.syncs.recv_timeout(LONG).unwrap();
    journal.append(0, b"behind it".to_vec()).unwrap();
    gate.answer(Err(io::Error::from_raw_os_error(5)));
    let told = gate.opened.committed.recv_timeout(LONG).unwrap().unwrap_err();
    assert!(told.to_string().contains("could not sync"), "{told}");
    for _ in 0..3 {
        match journal.append(0, b"later".to_vec()) {
            Err(AppendError::Stopped(failure)) => assert_eq!(failure.to_string(), told.to_string()),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        journal.wait_durable(position, LONG),
        Err(WaitError::Stopped(_))
    ));
    assert_eq!(journal.durable(), Position::START);
    assert_eq!(journal.close().unwrap_err().to_string(), told.to_string());
    assert!(
        gate.opened.committed.recv().is_err(),
        "the failure is the last message"
    );
    assert!(gate.syncs.is_empty(), "a failed sync must not be tried again");
}

/// A disk on which the write of a batch fails once told so.
struct FailingWrites {
    fail: Arc<AtomicBool>,
    writes_after: Arc<AtomicU64>,
}

impl Storage for FailingWrites {
    fn write(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fail.load(Ordering::SeqCst) {
            self.writes_after.fetch_add(1, Ordering::SeqCst);
            // Half of it got to the disk.
            Disk.write(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Disk.write(file, bytes, offset)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        Disk.sync(file)
    }
}

#[test]
fn a_full_disk_stops_the_journal_and_the_next_opening_finds_the_durable_records() {
    let dir = tempfile::tempdir().unwrap();
    let (fail, writes_after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let disk = FailingWrites {
        fail: Arc::clone(&fail),
        writes_after: Arc::clone(&writes_after),
    };
    let Opened {
        journal, committed, ..
    } = Journal::open_on(disk, dir.path(), &small()).unwrap();
    let kept = journal.append(1, b"kept".to_vec()).unwrap();
    journal.wait_durable(kept, LONG).unwrap();
    committed.recv_timeout(LONG).unwrap().unwrap();
    fail.store(true, Ordering::SeqCst);
    // The committer may meet the full disk at the seal already, or at this record.
    let _ = journal.append(1, vec![7; 3000]);
    let told = committed.recv_timeout(LONG).unwrap().unwrap_err();
    assert!(told.to_string().contains("free disk space"), "{told}");
    assert!(matches!(
        journal.append(1, Bytes::new()),
        Err(AppendError::Stopped(_))
    ));
    drop(journal);
    assert_eq!(
        writes_after.load(Ordering::SeqCst),
        1,
        "nothing is written after a failed write"
    );
    let again = Journal::open(dir.path(), small()).unwrap();
    assert_eq!(again.recovered.end, Position(1));
    assert_eq!(
        &again
            .journal
            .reader(Position::START)
            .unwrap()
            .try_next()
            .unwrap()
            .unwrap()
            .record[..],
        b"kept"
    );
}

#[test]
fn a_panic_in_the_committer_is_told_as_a_failure() {
    struct Panics;
    impl Storage for Panics {
        fn write(&mut self, _: &File, _: &[u8], _: u64) -> io::Result<()> {
            panic!("a bug, in a test");
        }
        fn sync(&mut self, _: &File) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let opened = Journal::open_on(Panics, dir.path(), &small()).unwrap();
    let position = opened.journal.append(0, b"x".to_vec()).unwrap();
    assert!(matches!(
        opened.journal.wait_durable(position, LONG),
        Err(WaitError::Stopped(_))
    ));
    assert!(opened.committed.recv_timeout(LONG).unwrap().is_err());
}

#[test]
fn a_subscriber_that_takes_nothing_slows_appenders_but_not_the_closing() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        deliver_batches_max: 1,
        close_deliver_wait_ms_max: 50,
        ..small()
    };
    let opened = Journal::open(dir.path(), options).unwrap();
    // The first batch fills the channel; with the second the committer waits for the subscriber.
    for _ in 0..2 {
        let position = opened.journal.append(0, vec![0; 4000]).unwrap();
        opened.journal.wait_durable(position, LONG).unwrap();
    }
    let mut accepted = 2;
    while opened.journal.append(0, vec![0; 4000]).is_ok() {
        accepted += 1;
        assert!(
            accepted < 1000,
            "a subscriber that takes nothing must end in a full queue"
        );
    }
    assert_eq!(accepted - 2, (1 << 20) / (4000 + Options::RECORD_OVERHEAD_BYTES));
    assert_eq!(
        opened.journal.close().unwrap(),
        Position(accepted),
        "all that was accepted is durable"
    );
    assert_eq!(opened.committed.try_iter().count(), 1);
}
