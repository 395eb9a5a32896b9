//! Labels of segment headers: they are written, and nothing depends on them when a segment is given up in part.

use super::evidence::{DAY_S, in_use, refused};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::mended;
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{crc, put};
use crate::wal::files::NumberedFile;
use crate::wal::segment::{Region, SegmentHeader, SegmentLabels};

/// The first block of a segment.
fn block(world: &World, file: &str) -> Vec<u8> {
    let bytes = world.disk.bytes(file).expect("it is there");
    bytes[..BLOCK_BYTES].to_vec()
}

/// The file that has taken the place of the log's only segment in use.
fn successor(world: &World, ordinal: u32) -> String {
    let manifest = manifest(world);
    let mut segments = manifest.segments();
    let (_, entry) = segments
        .find(|(_, it)| it.ordinal == ordinal)
        .expect("it has a successor");
    NumberedFile::Segment(entry.file).to_string()
}

#[test]
fn every_segment_says_which_node_of_which_group_wrote_it_and_where() {
    let mut settings = config(1);
    settings.region = Region::new("eu-west");
    let mut world = World::started(TestDisk::new(), settings);
    world.decide(0, 0, DAY_S);
    let manifest = manifest(&world);
    let labels = SegmentLabels {
        node: Some(manifest.node),
        group: Some(manifest.installation),
        region: Region::new("eu-west"),
    };
    let written = block(&world, &world.current_file(0));
    assert_eq!(SegmentHeader::decode(&written).unwrap().0.labels, labels);
    // So does the last segment that a start writes.
    let world = world.restarted(Lost::Nothing, 1, 1);
    let last = successor(&world, 0);
    let written = block(&world, &last);
    assert_eq!(SegmentHeader::decode(&written).unwrap().0.labels, labels);
}

#[test]
fn a_lost_header_is_made_anew_although_its_labels_are_known_no_more() {
    for records in [3, 70] {
        let mut settings = config(1);
        settings.region = Region::new("eu-west");
        let mut world = World::started(TestDisk::new(), settings);
        for record in 0..records {
            world.decide(0, record, DAY_S);
        }
        let file = world.current_file(0);
        let (before, chained) = SegmentHeader::decode(&block(&world, &file)).unwrap();
        world.mark(0);
        world
            .disk
            .tamper(&file, |bytes| bytes[..BLOCK_BYTES].fill(0));
        let mut world = refused(world, &file);
        let (code, report) =
            super::quarantine::tool(&mut world, super::quarantine::quarantine(&file, true));
        assert_eq!(code, 0, "{report}");
        let made = block(&world, &successor(&world, before.ordinal));
        let (made, chained_now) = SegmentHeader::decode(&made).unwrap();
        assert_eq!(chained_now, chained);
        let labels = SegmentLabels {
            region: None,
            ..before.labels
        };
        assert_eq!(made, SegmentHeader { labels, ..before });
        let world = world.restarted(Lost::Nothing, 1, 1);
        world.assert_serving();
        assert_eq!(world.known(), (0..records).collect::<Vec<_>>());
    }
}

/// Adds a field of a later version to the header of a segment.
fn add_field(bytes: &mut [u8]) {
    let length = usize::from(u16::from_le_bytes([bytes[92], bytes[93]]));
    put(bytes, 94 + length, &[77, 0, 3, 0, 1, 2, 3, 0]);
    put(bytes, 92, &(length as u16 + 8).to_le_bytes());
    let checksum = crc(&bytes[..BLOCK_BYTES - 4]);
    put(bytes, BLOCK_BYTES - 4, &checksum.to_le_bytes());
}

#[test]
fn a_header_that_is_left_stays_byte_for_byte_with_fields_of_a_later_version() {
    let (mut world, file) = in_use(5);
    world.disk.tamper(&file, |bytes| {
        add_field(bytes);
        bytes[3 * BLOCK_BYTES + 200] ^= 1;
    });
    let header = block(&world, &file);
    let world = refused(world, &file);
    let (world, given_up) = mended(world);
    assert_eq!(given_up, [file]);
    let copy = world.disk.names().into_iter().find(|name| {
        let is_segment = NumberedFile::is_segment(name);
        is_segment && block(&world, name) == header
    });
    assert!(copy.is_some(), "{:?}", world.disk.names());
    assert_eq!(world.known(), [0, 1, 3, 4]);
}

#[test]
fn a_segment_with_fields_of_a_later_version_is_read_like_any_other() {
    let (mut world, file) = in_use(5);
    world.disk.tamper(&file, |bytes| add_field(bytes));
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_slice_of_another_directory_with_the_same_secret_is_not_removed() {
    let mut settings = config(1);
    settings.seal_every_us = 3_600_000_000;
    let mut world = World::started(TestDisk::new(), settings);
    world.decide(0, 0, DAY_S);
    world.pass_s(3_700);
    let slice = NumberedFile::Slice(manifest(&world).slices[0].file).to_string();
    let own = world.disk.bytes(&slice).expect("it is there").to_vec();
    let stray = NumberedFile::Slice(1_000).to_string();
    let restarted_with = |mut world: World, incarnation: [u8; 16], bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        put(&mut bytes, 48, &incarnation);
        let checksum = crc(&bytes[..BLOCK_BYTES - 4]);
        put(&mut bytes, BLOCK_BYTES - 4, &checksum.to_le_bytes());
        world.disk.plant(&stray, bytes);
        world.restarted(Lost::Nothing, 1, 1)
    };
    let incarnation = manifest(&world).incarnation;
    let world = restarted_with(world, incarnation, &own);
    world.assert_serving();
    assert!(world.disk.bytes(&stray).is_none(), "its own, and of no use");
    let world = restarted_with(world, [9; 16], &own);
    let code = world.exit.as_ref().map(|(code, _)| *code);
    assert_eq!(code, Some(78), "{:?}", world.exit);
    assert!(world.disk.bytes(&stray).is_some());
}
