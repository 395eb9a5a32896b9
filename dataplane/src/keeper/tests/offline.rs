//! The keeper's flows without a server: quarantine and compaction.

use crate::keeper::offline::Job;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::{quarantine, tool};
use crate::keeper::tests::world::{World, config};

const DAY_S: u32 = 86_400;

fn all_but(missing: &[u32], count: u32) -> Vec<u32> {
    (0..count)
        .filter(|record| !missing.contains(record))
        .collect()
}

#[test]
fn quarantine_of_an_open_segment_keeps_every_whole_batch() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..10 {
        world.decide(0, record, DAY_S);
    }
    let file = world.current_file(0);
    world.disk.tamper(&file, |bytes| bytes[4 * 4096 + 200] ^= 1);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.exit.as_ref().map(|exit| exit.0), Some(65));
    let (code, report) = tool(&mut world, quarantine(&file, false));
    assert_eq!(code, 0, "{report}");
    assert!(
        report.contains("missing 1:4 to 1:4") && report.contains("Nothing was changed"),
        "{report}"
    );
    assert!(report.contains("gives up 1 batch for good"), "{report}");
    let (code, report) = tool(&mut world, quarantine(&file, true));
    assert_eq!(code, 0, "{report}");
    assert!(world.disk.names().contains(&format!("quarantine-{file}")));
    for _ in 0..2 {
        world = world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        assert_eq!(world.known(), all_but(&[3], 10));
    }
    assert!(world.disk.names().contains(&format!("quarantine-{file}")));
}

#[test]
fn quarantine_of_a_closed_segment_keeps_its_neighbours_as_they_are() {
    let mut world = World::started(TestDisk::new(), config(1));
    let first = world.current_file(0);
    for record in 0..200 {
        world.decide(0, record, DAY_S);
    }
    world.disk.tamper(&first, |bytes| {
        bytes[7 * 4096 + 200] ^= 1;
        bytes[8 * 4096] ^= 1;
        let end = bytes.len();
        bytes[end - 4096] ^= 1;
    });
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.exit.as_ref().map(|exit| exit.0), Some(65));
    let (code, report) = tool(&mut world, quarantine(&first, true));
    assert_eq!(code, 0, "{report}");
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    let known = world.known();
    assert_eq!(known.len(), 197, "{report}");
    assert!(!known.contains(&6) && !known.contains(&7));
}

#[test]
fn quarantine_of_a_segment_without_its_header_keeps_all_batches() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..200 {
        world.decide(0, record, DAY_S);
    }
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    let damaged = "segment-0000000000000001.wal";
    world.disk.tamper(damaged, |bytes| bytes[50] ^= 1);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.exit.as_ref().map(|exit| exit.0), Some(65));
    let (code, report) = tool(&mut world, quarantine(damaged, true));
    assert_eq!(code, 0, "{report}");
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..200).collect::<Vec<_>>());
}

#[test]
fn quarantine_refuses_what_is_whole_or_unknown() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    let file = world.current_file(0);
    for segment in [file.as_str(), "manifest", "segment-00000000000000aa.wal"] {
        let (code, report) = tool(&mut world, quarantine(segment, true));
        assert_eq!(code, 78, "{report}");
    }
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.known(), vec![1]);
}

#[test]
fn compaction_without_a_server_seals_and_deletes_what_is_closed() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    let before = world.disk.names().len();
    let job = |dry_run| Job::Compact {
        older_than_s: Some(0),
        dry_run,
    };
    let (code, report) = tool(&mut world, job(true));
    assert_eq!((code, world.disk.names().len()), (0, before), "{report}");
    let (code, report) = tool(&mut world, job(false));
    assert_eq!(code, 0, "{report}");
    assert!(world.disk.names().len() < before, "{report}");
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_tool_makes_no_installation() {
    let mut world = World::new(TestDisk::new(), config(1));
    let (code, _) = tool(&mut world, quarantine("segment-0000000000000000.wal", true));
    assert_eq!(code, 78);
    assert!(world.disk.names().is_empty());
}
