//! Numbers, times, sizes and tenants of the command line, each checked against what is allowed. Clap names the option of a wrong value;
//! the reason is a text of this program, never of a library.

use flk_dataplane::config::units;
use flk_dataplane::snapshot::is_name;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads a whole number of a range.
pub(crate) fn whole<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: Copy + Display + PartialOrd + std::str::FromStr + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|it| range.contains(it));
        number.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!("it must be a whole number from {least} to {most}")
        })
    }
}

/// Reads a time such as `30s`, `5m` or `1h 30m` of a range.
pub(crate) fn time(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let time = humantime::parse_duration(text).ok();
        time.filter(|it| range.contains(it)).ok_or_else(|| {
            let (least, most) = (time_text(*range.start()), time_text(*range.end()));
            format!("it must be a time from {least} to {most}, such as 90s, 5m or 12h")
        })
    }
}

/// Reads a size such as `64KiB` of a range.
pub(crate) fn size(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let size = units::bytes(text).filter(|it| range.contains(it));
        size.ok_or_else(|| {
            let [least, most] = [range.start(), range.end()].map(|it| units::show_bytes(*it));
            format!("it must be a size from {least} to {most}, such as 64KiB")
        })
    }
}

/// Reads the name of a tenant.
pub(crate) fn tenant(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a tenant is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()),
    }
}

/// A time in a form that [`time`] reads: whole days, hours, minutes or seconds if possible.
pub(crate) fn time_text(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let fits = |(unit, _): &&(u64, &str)| {
        seconds > 0 && time.subsec_nanos() == 0 && seconds.is_multiple_of(*unit)
    };
    match units.iter().find(fits) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => humantime::format_duration(time).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_its_range_is_told_the_range() {
        let read = whole(1_u16..=1024);
        assert_eq!(read("7"), Ok(7));
        for wrong in ["0", "1025", "-1", "x", "", "1.5", "99999999999999999999"] {
            let said = read(wrong).unwrap_err();
            assert_eq!(said, "it must be a whole number from 1 to 1024", "{wrong}");
        }
        assert_eq!(whole(i64::MIN..=i64::MAX)("-5"), Ok(-5));
    }

    #[test]
    fn a_size_outside_its_range_is_told_the_range() {
        let read = size(1 << 10..=1 << 20);
        assert_eq!(read("64KiB"), Ok(65_536));
        for wrong in ["1", "2MiB", "64KB", "", "-1"] {
            let said = read(wrong).unwrap_err();
            let expect = "it must be a size from 1.0 KiB to 1.0 MiB, such as 64KiB";
            assert_eq!(said, expect, "{wrong}");
        }
    }

    #[test]
    fn a_time_outside_its_range_is_told_the_range() {
        let read = time(Duration::from_millis(1)..=Duration::from_secs(3_600));
        assert_eq!(read("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["0s", "2h", "5", "", "-1s", "1e9s", "99999999999999999999s"] {
            let said = read(wrong).unwrap_err();
            let expect = "it must be a time from 1ms to 1h, such as 90s, 5m or 12h";
            assert_eq!(said, expect, "{wrong}");
        }
    }
}
