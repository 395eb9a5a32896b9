//! Filters and indexes of slices against the memory of the process: counted, refused at a start, said while serving.

use crate::keeper::config::KeeperConfig;
use crate::keeper::memory_room::MemoryRoom;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};

const DAY_S: u32 = 86_400;
const MIB: u64 = 1 << 20;
const TABLES_BYTES: u64 = 4 * MIB;

/// Seals every hour and never merges.
fn sealing(shards: u16) -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 3_600_000_000,
        segment_bytes: 64 << 10,
        preallocated_count: 2,
        dedup_memory_bytes_max: TABLES_BYTES,
        ..config(shards)
    }
}

/// A process with so much memory for filters.
fn room_for(slices_bytes: u64) -> Option<MemoryRoom> {
    Some(MemoryRoom {
        bytes: 32 * MIB + TABLES_BYTES + TABLES_BYTES / 4 + slices_bytes,
        what: "its cgroup",
        others_bytes: 32 * MIB,
        tables_are_asked_for: true,
    })
}

/// One more slice.
fn seal(world: &mut World, first: u32) {
    for record in first..first + 5 {
        world.decide(0, record, 13 * DAY_S);
    }
    world.pass_s(3_700);
}

fn shown(world: &World) -> u64 {
    world.config.stats.keeper.slice_memory_bytes.get()
}

fn exceeded(world: &World) -> (u64, usize) {
    let said = world.notices.iter();
    let said = said.filter(|it| matches!(it, Notice::SlicesTooLarge { .. }));
    let counted = world.config.stats.keeper.slice_memory_exceeded.get();
    (counted, said.count())
}

#[test]
fn slices_count_whether_they_were_made_in_this_run_or_found_and_are_in_the_status() {
    for shards in [1, 3] {
        let mut world = World::started(TestDisk::new(), sealing(shards));
        assert_eq!(shown(&world), 0);
        seal(&mut world, 0);
        let one = shown(&world);
        assert!(one > 0);
        seal(&mut world, 5);
        let two = shown(&world);
        assert!(two > one);
        world.config.stats.keeper.slice_memory_bytes.set(0);
        let mut world = world.restarted(Lost::Nothing, shards, 1);
        assert_eq!(shown(&world), two, "found");
        let line = "flk1 status".to_string();
        world.happen(KeeperEvent::Command {
            id: CommandId(1),
            line,
        });
        let (_, status) = world.replies.pop().expect("a reply");
        let expect = format!("\"slice_memory_bytes\":{two},\"slice_memory_bytes_max\":0,");
        assert!(status.contains(&expect), "{status}");
    }
}

#[test]
fn a_start_whose_filters_do_not_fit_is_refused_by_name_and_changes_nothing() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    seal(&mut world, 0);
    seal(&mut world, 5);
    let bytes = shown(&world);
    // Exactly enough is enough.
    world.config.memory = room_for(bytes);
    let mut world = world.restarted(Lost::Nothing, 2, 1);
    assert_eq!(exceeded(&world), (0, 0));
    let manifest = world.disk.bytes("manifest").map(<[u8]>::to_vec);

    world.config.memory = room_for(bytes - 1);
    world.disk.reads.clear();
    let mut refused = world.restarted(Lost::Nothing, 2, 1);
    let reads = refused.disk.reads.iter();
    let reads = reads.filter(|(name, _)| name.starts_with("slice-"));
    // First and last block, directory and names of parameter sets.
    assert!(
        reads.map(|(_, count)| *count).eq([4, 4]),
        "no filter was read"
    );
    let (code, reason) = refused.exit.clone().expect("an end");
    assert_eq!(code, 78, "{reason}");
    let says = format!(
        "filters and indexes of 2 slices take {bytes} bytes of memory, and {} are left for them: its cgroup allows",
        bytes - 1
    );
    assert!(reason.starts_with(&says), "{reason}");
    for change in [
        ", set DEDUP_MEMORY_MAX=3MiB or less",
        ", or lower FLK_CORES",
    ] {
        assert!(reason.contains(change), "{reason}");
    }
    assert_eq!(refused.disk.bytes("manifest").map(<[u8]>::to_vec), manifest);

    // What the line advises helps.
    refused.config.dedup_memory_bytes_max = 3 * MIB;
    refused.restarted(Lost::Nothing, 2, 1).assert_serving();
}

#[test]
fn where_no_tables_would_fit_only_more_memory_is_advised() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    seal(&mut world, 0);
    let bytes = shown(&world);
    world.config.memory = Some(MemoryRoom {
        bytes: 32 * MIB + bytes,
        what: "this machine",
        others_bytes: 32 * MIB,
        tables_are_asked_for: true,
    });
    let refused = world.restarted(Lost::Nothing, 1, 1);
    let (_, reason) = refused.exit.expect("an end");
    let needed = (37 * MIB + bytes).div_ceil(MIB);
    assert!(
        reason.ends_with(&format!("Allow {needed}MiB of memory")),
        "{reason}"
    );
}

#[test]
fn a_new_set_that_passes_the_limit_is_said_once_and_counted_each_time() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    seal(&mut world, 0);
    let one = shown(&world);
    world.config.memory = room_for(one);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(exceeded(&world), (0, 0));
    for (set, first) in (1..).zip([5, 10, 15]) {
        seal(&mut world, first);
        assert_eq!(exceeded(&world), (set, 1), "it serves on");
    }
    world.assert_serving();
    assert_eq!(world.config.stats.keeper.slice_memory_bytes_max.get(), one);
}

#[test]
fn tables_that_were_not_asked_for_give_way_to_filters_down_to_a_mebibyte() {
    for shards in [1, 2] {
        let mut world = World::started(TestDisk::new(), sealing(shards));
        seal(&mut world, 0);
        let bytes = shown(&world);
        let room = |left: u64| MemoryRoom {
            tables_are_asked_for: false,
            bytes: 32 * MIB + left,
            ..room_for(0).expect("a limit")
        };
        // As planned; the next whole mebibyte below; the least.
        for (left, tables) in [
            (6 * MIB, 4 * MIB),
            (5 * MIB + bytes - 1, 3 * MIB),
            (MIB + MIB / 2, MIB),
        ] {
            world.config.dedup_memory_bytes_max = TABLES_BYTES;
            world.config.memory = Some(room(left));
            world = world.restarted(Lost::Nothing, shards, 1);
            world.assert_serving();
            let smaller = (tables < TABLES_BYTES).then_some(tables / u64::from(shards));
            for shard in &world.shards {
                assert_eq!(shard.begin.dedup_bytes_max, smaller, "{left}");
            }
            let said = world.notices.iter();
            let said = said.filter(|it| matches!(it, Notice::TablesSmaller { .. }));
            assert_eq!(said.count(), usize::from(smaller.is_some()), "{left}");
            let bytes_max = world.config.stats.keeper.slice_memory_bytes_max.get();
            assert_eq!(bytes_max, left - tables - tables / 4);
        }
        world.config.dedup_memory_bytes_max = TABLES_BYTES;
        world.config.memory = Some(room(MIB + MIB / 4 + bytes - 1));
        let refused = world.restarted(Lost::Nothing, shards, 1);
        assert_eq!(refused.exit.map(|(code, _)| code), Some(78));
    }
}
