//! Users of the console who sign in: what a session may do, and when it ends.

use crate::events::Events;
use crate::world::{Control, World};
use flk_control::tokens::{Role, make};
use flk_testkit::client::{Connection, Response};
use serde_json::{Value, json};

/// Control with a token of an administrator, beyond loopback or not.
fn with_token(world: &World, console: &str) -> (Control, String) {
    let (token, line) = make("anna", Role::Administrator).unwrap();
    std::fs::write(world.path().join("tokens"), line).unwrap();
    let mut command = world.command();
    command
        .env("ADMIN_TOKENS_FILE", "tokens")
        .env("ADMIN_CONSOLE", console);
    (Control::start(command), token)
}

fn sign_in(control: &Control, token: &str, fields: &str) -> Response {
    let body = json!({ "token": token }).to_string();
    let host = control.address();
    let length = body.len();
    let request = format!(
        "POST /console/session HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    );
    let mut connection = Connection::open(host).unwrap();
    connection.send(request.as_bytes()).unwrap();
    connection.response().unwrap()
}

/// The field that a browser sends back.
fn cookie(answer: &Response) -> String {
    assert_eq!(answer.status, 204, "{answer:?}");
    let set = answer.header("Set-Cookie").unwrap();
    format!("Cookie: {}\r\n", set.split(';').next().unwrap())
}

#[test]
fn a_session_looks_at_the_console_and_does_nothing_else() {
    let world = World::with_rate(1000);
    let (control, token) = with_token(&world, "local");
    assert_eq!(
        control.ask("GET", "/console/", "").status,
        200,
        "the page itself is for all"
    );
    let who = |fields: &str| -> Value {
        let answer = control.ask("GET", "/v1/console/whoami", fields);
        serde_json::from_str(answer.text()).unwrap()
    };
    assert_eq!(
        (&who("")["access"], &who("")["actor"]),
        (&json!("tokens"), &json!(null))
    );
    let without = control.ask("GET", "/v1/console/catalog", "");
    assert_eq!(
        (without.status, without.problem_code().as_str()),
        (401, "token_required")
    );
    for wrong in ["", "x", &token[1..], &"x".repeat(5000)] {
        let refused = sign_in(&control, wrong, "");
        assert_eq!((refused.status, refused.header("Set-Cookie")), (401, None));
    }
    let signed_in = sign_in(&control, &token, "");
    let set = signed_in.header("Set-Cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=3600"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(&token) && !set.contains("Secure"), "{set}");
    let cookie = cookie(&signed_in);
    let known = who(&cookie);
    assert_eq!(
        (&known["actor"], &known["role"]),
        (&json!("anna"), &json!("observer"))
    );
    assert_eq!(
        control.ask("GET", "/v1/console/catalog", &cookie).status,
        200
    );
    // Whatever its token may do: nothing but the console takes a cookie.
    let fields = format!("{cookie}Content-Length: 0\r\n");
    for (method, path) in [
        ("POST", "/v1/reload"),
        ("POST", "/v1/snapshots/0/rollback"),
        ("GET", "/v1/status"),
        ("GET", "/metrics"),
    ] {
        let refused = control.ask(method, path, &fields);
        let found = (refused.status, refused.problem_code());
        assert_eq!(found, (401, "token_required".to_owned()), "{path}");
    }
    assert_eq!(world.dataplane.published(), [0_u32; 0]);
    // A token in a field may look, too.
    let bearer = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(
        control.ask("GET", "/v1/console/catalog", &bearer).status,
        200
    );
}

#[test]
fn a_session_ends_when_it_is_ended_and_with_the_line_of_its_token() {
    let world = World::with_rate(1000);
    let (control, token) = with_token(&world, "local");
    let [one, other] = [(); 2].map(|()| cookie(&sign_in(&control, &token, "")));
    let status = |cookie: &str| control.ask("GET", "/v1/console/catalog", cookie).status;
    assert_eq!((status(&one), status(&other)), (200, 200));
    let ended = control.ask("DELETE", "/console/session", &one);
    assert!(ended.header("Set-Cookie").unwrap().contains("Max-Age=0"));
    assert_eq!((status(&one), status(&other)), (401, 200));
    let (_, line) = make("berta", Role::Observer).unwrap();
    std::fs::write(world.path().join("tokens"), line).unwrap();
    assert_eq!(status(&other), 401, "anna's line is gone");
    let (name, _) = one.split_once('=').unwrap();
    assert_eq!(status(&format!("{name}=0000\r\n")), 401);
}

#[test]
fn a_cookie_from_another_page_counts_nothing() {
    let world = World::with_rate(1000);
    let (control, token) = with_token(&world, "local");
    let cookie = cookie(&sign_in(&control, &token, ""));
    let host = control.address();
    for (fields, expected) in [
        (format!("Origin: http://{host}\r\n"), 200),
        ("Origin: http://evil.example\r\n".to_owned(), 403),
        ("Sec-Fetch-Site: cross-site\r\n".to_owned(), 403),
    ] {
        let answer = control.ask("GET", "/v1/console/catalog", &format!("{cookie}{fields}"));
        assert_eq!(answer.status, expected, "{fields}");
    }
    let forged = sign_in(&control, &token, "Origin: http://evil.example\r\n");
    assert_eq!((forged.status, forged.header("Set-Cookie")), (403, None));
}

#[test]
fn beyond_loopback_the_console_needs_a_setting_that_says_how_browsers_reach_it() {
    let world = World::with_rate(1000);
    for (console, expected, is_secure) in [
        (None, 404, false),
        (Some("local"), 404, false),
        (Some("plain"), 200, false),
        (Some("tls"), 200, true),
    ] {
        let (token, line) = make("anna", Role::Observer).unwrap();
        std::fs::write(world.path().join("tokens"), line).unwrap();
        let mut command = world.command();
        command
            .env("ADMIN_TOKENS_FILE", "tokens")
            .env("ADMIN_LISTEN", "0.0.0.0:0")
            .envs(console.map(|it| ("ADMIN_CONSOLE", it)));
        let control = Control::start(command);
        assert_eq!(
            control.ask("GET", "/console/", "").status,
            expected,
            "{console:?}"
        );
        if expected == 200 {
            let answer = sign_in(&control, &token, "");
            let set = answer.header("Set-Cookie").unwrap();
            assert_eq!(set.contains("Secure"), is_secure, "{set}");
        }
    }
}

#[test]
fn a_stream_ends_with_the_session_that_it_was_begun_in() {
    let world = World::with_rate(1000);
    let (control, token) = with_token(&world, "local");
    let [one, other] = [(); 2].map(|()| cookie(&sign_in(&control, &token, "")));
    let open = |cookie: &str| Events::open(&control, "names=flk_control_", cookie).unwrap();
    let (mut ends, mut goes_on) = (open(&one), open(&other));
    ends.until("sample");
    control.ask("DELETE", "/console/session", &one);
    // It asks again whether it may go on with each sign of life.
    let has_ended = (0..40).any(|_| {
        goes_on.until("sample");
        ends.next().is_none()
    });
    assert!(has_ended);
    goes_on.until("sample");
}
