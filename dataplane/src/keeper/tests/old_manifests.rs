//! A manifest that is older than the files beside it, and what further starts leave of a log.

use super::evidence::{DAY_S, contents, in_use, refused};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::files::NumberedFile;

#[test]
fn a_manifest_that_is_older_than_the_start_of_a_log_is_refused_whatever_its_generation() {
    for named in [false, true] {
        let mut world = World::started(TestDisk::new(), config(1));
        world.decide(0, 0, DAY_S);
        let mut old = manifest(&world);
        let files = contents(&world);
        let mut world = world.restarted(Lost::Nothing, 1, 1);
        world.decide(0, 1, DAY_S);
        let there = world.disk.names();
        for (name, bytes) in files.into_iter().filter(|(name, _)| !there.contains(name)) {
            world.disk.plant(&name, bytes);
        }
        let file = world.current_file(0);
        old.generation = manifest(&world).generation + 1;
        if named {
            let number = NumberedFile::parse(&file).expect("a number");
            let NumberedFile::Segment(number) = number else {
                panic!("{file} is no segment");
            };
            old.logs[0].segments.last_mut().expect("a segment").file = number;
        }
        old.next_file = manifest(&world).next_file;
        let bytes = old.encode();
        world.disk.tamper("manifest", |before| *before = bytes);
        let world = refused(world, &file);
        let (_, reason) = world.exit.expect("an end");
        assert!(reason.contains("start 2"), "{reason}");
    }
}

#[test]
fn a_manifest_put_back_after_a_start_or_two_never_costs_a_decision() {
    for marked in [false, true] {
        for starts in 1..=2 {
            let (mut world, _) = in_use(3);
            if marked {
                world.mark(0);
            }
            let old = world.disk.bytes("manifest").unwrap().to_vec();
            for _ in 0..starts {
                world = world.restarted(Lost::Everything, 1, 1);
                world.assert_serving();
                assert_eq!(world.known(), [0, 1, 2]);
            }
            world.disk.tamper("manifest", |it| it.clone_from(&old));
            let world = world.restarted(Lost::Nothing, 1, 1);
            match &world.exit {
                Some((code, reason)) => assert_eq!(*code, 65, "{reason}"),
                None => assert_eq!(world.known(), [0, 1, 2], "{starts} {marked}"),
            }
        }
    }
}

#[test]
fn the_last_batch_that_a_start_moved_stays_where_it_was_in_every_further_start() {
    let (mut world, file) = in_use(3);
    let before = world.disk.bytes(&file).unwrap().to_vec();
    // Header and three batches of one block; the third one is what was moved.
    for _ in 0..3 {
        world = world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        assert_eq!(world.known(), [0, 1, 2]);
        let bytes = world.disk.bytes(&file).expect("it is not removed");
        assert!(
            bytes[..4 * 4096] == before[..4 * 4096],
            "a batch was cut off"
        );
    }
}
