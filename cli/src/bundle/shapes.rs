//! Secrets that can be told by what stands before them: values of secret variables, credentials of HTTP, values of names such as `password`,
//! and passwords in addresses. It knows no secret, and looks at one line at a time.

use aho_corasick::{AhoCorasick, MatchKind};
use flk_dataplane::config::VARIABLES;
use std::ops::Range;

/// What stands for a secret.
pub(super) const REDACTED: &str = "[redacted]";
/// A shorter value behind a mark is none.
const MARKED_BYTES_LEAST: usize = 6;

/// Names whose values are secrets, also at the end of longer names.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "privatekey",
    "private_key",
    "private-key",
    "pass",
    "pwd",
];
/// Of these the end of another word is none, such as bypass.
const SHORT_NAMES: [&str; 2] = ["pass", "pwd"];

/// See the module.
pub(super) struct Shapes {
    names: AhoCorasick,
    /// Texts behind which a secret stands up to the next white space or quote.
    marks: Vec<String>,
}

impl Shapes {
    /// An error, in words, if there are too many names.
    pub(super) fn new() -> Result<Self, String> {
        let names = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(NAMES);
        let secret = VARIABLES.iter().filter(|it| it.is_secret());
        let variables = secret.map(|it| it.name()).chain([
            "PCS_ED25519_PRIV_B64",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ]);
        let schemes = ["Basic ", "Bearer ", "basic ", "bearer "].map(str::to_owned);
        Ok(Self {
            names: names.map_err(|error| format!("names cannot be looked for: {error}"))?,
            marks: variables
                .map(|it| format!("{it}="))
                .chain(schemes)
                .collect(),
        })
    }

    /// The line without them, and how many there were.
    pub(super) fn clean(&self, line: &str) -> (String, usize) {
        let (line, marked) = self.without_marked(line);
        let (line, named) = without(&line, |from| self.named(&line, from));
        let (line, typed) = without(&line, |from| password_of_address(&line, from));
        (line, marked + named + typed)
    }

    fn without_marked(&self, line: &str) -> (String, usize) {
        let mut line = line.to_owned();
        let mut count = 0;
        for mark in &self.marks {
            let mut from = 0;
            while let Some(at) = line.get(from..).and_then(|it| it.find(mark)) {
                let begin = from + at + mark.len();
                let rest = line.get(begin..).unwrap_or_default();
                let length = word_length(rest);
                from = begin;
                if length >= MARKED_BYTES_LEAST && is_value(rest) {
                    line.replace_range(begin..begin + length, REDACTED);
                    count += 1;
                }
            }
        }
        (line, count)
    }

    /// The next value of a name at or behind a place.
    fn named(&self, line: &str, from: usize) -> Option<Range<usize>> {
        let rest = line.get(from..)?;
        let mut found = self.names.find_iter(rest);
        found.find_map(|it| {
            let (begin, end) = (from + it.start(), from + it.end());
            let is_short =
                SHORT_NAMES.contains(&rest.get(it.range())?.to_ascii_lowercase().as_str());
            let before = line.get(..begin)?.chars().next_back();
            let is_end_of_word = is_short && before.is_some_and(char::is_alphanumeric);
            match is_end_of_word || is_message(line, end) {
                true => None,
                false => value_behind(line, end),
            }
        })
    }
}

/// Takes out ranges that follow each other; `next` finds the first one at or behind a place.
fn without(line: &str, next: impl Fn(usize) -> Option<Range<usize>>) -> (String, usize) {
    let (mut clean, mut from, mut count) = (String::with_capacity(line.len()), 0, 0);
    while let Some(Range { start, end }) = next(from) {
        clean.push_str(line.get(from..start).unwrap_or_default());
        clean.push_str(REDACTED);
        from = end;
        count += 1;
    }
    clean.push_str(line.get(from..).unwrap_or_default());
    (clean, count)
}

/// Whether a setting is named, and a colon behind it begins a sentence about it: `METRICS_PASS: not set`.
fn is_message(line: &str, end: usize) -> bool {
    let name = line.get(..end).unwrap_or_default();
    let said = line.get(end..).and_then(|it| it.strip_prefix(": "));
    let is_sentence = |it: &str| it.starts_with(char::is_alphabetic) && it.trim_end().contains(' ');
    said.is_some_and(is_sentence) && VARIABLES.iter().any(|it| name.ends_with(it.name()))
}

/// The value of a name that ends here: `name=value`, `name: value`, each quoted or not.
fn value_behind(line: &str, name_end: usize) -> Option<Range<usize>> {
    let is_between = |it: char| matches!(it, ' ' | '\t' | '\\' | '"' | '\'' | '`');
    let behind = line.get(name_end..)?;
    let separator = behind.trim_start_matches(is_between);
    let value = separator.strip_prefix(['=', ':'])?;
    let value = value.trim_start_matches([' ', '\t']);
    let quoted = value.trim_start_matches('\\');
    let escapes = value.len() - quoted.len();
    let (value, length) = match quoted
        .chars()
        .next()
        .filter(|it| matches!(it, '"' | '\'' | '`'))
    {
        Some(quote) => {
            let inner = quoted.get(quote.len_utf8()..)?;
            (inner, quoted_length(inner, quote, escapes))
        }
        None => (value, word_length(value)),
    };
    let begin = line.len() - value.len();
    (length > 0 && is_value(value)).then_some(begin..begin + length)
}

/// Up to the quote that ends the value: one with as many backslashes before it as the first one has, or fewer. Without such a quote all of it.
fn quoted_length(inner: &str, quote: char, escapes: usize) -> usize {
    for (at, _) in inner.match_indices(quote) {
        let before = inner.get(..at).unwrap_or_default();
        let value = before.trim_end_matches('\\');
        if before.len() - value.len() <= escapes {
            return value.len();
        }
    }
    inner.trim_end().len()
}

/// Up to the next white space or quote.
fn word_length(text: &str) -> usize {
    let is_end = |it: char| it.is_whitespace() || matches!(it, '"' | '\'' | '`');
    text.find(is_end).unwrap_or(text.len())
}

/// What was taken out before, or says that it is not shown, is no value.
fn is_value(text: &str) -> bool {
    !text.starts_with(['[', '(', '{'])
}

/// The password of the next address with one: `scheme://user:password@host`.
fn password_of_address(line: &str, from: usize) -> Option<Range<usize>> {
    let mut begin = from;
    loop {
        begin += line.get(begin..)?.find("://")? + 3;
        let rest = line.get(begin..)?;
        let address = rest.get(..word_length(rest))?;
        if let Some(Range { start, end }) = password_of(address) {
            return Some(begin + start..begin + end);
        }
    }
}

fn password_of(address: &str) -> Option<Range<usize>> {
    let authority = address.find(['/', '?', '#']).unwrap_or(address.len());
    let authority = address.get(..authority)?;
    let colon = address.find(':')?;
    let port = authority.get(colon + 1..).unwrap_or_default();
    let at = match authority.rfind('@') {
        Some(at) => at,
        // A password may have a slash in it although it should not; a port is of digits, and an address in brackets has colons.
        None if authority.starts_with('[') || port.bytes().all(|it| it.is_ascii_digit()) => {
            return None;
        }
        None => address.rfind('@')?,
    };
    let value = address.get(colon + 1..at)?;
    (!value.is_empty() && is_value(value)).then_some(colon + 1..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_cleaned(line: &str, expected: &str) {
        let (clean, count) = Shapes::new().unwrap().clean(line);
        assert_eq!(clean, expected, "{line}");
        let redacted = |text: &str| text.matches(REDACTED).count();
        assert_eq!(count, redacted(expected) - redacted(line), "{line}");
    }

    #[test]
    fn values_of_names_that_are_those_of_secrets_are_taken_out_however_they_are_written() {
        for (line, expected) in [
            ("password: x", "password: [redacted]"),
            ("token=x next", "token=[redacted] next"),
            ("Db_Password = 'a b' c", "Db_Password = '[redacted]' c"),
            ("dbPassword=\"a\\\"b\" c", "dbPassword=\"[redacted]\" c"),
            (
                "{\"api-key\": \"a b\", \"n\": 1}",
                "{\"api-key\": \"[redacted]\", \"n\": 1}",
            ),
            (
                "\"{\\\"token\\\":\\\"a b\\\"}\"",
                "\"{\\\"token\\\":\\\"[redacted]\\\"}\"",
            ),
            ("secret=a token=b,c", "secret=[redacted] token=[redacted]"),
            ("X-Api-Key: abc\n", "X-Api-Key: [redacted]\n"),
            ("client_secret: ünïcode ü", "client_secret: [redacted] ü"),
            (
                "pass=a METRICS_PASS: \"b c\"",
                "pass=[redacted] METRICS_PASS: \"[redacted]\"",
            ),
            ("METRICS_PASS: a\n", "METRICS_PASS: [redacted]\n"),
            ("password=\"never closed\n", "password=\"[redacted]\n"),
            ("?token=a&x=1 HTTP/1.1", "?token=[redacted] HTTP/1.1"),
        ] {
            assert_cleaned(line, expected);
        }
    }

    #[test]
    fn passwords_in_addresses_are_taken_out() {
        for (line, expected) in [
            (
                "to https://user:p@ss@host:1/a b",
                "to https://user:[redacted]@host:1/a b",
            ),
            (
                "s3://:x@h, http://a:b@c",
                "s3://:[redacted]@h, http://a:[redacted]@c",
            ),
            ("amqp://u:p/q@h", "amqp://u:[redacted]@h"),
        ] {
            assert_cleaned(line, expected);
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_stays() {
        for line in [
            "bypass=1 compass: north",
            "password_file = \"/etc/flk/pass\"",
            "METRICS_PASS: not set, and METRICS_USER is",
            "PCS_HMAC_KEY=(not shown) password: [redacted] secret: {secretName: a}",
            "http://127.0.0.1:8080/a?mail=b@c http://[::1]:80/@ http://user@host",
            "tokens taken: 7, a token",
            "token=\"\"",
        ] {
            assert_cleaned(line, line);
        }
    }
}
