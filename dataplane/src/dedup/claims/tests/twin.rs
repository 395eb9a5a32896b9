//! The owner compared with an obvious one — lists and a map — under random interleavings of claims, look-ups, withdrawals,
//! reads, seals and clocks.

use super::*;

/// The obvious owner: all decisions ever made durable, and who waits for which key.
#[derive(Default)]
struct Twin {
    decisions: BTreeMap<Key, Vec<Decided>>,
    reading: HashMap<Key, VecDeque<Queued>>,
    granted: HashMap<Key, VecDeque<Queued>>,
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

    /// The whole queue is answered with an outcome.
    fn existing_all(queue: VecDeque<Queued>, outcome: Decided) -> Said {
        let mut said = Said::default();
        for queued in queue {
            match queued {
                Queued::Claim(waiting) => said.0.push(Twin::existing(waiting, outcome)),
                Queued::Look(by) => {
                    said.1
                        .push(looked(by, Stored::Outcome(without_epoch(outcome))));
                }
            }
        }
        said
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
    fn resolve(&mut self, key: Key, mut queue: VecDeque<Queued>, now_s: u32) -> Said {
        if let Some(outcome) = self.live(key, now_s) {
            return Twin::existing_all(queue, outcome);
        }
        let mut absent = Vec::new();
        while let Some(&Queued::Look(by)) = queue.front() {
            absent.push(looked(by, Stored::Absent));
            queue.pop_front();
        }
        let Some(Queued::Claim(first)) = queue.front_mut() else {
            return (Vec::new(), absent);
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
        (vec![ClaimAnswer { to, message }], absent)
    }

    /// Something comes for a key. `asked`: the owner asked for a read.
    fn queue(&mut self, key: Key, waiting: Queued, now_s: u32, asked: bool) -> Said {
        let queued = self.granted.get_mut(&key).or(self.reading.get_mut(&key));
        if let Some(queue) = queued {
            queue.push_back(waiting);
            assert!(!asked, "a second look-up of a key");
            return Said::default();
        }
        let queue = VecDeque::from([waiting]);
        if asked {
            self.reading.insert(key, queue);
            return Said::default();
        }
        self.resolve(key, queue, now_s)
    }

    fn read_done(&mut self, key: Key, ok: bool, asked: bool, now_s: u32) -> Said {
        if asked {
            return Said::default();
        }
        let queue = self.reading.remove(&key).expect("somebody read");
        if ok {
            return self.resolve(key, queue, now_s);
        }
        let mut said = Said::default();
        for queued in queue {
            match queued {
                Queued::Claim((to, ticket, _)) => said.0.push(ClaimAnswer {
                    to,
                    message: ToReceiver::Unavailable { ticket },
                }),
                Queued::Look(by) => said.1.push(looked(by, Stored::Unavailable)),
            }
        }
        said
    }

    /// A look-up gives up; one that alone waits for a read stays.
    fn look_no_more(&mut self, by: Looker, key: Key) -> Said {
        let alone = |queue: &&mut VecDeque<Queued>| queue.len() > 1;
        let reading = self.reading.get_mut(&key).filter(alone);
        let Some(queue) = self.granted.get_mut(&key).or(reading) else {
            return Said::default();
        };
        let is_it = |queued: &Queued| matches!(queued, Queued::Look(it) if *it == by);
        let Some(at) = queue.iter().position(is_it) else {
            return Said::default();
        };
        queue.remove(at);
        (Vec::new(), vec![looked(by, Stored::Withdrawn)])
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
            .position(|queued| matches!(queued, Queued::Claim((by, name, _)) if (*by, *name) == (from, ticket)));
        let Some(at) = at else {
            return Vec::new();
        };
        queue.remove(first + at);
        let message = ToReceiver::Withdrawn { ticket };
        vec![ClaimAnswer { to: from, message }]
    }

    fn durable(&mut self, key: Key, epoch: Epoch) -> Said {
        let mut queue = self.granted.remove(&key).expect("granted");
        let Some(Queued::Claim((_, _, mut outcome))) = queue.pop_front() else {
            panic!("a winner");
        };
        outcome.epoch = epoch;
        self.decisions.entry(key).or_default().push(outcome);
        Twin::existing_all(queue, outcome)
    }
}

fn looked(by: Looker, stored: Stored) -> LookAnswer {
    let Looker { from, ticket } = by;
    LookAnswer {
        to: from,
        message: Looked { ticket, stored },
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
    Look {
        number: u32,
        from: u16,
    },
    LookNoMore {
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
        6 => (0..9u32, 0..SHARDS).prop_map(|(number, from)| Step::Look { number, from }),
        2 => any::<Index>().prop_map(|which| Step::LookNoMore { which }),
        5 => any::<Index>().prop_map(|which| Step::Durable { which }),
        5 => (any::<Index>(), 0..12u8).prop_map(|(which, fault)| Step::Read { which, fault }),
        3 => (0..30u32).prop_map(|seconds| Step::Time { seconds }),
        2 => Just(Step::Work),
        2 => any::<bool>().prop_map(|merge| Step::Seal { merge }),
    ]
}

fn winner(queue: &VecDeque<Queued>) -> Waiting {
    match queue[0] {
        Queued::Claim(waiting) => waiting,
        Queued::Look(by) => panic!("a look-up has won: {by:?}"),
    }
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
    looking: Vec<(Looker, Key)>,
    read_for: HashMap<ReadId, Key>,
    /// Files of slices that were merged, until no look-up uses them.
    retired: Vec<FileId>,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            bench: Bench::new(OwnerConfig {
                claims_max: 400,
                ..config()
            }),
            twin: Twin::default(),
            now_s: 1_000,
            epoch: Epoch::first(),
            version: 0,
            slot: 0,
            slices: Vec::new(),
            claimed: Vec::new(),
            looking: Vec::new(),
            read_for: HashMap::new(),
            retired: Vec::new(),
        }
    }

    /// Both do a step; what the owner must answer comes back.
    fn step(&mut self, step: Step) -> Said {
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
                return (self.twin.withdraw(from, ticket, key), Vec::new());
            }
            Step::Look { number, from } => return self.look(ShardId(from), key(number)),
            Step::LookNoMore { which } if !self.looking.is_empty() => {
                let (by, key) = self.looking[which.index(self.looking.len())];
                let Bench { owner, effects, .. } = &mut self.bench;
                owner.look_no_more(by, key, effects);
                return self.twin.look_no_more(by, key);
            }
            Step::Durable { which } => return self.durable(which),
            Step::Read { which, fault } if !self.bench.effects.reads.is_empty() => {
                return self.read(which, fault);
            }
            Step::Withdraw { .. } | Step::LookNoMore { .. } | Step::Read { .. } => {} // there is none
            Step::Time { seconds } => self.now_s += seconds,
            Step::Work => self.bench.owner.step(self.now_s),
            Step::Seal { merge } => self.seal(merge),
        }
        Said::default()
    }

    fn look(&mut self, from: ShardId, key: Key) -> Said {
        self.slot += 1;
        let ticket = LookTicket {
            slot: self.slot,
            generation: 7,
        };
        let by = Looker { from, ticket };
        self.looking.push((by, key));
        let Bench { owner, effects, .. } = &mut self.bench;
        let asked_before = effects.reads.len();
        owner.look(by, key, self.now_s, effects);
        let asked = effects.reads.get(asked_before);
        self.read_for.extend(asked.map(|read| (read.id, key)));
        let asked = asked.is_some();
        self.twin.queue(key, Queued::Look(by), self.now_s, asked)
    }

    fn claim(&mut self, from: ShardId, candidate: Decided) -> Said {
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
        let waiting = Queued::Claim((from, ticket, candidate));
        let asked = asked.is_some();
        self.twin.queue(candidate.key, waiting, self.now_s, asked)
    }

    fn durable(&mut self, which: prop::sample::Index) -> Said {
        let granted = self.twin.granted.values();
        let mut winners: Vec<Waiting> = granted.map(winner).collect();
        winners.sort_by_key(|winner| winner.1.slot);
        if winners.is_empty() {
            return Said::default();
        }
        let (from, ticket, decided) = winners[which.index(winners.len())];
        let Bench { owner, effects, .. } = &mut self.bench;
        owner.durable(from, ticket, decided.key, self.epoch, effects);
        self.twin.durable(decided.key, self.epoch)
    }

    /// A read ends: damaged, failed or right.
    fn read(&mut self, which: prop::sample::Index, fault: u8) -> Said {
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
            let effects = &mut pair.bench.effects;
            let mut answers = std::mem::take(&mut effects.answers);
            for answer in &mut answers {
                if let ToReceiver::Existing { outcome, .. } = &mut answer.message {
                    *outcome = without_epoch(*outcome);
                }
            }
            let mut looked = std::mem::take(&mut effects.looked);
            for answer in &mut looked {
                if let Stored::Outcome(outcome) = &mut answer.message.stored {
                    *outcome = without_epoch(*outcome);
                }
            }
            let said = (answers, looked);
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
