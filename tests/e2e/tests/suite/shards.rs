//! Several shards: one per CPU and no more; ids of every partition are the same ids on every connection, and stay so with
//! another number of shards, after a stop and after `kill -9`.

use flk_dataplane::dedup::PARTITIONS;
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::driver::affinity::{allowed_cpus, pin, quota_cpus};
use flk_dataplane::wal::name::LogId;
use flk_dataplane::wal::secret::Secret;
use flk_e2e::log::{Disposition, Kept};
use flk_e2e::setting::Setting;
use flk_testkit::gateway::Gateway;
use flk_testkit::records::{Record, record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

on_every_host!(
    every_partition_answers_alike_with_one_shard_and_with_two,
    more_shards_than_cpus_are_refused,
    a_process_that_may_use_one_cpu_has_one_shard,
);

/// Connections at a time. The kernel spreads them over the shards; that one of two gets none is a chance of 2^-31.
const CONNECTIONS: usize = 32;

fn every_partition_answers_alike_with_one_shard_and_with_two(setting: Setting) {
    if usable_cpus() < 2 {
        flk_testkit::skipped("two shards: this process may use one CPU only");
        return;
    }
    let directory = setting.directory();
    let plan = |shards: &str| setting.plan(directory.path()).with("FLK_CORES", shards);
    let gateway = plan("2").start();
    let mut records = one_of_each_partition(directory.path());
    let first = ask_all(&gateway, &records, 0);
    assert!(first.iter().all(|(dedup, _)| dedup == "miss"));
    let mut outcomes: Vec<_> = first.into_iter().map(|(_, outcome)| outcome).collect();
    // The same records, each on another connection than before.
    are_duplicates(&gateway, &records, &outcomes, 1);
    gateway.kill();
    both_shards_took_part(&Kept::read(directory.path()), &records);

    let rounds = [("1", true), ("2", true), ("1", false), ("2", false)];
    for (round, (shards, crash)) in rounds.into_iter().enumerate() {
        let gateway = plan(shards).start();
        are_duplicates(&gateway, &records, &outcomes, round);
        let first_new = 1_000_000 + 100 * round as u64;
        let new: Vec<_> = (first_new..first_new + 64).map(record).collect();
        for (dedup, outcome) in ask_all(&gateway, &new, 0) {
            assert_eq!(dedup, "miss");
            outcomes.push(outcome);
        }
        records.extend(new);
        match crash {
            true => drop(gateway.kill()),
            false => assert_eq!(gateway.stop().code(), 0),
        }
    }
    let gateway = plan("1").start();
    are_duplicates(&gateway, &records, &outcomes, 5);
    gateway.kill();
    let kept = Kept::read(directory.path());
    let decisions = kept.decisions_by_id();
    assert_eq!(decisions.len(), records.len());
    assert!(decisions.values().all(|count| *count == 1), "decided twice");
}

/// A record for each partition of this installation.
fn one_of_each_partition(directory: &Path) -> Vec<Record> {
    let secret = Secret::decode(&std::fs::read(directory.join("secret")).unwrap()).unwrap();
    let hash = KeyHash::new(secret.key);
    let mut by_partition = BTreeMap::new();
    for record in (0..).map(record) {
        let partition = hash.key("default", &record.pcs_id).partition();
        by_partition.entry(partition).or_insert(record);
        if by_partition.len() == usize::from(PARTITIONS) {
            break;
        }
    }
    by_partition.into_values().collect()
}

/// Posts all side by side, each on one of the connections; `shift` says on which. Answers are in the order of records.
fn ask_all(gateway: &Gateway, records: &[Record], shift: usize) -> Vec<(String, Vec<u8>)> {
    let ask = |number: usize| -> Vec<_> {
        let mut connection = gateway.connect();
        let share = records.iter().enumerate().skip(number).step_by(CONNECTIONS);
        share
            .map(|(at, record)| {
                let answer = connection.post(&record.body).unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                assert!(record.is_outcome(&answer.body), "{answer:?}");
                (at, answer.dedup().unwrap().to_owned(), answer.body)
            })
            .collect()
    };
    let mut answers: Vec<_> = std::thread::scope(|scope| {
        // Which connection goes to which shard is the kernel's choice, made anew at each call.
        let numbers = (0..CONNECTIONS).map(|number| (number + shift) % CONNECTIONS);
        let clients: Vec<_> = numbers
            .map(|number| scope.spawn(move || ask(number)))
            .collect();
        let ended = clients.into_iter().flat_map(|it| it.join().unwrap());
        ended.collect()
    });
    answers.sort_by_key(|(at, _, _)| *at);
    answers
        .into_iter()
        .map(|(_, dedup, outcome)| (dedup, outcome))
        .collect()
}

fn are_duplicates(gateway: &Gateway, records: &[Record], outcomes: &[Vec<u8>], shift: usize) {
    let answers = ask_all(gateway, records, shift);
    for (at, (dedup, outcome)) in answers.iter().enumerate() {
        assert_eq!((dedup.as_str(), outcome), ("hit", &outcomes[at]), "{at}");
    }
}

/// Both logs decided, and of the duplicates many came to the log that had not decided.
fn both_shards_took_part(kept: &Kept, records: &[Record]) {
    let mut decided_in: BTreeMap<&[u8], LogId> = BTreeMap::new();
    for ((log, _), body) in &kept.bodies {
        if matches!(body.dispositions[..], [Disposition::Decided { .. }]) {
            let earlier = decided_in.insert(&body.bytes, *log);
            assert_eq!(earlier, None, "decided twice");
        }
    }
    assert_eq!(decided_in.len(), records.len());
    let logs: BTreeSet<&LogId> = decided_in.values().collect();
    assert_eq!(logs.len(), 2, "only {logs:?} decided");
    let elsewhere = kept.bodies.iter().filter(|((log, _), body)| {
        body.dispositions == [Disposition::Duplicate] && decided_in[&body.bytes[..]] != *log
    });
    let elsewhere = elsewhere.count();
    assert!(elsewhere >= 50, "only {elsewhere} came to the other shard");
}

/// CPUs that shards may have here.
fn usable_cpus() -> usize {
    let quota = quota_cpus().map_or(usize::MAX, |quota| (quota as usize).max(1));
    allowed_cpus().unwrap().len().min(quota)
}

fn more_shards_than_cpus_are_refused(setting: Setting) {
    let directory = setting.directory();
    let cpus = allowed_cpus().unwrap();
    let texts: Vec<String> = cpus.iter().map(usize::to_string).collect();
    let mut allowed = format!("allowed: CPUs {}", texts.join(","));
    if let Some(quota) = quota_cpus() {
        allowed += &format!(", and a cgroup quota of {quota:.2} CPUs");
    }
    let (first, other) = (cpus[0], cpus[cpus.len() - 1] + 1);
    let cases = [
        (
            (usable_cpus() + 1).to_string(),
            "more cores than this process may use".to_owned(),
        ),
        (
            format!("{first},{first}"),
            format!("CPU {first} is named twice"),
        ),
        (
            format!("{other}-{other}"),
            format!("this process may not run on CPU {other}"),
        ),
    ];
    for (value, problem) in cases {
        let ended = setting
            .plan(directory.path())
            .with("FLK_CORES", &value)
            .run_to_end();
        assert_eq!(ended.code(), 78, "{ended}");
        assert_eq!(
            ended.said,
            format!("flk: FLK_CORES={value}: {problem}; {allowed}\n")
        );
    }
}

fn a_process_that_may_use_one_cpu_has_one_shard(setting: Setting) {
    let directory = setting.directory();
    let cpu = *allowed_cpus().unwrap().last().unwrap();
    // What a thread may run on holds for what it starts.
    let confined = std::thread::spawn(move || {
        pin(cpu).unwrap();
        let plan = setting.plan(directory.path());
        let gateway = plan.start();
        let said = gateway.said();
        assert!(said.contains(&format!("1 on CPU {cpu}\n")), "{said}");
        assert_eq!(gateway.post(&record(1).body).status, 200);
        gateway.kill();
        let refused = plan.with("FLK_CORES", "2").run_to_end();
        assert_eq!(refused.code(), 78, "{refused}");
        assert!(refused.said.contains("FLK_CORES=2"), "{refused}");
    });
    confined.join().unwrap();
}
