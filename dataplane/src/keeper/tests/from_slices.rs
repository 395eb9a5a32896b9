//! A start from slices: what it reads of them, what it leaves to look-ups, and which of two decisions of an id answers. The
//! answers are those of the shards' own table and claims, with the blocks that they ask for.

use crate::dedup::claims::{
    BlockFault, ClaimRequest, Claimant, Effects, Owner, OwnerConfig, UnusableBlock,
};
use crate::dedup::key::KeyHash;
use crate::dedup::protocol::{Ticket, ToReceiver};
use crate::dedup::slice::{ENTRIES_PER_BLOCK, SliceMeta, SliceWriter};
use crate::dedup::{Decided, Key};
use crate::io::{Errno, FileId, ShardId};
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config, manifest};
use crate::mesh::keeper::ToKeeper;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::{MANIFEST, NumberedFile, SECRET};
use crate::wal::secret::Secret;
use flk_contract::hash::hex32;
use flk_contract::params::ParamsVersion;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const DAY_S: u32 = 86_400;

pub(super) fn compact(world: &mut World) {
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: "flk1 compact --older-than 1000000".to_string(),
    });
    let (_, answer) = world.replies.pop().expect("a reply");
    assert!(answer.starts_with("ok"), "{answer}");
}

fn key(world: &World, record: u32) -> Key {
    let secret = Secret::decode(world.disk.bytes(SECRET).expect("a secret"));
    let mut pcs_id = [0; 32];
    pcs_id[..4].copy_from_slice(&record.to_le_bytes());
    let pcs_id = hex32(&pcs_id);
    let pcs_id = std::str::from_utf8(&pcs_id).expect("hex");
    KeyHash::new(secret.expect("whole").key).key("default", pcs_id)
}

pub(super) fn clock_s(world: &World) -> u32 {
    world.shards[0].begin.clock.at(world.now.mono_us)
}

/// Lets time pass until the expiry clock shows this.
fn until(world: &mut World, clock: u32) {
    let left_s = clock - clock_s(world);
    world.pass_s(left_s.into());
    assert_eq!(clock_s(world), clock);
}

/// What the owner of a record answers a claim of it: the second in which the outcome was decided; nothing if it is new.
/// An error: it could not be looked up.
fn answer(world: &World, record: u32) -> Result<Option<u32>, ()> {
    answer_at(world, key(world, record), clock_s(world))
}

/// The same for any key, at any second of the expiry clock.
pub(super) fn answer_at(world: &World, key: Key, now_s: u32) -> Result<Option<u32>, ()> {
    let partition = key.partition();
    let at = world.shards[0].begin.owners[usize::from(partition)];
    let shard = &world.shards[usize::from(at.0)];
    let config = OwnerConfig {
        partitions: partition..partition + 1,
        table_bytes_max: 1 << 20,
        claims_max: 4,
        ttl_s: DAY_S,
    };
    let mut owner = Owner::new(config, shard.set.clone());
    let own = shard.loaded.iter().filter(|it| it.key == key);
    owner.load(&own.copied().collect::<Vec<Decided>>());
    let (slot, generation) = (0, 0);
    let by = Claimant {
        from: at,
        ticket: Ticket { slot, generation },
    };
    let candidate = &Decided {
        key,
        ..Decided::default()
    };
    let mut effects = Effects::default();
    owner.claim(ClaimRequest { by, candidate }, now_s, &mut effects);
    while let Some(read) = effects.reads.pop() {
        let file = world.disk.name_of(read.file);
        let bytes = world.disk.bytes(&file).expect("a slice in use is there");
        let block = &bytes[read.offset as usize..][..BLOCK_BYTES];
        owner.read_done(read.id, Ok(block), now_s, &mut effects);
    }
    match effects.answers[..] {
        [it] => match it.message {
            ToReceiver::Existing { outcome, .. } => Ok(Some(outcome.decided_at)),
            ToReceiver::Won { .. } => Ok(None),
            _ => Err(()),
        },
        _ => panic!("{effects:?}"),
    }
}

fn loaded(world: &World) -> Vec<u32> {
    let all = world.shards.iter().flat_map(|shard| &shard.loaded);
    let mut records: Vec<u32> = all.map(|decided| decided.numbers[3] as u32).collect();
    records.sort_unstable();
    records
}

fn two_outcomes(world: &World) -> Vec<(u32, u32)> {
    let both = |notice: &Notice| match *notice {
        Notice::TwoOutcomes {
            first_decided_at,
            second_decided_at,
            ..
        } => Some((first_decided_at, second_decided_at)),
        _ => None,
    };
    world.notices.iter().filter_map(both).collect()
}

#[test]
fn a_start_loads_what_no_slice_has_and_answers_all_of_it() {
    for shards in [1, 3] {
        let mut world = World::started(TestDisk::new(), config(1));
        for record in 0..40 {
            world.decide(0, record, 30 * DAY_S);
        }
        compact(&mut world);
        for record in 40..50 {
            world.decide(0, record, 30 * DAY_S);
        }
        let mut world = world.restarted(Lost::Everything, shards, 1);
        assert!(loaded(&world).into_iter().eq(40..50));
        let recovered = |notice: &Notice| match *notice {
            Notice::Recovered {
                decisions, sealed, ..
            } => Some((decisions, sealed)),
            _ => None,
        };
        let said: Vec<_> = world.notices.iter().filter_map(recovered).collect();
        assert_eq!(said, [(10, 40)]);
        for record in 0..50 {
            assert!(matches!(answer(&world, record), Ok(Some(_))), "{record}");
        }
        assert_eq!(answer(&world, 50), Ok(None));
        // What was loaded leaves the tables with the first seal.
        compact(&mut world);
        let world = world.restarted(Lost::Everything, 2, 1);
        assert!(loaded(&world).is_empty());
        assert!(world.known().into_iter().eq(0..50));
    }
}

#[test]
fn a_decision_that_is_in_a_slice_and_in_the_log_behind_it_is_one_decision() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 7, DAY_S);
    compact(&mut world);
    // In the same second: byte for byte the same decision.
    world.decide(0, 7, DAY_S);
    world.decide(0, 8, DAY_S);
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(two_outcomes(&world), []);
    assert_eq!(loaded(&world), [8]);
    assert_eq!(answer(&world, 7), Ok(Some(0)));
}

#[test]
fn of_two_outcomes_in_slice_and_log_the_first_stands_before_and_after_the_second_is_sealed() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 7, DAY_S);
    compact(&mut world);
    world.pass_s(100);
    world.decide(0, 7, DAY_S);
    let second = clock_s(&world);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(two_outcomes(&world), [(0, second)]);
    // The slice does not answer for as long as the second one would have.
    assert_eq!(loaded(&world), [7]);
    let answers_until_the_second_expires = |world: &World| {
        let at = |now_s| answer_at(world, key(world, 7), now_s);
        assert_eq!(at(second), Ok(Some(0)));
        assert_eq!(at(second + DAY_S - 1), Ok(Some(0)));
        assert_eq!(at(second + DAY_S), Ok(None));
    };
    answers_until_the_second_expires(&world);
    compact(&mut world);
    assert_eq!(manifest(&world).slices.len(), 2);
    answers_until_the_second_expires(&world);
    let world = world.restarted(Lost::Nothing, 2, 1);
    assert!(loaded(&world).is_empty(), "the slices answer");
    answers_until_the_second_expires(&world);
}

#[test]
fn of_two_outcomes_the_one_that_was_decided_first_stands_although_it_is_in_the_log() {
    let mut world = World::started(TestDisk::new(), config(2));
    // A log of which nothing could be sealed when the other one was.
    world.decide(0, 7, DAY_S);
    world.disk.fail_reads_of = Some(world.current_file(0));
    world.pass_s(100);
    world.decide(1, 7, DAY_S);
    let second = clock_s(&world);
    compact(&mut world);
    world.disk.fail_reads_of = None;
    assert_eq!(manifest(&world).slices[0].entries, 1);
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(two_outcomes(&world), [(0, second)]);
    assert_eq!(loaded(&world), [7]);
    assert_eq!(answer(&world, 7), Ok(Some(0)));
}

#[test]
fn a_decision_behind_an_expired_one_in_a_slice_counts_until_its_own_expiry() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 7, 100);
    world.decide(0, 8, 30 * DAY_S);
    compact(&mut world);
    world.pass_s(100);
    world.decide(0, 7, DAY_S);
    let again = clock_s(&world);
    assert!(again >= 100);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(two_outcomes(&world), []);
    assert_eq!(loaded(&world), [7]);
    for seals in 1..=2 {
        assert_eq!(answer(&world, 7), Ok(Some(again)));
        compact(&mut world);
        assert_eq!(manifest(&world).slices.len(), 2, "{seals}");
        world = world.restarted(Lost::Nothing, 2, 1);
        assert!(loaded(&world).is_empty(), "a slice answers");
    }
    until(&mut world, again + DAY_S - 1);
    assert_eq!(answer(&world, 7), Ok(Some(again)));
    world.pass_s(1);
    assert_eq!(answer(&world, 7), Ok(None));
}

#[test]
fn an_entry_of_a_slice_answers_until_the_second_of_its_expiry_after_a_start_too() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 7, 1_000);
    world.decide(0, 8, DAY_S);
    compact(&mut world);
    let mut world = world.restarted(Lost::Nothing, 1, 500);
    until(&mut world, 999);
    assert_eq!(answer(&world, 7), Ok(Some(0)));
    world.pass_s(1);
    assert_eq!(answer(&world, 7), Ok(None));
    assert_eq!(answer(&world, 8), Ok(Some(0)));
}

/// The next run on what a crash leaves, before its first step.
fn next_run(world: World, change: impl FnOnce(&mut TestDisk, &mut KeeperConfig)) -> World {
    let World {
        mut disk,
        now,
        mut config,
        ..
    } = world;
    disk.crash(Lost::Nothing);
    change(&mut disk, &mut config);
    let mut world = World::new(disk, config);
    world.now = now;
    world
}

/// Starts again; reads of entry blocks by the start, in blocks.
fn restarted(world: World, shards: u16) -> (World, u64) {
    let mut world = next_run(world, |_, config| config.shards = shards);
    let blocks = Rc::new(RefCell::new(0));
    let counted = blocks.clone();
    let slices = manifest(&world).slices;
    world.watch = Some(Box::new(move |disk, op| {
        let FileOp::Read {
            file,
            offset,
            bytes,
        } = *op
        else {
            return;
        };
        let name = disk.name_of(file);
        let is_it = |number| NumberedFile::Slice(number).to_string() == name;
        if let Some(slice) = slices.iter().find(|it| is_it(it.file)) {
            let entries = 1 + slice.entries.div_ceil(ENTRIES_PER_BLOCK as u64);
            let block = BLOCK_BYTES as u64;
            if (1..entries).contains(&(offset / block)) {
                *counted.borrow_mut() += u64::from(bytes) / block;
            }
        }
    }));
    world.run();
    world.watch = None;
    let blocks = *blocks.borrow();
    (world, blocks)
}

#[test]
fn a_start_reads_and_keeps_two_bytes_of_a_sealed_key_and_looks_into_blocks_where_it_must() {
    const SEALED: u32 = 6_000;
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..SEALED {
        world.decide_sized(0, record, 30 * DAY_S, 1);
    }
    compact(&mut world);
    let (mut world, blocks) = restarted(world, 2);
    world.assert_serving();
    assert_eq!(blocks, 0, "no decision is in the log alone");
    assert!(loaded(&world).is_empty());
    assert_eq!(world.known().len(), SEALED as usize);
    // Filters are whole lines for each partition, and slices have some kilobytes of their own.
    let bytes = world.config.stats.keeper.slice_memory_bytes.get();
    let views = world.shards.iter().flat_map(|shard| &shard.set.slices);
    let views: u64 = views.map(|view| view.memory_bytes()).sum();
    assert_eq!(bytes, views + 1024 * 32);
    let lines = 1024 * 64;
    assert!(
        views < 2 * u64::from(SEALED) + lines + 1024 * 16 + 1024,
        "{views}"
    );

    // Of fresh ids few pass a filter; of those that expired, each, and their blocks are read together.
    for record in SEALED..SEALED + 500 {
        world.decide_sized(0, record, 30 * DAY_S, 1);
    }
    let (mut world, blocks) = restarted(world, 1);
    assert_eq!(loaded(&world).len(), 500);
    assert!(blocks < 15, "{blocks}");
    world.pass_s(10);
    for record in (0..SEALED).step_by(3) {
        world.decide_sized(0, record, 30 * DAY_S, 1);
    }
    let (world, blocks) = restarted(world, 1);
    let all = u64::from(SEALED).div_ceil(ENTRIES_PER_BLOCK as u64);
    // A block that two partitions share is read for each.
    assert!(
        (all..all + 1024 + 15).contains(&blocks),
        "{blocks} of {all}"
    );
    assert_eq!(two_outcomes(&world).len(), SEALED as usize / 3);
    // What was decided again stands as it is in the slice, but for longer.
    assert_eq!(loaded(&world).len(), 500 + SEALED as usize / 3);
}

/// A gateway with some sealed decisions and, in the log, those of `again` once more; then all entry blocks are damaged.
fn damaged(again: &[u32]) -> World {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..5 {
        world.decide(0, record, 30 * DAY_S);
    }
    compact(&mut world);
    world.pass_s(10);
    for record in again {
        world.decide(0, *record, 30 * DAY_S);
    }
    let names = world.disk.names();
    let slice = names.into_iter().find(|it| it.starts_with("slice-"));
    world.disk.tamper(&slice.expect("a slice"), |bytes| {
        bytes[BLOCK_BYTES + 70] ^= 1;
    });
    world
}

#[test]
fn a_start_serves_over_a_damaged_entry_block_and_its_ids_are_neither_answered_nor_new() {
    let mut world = damaged(&[9]).restarted(Lost::Nothing, 2, 1);
    world.assert_serving();
    for record in 0..5 {
        assert_eq!(answer(&world, record), Err(()), "{record}");
    }
    assert_eq!(answer(&world, 9), Ok(Some(10)));
    // A shard says which block it was; one of a file that is used no more is of no interest.
    let file = world.shards[0].set.slices[0].file;
    for file in [file, FileId(file.0 + 1000)] {
        let (block, fault) = (1, BlockFault::Damaged);
        let damaged = UnusableBlock { file, block, fault };
        world.tell(ShardId(0), ToKeeper::SliceUnusable(damaged));
    }
    world.run();
    let said = world.notices.iter();
    let said = said.filter(
        |it| matches!(it, Notice::SliceDamaged { block: 1, file } if file.starts_with("slice-")),
    );
    assert_eq!(said.count(), 1, "{:?}", world.notices);
    // What is sealed later does not hide it.
    compact(&mut world);
    assert_eq!(answer(&world, 0), Err(()));
    assert_eq!(answer(&world, 9), Ok(Some(10)));
}

#[test]
fn a_start_that_must_look_into_a_damaged_block_is_refused_before_it_changes_anything() {
    let world = damaged(&[3]);
    let before = world.disk.bytes(MANIFEST).map(<[u8]>::to_vec);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = world.exit.expect("an end");
    assert_eq!(code, 65, "{reason}");
    assert!(
        reason.contains("slice-") && reason.contains("block 1"),
        "{reason}"
    );
    assert_eq!(world.disk.bytes(MANIFEST).map(<[u8]>::to_vec), before);
}

/// The file operations of a start up to its first read of an entry block, and that one; with this error at the last of them.
fn start_with_reused_id(error_at: Option<u64>) -> (World, Option<u64>) {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 3, 30 * DAY_S);
    compact(&mut world);
    world.pass_s(10);
    world.decide(0, 3, 30 * DAY_S);
    let mut world = next_run(world, |disk, _| {
        disk.fail_at = error_at.map(|nth| (nth, Errno::EIO));
    });
    let (ops, nth) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (seen, found) = (ops.clone(), nth.clone());
    world.watch = Some(Box::new(move |disk, op| {
        if let FileOp::Read { file, offset, .. } = *op
            && disk.name_of(file).starts_with("slice-")
            && offset == BLOCK_BYTES as u64
        {
            found.set(Some(seen.get()));
        }
        seen.set(seen.get() + 1);
    }));
    world.run();
    (world, nth.get())
}

#[test]
fn a_start_that_cannot_read_a_block_that_it_must_look_into_ends() {
    let (world, nth) = start_with_reused_id(None);
    world.assert_serving();
    assert!(nth.is_some());
    let (world, _) = start_with_reused_id(nth);
    let (code, reason) = world.exit.expect("an end");
    assert_eq!(code, 74, "{reason}");
    assert!(reason.contains("slice-"), "{reason}");
}

/// The index knows the upper halves of keys only: where several blocks begin with the same one, a look-up goes back.
#[test]
fn a_key_in_the_block_before_the_one_that_the_index_names_is_found() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 7, DAY_S);
    let found = key(&world, 7);
    let mut named = manifest(&world);
    let meta = SliceMeta {
        slice_id: 5,
        generation: named.generation,
        installation: named.installation,
        incarnation: named.incarnation,
        secret: named.secret,
    };
    let mut writer = SliceWriter::new(meta, &[ParamsVersion::ONE]);
    let file = named.next_file;
    // Its key, and more behind it with the same upper half than one block holds.
    for more in 0..=ENTRIES_PER_BLOCK as u64 {
        let entry = Decided {
            key: Key {
                high: found.high,
                low: found.low.saturating_add(more),
            },
            decided_at: 0,
            expiry: DAY_S,
            digest_tag: 1,
            regime: 1,
            encoding: 1,
            ..Decided::default()
        };
        writer.push(&entry).expect("keys ascend");
    }
    let sealed = writer.finish(&[]).expect("whole");
    named.slices.push(sealed.summary.entry(file, 5, Vec::new()));
    named.next_file += 1;
    world
        .disk
        .plant(&NumberedFile::Slice(file).to_string(), sealed.bytes);
    world.disk.tamper(MANIFEST, |bytes| *bytes = named.encode());
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(two_outcomes(&world), [(0, 0)]);
    assert!(loaded(&world).is_empty());
    assert_eq!(answer(&world, 7), Ok(Some(0)));
}
