//! How a line looks in both formats, and what every row of the table must be.

use super::events::{
    EVENTS, KeyLoaded, LinesLeftOut, Panicked, ShardStuck, TenantClosed, Unsigned,
};
use super::*;
use std::collections::BTreeSet;

/// 2026-11-29T17:28:31.000123Z
const WALL_US: u64 = 1_795_973_311_000_123;

fn key() -> Line {
    let event = KeyLoaded {
        tenant: "acme".to_owned(),
        key: "8843dc9c36c32e3c".to_owned(),
        scheme: "hmac-sha256".to_owned(),
    };
    Line::new(event, "acme 8843dc9c36c32e3c hmac-sha256")
}

#[test]
fn a_line_is_a_sentence_or_an_object() {
    let line = key();
    let text = "  key        acme 8843dc9c36c32e3c hmac-sha256";
    assert_eq!(line.render(Format::Text, WALL_US), text);
    assert_eq!(
        line.render(Format::Json, WALL_US),
        concat!(
            r#"{"time":"2026-11-29T17:28:31.000123Z","level":"info","component":"dataplane","event":"start.key","#,
            r#""message":"key: acme 8843dc9c36c32e3c hmac-sha256","#,
            r#""tenant":"acme","key":"8843dc9c36c32e3c","scheme":"hmac-sha256"}"#
        )
    );
}

#[test]
fn a_warning_among_the_start_up_lines_is_one_by_its_level() {
    let tenant = "default".to_owned();
    let line = Line::new(Unsigned { tenant }, "signatures are NOT checked");
    let text = line.render(Format::Text, WALL_US);
    assert_eq!(text, "  WARNING    signatures are NOT checked");
    let json = line.render(Format::Json, WALL_US);
    assert!(json.contains(r#""level":"warn""#), "{json}");
    assert!(
        json.contains(r#""message":"signatures are NOT checked""#),
        "{json}"
    );
}

#[test]
fn numbers_are_numbers_and_what_is_missing_is_left_out() {
    let event = ShardStuck {
        shard: 3,
        cpu: 7,
        thread_id: 12,
        stage: "collect",
        late_s: 1.5,
    };
    let json = Line::new(event, "it stands").render(Format::Json, WALL_US);
    let fields = r#""shard":3,"cpu":7,"thread_id":12,"stage":"collect","late_s":1.5}"#;
    assert!(json.ends_with(fields), "{json}");
    let event = LinesLeftOut {
        of_event: "shard.stuck",
        shard: None,
        lines_count: 2,
    };
    let json = Line::new(event, "2 more").render(Format::Json, WALL_US);
    assert!(
        json.ends_with(r#""of_event":"shard.stuck","lines_count":2}"#),
        "{json}"
    );
}

#[test]
fn several_lines_and_any_character_are_one_line_of_json() {
    let thread = "a\"b\\c\u{1}".to_owned();
    let message = "first\nsecond\r\u{2028}\u{0}";
    let line = Line::new(
        Panicked {
            thread: thread.clone(),
        },
        message,
    );
    let json = line.render(Format::Json, WALL_US);
    assert!(!json.contains(['\n', '\r', '\0']), "{json}");
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["message"], message);
    assert_eq!(read["thread"], thread.as_str());
    assert_eq!(
        line.render(Format::Text, WALL_US),
        "flk: first\n  | second\\r\u{2028}\\u{0}"
    );
}

#[test]
fn a_name_with_a_line_end_begins_no_line_of_the_log() {
    let name = "acme\nflk: WAL_DIR is damaged\n  key        forged\r\nflk-control: forged";
    for kind in EVENTS {
        let line = Line {
            kind,
            fields: Vec::new(),
            message: format!("tenant {name}"),
        };
        let text = line.render(Format::Text, WALL_US);
        let further: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(further.len(), 3, "{text}");
        assert!(further.iter().all(|it| it.starts_with("  | ")), "{text}");
    }
    let leads = EVENTS.iter().filter_map(|kind| match kind.lead {
        Lead::Words(words) => Some(words),
        Lead::Row(name) => {
            assert!(!name.starts_with('|'));
            None
        }
    });
    for words in leads {
        assert!(!words.trim_start().starts_with('|'), "{words}");
    }
}

#[test]
fn addresses_and_numbers_are_taken_out_of_sentences_and_fields() {
    let event = KeyLoaded {
        tenant: "acme-555-123-4567".to_owned(),
        key: "jane@example.com".to_owned(),
        scheme: "hmac-sha256".to_owned(),
    };
    let line = Line::new(
        event,
        "acme-555-123-4567 jane@example.com hmac-sha256\njoe@example.com",
    );
    for format in [Format::Text, Format::Json] {
        let text = line.render(format, WALL_US);
        assert!(
            !text.contains("4567") && !text.contains("example"),
            "{text}"
        );
        assert!(text.contains("acme-[phone] [email] hmac-sha256"), "{text}");
    }
    let json = line.render(Format::Json, WALL_US);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["tenant"], "acme-[phone]");
    assert_eq!(read["key"], "[email]");
}

#[test]
fn a_long_line_is_cut_and_stays_an_object() {
    let message = format!("{} jane@example.com", "ä".repeat(LINE_BYTES_MAX));
    let line = Line::new(TenantClosed {}, message);
    let json = line.render(Format::Json, WALL_US);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(read["message"].as_str().unwrap().ends_with("ä…"));
    assert!(line.render(Format::Text, WALL_US).len() <= LINE_BYTES_MAX + '…'.len_utf8());
}

#[test]
fn an_address_is_taken_out_where_the_line_is_cut_too_and_a_long_field_is_cut() {
    // The cut falls into the domain, before there is anything that ends one.
    let begin = "x ".repeat(LINE_BYTES_MAX / 2 - 8);
    let text = format!("{begin}jane.doe@example.com {begin}");
    let thread = text.clone();
    let line = Line::new(Panicked { thread }, text);
    for format in [Format::Text, Format::Json] {
        let text = line.render(format, WALL_US);
        assert!(!text.contains("jane"), "{}", &text[LINE_BYTES_MAX - 32..]);
    }
    let json = line.render(Format::Json, WALL_US);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    for name in ["message", "thread"] {
        let length = read[name].as_str().unwrap().len();
        assert!(
            length <= LINE_BYTES_MAX + '…'.len_utf8(),
            "{name}: {length}"
        );
    }
}

#[test]
fn every_row_of_the_table_has_a_name_of_its_own_and_says_what_it_means() {
    let is_name = |name: &str| {
        name.split('.').all(|part| {
            part.starts_with(|it: char| it.is_ascii_lowercase())
                && part
                    .bytes()
                    .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
        })
    };
    let mut names = BTreeSet::new();
    for kind in EVENTS {
        let name = kind.name;
        assert!(is_name(name) && name.contains('.'), "{name}");
        assert!(names.insert(name), "{name} is there twice");
        assert!(kind.brief.ends_with('.'), "{name}: {}", kind.brief);
        for field in kind.fields {
            assert!(is_name(field.name), "{name}: {}", field.name);
            assert!(field.brief.ends_with('.'), "{name}: {}", field.brief);
            let taken = ["time", "level", "component", "event", "message"];
            assert!(!taken.contains(&field.name), "{name}: {}", field.name);
        }
    }
    assert!(names.len() > 50, "only {}", names.len());
}

#[test]
fn names_of_formats_are_what_the_setting_allows() {
    assert_eq!(Format::named("json"), Some(Format::Json));
    assert_eq!(Format::named("text"), Some(Format::Text));
    for other in ["", "JSON", "logfmt"] {
        assert_eq!(Format::named(other), None);
    }
}

#[test]
fn control_characters_of_names_do_nothing_to_a_terminal() {
    let tenant = "acme".to_owned();
    let line = Line::new(Unsigned { tenant }, "a \u{1b}[31mred\r\u{7}");
    let text = line.render(Format::Text, WALL_US);
    assert_eq!(text, "  WARNING    a \\u{1b}[31mred\\r\\u{7}");
}

#[test]
fn a_text_is_cut_before_it_is_searched_and_no_part_of_it_is_searched_again_and_again() {
    // As long as a line may be, and the dearest text for a search that begins anew at each sign.
    let half = LINE_BYTES_MAX / 2;
    let text = format!("a@b.{}{}", "a".repeat(half), "-".repeat(1 << 20));
    let tenant = "acme".to_owned();
    let line = Line::new(Unsigned { tenant }, text).render(Format::Text, WALL_US);
    assert!(line.len() <= LINE_BYTES_MAX + 3, "{}", line.len());
}
