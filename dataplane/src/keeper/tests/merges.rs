//! Which slices become one while there are few of them: two of one size, or four of little time.

use crate::keeper::config::{KeeperConfig, MergeRule};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::slices::sealing;
use crate::keeper::tests::world::{World, manifest};

const DAY_S: u32 = 86_400;

#[test]
fn large_slices_of_one_size_are_merged_two_by_two_although_there_are_few() {
    let settings = KeeperConfig {
        slices_count_max: 20,
        merges: MergeRule {
            entries_min: 20,
            pairs_span_s: 3600,
        },
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    let mut counts = Vec::new();
    for seal in 0..16 {
        for record in 0..10 {
            world.decide(0, 10 * seal + record, 30 * DAY_S);
        }
        world.pass_s(3_700);
        // Until all that may be merged is.
        world.pass_s(100);
        counts.push(manifest(&world).slices.len());
    }
    let ones = |seals: u32| seals.count_ones() as usize;
    assert_eq!(counts, (1..=16).map(ones).collect::<Vec<_>>());
    assert_eq!(manifest(&world).slices[0].entries, 160);
    assert_eq!(world.exit, None);
}

/// How many slices there are behind each of these seals, and what the first one holds in the end, where pairs have to span a day.
fn merged_by_four(seals: &[u32]) -> (Vec<usize>, u64) {
    let settings = KeeperConfig {
        slices_count_max: 20,
        ttl_s: 60 * DAY_S,
        merges: MergeRule {
            entries_min: 20,
            pairs_span_s: DAY_S,
        },
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    let (mut counts, mut next) = (Vec::new(), 0);
    for records in seals {
        for record in next..next + records {
            world.decide(0, record, 60 * DAY_S);
        }
        next += records;
        world.pass_s(3_700);
        world.pass_s(100);
        counts.push(manifest(&world).slices.len());
    }
    let first = manifest(&world).slices[0].entries;
    assert_eq!(world.exit, None);
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.exit, None);
    (counts, first)
}

#[test]
fn slices_that_span_little_are_merged_four_at_a_time() {
    let (counts, first) = merged_by_four(&[10; 13]);
    // One of forty waits for others that are together as large as it is.
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 4, 2, 3, 1, 2, 3, 4]);
    assert_eq!(first, 100);
}

#[test]
fn uneven_seals_do_not_keep_each_other_from_being_merged() {
    let (counts, _) = merged_by_four(&[20, 2, 20, 2, 20, 2, 20, 2, 20, 2, 20, 2, 20, 2, 20, 2]);
    assert!(counts.iter().all(|count| *count <= 8), "{counts:?}");
}
