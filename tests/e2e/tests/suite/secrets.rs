//! Secrets of a running gateway: planted keys and passwords are looked for in all that it says, answers, writes and shows of
//! itself, and in its memory.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use flk_dataplane::config::sealed::age::{self, Identity};
use flk_e2e::setting::Setting;
use flk_testkit::child::copy_program;
use flk_testkit::client::Response;
use flk_testkit::gateway::{Gateway, status_of};
use flk_testkit::hex::hex;
use flk_testkit::plan::Plan;
use flk_testkit::records::{record, with_epoch};
use rustix::process::{Signal, geteuid};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

on_every_host!(
    planted_secrets_are_nowhere,
    no_other_process_of_the_same_user_can_read_the_memory_unless_asked,
);

/// In the environment, in a file, and the password of the metrics.
const KEY: &str = "kq7Vm2xPzR4tLw9sYb3nHc6jFd8gTa5e";
const KEY_IN_FILE: &str = "Zu3vQe8rNk1yXo6mBi4wCp9hSl2aDf7g";
const PASSWORD: &str = "Gj5tWn2bMx8qRv4zKy7cEs1pHu9oLa3i";
/// What the SOPS document of the fixtures holds.
const KEY_IN_SOPS: &str = "fixture-key-of-acme-0123456789abcdef";
/// A misspelt name of a setting.
const MISSPELT: &str = "Pd6fSw1gTe9hYx3jUz8kIv5lOb2nAm4q";

/// Files that the real SOPS and age made.
fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dataplane/tests/sealed");
    fixtures.join(name)
}

fn identity_file() -> String {
    std::fs::read_to_string(fixture("first.identity")).unwrap()
}

/// The text of the identity, without the beginning that every identity has.
fn identity_text() -> String {
    let text = identity_file();
    text[text.find("AGE-SECRET-KEY-1").unwrap() + 16..]
        .trim_end()
        .to_owned()
}

/// The private key that the text stands for, and the key of all values of the SOPS document.
fn raw_keys() -> [Vec<u8>; 2] {
    const DIGITS: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let text = identity_text();
    let digits = text.chars().map(|digit| DIGITS.find(digit).unwrap());
    let bits: Vec<bool> = digits
        .flat_map(|digit| (0..5).rev().map(move |bit| digit >> bit & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
    let private: Vec<u8> = bits.chunks_exact(8).take(32).map(byte).collect();
    let document = std::fs::read_to_string(fixture("sops/keys.yaml")).unwrap();
    let from = document.find("-----BEGIN").unwrap();
    let to = document.find("-----END").unwrap() + "-----END AGE ENCRYPTED FILE-----".len();
    let sealed: Vec<&str> = document[from..to].lines().map(str::trim).collect();
    let identity = Identity::parse(identity_file().lines().last().unwrap()).unwrap();
    let data = age::open(sealed.join("\n").as_bytes(), &[identity]).unwrap();
    [private, data.to_vec()]
}

/// Where a secret was found.
fn look(place: &str, bytes: &[u8], found: &mut Vec<String>) {
    for (number, key) in RAW_KEYS.iter().enumerate() {
        if holds(bytes, &key[..16]) {
            found.push(format!("raw key {number} in {place}"));
        }
    }
    let identity = IDENTITY.as_str();
    for secret in [KEY, KEY_IN_FILE, PASSWORD, MISSPELT, KEY_IN_SOPS, identity] {
        let hex = hex(secret.as_bytes());
        let padded = |pad: u8| secret.bytes().map(|byte| byte ^ pad).collect();
        let forms: [Vec<u8>; 6] = [
            secret.into(),
            hex.to_uppercase().into(),
            hex.into(),
            STANDARD_NO_PAD.encode(secret).into(),
            // As HMAC prepares a key.
            padded(0x36),
            padded(0x5c),
        ];
        for (number, form) in forms.iter().enumerate() {
            // The beginning of a secret is as bad as all of it.
            if holds(bytes, &form[..16]) {
                found.push(format!("{secret} in form {number} in {place}"));
            }
        }
    }
}

static IDENTITY: LazyLock<String> = LazyLock::new(identity_text);
static RAW_KEYS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(raw_keys);

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn planted_secrets_are_nowhere(setting: Setting) {
    let directory = setting.directory();
    let (wal, keys) = (directory.path().join("wal"), directory.path().join("keys"));
    std::fs::write(&keys, format!("{KEY_IN_FILE}\n")).unwrap();
    let sealed = fixture("sops/keys.yaml").display().to_string();
    let gateway = setting
        .plan(&wal)
        .with("PCS_HMAC_KEY", KEY)
        .with("PCS_HMAC_KEYS_FILE", keys.to_str().unwrap())
        .with("PCS_HMAC_KEY_NEW_FILE", &format!("{sealed}#acme.current"))
        .with("SOPS_AGE_KEY", &identity_file())
        .with("METRICS_USER", "prometheus")
        .with("METRICS_PASS", PASSWORD)
        .with("METRICS_PASSWORD", MISSPELT)
        .with("DEDUP_MEMORY_MAX", "64MiB")
        .start();
    let mut found = Vec::new();
    for answer in answers(&gateway) {
        let head = format!("{:?}", answer.headers);
        look("a head", head.as_bytes(), &mut found);
        look("a body", &answer.body, &mut found);
    }
    gateway.signal(Signal::HUP);
    gateway.wait_until_said("SIGHUP");
    look("status", status_of(&wal).to_string().as_bytes(), &mut found);
    for file in ["environ", "cmdline"] {
        let path = format!("/proc/{}/{file}", gateway.id());
        // Another user than root is refused, which is as good.
        let shown = std::fs::read(&path).unwrap_or_default();
        let is_shown = holds(&shown, b"prometheus") || file == "cmdline";
        assert!(is_shown || !geteuid().is_root(), "{path}");
        look(&path, &shown, &mut found);
    }
    look_into_memory(&gateway, &mut found);
    let ended = gateway.stop();
    look("standard error", ended.said.as_bytes(), &mut found);
    look_into_files(&wal, &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

/// Records that are good, forged, unreadable and unknown, and all pages, with and without the password.
fn answers(gateway: &Gateway) -> Vec<Response> {
    let text = String::from_utf8(record(7).body).unwrap();
    let good = [KEY, KEY_IN_FILE, KEY_IN_SOPS];
    let good = good.map(|key| gateway.post(&with_epoch(&text, 8, key)));
    assert_eq!(good.each_ref().map(|answer| answer.status), [200; 3]);
    let bad = [record(1).body, b"{".to_vec()].map(|body| gateway.post(&body));
    assert_eq!(bad.each_ref().map(|answer| answer.status), [401, 400]);
    let pages = ["/health", "/readyz", "/version", "/metrics", "/nowhere"];
    let pages = pages.map(|path| gateway.get(path));
    let credentials = credentials();
    let mut metrics = gateway.connect();
    let head =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\r\n");
    metrics.send(head.as_bytes()).unwrap();
    let metrics = metrics.response().unwrap();
    assert_eq!(metrics.status, 200);
    let mut all: Vec<Response> = good.into();
    all.extend(bad);
    all.extend(pages);
    all.push(metrics);
    all
}

/// What a client sends to see the metrics.
fn credentials() -> String {
    STANDARD.encode(format!("prometheus:{PASSWORD}"))
}

/// What a core image would hold. What is compared with an `Authorization` header is there, and is no text of these.
fn look_into_memory(gateway: &Gateway, found: &mut Vec<String>) {
    if !geteuid().is_root() {
        return flk_testkit::skipped("planted secrets in memory: only root can read it");
    }
    let id = gateway.id();
    let memory = File::open(format!("/proc/{id}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let credentials = credentials();
    let mut is_read = false;
    for line in maps.lines().filter(|line| {
        line.split(' ')
            .nth(1)
            .is_some_and(|it| it.starts_with("rw"))
    }) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let mut bytes = vec![0; (number(to) - number(from)) as usize];
        // Some pages of the kernel in it cannot be read by anyone.
        let count = memory.read_at(&mut bytes, number(from)).unwrap_or_default();
        if bytes[..count].iter().any(|&byte| byte != 0) {
            is_read |= holds(&bytes[..count], credentials.as_bytes());
            look(line, &bytes[..count], found);
        }
    }
    assert!(is_read, "not even what must be there was found");
}

fn look_into_files(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => look_into_files(&path, found),
            false => look(
                &path.display().to_string(),
                &std::fs::read(&path).unwrap(),
                found,
            ),
        }
    }
}

/// A user without privileges.
const OTHER_USER: u32 = 65_534;

fn no_other_process_of_the_same_user_can_read_the_memory_unless_asked(setting: Setting) {
    let as_other = |program: &Path| {
        let mut command = Command::new("setpriv");
        let user = format!("--reuid={OTHER_USER}");
        command.args([user.as_str(), "--clear-groups", "--inh-caps=-all"]);
        command.arg(program);
        command
    };
    if !geteuid().is_root()
        || !as_other(Path::new("true"))
            .status()
            .is_ok_and(|it| it.success())
    {
        return flk_testkit::skipped(
            "memory of a gateway of another user: this needs root and setpriv",
        );
    }
    let directory = setting.directory();
    chown(directory.path(), Some(OTHER_USER), None).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o711)).unwrap();
    // Its own copy: the user may not be allowed to reach the other one.
    let program = directory.path().join("gateway");
    copy_program(&setting.bare_plan().program, &program);
    for (asked, is_hidden) in [(None, true), (Some("1"), false)] {
        let mut plan: Plan = setting.plan(&directory.path().join("wal"));
        let wrapper = as_other(&program);
        plan.program = wrapper.get_program().into();
        plan = plan.with_arguments(&wrapper.get_args().collect::<Vec<_>>());
        if let Some(asked) = asked {
            plan = plan.with("FLK_CORE_DUMPS", asked);
        }
        plan = plan.with("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let gateway = plan.start();
        let memory = format!("/proc/{}/mem", gateway.id());
        let owner = std::fs::metadata(&memory).unwrap().uid();
        assert_eq!(owner, if is_hidden { 0 } else { OTHER_USER });
        let environment = format!("/proc/{}/environ", gateway.id());
        let mut reader = as_other(Path::new("cat"));
        let read = reader.arg(&environment).output().unwrap();
        let trouble = String::from_utf8_lossy(&read.stderr);
        assert_eq!(read.status.success(), !is_hidden, "{trouble}");
        assert_eq!(trouble.contains("Permission denied"), is_hidden);
        assert_eq!(gateway.post(&record(1).body).status, 200);
        assert_eq!(gateway.stop().code(), 0);
    }
}
