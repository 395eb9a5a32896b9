//! Batches: what goes in comes out, and nothing else is taken.

use super::*;
use crate::wal::buffer::Blocks;
use crate::wal::checksum::crc;
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::record::{
    BodyMeta, Content, Decision, Entry, ErasedBody, ErasureList, Flags, REFUSED_CODES,
    RESERVED_CODES, RESERVED_KINDS, RecordFault, Refused,
};
use crate::wal::segment::{Predecessor, SegmentHeader, SegmentLabels};
use flk_contract::verify::RESERVED_REASONS;
use proptest::prelude::*;

fn first() -> Sequence {
    Sequence(Sequence::before_first(3).0 + 1)
}

fn fields() -> BatchFields {
    BatchFields {
        salt: 11,
        sequence: Sequence(first().0 + 4),
        expiry_clock_s: 12,
        wall_us: 13,
        durable_upto: Sequence(first().0 + 3),
        resolved_upto: first(),
        previous_checksum: 14,
        term: 15,
    }
}

fn decision(body: Place) -> Decision<'static> {
    Decision {
        body,
        tenant: "acme",
        pcs_id: [1; 32],
        digest: [2; 32],
        key_id: [3; 8],
        params: "1",
        decided_at: 4,
        expiry: 5,
        encoding: 1,
        reason: 5,
        regime: 2,
        numbers: [0.5, -0.0, f64::MIN_POSITIVE, 1e300],
        origin: 9,
    }
}

fn lead() -> SegmentHeader {
    SegmentHeader {
        installation: [1; 16],
        incarnation: [2; 16],
        log: LogId {
            start: 3,
            number: 0,
        },
        ordinal: 1,
        salt: 99,
        generation: 8,
        predecessor: Some(Predecessor {
            ends_after: fields().durable_upto,
            checksum: 5,
        }),
        made_bytes: Some(1 << 20),
        labels: SegmentLabels {
            node: Some([6; 16]),
            ..SegmentLabels::default()
        },
    }
}

fn assembled(open: &OpenBatch) -> Vec<u8> {
    let mut blocks = Blocks::default();
    let done = open.assemble(&fields(), None, &mut blocks);
    assert_eq!(done.bytes, blocks.len());
    blocks.bytes().to_vec()
}

fn full() -> OpenBatch {
    let mut open = OpenBatch::new(BatchLimits::default());
    let meta = BodyMeta {
        snapshot: 7,
        tenant: "acme",
        key_slot: 2,
        flags: Flags::ENCRYPTED,
        line: 0,
    };
    open.push_body(b"{\"a\":1}", &meta);
    let index = open.push_body(
        &[9; 5_000],
        &BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        },
    );
    let body = Place {
        sequence: fields().sequence,
        index,
    };
    open.push(&Entry::Decision(decision(body)));
    open.push_line(
        &Entry::Refused(Refused {
            body,
            status: 401,
            code: 60,
        }),
        3,
    );
    open.push(&Entry::Duplicate(body));
    open.push(&Entry::Conflict(body));
    open.push(&Entry::Unanswered(body));
    let erased = [ErasedBody {
        log: LogId {
            start: 1,
            number: 2,
        },
        body,
    }];
    open.push(&Entry::Erasure(ErasureList::encode(
        &erased,
        &mut Vec::new(),
    )));
    open
}

#[test]
fn everything_that_was_pushed_reads_back() {
    let bytes = assembled(&full());
    let batch = read_batch(&bytes).unwrap();
    assert_eq!(batch.header.fields, fields());
    let records: Vec<_> = batch.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 8);
    let body = Place {
        sequence: fields().sequence,
        index: 1,
    };
    let Content::Body(record) = records[0].content else {
        panic!()
    };
    assert_eq!(
        (record.snapshot, record.tenant, record.bytes),
        (7, "acme", 7)
    );
    assert_eq!(
        (records[0].header.key_slot, records[0].header.flags),
        (2, Flags::ENCRYPTED)
    );
    assert_eq!(batch.body_at(0), Some(&b"{\"a\":1}"[..]));
    assert_eq!(batch.body_at(1), Some(&[9; 5_000][..]));
    assert_eq!(batch.body_at(2), None);
    assert_eq!(
        records[2].content,
        Content::Entry(Entry::Decision(decision(body)))
    );
    let refused = Entry::Refused(Refused {
        body,
        status: 401,
        code: 60,
    });
    assert_eq!(
        (records[3].content, records[3].header.line),
        (Content::Entry(refused), 3)
    );
    assert_eq!(records[4].content, Content::Entry(Entry::Duplicate(body)));
    assert_eq!(records[5].content, Content::Entry(Entry::Conflict(body)));
    assert_eq!(records[6].content, Content::Entry(Entry::Unanswered(body)));
    let Content::Entry(Entry::Erasure(list)) = records[7].content else {
        panic!()
    };
    let erased: Vec<_> = list.bodies().collect();
    assert_eq!(
        erased,
        [ErasedBody {
            log: LogId {
                start: 1,
                number: 2
            },
            body
        }]
    );
}

#[test]
fn every_flipped_bit_but_padding_and_erased_flags_is_refused() {
    let whole = assembled(&full());
    let header = BatchHeader::decode(&whole).unwrap();
    let used = BATCH_HEADER_BYTES + (header.index_bytes + header.bodies_bytes) as usize;
    let mut masked = Vec::new();
    for bit in 0..used * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if read_batch(&flipped).is_ok() {
            masked.push(bit);
        }
    }
    assert_eq!(
        masked.len(),
        8,
        "one erased flag for each record, and nothing else"
    );
    assert!(masked.iter().all(|bit| bit % 8 == 2));
}

#[test]
fn a_zero_body_is_erased_only_where_a_list_says_so() {
    let mut bytes = assembled(&full());
    let header = BatchHeader::decode(&bytes).unwrap();
    let start = BATCH_HEADER_BYTES + header.index_bytes as usize;
    bytes[start..start + 7].fill(0);
    assert_eq!(read_batch(&bytes).unwrap_err(), BatchFault::Body(0));
    let listed = |sequence, index| sequence == fields().sequence && index == 0;
    let batch = read_batch_with(&bytes, listed).unwrap();
    assert_eq!(batch.body_at(0), None);
    assert!(batch.body_at(1).is_some());
    bytes[start] = 1;
    assert_eq!(
        read_batch_with(&bytes, listed).unwrap_err(),
        BatchFault::Body(0)
    );
}

#[test]
fn a_mark_is_one_block_without_records() {
    let bytes = assembled(&OpenBatch::new(BatchLimits::default()));
    assert_eq!(bytes.len(), BLOCK_BYTES);
    assert!(read_batch(&bytes).unwrap().header.is_mark());
}

#[test]
fn take_over_changes_nothing_but_headers_with_and_without_a_lead_before() {
    let open = full();
    let mut plain = Blocks::default();
    open.assemble(&fields(), None, &mut plain);
    let other = SegmentHeader {
        salt: 1,
        generation: 2,
        ..lead()
    };
    let mut led = Blocks::default();
    open.assemble(&fields(), Some(&other), &mut led);
    let mut direct = Blocks::default();
    let expected = open.assemble(&fields(), Some(&lead()), &mut direct);
    for mut blocks in [plain, led] {
        assert_eq!(rewrite(&mut blocks, &lead()), Ok(expected));
        assert!(blocks.bytes() == direct.bytes());
    }
    let (segment, checksum) = SegmentHeader::decode(direct.bytes()).unwrap();
    assert_eq!(segment, lead());
    let batch = read_batch(&direct.bytes()[BLOCK_BYTES..]).unwrap();
    assert_eq!(batch.header.fields.previous_checksum, checksum);
    assert_eq!(
        (batch.header.fields.salt, batch.header.checksum),
        (99, expected.checksum)
    );
}

#[test]
fn one_larger_body_fits_an_empty_batch_and_nothing_fits_beside_it() {
    let mut open = OpenBatch::new(BatchLimits::default());
    let meta = BodyMeta {
        tenant: "default",
        ..BodyMeta::default()
    };
    assert!(open.fits(BODY_BYTES_MAX) && !open.fits(BODY_BYTES_MAX + 1));
    open.push_body(&vec![1; BODY_BYTES_MAX], &meta);
    assert!(!open.fits(0));
    open.clear();
    open.push_body(&[1], &meta);
    assert!(open.fits(BATCH_BODIES_BYTES - 1) && !open.fits(BATCH_BODIES_BYTES));
}

#[test]
fn what_fits_behind_others_is_what_fits_once_they_are_pushed() {
    let meta = BodyMeta {
        tenant: "default",
        ..BodyMeta::default()
    };
    let half = BATCH_BODIES_BYTES / 2;
    let sizes = [0, 1, half, BATCH_BODIES_BYTES, BATCH_BODIES_BYTES + 1];
    for first in sizes {
        for second in sizes {
            let mut open = OpenBatch::new(BatchLimits::default());
            let ahead = Ahead {
                bodies: 1,
                bodies_bytes: first,
                dispositions_per_body: 1,
                ..Ahead::default()
            };
            let foretold = open.fits_behind(ahead, second);
            open.push_body(&vec![1; first], &meta);
            assert_eq!(foretold, open.fits(second), "{second} behind {first}");
            assert_eq!(
                foretold,
                first + second <= BATCH_BODIES_BYTES,
                "{second} behind {first}"
            );
        }
    }
}

#[test]
fn a_batch_full_of_the_smallest_bodies_has_room_for_their_dispositions_and_takes_no_memory_anew() {
    let mut open = OpenBatch::new(BatchLimits::default());
    let tenant = "t".repeat(64);
    let meta = BodyMeta {
        tenant: &tenant,
        ..BodyMeta::default()
    };
    while open.fits(2) {
        open.push_body(b"{}", &meta);
    }
    assert_eq!(open.bodies(), BATCH_BODIES_MAX);
    let place = Place {
        sequence: fields().sequence,
        index: 0,
    };
    let largest = Decision {
        tenant: &tenant,
        params: &"p".repeat(32),
        ..decision(place)
    };
    while open.fits_entries(1) {
        open.push(&Entry::Decision(largest));
    }
    assert_eq!(open.records(), BATCH_RECORDS_MAX);
    let mut blocks = Blocks::with_capacity(BATCH_BYTES_MAX);
    let memory = blocks.bytes().as_ptr();
    open.assemble(&fields(), None, &mut blocks);
    assert_eq!(blocks.bytes().as_ptr(), memory, "the buffer did not move");
    assert_eq!(
        read_batch(blocks.bytes()).unwrap().records().count(),
        BATCH_RECORDS_MAX as usize
    );
}

/// Replaces a batch's index part and makes both checksums right.
fn with_index(index_part: &[u8], records: u32) -> Vec<u8> {
    let mut bytes = assembled(&OpenBatch::new(BatchLimits::default()));
    bytes.truncate(BATCH_HEADER_BYTES);
    bytes.extend_from_slice(index_part);
    bytes[24..28].copy_from_slice(&(index_part.len() as u32).to_le_bytes());
    bytes[32..36].copy_from_slice(&records.to_le_bytes());
    bytes[64..68].copy_from_slice(&crc(index_part).to_le_bytes());
    let checksum = crc(&bytes[..BATCH_HEADER_BYTES - 4]);
    bytes[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn an_unknown_kind_is_skipped_if_optional_and_refused_if_not() {
    let record = |kind, bits| [kind, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let optional = with_index(&record(77, 1), 1);
    let batch = read_batch(&optional).unwrap();
    assert_eq!(
        batch.records().next().unwrap().unwrap().content,
        Content::Skipped
    );
    let fault = |bytes: &[u8]| read_batch(bytes).unwrap_err();
    let unknown = |kind| BatchFault::Record(RecordFault::UnknownKind(0, kind));
    assert_eq!(fault(&with_index(&record(77, 0), 1)), unknown(77));
    for (kind, name) in RESERVED_KINDS {
        for bits in [0, 1] {
            let found = fault(&with_index(&record(kind, bits), 1));
            assert_eq!(found, unknown(kind), "{name} is never skipped");
            assert!(found.to_string().contains(name), "{found}");
        }
    }
    assert_eq!(fault(&with_index(&record(77, 1), 2)), BatchFault::Layout);
    let form = BatchFault::Record(RecordFault::Form(0, "reserved byte"));
    assert_eq!(fault(&with_index(&record(77, 3), 1)), form);
    assert_eq!(
        fault(&with_index(&record(77, 1)[..9], 1)),
        BatchFault::Record(RecordFault::Cut(0))
    );
}

/// The fault of a batch of these records, of which one has another byte at an offset in its payload.
fn fault_of(open: &OpenBatch, record: usize, at: usize, byte: u8) -> Option<RecordFault> {
    let bytes = assembled(open);
    let batch = read_batch(&bytes).unwrap();
    let header = batch.header;
    let payloads = batch.records().take(record).map(|it| {
        let bytes = it.unwrap().header.payload_bytes as usize;
        (16 + bytes).next_multiple_of(8)
    });
    let start = payloads.sum::<usize>() + 16 + at;
    let mut index_part = bytes[BATCH_HEADER_BYTES..][..header.index_bytes as usize].to_vec();
    index_part[start] = byte;
    let changed = with_index(&index_part, header.records);
    let mut records =
        crate::wal::record::records(&changed[BATCH_HEADER_BYTES..][..index_part.len()]);
    records.find_map(Result::err)
}

#[test]
fn a_number_that_only_a_later_version_gives_out_is_of_a_newer_flk() {
    let unknown = |record, part, number| Some(RecordFault::UnknownPart(record, part, number));
    for reason in RESERVED_REASONS
        .iter()
        .map(|(number, _)| *number)
        .chain([255])
    {
        assert_eq!(
            fault_of(&full(), 2, 21, reason),
            unknown(2, "reason", reason)
        );
    }
    assert_eq!(fault_of(&full(), 2, 20, 2), unknown(2, "encoding", 2));
    assert_eq!(fault_of(&full(), 2, 20, 0), unknown(2, "encoding", 0));
    assert_eq!(fault_of(&full(), 2, 22, 4), unknown(2, "regime", 4));
    for code in RESERVED_CODES
        .iter()
        .map(|(number, _)| *number)
        .chain([0, 61])
    {
        assert_eq!(
            fault_of(&full(), 3, 14, code),
            unknown(3, "problem code", code)
        );
    }
    for (code, _) in REFUSED_CODES {
        assert_eq!(fault_of(&full(), 3, 14, code), None);
    }
    let encrypted = unknown(1, "encryption field of length", 28);
    assert_eq!(fault_of(&full(), 1, 17, 28), encrypted);
}

#[test]
fn any_term_is_read_and_repeated_where_a_batch_is_written_again() {
    for term in [0, 1, u32::MAX] {
        let fields = BatchFields { term, ..fields() };
        let mut blocks = Blocks::default();
        full().assemble(&fields, None, &mut blocks);
        assert_eq!(read_batch(blocks.bytes()).unwrap().header.fields, fields);
        rewrite(&mut blocks, &lead()).unwrap();
        let again = read_batch(&blocks.bytes()[BLOCK_BYTES..]).unwrap();
        assert_eq!(again.header.fields.term, term);
    }
}

proptest! {
    #[test]
    fn any_bodies_read_back(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..900), 0..20)) {
        let mut open = OpenBatch::new(BatchLimits::default());
        let meta = BodyMeta { tenant: "default", ..BodyMeta::default() };
        for body in &bodies {
            open.push_body(body, &meta);
        }
        prop_assert_eq!(open.bodies_bytes(), bodies.iter().map(Vec::len).sum::<usize>());
        let bytes = assembled(&open);
        let batch = read_batch(&bytes).unwrap();
        for (index, body) in bodies.iter().enumerate() {
            prop_assert_eq!(batch.body_at(index as u32), Some(&body[..]));
        }
    }
}
