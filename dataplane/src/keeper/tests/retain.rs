//! Which segments go: none too early, and all that may.

use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::port::FileOp;
use crate::keeper::tests::disk::TestDisk;
use crate::keeper::tests::world::{World, config};
use crate::mesh::keeper::ToKeeper;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry};
use crate::wal::name::Sequence;
use std::cell::RefCell;
use std::rc::Rc;

const DAY_S: u32 = 86_400;

fn read(disk: &TestDisk, name: &str) -> Manifest {
    Manifest::decode(disk.bytes(name).expect("a manifest")).expect("a whole manifest")
}

/// Whether all of a segment is in slices and every body in it has its disposition.
fn may_go(manifest: &Manifest, log: &LogEntry, entry: &SegmentEntry, resolved: Sequence) -> bool {
    let covers = manifest.slices.iter().flat_map(|slice| &slice.covers);
    let covered = covers
        .filter(|cover| cover.log == log.id)
        .map(|cover| cover.upto)
        .max();
    let resolved = log.ended_at.map_or(resolved, |end| end.sequence);
    let last = entry.state.extent().map(|extent| extent.last);
    last.is_some_and(|last| covered.is_some_and(|covered| last <= covered) && last <= resolved)
}

#[test]
fn a_segment_goes_when_all_of_it_is_sealed_and_resolved_and_not_one_too_early() {
    let settings = KeeperConfig {
        seal_every_us: 600_000_000,
        body_age_max_s: 60,
        ..config(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.unresolved = true;
    let resolved = Rc::new(RefCell::new(Sequence::default()));
    let told = resolved.clone();
    let gone = Rc::new(RefCell::new(0));
    let seen = gone.clone();
    world.watch = Some(Box::new(move |disk, op| {
        let FileOp::Rename { from, .. } = op else {
            return;
        };
        let (old, new) = (read(disk, "manifest"), read(disk, from));
        for log in &old.logs {
            let after = new.logs.iter().find(|it| it.id == log.id);
            for entry in &log.segments {
                let stays = after
                    .is_some_and(|log| log.segments.iter().any(|it| it.ordinal == entry.ordinal));
                if !stays {
                    let early = !may_go(&old, log, entry, *told.borrow());
                    assert!(!early, "segment {} of log {} goes", entry.ordinal, log.id);
                    *seen.borrow_mut() += 1;
                }
            }
        }
    }));
    for round in 0..6 {
        for record in 0..150 {
            world.decide(0, round * 150 + record, 30 * DAY_S);
        }
        // Some bodies at the end have no disposition yet: more than a segment of them.
        let upto = Sequence(world.shards[0].last().0 - 80);
        *resolved.borrow_mut() = upto;
        let log = world.shards[0].begin.log;
        world.tell(ShardId(0), ToKeeper::Resolved { log, upto });
        // Not yet sealed: age alone lets nothing go.
        world.pass_s(120);
        world.pass_s(700);
        world.pass_s(120);
        let manifest = read(&world.disk, "manifest");
        let log = &manifest.logs[0];
        let first = &log.segments[0];
        assert!(
            !may_go(&manifest, log, first, upto),
            "round {round}: one stays that may go"
        );
    }
    assert!(*gone.borrow() > 5, "{} segments went", gone.borrow());
    assert_eq!(world.exit, None);
}
