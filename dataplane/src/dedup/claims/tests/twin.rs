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

    /// What is answered is the same from table and slice, but for the epoch that only the table has.
    fn existing((to, ticket, candidate): Waiting, outcome: Decided) -> ClaimAnswer {
        let conflict = candidate.digest_tag != outcome.digest_tag;
        let outcome = without_epoch(outcome);
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

fn without_epoch(outcome: Decided) -> Decided {
    Decided {
        epoch: Epoch::default(),
        ..outcome
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

/// Both owners, and what the test knows of their surroundings.
struct Pair {
    bench: Bench,
    twin: Twin,
    now_s: u32,
    epoch: Epoch,
    /// Version of the newest set of slices.
    version: u64,
    /// Number of the newest request.
    slot: u32,
    slices: Vec<(Vec<Decided>, SliceView)>,
    claimed: Vec<(ShardId, Ticket, Key)>,
    read_for: HashMap<ReadId, Key>,
    /// Files of slices that were merged, until no look-up uses them.
    retired: Vec<FileId>,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            bench: Bench::new(OwnerConfig {
                claims_max: 300,
                ..config()
            }),
            twin: Twin::default(),
            now_s: 1_000,
            epoch: Epoch::first(),
            version: 0,
            slot: 0,
            slices: Vec::new(),
            claimed: Vec::new(),
            read_for: HashMap::new(),
            retired: Vec::new(),
        }
    }

    /// Both do a step; what the owner must answer comes back.
    fn step(&mut self, step: Step) -> Vec<ClaimAnswer> {
        match step {
            Step::Claim {
                number,
                from,
                digest_tag,
            } => return self.claim(ShardId(from), candidate(number, digest_tag)),
            Step::Withdraw { which } if !self.claimed.is_empty() => {
                let (from, ticket, key) = self.claimed[which.index(self.claimed.len())];
                let Bench { owner, effects, .. } = &mut self.bench;
                owner.withdraw(from, ticket, key, effects);
                return self.twin.withdraw(from, ticket, key);
            }
            Step::Durable { which } => return self.durable(which),
            Step::Read { which, fault } if !self.bench.effects.reads.is_empty() => {
                return self.read(which, fault);
            }
            Step::Withdraw { .. } | Step::Read { .. } => {} // there is none
            Step::Time { seconds } => self.now_s += seconds,
            Step::Work => self.bench.owner.step(self.now_s),
            Step::Seal { merge } => self.seal(merge),
        }
        Vec::new()
    }

    fn claim(&mut self, from: ShardId, candidate: Decided) -> Vec<ClaimAnswer> {
        self.slot += 1;
        let ticket = ticket(self.slot);
        self.claimed.push((from, ticket, candidate.key));
        let claim = ClaimRequest {
            by: Claimant { from, ticket },
            candidate: &candidate,
        };
        let Bench { owner, effects, .. } = &mut self.bench;
        let asked_before = effects.reads.len();
        owner.claim(claim, self.now_s, effects);
        let asked = effects.reads.get(asked_before);
        self.read_for
            .extend(asked.map(|read| (read.id, candidate.key)));
        let waiting = (from, ticket, candidate);
        self.twin.claim(waiting, self.now_s, asked.is_some())
    }

    fn durable(&mut self, which: prop::sample::Index) -> Vec<ClaimAnswer> {
        let granted = self.twin.granted.values();
        let mut winners: Vec<Waiting> = granted.map(|queue| queue[0]).collect();
        winners.sort_by_key(|winner| winner.1.slot);
        if winners.is_empty() {
            return Vec::new();
        }
        let (from, ticket, decided) = winners[which.index(winners.len())];
        let Bench { owner, effects, .. } = &mut self.bench;
        owner.durable(from, ticket, decided.key, self.epoch, effects);
        self.twin.durable(decided.key, self.epoch)
    }

    /// A read ends: damaged, failed or right.
    fn read(&mut self, which: prop::sample::Index, fault: u8) -> Vec<ClaimAnswer> {
        let Bench {
            owner,
            effects,
            disk,
            ..
        } = &mut self.bench;
        let read = effects.reads.remove(which.index(effects.reads.len()));
        let key = self.read_for.remove(&read.id).expect("asked for");
        let mut bytes = disk.read(&read).to_vec();
        bytes[90] ^= u8::from(fault == 0);
        let result = match fault {
            1 => Err(Errno::EIO),
            _ => Ok(&bytes[..]),
        };
        let asked_before = effects.reads.len();
        owner.read_done(read.id, result, self.now_s, effects);
        let asked = effects.reads.get(asked_before);
        self.read_for.extend(asked.map(|read| (read.id, key)));
        let expected = self
            .twin
            .read_done(key, fault > 1, asked.is_some(), self.now_s);
        // An answer to a read that is over finds nobody.
        owner.read_done(read.id, Err(Errno::EIO), self.now_s, effects);
        expected
    }

    fn seal(&mut self, merge: bool) {
        // The newest decision of each key counts, as the replay of a seal or merge has it.
        let decisions = self.twin.decisions.values().flatten();
        let sealed = decisions.filter(|entry| entry.epoch == self.epoch);
        let mut entries: BTreeMap<Key, Decided> = sealed.map(|entry| (entry.key, *entry)).collect();
        if merge {
            for (old, view) in self.slices.drain(..).rev() {
                self.retired.push(view.file);
                for entry in old {
                    entries.entry(entry.key).or_insert(entry);
                }
            }
        }
        let entries: Vec<Decided> = entries.into_values().collect();
        let view = self.bench.disk.make(entries.clone());
        self.slices.push((entries, view));
        self.version += 1;
        let views = self.slices.iter().map(|(_, view)| view.clone()).collect();
        let set = set(self.version, self.epoch, views);
        self.bench.owner.switch_slices(set);
        self.epoch = self.epoch.next();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_obvious_owner_does_under_any_interleaving(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            let expected = pair.step(step);
            let mut said = std::mem::take(&mut pair.bench.effects.answers);
            for answer in &mut said {
                if let ToReceiver::Existing { outcome, .. } = &mut answer.message {
                    *outcome = without_epoch(*outcome);
                }
            }
            prop_assert_eq!(said, expected);
            let reading: HashSet<Key> = pair.read_for.values().copied().collect();
            prop_assert_eq!(reading.len(), pair.bench.effects.reads.len(), "one read per key");
            if let Some(acknowledged) = pair.bench.owner.take_switched() {
                prop_assert_eq!(acknowledged, pair.version);
                for file in pair.retired.drain(..) {
                    pair.bench.disk.files.remove(&file);
                }
            }
        }
        let Pair { bench, twin, .. } = &pair;
        let pending = twin.granted.len() + twin.reading.len();
        prop_assert_eq!(bench.owner.pending_count() as usize, pending);
        let counters = bench.owner.counters();
        prop_assert_eq!((counters.overflows, counters.misrouted), (0, 0));
    }
}
