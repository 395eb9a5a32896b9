//! `flk bench fixtures`: what it writes for other generators is what a gateway accepts, or refuses where that was asked for.

use crate::bench::ready;
use crate::common::{flk, run};
use serde_json::Value;
use std::path::Path;

/// The records of `flk bench fixtures` with these options.
fn fixtures(dir: &Path, args: &[&str]) -> String {
    let made = run(
        flk(dir)
            .args(["bench", "fixtures", "--count", "20"])
            .args(args),
        b"",
    );
    assert_eq!(made.code, 0, "{made:?}");
    made.stdout
}

/// What `--form parts` wrote, put together again.
fn joined(parts: &str) -> String {
    let (head, lines) = parts.split_once('\n').unwrap();
    let head: Value = serde_json::from_str(head).unwrap();
    assert_eq!(head["format"], "flk-parts-1");
    let pieces: Vec<&str> = head["pieces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let body = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        assert_eq!(parts.len(), head["parts"].as_array().unwrap().len());
        let further = parts.iter().zip(&pieces[1..]);
        let further: String = further
            .map(|(part, piece)| format!("{part}{piece}"))
            .collect();
        format!("{}{further}\n", pieces[0])
    };
    lines.lines().map(body).collect()
}

#[test]
fn fixtures_are_new_records_that_a_gateway_accepts_or_refuses_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    let accepted = "20 accepted, 0 escalated, 0 refused, 0 without an answer\n0 seen before";
    let refused = "0 accepted, 0 escalated, 20 refused, 0 without an answer\n0 seen before";
    for (args, code, counts) in [
        (&[][..], 0, accepted),
        (&["--regime", "mixed", "--body-bytes", "4KiB"], 0, accepted),
        (&["--regime", "non_sticky"], 0, accepted),
        (&["--form", "parts"], 0, accepted),
        (&["--bad-signatures"], 1, refused),
        (&["--bad-signatures", "--form", "parts"], 1, refused),
    ] {
        let made = fixtures(dir, args);
        let bodies = match args.contains(&"parts") {
            true => joined(&made),
            false => made,
        };
        assert_eq!(bodies.lines().count(), 20);
        let sent = gateway.submit(dir, bodies.as_bytes());
        let said = sent.stdout + &sent.stderr;
        assert_eq!(sent.code, code, "{args:?}: {said}");
        assert!(said.contains(counts), "{args:?}: {said}");
    }
    assert_eq!(gateway.stop(), 0);
}
