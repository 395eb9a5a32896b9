//! How often each key verified, from `/metrics` of a gateway. It asks once and shows no credential.

use crate::exit::Failure;
use crate::page::{NoPage, Page};
use flk_dataplane::stats::tenants::{KEY_ROWS, TENANT_ROWS};
use std::collections::BTreeMap;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What a gateway counted for a key since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) verified_count: u64,
    /// None: not since the start.
    pub(super) last_seen_s: Option<u64>,
}

/// What a gateway says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has the key.
    Known(Usage),
    /// It has no such key, so it refuses what the key signed.
    Unknown,
    /// It counts this key together with others, if it has it.
    WithOthers,
}

/// Usage by tenant and key.
pub(super) struct Usages {
    keys: BTreeMap<(String, String), Usage>,
    /// Every key that the gateway has has a sample of its own.
    are_all: bool,
}

/// Stands for all keys that have no sample of their own.
const OTHER: &str = "other";

impl Usages {
    /// Asks the gateway at this address.
    pub(super) fn of(url: &str) -> Result<Usages, Failure> {
        let page = Page::of_url(url)?.with_credentials_of_environment();
        let unanswered =
            |why: &str| Failure::unavailable(format!("no counts from {}: {why}", page.authority()));
        let fetched = page.fetch_within(ANSWER_WITHIN);
        let page = fetched.map_err(|none| match none {
            NoPage::NeedsToken => {
                unanswered("what answers there is flk-control; give --url the address of records")
            }
            NoPage::Status(_) | NoPage::Broken(_) => unanswered(&none.to_string()),
        })?;
        match page
            .lines()
            .any(|line| line.starts_with("flk_ingest_total "))
        {
            true => Ok(Usages::read(&page)),
            false => Err(unanswered(
                "what answers there is not a gateway; give --url the address of records",
            )),
        }
    }

    fn read(page: &str) -> Usages {
        let mut keys: BTreeMap<(String, String), Usage> = BTreeMap::new();
        let mut tenants = 0;
        for line in page.lines() {
            tenants += usize::from(line.starts_with("flk_ingest_by_tenant{"));
            let Some((name, tenant, key, value)) = sample(line) else {
                continue;
            };
            let usage = keys.entry((tenant.to_owned(), key.to_owned())).or_default();
            match name {
                "flk_key_verified_total" => usage.verified_count = value,
                "flk_key_last_seen_seconds" => {
                    usage.last_seen_s = (value > 0).then_some(value);
                }
                _ => {}
            }
        }
        let is_full = keys.contains_key(&(OTHER.to_owned(), OTHER.to_owned()));
        Usages {
            are_all: !is_full && keys.len() < KEY_ROWS && tenants < TENANT_ROWS,
            keys,
        }
    }

    /// What is said of one key.
    pub(super) fn find(&self, tenant: &str, key: &str) -> Seen {
        // A key has its samples as soon as it is in force.
        match self.keys.get(&(tenant.to_owned(), key.to_owned())) {
            Some(usage) => Seen::Known(*usage),
            None if self.are_all => Seen::Unknown,
            None => Seen::WithOthers,
        }
    }
}

/// Name, tenant, key and value of a line that is a sample of a key. Names need no escapes.
fn sample(line: &str) -> Option<(&str, &str, &str, u64)> {
    let (name, rest) = line.split_once("{tenant=\"")?;
    let (tenant, rest) = rest.split_once("\",key=\"")?;
    let (key, value) = rest.split_once("\"} ")?;
    let value: f64 = value.split(' ').next()?.parse().ok()?;
    Some((name, tenant, key, value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_samples_is_not_in_force_unless_others_are_counted_together() {
        let page = "\
# TYPE flk_key_verified_total counter
flk_ingest_by_tenant{tenant=\"acme\"} 21
flk_key_verified_total{tenant=\"acme\",key=\"2026-11\"} 20
flk_key_last_seen_seconds{tenant=\"acme\",key=\"2026-11\"} 102
flk_key_last_seen_seconds{tenant=\"acme\",key=\"2026-08\"} 0
";
        let usages = Usages::read(page);
        let used = |verified_count, last_seen_s| {
            Seen::Known(Usage {
                verified_count,
                last_seen_s,
            })
        };
        assert_eq!(usages.find("acme", "2026-11"), used(20, Some(102)));
        assert_eq!(usages.find("acme", "2026-08"), used(0, None));
        assert_eq!(usages.find("acme", "none"), Seen::Unknown);
        let full = format!("{page}flk_key_verified_total{{tenant=\"other\",key=\"other\"}} 3\n");
        let last = format!(
            "{page}{}",
            "flk_ingest_by_tenant{tenant=\"t\"} 0\n".repeat(63)
        );
        for page in [full, last] {
            let usages = Usages::read(&page);
            assert_eq!(usages.find("acme", "none"), Seen::WithOthers);
            assert_eq!(usages.find("acme", "2026-11"), used(20, Some(102)));
        }
    }
}
