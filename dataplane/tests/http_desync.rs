//! Request cases that others collected against desynchronisation attacks, read in place from a folder of corpora.
//! Severe and ambiguous ones end in 400 and close, compliant ones pass framing; every exception, and every verdict that
//! is left to the implementation, is pinned with its reason in `pins/http-desync.txt`.
//!
//! The cases come without Host, which alone would refuse them all: one is added where none is given.

#![allow(clippy::expect_used)] // helpers of tests count as tests here

use flk_dataplane::http::{HeadStatus, HttpLimits as Limits, read_head};
use serde_norway::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One case: a name that is unique over all files, its class, and its bytes in each reading of its text.
struct Case {
    name: String,
    tier: String,
    streams: Vec<Vec<u8>>,
}

fn corpora() -> PathBuf {
    match std::env::var_os("FLK_CORPORA") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
    }
}

/// Text of a scalar as the case means it: numbers count as their digits.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => String::new(),
        other => panic!("not a scalar: {other:?}"),
    }
}

/// The request with characters up to U+00FF as single bytes or everything as UTF-8.
fn render(case: &Value, single_bytes: bool) -> Vec<u8> {
    let mut request = format!(
        "{} {} {}\r\n",
        text(&case["method"]),
        text(&case["uri"]),
        text(&case["version"])
    );
    let none = Vec::new();
    let headers = case["headers"].as_sequence().unwrap_or(&none);
    if !headers
        .iter()
        .any(|header| text(&header["name"]).eq_ignore_ascii_case("host"))
    {
        request.push_str("Host: example.com\r\n");
    }
    for header in headers {
        request.push_str(&format!(
            "{}: {}\r\n",
            text(&header["name"]),
            text(&header["value"])
        ));
    }
    request.push_str("\r\n");
    if !single_bytes {
        return request.into_bytes();
    }
    let mut bytes = Vec::new();
    for character in request.chars() {
        match u8::try_from(character) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn read_cases(folder: &Path) -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let yaml = std::fs::read_to_string(&file).expect("a readable file");
        let list: Vec<Value> = serde_norway::from_str(&yaml).expect("a list of cases");
        for (index, case) in list.iter().enumerate() {
            let mut streams = vec![render(case, false), render(case, true)];
            streams.dedup();
            cases.push(Case {
                name: format!("{stem}[{index}] {}", text(&case["name"])),
                tier: text(&case["expected"]["tier"]),
                streams,
            });
        }
    }
    cases
}

/// `pass`, or status and code of the refusal; both readings of a case where they differ.
fn verdict(case: &Case) -> String {
    let verdicts: Vec<String> = case
        .streams
        .iter()
        .map(|stream| match read_head(stream, &Limits::default()) {
            HeadStatus::Complete(_) => "pass".to_owned(),
            HeadStatus::Partial => "partial".to_owned(),
            HeadStatus::Refused(problem) => {
                assert!(problem.closes(), "{}", case.name);
                format!("{} {}", problem.status(), problem.code())
            }
        })
        .collect();
    match verdicts.as_slice() {
        [one] => one.clone(),
        [one, two] if one == two => one.clone(),
        several => several.join(" / "),
    }
}

/// What the class alone asks for: nothing for the free ones.
fn meets_its_class(tier: &str, verdict: &str) -> bool {
    match tier {
        "Severe" | "Ambiguous" => verdict.split(" / ").all(|one| one.starts_with("400 ")),
        "Compliant" => verdict == "pass",
        _ => false,
    }
}

/// Pins by case name: the verdict. Lines are `name | verdict | reason`; `#` starts a comment.
fn pins() -> BTreeMap<String, String> {
    let file = include_str!("pins/http-desync.txt");
    let mut pins = BTreeMap::new();
    for line in file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut parts = line.rsplitn(3, " | ");
        let reason = parts.next().unwrap_or_default();
        let verdict = parts.next().expect("a verdict");
        let name = parts.next().expect("a name");
        assert!(reason.len() > 10, "no reason: {line}");
        assert!(
            pins.insert(name.to_owned(), verdict.to_owned()).is_none(),
            "pinned twice: {name}"
        );
    }
    pins
}

#[test]
fn severe_and_ambiguous_requests_are_400_and_compliant_ones_pass() {
    let folder = corpora().join("http-desync");
    let mut pins = pins();
    if !folder.is_dir() {
        flk_testkit::skipped("corpus http-desync: not in this checkout's FLK_CORPORA folder");
        return;
    }
    let cases = read_cases(&folder);
    assert!(
        cases.len() >= 150,
        "only {} cases in {}",
        cases.len(),
        folder.display()
    );
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = verdict(case);
        // Control characters in names must not tear the pins' lines.
        let name = case.name.escape_default().to_string();
        match pins.remove(&name) {
            Some(pinned) if pinned == verdict && !meets_its_class(&case.tier, &verdict) => {}
            Some(pinned) => wrong.push(format!(
                "{name} | {verdict} | {}: pinned as {pinned}",
                case.tier
            )),
            None if meets_its_class(&case.tier, &verdict) => {}
            None => wrong.push(format!("{name} | {verdict} | {}", case.tier)),
        }
    }
    wrong.extend(
        pins.into_keys()
            .map(|name| format!("{name} | pinned but gone")),
    );
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
