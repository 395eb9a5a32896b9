//! The header of a segment: every field comes back, every flipped bit is refused, every rule has its name.

use super::*;

fn header() -> SegmentHeader {
    SegmentHeader {
        installation: [1; 16],
        incarnation: [2; 16],
        log: LogId {
            start: 3,
            number: 4,
        },
        ordinal: 5,
        salt: 6,
        generation: 7,
        predecessor: Some(Predecessor {
            ends_after: Sequence(Sequence::before_first(3).0 + 8),
            checksum: 9,
        }),
        made_bytes: Some(64 << 20),
        labels: labels(),
    }
}

fn labels() -> SegmentLabels {
    SegmentLabels {
        node: Some([10; 16]),
        group: Some([1; 16]),
        region: Region::new("eu-west"),
    }
}

/// A block with other bytes at an offset, and its checksum made right.
fn patched(mut block: [u8; BLOCK_BYTES], offset: usize, bytes: &[u8]) -> [u8; BLOCK_BYTES] {
    put(&mut block, offset, bytes);
    let checksum = crc(&block[..CHECKSUM_AT]);
    put(&mut block, CHECKSUM_AT, &checksum.to_le_bytes());
    block
}

/// The header as the first version wrote it.
fn first_version(header: &SegmentHeader) -> [u8; BLOCK_BYTES] {
    let mut block = block(header);
    block[labels::LABELS_AT..CHECKSUM_AT].fill(0);
    patched(block, 8, &1_u32.to_le_bytes())
}

fn block(header: &SegmentHeader) -> [u8; BLOCK_BYTES] {
    let mut block = [0xAA; BLOCK_BYTES];
    header.encode(&mut block);
    block
}

#[test]
fn a_header_reads_back_with_and_without_predecessor_and_length() {
    let first = SegmentHeader {
        ordinal: 0,
        predecessor: None,
        ..header()
    };
    let of = |made_bytes| SegmentHeader {
        made_bytes,
        ..header()
    };
    let least = 2 * BLOCK_BYTES as u64;
    let most = u64::MAX - u64::MAX % BLOCK_BYTES as u64;
    for header in [header(), first, of(None), of(Some(least)), of(Some(most))] {
        assert_eq!(
            SegmentHeader::decode(&block(&header)),
            Ok((header, header.chained_checksum()))
        );
    }
}

#[test]
fn a_header_of_the_first_version_reads_without_labels_and_one_from_before_the_length_without_that()
{
    for made_bytes in [Some(64 << 20), None] {
        let old = SegmentHeader {
            made_bytes,
            labels: SegmentLabels::default(),
            ..header()
        };
        let block = first_version(&old);
        let checksum = Reader::new(&block[CHECKSUM_AT..]).u32();
        let (read, chained) = SegmentHeader::decode(&block).unwrap();
        assert_eq!((read, Some(chained)), (old, checksum));
    }
}

#[test]
fn what_the_first_batch_repeats_is_the_same_in_both_versions_and_whatever_the_labels_are() {
    let with = |labels| SegmentHeader { labels, ..header() };
    let chained = |block: &[u8]| SegmentHeader::decode(block).unwrap().1;
    let region = |name| SegmentLabels {
        region: Region::new(name),
        ..SegmentLabels::default()
    };
    let wanted = chained(&first_version(&header()));
    for labels in [
        SegmentLabels::default(),
        labels(),
        region("a"),
        region("ab"),
    ] {
        let mut written = [0; BLOCK_BYTES];
        assert_eq!(with(labels).encode(&mut written), wanted);
        assert_eq!(chained(&written), wanted);
        assert_eq!(with(labels).chained_checksum(), wanted);
    }
}

#[test]
fn every_name_of_a_region_reads_back_and_no_other_is_one() {
    for name in ["a", "eu-west-1", &"r".repeat(REGION_BYTES_MAX)] {
        let region = Region::new(name).unwrap();
        assert_eq!(region.as_str(), name);
        let labels = SegmentLabels {
            region: Some(region),
            ..labels()
        };
        let header = SegmentHeader { labels, ..header() };
        assert_eq!(SegmentHeader::decode(&block(&header)).unwrap().0, header);
    }
    for name in ["", "eu west", "\u{e9}", &"r".repeat(REGION_BYTES_MAX + 1)] {
        assert_eq!(Region::new(name), None, "{name}");
    }
}

/// A header with this list of fields.
fn with_list(list: &[u8]) -> Result<(SegmentHeader, u32), SegmentFault> {
    let bare = SegmentHeader {
        labels: SegmentLabels::default(),
        ..header()
    };
    let bytes = (list.len() as u16).to_le_bytes();
    let block = patched(
        block(&bare),
        labels::LABELS_AT,
        &[&bytes[..], list].concat(),
    );
    SegmentHeader::decode(&block)
}

#[test]
fn fields_of_unknown_kinds_are_skipped() {
    let list = [
        &[2, 0, 16, 0][..],
        &[7; 16],
        &[9, 0, 0, 0],
        &[77, 0, 5, 0, 1, 2, 3, 4, 5, 0, 0, 0],
    ];
    let (read, chained) = with_list(&list.concat()).unwrap();
    let labels = SegmentLabels {
        group: Some([7; 16]),
        ..SegmentLabels::default()
    };
    assert_eq!(read.labels, labels);
    assert_eq!(chained, header().chained_checksum());
}

#[test]
fn a_list_of_fields_that_no_writer_writes_is_refused() {
    let fault = Err(SegmentFault::Field("list of fields"));
    let group = [&[2, 0, 16, 0][..], &[7; 16]].concat();
    let node = [&[1, 0, 16, 0][..], &[7; 16]].concat();
    for (list, why) in [
        (vec![1, 0, 16], "a field is cut"),
        (vec![9, 0, 5, 0, 1, 2, 3, 4], "its value is cut"),
        (vec![9, 0, 1, 0, 1, 0, 0, 1], "its padding is not zero"),
        (vec![9, 0, 1, 0, 1], "its padding is missing"),
        (vec![0, 0, 0, 0], "kinds begin with 1"),
        ([&group[..], &group].concat(), "one kind twice"),
        ([&group[..], &node].concat(), "kinds do not ascend"),
        (
            [&[1, 0, 12, 0][..], &[7; 12]].concat(),
            "a node of 12 bytes",
        ),
        (vec![3, 0, 0, 0], "a region without a name"),
        (vec![3, 0, 2, 0, b'a', b' ', 0, 0], "no name of a region"),
    ] {
        assert_eq!(with_list(&list), fault, "{why}");
    }
    let bytes_max = (CHECKSUM_AT - labels::LABELS_AT - 2) as u16;
    let stated = |bytes: u16| {
        let block = patched(block(&header()), labels::LABELS_AT, &bytes.to_le_bytes());
        SegmentHeader::decode(&block)
    };
    assert_eq!(stated(bytes_max + 1), fault, "the list leaves the block");
    assert_eq!(stated(20), fault, "something is behind the list");
    let longest = [&[9, 0][..], &3992_u16.to_le_bytes(), &[1; 3992]].concat();
    assert!(longest.len() + 4 > usize::from(bytes_max));
    assert!(with_list(&longest).is_ok());
}

#[test]
fn refuses_a_length_that_no_segment_is_made_with() {
    let block_bytes = BLOCK_BYTES as u64;
    for made_bytes in [
        1,
        block_bytes - 1,
        block_bytes,
        block_bytes + 1,
        2 * block_bytes - 1,
        2 * block_bytes + 512,
        u64::MAX,
    ] {
        let block = patched(block(&header()), 84, &made_bytes.to_le_bytes());
        let found = SegmentHeader::decode(&block);
        assert_eq!(found, Err(SegmentFault::Field("length")), "{made_bytes}");
    }
}

#[test]
#[should_panic(expected = "no segment is made with")]
fn never_writes_a_length_that_no_segment_is_made_with() {
    block(&SegmentHeader {
        made_bytes: Some(BLOCK_BYTES as u64),
        ..header()
    });
}

#[test]
fn every_flipped_bit_is_refused() {
    let whole = block(&header());
    for bit in 0..BLOCK_BYTES * 8 {
        let mut flipped = whole;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn refuses_by_name_what_no_writer_writes() {
    let reseal_of = |header: SegmentHeader, offset: usize, byte: u8| {
        SegmentHeader::decode(&patched(block(&header), offset, &[byte]))
    };
    let reseal = |offset, byte| reseal_of(header(), offset, byte);
    for version in [0, 3] {
        assert_eq!(
            reseal(8, version),
            Err(SegmentFault::Version(version.into()))
        );
    }
    assert_eq!(reseal(15, 1), Err(SegmentFault::Field("start number")));
    assert_eq!(reseal(18, 0), Err(SegmentFault::Field("predecessor")));
    assert_eq!(reseal(18, 2), Err(SegmentFault::Field("predecessor")));
    let first = SegmentHeader {
        ordinal: 0,
        predecessor: None,
        ..header()
    };
    // An end of a predecessor that it says not to have; one to have and an end in another start's log; an ordinal of
    // which one of both cannot be.
    for (header, offset, byte) in [
        (first, 72, 1),
        (first, 80, 1),
        (header(), 12, 4),
        (first, 20, 1),
        (header(), 20, 0),
    ] {
        let found = reseal_of(header, offset, byte);
        assert_eq!(found, Err(SegmentFault::Field("predecessor")), "{offset}");
    }
    assert_eq!(reseal(19, 1), Err(SegmentFault::Field("reserved byte")));
    let old = first_version(&header());
    for offset in [labels::LABELS_AT, CHECKSUM_AT - 1] {
        let found = SegmentHeader::decode(&patched(old, offset, &[1]));
        assert_eq!(found, Err(SegmentFault::Field("reserved byte")), "{offset}");
    }
    assert_eq!(SegmentHeader::decode(&[0; 4096]), Err(SegmentFault::Zeros));
    assert_eq!(SegmentHeader::decode(&[0; 4095]), Err(SegmentFault::Short));
    assert_eq!(SegmentHeader::decode(&[7; 4096]), Err(SegmentFault::Magic));
}
