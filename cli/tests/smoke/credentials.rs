//! User and password of `/metrics`, from every place that a gateway takes them from.

use crate::common::{flk, run};
use crate::server::{Server, answer};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::path::Path;

/// What the documents of the real SOPS hold for acme.
const IN_SOPS: &str = "fixture-key-of-acme-0123456789abcdef";

/// A server whose metrics need this user and password.
fn asking_for(user_and_password: &str) -> Server {
    let expected = format!(
        "authorization: Basic {}\r\n",
        STANDARD.encode(user_and_password)
    );
    Server::answering(move |request, _| match request.head.contains(&expected) {
        true => answer(200, "", "flk_ingest_total 1\n"),
        false => answer(401, "", ""),
    })
}

/// A directory with a password in a file, and with the files that SOPS made.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let sealed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tests/sealed");
    for (from, to) in [
        ("sops/keys.env", "keys.env"),
        ("first.identity", "identity"),
    ] {
        std::fs::copy(sealed.join(from), dir.path().join(to)).unwrap();
    }
    std::fs::write(dir.path().join("pass"), "of-a-file\n").unwrap();
    std::fs::write(dir.path().join("a#b"), "of-an-odd-name").unwrap();
    dir
}

#[test]
fn user_and_password_are_taken_from_where_the_gateway_takes_them() {
    let dir = directory();
    let user = ("METRICS_USER", "scraper");
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("METRICS_PASS", "typed")], "typed"),
        (&[("METRICS_PASS_FILE", "pass")], "of-a-file"),
        // An empty variable counts as not set.
        (
            &[("METRICS_PASS", ""), ("METRICS_PASS_FILE", "pass")],
            "of-a-file",
        ),
        (
            &[
                ("METRICS_PASS_FILE", "keys.env#ACME_KEY"),
                ("SOPS_AGE_KEY_FILE", "identity"),
            ],
            IN_SOPS,
        ),
        (&[("METRICS_PASS_FILE", "a#b")], "of-an-odd-name"),
    ];
    for (variables, password) in cases {
        let server = asking_for(&format!("scraper:{password}"));
        let url = server.url();
        for arguments in [
            &["smoke", &url, "--no-records"][..],
            &["top", "--once", "--url", &url],
        ] {
            let mut command = flk(dir.path());
            command
                .args(arguments)
                .envs([user])
                .envs(variables.iter().copied());
            let ran = run(&mut command, b"");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            // It came in, and what is there is no page of a gateway.
            assert!(said.contains("not a gateway"), "{variables:?}: {said}");
            assert!(
                !said.contains("401: set METRICS_USER"),
                "{variables:?}: {said}"
            );
            assert!(!said.contains(password), "{said}");
        }
    }
}

#[test]
fn without_a_user_no_file_is_read_and_the_refusal_says_what_to_set() {
    let dir = directory();
    let server = asking_for("scraper:x");
    let url = server.url();
    for arguments in [
        &["smoke", &url, "--no-records"][..],
        &["top", "--once", "--url", &url],
    ] {
        let mut command = flk(dir.path());
        let ran = run(
            command.args(arguments).env("METRICS_PASS_FILE", "nowhere"),
            b"",
        );
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            said.contains("401: set METRICS_USER and METRICS_PASS (or METRICS_PASS_FILE)"),
            "{said}"
        );
        assert!(!said.contains("nowhere"), "{said}");
    }
}
