//! Which stored bodies are wanted: by tenant, and by the time at which they came.

use crate::args::tenant;
use crate::exit::Failure;
use clap::Args;
use flk_dataplane::config::time;

/// Characters of a date and a time of day before a fraction or a zone.
const WHOLE_CHARS: usize = 19;

/// Options that choose stored bodies.
#[derive(Args, Debug)]
pub(crate) struct SelectArgs {
    /// Only bodies of this tenant
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    pub(crate) tenant: Option<String>,
    /// Only bodies that came at this time or later, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<u64>,
    /// Only bodies that came before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<u64>,
}

/// Reads a time, as seconds since the Unix epoch.
pub(crate) fn instant(text: &str) -> Result<u64, String> {
    let read = time::seconds(text);
    read.ok_or_else(|| "it must be a time such as 2026-11-01T00:00:00Z".to_owned())
}

/// Reads a time with or without a fraction of a second, as microseconds since the Unix epoch.
fn moment(text: &str) -> Result<u64, String> {
    micros(text).ok_or_else(|| {
        "it must be a time such as 2026-11-01T00:00:00Z or 2026-11-01T00:00:00.123456Z".to_owned()
    })
}

fn micros(text: &str) -> Option<u64> {
    let Some((whole, behind)) = text.split_once('.').filter(|it| it.0.len() == WHOLE_CHARS) else {
        return time::seconds(text)?.checked_mul(1_000_000);
    };
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = behind.split_at(digits);
    let fraction: u64 = match digits {
        1..=6 => format!("{fraction:0<6}").parse().ok()?,
        _ => return None,
    };
    let second = time::seconds(&format!("{whole}{zone}"))?;
    second.checked_mul(1_000_000)?.checked_add(fraction)
}

impl SelectArgs {
    /// Refuses a time that nothing can have.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.since.zip(self.until) {
            Some((since, until)) if since > until => Err(Failure::usage(
                "--since is later than --until: no body came between them",
            )),
            _ => Ok(()),
        }
    }

    /// Whether bodies of a tenant are wanted.
    pub(crate) fn takes_tenant(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
    }

    /// Whether bodies that came at this time are wanted, in microseconds since the Unix epoch.
    pub(crate) fn takes_time(&self, wall_us: u64) -> bool {
        self.since.is_none_or(|since| since <= wall_us)
            && self.until.is_none_or(|until| wall_us < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_have_a_fraction_of_a_second() {
        let second = 1_795_957_200_000_000;
        for (text, expected) in [
            ("2026-11-29T13:00:00Z", second),
            ("2026-11-29T13:00:00.5Z", second + 500_000),
            ("2026-11-29T13:00:00.042Z", second + 42_000),
            ("2026-11-29T14:00:00.000001+01:00", second + 1),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            ".",
            "2026-11-29T13.5:00:00Z",
            "2026-11-29T13:00:00.Z",
            "2026-11-29T13:00:00.1234567Z",
            "2026-11-29T13:00:00.5",
            "2026-11-29T13:00:00.5.5Z",
            "1969-12-31T23:59:59.5Z",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_time_of_since_is_taken_and_that_of_until_is_not() {
        let select = SelectArgs {
            tenant: None,
            since: Some(10_000_000),
            until: Some(20_000_000),
        };
        for (wall_us, taken) in [
            (9_999_999, false),
            (10_000_000, true),
            (19_999_999, true),
            (20_000_000, false),
        ] {
            assert_eq!(select.takes_time(wall_us), taken, "{wall_us}");
        }
    }
}
