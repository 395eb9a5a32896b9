//! Stored outcomes looked up by clients: the same bytes wherever the outcome lies, under its tenant alone, and only where the
//! operator has switched it on.

use flk_e2e::setting::Setting;
use flk_testkit::client::Response;
use flk_testkit::gateway::{Gateway, command_to, status_of};
use flk_testkit::metrics::Metrics;
use flk_testkit::records::{KEY, record, with_epoch};
use std::path::Path;

on_every_host!(
    outcomes_are_found_in_memory_after_a_kill_and_in_slices,
    a_tenant_finds_its_own_outcomes_only,
    look_ups_are_off_until_they_are_switched_on,
);

fn path(number: u64) -> String {
    format!("/v1/pcs/{}", record(number).pcs_id)
}

/// Found, with the bytes and the status that a submit got.
fn finds(gateway: &Gateway, number: u64, submitted: &Response) {
    let found = gateway.get(&path(number));
    assert_eq!(found.body, submitted.body, "{found:?}");
    assert_eq!((found.status, found.dedup()), (submitted.status, None));
}

/// Seals everything; the slices that there are then.
fn seal(directory: &Path) -> u64 {
    let answer = command_to(directory, "compact");
    assert!(answer.starts_with("ok"), "{answer}");
    status_of(directory)["slices"].as_u64().unwrap()
}

fn outcomes_are_found_in_memory_after_a_kill_and_in_slices(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_LOOK_UPS", "on");
    let gateway = plan.start();
    let answers: Vec<Response> = (0..20)
        .map(|number| gateway.post(&record(number).body))
        .collect();
    let escalated = flk_testkit::golden::bytes("records/escalated_degraded.json");
    assert_eq!(gateway.post(&escalated).status, 202);
    let text = String::from_utf8(escalated).unwrap();
    let (_, behind) = text.split_once("\"pcs_id\"").unwrap();
    let id = behind.split('"').nth(1).unwrap();
    assert_eq!(gateway.get(&format!("/v1/pcs/{id}")).status, 202);
    let all_found = |gateway: &Gateway| {
        for (number, submitted) in (0..).zip(&answers) {
            finds(gateway, number, submitted);
        }
        let absent = gateway.get(&path(999));
        assert_eq!(
            (absent.status, absent.problem_code()),
            (404, "outcome_not_found".to_owned())
        );
    };
    all_found(&gateway);
    gateway.kill();
    let gateway = plan.start();
    all_found(&gateway);
    assert!(seal(directory.path()) > 0);
    all_found(&gateway);
    let page = gateway.get("/metrics");
    let found = "flk_look_ups_total{result=\"found\"} 40\n";
    assert!(page.text().contains(found), "{}", page.text());
    let fresh = gateway.post(&record(999).body);
    assert_eq!(fresh.dedup(), Some("miss"), "no look-up claimed it");
    assert_eq!(gateway.stop().code(), 0);
    let gateway = plan.start();
    for (number, submitted) in (0..).zip(&answers) {
        finds(&gateway, number, submitted);
    }
    let page = Metrics::read(gateway.get("/metrics").text());
    assert!(
        page.count("flk_slice_reads_total") >= 20,
        "slices have them"
    );
}

fn a_tenant_finds_its_own_outcomes_only(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .without("PCS_HMAC_KEY")
        .with("MULTI_TENANT", "1")
        .with("TENANTS", &format!("acme:hmac:{KEY},beta:hmac:{KEY}"))
        .with("FLK_LOOK_UPS", "on")
        .start();
    let text = String::from_utf8(record(1).body).unwrap();
    let body = String::from_utf8(with_epoch(&text, 1, KEY)).unwrap();
    let (_, behind) = body.split_once("\"pcs_id\":\"").unwrap();
    let id = behind.split('"').next().unwrap();
    let ask = |head: String| {
        let mut connection = gateway.connect();
        connection.send(head.as_bytes()).unwrap();
        connection.response().unwrap()
    };
    let length = body.len();
    let submitted = ask(format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: g\r\nX-Tenant-Id: acme\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(submitted.dedup(), Some("miss"), "{submitted:?}");
    let look = |tenant: &str| {
        ask(format!(
            "GET /v1/pcs/{id} HTTP/1.1\r\nHost: g\r\nX-Tenant-Id: {tenant}\r\n\r\n"
        ))
    };
    assert_eq!(look("acme").body, submitted.body);
    assert_eq!(look("beta").problem_code(), "outcome_not_found");
    assert_eq!(look("nobody").problem_code(), "unknown_tenant");
}

fn look_ups_are_off_until_they_are_switched_on(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
    let answer = gateway.get(&path(1));
    let nowhere = gateway.get("/v1/nowhere");
    assert_eq!((answer.status, answer.body), (nowhere.status, nowhere.body));
    assert_eq!(answer.status, 404);
    let said = gateway.stop().said;
    assert!(!said.contains("look-ups"), "{said}");
    let said = setting
        .plan(directory.path())
        .with("FLK_LOOK_UPS", "on")
        .start()
        .stop()
        .said;
    assert!(
        said.contains("each client that reaches the port reads outcomes"),
        "{said}"
    );
}
