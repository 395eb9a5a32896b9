use super::*;
use crate::dedup::key::KeyHash;
use crate::dedup::slice::reader::view_whole;
use crate::dedup::slice::{SliceMeta, SliceView, SliceWriter, verify_whole};
use flk_contract::verify::ParamsVersion;
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
        let mut writer = SliceWriter::new(SliceMeta {
            slice_id,
            ..SliceMeta::default()
        });
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        let params = [ParamsVersion::new("1").unwrap()];
        let bytes = writer.finish(&params, &[]).unwrap().bytes;
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

fn set(version: u64, sealed_epoch: u16, slices: Vec<SliceView>) -> Arc<SliceSet> {
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
    out: Vec<Answer>,
    reads: Vec<ReadWanted>,
}

impl Bench {
    fn new(config: OwnerConfig) -> Bench {
        Bench {
            owner: Owner::new(config),
            disk: Disk::default(),
            out: Vec::new(),
            reads: Vec::new(),
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
        bench.owner.switch_slices(set(1, 0, views));
        assert_eq!(bench.owner.take_switched(), Some(1));
        bench
    }

    fn claim(&mut self, slot: u32, candidate: &Decided, now_s: u32) -> Vec<Message> {
        self.owner.claim(
            ShardId(0),
            ticket(slot),
            candidate,
            now_s,
            &mut self.out,
            &mut self.reads,
        );
        self.said()
    }

    fn read(&mut self, now_s: u32) -> Vec<Message> {
        let read = self.reads.remove(0);
        let bytes = Ok(self.disk.read(&read));
        self.owner
            .read_done(read.id, bytes, now_s, &mut self.out, &mut self.reads);
        self.said()
    }

    fn read_fails(&mut self, now_s: u32) -> Vec<Message> {
        let read = self.reads.remove(0);
        self.owner.read_done(
            read.id,
            Err(Errno::EIO),
            now_s,
            &mut self.out,
            &mut self.reads,
        );
        self.said()
    }

    fn durable(&mut self, slot: u32, number: u32) -> Vec<Message> {
        self.owner
            .durable(ShardId(0), ticket(slot), key(number), 3, &mut self.out);
        self.said()
    }

    fn withdraw(&mut self, slot: u32, number: u32) -> Vec<Message> {
        self.owner
            .withdraw(ShardId(0), ticket(slot), key(number), &mut self.out);
        self.said()
    }

    fn said(&mut self) -> Vec<Message> {
        self.out.drain(..).map(|answer| answer.message).collect()
    }
}

fn won(slot: u32, decided_at: u32) -> Message {
    Message::Won {
        ticket: ticket(slot),
        decided_at,
        expiry: decided_at + TTL_S,
    }
}

fn unavailable(slot: u32) -> Message {
    Message::Unavailable {
        ticket: ticket(slot),
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
        epoch: 3,
        ..candidate(5, 10)
    };
    let existing = |slot, conflict| Message::Existing {
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
        assert_eq!(bench.withdraw(slot, 5), [Message::Withdrawn { ticket }]);
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
    assert_eq!(bench.reads.len(), 1);
    assert_eq!(bench.read(101), [won(0, 101)], "the entry had expired");
    assert_eq!(bench.durable(0, 5).len(), 1);
    assert!(bench.reads.is_empty());
}

#[test]
fn the_first_live_entry_from_the_newest_slice_on_answers() {
    let mut bench = Bench::with_slices(&[&[(5, 1, 900)], &[(5, 2, 800)], &[(5, 3, 50)]]);
    assert_eq!(bench.claim(0, &candidate(5, 1), 100), []);
    assert_eq!(bench.read(100), [], "expired in the newest: goes on");
    let said = bench.read(100);
    let [Message::Existing { outcome, .. }] = said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(outcome.decided_at, 2);
    assert_eq!(bench.owner.pending_count(), 0);
}

#[test]
fn a_read_error_is_told_to_all_and_never_taken_for_a_miss() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 900)]]);
    bench.claim(0, &candidate(5, 1), 100);
    bench.claim(1, &candidate(5, 1), 100);
    assert_eq!(bench.read_fails(100), [unavailable(0), unavailable(1)]);
    bench.claim(2, &candidate(5, 1), 100);
    assert!(matches!(bench.read(100)[..], [Message::Existing { .. }]));
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
    assert_eq!(bench.reads.len(), 1);
    assert_eq!(bench.withdraw(1, 5).len(), 1);
    assert_eq!(bench.read(100), []);
    assert_eq!(bench.owner.pending_count(), 0);
}

#[test]
fn a_switch_is_acknowledged_when_no_read_of_an_older_set_is_outstanding() {
    let mut bench = Bench::with_slices(&[&[(5, 10, 20)]]);
    bench.claim(0, &candidate(5, 1), 100);
    bench.owner.switch_slices(set(2, 0, Vec::new()));
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
fn admission_stops_at_98_percent_and_begins_again_below_97() {
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
    load(&mut bench.owner, 195_999);
    assert!(bench.owner.admit());
    load(&mut bench.owner, 196_000);
    assert!(!bench.owner.admit());
    while bench.owner.pressure() >= 0.97 {
        assert!(!bench.owner.admit());
        bench.owner.step(80); // 4,000 entries have expired
    }
    assert!(bench.owner.admit());
}

/// One claim of the twin's queues.
type Waiting = (ShardId, Ticket, Decided);

/// The obvious owner: all decisions ever made durable, and who waits for which key.
#[derive(Default)]
struct Twin {
    decisions: BTreeMap<Key, Vec<Decided>>,
    reading: HashMap<Key, VecDeque<Waiting>>,
    granted: HashMap<Key, VecDeque<Waiting>>,
}

impl Twin {
    fn live(&self, key: Key, now_s: u32) -> Option<Decided> {
        let all = self.decisions.get(&key)?;
        let mut live = all.iter().filter(|entry| entry.live_at(now_s));
        let first = live.next().copied();
        assert!(
            live.next().is_none(),
            "two decisions of a key alive at once"
        );
        first
    }

    fn existing((to, ticket, candidate): Waiting, outcome: Decided) -> Answer {
        let conflict = candidate.digest_tag != outcome.digest_tag;
        let message = Message::Existing {
            ticket,
            outcome,
            conflict,
        };
        Answer { to, message }
    }

    /// All look-ups of the key ended: `queue` is answered.
    fn resolve(&mut self, key: Key, mut queue: VecDeque<Waiting>, now_s: u32) -> Vec<Answer> {
        if let Some(outcome) = self.live(key, now_s) {
            return queue
                .into_iter()
                .map(|waiting| Twin::existing(waiting, outcome))
                .collect();
        }
        let Some(first) = queue.front_mut() else {
            return Vec::new();
        };
        first.2.decided_at = now_s;
        first.2.expiry = now_s + TTL_S;
        let (to, ticket, decided) = *first;
        self.granted.insert(key, queue);
        let message = Message::Won {
            ticket,
            decided_at: decided.decided_at,
            expiry: decided.expiry,
        };
        vec![Answer { to, message }]
    }

    /// `asked`: the owner asked for a read.
    fn claim(&mut self, waiting: Waiting, now_s: u32, asked: bool) -> Vec<Answer> {
        let key = waiting.2.key;
        let queued = self.granted.get_mut(&key).or(self.reading.get_mut(&key));
        if let Some(queue) = queued {
            queue.push_back(waiting);
            assert!(!asked, "a second look-up of a key");
            return Vec::new();
        }
        let queue = VecDeque::from([waiting]);
        if asked {
            self.reading.insert(key, queue);
            return Vec::new();
        }
        self.resolve(key, queue, now_s)
    }

    fn read_done(&mut self, key: Key, ok: bool, asked: bool, now_s: u32) -> Vec<Answer> {
        if asked {
            return Vec::new();
        }
        let queue = self.reading.remove(&key).expect("somebody read");
        if ok {
            return self.resolve(key, queue, now_s);
        }
        let unavailable = |(to, ticket, _): Waiting| Answer {
            to,
            message: Message::Unavailable { ticket },
        };
        queue.into_iter().map(unavailable).collect()
    }

    fn withdraw(&mut self, from: ShardId, ticket: Ticket, key: Key) -> Vec<Answer> {
        let (queue, first) = match (self.granted.get_mut(&key), self.reading.get_mut(&key)) {
            (Some(queue), _) => (queue, 1),
            (_, Some(queue)) => (queue, 0),
            _ => return Vec::new(),
        };
        let at = queue
            .iter()
            .skip(first)
            .position(|waiting| (waiting.0, waiting.1) == (from, ticket));
        let Some(at) = at else {
            return Vec::new();
        };
        queue.remove(first + at);
        let message = Message::Withdrawn { ticket };
        vec![Answer { to: from, message }]
    }

    fn durable(&mut self, key: Key, epoch: u16) -> Vec<Answer> {
        let mut queue = self.granted.remove(&key).expect("granted");
        let (_, _, mut outcome) = queue.pop_front().expect("a winner");
        outcome.epoch = epoch;
        self.decisions.entry(key).or_default().push(outcome);
        queue
            .into_iter()
            .map(|waiting| Twin::existing(waiting, outcome))
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Claim {
        number: u32,
        from: u16,
        digest_tag: u64,
    },
    Withdraw {
        which: prop::sample::Index,
    },
    Durable {
        which: prop::sample::Index,
    },
    Read {
        which: prop::sample::Index,
        fault: u8,
    },
    Time {
        seconds: u32,
    },
    Work,
    Seal {
        merge: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    use prop::sample::Index;
    prop_oneof![
        12 => (0..9u32, 0..SHARDS, 0..2u64)
            .prop_map(|(number, from, digest_tag)| Step::Claim { number, from, digest_tag }),
        2 => any::<Index>().prop_map(|which| Step::Withdraw { which }),
        5 => any::<Index>().prop_map(|which| Step::Durable { which }),
        5 => (any::<Index>(), 0..12u8).prop_map(|(which, fault)| Step::Read { which, fault }),
        3 => (0..30u32).prop_map(|seconds| Step::Time { seconds }),
        2 => Just(Step::Work),
        2 => any::<bool>().prop_map(|merge| Step::Seal { merge }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_obvious_owner_does_under_any_interleaving(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut bench = Bench::new(OwnerConfig { claims_max: 300, ..config() });
        let mut twin = Twin::default();
        let (mut now_s, mut epoch, mut version, mut slot) = (1_000, 1u16, 0, 0);
        let mut slices: Vec<(Vec<Decided>, SliceView)> = Vec::new();
        let mut claimed: Vec<(ShardId, Ticket, Key)> = Vec::new();
        let mut read_for: HashMap<ReadId, Key> = HashMap::new();
        let mut retired: Vec<FileId> = Vec::new();
        for step in steps {
            let mut expected = Vec::new();
            let asked_before = bench.reads.len();
            match step {
                Step::Claim { number, from, digest_tag } => {
                    slot += 1;
                    let (from, ticket, candidate) = (ShardId(from), ticket(slot), candidate(number, digest_tag));
                    claimed.push((from, ticket, candidate.key));
                    bench.owner.claim(from, ticket, &candidate, now_s, &mut bench.out, &mut bench.reads);
                    let asked = bench.reads.get(asked_before);
                    read_for.extend(asked.map(|read| (read.id, candidate.key)));
                    expected = twin.claim((from, ticket, candidate), now_s, asked.is_some());
                }
                Step::Withdraw { which } => if !claimed.is_empty() {
                    let (from, ticket, key) = claimed[which.index(claimed.len())];
                    bench.owner.withdraw(from, ticket, key, &mut bench.out);
                    expected = twin.withdraw(from, ticket, key);
                },
                Step::Durable { which } => {
                    let mut winners: Vec<Waiting> = twin.granted.values().map(|queue| queue[0]).collect();
                    winners.sort_by_key(|winner| winner.1.slot);
                    if !winners.is_empty() {
                        let (from, ticket, decided) = winners[which.index(winners.len())];
                        bench.owner.durable(from, ticket, decided.key, epoch, &mut bench.out);
                        expected = twin.durable(decided.key, epoch);
                    }
                }
                Step::Read { which, fault } => if !bench.reads.is_empty() {
                    let read = bench.reads.remove(which.index(bench.reads.len()));
                    let key = read_for.remove(&read.id).expect("asked for");
                    let mut bytes = bench.disk.read(&read).to_vec();
                    bytes[90] ^= u8::from(fault == 0);
                    let result = if fault == 1 { Err(Errno::EIO) } else { Ok(&bytes[..]) };
                    let asked_before = bench.reads.len();
                    bench.owner.read_done(read.id, result, now_s, &mut bench.out, &mut bench.reads);
                    let asked = bench.reads.get(asked_before);
                    read_for.extend(asked.map(|read| (read.id, key)));
                    expected = twin.read_done(key, fault > 1, asked.is_some(), now_s);
                    // An answer to a read that is over finds nobody.
                    bench.owner.read_done(read.id, Err(Errno::EIO), now_s, &mut bench.out, &mut bench.reads);
                },
                Step::Time { seconds } => now_s += seconds,
                Step::Work => bench.owner.step(now_s),
                Step::Seal { merge } => {
                    // The newest decision of each key counts, as the fold of a seal or merge has it.
                    let sealed = twin.decisions.values().flatten().filter(|entry| entry.epoch == epoch);
                    let mut entries: BTreeMap<Key, Decided> = sealed.map(|entry| (entry.key, *entry)).collect();
                    if merge {
                        for (old, view) in slices.drain(..).rev() {
                            retired.push(view.file);
                            for entry in old {
                                entries.entry(entry.key).or_insert(entry);
                            }
                        }
                    }
                    let entries: Vec<Decided> = entries.into_values().collect();
                    let view = bench.disk.make(entries.clone());
                    slices.push((entries, view));
                    version += 1;
                    let views = slices.iter().map(|(_, view)| view.clone()).collect();
                    bench.owner.switch_slices(set(version, epoch, views));
                    epoch += 1;
                }
            }
            prop_assert_eq!(std::mem::take(&mut bench.out), expected);
            let reading: HashSet<Key> = read_for.values().copied().collect();
            prop_assert_eq!(reading.len(), bench.reads.len(), "one read per key");
            if let Some(acknowledged) = bench.owner.take_switched() {
                prop_assert_eq!(acknowledged, version);
                for file in retired.drain(..) {
                    bench.disk.files.remove(&file);
                }
            }
        }
        let pending = twin.granted.len() + twin.reading.len();
        prop_assert_eq!(bench.owner.pending_count() as usize, pending);
        let counters = bench.owner.counters();
        prop_assert_eq!((counters.overflows, counters.misrouted), (0, 0));
    }
}
