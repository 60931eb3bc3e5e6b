//! What opening finds after named accidents.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use std::fs;

use common::{
    Batch, HEADER_BYTES, SECTOR_BYTES, SEGMENT_BYTES, append, bytes_at, layout, lose_seal, open, overwrite,
    read_all, records, segment_path, small, snapshot,
};
use flashsale_journal::{Journal, JournalError, Position, read_closed};
use tempfile::{TempDir, tempdir};

/// `count` batches of some 2,000 bytes: about 11 fill a segment.
fn batches(count: u8) -> Vec<Batch> {
    (0..count)
        .map(|n| {
            vec![
                (u16::from(n), vec![n + 1; 900]),
                (7, vec![n + 1; 1000]),
                (8, Vec::new()),
            ]
        })
        .collect()
}

/// A closed journal with these batches.
fn journal(batches: &[Batch]) -> TempDir {
    let dir = tempdir().unwrap();
    append(&open(dir.path()), batches);
    dir
}

/// The file and offset of the refusal; asserts that nothing was changed by it.
fn refusal(dir: &TempDir) -> (String, u64, Position) {
    let before = snapshot(dir.path());
    let error = Journal::open(dir.path(), small())
        .err()
        .expect("opening must be refused");
    assert_eq!(
        before,
        snapshot(dir.path()),
        "a refused opening must change nothing"
    );
    assert!(matches!(
        read_closed(dir.path()).err(),
        Some(JournalError::Corrupt { .. })
    ));
    match error {
        JournalError::Corrupt {
            file, offset, whole, ..
        } => (
            file.file_name().unwrap().to_str().unwrap().to_owned(),
            offset,
            whole,
        ),
        other => panic!("{other}"),
    }
}

#[test]
fn a_closed_journal_comes_back_whole_and_goes_on_where_it_ended() {
    let all = batches(30);
    let dir = journal(&all[..20]);
    let again = open(dir.path());
    assert_eq!(read_all(&again.journal), records(&all[..20]));
    let found = &again.recovered;
    assert_eq!(
        (found.records, found.bytes, found.end),
        (60, 20 * 1900, Position(60))
    );
    assert_eq!((found.segments, found.torn_bytes, found.sealed), (2, 0, true));
    append(&again, &all[20..]);
    drop(again);
    let (reader, found) = read_closed(dir.path()).unwrap();
    assert_eq!(found.segments, 3);
    assert_eq!(
        reader.map(|record| record.unwrap()).collect::<Vec<_>>(),
        records(&all)
    );
}

#[test]
fn an_empty_journal_comes_back_empty() {
    let dir = journal(&[]);
    assert_eq!(open(dir.path()).recovered.end, Position::START);
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_batch() {
    let all = batches(5);
    let dir = journal(&all);
    let last = layout(&all)[4];
    lose_seal(dir.path(), last);
    // Its middle got to the disk, its first and last sector did not.
    overwrite(dir.path(), last.segment, last.offset, &[0; 512]);
    overwrite(
        dir.path(),
        last.segment,
        last.offset + last.bytes - 512,
        &[0; 512],
    );
    assert_eq!(read_closed(dir.path()).unwrap().1.torn_bytes, last.bytes - 512);
    let again = open(dir.path());
    assert_eq!(again.recovered.torn_bytes, last.bytes - 512);
    assert_eq!(read_all(&again.journal), records(&all[..4]));
    // What was torn is gone for good: the journal goes on in its place, and no stale byte comes back.
    let mut shorter = all[..4].to_vec();
    shorter.push(vec![(1, vec![9; 3])]);
    append(&again, &shorter[4..]);
    drop(again);
    let again = open(dir.path());
    assert_eq!(
        (again.recovered.torn_bytes, read_all(&again.journal)),
        (0, records(&shorter))
    );
}

#[test]
fn a_torn_batch_whose_place_still_holds_the_old_seal_is_cut() {
    let all = batches(3);
    let dir = journal(&all[..2]);
    let last = layout(&all)[2];
    let seal = bytes_at(dir.path(), last.segment, last.offset, SECTOR_BYTES);
    append(&open(dir.path()), &all[2..]);
    lose_seal(dir.path(), last);
    overwrite(dir.path(), last.segment, last.offset, &seal);
    let again = open(dir.path());
    assert_eq!(read_all(&again.journal), records(&all[..2]));
    assert_eq!(
        (again.recovered.torn_bytes, again.recovered.sealed),
        (last.bytes, true)
    );
}

#[test]
fn a_lost_seal_loses_nothing() {
    let all = batches(4);
    let dir = journal(&all);
    lose_seal(dir.path(), layout(&all)[3]);
    let again = open(dir.path());
    assert_eq!(
        (read_all(&again.journal), again.recovered.sealed),
        (records(&all), false)
    );
}

#[test]
fn a_bad_record_before_a_whole_batch_is_corruption_with_its_place() {
    let all = batches(5);
    let dir = journal(&all);
    let extents = layout(&all);
    lose_seal(dir.path(), extents[4]);
    // In the second record of the fourth batch.
    overwrite(dir.path(), 0, extents[3].offset + 48 + 12 + 900 + 12 + 5, b"?");
    let second_record = extents[3].offset + 48 + 12 + 900;
    assert_eq!(
        refusal(&dir),
        (
            "segment-0000000000.journal".to_owned(),
            second_record,
            Position(9)
        )
    );
}

#[test]
fn damage_in_the_last_batch_is_corruption_once_a_seal_follows() {
    let all = batches(2);
    let dir = journal(&all);
    overwrite(dir.path(), 0, layout(&all)[1].offset, &[0; 512]);
    assert_eq!(refusal(&dir).2, Position(3));
}

#[test]
fn a_bad_batch_is_no_torn_one_if_anything_at_all_was_written_behind_it() {
    let all = batches(4);
    let dir = journal(&all);
    let extents = layout(&all);
    lose_seal(dir.path(), extents[3]);
    // The third is damaged in a record; of the fourth, which came later, only the end is left.
    overwrite(dir.path(), 0, extents[2].offset + 100, b"?");
    overwrite(dir.path(), 0, extents[3].offset, &[0; 512]);
    assert_eq!(refusal(&dir).2, Position(6));
}

#[test]
fn damage_in_an_earlier_segment_is_corruption_even_at_its_end() {
    let all = batches(20);
    let dir = journal(&all);
    let extents = layout(&all);
    let last_of_first = extents.iter().rfind(|extent| extent.segment == 0).unwrap();
    let zeros = vec![0; usize::try_from(SEGMENT_BYTES - last_of_first.offset).unwrap()];
    overwrite(dir.path(), 0, last_of_first.offset, &zeros);
    assert_eq!(refusal(&dir).0, "segment-0000000000.journal");
}

#[test]
fn each_missing_segment_is_corruption_unless_it_was_the_last() {
    let all = batches(30);
    for number in 0..2 {
        let dir = journal(&all);
        fs::remove_file(segment_path(dir.path(), number)).unwrap();
        assert_eq!(refusal(&dir).0, format!("segment-{number:010}.journal"));
    }
    let dir = journal(&all);
    for number in 0..3 {
        fs::remove_file(segment_path(dir.path(), number)).unwrap();
    }
    assert_eq!(refusal(&dir).0, "segment-0000000000.journal", "all are missing");
}

#[test]
fn a_segment_of_another_journal_or_under_another_name_is_corruption() {
    let all = batches(20);
    let (dir, other) = (journal(&all), journal(&all));
    fs::copy(segment_path(other.path(), 1), segment_path(dir.path(), 1)).unwrap();
    assert_eq!(refusal(&dir).0, "segment-0000000001.journal");
    let dir = journal(&all);
    fs::copy(segment_path(dir.path(), 0), segment_path(dir.path(), 1)).unwrap();
    assert_eq!(refusal(&dir).0, "segment-0000000001.journal");
}

#[test]
fn a_shortened_file_is_corruption_even_where_only_zeros_were_cut() {
    let all = batches(2);
    let end = layout(&all)[1].offset + layout(&all)[1].bytes + SECTOR_BYTES;
    for length in [0, 100, HEADER_BYTES, end, SEGMENT_BYTES - 1] {
        let dir = journal(&all);
        fs::File::options()
            .write(true)
            .open(segment_path(dir.path(), 0))
            .unwrap()
            .set_len(length)
            .unwrap();
        assert_eq!(refusal(&dir).0, "segment-0000000000.journal", "{length}");
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let dir = journal(&batches(1));
    let mut block = bytes_at(dir.path(), 0, 0, HEADER_BYTES);
    block[12] = 2;
    let crc = crc32c::crc32c(&block[12..]);
    block[8..12].copy_from_slice(&crc.to_le_bytes());
    overwrite(dir.path(), 0, 0, &block);
    assert!(matches!(
        Journal::open(dir.path(), small()),
        Err(JournalError::Version { version: 2, .. })
    ));
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_dropped() {
    let dir = journal(&batches(1));
    let first = open(dir.path());
    let error = Journal::open(dir.path(), small()).err().unwrap();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    assert!(matches!(
        read_closed(dir.path()).err(),
        Some(JournalError::Locked { .. })
    ));
    drop(first);
    let (reader, _) = read_closed(dir.path()).unwrap();
    assert!(matches!(
        Journal::open(dir.path(), small()).err(),
        Some(JournalError::Locked { .. })
    ));
    drop(reader);
    open(dir.path());
}

#[test]
fn spares_left_by_a_crash_and_files_of_others_do_no_harm() {
    let all = batches(12);
    let dir = journal(&all);
    fs::write(dir.path().join("spare-1.journal"), b"half a spare").unwrap();
    fs::write(dir.path().join("notes.txt"), b"not the journal's").unwrap();
    let again = open(dir.path());
    append(&again, &all);
    drop(again);
    assert_eq!(read_closed(dir.path()).unwrap().1.records, 72);
    assert!(dir.path().join("notes.txt").exists());
    assert!(
        fs::read_dir(dir.path()).unwrap().all(|e| !e
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("spare"))
    );
}
