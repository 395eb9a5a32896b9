//! The real gateway on a copy of the directory: it answers duplicates of everything that was decided with the stored
//! bytes, and it refuses to start on damage with the exit code that says so.

use super::vectors::{Files, edited, files, golden, list, number, text, vectors};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A gateway on a directory; killed when dropped.
struct Gateway {
    child: Child,
    lines: BufReader<ChildStderr>,
    said: Vec<String>,
}

impl Gateway {
    fn start(directory: &Path) -> Gateway {
        let mut child = Command::new(env!("CARGO_BIN_EXE_flk-dataplane"))
            .env_clear()
            .env("WAL_DIR", directory)
            .env("PORT", "0")
            .env("PCS_HMAC_KEY", "testsecret")
            .env("FLK_CORES", "1")
            .env("WAL_SEGMENT_BYTES", "4MiB")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Gateway {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Reads what it says up to a line that holds one of these texts; false if it ended before.
    fn says(&mut self, texts: &[&str]) -> bool {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            self.said.push(line.clone());
            if texts.iter().any(|text| line.contains(text)) {
                return true;
            }
        }
    }

    /// Waits for the end of recovery and says where to reach it.
    fn serving(&mut self) -> String {
        assert!(self.says(&["recovered"]), "{}", self.said.concat());
        let line = self.said.iter().find(|line| line.contains("listens on"));
        let address = line.unwrap().split("http://").nth(1).unwrap();
        let address = address.trim().to_owned();
        while exchange(&address, "GET", "/readyz", b"").0 != 200 {}
        address
    }

    fn exit_code(&mut self) -> Option<i32> {
        match self.says(&["recovered"]) {
            true => None,
            false => self.child.wait().unwrap().code(),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own: status, head, body.
fn exchange(address: &str, method: &str, path: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = match method {
        "POST" => format!("Content-Length: {}\r\n", body.len()),
        _ => String::new(),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// Submits a golden record: status, `Flk-Dedup`, body.
fn submit(address: &str, file: &Value) -> (u16, String, String) {
    let body = fs::read(golden(text(file))).unwrap();
    let (status, head, body) = exchange(address, "POST", "/v1/pcs/submit", &body);
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let ours = name.eq_ignore_ascii_case("flk-dedup");
        ours.then(|| value.trim().to_owned())
    });
    (status, field.unwrap_or_default(), body)
}

fn copied(files: &Files) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

/// What is stored in a directory.
fn stored(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "lock")
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// All decisions that are alive answer as hits with their stored bytes.
fn expect_hits(address: &str, directory: &Value) -> usize {
    let alive = list(&directory["outcomes"])
        .iter()
        .filter(|row| row["alive"] == true && row["tenant"] == "default");
    let mut count = 0;
    for row in alive {
        let found = submit(address, &row["file"]);
        let status = number(&row["status"]) as u16;
        let wanted = (status, "hit".to_owned(), text(&row["outcome"]).to_owned());
        assert_eq!(found, wanted, "{}", row["file"]);
        count += 1;
    }
    count
}

#[test]
fn a_gateway_on_the_directory_answers_every_duplicate_with_the_stored_bytes() {
    let vectors = vectors();
    let directory = &vectors["v1"];
    let copy = copied(&files(directory));
    let mut gateway = Gateway::start(copy.path());
    let address = gateway.serving();
    assert!(expect_hits(&address, directory) >= 20);
    for row in list(&directory["never_decided"]) {
        let (status, dedup, _) = submit(&address, &row["file"]);
        assert_eq!((status, dedup.as_str()), (200, "miss"), "{row}");
    }
    let said = gateway.said.concat();
    for two in list(&directory["two_outcomes"]) {
        let key = &text(&two["key"])[..16];
        let (first, second) = (&two["first_decided_at"], &two["second_decided_at"]);
        let wanted =
            format!("key {key}…: decided at {first} s (stands) and at {second} s (ignored)");
        assert!(said.contains(&wanted), "{wanted}: {said}");
    }
    // Killed without a word: a second start finds everything again, in the form that the first start gave it.
    drop(gateway);
    let mut gateway = Gateway::start(copy.path());
    let address = gateway.serving();
    expect_hits(&address, directory);
    for row in list(&directory["never_decided"]) {
        let (status, dedup, _) = submit(&address, &row["file"]);
        assert_eq!((status, dedup.as_str()), (200, "hit"), "{row}");
    }
}

#[test]
fn a_gateway_on_the_directory_with_a_slice_answers_every_duplicate_with_the_stored_bytes() {
    let vectors = vectors();
    let directory = &vectors["v1_sealed"];
    let copy = copied(&files(directory));
    let mut gateway = Gateway::start(copy.path());
    let address = gateway.serving();
    assert_eq!(expect_hits(&address, directory), 7);
}

#[test]
fn a_gateway_refuses_to_start_on_damage_with_the_exit_code_that_says_so() {
    let vectors = vectors();
    let whole = files(&vectors["v1"]);
    let mut tried = 0;
    let directories = list(&vectors["v1"]["start_variants"]);
    for variant in list(&vectors["v1"]["variants"]).iter().chain(directories) {
        let code = variant["expect"]["start"].as_i64();
        if code.is_none_or(|code| code == 0) {
            continue;
        }
        let damaged = edited(&whole, &variant["edits"]);
        let copy = copied(&damaged);
        let mut gateway = Gateway::start(copy.path());
        let found = gateway.exit_code().map(i64::from);
        let said = gateway.said.concat();
        assert_eq!(found, code, "{}: {said}", variant["name"]);
        assert_eq!(stored(copy.path()), damaged, "{}", variant["name"]);
        tried += 1;
    }
    assert!(tried >= 20, "{tried}");
}

#[test]
fn a_gateway_starts_on_torn_tails_and_on_what_does_not_count() {
    let vectors = vectors();
    let whole = files(&vectors["v1"]);
    let all = list(&vectors["v1"]["variants"]);
    let both = all.iter().chain(list(&vectors["v1"]["start_variants"]));
    for variant in both.filter(|it| it["expect"]["start"] == 0) {
        let name = text(&variant["name"]);
        let copy = copied(&edited(&whole, &variant["edits"]));
        let mut gateway = Gateway::start(copy.path());
        assert_eq!(
            gateway.exit_code(),
            None,
            "{name}: {}",
            gateway.said.concat()
        );
    }
}
