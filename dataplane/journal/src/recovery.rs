//! Finds the durable records of a directory; tells a torn batch from corruption; cuts the former.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::batch::{self, Fault, Found};
use crate::format::{
    BatchHeader, Chain, SECTOR_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentHeaderFault, VERSION,
};
use crate::{Failure, JournalError, Position, segment};

/// What opening a directory found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The records, all of them durable.
    pub records: u64,
    /// Their bytes, without headers.
    pub bytes: u64,
    /// The segment files.
    pub segments: u64,
    /// The position of the next record.
    pub end: Position,
    /// The bytes of a torn batch that were cut after the last record; 0 if there was none. None of its records had
    /// been delivered.
    pub torn_bytes: u64,
    /// Whether a seal proves that nothing durable is missing at the end; after a crash it may not have got to the disk.
    pub sealed: bool,
}

/// A segment of a running journal.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
}

/// What a directory holds, found without changing anything.
pub(crate) struct Scan {
    pub(crate) recovered: Recovered,
    /// In order; never empty.
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: Tail,
}

/// The end of the last segment.
pub(crate) struct Tail {
    /// Where the next batch goes.
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
    /// Where the segment's last batch is, if it has one.
    last_batch: Option<(u64, u64)>,
    /// The end of what is not zero after `offset`; `offset` itself if nothing is.
    dirty_to: u64,
}

/// Reads all segments of `dir`, or `None` if there are none and never were any.
pub(crate) fn scan(dir: &Path, expected_uid: Option<Uuid>) -> Result<Option<Scan>, JournalError> {
    let numbers = segment::list(dir)?.segments;
    if numbers.is_empty() && expected_uid.is_none() {
        return Ok(None);
    }
    let missing = (0..)
        .zip(&numbers)
        .find(|(wanted, found)| wanted != *found)
        .map(|(wanted, _)| wanted);
    if let Some(number) = missing.or(numbers.is_empty().then_some(0)) {
        let what = "this segment is missing (to start an empty journal, remove the whole directory)";
        return Err(corrupt(&segment::path(dir, number), 0, what, Position::START));
    }
    let mut found = Vec::new();
    for &number in &numbers {
        found.push(open_segment(dir, number)?);
    }
    let uid = expected_uid.unwrap_or(found[0].1.header.uid);
    let (mut walked, mut total) = (Walk::start(Chain::START), (0, 0));
    for (at, (file, this)) in found.iter().enumerate() {
        check_header(this, uid, at as u64, &walked)?;
        // What a segment of another journal knows about this one's end counts for nothing; its turn to be refused comes.
        let next = found.get(at + 1).map(|(_, next)| next);
        let next = next.filter(|next| next.header.uid == uid && next.header.number == at as u64 + 1);
        walked = walk(file, this, next.map(|next| next.header.previous_end))?;
        if let (Some(fault), Some(next)) = (&walked.fault, next) {
            let what = format!("{}, and segment {} follows", fault.what, next.header.number);
            return Err(corrupt(&this.path, fault.offset, what, walked.chain.position));
        }
        total = (total.0 + walked.records, total.1 + walked.bytes);
    }
    let (file, last) = &found[found.len() - 1];
    let dirty_to = look_beyond(file, last, &walked)?;
    let recovered = Recovered {
        records: total.0,
        bytes: total.1,
        segments: found.len() as u64,
        end: walked.chain.position,
        torn_bytes: dirty_to - walked.offset,
        sealed: walked.sealed,
    };
    let tail = Tail {
        offset: walked.offset,
        chain: walked.chain,
        last_batch: walked.last_batch,
        dirty_to,
    };
    Ok(Some(Scan {
        recovered,
        segments: found.into_iter().map(|(_, segment)| segment).collect(),
        tail,
    }))
}

/// Cuts a torn batch, and makes sure that what was found is on the disk and not only in memory.
///
/// Until now the last batch may be in the page cache alone: the crash may have come between its write and the end of
/// its `fdatasync`, or that `fdatasync` failed, after which the kernel calls such pages clean. So it is written again.
pub(crate) fn settle(scan: &Scan) -> Result<File, Failure> {
    let Some(last) = scan.segments.last() else {
        unreachable!("a scan has at least one segment")
    };
    let tail = &scan.tail;
    let settle = || -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(&last.path)?;
        if let Some((offset, bytes)) = tail.last_batch {
            let mut batch = vec![0; bytes as usize];
            file.read_exact_at(&mut batch, offset)?;
            file.write_all_at(&batch, offset)?;
        }
        if tail.dirty_to > tail.offset {
            segment::zero(&file, tail.offset, tail.dirty_to)?;
        }
        if tail.offset + SECTOR_BYTES <= last.header.segment_bytes {
            file.write_all_at(
                &batch::encode_seal(last.header.seed(), tail.offset, tail.chain),
                tail.offset,
            )?;
        }
        file.sync_all()?;
        Ok(file)
    };
    settle().map_err(|source| Failure::new("settle the end of", &last.path, source).at(tail.offset))
}

fn corrupt(file: &Path, offset: u64, what: impl Into<String>, whole: Position) -> JournalError {
    JournalError::Corrupt {
        file: file.to_owned(),
        offset,
        what: what.into(),
        whole,
    }
}

/// Opens a segment file and reads its header.
pub(crate) fn open_segment(dir: &Path, number: u64) -> Result<(File, Segment), JournalError> {
    let path = segment::path(dir, number);
    let disk = |source| JournalError::Disk(Failure::new("read the segment", &path, source));
    let file = File::open(&path).map_err(disk)?;
    let length = file.metadata().map_err(disk)?.len();
    let mut block = vec![0; SEGMENT_HEADER_BYTES.min(length) as usize];
    file.read_exact_at(&mut block, 0).map_err(disk)?;
    let header = match SegmentHeader::decode(&block) {
        Ok(header) => header,
        Err(SegmentHeaderFault::Version(version)) => {
            return Err(JournalError::Version {
                file: path,
                version,
                supported: VERSION,
            });
        }
        Err(SegmentHeaderFault::Damaged(what)) => return Err(corrupt(&path, 0, what, Position::START)),
    };
    if length != header.segment_bytes {
        // Segments get their full length before they get their name, so this is never a crash's doing.
        let what = format!(
            "the file has {length} bytes, its header says {}",
            header.segment_bytes
        );
        return Err(corrupt(
            &path,
            length.min(header.segment_bytes),
            what,
            header.chain.position,
        ));
    }
    Ok((file, Segment { path, header }))
}

/// Whether `this` is segment `number` of the journal and continues what was `walked` so far.
fn check_header(this: &Segment, uid: Uuid, number: u64, walked: &Walk) -> Result<(), JournalError> {
    let header = &this.header;
    let whole = walked.chain.position;
    if header.uid != uid {
        let what = format!("this segment belongs to the journal {}, not to {uid}", header.uid);
        return Err(corrupt(&this.path, 0, what, whole));
    }
    if header.number != number {
        return Err(corrupt(
            &this.path,
            0,
            format!("this is segment {}, renamed", header.number),
            whole,
        ));
    }
    if header.previous_end != walked.offset || header.chain != walked.chain {
        let what = format!(
            "this segment continues byte {} and {:?}, but the one before ends at byte {} with {:?}",
            header.previous_end, header.chain, walked.offset, walked.chain
        );
        return Err(corrupt(&this.path, 0, what, whole));
    }
    Ok(())
}

/// The whole batches of one segment.
struct Walk {
    offset: u64,
    chain: Chain,
    records: u64,
    bytes: u64,
    last_batch: Option<(u64, u64)>,
    sealed: bool,
    /// Why it ended, unless at a seal or where it was told to.
    fault: Option<Fault>,
}

impl Walk {
    fn start(chain: Chain) -> Walk {
        Walk {
            offset: 0,
            chain,
            records: 0,
            bytes: 0,
            last_batch: None,
            sealed: false,
            fault: None,
        }
    }
}

/// Goes from batch to batch, to the end or to `stop`, which the next segment's header knows.
fn walk(file: &File, this: &Segment, stop: Option<u64>) -> Result<Walk, JournalError> {
    let seed = this.header.seed();
    let mut walk = Walk {
        offset: SEGMENT_HEADER_BYTES,
        ..Walk::start(this.header.chain)
    };
    while Some(walk.offset) != stop {
        let found = batch::read(file, seed, this.header.segment_bytes, walk.offset, walk.chain)
            .map_err(|source| Failure::new("read a batch of", &this.path, source).at(walk.offset))?;
        match found {
            Found::Batch(batch) => {
                walk.records += batch.records.len() as u64;
                walk.bytes += batch
                    .records
                    .iter()
                    .map(|record| record.record.len() as u64)
                    .sum::<u64>();
                walk.last_batch = Some((walk.offset, batch.bytes_on_disk));
                walk.offset += batch.bytes_on_disk;
                walk.chain = batch.chain;
            }
            Found::Seal if stop.is_none() => {
                walk.sealed = true;
                break;
            }
            Found::Seal => {
                let what = "the segment ends here, before the end that the next one knows".to_owned();
                walk.fault = Some(Fault {
                    offset: walk.offset,
                    what,
                    batch_end: None,
                    impossible: true,
                });
                break;
            }
            Found::Bad(fault) => {
                walk.fault = Some(fault);
                break;
            }
        }
    }
    Ok(walk)
}

/// Searches the last segment after its last whole batch, and returns the end of what is not zero there.
///
/// # Errors
/// Corrupt, if anything there was written later than the batch that would be at the end: that one was durable then.
fn look_beyond(file: &File, last: &Segment, walked: &Walk) -> Result<u64, JournalError> {
    let (fault_at, what, batch_end, impossible) = match &walked.fault {
        Some(fault) => (
            fault.offset,
            fault.what.as_str(),
            fault.batch_end,
            fault.impossible,
        ),
        None => (walked.offset, "a seal", None, false),
    };
    let refuse = |also: &str| {
        Err(corrupt(
            &last.path,
            fault_at,
            format!("{what}{also}"),
            walked.chain.position,
        ))
    };
    if impossible {
        return refuse("");
    }
    let seed = last.header.seed();
    let mut dirty_to = walked.offset;
    let mut chunk = vec![0; 1 << 20];
    let mut start = walked.offset;
    while start < last.header.segment_bytes {
        let length = (chunk.len() as u64).min(last.header.segment_bytes - start);
        let bytes = &mut chunk[..length as usize];
        file.read_exact_at(bytes, start)
            .map_err(|source| Failure::new("read the end of", &last.path, source).at(start))?;
        for (at, sector) in (start..)
            .step_by(SECTOR_BYTES as usize)
            .zip(bytes.chunks(SECTOR_BYTES as usize))
        {
            if sector.iter().all(|&byte| byte == 0) {
                continue;
            }
            if at > walked.offset && BatchHeader::decode(sector, seed, at).is_some() {
                return refuse(&format!(", yet what was written after it is whole at byte {at}"));
            }
            if batch_end.is_some_and(|end| at >= end) {
                return refuse(&format!(", yet something was written after it, at byte {at}"));
            }
            dirty_to = at + SECTOR_BYTES;
        }
        start += length;
    }
    // The seal itself is no torn batch.
    let seal_only = walked.sealed && dirty_to == walked.offset + SECTOR_BYTES;
    Ok(if seal_only { walked.offset } else { dirty_to })
}

/// Removes spares that a crash left behind.
pub(crate) fn remove_spares(dir: &Path) -> Result<(), Failure> {
    for spare in segment::list(dir)?.spares {
        fs::remove_file(&spare).map_err(|source| Failure::new("remove the unused", &spare, source))?;
    }
    Ok(())
}
