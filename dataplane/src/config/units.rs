//! Sizes and durations as operators type them, and back.

/// Reads `512`, `512B`, `64KiB`, `64MiB`, `2GiB`, `1TiB` (`Ki`, `Mi`, `Gi`, `Ti` alike) as bytes.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(
        text,
        &[
            ("", 0),
            ("B", 0),
            ("KiB", 10),
            ("Ki", 10),
            ("MiB", 20),
            ("Mi", 20),
            ("GiB", 30),
            ("Gi", 30),
            ("TiB", 40),
            ("Ti", 40),
        ],
    )
    .and_then(|(number, shift)| number.checked_mul(1 << shift))
}

/// Reads `90s`, `15m`, `12h`, `14d` as seconds.
pub fn seconds(text: &str) -> Option<u64> {
    scaled(text, &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
        .and_then(|(number, unit)| number.checked_mul(u64::from(unit)))
}

fn scaled(text: &str, units: &[(&str, u32)]) -> Option<(u64, u32)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    Some((number.parse().ok()?, *scale))
}

/// Bytes in the form that operators type: exact, in the largest possible unit.
pub fn typed_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(fits) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// Bytes, rounded to two or three digits and a unit.
pub fn show_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 && unit != "B" {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A duration, rounded, in its largest unit.
pub fn show_seconds(seconds: f64) -> String {
    let hours = seconds / 3_600.0;
    match hours {
        _ if hours >= 48.0 => format!("{:.0} days", hours / 24.0),
        _ if hours >= 1.0 => format!("{hours:.1} h"),
        _ if seconds >= 60.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_typed() {
        assert_eq!(bytes("512"), Some(512));
        assert_eq!(bytes("64KiB"), Some(65_536));
        assert_eq!(bytes("2 GiB"), Some(2 << 30));
        assert_eq!(seconds("14d"), Some(1_209_600));
        for wrong in ["", "GiB", "-1", "1.5GiB", "1KB", "99999999999TiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        for wrong in ["", "14", "d", "1w"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_as_typed_reads_as_it_was() {
        for (size, text) in [
            (0, "0B"),
            (1_000, "1000B"),
            (64 << 20, "64MiB"),
            (1 << 30, "1GiB"),
            (1 << 50, "1024TiB"),
            ((64 << 20) + 1, "67108865B"),
        ] {
            assert_eq!(typed_bytes(size), text);
            assert_eq!(bytes(text), Some(size));
        }
    }

    #[test]
    fn figures_are_shown_short() {
        assert_eq!(show_bytes(900), "900 B");
        assert_eq!(show_bytes(1 << 30), "1.0 GiB");
        assert_eq!(show_bytes(80 << 30), "80 GiB");
        assert_eq!(show_seconds(7.0), "7 s");
        assert_eq!(show_seconds(900.0), "15 min");
        assert_eq!(show_seconds(1_209_600.0), "14 days");
    }
}
