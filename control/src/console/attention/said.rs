//! The words of an alert with its numbers in them, as Prometheus writes them.

use super::labels::Labels;

/// What stands for the address that Prometheus knows a gateway by.
const THIS: &str = "this gateway";
const THIS_AT_BEGINNING: &str = "This gateway";

/// Fills in value and labels.
pub(super) fn said(description: &str, labels: &Labels, value: f64) -> String {
    let mut words = String::new();
    let mut rest = description;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (inside, after) = behind.split_once("}}").unwrap_or((behind, ""));
        words.push_str(before);
        words.push_str(&filled(inside.trim(), labels, value));
        rest = after;
    }
    words.push_str(rest);
    match words.strip_prefix(THIS) {
        Some(rest) => format!("{THIS_AT_BEGINNING}{rest}"),
        None => words,
    }
}

fn filled(inside: &str, labels: &Labels, value: f64) -> String {
    match inside {
        "$value | humanizePercentage" => format!("{} %", four(value * 100.0)),
        "$value | humanizeDuration" => duration(value),
        "$value | humanize" => four(value),
        "$labels.instance" => THIS.to_owned(),
        _ => {
            let name = inside.strip_prefix("$labels.").unwrap_or_default();
            labels.get(name).unwrap_or_default().to_owned()
        }
    }
}

/// Four digits at most.
fn four(value: f64) -> String {
    let places = match value.abs() {
        it if it >= 1000.0 => 0,
        it if it >= 100.0 => 1,
        it if it >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `3d 4h`, `5h 20m`, `2m 3s` or `120ms`.
fn duration(seconds: f64) -> String {
    if seconds.abs() < 1.0 {
        return format!("{}ms", four(seconds * 1e3));
    }
    let whole = seconds as u64;
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let (mut parts, mut left) = (Vec::new(), whole);
    for (length, unit) in units {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{}{unit}", left / length));
            left %= length;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_labels_are_filled_in() {
        let labels: Labels = [("shard".to_owned(), "3".to_owned())].into_iter().collect();
        for (template, value, expected) in [
            (
                "{{ $value | humanizePercentage }} of records.",
                0.0312,
                "3.12 % of records.",
            ),
            (
                "Shard {{ $labels.shard }} of {{ $labels.instance }}.",
                1.0,
                "Shard 3 of this gateway.",
            ),
            (
                "{{ $labels.instance }} waits {{ $value | humanizeDuration }}.",
                93_784.0,
                "This gateway waits 1d 2h.",
            ),
            ("{{ $value | humanizeDuration }}", 0.25, "250ms"),
            ("{{ $value | humanize }} a second", 1234.5, "1234 a second"),
            ("no {{ $labels.other }}number", 1.0, "no number"),
            ("torn {{ $value", 1.0, "torn "),
            ("", 1.0, ""),
        ] {
            assert_eq!(said(template, &labels, value), expected);
        }
    }
}
