//! A seal that shards cannot wait for comes between the steps of a merge.

use crate::dedup::claims::MemoryUse;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::port::FileOp;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::slices::{sealing, slices};
use crate::keeper::tests::world::{World, manifest};
use crate::mesh::keeper::ToKeeper;
use crate::wal::files::NumberedFile;
use std::cell::RefCell;
use std::rc::Rc;

const DAY_S: u32 = 86_400;

/// Whether the newest slice on the disk is one that no manifest names yet.
fn is_writing_a_slice(disk: &TestDisk) -> bool {
    let numbers = disk.names().into_iter();
    let newest = numbers
        .filter_map(|name| match NumberedFile::parse(&name) {
            Some(NumberedFile::Slice(number)) => Some(number),
            _ => None,
        })
        .max();
    let named = disk.manifest().slices;
    newest.is_some_and(|newest| named.iter().all(|slice| slice.file != newest))
}

/// Seals more than one seal may take, and merges; one operation is slow. Which operations made a slice, and how many of them
/// while another one was being written.
fn sealed_while_merging(slow_op: Option<(u64, u64)>) -> (Vec<u64>, u32) {
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 1 << 18,
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    for record in 0..2_500 {
        world.decide(0, record, 30 * DAY_S);
        if record == 50 {
            world.pass_s(3_700);
        }
    }
    assert_eq!(slices(&world), (1, 1));
    let made = Rc::new(RefCell::new((Vec::new(), 0)));
    let seen = made.clone();
    world.watch = Some(Box::new(move |disk, op| {
        if let FileOp::Open { name, how } = op
            && name.starts_with("slice-")
            && how.create
        {
            let mut seen = seen.borrow_mut();
            seen.0.push(disk.ops);
            seen.1 += u32::from(is_writing_a_slice(disk));
        }
    }));
    world.pass_s(2);
    world.slow_op = slow_op;
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Filling));
    world.run();
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Plenty));
    world.pass_s(30);
    world.assert_serving();
    let entries: u64 = manifest(&world).slices.iter().map(|it| it.entries).sum();
    assert_eq!((slices(&world), entries), ((1, 1), 2_500));
    let world = world.restarted(Lost::Everything, 1, 1);
    assert!(world.known().into_iter().eq(0..2_500));
    made.take()
}

#[test]
fn a_seal_that_shards_cannot_wait_for_passes_a_merge_under_way() {
    let (made, passed) = sealed_while_merging(None);
    assert_eq!(passed, 0, "each in its turn");
    let mut passed = Vec::new();
    for at in made {
        // The next operation after a slice was begun takes so long that the next seal is due.
        passed.push(sealed_while_merging(Some((at + 2, 2_000_000))).1);
    }
    assert!(passed.contains(&1), "none came in between: {passed:?}");
}
