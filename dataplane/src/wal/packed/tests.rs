//! Packed segments: what was packed reads as it did before, and everything else is damage. The naive twin is the segment itself.

use super::*;
use crate::wal::batch::{
    BATCH_HEADER_BYTES, Batch, BatchFields, BatchLimits, OpenBatch, read_batch,
};
use crate::wal::buffer::Blocks;
use crate::wal::checksum::{crc, put};
use crate::wal::manifest::{Extent, PackedFile, SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::record::{BodyMeta, Flags};
use crate::wal::scan::tests::at;
use crate::wal::scan::world::{Crash, LOG, Step, World, crash, steps};
use crate::wal::scan::{InMemory, LogEnd, LogSource, LogVerdict, ReadAt, read_log, run_ready};
use proptest::prelude::*;

/// The file of a segment that is packed.
fn pack(entry: &SegmentEntry, extent: &Extent, file: &[u8]) -> (PackedFile, Vec<u8>) {
    let mut frames = 0;
    let mut offset = BLOCK_BYTES;
    while (offset as u64) < extent.bytes {
        let batch = read_batch(&file[offset..]).unwrap();
        frames += frame_bytes(&batch) as u64;
        offset += batch.header.bytes();
    }
    let packed = PackedFile {
        salt: !entry.salt,
        bytes: packed_bytes(frames),
    };
    let header = PackedHeader {
        installation: [7; 16],
        node: [6; 16],
        incarnation: [8; 16],
        log: LOG,
        ordinal: entry.ordinal,
        salt: packed.salt,
        generation: 9,
        first: extent.first,
        last: extent.last,
        segment_bytes: extent.bytes,
        bytes: packed.bytes,
        newest_s: 0,
    };
    let mut packer = Packer::new(header, InMemory(file));
    let mut bytes = Vec::new();
    while let Some(piece) = run_ready(packer.next()).unwrap().unwrap() {
        bytes.extend(piece);
    }
    assert_eq!(bytes.len() as u64, packed.bytes);
    (packed, bytes)
}

/// The same log, each closed segment with batches packed.
pub(in crate::wal) fn all_packed(world: &World) -> World {
    let mut all = world.clone();
    let segments = &mut all.manifest.logs[0].segments;
    for (entry, file) in segments.iter_mut().zip(&mut all.files) {
        if let SegmentState::Closed(extent) = entry.state
            && extent.first <= extent.last
        {
            let (packed, bytes) = pack(entry, &extent, file);
            entry.state = SegmentState::Packed(extent, packed);
            *file = bytes;
        }
    }
    all
}

/// All that a reader shows of a log, and where it says that it ends.
fn read(world: &World) -> (Vec<String>, LogEnd) {
    let log = &world.manifest.logs[0];
    let files = log.segments.iter().zip(&world.files);
    let files: Vec<_> = files
        .map(|(entry, file)| SegmentFile::new(InMemory(file), entry))
        .collect();
    let source = LogSource {
        manifest: &world.manifest,
        log,
        from: 0,
        files: &files,
        erased: &|_, _| false,
    };
    let mut shown = Vec::new();
    let end = run_ready(read_log(&source, |at, batch| {
        shown.push(format!("{at:?} {batch:?}"));
    }));
    (shown, end.unwrap())
}

/// A log with a closed segment of a few batches, in two of which a body is all zeros.
fn small() -> World {
    let commit = |bodies: &[u16]| Step::Commit(bodies.to_vec());
    let steps = [
        commit(&[300]),
        commit(&[]),
        commit(&[40, 90, 7]),
        commit(&[]),
        Step::Roll(vec![50]),
    ];
    World::run(&steps, &Crash::Quiet, 24, false)
}

fn closed(world: &World) -> (SegmentEntry, Extent) {
    let entry = world.manifest.logs[0].segments[0];
    (entry, *entry.state.extent().unwrap())
}

/// An open batch with bodies, of which one is zeros, and a body record whose checksum is that of other bytes.
fn with_zeros() -> Vec<u8> {
    let mut open = OpenBatch::new(BatchLimits::default());
    for body in [&[1; 100][..], &[0; 50], &[], &[3; 20]] {
        let meta = BodyMeta {
            tenant: "acme",
            ..BodyMeta::default()
        };
        open.push_body(body, &meta);
    }
    let mut blocks = Blocks::default();
    let fields = BatchFields {
        sequence: at(1),
        durable_upto: Sequence::before_first(LOG.start),
        ..BatchFields::default()
    };
    open.assemble(&fields, None, &mut blocks);
    blocks.bytes().to_vec()
}

fn framed(bytes: &[u8], batch: &Batch<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    frame::put_frame(&mut frame, 5, &bytes[..BATCH_HEADER_BYTES], batch);
    frame
}

fn head_of(frame: &[u8]) -> frame::FrameHead {
    let bytes = frame::head_bytes(frame.first_chunk().unwrap()).unwrap();
    frame::FrameHead::decode(&frame[..bytes], 5).unwrap()
}

proptest! {
    #[test]
    fn a_log_with_packed_segments_reads_as_it_did_before(steps in steps(), crash in crash(), lag: bool) {
        let world = World::run(&steps, &crash, 24, lag);
        let packed = all_packed(&world);
        prop_assert_eq!(read(&packed), read(&world));
    }

    #[test]
    fn any_part_of_a_packed_segment_holds_the_bytes_of_the_segment(
        steps in steps(),
        parts in prop::collection::vec((0usize..30, 1usize..30), 1..8),
    ) {
        let world = World::run(&steps, &Crash::Quiet, 24, false);
        let packed = all_packed(&world);
        for (index, entry) in packed.manifest.logs[0].segments.iter().enumerate() {
            let SegmentState::Packed(extent, _) = entry.state else {
                continue;
            };
            let twin = &world.files[index][..extent.bytes as usize];
            let segment = SegmentFile::new(InMemory(&packed.files[index]), entry);
            prop_assert_eq!(segment.bytes(), extent.bytes);
            for (start, blocks) in &parts {
                let start = (start * BLOCK_BYTES).min(twin.len());
                let end = (start + blocks * BLOCK_BYTES).min(twin.len());
                let part = run_ready(segment.read_at(start as u64, blocks * BLOCK_BYTES));
                prop_assert_eq!(part.unwrap().unwrap(), &twin[start..end]);
            }
        }
    }
}

#[test]
fn every_flipped_bit_in_front_of_the_padding_is_damage() {
    let world = all_packed(&small());
    let used = world.files[0].iter().rposition(|&byte| byte != 0).unwrap() + 1;
    assert!(used > 2 * BLOCK_BYTES + 4 * 112, "{used}");
    for byte in 0..used {
        let mut harmed = world.clone();
        harmed.files[0][byte] ^= 1 << (byte % 8);
        let (_, end) = read(&harmed);
        let damage = matches!(end.verdict, LogVerdict::Damage(damage) if damage.ordinal == 0);
        let erased_flag = harmed.files[0][byte] ^ world.files[0][byte] == Flags::ERASED.0;
        assert!(
            damage || erased_flag && byte >= 2 * BLOCK_BYTES,
            "byte {byte}: {}",
            end.verdict
        );
    }
}

#[test]
fn a_packed_file_that_ends_early_is_damaged() {
    let world = all_packed(&small());
    let whole = world.files[0].len();
    for bytes in [
        0,
        1,
        BLOCK_BYTES,
        2 * BLOCK_BYTES,
        whole - BLOCK_BYTES,
        whole - 1,
    ] {
        let mut harmed = world.clone();
        harmed.files[0].truncate(bytes);
        let (shown, end) = read(&harmed);
        assert_eq!(shown, Vec::<String>::new());
        assert!(
            matches!(end.verdict, LogVerdict::Damage(_)),
            "{bytes}: {}",
            end.verdict
        );
    }
}

#[test]
fn a_file_of_another_salt_or_of_a_segment_that_is_not_packed_is_damage() {
    let world = small();
    let packed = all_packed(&world);
    let (entry, extent) = closed(&world);
    let other = SegmentEntry {
        salt: entry.salt ^ 1,
        ..entry
    };
    for file in [
        pack(&other, &extent, &world.files[0]).1,
        world.files[0].clone(),
    ] {
        let mut harmed = packed.clone();
        harmed.files[0] = file;
        assert!(matches!(read(&harmed).1.verdict, LogVerdict::Damage(_)));
    }
    // And the other way around: a manifest that says nothing of a packed file takes it for none.
    let mut harmed = packed.clone();
    harmed.manifest = world.manifest;
    assert!(matches!(read(&harmed).1.verdict, LogVerdict::Damage(_)));
}

#[test]
fn a_frame_of_another_packed_file_is_none_of_this_one() {
    let packed = all_packed(&small());
    let world = small();
    let (entry, extent) = closed(&world);
    let other = SegmentEntry {
        salt: entry.salt ^ 1,
        ..entry
    };
    let mut harmed = packed.clone();
    let foreign = pack(&other, &extent, &world.files[0]).1;
    harmed.files[0][2 * BLOCK_BYTES..].copy_from_slice(&foreign[2 * BLOCK_BYTES..]);
    let (shown, end) = read(&harmed);
    assert!(shown.is_empty());
    assert!(matches!(end.verdict, LogVerdict::Damage(damage) if damage.expected == at(1)));
}

#[test]
fn damage_within_a_batch_hides_none_behind_it() {
    let mut world = all_packed(&small());
    // The first byte of the batch header behind the head of the first frame.
    let at_header = 2 * BLOCK_BYTES + 16;
    world.files[0][at_header] ^= 1;
    let (entry, _) = closed(&world);
    let segment = SegmentFile::new(InMemory(&world.files[0]), &entry);
    let mut seen = Vec::new();
    run_ready(crate::wal::scan::salvage(
        &segment,
        entry.salt,
        |_, header, batch| {
            seen.push((header.fields.sequence, batch.is_ok()));
        },
    ))
    .unwrap()
    .unwrap();
    assert_eq!(seen, [(at(2), true), (at(3), true), (at(4), true)]);
}

#[test]
fn bodies_of_zeros_are_left_out_and_come_back_as_zeros() {
    let bytes = with_zeros();
    let batch = read_batch(&bytes).unwrap();
    let frame = framed(&bytes, &batch);
    let head = head_of(&frame);
    assert_eq!(head.left_out, [1], "an empty body is kept, as nothing");
    let (index_part, bodies_part) = batch.parts();
    let kept = bodies_part.len() - 50;
    assert_eq!(
        frame.len(),
        16 + 4 + BATCH_HEADER_BYTES + index_part.len() + kept
    );
    assert_eq!(frame.len(), frame_bytes(&batch));
    assert_eq!(frame::expand(&head, &frame), bytes);
}

#[test]
fn a_body_that_was_erased_is_left_out_whatever_its_checksum_says() {
    let mut bytes = with_zeros();
    let bodies_at = BATCH_HEADER_BYTES + read_batch(&bytes).unwrap().parts().0.len();
    bytes[bodies_at..bodies_at + 100].fill(0);
    bytes[BATCH_HEADER_BYTES + 2] |= Flags::ERASED.0;
    let erased = crate::wal::batch::read_batch_with(&bytes, |_, index| index == 0);
    let frame = framed(&bytes, &erased.unwrap());
    let head = head_of(&frame);
    assert_eq!(head.left_out, [0, 1]);
    let back = frame::expand(&head, &frame);
    assert_eq!(back, bytes, "the flag of the record is kept too");
    assert!(
        read_batch(&back).is_err(),
        "and without a list of erasures it is damage, as before"
    );
}

#[test]
fn a_segment_that_does_not_hold_what_was_stated_is_not_packed() {
    let world = small();
    let (entry, extent) = closed(&world);
    let mut harmed = world.files[0].clone();
    harmed[BLOCK_BYTES + 200] ^= 1;
    let header = PackedHeader::decode(&pack(&entry, &extent, &world.files[0]).1).unwrap();
    let all = |header: PackedHeader, file: &[u8]| {
        let mut packer = Packer::new(header, InMemory(file));
        loop {
            match run_ready(packer.next()).unwrap() {
                Ok(Some(_)) => {}
                ended => return ended.map(drop),
            }
        }
    };
    assert_eq!(all(header, &world.files[0]), Ok(()));
    assert_eq!(all(header, &harmed), Err(PackFault::Changed));
    for bytes in [
        header.bytes - BLOCK_BYTES as u64,
        header.bytes + BLOCK_BYTES as u64,
    ] {
        let header = PackedHeader { bytes, ..header };
        assert_eq!(all(header, &world.files[0]), Err(PackFault::Changed));
    }
}

pub(super) fn header() -> PackedHeader {
    PackedHeader {
        installation: [1; 16],
        node: [2; 16],
        incarnation: [3; 16],
        log: LOG,
        ordinal: 4,
        salt: 5,
        generation: 6,
        first: at(1),
        last: at(9),
        segment_bytes: 40 * BLOCK_BYTES as u64,
        bytes: 3 * BLOCK_BYTES as u64,
        newest_s: 7,
    }
}

#[test]
fn a_header_reads_back_and_every_flipped_bit_of_it_is_refused() {
    let whole = header().encode();
    assert_eq!(PackedHeader::decode(&whole), Ok(header()));
    for bit in 0..BLOCK_BYTES * 8 {
        let mut flipped = whole;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(PackedHeader::decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_header_that_no_writer_writes_is_refused_by_name() {
    let patched = |offset: usize, bytes: &[u8]| {
        let mut block = header().encode();
        put(&mut block, offset, bytes);
        let checksum = crc(&block[..BLOCK_BYTES - 4]);
        put(&mut block, BLOCK_BYTES - 4, &checksum.to_le_bytes());
        PackedHeader::decode(&block)
    };
    assert_eq!(patched(8, &[2]), Err(PackedFault::Version(2)));
    assert_eq!(patched(15, &[1]), Err(PackedFault::Field("start number")));
    for reserved in [18, 124, 131, 132, BLOCK_BYTES - 5] {
        assert_eq!(
            patched(reserved, &[1]),
            Err(PackedFault::Field("reserved byte")),
            "{reserved}"
        );
    }
    assert_eq!(
        patched(88, &at(10).0.to_le_bytes()),
        Err(PackedFault::Field("sequence"))
    );
    assert_eq!(patched(103, &[9]), Err(PackedFault::Field("sequence")));
    assert_eq!(patched(104, &[1]), Err(PackedFault::Field("length")));
    assert_eq!(patched(112, &[1]), Err(PackedFault::Field("length")));
    assert_eq!(
        PackedHeader::decode(&[0; BLOCK_BYTES]),
        Err(PackedFault::Magic)
    );
    assert_eq!(PackedHeader::decode(&[0; 9]), Err(PackedFault::Short));
}

/// What is behind the numbers of docs/storage.md: how much of a segment is in use at so many records in a batch, with the mark that
/// follows each batch of a quiet log or without.
#[test]
fn a_quiet_log_becomes_an_eighth_and_a_busy_one_stays_what_it_is() {
    let record = |open: &mut OpenBatch| {
        let meta = BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        };
        let index = open.push_body(&[b'x'; 640], &meta);
        open.push(&decision(index));
    };
    let blocks_of = |records: u32| {
        let mut open = OpenBatch::new(BatchLimits::default());
        (0..records).for_each(|_| record(&mut open));
        let mut blocks = Blocks::default();
        let fields = BatchFields {
            sequence: at(1),
            durable_upto: Sequence::before_first(LOG.start),
            ..BatchFields::default()
        };
        open.assemble(&fields, None, &mut blocks);
        let batch = read_batch(blocks.bytes()).unwrap();
        (blocks.len(), frame_bytes(&batch))
    };
    let (mark_bytes, mark_packed) = blocks_of(0);
    let percent = |(bytes, packed): (usize, usize)| packed * 100 / bytes;
    let with_mark = |(bytes, packed): (usize, usize)| (bytes + mark_bytes, packed + mark_packed);
    let filled = [1, 2, 4, 10, 100].map(|records| {
        let of = blocks_of(records);
        (records, percent(with_mark(of)), percent(of))
    });
    assert_eq!(
        filled,
        [
            (1, 13, 23),
            (2, 23, 44),
            (4, 44, 85),
            (10, 53, 69),
            (100, 94, 98)
        ]
    );
}

/// A decision as a record of the default tenant has it.
fn decision(body: u32) -> crate::wal::record::Entry<'static> {
    crate::wal::record::Entry::Decision(crate::wal::record::Decision {
        body: crate::wal::name::Place {
            sequence: at(1),
            index: body,
        },
        tenant: "default",
        pcs_id: [1; 32],
        digest: [2; 32],
        key_id: [3; 8],
        params: "1",
        decided_at: 4,
        expiry: 5,
        encoding: 1,
        reason: 0,
        regime: 2,
        numbers: [0.5; 4],
        origin: 0,
    })
}
