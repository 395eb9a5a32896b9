//! Decides whether a text is an RFC 3339 date-time. It never computes with the time: `sent_at` is kept and ignored.

/// Whether `text` matches the `date-time` grammar of RFC 3339 with an existing day and an in-range time.
///
/// `T` and `Z` may be lower case, and there may be any number of fraction digits. A leap second is allowed in any minute,
/// because a table of real leap seconds would become outdated.
pub fn is_date_time(text: &str) -> bool {
    check(text.as_bytes()).is_some()
}

fn check(text: &[u8]) -> Option<()> {
    let (year, text) = number(text, 4)?;
    let (month, text) = number(literal(text, b"-")?, 2)?;
    let (day, text) = number(literal(text, b"-")?, 2)?;
    let (hour, text) = number(literal(text, b"Tt")?, 2)?;
    let (minute, text) = number(literal(text, b":")?, 2)?;
    let (second, text) = number(literal(text, b":")?, 2)?;
    let text = fraction(text)?;
    let valid = (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    (valid && is_offset(text)).then_some(())
}

/// The rest after one of the `allowed` bytes.
fn literal<'t>(text: &'t [u8], allowed: &[u8]) -> Option<&'t [u8]> {
    let (first, rest) = text.split_first()?;
    allowed.contains(first).then_some(rest)
}

/// Exactly `digits_count` digits, and the rest.
fn number(text: &[u8], digits_count: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(digits_count)?;
    digits.iter().all(u8::is_ascii_digit).then(|| {
        let value = digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
        (value, rest)
    })
}

fn fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = literal(text, b".") else {
        return Some(text);
    };
    let digits_count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    (digits_count > 0).then(|| &rest[digits_count..])
}

fn is_offset(text: &[u8]) -> bool {
    if matches!(text, b"Z" | b"z") {
        return true;
    }
    let offset = || {
        let (hour, rest) = number(literal(text, b"+-")?, 2)?;
        let (minute, rest) = number(literal(rest, b":")?, 2)?;
        Some(hour <= 23 && minute <= 59 && rest.is_empty())
    };
    offset().unwrap_or(false)
}

const fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::is_date_time;

    #[test]
    fn accepts_what_agents_write() {
        for text in [
            "2025-01-15T10:30:00Z",
            "2025-01-15t10:30:00z",
            "2025-01-15T10:30:00.123456+00:00",
            "2024-02-29T23:59:60-12:30",
            "2025-01-31T00:00:00+23:59",
            "0000-01-01T00:00:00.000000000000000000001Z",
        ] {
            assert!(is_date_time(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_date_time() {
        for text in [
            "",
            "2025-01-15",
            "2025-01-15T10:30:00",
            "2025-01-15 10:30:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2025-04-31T00:00:00Z",
            "2025-01-15T24:00:00Z",
            "2025-01-15T10:60:00Z",
            "2025-01-15T10:30:61Z",
            "2025-01-15T10:30:00.Z",
            "2025-01-15T10:30:00+0000",
            "2025-01-15T10:30:00+24:00",
            "2025-01-15T10:30:00+23:60",
            "2025-01-15T10:30:00-23:59Z",
            "2025-01-15T10:30:00Zx",
            "2025-1-15T10:30:00Z",
            "+2025-01-15T10:30:00Z",
            "２025-01-15T10:30:00Z",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
    }
}
