//! The owner compared with an obvious one — lists and a map — under random interleavings of claims, withdrawals, reads,
//! seals and clocks.

use super::*;

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

    fn existing((to, ticket, candidate): Waiting, outcome: Decided) -> ClaimAnswer {
        let conflict = candidate.digest_tag != outcome.digest_tag;
        let message = ToReceiver::Existing {
            ticket,
            outcome,
            conflict,
        };
        ClaimAnswer { to, message }
    }

    /// All look-ups of the key ended: `queue` is answered.
    fn resolve(&mut self, key: Key, mut queue: VecDeque<Waiting>, now_s: u32) -> Vec<ClaimAnswer> {
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
        let message = ToReceiver::Won {
            ticket,
            decided_at: decided.decided_at,
            expiry: decided.expiry,
        };
        vec![ClaimAnswer { to, message }]
    }

    /// `asked`: the owner asked for a read.
    fn claim(&mut self, waiting: Waiting, now_s: u32, asked: bool) -> Vec<ClaimAnswer> {
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

    fn read_done(&mut self, key: Key, ok: bool, asked: bool, now_s: u32) -> Vec<ClaimAnswer> {
        if asked {
            return Vec::new();
        }
        let queue = self.reading.remove(&key).expect("somebody read");
        if ok {
            return self.resolve(key, queue, now_s);
        }
        let unavailable = |(to, ticket, _): Waiting| ClaimAnswer {
            to,
            message: ToReceiver::Unavailable { ticket },
        };
        queue.into_iter().map(unavailable).collect()
    }

    fn withdraw(&mut self, from: ShardId, ticket: Ticket, key: Key) -> Vec<ClaimAnswer> {
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
        let message = ToReceiver::Withdrawn { ticket };
        vec![ClaimAnswer { to: from, message }]
    }

    fn durable(&mut self, key: Key, epoch: Epoch) -> Vec<ClaimAnswer> {
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
        let (mut now_s, mut epoch, mut version, mut slot) = (1_000, Epoch::first(), 0, 0);
        let mut slices: Vec<(Vec<Decided>, SliceView)> = Vec::new();
        let mut claimed: Vec<(ShardId, Ticket, Key)> = Vec::new();
        let mut read_for: HashMap<ReadId, Key> = HashMap::new();
        let mut retired: Vec<FileId> = Vec::new();
        for step in steps {
            let mut expected = Vec::new();
            let asked_before = bench.effects.reads.len();
            match step {
                Step::Claim { number, from, digest_tag } => {
                    slot += 1;
                    let (from, ticket, candidate) = (ShardId(from), ticket(slot), candidate(number, digest_tag));
                    claimed.push((from, ticket, candidate.key));
                    let claim = ClaimRequest { by: Claimant { from, ticket }, candidate: &candidate };
                    bench.owner.claim(claim, now_s, &mut bench.effects);
                    let asked = bench.effects.reads.get(asked_before);
                    read_for.extend(asked.map(|read| (read.id, candidate.key)));
                    expected = twin.claim((from, ticket, candidate), now_s, asked.is_some());
                }
                Step::Withdraw { which } => if !claimed.is_empty() {
                    let (from, ticket, key) = claimed[which.index(claimed.len())];
                    bench.owner.withdraw(from, ticket, key, &mut bench.effects);
                    expected = twin.withdraw(from, ticket, key);
                },
                Step::Durable { which } => {
                    let mut winners: Vec<Waiting> = twin.granted.values().map(|queue| queue[0]).collect();
                    winners.sort_by_key(|winner| winner.1.slot);
                    if !winners.is_empty() {
                        let (from, ticket, decided) = winners[which.index(winners.len())];
                        bench.owner.durable(from, ticket, decided.key, epoch, &mut bench.effects);
                        expected = twin.durable(decided.key, epoch);
                    }
                }
                Step::Read { which, fault } => if !bench.effects.reads.is_empty() {
                    let read = bench.effects.reads.remove(which.index(bench.effects.reads.len()));
                    let key = read_for.remove(&read.id).expect("asked for");
                    let mut bytes = bench.disk.read(&read).to_vec();
                    bytes[90] ^= u8::from(fault == 0);
                    let result = if fault == 1 { Err(Errno::EIO) } else { Ok(&bytes[..]) };
                    let asked_before = bench.effects.reads.len();
                    bench.owner.read_done(read.id, result, now_s, &mut bench.effects);
                    let asked = bench.effects.reads.get(asked_before);
                    read_for.extend(asked.map(|read| (read.id, key)));
                    expected = twin.read_done(key, fault > 1, asked.is_some(), now_s);
                    // An answer to a read that is over finds nobody.
                    bench.owner.read_done(read.id, Err(Errno::EIO), now_s, &mut bench.effects);
                },
                Step::Time { seconds } => now_s += seconds,
                Step::Work => bench.owner.step(now_s),
                Step::Seal { merge } => {
                    // The newest decision of each key counts, as the replay of a seal or merge has it.
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
                    epoch = epoch.next();
                }
            }
            prop_assert_eq!(std::mem::take(&mut bench.effects.answers), expected);
            let reading: HashSet<Key> = read_for.values().copied().collect();
            prop_assert_eq!(reading.len(), bench.effects.reads.len(), "one read per key");
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
