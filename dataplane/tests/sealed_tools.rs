//! Encrypted files as the real sops and age make them today, and the other way round. Where one of the tools is not on this
//! machine, the part that needs it is skipped aloud; the fixtures in `sealed/` are read in any case, by unit tests.
#![allow(missing_docs, clippy::unwrap_used)]

use flk_dataplane::config::sealed::age::{self, Identity};
use flk_dataplane::config::sealed::{AgeKeys, open};
use std::path::{Path, PathBuf};
use std::process::Command;
use zeroize::Zeroizing;

const KEY: &str = "interop-key-0123456789abcdef-0123456789";
const FORMATS: [&str; 4] = ["yaml", "json", "env", "binary"];

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sealed");
    fixtures.join(name)
}

fn identity_text() -> String {
    std::fs::read_to_string(fixture("first.identity")).unwrap()
}

fn recipient() -> String {
    let text = identity_text();
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("# public key: "));
    line.unwrap().to_owned()
}

/// Whether a tool is there; if not, that is said.
fn is_here(tool: &str) -> bool {
    let is_here = Command::new(tool).arg("--version").output().is_ok();
    if !is_here {
        flk_testkit::skipped(&format!("files of the real {tool}: it is not installed"));
    }
    is_here
}

fn run(command: &mut Command) -> Vec<u8> {
    let ran = command.output().unwrap();
    let trouble = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {trouble}");
    ran.stdout
}

fn read(bytes: &[u8], entry: Option<&str>) -> Result<String, String> {
    let keys = AgeKeys::of_file(fixture("first.identity"));
    let opened = open(Zeroizing::new(bytes.to_vec()), entry, &keys);
    let opened = opened.map_err(|error| error.to_string())?;
    Ok(std::str::from_utf8(&opened).unwrap().to_owned())
}

/// A plain document of a format with two values.
fn plain(format: &str) -> String {
    match format {
        "yaml" => {
            format!("acme:\n  current: {KEY}\n  previous: \"older\"\nnote_unencrypted: 1.50\n")
        }
        "json" => format!(
            "{{\"acme\": {{\"current\": \"{KEY}\", \"previous\": \"older\"}}, \"n\": [1, true]}}"
        ),
        "env" => format!("ACME_CURRENT={KEY}\nACME_PREVIOUS=older\n"),
        _ => KEY.to_owned(),
    }
}

fn entry(format: &str) -> Option<&'static str> {
    match format {
        "yaml" | "json" => Some("acme.current"),
        "env" => Some("ACME_CURRENT"),
        _ => None,
    }
}

/// The values of a document as they stand in it.
fn values(text: &str) -> Vec<String> {
    let values = text.match_indices("ENC[AES256_GCM,data:");
    let values = values.map(|(at, _)| text[at..=at + text[at..].find(']').unwrap()].to_owned());
    values.collect()
}

#[test]
fn documents_of_the_real_sops_are_read_in_every_format_and_refused_once_changed() {
    if !is_here("sops") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (format, extra) in FORMATS
        .into_iter()
        .flat_map(|format| [(format, false), (format, true)])
    {
        let path = directory.path().join(format!("keys.{format}"));
        std::fs::write(&path, plain(format)).unwrap();
        let rule = directory.path().join(".sops.yaml");
        let rules = format!(
            "creation_rules:\n  - age: {}\n    mac_only_encrypted: {extra}\n",
            recipient()
        );
        std::fs::write(&rule, rules).unwrap();
        let mut command = Command::new("sops");
        command.arg("--config").arg(&rule).arg("encrypt").arg(&path);
        let sealed = String::from_utf8(run(&mut command)).unwrap();
        assert!(!sealed.contains(KEY));
        assert_eq!(
            read(sealed.as_bytes(), entry(format)).as_deref(),
            Ok(KEY),
            "{format}"
        );

        let values = values(&sealed);
        for value in &values {
            let at = value.find("data:").unwrap() + 5;
            let mut other = value.clone();
            other.replace_range(at..=at, if &value[at..=at] == "A" { "B" } else { "A" });
            let changed = sealed.replace(value, &other);
            let problem = read(changed.as_bytes(), entry(format)).unwrap_err();
            let expected = ["does not decrypt", "MAC does not verify"];
            assert!(
                expected.iter().any(|it| problem.contains(it)),
                "{format}: {problem}"
            );
        }
        if format != "binary" {
            let [first, second] = [&values[0], &values[1]];
            let swapped = sealed
                .replace(first, "*")
                .replace(second, first)
                .replace('*', second);
            let problem = read(swapped.as_bytes(), entry(format)).unwrap_err();
            assert!(problem.contains("changed or moved"), "{format}: {problem}");
        }
    }
}

/// The example in `deploy/`, as a gateway reads it and as SOPS decrypts it when it is applied.
#[test]
fn the_example_secret_is_opened_by_its_identity_and_holds_nothing_in_plain_text() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/sops");
    let identity = example.join("test-only.identity");
    let secret = std::fs::read_to_string(example.join("secret.sops.yaml")).unwrap();
    assert!(!secret.contains("not-for-real-use"));
    for (entry, expected) in [
        (
            "stringData.acme.current",
            "example-key-of-acme-not-for-real-use-1",
        ),
        (
            "stringData.acme.previous",
            "example-key-of-acme-not-for-real-use-0",
        ),
        (
            "stringData.default",
            "example-key-of-all-others-not-for-real-use",
        ),
    ] {
        let bytes = Zeroizing::new(secret.clone().into_bytes());
        let opened = open(bytes, Some(entry), &AgeKeys::of_file(&identity)).unwrap();
        assert_eq!(**opened, *expected.as_bytes());
        if is_here("sops") {
            let mut command = Command::new("sops");
            command.env("SOPS_AGE_KEY_FILE", &identity).arg("decrypt");
            let plain = run(command.arg(example.join("secret.sops.yaml")));
            assert!(String::from_utf8(plain).unwrap().contains(expected));
        }
    }
}

#[test]
fn the_real_age_opens_what_is_made_here_and_the_other_way_round() {
    if !is_here("age") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, KEY).unwrap();
    for armor in [&["-a"][..], &[]] {
        let mut command = Command::new("age");
        command.args(armor).args(["-r", &recipient()]).arg(&path);
        assert_eq!(read(&run(&mut command), None).as_deref(), Ok(KEY));
    }
    let long = vec![7; 200_000];
    for plain in [KEY.as_bytes(), &long, b""] {
        let sealed = age::seal(plain, &[recipient().parse().unwrap()]).unwrap();
        std::fs::write(&path, &sealed).unwrap();
        let mut command = Command::new("age");
        command
            .arg("-d")
            .arg("-i")
            .arg(fixture("first.identity"))
            .arg(&path);
        assert_eq!(run(&mut command), plain);
        let text = identity_text();
        let identity = Identity::parse(text.lines().last().unwrap()).unwrap();
        assert_eq!(**age::open(sealed.as_bytes(), &[identity]).unwrap(), *plain);
    }
}
