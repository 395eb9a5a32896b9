//! `flk config` and the configuration file, as a user meets them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/gateway.rs"]
mod gateway;

use common::{codes, flk, run};
use gateway::Gateway;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const KEY: &str = "sesame-sesame-sesame-sesame-sesame";

/// A directory with a key and a configuration file in it.
fn with_file(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agent.key"), format!("{KEY}\n")).unwrap();
    std::fs::write(dir.path().join("flk.toml"), text).unwrap();
    dir
}

fn config(dir: &Path, args: &[&str]) -> common::Ran {
    let ran = run(flk(dir).arg("config").args(args), b"");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("sesame"));
    ran
}

#[test]
fn the_file_that_init_writes_says_what_holds_anyway() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("agent.key"), KEY).unwrap();
    assert_eq!(config(dir, &["init"]).code, 0);
    let path = dir.join("flk.toml");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = config(dir, &["init"]);
    assert_eq!(again.code, 2);
    assert!(
        again.stderr.contains("flk.toml is there already"),
        "{}",
        again.stderr
    );
    assert_eq!(config(dir, &["init", "--force"]).code, 0);

    let before = config(dir, &["show"]).stdout;
    let text = std::fs::read_to_string(&path).unwrap();
    let in_force: Vec<&str> = text
        .lines()
        .map(
            |line| match line.starts_with('#') && !line.starts_with("# ") {
                true => &line[1..],
                false => line,
            },
        )
        .collect();
    assert!(in_force.contains(&"port = 8080"), "{text}");
    std::fs::write(&path, in_force.join("\n")).unwrap();
    let after = config(dir, &["show", "--config", "flk.toml"]);
    assert_eq!((after.code, after.stderr.as_str()), (0, ""));
    assert_eq!(after.stdout, before, "defaults in the file change nothing");
    let mut check = flk(dir);
    check.env("PCS_HMAC_KEY_FILE", "agent.key");
    let checked = run(check.args(["config", "check", "--config", "flk.toml"]), b"");
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    assert_eq!(config(dir, &["init", "-"]).stdout, text);
}

#[test]
fn check_names_every_mistake_with_its_place() {
    let dir = with_file(
        "[http]\nport = 70000\n[dedup]\nttl = \"soon\"\n[signing]\nhmac_key_file = \"agent.key\"\n",
    );
    let checked = run(
        flk(dir.path())
            .args(["config", "check", "--config", "flk.toml"])
            .env("WAL_MAX_AGE", "1s")
            .env("DEDUP_TLL", "1d"),
        b"",
    );
    assert_eq!(checked.code, 78, "{}", checked.stdout);
    let lines: Vec<&str> = checked.stdout.lines().collect();
    for expected in [
        "error: DEDUP_TLL is not a setting and is not read; is DEDUP_TTL meant?",
        "error: flk.toml:2: http.port = 70000: not a port; allowed: ",
        "error: flk.toml:4: dedup.ttl = soon: not a number with a unit; allowed: ",
        "error: WAL_MAX_AGE=1s: out of bounds; allowed: ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{expected}: {lines:?}"
        );
    }
    assert_eq!(lines.len(), 4);
    let unknown = with_file(
        "[http]\nfoo = 1\nprot = 1\n[limits]\nrate = -5\nburst = 2\n[dedup]\nttl = 1979-05-27\n",
    );
    let checked = config(unknown.path(), &["check", "--config", "flk.toml"]);
    assert_eq!(checked.code, 78);
    for expected in [
        "flk.toml:2: http.foo: no such setting",
        "flk.toml:3: http.prot: no such setting; is http.port meant?",
        "flk.toml:5: limits.rate = -5: ",
        "flk.toml:6: limits.burst: no such setting",
        "flk.toml:8: dedup.ttl: neither a text nor a whole number",
        "PCS_HMAC_KEY: ",
    ] {
        let found = checked
            .stdout
            .lines()
            .any(|line| line.starts_with(&format!("error: {expected}")));
        assert!(found, "{expected}: {}", checked.stdout);
    }
    assert_eq!(checked.stdout.lines().count(), 6, "{}", checked.stdout);
}

#[test]
fn show_tells_where_each_value_comes_from_and_no_secret() {
    let dir = with_file("[http]\nport = 9090\n[signing]\nhmac_key_file = \"agent.key\"\n");
    let mut command = flk(dir.path());
    command.env("FLK_CONFIG", "flk.toml").env("DEDUP_TTL", "7d");
    command.args(["config", "show", "--output", "json"]);
    let ran = run(&mut command, b"");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains("sesame"));
    let settings = ran.json();
    let of = |key: &str| settings.iter().find(|it| it["key"] == key).unwrap();
    assert_eq!(of("http.port")["value"], "9090");
    assert_eq!(of("http.port")["origin"], "flk.toml:2: http.port");
    assert_eq!(of("dedup.ttl")["origin"], "environment: DEDUP_TTL");
    assert_eq!(of("http.listen")["origin"], "default");
    assert_eq!(of("http.listen")["value"], Value::Null);
    assert_eq!(of("signing.hmac_key_file")["value"], "(set, not shown)");
    let text = config(dir.path(), &["show", "--origin", "--config", "flk.toml"]).stdout;
    assert!(
        text.lines()
            .any(|line| line.starts_with("http.port ") && line.ends_with("flk.toml:2: http.port")),
        "{text}"
    );
}

#[test]
fn show_has_tenants_with_sources_of_keys_and_what_is_not_here() {
    let dir = with_file(
        "[limits]\nrate = 9\n[[tenants]]\nid = \"acme\"\nrate = 100\n[[tenants.keys]]\nid = \"a\"\nfile = \"agent.key\"\nnot_after = 2027-01-01T00:00:00Z\n[[tenants.keys]]\nid = \"b\"\nfile = \"/nowhere/b.key\"\n[[tenants]]\nid = \"beta\"\nenabled = false\nunsigned = true\n",
    );
    let shown = |more: &[&str]| {
        let args = [&["show", "--config", "flk.toml"][..], more].concat();
        let ran = config(dir.path(), &args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        ran
    };
    let rows = shown(&["--output", "json"]).json();
    let of = |name: &str| rows.iter().find(|it| it["tenant"] == name).unwrap();
    assert_eq!(of("acme")["limits"]["rate"], 100);
    assert_eq!(of("acme")["origin"], "flk.toml:3: tenants");
    let [here, elsewhere] = &of("acme")["keys"].as_array().unwrap()[..] else {
        panic!("two keys");
    };
    assert!(here["source"].as_str().unwrap().ends_with("agent.key"));
    assert!(here["fingerprint"].is_string());
    assert_eq!(here["not_after"], "2027-01-01T00:00:00Z");
    assert_eq!(elsewhere["source"], "/nowhere/b.key");
    assert_eq!(elsewhere["fingerprint"], Value::Null);
    assert_eq!(of("beta")["unsigned"], true);
    let text = shown(&["--origin"]).stdout;
    for (begin, end) in [
        (
            "tenants.acme             enabled, rate 100, parameters 1",
            "flk.toml:3: tenants",
        ),
        (
            "tenants.acme.keys.b      /nowhere/b.key, hmac-sha256, not on this machine",
            "flk.toml:3: tenants",
        ),
        (
            "tenants.beta             not enabled, unsigned, parameters 1",
            "tenants",
        ),
    ] {
        let is_it = |line: &str| line.starts_with(begin) && line.ends_with(end);
        assert!(text.lines().any(is_it), "{begin}: {text}");
    }
    let mut default = flk(dir.path());
    default.env("PCS_HMAC_KEY_FILE", "agent.key");
    let ran = run(default.args(["config", "show", "--output", "json"]), b"");
    let rows = ran.json();
    let of_default = rows.iter().find(|it| it["tenant"] == "default").unwrap();
    assert_eq!(of_default["origin"], "environment: PCS_HMAC_KEY_FILE");
    let none = run(
        flk(dir.path()).args(["config", "show", "--output", "json"]),
        b"",
    );
    assert!(
        none.json().iter().all(|it| it["tenant"].is_null()),
        "{}",
        none.stdout
    );
}

#[test]
fn check_names_every_key_that_cannot_be_read_and_an_admin_api_that_control_refuses() {
    let dir = with_file(
        "[signing]\nhmac_key_file = \"agent.key\"\n[admin]\nlisten = \"0.0.0.0:8081\"\n[[tenants]]\nid = \"acme\"\nkeys = [{ id = \"a\", file = \"/nowhere/a\" }, { id = \"b\", file = \"/nowhere/b\" }]\n",
    );
    let checked = config(dir.path(), &["check", "--config", "flk.toml"]);
    assert_eq!(checked.code, 78);
    let lines: Vec<&str> = checked.stdout.lines().collect();
    for (line, expected) in
        lines
            .iter()
            .zip(["/nowhere/a", "/nowhere/b", "ADMIN_LISTEN=0.0.0.0:8081: "])
    {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
    let check_with_tokens = |text: &str| {
        std::fs::write(dir.path().join("tokens"), text).unwrap();
        let mut command = flk(dir.path());
        command
            .env("PCS_HMAC_KEY_FILE", "agent.key")
            .env("ADMIN_TOKENS_FILE", "tokens");
        run(command.args(["config", "check"]), b"")
    };
    let wrong = check_with_tokens("anna:root:0\n");
    assert_eq!(wrong.code, 78);
    assert!(
        wrong
            .stdout
            .starts_with("error: ADMIN_TOKENS_FILE: tokens:1: "),
        "{}",
        wrong.stdout
    );
    let right = check_with_tokens(&format!("anna:observer:{}\n", "ab".repeat(32)));
    assert_eq!(right.code, 0, "{}", right.stdout);
}

#[test]
fn diff_says_what_changes_and_ends_with_one() {
    let dir = with_file("[http]\nport = 9090\n");
    let other =
        "[http]\nport = 9090\nkeepalive = \"90s\"\n[signing]\nhmac_key_file = \"agent.key\"\n";
    std::fs::write(dir.path().join("new.toml"), other).unwrap();
    let same = config(dir.path(), &["diff", "flk.toml", "flk.toml"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""));
    let changed = config(dir.path(), &["diff", "flk.toml", "new.toml"]);
    assert_eq!(changed.code, 1);
    for line in [
        "- http.keepalive = (default: 75s)",
        "+ http.keepalive = 90s",
        "+ signing.hmac_key_file = (set, not shown)",
        "2 settings changed, and 0 lines of tenants",
        "a restart of the gateway is needed for http.keepalive",
        "flk-control brings the rest into force while the gateway serves",
    ] {
        assert!(
            changed.stdout.lines().any(|it| it == line),
            "{line}: {}",
            changed.stdout
        );
    }
    assert_eq!(
        config(dir.path(), &["diff", "flk.toml", "none.toml"]).code,
        78
    );
}

#[test]
fn diff_says_which_process_must_be_restarted_for_what() {
    let dir = with_file("");
    let said = |text: &str| {
        std::fs::write(dir.path().join("new.toml"), text).unwrap();
        let ran = config(dir.path(), &["diff", "flk.toml", "new.toml"]);
        let lines = ran.stdout.lines().map(str::to_owned);
        lines
            .skip_while(|it| !it.contains("changed, and"))
            .skip(1)
            .collect::<Vec<_>>()
    };
    let all = "flk-control brings all of it into force while the gateway serves";
    let rest = "flk-control brings the rest into force while the gateway serves";
    assert_eq!(said("[limits]\nrate = 7\n"), [all]);
    assert_eq!(
        said("[http]\nport = 9\n"),
        ["a restart of the gateway is needed for http.port"]
    );
    assert_eq!(
        said("[limits]\nrate = 7\n[log]\nformat = \"json\"\n[admin]\nlisten = \"127.0.0.1:9\"\n"),
        [
            "a restart of the gateway is needed for log.format",
            "a restart of flk-control is needed for log.format, admin.listen",
            rest,
        ]
    );
}

#[test]
fn tenants_are_shown_with_what_they_do_not_say_compared_and_checked() {
    let text = "[[tenants]]\nid = \"acme\"\nunsigned = true\nwal_share = 40\nhome = \"eu-1\"\n\n[[tenants.params]]\nversion = \"2\"\ntol_d = 0.2\neffective_from = 2000-12-01T00:00:00Z\n";
    let dir = with_file(text);
    let dir = dir.path();
    let shown = config(dir, &["show", "--origin", "--config", "flk.toml"]).stdout;
    let line = "tenants.acme             enabled, unsigned, wal_share 40, home eu-1, parameters 2 from 2000-12-01T00:00:00Z flk.toml:1: tenants";
    assert!(shown.lines().any(|it| it == line), "{line}: {shown}");
    let args = ["show", "--output", "json", "--config", "flk.toml"];
    let rows = config(dir, &args).json();
    let acme = rows.iter().find(|it| it["tenant"] == "acme").unwrap();
    assert_eq!(acme["wal_share"], 40);
    assert_eq!(acme["home"], "eu-1");
    assert_eq!(acme["params"][0]["effective_from"], "2000-12-01T00:00:00Z");
    let later = text.replace("2000", "9000").replace("eu-1", "eu-2");
    std::fs::write(dir.join("new.toml"), later).unwrap();
    let changed = config(dir, &["diff", "flk.toml", "new.toml"]).stdout;
    for line in [
        "tenant acme: home eu-1 → eu-2",
        "tenant acme, parameters 2: effective_from 2000-12-01T00:00:00Z → 9000-12-01T00:00:00Z",
    ] {
        assert!(changed.lines().any(|it| it == line), "{line}: {changed}");
    }
    assert_eq!(config(dir, &["check", "--config", "flk.toml"]).code, 0);
    let checked = config(dir, &["check", "--config", "new.toml"]);
    assert_eq!(checked.code, 78);
    let error = "error: tenant acme, parameters 2: they are effective later only";
    assert!(checked.stdout.starts_with(error), "{}", checked.stdout);
}

#[test]
fn the_schema_is_json_and_names_the_dialect() {
    let dir = tempfile::tempdir().unwrap();
    let schema = config(dir.path(), &["schema"]);
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}

#[test]
fn a_gateway_starts_from_a_file_and_names_its_mistakes_by_line() {
    let dir = with_file("[wal]\ndir = \"here/wal\"\n[signing]\nhmac_key_file = \"agent.key\"\n");
    let gateway = Gateway::start_with(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    assert!(dir.path().join("here/wal").is_dir());
    assert!(
        !dir.path().join("data/dev.key").exists(),
        "the file names a key"
    );
    assert_eq!(gateway.stop(), 0);
    std::fs::write(dir.path().join("flk.toml"), "[http]\n\nport = -1\n").unwrap();
    let ran = run(flk(dir.path()).args(["up", "--config", "flk.toml"]), b"");
    assert_eq!(ran.code, 78);
    assert!(
        ran.stderr
            .contains("flk.toml:3: http.port = -1: not a port"),
        "{}",
        ran.stderr
    );
}

#[test]
fn exit_codes_are_told_in_the_help_of_each_command() {
    let dir = tempfile::tempdir().unwrap();
    for (command, expected) in [
        ("init", &[0, 2, 74][..]),
        ("check", &[0, 2, 74, 78]),
        ("show", &[0, 2, 74, 78]),
        ("diff", &[0, 1, 2, 74, 78]),
        ("schema", &[0, 2, 74]),
    ] {
        assert_eq!(
            codes(&config(dir.path(), &[command, "--help"]).stdout),
            expected,
            "{command}"
        );
    }
}

#[test]
fn a_configuration_in_a_pipe_is_refused_and_not_left_out() {
    let dir = with_file("");
    let text = b"[http]\nport = 0\n";
    for (args, code) in [
        (&["up", "--config", "/dev/stdin"][..], 2),
        (&["config", "check", "--config=/dev/stdin"], 78),
    ] {
        let mut command = flk(dir.path());
        let ran = run(
            command.args(args).env("PCS_HMAC_KEY_FILE", "agent.key"),
            text,
        );
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, code, "{said}");
        assert!(
            said.contains("/dev/stdin: it must be a regular file"),
            "{said}"
        );
    }
}

#[test]
fn what_is_not_read_of_open_telemetry_is_a_warning_and_no_mistake() {
    let dir = with_file("");
    let mut command = flk(dir.path());
    command
        .args(["config", "check"])
        .env("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");
    let ran = run(command.env("OTEL_TRACES_SAMPLER", "always_on"), b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    let warning = "warning: OTEL_TRACES_SAMPLER is not read: TRACE_SAMPLE and";
    assert!(ran.stdout.contains(warning), "{ran:?}");
}

#[test]
fn a_secret_for_a_new_directory_that_no_gateway_takes_is_a_mistake() {
    let dir = with_file("");
    let secret = dir.path().join("secret");
    let made = run(
        flk(dir.path()).args(["wal", "secret", "generate", "--out", "secret"]),
        b"",
    );
    assert_eq!(made.code, 0, "{made:?}");
    for (mode, code) in [(0o600, 0), (0o440, 0), (0o460, 78), (0o444, 78)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&secret, permissions).unwrap();
        let mut command = flk(dir.path());
        command
            .args(["config", "check"])
            .env("PCS_HMAC_KEY_FILE", "agent.key")
            .env("WAL_SECRET_FILE", "secret");
        let ran = run(&mut command, b"");
        assert_eq!(ran.code, code, "{mode:o}: {ran:?}");
        let said = "error: WAL_SECRET_FILE=secret: others than its owner may use it";
        assert_eq!(ran.stdout.contains(said), code != 0, "{ran:?}");
    }
}
