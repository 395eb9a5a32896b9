//! The first lines of a start: what was found and chosen, for the operator. It decides nothing and shows no secret.

use super::log_size::LogSize;
use super::memory::DedupMemory;
use crate::config::Config;
use crate::config::units::{show_bytes, show_hours};
use crate::dedup::table::BYTES_PER_KEY;
use crate::driver::console::Console;
use crate::driver::descriptors::Places;
use crate::driver::probe::{Chosen, DriverKind, WriteMethod};
use crate::shard::config::{Limits, Signing};
use std::net::SocketAddr;
use std::time::Duration;

/// What a start found and chose.
pub(super) struct Found<'a> {
    pub(super) cores: &'a [usize],
    pub(super) address: SocketAddr,
    pub(super) driver: &'a Chosen,
    pub(super) method: &'a WriteMethod,
    pub(super) log_size: &'a LogSize,
    pub(super) flush: Duration,
    pub(super) dedup: &'a DedupMemory,
    pub(super) places: &'a Places,
    pub(super) files_max: Option<u64>,
}

pub(super) fn announce(config: &Config, found: &Found<'_>, console: &Console) {
    let Found {
        cores,
        address,
        driver,
        method,
        log_size,
        flush,
        dedup,
        places,
        files_max,
    } = found;
    let cpus: Vec<String> = cores.iter().map(usize::to_string).collect();
    let keys = dedup.bytes / BYTES_PER_KEY;
    let hours = |rate: u64| show_hours(keys as f64 / rate as f64 / 3600.0);
    console.say(format!(
        "flk {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    ));
    console.say(format!(
        "  shards     {} on CPU {}",
        cores.len(),
        cpus.join(",")
    ));
    console.say(format!(
        "  driver     {}: {}",
        driver.kind.name(),
        driver.why
    ));
    if driver.kind == DriverKind::Portable {
        console.say(format!("             costs: {}", driver.costs));
    }
    console.say(format!(
        "  log        {}: {}",
        config.wal_dir.display(),
        method.why
    ));
    console.say(log_size.line());
    console.say(format!(
        "  flush      {:.0} µs for one durable block on this device (median of 15)",
        flush.as_secs_f64() * 1e6
    ));
    console.say(format!(
        "  dedup      {} of memory ({}), {:.1} M keys: {} at 1k new ids/s, {} at 10k/s, {} at 50k/s; TTL {}",
        show_bytes(dedup.bytes),
        dedup.why,
        keys as f64 / 1e6,
        hours(1_000),
        hours(10_000),
        hours(50_000),
        show_hours(f64::from(config.dedup_ttl_s) / 3600.0),
    ));
    match config.signing.as_ref() {
        Signing::Keys(keys) => {
            for (id, scheme) in keys.ids() {
                console.say(format!("  key        {id} {scheme}"));
            }
        }
        Signing::Unsigned => {
            console.say(
                "  WARNING    signatures are NOT checked (PCS_SIGN_ALG=none): anyone can submit anything",
            );
        }
    }
    if config.short_keys_count > 0 {
        console.say(format!(
            "  warning    {} HMAC key(s) shorter than the advised 32 bytes",
            config.short_keys_count
        ));
    }
    announce_places(places, *files_max, cores.len() as u64, console);
}

fn announce_places(places: &Places, files_max: Option<u64>, shards: u64, console: &Console) {
    let each = places.connections_max;
    let all = u64::from(each) * shards;
    console.say(format!(
        "  places     for {all} connections, {each} per shard"
    ));
    if let (Some(limit), Some(limit_wanted)) = (files_max, places.limit_wanted) {
        let wanted = u64::from(Limits::default().connections_max) * shards;
        console.say(format!(
            "  warning    the limit of open files is {limit}: {limit_wanted} would allow {wanted} connections (LimitNOFILE, ulimit -n)"
        ));
    }
}
