//! Random journals under random damage: what was durable, or a refusal; never a record that nobody appended.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use common::{
    Batch, HEADER_BYTES, SECTOR_BYTES, SEGMENT_BYTES, append, bytes_at, layout, lose_seal, open, overwrite,
    read_all, records, segment_path, small, snapshot,
};
use flashsale_journal::{Committed, Journal, JournalError, Position};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::tempdir;

fn record() -> impl Strategy<Value = (u16, Vec<u8>)> {
    // Zeros and repeated bytes are as good as random ones, and harder: sectors look alike.
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..2000_usize).prop_map(|(b, n)| vec![b; n])
    ];
    (any::<u16>(), bytes)
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    vec(vec(record(), 1..8), 1..12)
}

/// What the disk did to one sector of the batch in flight.
#[derive(Debug, Clone)]
enum Sector {
    Written,
    Old,
    Garbage(u8),
}

fn sector() -> impl Strategy<Value = Sector> {
    prop_oneof![3 => Just(Sector::Written), 3 => Just(Sector::Old), 1 => any::<u8>().prop_map(Sector::Garbage)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_torn_in_any_way_is_there_whole_or_not_at_all(batches in batches(), fate in vec(sector(), 32)) {
        let dir = tempdir().unwrap();
        append(&open(dir.path()), &batches);
        let last = layout(&batches)[batches.len() - 1];
        lose_seal(dir.path(), last);
        let before = bytes_at(dir.path(), last.segment, last.offset, last.bytes);
        for (sector, at) in fate.iter().cycle().zip((0..last.bytes).step_by(512)) {
            match sector {
                Sector::Written => {}
                Sector::Old => overwrite(dir.path(), last.segment, last.offset + at, &[0; 512]),
                Sector::Garbage(byte) => overwrite(dir.path(), last.segment, last.offset + at, &[*byte; 512]),
            }
        }
        let torn = before != bytes_at(dir.path(), last.segment, last.offset, last.bytes);
        let mut kept = batches.clone();
        if torn {
            kept.pop();
        }
        let again = open(dir.path());
        prop_assert_eq!(read_all(&again.journal), records(&kept));
        prop_assert_eq!(again.recovered.end, Position(records(&kept).len() as u64));
        // It goes on, and nothing of the torn batch comes back.
        append(&again, &batches[..1]);
        kept.push(batches[0].clone());
        drop(again);
        prop_assert_eq!(read_all(&open(dir.path()).journal), records(&kept));
    }

    #[test]
    fn a_flipped_bit_is_refused_with_its_file_or_was_in_no_record(
        batches in batches(), sealed in any::<bool>(), segment in any::<Index>(), byte in any::<Index>(), bit in 0..8_u32,
    ) {
        let dir = tempdir().unwrap();
        append(&open(dir.path()), &batches);
        let extents = layout(&batches);
        let last = extents[extents.len() - 1];
        if !sealed {
            lose_seal(dir.path(), last);
        }
        let segment = segment.index(usize::try_from(last.segment).unwrap() + 1) as u64;
        // Mostly where something is written.
        let end = extents.iter().filter(|e| e.segment == segment).map(|e| e.offset + e.bytes).max().unwrap();
        let byte = byte.index(usize::try_from((end + 2 * SECTOR_BYTES).min(SEGMENT_BYTES)).unwrap()) as u64;
        let flipped = bytes_at(dir.path(), segment, byte, 1)[0] ^ (1_u8 << bit);
        overwrite(dir.path(), segment, byte, &[flipped]);
        let hit = extents.iter().position(|e| e.segment == segment && (e.offset..e.offset + e.bytes).contains(&byte));
        let before = snapshot(dir.path());
        match Journal::open(dir.path(), small()) {
            Err(JournalError::Corrupt { file, .. }) => {
                prop_assert!(hit.is_some() || byte < HEADER_BYTES, "refused for a byte in no record");
                prop_assert!(sealed || hit != Some(extents.len() - 1), "refused for what may be torn");
                prop_assert_eq!(file, segment_path(dir.path(), segment));
                prop_assert_eq!(before, snapshot(dir.path()), "refused, yet changed something");
            }
            Err(other) => prop_assert!(false, "{}", other),
            Ok(opened) => {
                prop_assert!(byte >= HEADER_BYTES, "a damaged segment header was accepted");
                let mut kept = batches.clone();
                if hit.is_some() {
                    // The one batch in doubt, and only without a seal.
                    prop_assert!(!sealed && hit == Some(extents.len() - 1), "damage was accepted");
                    kept.pop();
                }
                prop_assert_eq!(read_all(&opened.journal), records(&kept));
            }
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused(batches in batches(), segment in any::<Index>(), length in any::<Index>()) {
        let dir = tempdir().unwrap();
        append(&open(dir.path()), &batches);
        let segments = layout(&batches).last().unwrap().segment + 1;
        let path = segment_path(dir.path(), segment.index(usize::try_from(segments).unwrap()) as u64);
        let length = length.index(usize::try_from(SEGMENT_BYTES).unwrap()) as u64;
        std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        let before = snapshot(dir.path());
        let refused = Journal::open(dir.path(), small()).err();
        prop_assert!(matches!(&refused, Some(JournalError::Corrupt { file, .. }) if *file == path), "{:?}", refused);
        prop_assert_eq!(before, snapshot(dir.path()));
    }

    #[test]
    fn a_reader_from_any_position_yields_all_from_there(batches in batches(), from in any::<Index>()) {
        let dir = tempdir().unwrap();
        let opened = open(dir.path());
        append(&opened, &batches);
        let all = records(&batches);
        let from = from.index(all.len() + 1);
        let reader = opened.journal.reader(Position(from as u64)).unwrap();
        prop_assert_eq!(reader.position(), Position(from as u64));
        let read: Vec<Committed> = reader.map(|record| record.unwrap()).collect();
        prop_assert_eq!(&read[..], &all[from..]);
        let beyond = opened.journal.reader(Position(all.len() as u64 + 1)).err();
        let refused = matches!(beyond, Some(JournalError::BeyondEnd { .. }));
        prop_assert!(refused, "{:?}", beyond);
    }
}
