//! The start-up lines: what was found and chosen, for the operator. It decides nothing and prints no secret.

use super::disk::Disk;
use super::host::Host;
use super::memory::DedupMemory;
use crate::config::units::{show_bytes, show_seconds};
use crate::config::{Config, time};
use crate::dedup::table::BYTES_PER_KEY;
use crate::driver::agent::start::Start;
use crate::driver::console::Console;
use crate::driver::core_dumps::CoreDumps;
use crate::driver::descriptors::Places;
use crate::driver::probe::DriverKind;
use crate::driver::sandbox::Sandbox;
use crate::shard::config::ShardLimits;
use std::net::SocketAddr;

/// Prints the start-up lines.
pub(super) fn announce(
    config: &Config,
    (host, disk, start): (&Host, &Disk, &Start),
    address: SocketAddr,
    sandbox: Option<&Sandbox>,
    console: &Console,
) {
    let version = env!("CARGO_PKG_VERSION");
    console.say(format!("flk {version} listens on http://{address}"));
    let cpus: Vec<String> = host.cores.iter().map(usize::to_string).collect();
    let (shards, cpus) = (host.cores.len(), cpus.join(","));
    console.say(format!("  shards     {shards} on CPU {cpus}"));
    let driver = &host.driver;
    let name = driver.kind.name();
    console.say(format!("  driver     {name}: {}", driver.why));
    if driver.kind == DriverKind::Portable {
        console.say(format!("             costs: {}", driver.costs));
    }
    let wal_dir = config.wal_dir.display();
    console.say(format!("  log        {wal_dir}: {}", disk.method.why));
    console.say(disk.log_size.line());
    console.say(format!(
        "  flush      {:.0} µs for one durable block on this device (median of 15)",
        disk.flush.as_secs_f64() * 1e6
    ));
    console.say(dedup_line(&host.dedup, config.dedup_ttl_s));
    console.say(sandbox_line(sandbox, driver.kind));
    announce_keys(config, start, console);
    announce_places(&host.places, host.files_max, shards as u64, console);
}

/// The memory of the tables, and for how long new ids fit into it.
fn dedup_line(dedup: &DedupMemory, ttl_s: u32) -> String {
    let keys = dedup.bytes / BYTES_PER_KEY;
    let lasts = |rate: u64| show_seconds(keys as f64 / rate as f64);
    format!(
        "  dedup      {} of memory ({}), {:.1} M keys: {} at 1k new ids/s, {} at 10k/s, {} at 50k/s; TTL {}",
        show_bytes(dedup.bytes),
        dedup.why,
        keys as f64 / 1e6,
        lasts(1_000),
        lasts(10_000),
        lasts(50_000),
        show_seconds(f64::from(ttl_s)),
    )
}

/// What this process can no longer do, and what others can see of it.
fn sandbox_line(sandbox: Option<&Sandbox>, driver: DriverKind) -> String {
    let files = match sandbox {
        Some(sandbox) => sandbox.to_string(),
        None => "off (FLK_SANDBOX=off): files and sockets are not restricted".to_owned(),
    };
    let ring = match driver {
        DriverKind::Uring => "; ring operations restricted",
        DriverKind::Portable => "",
    };
    let dumps = match CoreDumps::in_force() {
        CoreDumps::Refused => "not dumpable",
        CoreDumps::Allowed => "core dumps allowed: they hold the keys",
    };
    format!("  sandbox    {files}{ring}; {dumps}")
}

/// Tenants whose keys are printed one by one.
const TENANTS_SHOWN: usize = 8;

fn announce_keys(config: &Config, start: &Start, console: &Console) {
    let document = &start.in_force;
    if document.number > 0 {
        let (number, since) = (document.number, time::show(start.since_s));
        console.say(format!(
            "  snapshot   {number}, in force since {since}: tenants, keys and limits come from it, not from the settings (FLK_SNAPSHOT=environment takes those)"
        ));
        if start.settings_differ() {
            console.say(format!(
                "  WARNING    the settings differ from snapshot {number}: what they changed is not in force before flk-control publishes it"
            ));
        }
    }
    for tenant in document.tenants.iter().take(TENANTS_SHOWN) {
        let name = match tenant.name.as_str() {
            "default" => String::new(),
            name => format!("{name} "),
        };
        if tenant.unsigned {
            console.say(format!(
                "  WARNING    {name}signatures are NOT checked (PCS_SIGN_ALG=none): anyone can submit anything"
            ));
        }
        for key in &tenant.keys {
            let (fingerprint, scheme) = (&key.fingerprint, &key.scheme);
            console.say(format!("  key        {name}{fingerprint} {scheme}"));
        }
    }
    if document.tenants.len() > TENANTS_SHOWN {
        let more = document.tenants.len() - TENANTS_SHOWN;
        console.say(format!("  tenants    and {more} more"));
    }
    if document.number == 0 && config.short_keys_count > 0 {
        console.say(format!(
            "  warning    {} HMAC key(s) shorter than the advised 32 bytes",
            config.short_keys_count
        ));
    }
    if !config.age_keys.is_empty() {
        let source = config.age_keys.source();
        console.say(format!(
            "  age        {source} opens encrypted files of keys"
        ));
    }
    if let Some(path) = config.age_keys.open_to_all() {
        console.say(format!(
            "  warning    all users can read {path}, which opens encrypted keys (chmod o=; in Kubernetes defaultMode: 0440)"
        ));
    }
    for damaged in &start.left_out {
        console.say(format!("  WARNING    left out: {damaged}"));
    }
    for closed in &start.closed {
        console.say(format!(
            "  WARNING    a tenant gets 503 until a snapshot mends it: {closed}"
        ));
    }
}

fn announce_places(places: &Places, files_max: Option<u64>, shards: u64, console: &Console) {
    let each = places.connections_max;
    let all = u64::from(each) * shards;
    console.say(format!(
        "  places     for {all} connections, {each} per shard"
    ));
    if let (Some(limit), Some(limit_wanted)) = (files_max, places.limit_wanted) {
        let wanted = u64::from(ShardLimits::default().connections_max) * shards;
        console.say(format!(
            "  warning    the limit of open files is {limit}: {limit_wanted} would allow {wanted} connections (LimitNOFILE, ulimit -n)"
        ));
    }
}
