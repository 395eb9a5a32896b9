//! Batches and blocks of which one is not as it must be: what a reader says of each, and what salvage finds behind it.

use super::tests::{at, commits, damage, read, read_files};
use super::world::{Crash, Harm, Step, World};
use super::*;
use crate::io::Errno;
use crate::wal::batch::{BATCH_HEADER_BYTES, BatchFault, BatchLimits, OpenBatch};
use crate::wal::buffer::Blocks;
use crate::wal::checksum::crc;
use crate::wal::record::RecordFault;
use std::future::Future;

#[test]
fn salvage_finds_every_whole_batch_behind_damage() {
    let mut world = World::run(&commits(5), &Crash::Quiet, 24, false);
    let lost = world.durable[1].offset;
    world.files[0][lost] ^= 1;
    let mut found = Vec::new();
    let salt = world.manifest.logs[0].segments[0].salt;
    let mut broken = Vec::new();
    world.files[0][world.durable[3].offset + 100] ^= 1;
    let file = InMemory(&world.files[0]);
    let looked = salvage(&file, salt, |_, header, batch| {
        let list = match batch {
            Ok(_) => &mut found,
            Err(_) => &mut broken,
        };
        list.push(header.fields.sequence.counter());
    });
    run_ready(looked).unwrap().unwrap();
    // Of the second one not even the header is left.
    assert_eq!((found, broken), (vec![1, 3, 5], vec![4]));
}

/// A file whose device refuses one block.
struct Refusing<'a> {
    bytes: &'a [u8],
    block: u64,
}

impl ReadAt for Refusing<'_> {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        let hit = offset <= self.block && self.block < offset + bytes as u64;
        let inner = InMemory(self.bytes);
        async move {
            if hit {
                Err(Errno::EIO)
            } else {
                inner.read_at(offset, bytes).await
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[test]
fn a_read_error_is_its_own_verdict_wherever_it_strikes() {
    let world = World::run(&commits(3), &Crash::Quiet, 24, false);
    for block in [0, 4_096, 20_000] {
        let file = |file| Refusing { bytes: file, block };
        let files: Vec<Refusing<'_>> = world.files.iter().map(|bytes| file(bytes)).collect();
        let (end, _) = read_files(&world, &files, 0);
        let unreadable = LogVerdict::Unreadable {
            ordinal: 0,
            errno: Errno::EIO,
        };
        assert!(end.verdict == unreadable, "{}", end.verdict);
    }
}

#[test]
fn a_lost_block_anywhere_in_a_closed_segment_is_damage() {
    let steps = [commits(3), vec![Step::Roll(vec![10])]].concat();
    let whole = World::run(&steps, &Crash::Quiet, 24, false);
    for block in 0..4 {
        for harm in [Harm::Lose { block }, Harm::Recycle { block }] {
            let mut world = whole.clone();
            world.harm(&harm);
            assert_eq!(damage(&read(&world).0).ordinal, 0, "{harm:?}");
        }
    }
}

/// Writes a mark behind two batches, with these differences from the one that must follow, and reads the log.
fn with_third(change: impl Fn(&mut crate::wal::batch::BatchFields)) -> LogEnd {
    let mut world = World::run(&commits(2), &Crash::Quiet, 24, false);
    let before = world.durable[1].clone();
    let end = before.offset + before.bytes;
    let mut fields = BatchHeader::decode(&world.files[0][before.offset..])
        .unwrap()
        .fields;
    fields.previous_checksum = BatchHeader::decode(&world.files[0][before.offset..])
        .unwrap()
        .checksum;
    fields.sequence = at(3);
    change(&mut fields);
    let mut blocks = Blocks::default();
    OpenBatch::new(BatchLimits::default()).assemble(&fields, None, &mut blocks);
    world.files[0][end..end + blocks.len()].copy_from_slice(blocks.bytes());
    read(&world).0
}

#[test]
fn a_batch_of_another_salt_sequence_or_chain_is_not_the_expected_one() {
    assert_eq!(with_third(|_| {}).last, at(3));
    for end in [
        with_third(|fields| fields.salt ^= 1 << 20),
        with_third(|fields| fields.previous_checksum ^= 1),
        with_third(|fields| fields.sequence = at(4)),
    ] {
        assert_eq!(end.last, at(2));
        assert!(
            end.verdict.is_sound(),
            "nothing says that anything behind was durable"
        );
    }
}

#[test]
fn a_whole_batch_with_a_record_of_an_unknown_kind_is_neither_torn_nor_damaged() {
    let mut world = World::run(&commits(2), &Crash::Quiet, 24, false);
    let batch = world.durable[1].clone();
    let bytes = &mut world.files[0][batch.offset..batch.offset + batch.bytes];
    let index_bytes = BatchHeader::decode(bytes).unwrap().index_bytes as usize;
    bytes[BATCH_HEADER_BYTES] = 77;
    let index = crc(&bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + index_bytes]);
    bytes[64..68].copy_from_slice(&index.to_le_bytes());
    let header = crc(&bytes[..BATCH_HEADER_BYTES - 4]);
    bytes[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    let what = Unsupported::Record(RecordFault::UnknownKind(0, 77));
    let offset = batch.offset as u64;
    assert_eq!(
        read(&world).0.verdict,
        LogVerdict::Unsupported {
            ordinal: 0,
            offset,
            what
        }
    );
}

#[test]
fn a_complete_write_of_nonsense_is_damage_even_at_the_end() {
    let mut world = World::run(&commits(2), &Crash::Quiet, 24, false);
    let batch = world.durable[1].clone();
    let bytes = &mut world.files[0][batch.offset..batch.offset + batch.bytes];
    bytes[32] += 1;
    let header = crc(&bytes[..BATCH_HEADER_BYTES - 4]);
    bytes[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    assert_eq!(damage(&read(&world).0).why, Why::Batch(BatchFault::Layout));
}
