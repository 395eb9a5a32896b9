//! Rates, shares, latencies and numbers of tenants as a user types them, and latencies as they are shown. It checks a text and knows
//! nothing of what it is for.

/// Most requests per second that can be asked for.
pub(crate) const RATE_MAX: f64 = 10_000_000.0;
/// Most tenants of a run.
const TENANTS_MAX: usize = 10_000;

/// A rate, or one that grows or falls along a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// Records per second at the beginning.
    pub(super) from: f64,
    /// Records per second at the end.
    pub(super) to: f64,
}

/// Reads `500`, `10k`, `1.5M` or `1k..20k`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        "a rate is a number per second such as 500, 10k or 1k..20k, from above 0 to 10M".to_owned()
    };
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (
        scaled(from).ok_or_else(wrong)?,
        scaled(to).ok_or_else(wrong)?,
    );
    let is_valid = from.max(to) > 0.0 && from.max(to) <= RATE_MAX;
    match is_valid {
        true => Ok(Rate { from, to }),
        false => Err(wrong()),
    }
}

/// A number with `k` or `M` behind it, or nothing.
pub(crate) fn scaled(text: &str) -> Option<f64> {
    let (digits, scale) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (text, 1.0),
    };
    Some(plain(digits)? * scale)
}

/// Reads `10%` as a part of 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|it| plain(it.trim_end()));
    match percent.filter(|it| *it <= 100.0) {
        Some(percent) => Ok(percent / 100.0),
        None => Err("a share is from 0% to 100%, such as 10% or 0.5%".to_owned()),
    }
}

/// Reads a latency such as `2ms`, `1.5s` or `300us`, in nanoseconds.
pub(crate) fn latency_ns(text: &str) -> Option<f64> {
    // The longer units first: `s` ends them all.
    let units = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
    ];
    let read = |(unit, scale): &(&str, f64)| Some(plain(text.strip_suffix(unit)?)? * scale);
    units.iter().find_map(read)
}

/// A number of digits and at most one point: neither a sign nor an exponent, nor a name of infinity.
pub(crate) fn plain(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    let number: f64 = text.parse().ok().filter(|_| is_plain)?;
    number.is_finite().then_some(number)
}

/// Tenants to send as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tenants(pub(super) Vec<String>);

/// Reads `50`, which names tenant-1 to tenant-50, or names with commas between them.
pub(super) fn tenants(text: &str) -> Result<Tenants, String> {
    let wrong = || {
        format!(
            "tenants are a number from 1 to {TENANTS_MAX} (tenant-1, tenant-2, …), or names with commas between them"
        )
    };
    let names: Vec<String> = match text.parse::<usize>() {
        Ok(count) => (1..=count.min(TENANTS_MAX + 1))
            .map(|it| format!("tenant-{it}"))
            .collect(),
        Err(_) => text.split(',').map(str::to_owned).collect(),
    };
    if names.is_empty() || names.len() > TENANTS_MAX {
        return Err(wrong());
    }
    for name in &names {
        crate::args::tenant(name)?;
    }
    Ok(Tenants(names))
}

/// A latency to read: three digits and a unit.
pub(crate) fn latency_text(nanoseconds: f64) -> String {
    let (number, unit) = match nanoseconds {
        it if it < 1e3 => (it, "ns"),
        it if it < 1e6 => (it / 1e3, "µs"),
        it if it < 1e9 => (it / 1e6, "ms"),
        it => (it / 1e9, "s"),
    };
    match number {
        it if it < 10.0 => format!("{it:.2} {unit}"),
        it if it < 100.0 => format!("{it:.1} {unit}"),
        it => format!("{it:.0} {unit}"),
    }
}

/// A part of 1 to read. What is neither nothing nor all has as many digits as it takes to see that.
pub(crate) fn share_text(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        it if it <= 0.0 || it >= 100.0 => return format!("{it:.0} %"),
        it if it >= 10.0 => 0,
        it if it >= 0.1 => 1,
        _ => 4,
    };
    let is_part = |text: &String| plain(text).is_some_and(|it| 0.0 < it && it < 100.0);
    let texts = (digits..=12).map(|digits| format!("{percent:.digits$}"));
    let text = texts.into_iter().find(is_part);
    format!("{} %", text.unwrap_or_else(|| percent.to_string()))
}

/// A rate to read.
pub(super) fn rate_text(per_second: f64) -> String {
    match per_second {
        it if it >= 100.0 || it.fract() == 0.0 => format!("{it:.0}"),
        it => format!("{it:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_or_lines_between_two() {
        for (text, from, to) in [
            ("500", 500.0, 500.0),
            ("10k", 10_000.0, 10_000.0),
            ("1.5M", 1_500_000.0, 1_500_000.0),
            ("1k..20k", 1_000.0, 20_000.0),
            ("5k..0", 5_000.0, 0.0),
            ("0.5", 0.5, 0.5),
        ] {
            assert_eq!(rate(text), Ok(Rate { from, to }), "{text}");
        }
        for text in [
            "", "0", "-1", "k", "1e3", "inf", "NaN", "1..", "..2", "11M", "0..0", "10kk",
        ] {
            let said = rate(text).unwrap_err();
            assert!(said.contains("1k..20k"), "{text}: {said}");
        }
    }

    #[test]
    fn shares_are_percents() {
        for (text, expect) in [("10%", 0.1), ("0%", 0.0), ("100 %", 1.0), ("0.5%", 0.005)] {
            assert_eq!(share(text), Ok(expect), "{text}");
        }
        for text in ["10", "101%", "-1%", "%", "", "x%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_to_all() {
        for (share, expect) in [
            (0.0, "0 %"),
            (1e-9, "0.0000001 %"),
            (0.000_012, "0.0012 %"),
            (0.005, "0.5 %"),
            (0.504, "50 %"),
            (0.994, "99 %"),
            (3_998.0 / 4_000.0, "99.95 %"),
            (0.999_999_999, "99.9999999 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(share_text(share), expect);
        }
    }

    #[test]
    fn latencies_have_a_unit() {
        for (text, expect) in [
            ("2ms", 2e6),
            ("1.5s", 1.5e9),
            ("300us", 3e5),
            ("300µs", 3e5),
            ("7ns", 7.0),
        ] {
            assert_eq!(latency_ns(text), Some(expect), "{text}");
        }
        for text in ["2", "", "ms", "-1ms", "2m", "1 ms", "2min"] {
            assert_eq!(latency_ns(text), None, "{text}");
        }
        for (nanoseconds, expect) in [
            (0.0, "0.00 ns"),
            (1234.0, "1.23 µs"),
            (45_600_000.0, "45.6 ms"),
            (2e9, "2.00 s"),
            (1.2e11, "120 s"),
        ] {
            assert_eq!(latency_text(nanoseconds), expect);
        }
    }

    #[test]
    fn tenants_are_counted_or_named() {
        assert_eq!(tenants("2").unwrap().0, ["tenant-1", "tenant-2"]);
        assert_eq!(tenants("acme,b").unwrap().0, ["acme", "b"]);
        for text in ["0", "10001", "99999999999", "", "a,,b", "a b"] {
            assert!(tenants(text).is_err(), "{text}");
        }
    }
}
