//! What becomes of a log after a segment of it was given up whole: it goes on to be sealed, deleted and started from.

use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::evidence::{after_deletion, in_use, refused};
use crate::keeper::tests::quarantine::{Written, mended, quarantine, tool};
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::SegmentState;

const DAY_S: u32 = 86_400;

#[test]
fn a_log_whose_first_segment_was_given_up_whole_is_sealed_and_started_from_like_any_other() {
    // Of the first segment, which no manifest has closed, nothing is left; the next one says where it ended.
    for left_bytes in [512, 4096] {
        let written = Written::new(0);
        let (first, lost) = &written.segments[0];
        let lost: Vec<u32> = lost.iter().map(|(record, _)| *record).collect();
        let kept: Vec<u32> = written.segments[1].1.iter().map(|(it, _)| *it).collect();
        let mut world = written.world;
        world.disk.tamper(first, |bytes| bytes.truncate(left_bytes));
        let (mut world, given_up) = mended(world);
        assert_eq!(given_up, std::slice::from_ref(first));
        assert_eq!(world.known(), kept, "all but {lost:?}");
        // The start ended the log: what it stated of the empty segment is read by each seal and start from now on.
        for start in 0..2 {
            world = world.restarted(Lost::Everything, 1, 1);
            world.assert_serving();
            assert_eq!(world.known(), kept, "start {start}");
        }
        world.decide(0, 1_000, DAY_S);
        let line = "flk1 compact --older-than 1000000".to_string();
        let id = CommandId(1);
        world.happen(KeeperEvent::Command { id, line });
        world.pass_s(10);
        let damage = |it: &&Notice| matches!(it, Notice::DamageWhileSealing { .. });
        assert_eq!(world.notices.iter().find(damage), None);
        let sealed = |it: &Notice| matches!(it, Notice::Sealed { .. });
        assert!(world.notices.iter().any(sealed));
        assert_eq!(world.exit, None);
    }
}

/// Gives up what is damaged in a segment that the manifest calls open. Returns the name of the new one.
fn open_segment_given_up(mut world: World, file: &str, lost_bytes: usize) -> (World, String) {
    world
        .disk
        .tamper(file, |bytes| bytes[4096..lost_bytes].fill(0));
    let mut world = refused(world, file);
    let (code, report) = tool(&mut world, quarantine(file, true));
    assert_eq!(code, 0, "{report}");
    // Had the power cut behind the tool brought it back, it would tell of what is damaged next.
    assert!(!world.disk.names().iter().any(|name| name == file));
    let logs = manifest(&world).logs;
    let first = logs.iter().find_map(|log| log.segments.first());
    let first = first.expect("a segment");
    assert_eq!(first.state, SegmentState::Open);
    let name = NumberedFile::Segment(first.file).to_string();
    (world, name)
}

#[test]
fn the_header_of_an_open_segment_is_evidence_after_its_first_batches_were_given_up() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [(Harm, bool); 4] = [
        (|bytes| bytes[100] ^= 1, false),
        (|bytes| bytes[..4096].fill(0), false),
        (|bytes| bytes[..8192].fill(0), true),
        (|bytes| bytes.fill(0), true),
    ];
    // Of two batches the first one is given up, or both; the second is the newest, so that no other tells of it.
    for (lost_bytes, kept) in [(8192, vec![1]), (12_288, vec![])] {
        for (harm, all) in harms {
            let (world, file) = in_use(2);
            let (mut world, file) = open_segment_given_up(world, &file, lost_bytes);
            world.disk.tamper(&file, harm);
            let world = refused(world, &file);
            let (mut world, given_up) = mended(world);
            assert_eq!(given_up, [file]);
            let kept = if all { vec![] } else { kept.clone() };
            assert_eq!(world.known(), kept);
            world.decide(0, 1_000, DAY_S);
            let world = world.restarted(Lost::Everything, 1, 1);
            world.assert_serving();
            assert_eq!(world.known(), [&kept[..], &[1_000]].concat());
        }
    }
}

#[test]
fn so_is_that_of_a_log_whose_beginning_was_deleted() {
    // The first batch is the mark of the roll; behind it stand ten decisions.
    for (lost_bytes, kept) in [(8192, 20..30), (12_288, 21..30), (12 * 4096, 30..30)] {
        let (world, file) = after_deletion(false);
        let (mut world, file) = open_segment_given_up(world, &file, lost_bytes);
        world.disk.tamper(&file, |bytes| bytes[..4096].fill(0));
        let world = refused(world, &file);
        let (world, given_up) = mended(world);
        assert_eq!(given_up, [file]);
        let known = (0..20).chain(kept).collect::<Vec<_>>();
        assert_eq!(world.known(), known, "{lost_bytes}");
    }
}

#[test]
fn no_power_cut_brings_back_what_was_given_up() {
    let (mut world, file) = in_use(5);
    world.disk.tamper(&file, |bytes| bytes[4096] ^= 1);
    let mut world = refused(world, &file);
    // The power fails once the tool has ended: what it did not sync is lost.
    let (code, report) = tool(&mut world, quarantine(&file, true));
    assert_eq!(code, 0, "{report}");
    let names = world.disk.names();
    assert!(!names.contains(&file), "{names:?}");
    assert!(names.contains(&format!("quarantine-{file}")), "{names:?}");
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), [1, 2, 3, 4]);
}

#[test]
fn nor_a_preallocated_segment_that_cannot_be_read() {
    let config = KeeperConfig {
        preallocated_count: 2,
        ..config(1)
    };
    let mut world = World::started(TestDisk::new(), config);
    while manifest(&world).preallocated.is_empty() {
        world.decide(0, world.decided, DAY_S);
        world.pass_s(1);
    }
    let file = NumberedFile::Segment(manifest(&world).preallocated[0]).to_string();
    world.disk.fail_reads_of = Some(file.clone());
    let (code, report) = tool(&mut world, quarantine(&file, true));
    assert_eq!(code, 0, "{report}");
    assert!(!world.disk.names().contains(&file));
}
