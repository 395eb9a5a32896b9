//! A segment that is not closed and shorter than its file was made: a start must refuse it, wherever it was cut and whatever
//! other files there are, and what is left of it can be kept.

use super::evidence::{in_use, refused};
use crate::keeper::config::KeeperConfig;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::mended;
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::SegmentState;
use crate::wal::segment::SegmentHeader;
use flk_testkit::Dice;

const DAY_S: u32 = 86_400;

/// The only shard of a gateway that dies in the first milliseconds of its life: its log has so many decisions, and the
/// keeper comes to nothing any more, not even to a second segment.
fn alone(records: u32) -> (World, String) {
    let mut world = World::started(TestDisk::new(), config(1));
    world.ops_left = Some(0);
    for record in 0..records {
        world.decide(0, record, DAY_S);
    }
    assert!(world.dead);
    let file = world.current_file(0);
    let is_segment = |name: &&String| NumberedFile::is_segment(name);
    let names = world.disk.names();
    let segments: Vec<&String> = names.iter().filter(is_segment).collect();
    assert_eq!(segments, [&file]);
    (world, file)
}

#[test]
fn a_cut_of_the_only_segment_is_refused_at_every_block() {
    let (mut world, file) = alone(10);
    let whole = world.disk.bytes(&file).expect("it is there").to_vec();
    for bytes in (0..whole.len()).step_by(4096) {
        world
            .disk
            .tamper(&file, |it| it.clone_from(&whole[..bytes].to_vec()));
        world = refused(world, &file);
        let (_, reason) = world.exit.clone().expect("it was refused");
        assert!(reason.contains(&format!("{bytes} bytes")), "{reason}");
        // The length that it was made with stands in the first block.
        let says_made = reason.contains(&format!("made with {}", whole.len()));
        assert_eq!(says_made, bytes >= 4096, "{reason}");
    }
    world.disk.tamper(&file, |it| it.clone_from(&whole));
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_is_left_of_the_only_segment_can_be_kept() {
    for bytes in [0, 4096, 8192, 6 * 4096, 11 * 4096, 40 * 4096] {
        let (mut world, file) = alone(10);
        world.disk.tamper(&file, |it| it.truncate(bytes));
        let mut world = refused(world, &file);
        let shown =
            super::quarantine::tool(&mut world, super::quarantine::quarantine(&file, false)).1;
        assert!(
            shown.contains("how many those were is not known"),
            "{shown}"
        );
        assert!(
            shown.contains("and those that nothing is known of, for good"),
            "{shown}"
        );
        assert!(!shown.contains("no batch is lost"), "{shown}");
        let (mut world, given_up) = mended(world);
        assert_eq!(given_up, [file], "{bytes}");
        let whole = (bytes / 4096).saturating_sub(1).min(10) as u32;
        assert_eq!(world.known(), (0..whole).collect::<Vec<_>>(), "{bytes}");
        world.decide(0, 99, DAY_S);
        world.restarted(Lost::Nothing, 1, 1).assert_serving();
    }
}

#[test]
fn a_lost_header_is_made_anew_with_the_length_that_it_stated_although_another_is_configured_now() {
    let first_block = |world: &World, file: &str| {
        let bytes = world.disk.bytes(file).expect("it is there");
        SegmentHeader::decode(bytes).expect("a header")
    };
    // In the first segment of a log and in a later one, whose predecessor's checksum must be found as well.
    for records in [3, 70] {
        let (mut world, file) = in_use(records);
        let before = first_block(&world, &file);
        assert_eq!(before.0.ordinal > 0, records > 60);
        world.mark(0);
        world.disk.tamper(&file, |bytes| bytes[..4096].fill(0));
        world.config.segment_bytes = 512 << 10;
        let mut world = refused(world, &file);
        let (code, report) =
            super::quarantine::tool(&mut world, super::quarantine::quarantine(&file, true));
        assert_eq!(code, 0, "{report}");
        let number = manifest(&world).logs[0]
            .segments
            .iter()
            .find(|it| it.ordinal == before.0.ordinal)
            .expect("it has a successor")
            .file;
        let file = NumberedFile::Segment(number).to_string();
        assert_eq!(first_block(&world, &file), before);
        let world = world.restarted(Lost::Nothing, 1, 1);
        world.assert_serving();
        assert_eq!(world.known(), (0..records).collect::<Vec<_>>());
    }
}

#[test]
fn a_segment_in_use_that_is_shorter_than_it_was_made_is_refused_and_costs_what_was_cut() {
    // In the header, behind it, in and between batches, and behind the last one: 10 batches of one block.
    let lengths = [
        0, 512, 4096, 6000, 8192, 10_000, 24_576, 100_000, 49_152, 200_704,
    ];
    for bytes in lengths {
        let (mut world, file) = in_use(10);
        world.disk.tamper(&file, |it| it.truncate(bytes));
        let world = refused(world, &file);
        let (world, given_up) = mended(world);
        assert_eq!(given_up, [file], "{bytes}");
        let whole = (bytes / 4096).saturating_sub(1).min(10) as u32;
        assert_eq!(world.known(), (0..whole).collect::<Vec<_>>(), "{bytes}");
        let mut world = world;
        world.decide(0, 99, DAY_S);
        let world = world.restarted(Lost::Nothing, 1, 1);
        world.assert_serving();
    }
}

#[test]
fn a_next_segment_that_is_shorter_than_it_was_made_is_refused() {
    let (mut world, _) = in_use(3);
    let next = manifest(&world).logs[0].segments[1];
    assert_eq!(next.state, SegmentState::Next);
    let file = NumberedFile::Segment(next.file).to_string();
    world.disk.tamper(&file, Vec::clear);
    let world = refused(world, &file);
    let (world, given_up) = mended(world);
    assert_eq!((world.known(), given_up), ((0..3).collect(), vec![file]));
}

#[test]
fn after_a_clean_stop_a_short_unused_segment_is_only_left_out() {
    let (mut world, _) = in_use(3);
    let next = NumberedFile::Segment(manifest(&world).logs[0].segments[1].file).to_string();
    world.happen(KeeperEvent::Terminate);
    world.disk.tamper(&next, Vec::clear);
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), [0, 1, 2]);
    assert!(!world.disk.names().contains(&next));
}

/// One life of a gateway: some decisions, marks and time, and an end of some kind.
fn live(world: &mut World, dice: &mut Dice, records: &mut u32) {
    if dice.below(3) == 0 {
        world.ops_left = Some(dice.below(60));
    }
    for _ in 0..dice.below(200) {
        if world.dead || world.exit.is_some() {
            return;
        }
        let shard = dice.below(world.shards.len() as u64) as u16;
        let body_bytes = 700 + dice.below(12_000) as usize;
        if world.shards[usize::from(shard)].has_room_for(body_bytes) {
            match dice.below(8) {
                0 => world.mark(shard),
                _ => {
                    world.decide_sized(shard, *records, 30 * DAY_S, body_bytes);
                    *records += 1;
                }
            }
        }
        if dice.below(10) == 0 {
            world.pass_us(dice.below(2_000_000));
        }
    }
    if !world.dead && dice.below(4) == 0 {
        world.happen(KeeperEvent::Terminate);
        world.pass_s(2);
    }
}

#[test]
fn no_start_refuses_what_gateways_with_other_segments_and_numbers_of_shards_left() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let lengths = [64 << 10, 128 << 10, 256 << 10, 512 << 10];
        let of = |dice: &mut Dice| KeeperConfig {
            segment_bytes: lengths[dice.below(4) as usize],
            preallocated_count: dice.below(3) as u32,
            seal_every_us: 1_000_000 + dice.below(20_000_000),
            ..config(1 + dice.below(3) as u16)
        };
        let settings = of(&mut dice);
        let mut world = World::started(TestDisk::new(), settings);
        let mut records = 0;
        for life in 0..6 {
            live(&mut world, &mut dice, &mut records);
            // Some starts die too.
            for attempt in 0.. {
                let World { mut disk, now, .. } = world;
                disk.crash(match dice.below(3) {
                    0 => Lost::Nothing,
                    1 => Lost::Everything,
                    _ => Lost::Some(dice.below(1 << 30)),
                });
                world = World::new(disk, of(&mut dice));
                world.now.wall_us = now.wall_us + 1_000_000;
                world.ops_left = (attempt < 3 && dice.below(2) == 0).then(|| dice.below(80));
                world.run();
                assert_eq!(world.exit, None, "seed {seed}, life {life}");
                if !world.dead {
                    break;
                }
            }
            world.ops_left = None;
            world.assert_serving();
            assert!(
                world.known().into_iter().eq(0..records),
                "seed {seed}, life {life}: {records} decided"
            );
        }
    }
}

#[test]
fn while_anything_is_pinned_a_closed_segment_loses_no_more_than_its_unused_end() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 0, DAY_S);
    let file = world.current_file(0);
    let made_bytes = world.disk.bytes(&file).expect("it is there").len();
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: "flk1 pin".to_string(),
    });
    for record in 1..100 {
        world.decide(0, record, DAY_S);
    }
    assert_ne!(world.current_file(0), file, "it was closed meanwhile");
    let entry = manifest(&world).logs[0].segments[0];
    let extent = entry.state.extent().expect("it is closed");
    let bytes = world.disk.bytes(&file).expect("it is there").len();
    assert!((extent.bytes..=made_bytes as u64).contains(&(bytes as u64)));
}
