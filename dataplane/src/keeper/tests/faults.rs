//! A disk that is full, read-only or slow, and a process out of descriptors, while seals and merges are under way: nothing that
//! was acknowledged is lost, nothing ends, no file stays behind, and all goes on by itself once the cause is gone.

use crate::dedup::claims::MemoryUse;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::tests::disk::{Cause, Lost, TestDisk};
use crate::keeper::tests::slices::{sealing, slices};
use crate::keeper::tests::world::{World, manifest};
use crate::mesh::keeper::{Shortage, ToKeeper};
use crate::wal::files::MANIFEST_NEW;

const DAY_S: u32 = 86_400;
const CAUSES: [Cause; 3] = [Cause::Full, Cause::ReadOnly, Cause::OutOfDescriptors];

/// Seals every twenty seconds, merges early, and deletes what is sealed.
fn busy() -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 20_000_000,
        body_age_max_s: 10,
        preallocated_count: 1,
        ..sealing(1)
    }
}

/// A gateway under load.
struct Trial {
    world: World,
    /// Records that were acknowledged: all up to this one.
    taken: u32,
    /// The cause stays for so long once it has come, in seconds.
    held_s: u64,
    gone_at_us: Option<u64>,
}

impl Trial {
    fn new(cause: Option<(u64, Cause)>, held_s: u64) -> Trial {
        let mut world = World::started(TestDisk::new(), busy());
        world.disk.cause = cause;
        Trial {
            world,
            taken: 0,
            held_s,
            gone_at_us: None,
        }
    }

    /// Offers records; those that are refused come again later.
    fn offer(&mut self, count: u32) {
        for _ in 0..count {
            let taken = self.world.offer(0, self.taken, 30 * DAY_S, 700);
            self.taken += u32::from(taken.is_ok());
            self.look();
        }
        // Reads all slices that shards look into.
        assert!(self.world.known().into_iter().all(|it| it < self.taken));
    }

    /// Lets time pass in small steps.
    fn pass_s(&mut self, seconds: u64) {
        for _ in 0..seconds / 5 {
            self.world.pass_s(5);
            self.look();
        }
    }

    /// What holds at any moment; and the cause goes when its time is over.
    fn look(&mut self) {
        let exit = &self.world.exit;
        assert_eq!(*exit, None, "{:?}", self.world.notices);
        if let Some((0, _)) = self.world.disk.cause {
            let now_us = self.world.now.mono_us;
            let gone_at_us = now_us + self.held_s * 1_000_000;
            if *self.gone_at_us.get_or_insert(gone_at_us) <= now_us {
                self.world.disk.cause = None;
            }
        }
    }

    /// Two seals and a merge, if nothing is in the way.
    fn seal_and_merge(&mut self) {
        for _ in 0..2 {
            self.offer(20);
            self.pass_s(25);
        }
    }

    /// All is as it is where nothing failed.
    fn has_recovered(mut self, open_count: usize, why: &str) {
        self.world.disk.cause = None;
        self.pass_s(5);
        let before = self.taken;
        self.seal_and_merge();
        assert_eq!(self.taken, before + 40, "{why}: it takes records again");
        assert_eq!(slices(&self.world), (1, 1), "{why}");
        let sealed: u64 = manifest(&self.world)
            .slices
            .iter()
            .map(|it| it.entries)
            .sum();
        assert_eq!(sealed, u64::from(self.taken), "{why}: all is sealed");
        let names = self.world.disk.names();
        let segments = names.iter().filter(|it| it.starts_with("segment-"));
        let named = manifest(&self.world).segments_count() + 1;
        assert!(segments.count() <= named, "{why}: {names:?}");
        assert!(!names.iter().any(|it| it == MANIFEST_NEW), "{why}");
        let open = self.world.disk.open_count();
        assert_eq!(open, open_count, "{why}: files that are open");
        let taken = self.taken;
        let world = self.world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        assert!(world.known().into_iter().eq(0..taken), "{why}");
    }
}

/// File operations and open files of a run in which nothing fails.
fn undisturbed() -> (u64, usize) {
    let mut trial = Trial::new(None, 0);
    let begun = trial.world.disk.ops;
    trial.seal_and_merge();
    assert_eq!(slices(&trial.world), (1, 1), "two were sealed and merged");
    (trial.world.disk.ops - begun, trial.world.disk.open_count())
}

#[test]
fn whichever_operation_a_cause_comes_at_all_goes_on_once_it_is_gone() {
    let (ops, open_count) = undisturbed();
    assert!(ops > 100, "{ops}");
    for cause in CAUSES {
        for op in 0..ops {
            // Gone before the next attempt, or after some.
            let held_s = [5, 25][(op % 2) as usize];
            let mut trial = Trial::new(Some((op, cause)), held_s);
            trial.seal_and_merge();
            trial.has_recovered(open_count, &format!("{cause:?} {held_s} {op}"));
        }
    }
}

#[test]
fn a_seal_and_a_merge_that_failed_are_repeated_soon_and_not_at_the_next_hour() {
    for cause in CAUSES {
        for rounds in [1, 2] {
            let mut world = World::started(TestDisk::new(), sealing(1));
            for round in 0..rounds {
                for record in 0..5 {
                    world.decide(0, 5 * round + record, 30 * DAY_S);
                }
                if round + 1 < rounds {
                    world.pass_s(3_700);
                }
            }
            world.disk.cause = Some((0, cause));
            world.pass_s(3_700);
            assert_eq!(slices(&world).1, rounds as usize - 1, "{cause:?}");
            world.disk.cause = None;
            world.pass_s(12);
            assert_eq!(manifest(&world).slices.len(), 1, "{cause:?} {rounds}");
            let sealed = manifest(&world).slices[0].entries;
            assert_eq!(sealed, u64::from(5 * rounds), "{cause:?}");
        }
    }
}

#[test]
fn a_merge_that_fails_again_and_again_is_tried_once_a_minute() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..2 {
        world.decide(0, record, 30 * DAY_S);
        if record == 0 {
            world.pass_s(3_700);
        }
    }
    assert_eq!(manifest(&world).slices.len(), 1);
    world.slow_to_switch = true; // no merge yet
    world.pass_s(3_700);
    assert_eq!(manifest(&world).slices.len(), 2);
    world.disk.cause = Some((0, Cause::Full));
    world.slow_to_switch = false;
    let version = world.shards[0].set.version;
    world.tell(ShardId(0), ToKeeper::Switched { version });
    world.pass_s(1_200);
    let failed = |it: &&Notice| matches!(it, Notice::FileTrouble { doing, .. } if *doing == "writing a slice to");
    let failed = world.notices.iter().filter(failed).count();
    assert!((18..=25).contains(&failed), "{failed} attempts in 1200 s");
    world.disk.cause = None;
    world.pass_s(61);
    assert_eq!(manifest(&world).slices.len(), 1);
}

#[test]
fn a_table_that_fills_up_is_sealed_soon_after_the_cause_is_gone() {
    for cause in CAUSES {
        let mut world = World::started(TestDisk::new(), sealing(1));
        for record in 0..40 {
            world.decide(0, record, 30 * DAY_S);
        }
        world.disk.cause = Some((0, cause));
        world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Filling));
        world.pass_s(1_200);
        let segments = manifest(&world).segments_count();
        assert!(segments < 10, "{cause:?}: {segments} segments were closed");
        world.disk.cause = None;
        world.pass_s(12);
        let sealed: u64 = manifest(&world).slices.iter().map(|it| it.entries).sum();
        assert_eq!(sealed, 40, "{cause:?}");
    }
}

#[test]
fn want_of_descriptors_is_not_called_want_of_room() {
    let mut trial = Trial::new(Some((0, Cause::OutOfDescriptors)), 600);
    trial.offer(100);
    assert!(trial.taken < 100, "no further segment, and all was taken");
    let told = trial.world.shards[0].space_low;
    assert_eq!(told, Some(Shortage::Descriptors));
    let said: Vec<String> = trial
        .world
        .notices
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(said.iter().any(|it| it.contains("LimitNOFILE")), "{said:?}");
    assert!(
        !said.iter().any(|it| it.contains("nearly full")),
        "{said:?}"
    );
    // Ten attempts a second, and each kind of trouble is told once.
    assert!(said.len() < 20, "{said:?}");
    trial.world.disk.cause = None;
    trial.pass_s(5);
    assert_eq!(trial.world.shards[0].space_low, None);
}

#[test]
fn a_disk_that_takes_200_ms_for_each_flush_costs_time_and_no_record() {
    let (_, open_count) = undisturbed();
    let mut trial = Trial::new(None, 0);
    trial.world.sync_us = 200_000;
    for _ in 0..3 {
        let before = trial.taken;
        trial.seal_and_merge();
        assert_eq!(trial.taken, before + 40, "{:?}", trial.world.notices);
    }
    assert_eq!(slices(&trial.world), (1, 1));
    let trouble = |it: &Notice| matches!(it, Notice::FileTrouble { .. });
    assert!(!trial.world.notices.iter().any(trouble));
    trial.has_recovered(open_count, "200 ms");
}
