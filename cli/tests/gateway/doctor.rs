//! `flk doctor --telemetry` beside running processes: what it asks them for, and what it says where one does not answer.

use crate::common::{Ran, flk, run};
use crate::gateway::Gateway;
use crate::server::{Server, answer};
use std::net::TcpListener;
use std::path::Path;

/// Puts a new token into a file, and the line that lets it in into another.
fn make_token(dir: &Path) -> String {
    let made = run(
        flk(dir).args(["control", "token", "anna", "--role", "observer"]),
        b"",
    );
    assert_eq!(made.code, 0, "{made:?}");
    std::fs::write(dir.join("anna.token"), &made.stdout).unwrap();
    std::fs::write(dir.join("tokens"), made.stderr.lines().last().unwrap()).unwrap();
    made.stdout.trim_end().to_owned()
}

fn doctor(dir: &Path, urls: &[&str], token_file: &[&str]) -> Ran {
    let mut command = flk(dir);
    command.args(["doctor", "--telemetry"]).args(token_file);
    command.args(urls.iter().flat_map(|url| ["--url", url]));
    run(&mut command, b"")
}

#[test]
fn the_page_of_control_is_read_with_a_token_and_a_dead_process_hides_no_finding() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    make_token(dir);
    let gateway = Gateway::start_with(dir, &[("ADMIN_TOKENS_FILE", "tokens")]);
    gateway.wait_until_said("the data plane answers: snapshot 0 is in force");
    let admin = format!("http://{}", gateway.admin());
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}", dead.local_addr().unwrap());
    let levels = |ran: &Ran| -> Vec<String> {
        let levels = ran.stdout.lines().filter(|it| !it.starts_with(' '));
        levels.map(|it| it[..5].trim().to_owned()).collect()
    };
    let urls = [dead.as_str(), &gateway.url, &admin];
    let with = doctor(dir, &urls, &["--token-file", "anna.token"]);
    assert_eq!(with.code, 69, "{with:?}");
    assert_eq!(levels(&with), ["FAIL", "OK", "OK"], "{with:?}");
    assert!(
        with.stdout
            .contains("families of flk-dataplane and flk-control")
    );
    let without = doctor(dir, &urls[1..], &[]);
    assert_eq!(without.code, 69, "{without:?}");
    assert_eq!(levels(&without), ["OK", "FAIL"], "{without:?}");
    assert!(without.stdout.contains("--token-file"), "{without:?}");
    let alive = doctor(dir, &urls[1..], &["--token-file", "anna.token"]);
    assert_eq!((alive.code, levels(&alive).len()), (0, 2), "{alive:?}");
}

#[test]
fn a_token_goes_to_no_process_that_asks_for_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let token = make_token(dir.path());
    for (challenge, is_sent) in [
        ("", false),
        ("WWW-Authenticate: Basic realm=\"a\"\r\n", false),
        ("WWW-Authenticate: Bearer\r\n", true),
    ] {
        let server = Server::scripted(vec![answer(401, challenge, "")]);
        let url = server.url();
        let ran = doctor(dir.path(), &[&url], &["--token-file", "anna.token"]);
        assert_eq!(ran.code, 69, "{ran:?}");
        let requests = server.requests();
        let has_token = requests.iter().any(|it| it.head.contains(&token));
        assert_eq!(
            (has_token, requests.len()),
            (is_sent, 1 + usize::from(is_sent))
        );
    }
}
