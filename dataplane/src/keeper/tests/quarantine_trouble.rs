//! Quarantines where more is wrong than a damaged block: files that are not there, blocks that the device refuses, crashes and
//! errors of the quarantine itself.

use super::quarantine::{
    BLOCK, DAY_S, Harm, Roll, Written, cut_short, losses, mended, quarantine, tool,
};
use crate::io::Errno;
use crate::keeper::config::KeeperConfig;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::Manifest;

#[test]
fn a_spare_that_is_not_there_can_be_given_up() {
    let config = KeeperConfig {
        preallocated_count: 2,
        ..config(1)
    };
    let mut world = World::started(TestDisk::new(), config);
    for record in 0..70 {
        world.decide(0, record, DAY_S);
        world.pass_s(1);
    }
    let manifest = Manifest::decode(world.disk.bytes("manifest").expect("a manifest"));
    let preallocated = *manifest
        .expect("whole")
        .preallocated
        .last()
        .expect("a preallocated");
    let preallocated = NumberedFile::Segment(preallocated).to_string();
    let (code, report) = tool(&mut world, quarantine(&preallocated, true));
    assert_eq!(code, 78, "{report}");
    world.disk.remove(&preallocated);
    let (world, given_up) = mended(world);
    assert_eq!(
        (world.known(), given_up),
        ((0..70).collect(), vec![preallocated])
    );
}

/// A device that refuses one block is no reason to give up the others.
#[test]
fn blocks_that_the_device_refuses_cost_their_batches_only() {
    for (at, batch) in [(0, Some(3)), (1, Some(3)), (1, None), (1, Some(9))] {
        let written = Written::new(0);
        let (file, held) = written.segments[at].clone();
        let lost: Vec<u32> = batch
            .and_then(|it| held.get(it))
            .map(|(record, _)| *record)
            .into_iter()
            .collect();
        let kept = written.all_but(&lost);
        let mut world = written.world;
        // Behind its batches and the mark the open segment is unused.
        let block = batch.map_or(20, |batch| batch + 1) * BLOCK;
        world.disk.fail_reads_at = Some((file.clone(), block as u64));
        let mut world = world.restarted(Lost::Everything, 1, 1);
        let (code, reason) = world.exit.clone().expect("refused");
        assert!(
            code == 74 && reason.contains(&format!("flk wal quarantine {file}")),
            "{reason}"
        );
        let (code, report) = tool(&mut world, quarantine(&file, true));
        assert!(
            code == 0 && report.contains("refuses to read 4096 bytes"),
            "{report}"
        );
        let (world, given_up) = mended(world);
        assert_eq!(
            (world.known(), given_up),
            (kept, Vec::new()),
            "{at} {batch:?}"
        );
    }
}

#[test]
fn a_crash_at_any_file_operation_of_a_quarantine_is_mended_by_running_it_again() {
    let harms = [Harm::Header(1), Harm::Batch(1, 3)];
    let mut ops = 0;
    loop {
        let mut survived = false;
        for lost in losses(ops) {
            for again_at_once in [false, true] {
                let mut written = Written::new(0);
                let gone = written.harm(&harms);
                let kept = written.all_but(&gone);
                let file = written.segments[1].0.clone();
                let job = quarantine(&file, true);
                let (mut world, ended) = cut_short(written.world, job.clone(), ops, lost);
                survived |= ended;
                if again_at_once {
                    let (code, report) = tool(&mut world, job);
                    assert_eq!(code, 0, "{ops} {lost:?}: {report}");
                }
                let (world, _) = mended(world);
                assert_eq!(world.known(), kept, "{ops} {lost:?} {again_at_once}");
                let aside = format!("quarantine-{file}");
                assert!(world.disk.names().contains(&aside), "{ops} {lost:?}");
            }
        }
        if survived {
            break;
        }
        ops += 1;
    }
    assert!(ops > 10, "{ops}");
}

#[test]
fn an_error_of_any_file_operation_ends_a_quarantine_and_it_can_be_run_again() {
    for ops in 0.. {
        let mut written = Written::new(0);
        let gone = written.harm(&[Harm::Header(1), Harm::Batch(1, 3)]);
        let kept = written.all_but(&gone);
        let file = written.segments[1].0.clone();
        let mut world = written.world;
        world.disk.crash(Lost::Nothing);
        world.disk.fail_at = Some((ops, Errno(28)));
        let _ = tool(&mut world, quarantine(&file, true));
        let done = world.disk.fail_at.take().is_some();
        let (code, report) = tool(&mut world, quarantine(&file, true));
        assert_eq!(code, 0, "{ops}: {report}");
        let (world, _) = mended(world);
        assert_eq!(world.known(), kept, "{ops}");
        if done {
            return;
        }
    }
}

/// A write failed and was repeated in the next segment; only there it counts.
#[test]
fn a_batch_repeated_in_the_next_segment_is_kept_there() {
    for harms in [&[Harm::Header(1)][..], &[Harm::Batch(0, 3)]] {
        let mut written = Written::rolled(0, Roll::FailedWrite);
        // The first batch of the second segment stands behind the end of the first one too.
        let (first, held) = &written.segments[0];
        let behind = held.last().map_or(0, |(_, offset)| offset + BLOCK);
        let bytes = written.world.disk.bytes(first).expect("the segment");
        assert!(bytes[behind..].starts_with(b"flkbatch"));
        let lost = written.harm(harms);
        let kept = written.all_but(&lost);
        let (world, given_up) = mended(written.world);
        assert_eq!(world.known(), kept, "{harms:?} {given_up:?}");
        assert_eq!(given_up.len(), 1, "{harms:?} {given_up:?}");
    }
}

#[test]
fn names_of_segments_that_were_given_up_stay_free() {
    let mut written = Written::new(0);
    written.harm(&[Harm::Header(1)]);
    let file = written.segments[1].0.clone();
    let (world, _) = mended(written.world);
    let names = world.disk.names();
    assert!(
        NumberedFile::parse(&file).is_some() && !names.contains(&file),
        "{names:?}"
    );
}
