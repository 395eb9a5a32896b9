//! The admin API: who is let in, and whether its description is true.

use crate::world::{Control, World};
use flk_control::api::{Door, OPENAPI, Route};
use flk_control::tokens::{Role, make};
use flk_testkit::process::Process;
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn every_route_is_described_and_every_described_route_exists() {
    let described: Value = serde_json::from_str(OPENAPI).unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    let paths = described["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
    });
    let of_routes = Route::ALL.iter().map(|it| (it.method_name(), it.path()));
    let of_routes: BTreeSet<_> = of_routes.collect();
    let of_page: BTreeSet<_> = operations
        .clone()
        .map(|(method, path, _)| (method, path))
        .collect();
    assert_eq!(of_page, of_routes);
    for (method, path, operation) in operations {
        let same = |it: &&Route| (it.method_name(), it.path()) == (method, path);
        let route = Route::ALL.iter().find(same).unwrap();
        let said = operation["description"].as_str().unwrap_or_default();
        match route.role() {
            None => assert_eq!(operation["security"], serde_json::json!([]), "{path}"),
            Some(role) => assert!(said.contains(role.as_str()), "{path}: {said}"),
        }
    }
}

#[test]
fn every_described_route_answers_as_described() {
    let world = World::with_rate(1000);
    let control = world.start();
    let described: Value = serde_json::from_str(OPENAPI).unwrap();
    // A stream has no end: a test of its own reads it.
    let with_end = Route::ALL.iter().filter(|it| **it != Route::Stream);
    for route in with_end {
        let path = route.path().replace("{number}", "0");
        let path = match route {
            Route::History => format!("{path}?names=flk_ingest"),
            _ => path,
        };
        let method = route.method_name().to_uppercase();
        let answer = control.ask(&method, &path, "Content-Length: 0\r\n");
        let responses = &described["paths"][route.path()][route.method_name()]["responses"];
        let response = &responses[answer.status.to_string()];
        assert!(response.is_object(), "{path}: {}", answer.status);
        let content = &response["content"];
        let Some(kind) = answer.header("Content-Type") else {
            assert!(content.is_null() && answer.body.is_empty(), "{path}");
            continue;
        };
        let kind = kind.split(';').next().unwrap();
        assert!(
            content[kind].is_object(),
            "{path}: {} {kind}",
            answer.status
        );
        let schema = content[kind]["schema"]["$ref"].as_str().unwrap_or_default();
        let name = schema.rsplit('/').next().unwrap();
        let schema = &described["components"]["schemas"][name];
        if let Some(required) = schema["required"].as_array() {
            let body: Value = serde_json::from_str(answer.text()).unwrap();
            let names: BTreeSet<_> = body.as_object().unwrap().keys().cloned().collect();
            let known = schema["properties"].as_object().unwrap();
            for name in required {
                assert!(names.contains(name.as_str().unwrap()), "{path}: {name}");
            }
            for name in names {
                assert!(known.contains_key(&name), "{path}: {name} is not described");
            }
        }
    }
}

#[test]
fn a_path_or_method_that_is_not_there_is_a_problem_document() {
    let world = World::with_rate(1000);
    let control = world.start();
    for (method, path, status, code) in [
        ("GET", "/v2", 404, "not_found"),
        ("GET", "/v1/snapshots/x", 400, "not_a_number"),
        ("GET", "/v1/snapshots/4294967296", 400, "not_a_number"),
        ("GET", "/v1/snapshots/9", 404, "not_kept"),
        ("GET", "/v1/reload", 405, "method_not_allowed"),
        ("DELETE", "/v1/snapshots/1", 405, "method_not_allowed"),
    ] {
        let answer = control.ask(method, path, "");
        assert_eq!(
            (answer.status, answer.problem_code().as_str()),
            (status, code),
            "{path}"
        );
    }
}

/// Control with a token of each role, and these tokens.
fn with_tokens(world: &World) -> (Control, Vec<String>) {
    let (tokens, lines): (Vec<_>, Vec<_>) = Role::ALL
        .into_iter()
        .map(|role| make(&format!("an-{}", role.as_str()), role).unwrap())
        .unzip();
    std::fs::write(world.path().join("tokens"), lines.join("\n")).unwrap();
    let mut command = world.command();
    command.env("ADMIN_TOKENS_FILE", "tokens");
    (Control::start(command), tokens)
}

#[test]
fn a_token_may_do_what_its_role_may_and_is_named_in_the_audit_log() {
    let world = World::with_rate(1000);
    let (control, tokens) = with_tokens(&world);
    world.set_text("[nothing\n");
    control.said("the configuration is wrong");
    let ask = |method: &str, path: &str, token: &str| {
        let fields = format!("Authorization: Bearer {token}\r\nContent-Length: 0\r\n");
        control.ask(method, path, &fields)
    };
    // Sessions are for browsers, and a stream has no end: tests of their own look at them.
    let of_programs = |it: &&Route| **it != Route::Stream && it.door() != Door::OwnPage;
    for route in Route::ALL.iter().filter(of_programs) {
        let path = route.path().replace("{number}", "0");
        let method = route.method_name().to_uppercase();
        for (token, role) in tokens.iter().zip(Role::ALL) {
            let is_let_in = route.role().is_none_or(|needed| role >= needed);
            let answer = ask(&method, &path, token);
            assert_eq!(answer.status != 403, is_let_in, "{path} as {role:?}");
            assert_ne!(answer.status, 401);
        }
        for wrong in ["", "flkadm_0", &tokens[2][1..]] {
            let status = ask(&method, &path, wrong).status;
            assert_eq!(status == 401, route.role().is_some(), "{path}");
        }
    }
    world.set_rate(2000);
    control.said("(by file)");
    let rolled = ask("POST", "/v1/snapshots/0/rollback", &tokens[1]);
    assert_eq!(rolled.status, 200, "{}", rolled.text());
    let line = world.audit().pop().unwrap();
    assert_eq!(line["actor"], "an-operator");
    assert_eq!(line["role"], "operator");
    let said = control.process.said();
    assert!(tokens.iter().all(|token| !said.contains(token.as_str())));
}

#[test]
fn a_token_that_is_taken_out_of_the_file_is_refused_at_once() {
    let world = World::with_rate(1000);
    let (control, tokens) = with_tokens(&world);
    let fields = format!("Authorization: Bearer {}\r\n", tokens[0]);
    assert_eq!(control.ask("GET", "/v1/status", &fields).status, 200);
    let path = world.path().join("tokens");
    let text = std::fs::read_to_string(&path).unwrap();
    let rest: Vec<&str> = text.lines().skip(1).collect();
    std::fs::write(&path, rest.join("\n")).unwrap();
    assert_eq!(control.ask("GET", "/v1/status", &fields).status, 401);
    std::fs::write(&path, "rubbish").unwrap();
    let answer = control.ask("GET", "/v1/status", &fields);
    assert_eq!(
        (answer.status, answer.problem_code().as_str()),
        (503, "tokens_unavailable")
    );
}

#[test]
fn a_line_that_becomes_wrong_is_said_once_and_counted_and_the_others_are_let_in() {
    let world = World::with_rate(1000);
    let (control, tokens) = with_tokens(&world);
    let path = world.path().join("tokens");
    let right = std::fs::read_to_string(&path).unwrap();
    // Nothing asks: it is noticed all the same.
    std::fs::write(&path, format!("{right}\nanna:operatr:0\n")).unwrap();
    control.said("ADMIN_TOKENS_FILE: tokens:4: the token's SHA-256 must be 64");
    let fields = format!("Authorization: Bearer {}\r\n", tokens[0]);
    let wrong = || {
        let page = control.ask("GET", "/metrics", &fields);
        assert_eq!(page.status, 200);
        flk_testkit::metrics::Metrics::read(page.text()).count("flk_control_tokens_wrong")
    };
    assert_eq!(wrong(), 1);
    let status = control.ask("GET", "/v1/status", &fields);
    let status: Value = serde_json::from_str(status.text()).unwrap();
    assert_eq!(status["tokens_wrong"].as_array().unwrap().len(), 1);
    // Another mistake in its place is news.
    std::fs::write(&path, format!("{right}\n\nanna:operatr:0\n")).unwrap();
    control.said("ADMIN_TOKENS_FILE: tokens:5: the token's SHA-256 must be 64");
    std::fs::write(&path, right).unwrap();
    control.said("ADMIN_TOKENS_FILE: tokens is right again");
    assert_eq!(wrong(), 0);
    assert_eq!(control.process.said().matches("tokens:4:").count(), 1);
}

#[test]
fn a_named_pipe_in_the_place_of_the_tokens_holds_nothing_up() {
    let world = World::with_rate(1000);
    let path = world.path().join("tokens");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let mut command = world.command();
    command.env("ADMIN_TOKENS_FILE", "tokens");
    let ended = Process::start(command)
        .unwrap()
        .ended(flk_testkit::DEADLINE);
    assert_eq!(ended.code(), 78, "{}", ended.said);
    assert!(ended.said.contains("tokens: it is a named pipe"));

    std::fs::remove_file(&path).unwrap();
    let (control, tokens) = with_tokens(&world);
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let fields = format!("Authorization: Bearer {}\r\n", tokens[0]);
    let answer = control.ask("GET", "/v1/status", &fields);
    assert_eq!(answer.problem_code(), "tokens_unavailable");
    assert_eq!(control.ask("GET", "/health", "").status, 200);
}

#[test]
fn without_tokens_a_page_in_a_browser_of_this_machine_is_refused() {
    let world = World::with_rate(1000);
    let control = world.start();
    let length = "Content-Length: 0\r\n";
    let with_origin = format!("Origin: http://localhost:3000\r\n{length}");
    let answer = control.ask("POST", "/v1/reload", &with_origin);
    assert_eq!(
        (answer.status, answer.problem_code().as_str()),
        (403, "local_only")
    );
    let mut connection = flk_testkit::client::Connection::open(control.address()).unwrap();
    let rebound = format!("POST /v1/reload HTTP/1.1\r\nHost: evil.example:8081\r\n{length}\r\n");
    connection.send(rebound.as_bytes()).unwrap();
    assert_eq!(connection.response().unwrap().status, 403);
    assert_eq!(control.metric("flk_control_requests_denied_total"), 2);
}

#[test]
fn another_address_than_loopback_without_tokens_is_refused_at_the_start() {
    let world = World::with_rate(1000);
    let mut command = world.command();
    command.env("ADMIN_LISTEN", "0.0.0.0:0");
    let ended = Process::start(command)
        .unwrap()
        .ended(flk_testkit::DEADLINE);
    assert_eq!(ended.code(), 78, "{}", ended.said);
    assert!(ended.said.contains("ADMIN_TOKENS_FILE"), "{}", ended.said);
}

#[test]
fn metrics_are_controls_own_and_those_of_the_data_plane_in_one_page() {
    let world = World::with_rate(1000);
    let control = world.start();
    assert_eq!(control.metric("flk_control_scrape_ok"), 1);
    assert_eq!(control.metric("http_requests_total{code=\"200\"}"), 7);
    assert_eq!(
        control.metric("flk_control_snapshot_suspect{number=\"0\"}"),
        0
    );
}

#[test]
fn a_client_that_asks_for_open_metrics_gets_both_pages_as_one_with_one_end() {
    let world = World::with_rate(1000);
    let control = world.start();
    let accept =
        "Accept: text/plain;q=0.3\r\nAccept: application/openmetrics-text;version=1.0.0\r\n";
    let answer = control.ask("GET", "/metrics", accept);
    let media_type = answer.header("content-type").unwrap();
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"));
    let page = answer.text();
    for part in [
        "# TYPE flk_control_audit_lines counter\nflk_control_audit_lines_total 0\n",
        "flk_control_scrape_ok 1\n",
        "# TYPE http_requests counter\nhttp_requests_total{code=\"200\"} 7\n",
    ] {
        assert!(page.contains(part), "{page}");
    }
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    assert_eq!(page.matches("# EOF").count(), 1);
    let plain = control.ask("GET", "/metrics", "Accept: text/plain\r\n");
    assert!(
        plain
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(!plain.text().contains("# EOF"));
}
