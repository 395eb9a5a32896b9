//! `flk dedup get`: the stored outcome of an id, beside the gateway that serves, after it was killed and after its logs were
//! deleted; and what is said where there is none.

use crate::common::{Ran, flk, run};
use crate::gateway::Gateway;
use crate::{signed_record, wal};
use serde_json::Value;
use std::path::Path;

fn get(dir: &Path, args: &[&str]) -> Ran {
    run(flk(dir).args(["dedup", "get"]).args(args), b"")
}

fn get_json(dir: &Path, id: &str) -> Value {
    let ran = get(dir, &[id, "--output", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

fn id_of(record: &[u8]) -> String {
    let record: Value = serde_json::from_slice(record).unwrap();
    record["pcs_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_outcome_is_shown_with_its_place_beside_a_gateway_and_from_a_slice_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start_with(dir, &[("FLK_LOOK_UPS", "on")]);
    let record = signed_record(dir, "shard-1");
    let id = id_of(&record);
    assert_eq!(gateway.submit(dir, &record).code, 0);
    let served = gateway.get(&format!("/v1/pcs/{id}"));
    assert_eq!(served.status, 200);
    let shown = get_json(dir, &id);
    assert_eq!(shown["outcome"], served.text());
    assert_eq!(
        (&shown["found"], &shown["status"]),
        (&Value::from(true), &Value::from(200))
    );
    assert_eq!(shown["tenant"], "default");
    let inspected = wal(dir, &["inspect", "--pcs-id", &id, "--json"]).stdout;
    let row = inspected
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = row.into_iter().find(|it| it["type"] == "record").unwrap();
    for name in ["log", "sequence", "index"] {
        assert_eq!(shown[name], row[name], "{name}");
    }
    let (decided, expires) = (&shown["decided"], &shown["expires"]);
    let seconds = |text: &Value| {
        let time = humantime::parse_rfc3339(text.as_str().unwrap()).unwrap();
        time.duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    // Each is the whole second of another clock.
    let lives_s = seconds(expires) - seconds(decided);
    assert!(lives_s.abs_diff(14 * 86_400) <= 1, "{lives_s} s");
    assert!(
        seconds(decided).abs_diff(seconds(&row["received"])) <= 1,
        "{shown} {row}"
    );
    let text = get(dir, &[&id]);
    for line in ["tenant   default", "status   200", "slice    none yet"] {
        assert!(text.stdout.contains(line), "{line}: {text:?}");
    }
    let compacted = wal(dir, &["compact", "--older-than", "0s"]);
    assert_eq!(compacted.code, 0, "{compacted:?}");
    let sealed = get_json(dir, &id);
    assert_eq!(
        (&sealed["outcome"], &sealed["log"]),
        (&shown["outcome"], &Value::Null)
    );
    assert!(
        sealed["slice"].as_str().unwrap().ends_with(".flk"),
        "{sealed}"
    );
    assert!(seconds(&sealed["decided"]).abs_diff(seconds(decided)) <= 1);
    assert!(get(dir, &[&id]).stdout.contains("no longer in a log"));
    assert_eq!(gateway.stop(), 0);
    assert_eq!(get_json(dir, &id)["outcome"], shown["outcome"]);
}

#[test]
fn an_outcome_is_shown_after_a_kill_and_there_is_none_of_another_id_or_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let records = [1, 2].map(|shard| signed_record(dir, &format!("shard-{shard}")));
    assert_eq!(gateway.submit(dir, &records[0]).code, 0);
    drop(gateway);
    let (id, other) = (id_of(&records[0]), id_of(&records[1]));
    assert_eq!(get_json(dir, &id)["status"], 200);
    for args in [&[&other[..]][..], &[&id, "--tenant", "acme"]] {
        let ran = get(dir, args);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains("no outcome of"), "{ran:?}");
        let ran = get(dir, &[args, &["--output", "json"]].concat());
        let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &shown["found"]), (1, &Value::from(false)));
    }
    for wrong in [
        &["abc"][..],
        &[&id.to_uppercase()],
        &[&id, "--tenant", "a b"],
    ] {
        assert_eq!(get(dir, wrong).code, 2, "{wrong:?}");
    }
    let nowhere = get(dir, &[&id, "--dir", "nowhere"]);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
}

#[test]
fn an_outcome_whose_time_is_over_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start_with(dir, &[("DEDUP_TTL", "1s")]);
    let record = signed_record(dir, "shard-1");
    assert_eq!(gateway.submit(dir, &record).code, 0);
    let id = id_of(&record);
    flk_testkit::wait_until("its time is over", flk_testkit::DEADLINE, || {
        get(dir, &[&id]).code == 1
    });
    let ran = get(dir, &[&id]);
    assert!(ran.stderr.contains("its time was over at 20"), "{ran:?}");
}

#[test]
fn what_may_lie_in_something_damaged_is_not_said_to_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let records = [1, 2].map(|shard| signed_record(dir, &format!("shard-{shard}")));
    assert_eq!(gateway.submit(dir, &records[0]).code, 0);
    assert_eq!(wal(dir, &["compact", "--older-than", "0s"]).code, 0);
    assert_eq!(gateway.stop(), 0);
    let names = std::fs::read_dir(dir.join("data/wal")).unwrap();
    let slice = names
        .map(|it| it.unwrap().path())
        .find(|it| it.extension().is_some_and(|it| it == "flk"));
    let slice = slice.unwrap();
    let whole = std::fs::read(&slice).unwrap();
    let mut bytes = whole.clone();
    bytes[4096 + 100] ^= 1;
    std::fs::write(&slice, &bytes).unwrap();
    let ran = get(dir, &[&id_of(&records[0])]);
    assert_eq!(ran.code, 65, "{ran:?}");
    std::fs::remove_file(&slice).unwrap();
    assert_eq!(get(dir, &[&id_of(&records[1])]).code, 65);
    std::fs::write(&slice, &whole).unwrap();
    let secret = dir.join("data/wal/secret");
    let whole = std::fs::read(&secret).unwrap();
    std::fs::write(&secret, &whole[1..]).unwrap();
    assert_eq!(get(dir, &[&id_of(&records[0])]).code, 65);
}
