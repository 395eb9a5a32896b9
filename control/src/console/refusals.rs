//! The last refusals of all shards as the console shows them. No payload is where they come from.

use super::source::Source;
use flk_dataplane::http::Problem;
use flk_dataplane::stats::refused::Refused;
use serde::Serialize;

/// Refusals that are shown.
const SHOWN_MAX: usize = 500;

/// A refusal.
#[derive(Debug, PartialEq, Serialize)]
pub struct Shown {
    t_ms: u64,
    status: u16,
    code: &'static str,
    /// The field of the record that it is about.
    field: Option<&'static str>,
    tenant: Option<String>,
    key_id: Option<String>,
    shard: u16,
}

/// The newest first.
///
/// # Errors
/// Why the data plane does not say them: that is not the same as none.
pub fn refusals(source: &Source) -> Result<Vec<Shown>, String> {
    Ok(shown(source.page_or_why()?.refusals()))
}

fn shown(all: Vec<Refused>) -> Vec<Shown> {
    let shown = all.into_iter().take(SHOWN_MAX).filter_map(|it| {
        // One of a later version has no words here.
        let problem = Problem::from_number(it.problem)?;
        Some(Shown {
            t_ms: it.wall_us / 1000,
            status: problem.status(),
            code: problem.code(),
            field: Some(it.field).filter(|it| !it.is_empty()),
            tenant: it.tenant,
            key_id: it.key,
            shard: it.shard,
        })
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_refusals_the_newest_are_shown() {
        let count = 2 * SHOWN_MAX as u64;
        let all = (0..count).rev().map(|t_ms| Refused {
            wall_us: t_ms * 1000 + 999,
            shard: 7,
            problem: 60,
            field: "",
            tenant: None,
            key: None,
        });
        let shown = shown(all.collect());
        let times: Vec<u64> = shown.iter().map(|it| it.t_ms).collect();
        let newest = count - SHOWN_MAX as u64..count;
        assert_eq!(times, newest.rev().collect::<Vec<_>>());
    }
}
