//! What is in the log afterwards: every admitted body with its disposition, and nothing that was turned away before.

use flk_e2e::log::{Disposition, Kept};
use flk_e2e::setting::Setting;
use flk_testkit::client::submit;
use flk_testkit::golden::bytes;
use flk_testkit::records::record;
use std::fs;
use std::os::unix::fs::PermissionsExt;

on_every_host!(
    admitted_bodies_are_kept_with_their_disposition,
    what_is_turned_away_before_admission_is_not_kept,
    records_outlive_rolls_and_crashes,
    a_clean_stop_leaves_nothing_open,
    secrets_on_disk_are_private,
);

fn admitted_bodies_are_kept_with_their_disposition(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let first = bytes("records/same_id_first.json");
    let conflict = bytes("records/same_id_conflict.json");
    let escalated = bytes("records/escalated_degraded.json");
    let forged = record(1).forged();
    let malformed = b"{\"pcs_id\":".to_vec();
    for (body, status) in [
        (&first, 200),
        (&conflict, 200),
        (&escalated, 202),
        (&forged, 401),
        (&malformed, 400),
    ] {
        assert_eq!(gateway.post(body).status, status);
    }
    assert_eq!(gateway.post(&first).dedup(), Some("hit"));
    assert_eq!(gateway.stop().code(), 0);
    let kept = Kept::read(directory.path());
    assert_eq!(kept.bodies.len(), 6);
    let mut dispositions = kept.dispositions_of(&first);
    dispositions.sort_by_key(|disposition| *disposition == Disposition::Duplicate);
    assert!(
        matches!(
            dispositions[..],
            [
                Disposition::Decided { accepted: true, .. },
                Disposition::Duplicate
            ]
        ),
        "{dispositions:?}"
    );
    assert_eq!(kept.dispositions_of(&conflict), [Disposition::Conflict]);
    assert!(matches!(
        kept.dispositions_of(&escalated)[..],
        [Disposition::Decided {
            accepted: false,
            ..
        }]
    ));
    let refused = |status, code| Disposition::Refused { status, code };
    assert_eq!(
        kept.dispositions_of(&forged),
        [refused(401, "signature_invalid")]
    );
    assert_eq!(
        kept.dispositions_of(&malformed),
        [refused(400, "malformed_json")]
    );
}

fn what_is_turned_away_before_admission_is_not_kept(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("TOKEN_RATE", "1")
        .start();
    let body = |number| String::from_utf8(record(number).body).unwrap();
    let post = |number: u64, target: &str, fields: &str| {
        let body = body(number);
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        );
        let mut connection = gateway.connect();
        connection.send(head.as_bytes()).unwrap();
        connection.response().unwrap().status
    };
    let submit_to = "/v1/pcs/submit";
    assert_eq!(post(1, "/v1/pcs", ""), 404);
    assert_eq!(post(2, "/health", ""), 405);
    assert_eq!(post(3, submit_to, "Content-Type: text/plain\r\n"), 415);
    assert_eq!(post(4, submit_to, "Content-Encoding: gzip\r\n"), 415);
    assert_eq!(post(5, submit_to, "X-Tenant-Id: nobody\r\n"), 401);
    assert_eq!(post(6, submit_to, "Transfer-Encoding: chunked\r\n"), 400);
    assert_eq!(post(7, submit_to, "Content-Length: 1\r\n"), 400);
    let mut limited = 0;
    for number in 10..20 {
        match gateway.post(&record(number).body).status {
            200 => {}
            429 => limited += 1,
            other => panic!("{other}"),
        }
    }
    assert!(limited > 0, "one request a second, and ten came at once");
    let mut cut = gateway.connect();
    let request = submit(&record(30).body);
    cut.send(&request[..request.len() - 1]).unwrap();
    cut.finish().unwrap();
    assert!(cut.closes(), "a partial request is dropped");
    assert_eq!(gateway.stop().code(), 0);
    let kept = Kept::read(directory.path());
    assert_eq!(
        kept.bodies.len(),
        10 - limited,
        "only what was admitted is kept"
    );
    for body in kept.bodies.values() {
        assert!(
            matches!(body.dispositions[..], [Disposition::Decided { .. }]),
            "{:?}",
            body.dispositions
        );
    }
}

fn records_outlive_rolls_and_crashes(setting: Setting) {
    const RECORDS: u64 = 24;
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    // Nearly 1 MiB each, in segments of 4 MiB.
    let body = |number| {
        let mut body = record(number).body;
        body.resize(1_000_000, b' ');
        body
    };
    let gateway = plan.start();
    for number in 0..RECORDS {
        assert_eq!(gateway.post(&body(number)).dedup(), Some("miss"));
    }
    gateway.kill();
    let kept = Kept::read(directory.path());
    let mut files: Vec<_> = kept.batches.iter().map(|batch| &batch.file).collect();
    files.dedup();
    assert!(files.len() >= 6, "only {} segments", files.len());
    for number in 0..RECORDS {
        assert_eq!(kept.dispositions_of(&body(number)).len(), 1, "{number}");
    }
    let gateway = plan.with("FLK_CORES", "1").start();
    for number in 0..RECORDS {
        assert_eq!(
            gateway.post(&record(number).body).dedup(),
            Some("hit"),
            "{number}"
        );
    }
}

fn a_clean_stop_leaves_nothing_open(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let gateway = plan.start();
    for number in 0..50 {
        assert_eq!(gateway.post(&record(number).body).status, 200);
    }
    assert_eq!(gateway.stop().code(), 0);
    let kept = Kept::read(directory.path());
    assert!(
        kept.bodies
            .values()
            .all(|body| body.dispositions.len() == 1),
        "each body has one disposition"
    );
    assert!(
        kept.verdicts.iter().all(|(_, verdict)| verdict.is_sound()),
        "{:?}",
        kept.verdicts
    );
    let gateway = plan.start();
    gateway.wait_until_said("after a clean stop");
    gateway.kill();
    let gateway = plan.start();
    gateway.wait_until_said("after an unclean stop");
}

fn secrets_on_disk_are_private(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let mode = |name: &str| {
        let metadata = fs::metadata(directory.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("secret"), 0o600);
    assert_eq!(mode("keeper.sock"), 0o600);
    gateway.stop();
}
