//! Secrets and records are planted wherever an operator may have them, in the right place and in wrong ones, and the whole archive is looked
//! through for each of them: as it is, in hex, and in base64.

use crate::common::{flk, golden, run};
use crate::gateway::Gateway;
use crate::{bundle, opened};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flk_testkit::hex::hex;
use std::path::Path;

/// Of 32 bytes or more each, and different from each other.
const HMAC: &str = "planted-hmac-key-of-the-environment-0001";
const HMAC_OLD: &str = "planted-hmac-key-that-is-old-0002-abcdefg";
const PASS: &str = "planted-password-of-metrics-0003";
const HEADER: &str = "planted-header-of-the-collector-0004";
const OF_FILE: &str = "planted-key-of-acme-in-a-file-0005-qwerty";
const OF_DOCUMENT: &str = "planted-key-of-beta-in-a-document-0006-asd";
const PASTED: &str = "planted-key-pasted-into-the-file-0007-zxc";
const PASTED_AS_PLACE: &str = "plantedKeyInThePlaceOfAFile0008qwertyuiop";
const COMMENTED: &str = "planted-key-in-a-comment-0009-uiop-hjkl";
const AGENT: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const AWS: &str = "planted+aws/secret+access+key+0010+wJalrXUt";
const IN_LOG: &str = "planted-key-that-no-one-here-knows-0011";
/// Of the record.
const SHARD: &str = "planted-shard-of-the-payload-0012";

/// Whether a secret is among bytes: as it is, in hex of either case, and in base64 wherever it begins.
fn finds(bytes: &[u8], secret: &[u8]) -> Option<&'static str> {
    let has = |form: &[u8]| bytes.windows(form.len()).any(|it| it == form);
    let digits = hex(secret);
    let base64 = (0..3).any(|before| {
        // Groups of three bytes that are wholly of the secret.
        let whole = (secret.len() - before) / 3 * 3;
        has(STANDARD.encode(&secret[before..before + whole]).as_bytes())
    });
    match () {
        () if has(secret) => Some("as it is"),
        () if has(digits.as_bytes()) || has(digits.to_uppercase().as_bytes()) => Some("in hex"),
        () if base64 => Some("in base64"),
        () => None,
    }
}

fn assert_clean(archive: &Path, secrets: &[(&str, &[u8])]) {
    let (raw, bytes) = opened(archive);
    for (what, secret) in secrets {
        for bytes in [&raw, &bytes] {
            assert_eq!(finds(bytes, secret), None, "{what}");
        }
    }
}

#[test]
fn what_looks_through_the_archive_would_find_every_form() {
    let secret = b"planted-0000-xyz";
    let hex = "706c616e7465642d303030302d78797a";
    for (text, form) in [
        ("a planted-0000-xyz b".to_owned(), "as it is"),
        (format!("a{hex}b"), "in hex"),
        (hex.to_uppercase(), "in hex"),
        (STANDARD.encode("planted-0000-xyz"), "in base64"),
        (STANDARD.encode("user:planted-0000-xyz"), "in base64"),
        (STANDARD.encode("a planted-0000-xyz"), "in base64"),
        (STANDARD.encode("ab planted-0000-xyz."), "in base64"),
    ] {
        assert_eq!(finds(text.as_bytes(), secret), Some(form), "{text}");
    }
    assert_eq!(finds(b"planted-0000-xy", secret), None);
}

/// A record that the gateway takes, as it was sent.
fn sent(dir: &Path, gateway: &Gateway) -> Vec<u8> {
    let mut build = flk(dir);
    build.args(["pcs", "build", "--shard-id", SHARD]);
    let built = run(build.arg(golden("events/sample.csv")), b"");
    let mut sign = flk(dir);
    let signed = run(
        sign.args(["pcs", "sign"]).env("PCS_HMAC_KEY", HMAC),
        built.stdout.as_bytes(),
    );
    let record = signed.stdout.into_bytes();
    let taken = gateway.submit(dir, &record);
    assert!(
        taken.stdout.contains("200 accepted   miss"),
        "{}",
        taken.stderr
    );
    record
}

/// A log in which everything stands that must never be there.
fn wrong_log(record: &[u8]) -> String {
    let digits = hex(HMAC.as_bytes());
    let basic = STANDARD.encode(format!("prometheus:{PASS}"));
    let record = String::from_utf8_lossy(record);
    let escaped = serde_json::json!({ "body": record }).to_string();
    [
        "first line",
        HMAC_OLD,
        &digits,
        &basic,
        &STANDARD.encode(OF_FILE),
        &format!("started with PCS_HMAC_KEY={IN_LOG} PORT=1"),
        &format!("user: flk password: {IN_LOG} token='{IN_LOG}'"),
        &format!("GET http://flk:{IN_LOG}@gateway/metrics"),
        record.trim(),
        &escaped,
        "last line\n",
    ]
    .join("\n")
}

/// A directory whose settings hold secrets in every right place, and the variables beside it.
fn settings(dir: &Path) -> Vec<(&'static str, String)> {
    std::fs::write(dir.join("acme.key"), OF_FILE).unwrap();
    let tenants =
        "[[tenants]]\nid = \"acme\"\n[[tenants.keys]]\nid = \"2026\"\nfile = \"acme.key\"\n";
    std::fs::write(dir.join("flk.toml"), tenants).unwrap();
    [
        ("PCS_HMAC_KEY", HMAC),
        ("PCS_HMAC_KEY_OLD", HMAC_OLD),
        ("METRICS_USER", "prometheus"),
        ("METRICS_PASS", PASS),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("FLK_CONFIG", "flk.toml"),
        ("PCS_ED25519_PRIV_B64", AGENT),
        ("AWS_SECRET_ACCESS_KEY", AWS),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into_iter()
    .chain([(
        "OTEL_EXPORTER_OTLP_HEADERS",
        format!("authorization=Bearer%20{HEADER}"),
    )])
    .collect()
}

/// What of a record, and of the installation that took it, must stay there.
fn of_installation(dir: &Path, record: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let parsed: serde_json::Value = serde_json::from_slice(record).unwrap();
    let member = |name: &str| parsed[name].as_str().unwrap().as_bytes().to_vec();
    vec![
        ("the shard of a record", SHARD.into()),
        ("the Merkle root of a record", member("merkle_root")),
        ("the signature of a record", member("sig")),
        (
            "the secret of the directory",
            std::fs::read(dir.join("data/wal/secret")).unwrap(),
        ),
        (
            "the bytes of an agent's key",
            STANDARD.decode(AGENT).unwrap(),
        ),
    ]
}

/// The log was full of what is not in the archive, and the lines around it are still there.
fn assert_readable(archive: &Path, log: &str) {
    for secret in [HMAC, HMAC_OLD, PASS, OF_FILE, IN_LOG, SHARD] {
        assert!(
            finds(log.as_bytes(), secret.as_bytes()).is_some(),
            "{secret}"
        );
    }
    let files = crate::files(archive);
    let shown = &files["logs/1.txt"];
    assert!(shown.starts_with("first line\n[redacted]\n"), "{shown}");
    assert!(shown.ends_with("last line\n"), "{shown}");
    assert!(
        shown.contains("user: flk password: [redacted] token='[redacted]'\n"),
        "{shown}"
    );
    assert!(
        shown.contains("GET http://flk:[redacted]@gateway/metrics\n"),
        "{shown}"
    );
    let lines = shown.matches("[a line with a record was left out]");
    assert_eq!(lines.count(), 2, "{shown}");
    assert!(files["gateway/metrics.txt"].contains("flk_accepted 1\n"));
    assert!(files["config/settings.txt"].contains("tenants.acme"));
}

#[test]
fn no_secret_and_no_record_of_a_gateway_that_serves_is_in_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let settings = settings(dir);
    let mut variables: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let gateway = Gateway::start_with(dir, &variables);
    gateway.wait_until_ready();
    let record = sent(dir, &gateway);
    let log = wrong_log(&record);
    std::fs::write(dir.join("flk.log"), &log).unwrap();
    let admin = gateway.admin();
    variables.push(("ADMIN_LISTEN", &admin));
    let archive = dir.join("a.tar.gz");
    let arguments = [
        "--url",
        &gateway.url,
        "--log",
        "flk.log",
        "--out",
        "a.tar.gz",
    ];
    let ran = bundle(dir, &arguments, &variables);
    assert_eq!(ran.code, 0, "{}", ran.stderr);

    let of_installation = of_installation(dir, &record);
    let of_settings = [
        ("PCS_HMAC_KEY", HMAC),
        ("PCS_HMAC_KEY_OLD", HMAC_OLD),
        ("METRICS_PASS", PASS),
        ("headers of the collector", HEADER),
        ("the key of acme", OF_FILE),
        ("the key of an agent", AGENT),
        ("AWS_SECRET_ACCESS_KEY", AWS),
        ("a key in a log", IN_LOG),
    ];
    let of_settings = of_settings.map(|(what, secret)| (what, secret.as_bytes()));
    let of_installation = of_installation
        .iter()
        .map(|(what, it)| (*what, it.as_slice()));
    let secrets: Vec<(&str, &[u8])> = of_settings.into_iter().chain(of_installation).collect();
    assert_clean(&archive, &secrets);
    assert_readable(&archive, &log);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn no_secret_in_a_wrong_place_of_a_broken_configuration_is_in_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let file = format!(
        "# {COMMENTED}\n[signing]\nhmac_key = \"{PASTED}\"\nhmac_keys_file = \"{PASTED_AS_PLACE}\"\n\
        [[tenants]]\nid = \"acme\"\nsecret = \"{OF_FILE}\"\n"
    );
    std::fs::write(dir.join("flk.toml"), &file).unwrap();
    let document = format!("beta:hmac:{OF_DOCUMENT},gamma:hmac:{HMAC}");
    std::fs::write(dir.join("tenants"), &document).unwrap();
    let identity =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tests/sealed/first.identity");
    let identity = std::fs::read_to_string(identity).unwrap();
    let identity = identity
        .lines()
        .find(|it| it.starts_with("AGE-SECRET-KEY-"))
        .unwrap();
    std::fs::write(
        dir.join("flk.log"),
        format!("{PASTED}\n{OF_DOCUMENT}\n{identity}\n"),
    )
    .unwrap();
    let variables = [
        ("FLK_CONFIG", "flk.toml"),
        ("MULTI_TENANT", "1"),
        ("TENANTS_FILE", "tenants"),
        ("PCS_HMAC_KEY_FILE", PASTED_AS_PLACE),
        ("PCS_HMAC_KYE", HMAC_OLD),
        ("SOPS_AGE_KEY", identity),
        ("ADMIN_LISTEN", "127.0.0.1:1"),
    ];
    let ran = bundle(dir, &["--log", "flk.log", "--out", "a.tar.gz"], &variables);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("planted"), "{text}");
    }
    assert_clean(
        &dir.join("a.tar.gz"),
        &[
            ("a comment", COMMENTED.as_bytes()),
            ("an unknown key", PASTED.as_bytes()),
            ("the place of a file", PASTED_AS_PLACE.as_bytes()),
            ("an unknown key of a tenant", OF_FILE.as_bytes()),
            ("a document of tenants", OF_DOCUMENT.as_bytes()),
            ("another tenant of it", HMAC.as_bytes()),
            ("a variable that is misspelt", HMAC_OLD.as_bytes()),
            ("an age identity", identity.as_bytes()),
        ],
    );
    let files = crate::files(&dir.join("a.tar.gz"));
    assert!(files["config/file.txt"].contains("signing.hmac_key = (not shown)"));
    assert!(
        files["logs/1.txt"].starts_with("[redacted]\n[redacted]\n["),
        "{}",
        files["logs/1.txt"]
    );
}
