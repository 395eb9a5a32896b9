//! The examples that operators would ask about, a naive twin that tries every part of a text, and every line that this
//! repository has on record, which must come out as it went in.

use super::*;
use proptest::prelude::*;
use std::path::Path;

fn check(text: &str, expected: &str) {
    assert_eq!(redact(text), expected, "{text}");
    assert_eq!(naive(text), expected, "{text}: the twin");
}

#[test]
fn addresses_are_taken_out_wherever_they_stand() {
    for (text, expected) in [
        ("jane.doe@example.com", "[email]"),
        (
            "flk: /etc/flk/jane@example.com.toml: no",
            "flk: /etc/flk/[email]: no",
        ),
        (
            "by Jane <jane+flk@mail.example.co.uk>.",
            "by Jane <[email]>.",
        ),
        ("a@example.org,b_1@xn--bcher-kva.example", "[email],[email]"),
        ("ops@example.com_backup", "[email]_backup"),
        ("jürgen@bücher.example:", "[email]:"),
        ("post@пример.xn--p1ai", "[email]"),
        (
            "https://user:word@db.example.com/x",
            "https://user:[email]/x",
        ),
        ("jane@example.com.service", "[email]"),
        ("by joe@localhost.", "by [email]."),
        (
            "<joe@LOCALHOST>, root@localhost:/var/mail",
            "<[email]>, [email]:/var/mail",
        ),
        ("joe@localhost.localdomain", "[email]"),
        ("joe@localhost-a joe@localhost_b", "[email]-a [email]_b"),
    ] {
        check(text, expected);
    }
}

#[test]
fn phone_numbers_are_taken_out_in_the_forms_in_which_people_write_them() {
    for (text, expected) in [
        (
            "tenant acme-555-123-4567 is closed",
            "tenant acme-[phone] is closed",
        ),
        ("+491701234567", "[phone]"),
        ("call +49 170 1234567.", "call [phone]."),
        ("+1 (555) 123-4567, please", "[phone], please"),
        ("+49 (0) 30 123456: 7 lines", "[phone]: 7 lines"),
        ("(555) 123-4567", "[phone]"),
        ("(555)123.4567", "[phone]"),
        ("1-555-123-4567", "[phone]"),
        ("555.123.4567", "[phone]"),
        ("0170 1234567", "[phone]"),
        ("01 23 45 67 89", "[phone]"),
        ("020-7946-0958", "[phone]"),
        ("0049 170 1234567", "[phone]"),
        ("/keys/+4917012345678.pem", "/keys/[phone].pem"),
        ("+49 170 12345678 42 lines", "[phone] 42 lines"),
        ("+491701234567 10.0.0.1", "[phone] 10.0.0.1"),
        ("(0170) 1234567", "[phone]"),
        ("by (0170)1234567, please", "by [phone], please"),
        ("(030) 12 34 56 78.", "[phone]."),
        ("(02345)-678901", "[phone]"),
        ("(020) 7946-0958", "[phone]"),
        ("(012) 345.6789", "[phone]"),
        ("(0170) 12345678 42 lines", "[phone] 42 lines"),
    ] {
        check(text, expected);
    }
}

#[test]
fn what_operators_need_stays() {
    for text in [
        "http://10.0.0.1:8080, 192.168.100.200 and [2001:db8::1]:65535",
        "2026-11-29T17:28:31.123456Z, 17:28:31, 2026-11-29 01:02:03+01:00",
        "1234567890 of 12345678901 bytes, 4294967296 s, +100 %, 1e+16",
        "8843012345678901 key 0123456789012345… hmac-sha256",
        "6c1f0c0e2a5b5f1e0d4c3b2a19088776655443322110ffeeddccbbaa99887766",
        "550e8400-e29b-41d4-a716-446655440000, 01-02-03-04-05-06",
        "segment-0000000000000012.wal, slice-00000123.dat, log 3.0 ends after 3.16777216",
        "snapshot 4294967295 is in force, 12 was",
        "flk 0.1.0, Linux 6.18.0-31-generic, 115.0.5790.170, 1.2.3+20260131",
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/flk@1.scope",
        "/var/lib/flk/wal-2026-11-29/0001/002/manifest, ./a@b/c, git@host:x",
        "CPU 0,2-5,100-200, thread 12345, stage collect for 1.5 s",
        "(1234 bytes free, 4567 kept), (555) bytes, -1 -2 -3",
        "@localhost and @mention and a@ b@. c@d, joe@localhosts, joe@mylocalhost, flk@localhost.service",
        "(0170), (0170) 12, (0170) 1 2 3 4 5 6 7, (0) 123456789, (01) 2026, (0012) 34567890 bytes",
        "(0170) 123456789012, (0170) 10.0.0.1:8080, (0170) 2026-11-29T17:28:31, (017000) 1234567",
        "",
    ] {
        check(text, text);
        assert!(matches!(redact(text), Cow::Borrowed(_)), "{text} is copied");
    }
}

/// Transcripts of keeper and shard, the start-up lines of the README, and what settings allow.
#[test]
fn every_line_on_record_stays() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![std::fs::read_to_string(root.join("../README.md")).unwrap()];
    for folder in [
        "src/keeper/tests/transcripts",
        "src/shard/tests/transcripts",
    ] {
        let files = std::fs::read_dir(root.join(folder)).unwrap();
        let files = files.map(|file| file.unwrap().path());
        texts.extend(files.map(|path| std::fs::read_to_string(path).unwrap()));
    }
    assert!(texts.len() > 10, "only {} texts", texts.len());
    let allowed = crate::config::VARIABLES
        .iter()
        .map(|it| it.allowed().to_owned());
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert_eq!(redact(line), line);
    }
    for text in allowed {
        assert_eq!(redact(&text), text);
    }
}

/// Tries every part of the text as an address, then every part of the rest as a number; the first that is one, and of those
/// the longest, is taken out.
fn naive(text: &str) -> String {
    let text = naive_replace(text, EMAIL, is_email);
    naive_replace(&text, PHONE, is_phone)
}

/// Three texts: before, the part, behind.
type IsOne = fn(&str, &str, &str) -> bool;

fn naive_replace(text: &str, word: &str, is_one: IsOne) -> String {
    let borders: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let mut replaced = String::new();
    let mut from = 0;
    while from + 1 < borders.len() {
        let start = borders[from];
        let ends = (from + 1..borders.len()).rev();
        let end = ends
            .map(|at| (at, borders[at]))
            .find(|&(_, end)| is_one(&text[..start], &text[start..end], &text[end..]));
        match end {
            Some((at, _)) => {
                replaced.push_str(word);
                from = at;
            }
            None => {
                replaced.push_str(&text[start..borders[from + 1]]);
                from += 1;
            }
        }
    }
    replaced
}

fn begins(text: &str, is: impl Fn(char) -> bool) -> bool {
    text.chars().next().is_some_and(is)
}

fn is_email(_: &str, part: &str, behind: &str) -> bool {
    let Some((local, domain)) = part.split_once('@') else {
        return false;
    };
    let is_local = |it: char| it.is_alphanumeric() || ".-_%+".contains(it);
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty() && label.chars().all(|it| it.is_alphanumeric() || it == '-')
    };
    let Some((top, others)) = labels.split_last() else {
        return false;
    };
    let is_word = top.chars().count() > 1 && top.chars().all(char::is_alphabetic);
    let is_encoded = top.starts_with("xn--") && top.len() > 4;
    let is_unit = others.len() == 1 && UNITS.contains(top);
    let goes_on = behind.strip_prefix('.');
    let goes_on = goes_on.is_some_and(|it| begins(it, char::is_alphanumeric));
    let is_here = domain.eq_ignore_ascii_case("localhost") && !goes_on;
    let is_elsewhere =
        !others.is_empty() && labels.iter().all(is_label) && (is_word || is_encoded) && !is_unit;
    !local.is_empty()
        && local.chars().all(is_local)
        && (is_here || is_elsewhere)
        && !begins(behind, char::is_alphanumeric)
}

fn is_phone(before: &str, part: &str, behind: &str) -> bool {
    let last = before.chars().last();
    let stands_alone = !last.is_some_and(|it| it.is_ascii_alphanumeric() || !it.is_ascii());
    match part.chars().next() {
        Some('+') => stands_alone && is_international(part, behind),
        Some('(') if is_bracketed_trunk(part, behind) => true,
        Some('(') => {
            let area = part
                .get(1..4)
                .is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()));
            let rest = part.get(5..).unwrap_or_default();
            let rest = rest.strip_prefix([' ', '-']).unwrap_or(rest);
            area && part[4..].starts_with(')')
                && ends(behind)
                && chain(rest, behind).is_some_and(|it| it.1 == [3, 4])
        }
        Some('0'..='9') => stands_alone && ends(behind) && is_chain_of_phone(before, part, behind),
        _ => false,
    }
}

fn is_bracketed_trunk(part: &str, behind: &str) -> bool {
    let Some((area, rest)) = part[1..].split_once(')') else {
        return false;
    };
    let rest = rest.strip_prefix([' ', '-']).unwrap_or(rest);
    let sign = if rest.contains('-') { '-' } else { ' ' };
    let groups: Vec<&str> = rest.split(sign).collect();
    let are_digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    let digits = area.len() + groups.iter().map(|it| it.len()).sum::<usize>();
    let last = groups.last().map_or(0, |it| it.len());
    let behind_sign = behind.strip_prefix('-').unwrap_or_default();
    let goes_on = digits < 11 && begins(behind_sign, |it| it.is_ascii_digit());
    (2..=5).contains(&area.len())
        && are_digits(area)
        && area.starts_with('0')
        && !area.starts_with("00")
        && groups.iter().all(|it| it.len() > 1 && are_digits(it))
        && (9..=12).contains(&digits)
        && (groups.len() == 1 || digits - last < 11)
        && ends(behind)
        && !goes_on
}

fn ends(behind: &str) -> bool {
    let goes_on = [".", ":", ",", "/"].iter().any(|sign| {
        behind
            .strip_prefix(sign)
            .is_some_and(|it| begins(it, |it| it.is_ascii_digit()))
    });
    !goes_on && !begins(behind, |it| it.is_ascii_alphanumeric() || !it.is_ascii())
}

fn is_international(part: &str, behind: &str) -> bool {
    const GAPS: [&str; 15] = [
        " ", "-", ".", "(", " (", "-(", ".(", ")", ") ", ")-", ").", ")(", ") (", ")-(", ").(",
    ];
    let part = &part[1..];
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let is_digit = |it: char| it.is_ascii_digit();
    let gaps = part.split(is_digit).filter(|gap| !gap.is_empty());
    let last_group = part
        .rsplit(|it: char| !it.is_ascii_digit())
        .next()
        .unwrap_or_default();
    let behind = behind.strip_prefix(')').unwrap_or(behind);
    begins(part, |it| ('1'..='9').contains(&it))
        && part.ends_with(is_digit)
        && gaps.clone().all(|gap| GAPS.contains(&gap))
        && (8..=15).contains(&digits(part))
        && digits(part) - last_group.len() < 11
        && ends(behind)
}

/// The sign and the lengths of the groups, if a part is a chain that does not go on behind it.
fn chain(part: &str, behind: &str) -> Option<(char, Vec<usize>)> {
    let sign = part.chars().find(|it| !it.is_ascii_digit())?;
    let groups: Vec<&str> = part.split(sign).collect();
    let is_group = |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let goes_on = behind
        .strip_prefix(sign)
        .is_some_and(|it| begins(it, |it| it.is_ascii_digit()));
    let is_chain = " -.".contains(sign) && groups.iter().all(is_group) && !goes_on;
    is_chain.then(|| (sign, groups.iter().map(|it| it.len()).collect()))
}

fn is_chain_of_phone(before: &str, part: &str, behind: &str) -> bool {
    let Some((sign, lengths)) = chain(part, behind) else {
        return false;
    };
    let earlier = before.strip_suffix(sign).unwrap_or_default();
    if earlier.ends_with(|it: char| it.is_ascii_digit()) {
        return false;
    }
    let american = lengths == [3, 3, 4] || (part.starts_with('1') && lengths == [1, 3, 3, 4]);
    let digits: usize = lengths.iter().sum();
    let zeros = part.bytes().take_while(|&it| it == b'0').count();
    let trunk = match zeros {
        1 => lengths[0] <= 5 && (9..=11).contains(&digits) && lengths.len() <= 5,
        2 => lengths[0] <= 6 && (10..=17).contains(&digits),
        _ => false,
    };
    let first_goes_on = lengths[0] > zeros;
    american || (sign != '.' && trunk && first_goes_on && lengths.iter().all(|&it| it > 1))
}

/// Pieces of which addresses, numbers and what only looks like them are made.
fn text_of_pieces() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a", "jane", "@", "@", ".", ".", "com", "service", "xn--", "-", " ", "+", "(", ")", "0",
        "00", "1", "23", "555", "123", "4567", "170", "12345678", ":", "/", ",", "_", "ü", "…",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_matcher_and_its_twin_agree(text in text_of_pieces()) {
        let redacted = redact(&text);
        prop_assert_eq!(redacted.as_ref(), naive(&text));
    }

    #[test]
    fn what_was_redacted_stays_as_it_is(text in text_of_pieces()) {
        let once = redact(&text).into_owned();
        // A word that was put in may end what was held together before, and more is found then: at most once.
        let twice = redact(&once).into_owned();
        let thrice = redact(&twice).into_owned();
        prop_assert_eq!(twice, thrice);
    }

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let redacted = redact(&text);
        prop_assert_eq!(redacted.as_ref(), naive(&text));
    }

    #[test]
    fn a_planted_address_or_number_never_survives(before in text_of_pieces(), behind in text_of_pieces()) {
        let text = redact(&format!("{before} jane.doe@example.com, {behind}")).into_owned();
        prop_assert!(!text.contains("jane.doe"), "{}", text);
        let text = redact(&format!("{before}, +49 170 7654321, {behind}")).into_owned();
        prop_assert!(!text.contains("7654321"), "{}", text);
    }
}

#[test]
fn identities_are_taken_out_whole_and_the_words_for_them_stay() {
    let identity = format!("AGE-SECRET-KEY-1{}", "QPZRY9X8".repeat(7));
    let of_others = format!("AGE-SECRET-KEY-PQ-1{}", "QPZRY9X8".repeat(7));
    for secret in [&identity, &identity.to_lowercase(), &of_others] {
        let text = format!("SOPS_AGE_KEY_FILE={secret}: no file, {secret}");
        let expected = "SOPS_AGE_KEY_FILE=[age identity]: no file, [age identity]";
        assert_eq!(redact(&text), expected);
        assert_eq!(without_identities(&text), expected);
        assert!(holds_identity(&text));
        let cut = &secret[..30];
        assert!(!redact(&format!("file {cut}@example.com")).contains(cut));
    }
    let words = "X25519 is what is read (AGE-SECRET-KEY-1…), as age-secret-key-";
    assert!(matches!(redact(words), Cow::Borrowed(text) if text == words));
}
