//! The rules of JSON: the public corpus where it is at hand, our own cases everywhere, and serde_json as a second reader.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use common::{corpus, json, members};
use flk_contract::{
    MalformedCode::{self, DuplicateKey, NotJson, TooDeep, TooManyMembers},
    Parser,
    parse::{DEPTH_MAX, MEMBERS_COUNT_MAX, check_json},
};
use proptest::prelude::*;

const PINS: &str = include_str!("pins/json.txt");

fn files(folder: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = corpus("json-test-suite")?.join(folder);
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    };
    Some(std::fs::read_dir(folder).unwrap().map(read).collect())
}

fn verdict(body: &[u8]) -> &'static str {
    check_json(body).map_or_else(|malformed| malformed.code.as_str(), |()| "accept")
}

/// Two must-accept cases repeat a key: valid JSON, refused by the contract for that reason and no other.
#[test]
fn corpus_must_cases_hold() {
    let Some(files) = files("test_parsing") else {
        return;
    };
    let pins = pins();
    let mut judged = 0;
    for (name, body) in &files {
        let pinned = pins.get(name.as_str()).copied();
        match &name[..2] {
            "y_" => assert_eq!(verdict(body), pinned.unwrap_or("accept"), "{name}"),
            "n_" => assert_ne!(verdict(body), "accept", "{name}"),
            _ => continue,
        }
        judged += 1;
    }
    assert_eq!(judged, 95 + 188);
    let stricter = pins.iter().filter(|(name, _)| name.starts_with("y_"));
    assert!(
        stricter
            .into_iter()
            .all(|(_, v)| *v == DuplicateKey.as_str())
    );
}

/// Lines of `pins/json.txt`: verdict, file, reason.
fn pins() -> BTreeMap<&'static str, &'static str> {
    PINS.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let verdict = parts.next().unwrap();
            let file = parts.next().unwrap();
            assert!(
                parts.next().is_some_and(|reason| reason.len() > 8),
                "{line}"
            );
            (file, verdict)
        })
        .collect()
}

#[test]
fn corpus_free_cases_keep_their_pinned_verdict() {
    let (Some(parsing), Some(transform)) = (files("test_parsing"), files("test_transform")) else {
        return;
    };
    let free = parsing.iter().filter(|(name, _)| name.starts_with("i_"));
    let judged: BTreeMap<&str, &str> = free
        .chain(&transform)
        .map(|(name, body)| (name.as_str(), verdict(body)))
        .collect();
    let mut pins = pins();
    pins.retain(|name, _| !name.starts_with("y_"));
    assert_eq!(judged, pins);
}

#[test]
fn our_own_must_accept_cases_hold() {
    for text in [
        "{}",
        " \t\r\n{ } \n",
        "[]",
        "0",
        "-0",
        "-0.0e+0",
        "\"\\u0000\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
        "\"\u{7f}\u{2028}\u{feff}\"",
        r#"{"a":1,"b":{"a":1},"A":2}"#,
        r#"{"":0,"\u0000":1}"#,
        "123456789012345678901234567890",
        "-123456789012345678901234567890",
        "1.7976931348623157e308",
        "1e-999",
        "0e99999999999999999999",
        "[1e1,1E+1,1e-1,1.0E01]",
    ] {
        assert_eq!(check_json(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn our_own_must_reject_cases_hold() {
    for text in [
        "",
        " ",
        "\u{feff}{}",
        "{}{}",
        "{} x",
        "{},",
        "{}\0",
        "{'a':1}",
        "{a:1}",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":}"#,
        r#"{"a"}"#,
        r#"{,"a":1}"#,
        "[1,]",
        "[1 2]",
        "[",
        "]",
        "{\"a\":[}",
        "01",
        "-01",
        "+1",
        "1.",
        ".5",
        "-",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "tru",
        "True",
        "nul",
        "\"\n\"",
        "\"\u{1f}\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"",
        "\"\\",
        "// c\n{}",
        "{}/**/",
    ] {
        assert_eq!(code(text.as_bytes()), Some(NotJson), "{text:?}");
    }
    let overflow = "9".repeat(400);
    assert_eq!(code(overflow.as_bytes()), Some(NotJson));
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82\"",
        b"{\"\x80\":1}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
    ] {
        assert_eq!(code(bytes), Some(NotJson), "{bytes:x?}");
    }
}

fn code(body: &[u8]) -> Option<MalformedCode> {
    check_json(body).err().map(|malformed| malformed.code)
}

#[test]
fn a_key_met_twice_in_one_object_is_refused_at_any_depth_and_in_any_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"a":1,"b":[],"a":{}}"#,
        r#"[[{"x":{"a":1,"a":2}}]]"#,
        r#"{"x":[{"b":1},{"a":{},"a":{}}]}"#,
        r#"{"":1,"":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
    ] {
        assert_eq!(code(text.as_bytes()), Some(DuplicateKey), "{text}");
    }
    // canonically equal, but other code points: two keys
    assert_eq!(code("{\"é\":1,\"e\u{301}\":2}".as_bytes()), None);
}

/// Objects on both sides of the border between comparing pairs and sorting.
#[test]
fn duplicates_are_found_in_small_and_large_objects_alike() {
    for members_count in [2, 3, 23, 24, 25, 26, 100, 1024] {
        let key = |i: usize| format!("\"key{i}\":{{\"n\":[{i}]}}");
        let distinct: Vec<String> = (0..members_count).map(key).collect();
        let object = |members: &[String]| format!("{{{}}}", members.join(","));
        assert_eq!(code(object(&distinct).as_bytes()), None);
        for (from, to) in [
            (0, members_count - 1),
            (members_count - 1, 0),
            (members_count / 2, 0),
        ] {
            if from == to {
                continue;
            }
            let mut twice = distinct.clone();
            twice[to] = key(from);
            assert_eq!(
                code(object(&twice).as_bytes()),
                Some(DuplicateKey),
                "{members_count} {from} {to}"
            );
        }
    }
}

#[test]
fn depth_is_bounded_at_32() {
    let arrays = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    assert_eq!(DEPTH_MAX, 32);
    assert_eq!(code(arrays(32).as_bytes()), None);
    assert_eq!(code(objects(32).as_bytes()), None);
    assert_eq!(code(arrays(33).as_bytes()), Some(TooDeep));
    assert_eq!(code(objects(33).as_bytes()), Some(TooDeep));
    assert_eq!(code("[".repeat(1_000_000).as_bytes()), Some(TooDeep));
}

#[test]
fn members_are_bounded_at_1024_per_object() {
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(MEMBERS_COUNT_MAX, 1024);
    assert_eq!(code(object(1024).as_bytes()), None);
    assert_eq!(code(object(1025).as_bytes()), Some(TooManyMembers));
    let nested = format!("[{{\"a\":{}}}]", object(1025));
    assert_eq!(code(nested.as_bytes()), Some(TooManyMembers));
}

#[test]
fn a_parser_is_usable_after_every_refusal() {
    let good = json(&members());
    let mut parser = Parser::new();
    for bad in [
        "",
        "{",
        "[[[",
        "{\"a\":1,\"a\":1}",
        "{}",
        "\"\\ud800\"",
        "1e400",
    ] {
        assert!(parser.parse(bad.as_bytes()).is_err());
        assert!(parser.parse(&good).is_ok(), "after {bad}");
    }
}

/// JSON text with white space, escapes and odd numbers, as serde_json would also read it.
fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<f64>().prop_filter_map("finite", |v| v.is_finite().then(|| format!("{v:e}"))),
        any::<i64>().prop_map(|v| v.to_string()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,2})?",
    ];
    let string = prop_oneof![
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        "\"([a-z]|\\\\u[0-9a-fA-F]{4}|\\\\[nrtbf\"/\\\\])*\"",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        string.clone(),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let member = (string.clone(), inner.clone()).prop_map(|(k, v)| format!("{k} : {v}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|v| format!("[{}]", v.join(" ,"))),
            prop::collection::vec(member, 0..6).prop_map(|v| format!("{{ {} }}", v.join(","))),
        ]
    })
}

/// serde_json's verdict; it keeps the last of equal keys, so duplicates are judged by us alone.
fn second_reader_accepts(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok()
}

proptest! {
    #[test]
    fn two_readers_agree_on_generated_json(text in any_json()) {
        let ours = check_json(text.as_bytes());
        let theirs = second_reader_accepts(text.as_bytes());
        match ours {
            Ok(()) => prop_assert!(theirs, "{}", text),
            Err(malformed) if malformed.code == NotJson => prop_assert!(!theirs, "{}", text),
            Err(_) => {}
        }
    }

    /// Keys of two letters and lengths of up to six often look alike without being equal, and are often equal.
    #[test]
    fn a_key_is_found_twice_exactly_where_a_set_finds_it(keys in prop::collection::vec("[ab]{0,6}", 0..30)) {
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":{{\"in\":1}}")).collect();
        let distinct = keys.iter().collect::<std::collections::BTreeSet<_>>().len() == keys.len();
        let expected = (!distinct).then_some(DuplicateKey);
        prop_assert_eq!(code(format!("{{{}}}", members.join(",")).as_bytes()), expected);
    }

    #[test]
    fn two_readers_agree_on_damaged_records(at in 0usize..700, byte in any::<u8>(), cut in any::<bool>()) {
        let mut body = json(&members());
        let at = at % body.len();
        if cut { body.truncate(at); } else { body[at] = byte; }
        let ours = check_json(&body);
        let theirs = second_reader_accepts(&body);
        match ours {
            Ok(()) => prop_assert!(theirs),
            Err(malformed) if malformed.code == NotJson => prop_assert!(!theirs),
            Err(_) => {}
        }
    }
}
