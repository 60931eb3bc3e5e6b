//! What the tests of this crate share: small journals, and where their batches are on the disk.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use flashsale_journal::{Committed, Journal, Opened, Options, Position};

pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const SEGMENT_BYTES: u64 = 32 << 10;
pub(crate) const HEADER_BYTES: u64 = 4096;
pub(crate) const SECTOR_BYTES: u64 = 512;

pub(crate) type Batch = Vec<(u16, Vec<u8>)>;

pub(crate) fn small() -> Options {
    Options {
        segment_bytes_max: SEGMENT_BYTES,
        queue_bytes_max: 1 << 20,
        batch_bytes_max: 16 << 10,
        record_bytes_max: 4 << 10,
        ..Options::default()
    }
}

pub(crate) fn open(dir: &Path) -> Opened {
    Journal::open(dir, small()).unwrap()
}

/// Appends each of `batches` as one batch on the disk.
pub(crate) fn append(opened: &Opened, batches: &[Batch]) {
    for batch in batches {
        let records = batch
            .iter()
            .map(|(partition, bytes)| (*partition, Bytes::from(bytes.clone())))
            .collect();
        let range = opened.journal.append_all(records).unwrap();
        let committed = opened.committed.recv_timeout(LONG).unwrap().unwrap();
        assert_eq!(
            committed.len() as u64,
            range.end.0 - range.start.0,
            "one append_all, one batch"
        );
        assert_eq!(committed[0].position, range.start);
    }
}

/// The records of `batches` as the journal must return them.
pub(crate) fn records(batches: &[Batch]) -> Vec<Committed> {
    let all = batches.iter().flatten().zip(0..);
    all.map(|((partition, bytes), number)| Committed {
        position: Position(number),
        partition: *partition,
        record: Bytes::from(bytes.clone()),
    })
    .collect()
}

pub(crate) fn read_all(journal: &Journal) -> Vec<Committed> {
    journal
        .reader(Position::START)
        .unwrap()
        .map(|record| record.unwrap())
        .collect()
}

pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment-{number:010}.journal"))
}

/// Where a batch is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Where each of `batches` is, by the format's rules and not by the crate's code.
pub(crate) fn layout(batches: &[Batch]) -> Vec<Extent> {
    let (mut segment, mut offset) = (0, HEADER_BYTES);
    let mut extents = Vec::new();
    for batch in batches {
        let body: u64 = batch.iter().map(|(_, record)| 12 + record.len() as u64).sum();
        let bytes = (48 + body).next_multiple_of(SECTOR_BYTES);
        if offset + bytes + SECTOR_BYTES > SEGMENT_BYTES {
            segment += 1;
            offset = HEADER_BYTES;
        }
        extents.push(Extent {
            segment,
            offset,
            bytes,
        });
        offset += bytes;
    }
    extents
}

/// Overwrites bytes of a segment.
pub(crate) fn overwrite(dir: &Path, segment: u64, offset: u64, bytes: &[u8]) {
    let file = File::options()
        .write(true)
        .open(segment_path(dir, segment))
        .unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

pub(crate) fn bytes_at(dir: &Path, segment: u64, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    File::open(segment_path(dir, segment))
        .unwrap()
        .read_exact_at(&mut bytes, offset)
        .unwrap();
    bytes
}

/// As after a power loss right after the last sync: the seal did not get to the disk.
pub(crate) fn lose_seal(dir: &Path, last: Extent) {
    overwrite(
        dir,
        last.segment,
        last.offset + last.bytes,
        &[0; SECTOR_BYTES as usize],
    );
}

/// All files of a directory with their bytes.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}
