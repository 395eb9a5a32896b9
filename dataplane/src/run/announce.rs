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
use crate::http::LookUps;
use crate::logs::events as say;
use crate::shard::config::ShardLimits;
use crate::snapshot::TenantDocument;
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
    let message = format!("flk {version} listens on http://{address}");
    let address = address.to_string();
    console.say(say::Listening { address, version }, message);
    let cpus: Vec<String> = host.cores.iter().map(usize::to_string).collect();
    let (shards_count, cpus) = (host.cores.len(), cpus.join(","));
    let message = format!("{shards_count} on CPU {cpus}");
    console.say(say::Shards { shards_count, cpus }, message);
    let driver = host.driver.kind.name();
    let message = format!("{driver}: {}", host.driver.why);
    console.say(say::DriverChosen { driver }, message);
    if host.driver.kind == DriverKind::Portable {
        let message = format!("costs: {}", host.driver.costs);
        console.say(say::DriverCosts {}, message);
    }
    announce_disk(config, disk, console);
    announce_dedup(&host.dedup, config.dedup_ttl_s, console);
    if config.look_ups == LookUps::On {
        let message = "GET /v1/pcs/{pcs_id} is unsigned: each client that reaches the port reads outcomes (FLK_LOOK_UPS)";
        console.say(say::LookUpsOn {}, message.to_owned());
    }
    let is_restricted = sandbox.is_some();
    let message = sandbox_line(sandbox, host.driver.kind);
    console.say(say::SandboxEntered { is_restricted }, message);
    announce_keys(config, start, console);
    announce_places(&host.places, host.files_max, shards_count as u64, console);
}

/// How the log is written, and what it may take.
fn announce_disk(config: &Config, disk: &Disk, console: &Console) {
    let wal_dir = config.wal_dir.display().to_string();
    let message = format!("{wal_dir}: {}", disk.method.why);
    console.say(say::LogMethod { wal_dir }, message);
    let segment_bytes = disk.log_size.segment_bytes;
    let wal_bytes_max = disk.log_size.bytes_max;
    let message = disk.log_size.in_words();
    match disk.log_size.is_small() {
        true => {
            let event = say::SegmentsFew {
                segment_bytes,
                wal_bytes_max,
            };
            console.say(event, message);
        }
        false => {
            let event = say::Segments {
                segment_bytes,
                wal_bytes_max,
            };
            console.say(event, message);
        }
    }
    let flush_us = disk.flush.as_secs_f64() * 1e6;
    let message = format!("{flush_us:.0} µs for one durable block on this device (median of 15)");
    console.say(say::FlushTime { flush_us }, message);
}

/// The memory of the tables, and for how long new ids fit into it if nothing is sealed.
fn announce_dedup(dedup: &DedupMemory, ttl_s: u32, console: &Console) {
    let keys_count = dedup.bytes / BYTES_PER_KEY;
    let lasts = |rate: u64| show_seconds(keys_count as f64 / rate as f64);
    let message = format!(
        "{} of memory ({}), {:.1} M keys not sealed yet: {} at 1k new ids/s, {} at 10k/s, {} at 50k/s; TTL {}",
        show_bytes(dedup.bytes),
        dedup.why,
        keys_count as f64 / 1e6,
        lasts(1_000),
        lasts(10_000),
        lasts(50_000),
        show_seconds(f64::from(ttl_s)),
    );
    let event = say::DedupMemory {
        memory_bytes: dedup.bytes,
        keys_count,
        ttl_s,
    };
    console.say(event, message);
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
    format!("{files}{ring}; {dumps}")
}

/// Tenants whose keys are printed one by one.
const TENANTS_SHOWN: usize = 8;

fn announce_keys(config: &Config, start: &Start, console: &Console) {
    let document = &start.in_force;
    if document.number > 0 {
        let (snapshot, since) = (document.number, time::show(start.since_s));
        console.say(say::SnapshotAtStart { snapshot }, format!(
            "{snapshot}, in force since {since}: tenants, keys and limits come from it, not from the settings (FLK_SNAPSHOT=environment takes those)"
        ));
        if start.settings_differ() {
            console.say(say::SettingsDiffer { snapshot }, format!(
                "the settings differ from snapshot {snapshot}: what they changed is not in force before flk-control publishes it"
            ));
        }
    }
    for tenant in document.tenants.iter().take(TENANTS_SHOWN) {
        announce_tenant(tenant, console);
    }
    if document.tenants.len() > TENANTS_SHOWN {
        let tenants_count = document.tenants.len() - TENANTS_SHOWN;
        let message = format!("and {tenants_count} more");
        console.say(say::TenantsMore { tenants_count }, message);
    }
    let keys_count = config.short_keys_count;
    if document.number == 0 && keys_count > 0 {
        let message = format!("{keys_count} HMAC key(s) shorter than the advised 32 bytes");
        console.say(say::KeysShort { keys_count }, message);
    }
    if !config.age_keys.is_empty() {
        let source = config.age_keys.source();
        let message = format!("{source} opens encrypted files of keys");
        console.say(say::AgeIdentity {}, message);
    }
    if let Some(path) = config.age_keys.open_to_all() {
        let message = format!(
            "all users can read {path}, which opens encrypted keys (chmod o=; in Kubernetes defaultMode: 0440)"
        );
        console.say(say::AgeIdentityOpen {}, message);
    }
    for damaged in &start.left_out {
        console.say(say::SnapshotLeftOut {}, format!("left out: {damaged}"));
    }
    for closed in &start.closed {
        let message = format!("a tenant gets 503 until a snapshot mends it: {closed}");
        console.say(say::TenantClosed {}, message);
    }
}

fn announce_tenant(tenant: &TenantDocument, console: &Console) {
    let name = match tenant.name.as_str() {
        "default" => String::new(),
        name => format!("{name} "),
    };
    if tenant.unsigned {
        let message = unsigned_line(&tenant.name);
        let tenant = tenant.name.clone();
        console.say(say::Unsigned { tenant }, message);
    }
    for key in &tenant.keys {
        let (fingerprint, scheme) = (&key.fingerprint, &key.scheme);
        let event = say::KeyLoaded {
            tenant: tenant.name.clone(),
            key: fingerprint.clone(),
            scheme: scheme.clone(),
        };
        console.say(event, format!("{name}{fingerprint} {scheme}"));
    }
}

/// That signatures are not checked, and which setting says so. Only the tenant of requests that name none has two such.
fn unsigned_line(tenant: &str) -> String {
    let (tenant, cause) = match tenant {
        "default" => (
            String::new(),
            "PCS_SIGN_ALG=none, or unsigned = true of the tenant default",
        ),
        name => (
            format!("tenant {name}: "),
            "unsigned = true in the configuration file",
        ),
    };
    format!("{tenant}signatures are NOT checked ({cause}): anyone can submit anything")
}

fn announce_places(places: &Places, files_max: Option<u64>, shards: u64, console: &Console) {
    let each = places.connections_max;
    let all = u64::from(each) * shards;
    let event = say::ConnectionPlaces {
        connections_max: all,
        connections_per_shard_max: each,
    };
    console.say(event, format!("for {all} connections, {each} per shard"));
    if let (Some(files_max), Some(files_wanted)) = (files_max, places.limit_wanted) {
        let wanted = u64::from(ShardLimits::default().connections_max) * shards;
        let event = say::OpenFilesLow {
            files_max,
            files_wanted,
        };
        console.say(event, format!(
            "the limit of open files is {files_max}: {files_wanted} would allow {wanted} connections (LimitNOFILE, ulimit -n)"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::unsigned_line;

    #[test]
    fn an_unsigned_tenant_is_named_with_the_setting_that_makes_it_so() {
        assert_eq!(
            unsigned_line("acme"),
            "tenant acme: signatures are NOT checked (unsigned = true in the configuration file): anyone can submit anything"
        );
        let of_default = unsigned_line("default");
        assert!(of_default.starts_with("signatures are NOT checked (PCS_SIGN_ALG=none"));
        assert!(of_default.contains("unsigned = true of the tenant default"));
    }
}
