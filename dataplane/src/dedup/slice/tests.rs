//! Slices written and read back, every bit of a block flipped, and tables that contradict themselves.

mod format;

use super::frame::{Section, Trailer, section};
use super::reader::{Directory, view_whole};
use super::*;
use crate::dedup::key::KeyHash;
use crate::dedup::{Decided, Key, PARTITIONS};
use crate::io::FileId;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::crc;
use crate::wal::manifest::Cover;
use crate::wal::name::{LogId, Sequence};
use flk_contract::params::ParamsVersion;
use proptest::prelude::*;

const META: SliceMeta = SliceMeta {
    slice_id: 0x5111_CE00,
    generation: 12,
    installation: [1; 16],
    incarnation: [2; 16],
    secret: [3; 16],
};

fn entry(number: u32) -> Decided {
    Decided {
        key: KeyHash::new([9; 16]).key("default", &number.to_string()),
        digest_tag: u64::from(number),
        numbers: [1.5, 1.25, 0.4, f64::from(number)],
        decided_at: 100 + number % 50,
        expiry: 10_000 + number % 7,
        params: (number % 2) as u16,
        reason: (number % 6) as u8,
        regime: 1 + (number % 3) as u8,
        encoding: 1,
        ..Decided::default()
    }
}

fn entries(count: u32) -> Vec<Decided> {
    let mut entries: Vec<Decided> = (0..count).map(entry).collect();
    entries.sort_by_key(|entry| entry.key);
    entries
}

fn params() -> Vec<ParamsVersion> {
    ["1", "2026-b"]
        .map(|name| ParamsVersion::new(name).unwrap())
        .to_vec()
}

fn covers() -> Vec<Cover> {
    let log = LogId {
        start: 3,
        number: 1,
    };
    vec![Cover {
        log,
        upto: Sequence(77),
    }]
}

/// The whole file, written in chunks.
fn write(entries: &[Decided]) -> (Vec<u8>, SliceSummary) {
    let mut writer = SliceWriter::new(META, &params());
    let mut bytes = Vec::new();
    for entry in entries {
        writer.push(entry).unwrap();
        if writer.ready_bytes() >= 64 * 1024 {
            bytes.extend(writer.take_ready());
        }
    }
    let sealed = writer.finish(&covers()).unwrap();
    bytes.extend(sealed.bytes);
    (bytes, sealed.summary)
}

fn open(bytes: &[u8]) -> (SliceReader, Directory, SliceView) {
    let (reader, directory) = verify_whole(bytes, |_| {}).unwrap();
    let view = view_whole(&reader, &directory, FileId(5), 0..PARTITIONS, bytes, 2).unwrap();
    (reader, directory, view)
}

fn look_up(view: &SliceView, bytes: &[u8], key: Key) -> Option<Decided> {
    let Candidate::Block(mut block) = view.candidate(key) else {
        return None;
    };
    loop {
        let at = block as usize * BLOCK_BYTES;
        match view
            .search_block(block, &bytes[at..at + BLOCK_BYTES], key)
            .unwrap()
        {
            Found::Entry(entry) => return Some(entry),
            Found::Absent => return None,
            Found::Before => block -= 1,
        }
    }
}

#[test]
fn what_was_written_is_read_back_and_found() {
    for count in [0, 1, 55, 56, 57, 112, 3_000, 20_000] {
        let entries = entries(count);
        let (bytes, summary) = write(&entries);
        assert_eq!(summary.file_bytes, bytes.len() as u64);
        assert_eq!(summary.entries_count, u64::from(count));
        let mut read = Vec::new();
        let (reader, directory) = verify_whole(&bytes, |entry| read.push(entry)).unwrap();
        assert_eq!(read, entries);
        assert_eq!(*reader.header(), META);
        let total: u64 = (0..PARTITIONS)
            .map(|at| u64::from(directory.entries_count(at)))
            .sum();
        assert_eq!(total, u64::from(count));
        let (_, _, view) = open(&bytes);
        for entry in &entries {
            assert_eq!(look_up(&view, &bytes, entry.key), Some(*entry));
        }
        for absent in 1_000_000..1_005_000 {
            assert_eq!(look_up(&view, &bytes, self::entry(absent).key), None);
        }
        assert_eq!(read_anything(&bytes), Ok(u64::from(count)));
    }
}

#[test]
fn summary_and_small_sections_say_what_the_manifest_needs() {
    let (bytes, summary) = write(&entries(500));
    let (reader, _, _) = open(&bytes);
    assert_eq!((summary.decided_first, summary.decided_last), (100, 149));
    assert_eq!(summary.expiry_max, 10_006);
    assert_eq!(frame::table_checksum(&bytes), Some(summary.checksum));
    let [_, params_at, covers_at] = reader.small_sections().unwrap();
    let part = |range: std::ops::Range<u64>| &bytes[range.start as usize..range.end as usize];
    assert_eq!(reader.params(part(params_at)), Ok(params()));
    assert_eq!(reader.covers(part(covers_at)), Ok(covers()));
}

#[test]
fn a_view_of_some_partitions_knows_those_and_admits_that_it_knows_no_others() {
    let entries = entries(20_000);
    let (bytes, _) = write(&entries);
    let (reader, directory) = verify_whole(&bytes, |_| {}).unwrap();
    for partitions in [0..1, 300..700, 1023..1024, 400..400] {
        let view = view_whole(
            &reader,
            &directory,
            FileId(5),
            partitions.clone(),
            &bytes,
            2,
        )
        .unwrap();
        for entry in &entries {
            if partitions.contains(&entry.key.partition()) {
                assert_eq!(look_up(&view, &bytes, entry.key), Some(*entry));
            } else {
                assert_eq!(view.candidate(entry.key), Candidate::NotCovered);
            }
        }
        let parts = reader.view_parts(&directory, partitions.clone()).unwrap();
        let bytes = reader.view_bytes(&directory, partitions.clone(), 2);
        assert_eq!(bytes, Ok(view.memory_bytes()), "counted before it is read");
        let nothing = (parts.index.is_empty(), parts.filters.is_empty());
        let is_empty = partitions.is_empty();
        assert_eq!(nothing, (is_empty, is_empty), "what is read for it");
        let blocks = reader.blocks_of(&directory, partitions.clone());
        let held = entries
            .iter()
            .filter(|entry| partitions.contains(&entry.key.partition()));
        assert!(
            blocks.len() * 56 < held.count() + 3 * 56,
            "one contiguous range"
        );
    }
}

#[test]
fn an_entry_takes_at_most_two_bytes_of_memory_where_partitions_are_full() {
    // As in a slice of 20 million keys, but of four partitions only.
    let mut entries: Vec<Decided> = (0..80_000).map(entry).collect();
    for entry in &mut entries {
        entry.key.high = entry.key.high >> 10 | (entry.key.low & 3) << 54;
    }
    entries.sort_by_key(|entry| entry.key);
    let (bytes, _) = write(&entries);
    let (reader, directory) = verify_whole(&bytes, |_| {}).unwrap();
    let view = view_whole(&reader, &directory, FileId(5), 0..4, &bytes, 2).unwrap();
    let per_entry = view.memory_bytes() as f64 / 80_000.0;
    assert!((1.0..2.0).contains(&per_entry), "{per_entry}");
}

#[test]
fn params_are_translated_to_the_dictionary_of_the_process() {
    let (bytes, _) = write(&entries(100));
    let (reader, directory) = verify_whole(&bytes, |_| {}).unwrap();
    let parts = reader.view_parts(&directory, 0..PARTITIONS).unwrap();
    let part = |range: std::ops::Range<u64>| &bytes[range.start as usize..range.end as usize];
    let view = |params| {
        let (index, filters) = (part(parts.index.clone()), part(parts.filters.clone()));
        reader.view(FileId(5), &directory, 0..PARTITIONS, index, filters, params)
    };
    let found = look_up(&view(vec![8, 6]).unwrap(), &bytes, entry(1).key).unwrap();
    assert_eq!(found.params, 6);
    let short = view(vec![8]).unwrap();
    let Candidate::Block(block) = short.candidate(entry(1).key) else {
        panic!("the key is in the slice");
    };
    let at = block as usize * BLOCK_BYTES;
    let found = short.search_block(block, &bytes[at..at + BLOCK_BYTES], entry(1).key);
    let what = "unknown params version";
    assert_eq!(found, Err(Damaged { block, what }.into()));
}

#[test]
fn keys_that_share_their_upper_half_are_found_across_blocks() {
    let mut entries: Vec<Decided> = (0..200).map(entry).collect();
    for (low, entry) in entries.iter_mut().enumerate() {
        let high = if low < 30 { 1 << 20 } else { 1 << 30 };
        entry.key = Key {
            high,
            low: low as u64 * 0x0123_4567_89AB_CDEF % (1 << 60),
        };
    }
    entries.sort_by_key(|entry| entry.key);
    let (bytes, _) = write(&entries);
    let (_, _, view) = open(&bytes);
    for entry in &entries {
        assert_eq!(look_up(&view, &bytes, entry.key), Some(*entry));
    }
}

#[test]
fn entries_out_of_order_or_twice_are_refused() {
    let entries = entries(3);
    for wrong in [[1, 0], [1, 1]] {
        let mut writer = SliceWriter::new(META, &params());
        writer.push(&entries[wrong[0]]).unwrap();
        assert!(writer.push(&entries[wrong[1]]).is_err());
    }
}

#[test]
fn an_entry_that_only_a_newer_flk_can_answer_with_is_no_answer_and_no_miss() {
    let parts: [fn(&mut Decided); 3] = [
        |entry| entry.encoding = 2,
        |entry| entry.reason = 6,
        |entry| entry.regime = 4,
    ];
    for change in parts {
        let mut entry = entry(1);
        change(&mut entry);
        let (bytes, _) = write(&[entry]);
        let (_, _, view) = open(&bytes);
        assert_eq!(view.candidate(entry.key), Candidate::Block(1));
        let block = &bytes[BLOCK_BYTES..2 * BLOCK_BYTES];
        assert!(view.search_block(1, block, entry.key).is_err());
    }
}

#[test]
fn every_flipped_bit_of_what_is_read_is_damage_and_never_a_miss() {
    let entries = entries(300);
    let (bytes, _) = write(&entries);
    let (_, _, view) = open(&bytes);
    let key = entries[100].key;
    let Candidate::Block(block) = view.candidate(key) else {
        panic!("the key is in the slice");
    };
    let at = block as usize * BLOCK_BYTES;
    let whole = &bytes[at..at + BLOCK_BYTES];
    for bit in 0..BLOCK_BYTES * 8 {
        let mut wrong = whole.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(view.search_block(block, &wrong, key).is_err(), "bit {bit}");
    }
    assert!(
        view.search_block(block + 1, whole, key).is_err(),
        "another place"
    );
    assert!(
        view.search_block(block, &whole[..4095], key).is_err(),
        "short"
    );
    assert!(
        view.search_block(block, &[0; BLOCK_BYTES], key).is_err(),
        "zeros"
    );
    let meta = SliceMeta {
        slice_id: 4,
        ..META
    };
    let mut other = SliceWriter::new(meta, &params());
    entries.iter().for_each(|entry| other.push(entry).unwrap());
    let other = other.take_ready();
    let found = view.search_block(block, &other[at..at + BLOCK_BYTES], key);
    let what = "belongs to another slice";
    assert_eq!(found, Err(Damaged { block, what }.into()));
}

#[test]
fn a_whole_check_finds_every_damaged_byte_that_carries_meaning() {
    let (bytes, _) = write(&entries(300));
    let (reader, _) = verify_whole(&bytes, |_| {}).unwrap();
    // Padding behind a section means nothing; all else is covered by a checksum.
    let meaning = |at: usize| {
        let at = at as u64;
        let sections = &reader.trailer().sections;
        let blocks = (1 + u64::from(reader.trailer().blocks_count)) * BLOCK_BYTES as u64;
        at < blocks
            || at >= bytes.len() as u64 - BLOCK_BYTES as u64
            || sections
                .iter()
                .any(|section| (section.offset..section.offset + section.bytes).contains(&at))
    };
    for at in (0..bytes.len()).step_by(37).filter(|&at| meaning(at)) {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x10;
        assert!(verify_whole(&wrong, |_| {}).is_err(), "byte {at}");
    }
}

/// The slice with another section table.
fn with_trailer(bytes: &[u8], change: impl FnOnce(&mut Trailer)) -> Vec<u8> {
    let end = bytes.len() - BLOCK_BYTES;
    let mut trailer = Trailer::decode(&bytes[end..]).unwrap();
    change(&mut trailer);
    [&bytes[..end], &trailer.encode()[..]].concat()
}

#[test]
fn unknown_sections_are_skipped_if_optional_and_refused_if_not() {
    let (bytes, _) = write(&entries(100));
    let add = |optional| {
        with_trailer(&bytes, |trailer| {
            let last = trailer.sections[5];
            let offset = (last.offset + last.bytes).next_multiple_of(BLOCK_BYTES as u64);
            trailer.sections.push(Section {
                kind: 77,
                optional,
                checksum: 0,
                offset,
                bytes: 0,
            });
        })
    };
    assert!(verify_whole(&add(true), |_| {}).is_ok());
    let refused = verify_whole(&add(false), |_| {}).map(|_| ());
    assert_eq!(refused, Err(SliceError::UnknownSection { kind: 77 }));
}

#[test]
fn sections_that_overlap_or_begin_within_a_block_are_refused_for_their_place() {
    let (bytes, _) = write(&entries(100));
    let changes: [fn(&mut Trailer); 3] = [
        |trailer| trailer.sections[0].offset -= BLOCK_BYTES as u64,
        |trailer| trailer.sections[2].offset = trailer.sections[1].offset,
        |trailer| trailer.sections[4].offset += 8,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let found = verify_whole(&with_trailer(&bytes, change), |_| {}).map(|_| ());
        let what = "place of a section";
        assert_eq!(found, Err(SliceError::Inconsistent { what }), "change {at}");
    }
}

#[test]
fn a_section_table_that_contradicts_itself_is_refused() {
    let (bytes, _) = write(&entries(100));
    let changes: [fn(&mut Trailer); 9] = [
        |trailer| trailer.entries_count += 100,
        |trailer| trailer.blocks_count = u32::MAX,
        |trailer| trailer.file_bytes = u64::MAX,
        |trailer| trailer.slice_id += 1,
        |trailer| trailer.sections[1].offset = 4096,
        |trailer| trailer.sections[1].bytes = u64::MAX,
        |trailer| trailer.sections.truncate(4),
        |trailer| trailer.sections[4].kind = section::PARAMS,
        |trailer| trailer.sections[0].bytes -= 32,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let wrong = with_trailer(&bytes, change);
        assert!(verify_whole(&wrong, |_| {}).is_err(), "change {at}");
    }
}

#[test]
fn another_version_says_so_instead_of_damage() {
    let (mut bytes, _) = write(&entries(10));
    bytes[8] = 3;
    let sum = crc(&bytes[..BLOCK_BYTES - 4]).to_le_bytes();
    bytes[BLOCK_BYTES - 4..BLOCK_BYTES].copy_from_slice(&sum);
    let refused = verify_whole(&bytes, |_| {}).map(|_| ());
    assert_eq!(refused, Err(SliceError::Version { found: 3 }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        len in any::<prop::sample::Index>(),
        sums in any::<bool>(),
    ) {
        let (mut bytes, _) = write(&entries(300));
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if sums {
            // Lies that checksums agree with reach further.
            let end = bytes.len();
            for block in [0, end - BLOCK_BYTES] {
                let sum = crc(&bytes[block..block + BLOCK_BYTES - 4]).to_le_bytes();
                bytes[block + BLOCK_BYTES - 4..block + BLOCK_BYTES].copy_from_slice(&sum);
            }
        } else {
            bytes.truncate(len.index(bytes.len()));
        }
        let _ = read_anything(&bytes);
    }

    #[test]
    fn a_directory_that_lies_under_a_right_checksum_is_refused_or_harmless(
        row in 0..1024usize, field in 0..8usize, value: u32,
    ) {
        let (mut bytes, _) = write(&entries(300));
        let (reader, _) = verify_whole(&bytes, |_| {}).unwrap();
        let at = reader.trailer().section(section::PARTITIONS).unwrap().offset as usize;
        let place = at + row * 32 + field * 4;
        bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
        let sum = crc(&bytes[at..at + 32 * 1024]);
        let bytes = with_trailer(&bytes, |trailer| trailer.sections[0].checksum = sum);
        let _ = read_anything(&bytes);
    }
}
