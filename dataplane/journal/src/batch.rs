//! Records into the bytes of a batch and back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::format::{
    BATCH_HEADER_BYTES, BatchHeader, Chain, Kind, RECORD_HEADER_BYTES, SECTOR_BYTES, batch_bytes_on_disk,
    u32_at,
};
use crate::{Committed, Position};

/// Encodes `records` as the batch at `offset` into `buffer` and returns its checksum for the chain.
///
/// The caller has bounded the batch: its length fits a u32.
pub(crate) fn encode(
    buffer: &mut Vec<u8>,
    seed: u32,
    offset: u64,
    chain: Chain,
    records: &[Committed],
) -> u32 {
    buffer.clear();
    buffer.resize(BATCH_HEADER_BYTES as usize, 0);
    let mut records_crc = seed;
    for record in records {
        let header = record_header(seed, record.position, record.partition, &record.record);
        records_crc = crc32c::crc32c_append(records_crc, &header);
        buffer.extend_from_slice(&header);
        buffer.extend_from_slice(&record.record);
    }
    let body_bytes = (buffer.len() as u64 - BATCH_HEADER_BYTES) as u32;
    let count = records.len() as u32;
    let header = BatchHeader {
        kind: Kind::Batch,
        body_bytes,
        count,
        records_crc,
        chain,
        offset,
    };
    let (bytes, crc) = header.encode(seed);
    buffer[..BATCH_HEADER_BYTES as usize].copy_from_slice(&bytes);
    buffer.resize(buffer.len().next_multiple_of(SECTOR_BYTES as usize), 0);
    crc
}

/// Encodes the seal at `offset`: a whole sector.
pub(crate) fn encode_seal(seed: u32, offset: u64, chain: Chain) -> Vec<u8> {
    let header = BatchHeader {
        kind: Kind::Seal,
        body_bytes: 0,
        count: 0,
        records_crc: 0,
        chain,
        offset,
    };
    let mut sector = header.encode(seed).0.to_vec();
    sector.resize(SECTOR_BYTES as usize, 0);
    sector
}

/// Length, partition, and a checksum that covers them, the bytes and the position: a stale record never counts.
fn record_header(
    seed: u32,
    position: Position,
    partition: u16,
    bytes: &[u8],
) -> [u8; RECORD_HEADER_BYTES as usize] {
    let mut header = [0; RECORD_HEADER_BYTES as usize];
    header[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    header[4..6].copy_from_slice(&partition.to_le_bytes());
    let mut crc = crc32c::crc32c_append(seed, &position.0.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &header[..8]);
    crc = crc32c::crc32c_append(crc, bytes);
    header[8..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// A batch read back whole.
pub(crate) struct Batch {
    pub(crate) records: Vec<Committed>,
    /// The bytes it takes in the file.
    pub(crate) bytes_on_disk: u64,
    /// The chain after it.
    pub(crate) chain: Chain,
}

/// What is at an offset where the next batch could be.
pub(crate) enum Found {
    Batch(Batch),
    Seal,
    Bad(Fault),
}

/// Why there is no whole batch.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The file offset at which it was noticed.
    pub(crate) offset: u64,
    pub(crate) what: String,
    /// Where the batch would end, if its header is whole.
    pub(crate) batch_end: Option<u64>,
    /// A whole header with the wrong contents: no crash writes such a thing.
    pub(crate) impossible: bool,
}

/// Reads what is at `offset` of a segment of `segment_bytes`, which must continue `chain`.
///
/// # Errors
/// Only what the disk says; bad bytes are [`Found::Bad`].
pub(crate) fn read(
    file: &File,
    seed: u32,
    segment_bytes: u64,
    offset: u64,
    chain: Chain,
) -> io::Result<Found> {
    let fault = |what: String, impossible| {
        Ok(Found::Bad(Fault {
            offset,
            what,
            batch_end: None,
            impossible,
        }))
    };
    if offset + SECTOR_BYTES > segment_bytes {
        return fault("the segment ends here".to_owned(), false);
    }
    let mut sector = [0; SECTOR_BYTES as usize];
    file.read_exact_at(&mut sector, offset)?;
    let Some((header, crc)) = BatchHeader::decode(&sector, seed, offset) else {
        let zeros = sector.iter().all(|&byte| byte == 0);
        let what = if zeros {
            "zeros in place of a batch"
        } else {
            "no whole batch header"
        };
        return fault(what.to_owned(), false);
    };
    if header.chain != chain {
        return fault(
            format!("the batch here is {:?}, but {chain:?} comes next", header.chain),
            true,
        );
    }
    if header.kind == Kind::Seal {
        return Ok(Found::Seal);
    }
    let bytes_on_disk = batch_bytes_on_disk(u64::from(header.body_bytes));
    if offset + bytes_on_disk > segment_bytes {
        return fault("the batch would reach beyond its segment".to_owned(), true);
    }
    let mut bytes = Vec::with_capacity(bytes_on_disk as usize);
    bytes.extend_from_slice(&sector);
    bytes.resize(bytes_on_disk as usize, 0);
    file.read_exact_at(&mut bytes[SECTOR_BYTES as usize..], offset + SECTOR_BYTES)?;
    Ok(match decode_body(&Bytes::from(bytes), seed, &header) {
        Ok(records) => {
            let position = chain.position.plus(records.len() as u64);
            Found::Batch(Batch {
                records,
                bytes_on_disk,
                chain: Chain {
                    position,
                    previous_crc: crc,
                },
            })
        }
        Err((at, what)) => {
            let batch_end = Some(offset + bytes_on_disk);
            Found::Bad(Fault {
                offset: offset + at as u64,
                what,
                batch_end,
                impossible: false,
            })
        }
    })
}

/// The records of a batch whose header is whole, or the place in the batch and what is wrong there.
fn decode_body(batch: &Bytes, seed: u32, header: &BatchHeader) -> Result<Vec<Committed>, (usize, String)> {
    let end = (BATCH_HEADER_BYTES + u64::from(header.body_bytes)) as usize;
    let mut at = BATCH_HEADER_BYTES as usize;
    let mut records = Vec::with_capacity(header.count.min(1 << 16) as usize);
    let mut records_crc = seed;
    let mut position = header.chain.position;
    while at < end {
        let start = at + RECORD_HEADER_BYTES as usize;
        if start > end {
            return Err((at, format!("the header of record {position} is cut off")));
        }
        let stored = &batch[at..start];
        let length = u32_at(stored, 0) as usize;
        if length > end - start {
            return Err((at, format!("record {position} would reach beyond its batch")));
        }
        let partition = u16::from_le_bytes([stored[4], stored[5]]);
        let record = batch.slice(start..start + length);
        if stored != record_header(seed, position, partition, &record) {
            return Err((at, format!("the checksum of record {position} does not match")));
        }
        records_crc = crc32c::crc32c_append(records_crc, stored);
        records.push(Committed {
            position,
            partition,
            record,
        });
        position = position.plus(1);
        at = start + length;
    }
    if records.len() != header.count as usize || records_crc != header.records_crc {
        return Err((0, "the batch's header does not belong to its records".to_owned()));
    }
    if let Some(stray) = batch[end..].iter().position(|&byte| byte != 0) {
        return Err((
            end + stray,
            "a byte that is not zero in a batch's padding".to_owned(),
        ));
    }
    Ok(records)
}
