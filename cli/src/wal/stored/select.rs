//! Which stored bodies are wanted: by tenant, and by the time at which they came.

use clap::Args;
use flk_dataplane::config::time;

/// Options that choose stored bodies.
#[derive(Args, Debug)]
pub(in crate::wal) struct SelectArgs {
    /// Only bodies of this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only bodies that came at this time or later, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<u64>,
    /// Only bodies that came before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<u64>,
}

/// Reads a time, as seconds since the Unix epoch.
pub(in crate::wal) fn instant(text: &str) -> Result<u64, String> {
    let read = time::seconds(text);
    read.ok_or_else(|| "it must be a time such as 2026-11-01T00:00:00Z".to_owned())
}

impl SelectArgs {
    /// Whether bodies of a tenant are wanted.
    pub(in crate::wal) fn takes_tenant(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
    }

    /// Whether bodies that came at this time are wanted, in microseconds since the Unix epoch.
    pub(in crate::wal) fn takes_time(&self, wall_us: u64) -> bool {
        let wall_s = wall_us / 1_000_000;
        self.since.is_none_or(|since| since <= wall_s)
            && self.until.is_none_or(|until| wall_s < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_since_is_taken_and_that_of_until_is_not() {
        let select = SelectArgs {
            tenant: None,
            since: Some(10),
            until: Some(20),
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
