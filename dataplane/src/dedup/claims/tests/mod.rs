//! The owner's rules as cases, on slices made in memory. What any interleaving may bring is compared with an obvious
//! twin in [`twin`].

mod several;
mod twin;

use super::*;
use crate::dedup::key::KeyHash;
use crate::dedup::protocol::{LookTicket, Looked};
use crate::dedup::slice::reader::view_whole;
use crate::dedup::slice::{SliceMeta, SliceView, SliceWriter, verify_whole};
use crate::io::FileId;
use crate::wal::buffer::BLOCK_BYTES;
use flk_contract::params::ParamsVersion;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

const TTL_S: u32 = 40;
const SHARDS: u16 = 3;

fn config() -> OwnerConfig {
    OwnerConfig {
        partitions: 0..512,
        table_bytes_max: 1 << 24,
        claims_max: 64,
        ttl_s: TTL_S,
    }
}

/// Keys of partitions that the owner owns.
fn key(number: u32) -> Key {
    let mut key = KeyHash::new([1; 16]).key("default", &number.to_string());
    key.high &= u64::MAX >> 1;
    key
}

fn candidate(number: u32, digest_tag: u64) -> Decided {
    Decided {
        key: key(number),
        digest_tag,
        numbers: [1.0, 2.0, 3.0, digest_tag as f64],
        regime: 1,
        encoding: 1,
        ..Decided::default()
    }
}

fn ticket(slot: u32) -> Ticket {
    Ticket {
        slot,
        generation: 7,
    }
}

/// Slice files in memory, and the owner's disk.
#[derive(Default)]
struct Disk {
    files: HashMap<FileId, Vec<u8>>,
    next_file: i32,
}

impl Disk {
    fn make(&mut self, mut entries: Vec<Decided>) -> SliceView {
        entries.sort_by_key(|entry| entry.key);
        self.next_file += 1;
        let slice_id = self.next_file as u64;
        let meta = SliceMeta {
            slice_id,
            ..SliceMeta::default()
        };
        let mut writer = SliceWriter::new(meta, &[ParamsVersion::ONE]);
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        let bytes = writer.finish(&[]).unwrap().bytes;
        let file = FileId(self.next_file);
        let (reader, directory) = verify_whole(&bytes, |_| {}).unwrap();
        let view = view_whole(&reader, &directory, file, 0..512, &bytes, 1).unwrap();
        self.files.insert(file, bytes);
        view
    }

    fn read(&self, read: &ReadWanted) -> &[u8] {
        let bytes = self.files.get(&read.file).expect("the file is still there");
        &bytes[read.offset as usize..][..BLOCK_BYTES]
    }
}

fn set(version: u64, sealed_epoch: Epoch, slices: Vec<SliceView>) -> Arc<SliceSet> {
    Arc::new(SliceSet {
        version,
        sealed_epoch,
        slices,
    })
}

/// An owner with what it says.
struct Bench {
    owner: Owner,
    disk: Disk,
    effects: Effects,
}

impl Bench {
    fn new(config: OwnerConfig) -> Bench {
        Bench {
            owner: Owner::new(config, Arc::default()),
            disk: Disk::default(),
            effects: Effects::default(),
        }
    }

    /// With slices of such entries (number, decided-at, expiry), oldest first.
    fn with_slices(slices: &[&[(u32, u32, u32)]]) -> Bench {
        let mut bench = Bench::new(config());
        let views = slices.iter().map(|entries| {
            let entry = |&(number, decided_at, expiry): &(u32, u32, u32)| Decided {
                decided_at,
                expiry,
                ..candidate(number, 1)
            };
            bench.disk.make(entries.iter().map(entry).collect())
        });
        let views = views.collect();
        bench
            .owner
            .switch_slices(set(1, Epoch::earlier_runs(), views));
        assert_eq!(bench.owner.take_switched(), Some(1));
        bench
    }

    fn claim(&mut self, slot: u32, candidate: &Decided, now_s: u32) -> Vec<ToReceiver> {
        let by = Claimant {
            from: ShardId(0),
            ticket: ticket(slot),
        };
        let claim = ClaimRequest { by, candidate };
        self.owner.claim(claim, now_s, &mut self.effects);
        self.said()
    }

    fn read(&mut self, now_s: u32) -> Vec<ToReceiver> {
        let read = self.effects.reads.remove(0);
        let bytes = Ok(self.disk.read(&read));
        self.owner
            .read_done(read.id, bytes, now_s, &mut self.effects);
        self.said()
    }

    fn read_fails(&mut self, now_s: u32) -> Vec<ToReceiver> {
        let read = self.effects.reads.remove(0);
        self.owner
            .read_done(read.id, Err(Errno::EIO), now_s, &mut self.effects);
        self.said()
    }

    fn durable(&mut self, slot: u32, number: u32) -> Vec<ToReceiver> {
        self.owner.durable(
            ShardId(0),
            ticket(slot),
            key(number),
            Epoch::of(3),
            &mut self.effects,
        );
        self.said()
    }

    fn withdraw(&mut self, slot: u32, number: u32) -> Vec<ToReceiver> {
        self.owner
            .withdraw(ShardId(0), ticket(slot), key(number), &mut self.effects);
        self.said()
    }

    fn said(&mut self) -> Vec<ToReceiver> {
        self.effects
            .answers
            .drain(..)
            .map(|answer| answer.message)
            .collect()
    }
}

fn won(slot: u32, decided_at: u32) -> ToReceiver {
    ToReceiver::Won {
        ticket: ticket(slot),
        decided_at,
        expiry: decided_at + TTL_S,
    }
}

fn unavailable(slot: u32) -> ToReceiver {
    ToReceiver::Unavailable {
        ticket: ticket(slot),
    }
}

#[test]
fn any_bit_of_the_digest_tag_makes_a_conflict() {
    let tag = 0x0123_4567_89ab_cdef;
    let mut bench = Bench::new(config());
    assert_eq!(bench.claim(0, &candidate(5, tag), 100), [won(0, 100)]);
    assert_eq!(bench.durable(0, 5), []);
    let mut conflicts = |told: u64| match bench.claim(1, &candidate(5, told), 101)[..] {
        [ToReceiver::Existing { conflict, .. }] => conflict,
        ref other => panic!("{other:?}"),
    };
    assert!(!conflicts(tag));
    for bit in 0..64 {
        assert!(conflicts(tag ^ (1 << bit)), "bit {bit}");
    }
}

#[test]
fn duplicates_hear_nothing_before_the_first_is_durable_and_then_in_order() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.claim(0, &candidate(5, 10), 100), [won(0, 100)]);
    assert_eq!(bench.claim(1, &candidate(5, 10), 101), []);
    assert_eq!(bench.claim(2, &candidate(5, 11), 102), []);
    let outcome = Decided {
        decided_at: 100,
        expiry: 140,
        epoch: Epoch::of(3),
        ..candidate(5, 10)
    };
    let existing = |slot, conflict| ToReceiver::Existing {
        ticket: ticket(slot),
        outcome,
        conflict,
    };
    assert_eq!(bench.durable(0, 5), [existing(1, false), existing(2, true)]);
    assert_eq!(bench.claim(3, &candidate(5, 10), 139), [existing(3, false)]);
    assert_eq!(bench.claim(4, &candidate(5, 10), 140), [won(4, 140)]);
    assert_eq!(bench.owner.counters().conflicts, 1);
}

#[test]
fn a_granted_claim_stays_whatever_happens_until_it_is_durable() {
    let mut bench = Bench::new(config());
    bench.claim(0, &candidate(5, 10), 100);
    bench.claim(1, &candidate(5, 10), 100);
    assert_eq!(bench.withdraw(0, 5), [], "its answer is on the way");
    // Long after its expiry and much work later it still holds the key.
    for _ in 0..50 {
        bench.owner.step(1_000_000);
    }
    assert_eq!(bench.claim(2, &candidate(5, 10), 1_000_000), []);
    // Nobody but the winner can say that it is durable.
    assert_eq!(bench.durable(1, 5), []);
    assert_eq!(bench.owner.pending_count(), 1);
    assert_eq!(bench.durable(0, 5).len(), 2);
    assert_eq!(bench.owner.pending_count(), 0);
}

#[test]
fn a_withdrawn_duplicate_is_told_so_and_nothing_more() {
    let mut bench = Bench::new(config());
    for slot in 0..4 {
        bench.claim(slot, &candidate(5, 10), 100);
    }
    for slot in [2, 3, 1] {
        let ticket = ticket(slot);
        assert_eq!(bench.withdraw(slot, 5), [ToReceiver::Withdrawn { ticket }]);
        assert_eq!(bench.withdraw(slot, 5), []);
    }
    bench.claim(4, &candidate(5, 10), 101);
    assert_eq!(bench.durable(0, 5).len(), 1);
}

#[test]
fn two_claims_of_a_key_cause_one_read_and_the_first_wins() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 20)]]);
    assert_eq!(bench.claim(0, &candidate(5, 10), 100), []);
    assert_eq!(bench.claim(1, &candidate(5, 10), 100), []);
    assert_eq!(bench.effects.reads.len(), 1);
    assert_eq!(bench.read(101), [won(0, 101)], "the entry had expired");
    assert_eq!(bench.durable(0, 5).len(), 1);
    assert!(bench.effects.reads.is_empty());
}

#[test]
fn an_entry_of_a_newer_flk_is_unavailable_and_not_called_damaged() {
    let mut bench = Bench::new(config());
    let newer = Decided {
        decided_at: 10,
        expiry: 900,
        reason: 200,
        ..candidate(5, 1)
    };
    let view = bench.disk.make(vec![newer]);
    let file = view.file;
    bench
        .owner
        .switch_slices(set(1, Epoch::earlier_runs(), vec![view]));
    bench.claim(0, &candidate(5, 1), 100);
    assert_eq!(bench.read(100), [unavailable(0)]);
    let fault = BlockFault::Newer {
        part: "reason",
        number: 200,
    };
    let unusable = UnusableBlock {
        file,
        block: 1,
        fault,
    };
    assert_eq!(bench.effects.unusable, Some(unusable));
    assert_eq!(bench.owner.counters().blocks_damaged, 0);
}

#[test]
fn a_read_error_is_told_to_all_and_never_taken_for_a_miss() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 900)]]);
    bench.claim(0, &candidate(5, 1), 100);
    bench.claim(1, &candidate(5, 1), 100);
    assert_eq!(bench.read_fails(100), [unavailable(0), unavailable(1)]);
    bench.claim(2, &candidate(5, 1), 100);
    assert!(matches!(bench.read(100)[..], [ToReceiver::Existing { .. }]));
    assert_eq!(bench.owner.counters().read_errors, 1);
}

#[test]
fn damage_is_told_to_all_and_never_taken_for_a_miss() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 900)]]);
    for bytes in bench.disk.files.values_mut() {
        bytes[BLOCK_BYTES + 100] ^= 1;
    }
    bench.claim(0, &candidate(5, 1), 100);
    assert_eq!(bench.read(100), [unavailable(0)]);
    assert_eq!(bench.owner.counters().blocks_damaged, 1);
}

#[test]
fn a_look_up_that_everybody_left_still_ends_and_the_next_claim_joins_it() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 20)]]);
    bench.claim(0, &candidate(5, 1), 100);
    assert_eq!(bench.withdraw(0, 5).len(), 1);
    bench.claim(1, &candidate(5, 1), 100);
    assert_eq!(bench.effects.reads.len(), 1);
    assert_eq!(bench.withdraw(1, 5).len(), 1);
    assert_eq!(bench.read(100), []);
    assert_eq!(bench.owner.pending_count(), 0);
}

#[test]
fn a_switch_is_acknowledged_when_no_read_of_an_older_set_is_outstanding() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 20)]]);
    bench.claim(0, &candidate(5, 1), 100);
    bench
        .owner
        .switch_slices(set(2, Epoch::earlier_runs(), Vec::new()));
    assert_eq!(bench.owner.take_switched(), None);
    bench.read(100);
    assert_eq!(bench.owner.take_switched(), Some(2));
    assert_eq!(bench.owner.take_switched(), None);
}

#[test]
fn a_clock_at_its_end_grants_nothing() {
    let mut bench = Bench::new(config());
    assert_eq!(
        bench.claim(0, &candidate(5, 1), u32::MAX - TTL_S + 1),
        [unavailable(0)]
    );
    assert_eq!(bench.claim(1, &candidate(5, 1), u32::MAX - TTL_S).len(), 1);
}

#[test]
fn keys_of_others_and_claims_beyond_the_room_are_refused_and_counted() {
    let mut bench = Bench::new(OwnerConfig {
        claims_max: 2,
        ..config()
    });
    let mut foreign = candidate(1, 1);
    foreign.key.high |= 1 << 63;
    assert_eq!(bench.claim(9, &foreign, 1), [unavailable(9)]);
    bench.owner.load(&[foreign]);
    bench.claim(0, &candidate(0, 1), 1);
    bench.claim(1, &candidate(0, 1), 1);
    assert_eq!(bench.claim(2, &candidate(0, 1), 1), [unavailable(2)]);
    assert_eq!(bench.claim(3, &candidate(3, 1), 1), [unavailable(3)]);
    let counters = bench.owner.counters();
    assert_eq!((counters.misrouted, counters.overflows), (2, 2));
}

#[test]
fn memory_fills_from_a_quarter_on_and_admission_stops_at_98_percent_until_below_97() {
    let mut bench = Bench::new(OwnerConfig {
        table_bytes_max: 200_000 * 96,
        ..config()
    });
    let mut loaded = 0;
    let mut load = |owner: &mut Owner, upto: u32| {
        for number in loaded..upto {
            let lives_s = if number < 4_000 { 10 } else { 1_000 };
            owner.load(&[Decided {
                decided_at: 1,
                expiry: lives_s,
                ..candidate(number, 1)
            }]);
            owner.step(1);
        }
        loaded = upto;
    };
    load(&mut bench.owner, 49_999);
    assert_eq!(bench.owner.memory_use(), MemoryUse::Plenty);
    load(&mut bench.owner, 50_000);
    assert_eq!(bench.owner.memory_use(), MemoryUse::Filling);
    load(&mut bench.owner, 195_999);
    assert!(bench.owner.admit());
    assert_eq!(bench.owner.memory_use(), MemoryUse::Filling);
    load(&mut bench.owner, 196_000);
    assert!(!bench.owner.admit());
    assert_eq!(bench.owner.memory_use(), MemoryUse::Full);
    while bench.owner.pressure() >= 0.97 {
        assert!(!bench.owner.admit());
        bench.owner.step(80); // 4,000 entries have expired
    }
    assert!(bench.owner.admit());
}

/// One claim of the twin's queues.
type Waiting = (ShardId, Ticket, Decided);

/// What the twin's queues hold.
#[derive(Clone, Copy, Debug)]
enum Queued {
    Claim(Waiting),
    Look(Looker),
}

/// What an owner answers, in order: to claims, and to look-ups.
type Said = (Vec<ClaimAnswer>, Vec<LookAnswer>);
