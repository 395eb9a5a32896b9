//! The agent over real files, with shards and a keeper that only show what they were sent.

use super::start::Begin;
use super::*;
use crate::driver::links::{KeeperLinks, Links, link};
use crate::event::{Event, Inbox};
use crate::snapshot::{FORMAT, KeyDocument, LimitsDocument, ParamsDocument, TenantDocument};
use flk_contract::Params;
use flk_contract::Scheme;
use flk_contract::signature::VerifyingKey;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// A document with one tenant, whose key's text is in `/keys/TEXT`.
fn document(number: u32, text: &str) -> Document {
    let scheme: Scheme = "hmac-sha256".parse().unwrap();
    let key = VerifyingKey::from_text(scheme, text).unwrap();
    Document {
        format: FORMAT,
        number,
        limits: LimitsDocument::default(),
        tenants: vec![TenantDocument {
            name: "acme".to_owned(),
            enabled: true,
            unsigned: false,
            keys: vec![KeyDocument {
                id: "a".to_owned(),
                scheme: scheme.to_string(),
                source: Source::file(format!("/keys/{text}")),
                fingerprint: key.id().to_string(),
                not_before: None,
                not_after: None,
                revoked_at: None,
            }],
            limits: LimitsDocument::default(),
            wal_share: None,
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        }],
    }
}

fn read_secret() -> SecretReader {
    Box::new(|| {
        Box::new(|source| match source {
            Source::File { path, .. } if path != "/keys/missing" => {
                let text = path.strip_prefix("/keys/").unwrap_or_default();
                Ok(Zeroizing::new(text.to_owned()))
            }
            _ => Err(SourceFault::Unreadable("no such file".to_owned())),
        })
    })
}

/// An agent over a directory, with the shards that it sends to.
struct World {
    agent: Agent,
    shards: Vec<Links>,
    keeper: KeeperLinks,
    stats: Arc<Stats>,
}

impl World {
    fn start(path: &Path, begin: Begin) -> World {
        let directory = File::open(path).unwrap();
        let environment = document(0, "environment");
        let start = Start::read(directory.as_fd(), begin, environment, read_secret()).unwrap();
        let bell = || Arc::new(Doorbell::new().unwrap());
        let (shards, keeper) = link(&[bell(), bell()], &bell(), 1);
        let stats = Arc::new(Stats::new(2));
        let number = u64::from(start.in_force.number);
        stats.shards.iter().for_each(|it| it.snapshot.set(number));
        let setup = AgentSetup {
            start,
            mail: keeper.mail(),
            keeper: keeper.keeper_mail(),
            stats: Arc::clone(&stats),
            console: Console::start().unwrap(),
            installation: Arc::new(OnceLock::from([0xAB; 16])),
        };
        World {
            agent: Agent::new(setup, bell()),
            shards,
            keeper,
            stats,
        }
    }

    fn ask(&mut self, ask: Ask) -> Reply {
        let question = Question {
            v: protocol::PROTOCOL,
            ask,
        };
        let line = serde_json::to_string(&question).unwrap();
        let agent = &mut self.agent;
        let (shards, keeper, stats) = (&mut self.shards, &mut self.keeper, &self.stats);
        let reply = std::thread::scope(|scope| {
            let asked = scope.spawn(move || agent.answer(&line));
            while !asked.is_finished() {
                run(shards, stats);
                while let Some(KeeperEvent::Params { asked, .. }) = keeper.try_take_from_agent() {
                    stats.keeper.params_known.set(asked);
                }
                std::thread::yield_now();
            }
            asked.join().unwrap()
        });
        let line = reply.clone().line();
        let answer: protocol::AgentAnswer = serde_json::from_str(&line).unwrap();
        assert_eq!(answer.reply, reply, "{line}");
        reply
    }

    fn publish(&mut self, document: &Document) -> Reply {
        self.ask(Ask::Publish {
            digest: document.digest().to_string(),
            document: Box::new(document.clone()),
        })
    }

    fn status(&mut self) -> Status {
        match self.ask(Ask::Status) {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }
}

/// What shards do with a snapshot.
fn run(shards: &mut [Links], stats: &Stats) {
    for (links, page) in shards.iter_mut().zip(stats.shards.iter()) {
        let mut inbox = Inbox::default();
        links.collect(&mut inbox);
        for event in inbox.events.drain(..) {
            if let Event::Keeper(ToShard::Configure(snapshot)) = event {
                page.snapshot.set(u64::from(snapshot.number));
            }
        }
    }
}

fn code(reply: &Reply) -> Code {
    match reply {
        Reply::Refused { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_snapshot_is_in_force_when_every_shard_runs_it_and_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    assert_eq!(world.status().in_force.number, 0);
    let first = document(1, "one");
    let applied = Reply::Applied {
        number: 1,
        digest: first.digest().to_string(),
    };
    assert_eq!(world.publish(&first), applied);
    assert_eq!(world.publish(&first), applied, "said again, it is the same");
    let status = world.status();
    assert_eq!(status.in_force.digest, first.digest().to_string());
    assert_eq!(status.installation, "ab".repeat(16));
    assert!(status.shards.iter().all(|it| it.number == 1) && status.shards.len() == 2);
    let mut world = World::start(root.path(), Begin::LastStored);
    assert_eq!(world.status().in_force.number, 1);
    let mut world = World::start(root.path(), Begin::Environment);
    let status = world.status();
    assert_eq!((status.in_force.number, status.last_number), (0, 1));
    assert_eq!(
        code(&world.publish(&document(1, "other"))),
        Code::NumberUsed
    );
}

#[test]
fn a_number_is_never_used_for_other_content() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    world.publish(&document(5, "five"));
    for number in [0, 4, 5] {
        assert_eq!(
            code(&world.publish(&document(number, "other"))),
            Code::NumberUsed
        );
    }
    assert!(matches!(
        world.publish(&document(9, "nine")),
        Reply::Applied { .. }
    ));
    assert_eq!(world.status().last_number, 9);
}

#[test]
fn what_is_refused_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    let good = document(1, "one");
    let mut bad_key = document(1, "one");
    bad_key.tenants[0].keys[0].source = Source::file("/keys/missing");
    let mut bad_rule = document(1, "one");
    bad_rule.tenants[0].keys.clear();
    let mut other_params = document(1, "one");
    other_params.tenants[0].params[0].tol_d = 0.2;
    let mut too_early = document(1, "one");
    too_early.tenants[0].params[0].effective_from = Some(1 << 40);
    for (document, expected) in [
        (&too_early, Code::Invalid),
        (&bad_key, Code::Key),
        (&bad_rule, Code::Invalid),
        (&other_params, Code::Params),
    ] {
        assert_eq!(code(&world.publish(document)), expected);
        let check = Ask::Check {
            document: Box::new(document.clone()),
        };
        assert_eq!(code(&world.ask(check)), expected);
    }
    let damaged = Ask::Publish {
        digest: document(1, "two").digest().to_string(),
        document: Box::new(good.clone()),
    };
    assert_eq!(code(&world.ask(damaged)), Code::Digest);
    let status = world.status();
    assert_eq!((status.in_force.number, status.last_number), (0, 0));
    assert!(status.kept.is_empty());
    let check = Ask::Check {
        document: Box::new(good),
    };
    assert_eq!(world.ask(check), Reply::Checked(true));
    assert_eq!(world.status().last_number, 0, "a check stores nothing");
}

#[test]
fn the_last_ten_can_be_asked_for_and_the_one_of_the_start() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    for number in 1..=11 {
        world.publish(&document(number, &format!("key-{number}")));
    }
    let mut ask = |number| world.ask(Ask::Document { number });
    assert_eq!(
        ask(0),
        Reply::Document(Box::new(document(0, "environment")))
    );
    assert_eq!(ask(2), Reply::Document(Box::new(document(2, "key-2"))));
    assert_eq!(code(&ask(1)), Code::NotKept);
    assert_eq!(code(&ask(12)), Code::NotKept);
}

#[test]
fn a_line_that_is_no_question_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    for line in [
        "",
        "{}",
        "flk1 status",
        r#"{"v":2,"ask":"status"}"#,
        r#"{"v":1,"ask":"stop"}"#,
    ] {
        assert_eq!(code(&world.agent.answer(line)), Code::Question, "{line}");
    }
}

#[test]
fn a_tenant_whose_key_is_missing_at_a_start_is_closed_until_a_snapshot_mends_it() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    world.publish(&document(1, "one"));
    // The key's file is replaced behind the snapshot's back.
    let directory = File::open(root.path()).unwrap();
    let other: SecretReader = Box::new(|| Box::new(|_| Ok(Zeroizing::new("another".to_owned()))));
    let environment = document(0, "environment");
    let start = Start::read(directory.as_fd(), Begin::LastStored, environment, other).unwrap();
    assert_eq!(start.in_force.number, 1);
    assert!(start.closed[0].contains("tenant acme, key a: /keys/one: it holds another key now"));
}

#[test]
fn the_name_of_a_parameter_set_stands_for_its_numbers_for_ever() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    let named = |number, tol_d| {
        let mut document = document(number, "one");
        document.tenants[0].params[0].version = "2".to_owned();
        document.tenants[0].params[0].tol_d = tol_d;
        document.tenants[0].params[0].effective_from = Some(u64::from(number));
        document
    };
    assert!(matches!(
        world.publish(&named(1, 0.2)),
        Reply::Applied { .. }
    ));
    let at_another_time = named(2, 0.2);
    assert!(matches!(
        world.publish(&at_another_time),
        Reply::Applied { .. }
    ));
    // So many that the first is kept without its sources only.
    for number in 3..=13 {
        let usual = document(number, &format!("key-{number}"));
        assert!(matches!(world.publish(&usual), Reply::Applied { .. }));
    }
    assert_eq!(code(&world.publish(&named(14, 0.3))), Code::Params);
    let mut world = World::start(root.path(), Begin::LastStored);
    assert_eq!(code(&world.publish(&named(14, 0.3))), Code::Params);
    let directory = File::open(root.path()).unwrap();
    let start = |environment| {
        let read = read_secret();
        Start::read(directory.as_fd(), Begin::Environment, environment, read).map(|_| ())
    };
    let refused = start(named(0, 0.3)).unwrap_err().to_string();
    assert!(refused.contains("parameter set 2: outcomes"), "{refused}");
    start(named(0, 0.2)).unwrap();
    assert!(matches!(
        world.publish(&named(14, 0.2)),
        Reply::Applied { .. }
    ));
}

#[test]
fn an_old_snapshot_that_cannot_be_reduced_holds_no_publishing_up() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    for number in 1..=10 {
        world.publish(&document(number, &format!("key-{number}")));
    }
    // The oldest is damaged behind its first line, and the name that the next one would get is taken.
    let oldest = root.path().join("snapshots/00000001.json");
    let whole = std::fs::read_to_string(&oldest).unwrap();
    std::fs::write(&oldest, whole.replace("key-1", "key-x")).unwrap();
    std::fs::create_dir(root.path().join("snapshots/00000002.kept.json")).unwrap();
    for number in 11..=13 {
        let reply = world.publish(&document(number, &format!("key-{number}")));
        assert!(matches!(reply, Reply::Applied { .. }), "{reply:?}");
    }
    let status = world.status();
    assert_eq!((status.in_force.number, status.last_number), (13, 13));
    let kept: Vec<u32> = status.kept.iter().map(|it| it.number).collect();
    assert_eq!(kept[..3], [1, 2, 4], "the third was reduced");
}

#[test]
fn what_could_not_be_stored_is_not_in_force_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    world.publish(&document(1, "one"));
    std::fs::create_dir(root.path().join("snapshots/00000002.json")).unwrap();
    assert_eq!(code(&world.publish(&document(2, "two"))), Code::Storage);
    assert_eq!(world.status().in_force.number, 1);
    std::fs::remove_dir(root.path().join("snapshots/00000002.json")).unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    assert_eq!(world.status().in_force.number, 1);
    assert!(matches!(
        world.publish(&document(2, "two")),
        Reply::Applied { .. }
    ));
}

#[test]
fn a_start_from_the_environment_needs_no_stored_snapshot_and_reuses_no_number() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    world.publish(&document(1, "one"));
    world.publish(&document(2, "two"));
    for text in ["", "flk-snapshot 2 of another version\n{}", "flk-snapshot"] {
        std::fs::write(root.path().join("snapshots/00000002.json"), text).unwrap();
        let directory = File::open(root.path()).unwrap();
        let start = |begin| {
            let environment = document(0, "environment");
            Start::read(directory.as_fd(), begin, environment, read_secret())
        };
        let is_newer = text.starts_with("flk-snapshot 2");
        let refused = start(Begin::LastStored).err().unwrap();
        assert_eq!(refused.is_damage(), !is_newer, "{refused}");
        let started = start(Begin::Environment).unwrap();
        let told = match is_newer {
            true => "00000002.json was written by a newer flk",
            false => "00000002.json is damaged",
        };
        assert!(started.left_out[0].contains(told), "{:?}", started.left_out);
        let mut world = World::start(root.path(), Begin::Environment);
        let status = world.status();
        assert_eq!((status.in_force.number, status.last_number), (0, 2));
        assert_eq!(
            code(&world.publish(&document(2, "other"))),
            Code::NumberUsed
        );
    }
}

#[test]
fn a_check_uses_up_no_places_of_tenants() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    for at in 0..3 {
        let mut many = document(1, "one");
        let one = many.tenants[0].clone();
        many.tenants = (0..2000)
            .map(|tenant| TenantDocument {
                name: format!("t{at}-{tenant:04}"),
                ..one.clone()
            })
            .collect();
        let check = Ask::Check {
            document: Box::new(many),
        };
        assert_eq!(world.ask(check), Reply::Checked(true));
    }
    assert!(matches!(
        world.publish(&document(1, "one")),
        Reply::Applied { .. }
    ));
}

#[test]
fn shares_whose_sum_does_not_fit_into_their_type_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    let mut wraps = document(1, "one");
    let mut other = wraps.tenants[0].params[0].clone();
    (other.version, other.share) = ("2".to_owned(), 1001);
    wraps.tenants[0].params[0].share = u32::MAX;
    wraps.tenants[0].params.push(other);
    assert_eq!(code(&world.publish(&wraps)), Code::Invalid);
}

#[test]
fn a_publishing_during_a_stop_is_stored_and_waits_for_no_shard() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::start(root.path(), Begin::LastStored);
    world.agent.ending.tell_to_end();
    let first = document(1, "one");
    // Shards and keeper answer nothing.
    let reply = world.agent.publish(&first.digest().to_string(), first);
    assert_eq!(code(&reply), Code::ShardsSilent);
    let mut looks = 0;
    let never = || {
        looks += 1;
        false
    };
    assert!(!comes_true(&world.agent.ending, never));
    assert_eq!(looks, 1, "it waits for nothing that may still come");
    let mut world = World::start(root.path(), Begin::LastStored);
    assert_eq!(world.status().in_force.number, 1);
}
