//! What does not come as numbers over time: the programs, where shards run, what is in force, and the commands that make a first
//! record appear. It asks nothing itself.

use super::source::Source;
use crate::view::View;
use flk_dataplane::snapshot::{Document, KeyDocument, TenantDocument};
use serde::Serialize;
use serde_json::{Value, json};

/// A shard.
#[derive(Debug, Serialize)]
struct Shard {
    shard: usize,
    /// The CPU that it is pinned to.
    cpu: Option<u64>,
    /// The node of memory that the CPU belongs to.
    node: Option<u64>,
}

/// All of it; the document is that of the snapshot in force, as far as it is known.
pub fn overview(source: &Source, address: &str, view: &View, document: Option<&Document>) -> Value {
    let reader = source.reader();
    let [version, region, _] = reader.as_ref().map(|it| it.origin()).unwrap_or_default();
    let cpus = reader.as_ref().map_or_else(Vec::new, |it| it.cpus());
    let shards = cpus.into_iter().enumerate().map(|(shard, cpu)| Shard {
        shard,
        cpu,
        node: cpu.and_then(node_of),
    });
    let in_force = view.status.as_ref().map(|it| &it.in_force);
    let tenants = document.map_or(&[][..], |it| &it.tenants);
    json!({
        "version": version,
        "commit": null,
        "control": env!("CARGO_PKG_VERSION"),
        "region": region,
        "driver": reader.as_ref().map(|it| it.driver()),
        "started_ms": reader.as_ref().map(|it| it.started_wall_us() / 1000),
        "address": address,
        "shards": shards.collect::<Vec<_>>(),
        "wal_dir": source.wal_dir().display().to_string(),
        "snapshot": in_force.map(|it| json!({
            "number": it.number, "since_ms": it.since_s * 1000, "digest": it.digest,
        })),
        "tenants": tenants.iter().map(tenant).collect::<Vec<_>>(),
        "first_record": first_record(address, tenants),
    })
}

fn tenant(it: &TenantDocument) -> Value {
    json!({
        "id": it.name,
        "enabled": it.enabled,
        "unsigned": it.unsigned,
        "rate": it.limits.rate,
        "bytes_per_second": it.limits.bytes_per_s,
        "keys": it.keys.iter().map(key).collect::<Vec<_>>(),
    })
}

fn key(it: &KeyDocument) -> Value {
    let ms = |seconds: Option<u64>| seconds.map(|it| it.saturating_mul(1000));
    json!({
        "id": it.id,
        "scheme": it.scheme,
        "fingerprint": it.fingerprint,
        "not_before_ms": ms(it.not_before),
        "not_after_ms": ms(it.not_after),
        "revoked_at_ms": ms(it.revoked_at),
    })
}

/// The name of a key of the document by its fingerprint.
pub fn key_named<'d>(document: &'d Document, tenant: &str, fingerprint: &str) -> Option<&'d str> {
    let of = document.tenants.iter().find(|it| it.name == tenant)?;
    let key = of.keys.iter().find(|it| it.fingerprint == fingerprint)?;
    Some(&key.id)
}

/// Three commands, to be typed where the gateway was started.
fn first_record(address: &str, tenants: &[TenantDocument]) -> [String; 3] {
    let is_signed = tenants.iter().any(|it| !it.unsigned);
    let sign = match is_signed {
        true => "flk pcs sign record.json > signed.json",
        false => "cp record.json signed.json",
    };
    let url = match address {
        "http://127.0.0.1:8080" => String::new(),
        other => format!(" --url {other}"),
    };
    [
        "echo 0,0.1,0.2,0.3 | flk pcs build > record.json".to_owned(),
        sign.to_owned(),
        format!("flk pcs submit{url} signed.json"),
    ]
}

/// The node of memory of a CPU, as the kernel of this host says.
fn node_of(cpu: u64) -> Option<u64> {
    let entries = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{cpu}")).ok()?;
    let names = entries.filter_map(|it| it.ok()?.file_name().into_string().ok());
    let mut nodes = names.filter_map(|it| it.strip_prefix("node")?.parse().ok());
    nodes.next()
}
