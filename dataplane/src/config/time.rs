//! Points in time as operators type them: RFC 3339, to the second.

use jiff::Timestamp;

/// Reads `2026-11-01T00:00:00Z` or with an offset, as seconds since the Unix epoch. A fraction of a second is refused: it would be lost.
pub fn seconds(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    let is_whole = time.subsec_nanosecond() == 0;
    u64::try_from(time.as_second()).ok().filter(|_| is_whole)
}

/// The time in the same form.
pub fn show(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().map(Timestamp::from_second);
    match time {
        Some(Ok(time)) => time.to_string(),
        _ => format!("{seconds} s after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_second_and_written_back() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-29T13:00:00Z", 1_795_957_200),
            ("2026-11-29T14:00:00.000+01:00", 1_795_957_200),
            ("2026-11-29 08:30:00-04:30", 1_795_957_200),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert_eq!(show(1_795_957_200), "2026-11-29T13:00:00Z");
        assert_eq!(seconds(&show(951_825_600)), Some(951_825_600));
        assert!(show(u64::MAX).ends_with("s after 1970"));
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-11-29",
            "2026-11-29T13:00:00",
            "2026-02-29T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-29T14:00:00.5Z",
            "2026-11-29T14:00:00.000000001Z",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
