//! A record that is right in every respect, and ways to spoil it. Shared by the integration tests.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

use flk_contract::{OwnedRecord, Parser, Scheme, SigningKey, hash::hex32, identity, record, sign};
use flk_testkit::child::try_run;
use std::process::Command;

pub use flk_testkit::records::KEY as SECRET;

/// Members of a valid record as (name, JSON text), signed by nobody.
pub fn members() -> Vec<(String, String)> {
    let id = hex32(&identity::pcs_id("abcdef0123", 7, "shard-001"));
    let id = String::from_utf8_lossy(&id).into_owned();
    [
        ("pcs_id", format!("\"{id}\"")),
        ("schema", "\"fractal-lba-kakeya\"".into()),
        ("version", "\"0.1\"".into()),
        ("shard_id", "\"shard-001\"".into()),
        ("epoch", "7".into()),
        ("attempt", "1".into()),
        ("sent_at", "\"2025-01-15T10:30:00Z\"".into()),
        ("seed", "42".into()),
        ("scales", "[2,4,8,16,32]".into()),
        ("N_j", r#"{"2":3,"4":5,"8":9,"16":17,"32":31}"#.into()),
        ("coh_star", "0.73".into()),
        ("v_star", "[0.12,0.98,-0.05]".into()),
        ("D_hat", "0.847996907".into()),
        ("r", "0.87".into()),
        ("budget", "0.285".into()),
        ("regime", "\"sticky\"".into()),
        ("merkle_root", "\"abcdef0123\"".into()),
        ("sig", "\"\"".into()),
        (
            "ft",
            r#"{"outbox_seq":12,"degraded":false,"fallbacks":[],"clock_skew_ms":-3}"#.into(),
        ),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect()
}

pub fn json(members: &[(String, String)]) -> Vec<u8> {
    let inner: Vec<String> = members
        .iter()
        .map(|(k, v)| format!("\"{k}\":{v}"))
        .collect();
    format!("{{{}}}", inner.join(",")).into_bytes()
}

/// The valid record with one member replaced.
pub fn with(name: &str, value: &str) -> Vec<u8> {
    let mut members = members();
    let found = members.iter_mut().find(|(k, _)| k == name);
    found.expect("a known member").1 = value.to_owned();
    json(&members)
}

/// The valid record without one member.
pub fn without(name: &str) -> Vec<u8> {
    let mut members = members();
    members.retain(|(k, _)| k != name);
    json(&members)
}

pub fn parsed(body: &[u8]) -> OwnedRecord {
    let mut parser = Parser::new();
    OwnedRecord::from(&parser.parse(body).expect("a valid record"))
}

pub fn hmac_key(scheme: &str) -> SigningKey {
    let scheme: Scheme = scheme.parse().expect("a scheme");
    SigningKey::from_text(scheme, SECRET).expect("a key")
}

/// The body of a record signed by `key`.
pub fn signed(key: &SigningKey) -> Vec<u8> {
    let mut owned = parsed(&json(&members()));
    owned.sig = sign(key, &owned.view());
    let mut out = Vec::new();
    record::write_json(&owned.view(), &mut out);
    out
}

/// What the Python program `name` under `tests/oracle` answers to `input`; nothing, said loudly, without Python.
pub fn oracle(name: &str, input: &str) -> Option<String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/").to_owned() + name;
    let mut python = Command::new("python3");
    let Ok(ran) = try_run(python.arg("-I").arg(program), input.as_bytes()) else {
        flk_testkit::skipped(&format!(
            "python3 is not here, so nothing was compared with CPython ({name})"
        ));
        return None;
    };
    assert!(
        ran.code == 0 && ran.took_all,
        "{name} failed: {}",
        ran.stderr
    );
    Some(ran.stdout)
}

/// A folder of the corpora; nothing, said loudly, where they are absent.
pub fn corpus(name: &str) -> Option<std::path::PathBuf> {
    let root = std::env::var_os("FLK_CORPORA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
        std::path::PathBuf::from,
    );
    let path = root.join(name);
    if path.is_dir() {
        return Some(path);
    }
    flk_testkit::skipped(&format!(
        "corpus {name}: not in this checkout's FLK_CORPORA folder"
    ));
    None
}
