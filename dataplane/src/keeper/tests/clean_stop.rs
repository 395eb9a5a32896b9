//! What was acknowledged before a clean stop is known to the byte: whatever is lost of it afterwards is damage that a
//! start names, never a torn tail, and giving it up costs what is lost and nothing else.

use crate::keeper::notice::{Before, Notice};
use crate::keeper::offline::Job;
use crate::keeper::port::KeeperEvent;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::{cut_short, losses, mended, quarantine, tool};
use crate::keeper::tests::world::{World, config, manifest};
use std::ops::Range;

const DAY_S: u32 = 86_400;
const BLOCK: usize = 4096;

/// What becomes of the last blocks of a segment.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Truncated,
    Zeroed,
    /// Other bytes, as on a file that was used before.
    Overwritten,
}

const HARMS: [Harm; 3] = [Harm::Truncated, Harm::Zeroed, Harm::Overwritten];

impl Harm {
    fn do_to(self, world: &mut World, file: &str, from: usize, upto: usize) {
        world.disk.tamper(file, |bytes| match self {
            Harm::Truncated => bytes.truncate(from),
            Harm::Zeroed => bytes[from..upto].fill(0),
            Harm::Overwritten => bytes[from..upto].fill(0xA5),
        });
    }
}

fn stop(world: &mut World) {
    world.happen(KeeperEvent::Terminate);
    assert_eq!(world.exit.as_ref().map(|exit| exit.0), Some(0));
}

/// Stopped cleanly after these records, a mark behind each of some of them. One block holds one batch. The file comes
/// back, and for each batch the record in it.
fn stopped(records: Range<u32>, marked: &[u32]) -> (World, String, Vec<Option<u32>>) {
    let mut world = World::started(TestDisk::new(), config(1));
    let mut batches = Vec::new();
    for record in records {
        world.decide(0, record, DAY_S);
        batches.push(Some(record));
        if marked.contains(&record) {
            world.mark(0);
            batches.push(None);
        }
    }
    let file = world.current_file(0);
    stop(&mut world);
    if batches.last().is_some_and(Option::is_some) {
        batches.push(None);
    }
    let bytes = world.disk.bytes(&file).expect("the segment");
    for batch in 1..=batches.len() {
        assert!(bytes[batch * BLOCK..].starts_with(b"flkbatch"));
    }
    (world, file, batches)
}

/// Idle marks lie between the records, so that the log that is left often ends in a mark.
#[test]
fn batches_that_vanish_after_a_clean_stop_are_damage_and_can_be_given_up() {
    for harm in HARMS {
        for from in 0..9 {
            let (mut world, file, batches) = stopped(0..6, &[1, 4]);
            assert_eq!(batches.len(), 9);
            let end = (batches.len() + 1) * BLOCK;
            harm.do_to(&mut world, &file, (from + 1) * BLOCK, end);
            let kept: Vec<u32> = batches[..from].iter().flatten().copied().collect();
            let (mut world, given_up) = mended(world);
            world.assert_serving();
            assert_eq!(given_up, [file.as_str()], "{harm:?} {from}");
            assert_eq!(world.known(), kept, "{harm:?} {from}");
            for _ in 0..2 {
                world.decide(0, 100, DAY_S);
                stop(&mut world);
                world = world.restarted(Lost::Everything, 1, 1);
                world.assert_serving();
                assert_eq!(world.known()[..kept.len()], kept, "{harm:?} {from}, later");
            }
        }
    }
}

#[test]
fn a_segment_that_vanishes_as_a_whole_after_a_clean_stop_is_damage() {
    for harm in HARMS {
        let (mut world, file, batches) = stopped(0..3, &[]);
        harm.do_to(&mut world, &file, 0, (batches.len() + 1) * BLOCK);
        let (world, given_up) = mended(world);
        assert_eq!((given_up, world.known()), (vec![file], vec![]), "{harm:?}");
    }
}

#[test]
fn only_the_newest_of_several_segments_is_given_up() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..70 {
        world.decide(0, record, DAY_S);
    }
    let file = world.current_file(0);
    stop(&mut world);
    let bytes = world.disk.bytes(&file).expect("the segment");
    let is_batch = |block: &&[u8]| block.starts_with(b"flkbatch");
    let batches = bytes.chunks(BLOCK).filter(is_batch).count();
    let end = (batches + 1) * BLOCK;
    Harm::Zeroed.do_to(&mut world, &file, end - 3 * BLOCK, end);
    let (world, given_up) = mended(world);
    assert_eq!(given_up, [file]);
    assert_eq!(world.known(), (0..68).collect::<Vec<_>>());
}

#[test]
fn a_log_that_is_whole_after_a_clean_stop_is_taken_as_it_is() {
    for records in [0, 1, 5, 70] {
        let mut world = World::started(TestDisk::new(), config(2));
        for record in 0..records {
            world.decide(0, record, DAY_S);
        }
        for round in 1..4 {
            stop(&mut world);
            world = world.restarted(Lost::Everything, 2, 1);
            world.assert_serving();
            assert_eq!(world.known(), (0..records).collect::<Vec<_>>());
            assert_eq!(world.before(), [Before::CleanStop]);
            let cut = |notice: &Notice| matches!(notice, Notice::TornTail { .. });
            assert!(!world.notices.iter().any(cut), "{records} {round}");
        }
    }
}

/// An error there is no reason to end otherwise, and what was not cut is cut by the next start.
#[test]
fn the_unused_end_of_a_segment_is_cut_off_at_a_clean_stop() {
    let (world, file, batches) = stopped(0..3, &[]);
    let used = (batches.len() + 1) * BLOCK;
    assert_eq!(world.disk.bytes(&file).map(<[u8]>::len), Some(used));
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.disk.bytes(&file).map(<[u8]>::len), Some(used));
}

#[test]
fn a_crash_at_any_file_operation_of_a_clean_stop_loses_nothing() {
    for ops in 0.. {
        let mut survived = false;
        for lost in [Lost::Everything, Lost::Nothing, Lost::Some(ops + 1)] {
            let mut world = World::started(TestDisk::new(), config(2));
            for record in 0..5 {
                world.decide(0, record, DAY_S);
            }
            world.ops_left = Some(ops);
            world.happen(KeeperEvent::Terminate);
            survived |= !world.dead;
            for _ in 0..2 {
                world = world.restarted(lost, 2, 1);
                world.assert_serving();
                assert_eq!(world.known(), (0..5).collect::<Vec<_>>(), "{ops} {lost:?}");
            }
        }
        if survived {
            assert!(ops > 5, "{ops}");
            return;
        }
    }
}

#[test]
fn a_crash_at_any_file_operation_of_the_start_after_a_clean_stop_loses_nothing() {
    for ops in 0.. {
        let mut survived = false;
        for lost in [Lost::Everything, Lost::Nothing, Lost::Some(ops + 1)] {
            let (world, ..) = stopped(0..5, &[2]);
            let World { mut disk, now, .. } = world;
            disk.crash(Lost::Everything);
            let mut world = World::new(disk, config(1));
            world.now = now;
            world.ops_left = Some(ops);
            survived |= world.run();
            world = world.restarted(lost, 1, 1);
            world.assert_serving();
            assert_eq!(world.known(), (0..5).collect::<Vec<_>>(), "{ops} {lost:?}");
        }
        if survived {
            return;
        }
    }
}

#[test]
fn a_crash_at_any_file_operation_of_giving_up_after_a_clean_stop_is_mended_by_another() {
    for ops in 0.. {
        let mut survived = false;
        for lost in losses(ops) {
            let (mut world, file, batches) = stopped(0..6, &[3]);
            let end = (batches.len() + 1) * BLOCK;
            Harm::Zeroed.do_to(&mut world, &file, end - 3 * BLOCK, end);
            let (world, ended) = cut_short(world, quarantine(&file, true), ops, lost);
            survived |= ended;
            let (world, _) = mended(world);
            assert_eq!(world.known(), [0, 1, 2, 3], "{ops} {lost:?}");
        }
        if survived {
            assert!(ops > 10, "{ops}");
            return;
        }
    }
}

/// A compaction seals what the stop closed, and leaves the log what it is.
#[test]
fn a_directory_that_was_stopped_cleanly_can_be_compacted() {
    let (mut world, file, _) = stopped(0..6, &[]);
    for _ in 0..2 {
        let job = Job::Compact {
            older_than_s: Some(0),
            dry_run: false,
        };
        let (code, report) = tool(&mut world, job);
        assert_eq!(code, 0, "{report}");
    }
    let sealed: u64 = manifest(&world).slices.iter().map(|it| it.entries).sum();
    assert_eq!(6u64, sealed, "all of them");
    assert!(manifest(&world).clean_stop, "nothing was appended");
    assert!(world.disk.names().contains(&file));
    for _ in 0..2 {
        world = world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        assert_eq!(world.known(), (0..6).collect::<Vec<_>>());
        stop(&mut world);
    }
}
