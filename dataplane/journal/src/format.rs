//! The bytes on the disk: a segment's header and a batch's header. All numbers are little-endian.
//!
//! ```text
//! segment file   4096-byte header, then batches, each on a 512-byte boundary, then perhaps a seal, then zeros
//! batch          48-byte header, records back to back, zeros up to the next boundary
//! record         length u32, partition u16, zero u16, crc32c u32, bytes
//! seal           a batch header without records: "all before this offset was durable"
//! ```
//!
//! Batches start on a sector, so that a batch never shares one with an earlier, durable batch: writing it can't tear
//! what is durable already.

use uuid::Uuid;

use crate::Position;

/// The version written and read.
pub(crate) const VERSION: u32 = 1;
/// A segment's header, padded so that batches start on a page.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;
/// The alignment of batches: what a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// A batch's header.
pub(crate) const BATCH_HEADER_BYTES: u64 = 48;
/// A record's header.
pub(crate) const RECORD_HEADER_BYTES: u64 = 12;

const SEGMENT_MAGIC: &[u8; 8] = b"FSALEJNL";
const BATCH_MAGIC: &[u8; 4] = b"FJB1";
const SEAL_MAGIC: &[u8; 4] = b"FJS1";

/// The bytes a batch takes in the file, header and padding included.
pub(crate) const fn batch_bytes_on_disk(body_bytes: u64) -> u64 {
    (BATCH_HEADER_BYTES + body_bytes).next_multiple_of(SECTOR_BYTES)
}

/// Where the chain of batches stands: the next batch must have this position and name this checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) position: Position,
    pub(crate) previous_crc: u32,
}

impl Chain {
    pub(crate) const START: Chain = Chain {
        position: Position::START,
        previous_crc: 0,
    };
}

/// The header of a segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Which journal this file is a part of.
    pub(crate) uid: Uuid,
    /// The segment's number, from 0 without gaps.
    pub(crate) number: u64,
    /// The file's length.
    pub(crate) segment_bytes: u64,
    /// Where the batches of the segment before end; 0 in the first one.
    pub(crate) previous_end: u64,
    /// The chain at the start of this segment.
    pub(crate) chain: Chain,
}

/// Why a segment's header can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SegmentHeaderFault {
    Damaged(&'static str),
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        block.extend_from_slice(SEGMENT_MAGIC);
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&VERSION.to_le_bytes());
        block.extend_from_slice(self.uid.as_bytes());
        block.extend_from_slice(&self.number.to_le_bytes());
        block.extend_from_slice(&self.segment_bytes.to_le_bytes());
        block.extend_from_slice(&self.previous_end.to_le_bytes());
        block.extend_from_slice(&self.chain.position.0.to_le_bytes());
        block.extend_from_slice(&self.chain.previous_crc.to_le_bytes());
        block.resize(SEGMENT_HEADER_BYTES as usize, 0);
        let crc = crc32c::crc32c(&block[12..]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        block
    }

    pub(crate) fn decode(block: &[u8]) -> Result<SegmentHeader, SegmentHeaderFault> {
        if block.len() != SEGMENT_HEADER_BYTES as usize {
            return Err(SegmentHeaderFault::Damaged(
                "the file is too short for a segment's header",
            ));
        }
        if &block[..8] != SEGMENT_MAGIC {
            return Err(SegmentHeaderFault::Damaged(
                "the file does not start like a segment",
            ));
        }
        if u32_at(block, 8) != crc32c::crc32c(&block[12..]) {
            return Err(SegmentHeaderFault::Damaged(
                "the segment header's checksum does not match",
            ));
        }
        let version = u32_at(block, 12);
        if version != VERSION {
            return Err(SegmentHeaderFault::Version(version));
        }
        let mut uid = [0; 16];
        uid.copy_from_slice(&block[16..32]);
        Ok(SegmentHeader {
            uid: Uuid::from_bytes(uid),
            number: u64_at(block, 32),
            segment_bytes: u64_at(block, 40),
            previous_end: u64_at(block, 48),
            chain: Chain {
                position: Position(u64_at(block, 56)),
                previous_crc: u32_at(block, 64),
            },
        })
    }

    /// The seed of every checksum in this segment: bytes of another journal or segment never match.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(self.uid.as_bytes()), &self.number.to_le_bytes())
    }
}

/// Whether a header starts a batch of records or is a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Batch,
    Seal,
}

/// The header of a batch, or a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) kind: Kind,
    /// The bytes of all records with their headers, without padding.
    pub(crate) body_bytes: u32,
    /// The number of records.
    pub(crate) count: u32,
    /// The checksum over all records' headers, whose own checksums cover the bytes: it ties this header to its body.
    pub(crate) records_crc: u32,
    /// The first record's position, and the checksum of the batch before.
    pub(crate) chain: Chain,
    /// The file offset of this header.
    pub(crate) offset: u64,
}

impl BatchHeader {
    /// The encoded header, and its checksum for the next batch's chain.
    pub(crate) fn encode(&self, seed: u32) -> ([u8; BATCH_HEADER_BYTES as usize], u32) {
        let mut bytes = [0; BATCH_HEADER_BYTES as usize];
        bytes[..4].copy_from_slice(match self.kind {
            Kind::Batch => BATCH_MAGIC,
            Kind::Seal => SEAL_MAGIC,
        });
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.chain.position.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.offset.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.chain.previous_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// The header in `bytes`, with its checksum, if it is whole and belongs at `offset` of this segment.
    pub(crate) fn decode(bytes: &[u8], seed: u32, offset: u64) -> Option<(BatchHeader, u32)> {
        let bytes = bytes.get(..BATCH_HEADER_BYTES as usize)?;
        let kind = match bytes.get(..4) {
            Some(magic) if magic == BATCH_MAGIC => Kind::Batch,
            Some(magic) if magic == SEAL_MAGIC => Kind::Seal,
            _ => return None,
        };
        let crc = u32_at(bytes, 44);
        if crc != crc32c::crc32c_append(seed, &bytes[..44]) || u64_at(bytes, 24) != offset {
            return None;
        }
        let header = BatchHeader {
            kind,
            body_bytes: u32_at(bytes, 4),
            count: u32_at(bytes, 8),
            records_crc: u32_at(bytes, 12),
            chain: Chain {
                position: Position(u64_at(bytes, 16)),
                previous_crc: u32_at(bytes, 32),
            },
            offset,
        };
        Some((header, crc))
    }
}

/// The number at `at`; the caller has checked that it is there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The number at `at`; the caller has checked that it is there.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHeader {
        SegmentHeader {
            uid: Uuid::from_u128(7),
            number: 3,
            segment_bytes: 1 << 20,
            previous_end: 8192,
            chain: Chain {
                position: Position(99),
                previous_crc: 5,
            },
        }
    }

    #[test]
    fn a_segment_header_reads_back_and_any_flipped_bit_is_noticed() {
        let block = segment().encode();
        assert_eq!(SegmentHeader::decode(&block), Ok(segment()));
        for bit in 0..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut block = segment().encode();
        block[12] = 9;
        let crc = crc32c::crc32c(&block[12..]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&block), Err(SegmentHeaderFault::Version(9)));
    }

    #[test]
    fn a_batch_header_counts_only_in_its_journal_segment_and_place() {
        let seed = segment().seed();
        let chain = Chain {
            position: Position(12),
            previous_crc: 77,
        };
        let header = BatchHeader {
            kind: Kind::Batch,
            body_bytes: 40,
            count: 2,
            records_crc: 9,
            chain,
            offset: 4608,
        };
        let (bytes, crc) = header.encode(seed);
        assert_eq!(BatchHeader::decode(&bytes, seed, 4608), Some((header, crc)));
        assert_eq!(
            BatchHeader::decode(&bytes, seed, 5120),
            None,
            "elsewhere in the file"
        );
        let other = SegmentHeader {
            number: 4,
            ..segment()
        };
        assert_eq!(
            BatchHeader::decode(&bytes, other.seed(), 4608),
            None,
            "in another segment"
        );
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&damaged, seed, 4608), None, "bit {bit}");
        }
    }
}
