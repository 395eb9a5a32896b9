//! What other processes of the host can read of this one while it runs.

use super::host::Host;
use crate::config::Config;
use crate::driver::console::Console;
use crate::driver::statistics::{self, Published};
use crate::logs::events::StatisticsPrivate;
use crate::stats::Stats;
use std::os::fd::OwnedFd;

/// The page of statistics and its memory, which others can map as long as it is open. Without one the gateway counts all the
/// same.
pub(super) fn statistics(
    config: &Config,
    host: &Host,
    console: &Console,
) -> (Stats, Option<OwnedFd>) {
    let (stats, memory) = match statistics::publish(host.shards) {
        Ok(Published { stats, memory }) => (stats, Some(memory)),
        Err(error) => {
            let message = format!(
                "statistics are in /metrics only, other processes cannot map them: memfd_create: {error}"
            );
            console.say(
                StatisticsPrivate {
                    error: error.to_string(),
                },
                message,
            );
            (Stats::new(host.shards), None)
        }
    };
    let parts = stats.parts();
    parts.header.driver.set(host.driver.kind.name());
    parts
        .process
        .driver_is_fallback
        .set(u64::from(host.driver.is_fallback));
    if let Some(region) = &config.region {
        parts.header.region.set(region.as_str());
    }
    (stats, memory)
}
