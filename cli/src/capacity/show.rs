//! A plan as a person reads it, and as a program does. It computes nothing but units.

use super::constants::{self as c, Constant};
use super::fit::{Cost, Fit, Sized};
use super::model::Plan;
use super::points::{Point, Topic, points};
use crate::args::time_text;
use crate::bench::amounts::{latency_text, share_text};
use flk_dataplane::config::units::{show_bytes, typed_bytes};
use serde_json::{Value, json};
use std::time::Duration;

/// Bytes in powers of ten, as disks and networks are sold.
fn si_bytes(bytes: f64) -> String {
    si(bytes, "B")
}

/// A number of things.
fn count(number: f64) -> String {
    si(number, "").replace(' ', "")
}

/// A number with three digits and a unit in powers of ten.
fn si(number: f64, unit: &str) -> String {
    let mut value = number;
    let mut prefix = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    let digits = match value {
        it if it >= 99.95 || prefix.is_empty() => 0,
        it if it >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {prefix}{unit}")
}

fn memory(bytes: f64) -> String {
    show_bytes(bytes as u64)
}

/// Days, hours or seconds of a time that nothing types.
fn about(seconds: f64) -> String {
    match seconds {
        it if it >= 2.0 * 86_400.0 => format!("{:.1} days", it / 86_400.0),
        it if it >= 2.0 * 3_600.0 => format!("{:.1} h", it / 3_600.0),
        it if it >= 120.0 => format!("{:.0} min", it / 60.0),
        it => format!("{it:.1} s"),
    }
}

/// The answer in lines, the question first.
pub(super) fn lines(sized: &Sized, fit: Option<&Fit>, cost: Option<&Cost>) -> Vec<String> {
    let mut lines = question(sized);
    lines.push(String::new());
    lines.extend(needs(sized));
    lines.push(String::new());
    lines.extend(fit.map(|fit| fit_line(sized, fit)));
    lines.extend(cost.map(|cost| cost_line(sized, cost)));
    lines.extend(notes(sized).into_iter().map(|it| format!("note: {it}")));
    lines
}

fn question(sized: &Sized) -> Vec<String> {
    let need = &sized.need;
    let time = |seconds: f64| time_text(Duration::from_secs_f64(seconds));
    let peak = match need.peak_times > 1.0 {
        true => format!(", up to {} at the peak", count(need.peak_per_second())),
        false => String::new(),
    };
    let machines = match (need.replicas, need.spare) {
        (1, _) => "one machine".to_owned(),
        (replicas, 0) => format!("each of {replicas} machines"),
        (replicas, spare) => format!("each of {replicas} machines, {spare} of which may be away"),
    };
    vec![
        format!(
            "{} records/s{peak}, {} of them known, {} signed by Ed25519, bodies of {} bytes",
            count(need.per_second),
            share_text(need.duplicates),
            share_text(need.ed25519),
            need.body_bytes
        ),
        format!(
            "ids are known for {}, bodies kept for {}; a durable write takes {}",
            time(need.ttl_s),
            time(need.keep_s),
            latency_text(need.flush_s * 1e9)
        ),
        format!(
            "{machines}, shards used to {} at most:",
            share_text(need.use_share)
        ),
    ]
}

/// A line of the answer: a resource, how much of it, and its parts.
fn row(name: &str, what: &str, parts: &str) -> String {
    format!("{name:<9} {what:<11} {parts}")
}

fn needs(sized: &Sized) -> Vec<String> {
    let plan = &sized.plan;
    let (network, start) = (&plan.network, about(plan.start_s));
    let out = format!("in, {} out", si(network.bits_out, "bit/s"));
    let mut lines = of_process(plan);
    lines.extend(of_disk(plan));
    lines.push(row("network", &si(network.bits_in, "bit/s"), &out));
    let behind = "behind a crash, until records are taken again";
    lines.push(row("start", &start, behind));
    lines
}

fn of_process(plan: &Plan) -> Vec<String> {
    let (cpu, store) = (&plan.cpu, &plan.memory);
    let cores = format!(
        "{} shard(s) used to {}, {} for interrupts, keeper and flk-control; {:.1} µs for a record, {:.1} in a batch",
        cpu.shards,
        share_text(cpu.use_share),
        cpu.others,
        cpu.us_per_record,
        cpu.records_per_batch
    );
    let parts = format!(
        "filters {} for {} ids, a merge {}, tables {}, a seal {}, the process {}",
        memory(store.filters),
        count(plan.ids),
        memory(store.merge),
        memory(store.tables),
        memory(store.seal),
        memory(store.process)
    );
    let tables = format!("DEDUP_MEMORY_MAX={}", typed_bytes(store.tables as u64));
    vec![
        row("cores", &(cpu.shards + cpu.others).to_string(), &cores),
        row("memory", &memory(store.all()), &parts),
        row("", "", &tables),
    ]
}

fn of_disk(plan: &Plan) -> Vec<String> {
    let (disk, device) = (&plan.disk, &plan.device);
    let rate = |bytes: f64| si_bytes(bytes) + "/s";
    let files = format!(
        "a file system of which WAL_DIR takes {}: log {}, slices {}, open segments and a merge {}",
        si_bytes(disk.wal_dir()),
        si_bytes(disk.log_kept),
        si_bytes(disk.slices),
        si_bytes(disk.open)
    );
    let writes = format!(
        "log {}, zeros {}, slices {} (each id {:.1} times), packed {}, manifest {}; {} durable writes/s",
        rate(device.log),
        rate(device.zeros),
        rate(device.slices),
        device.slice_writes,
        rate(device.packed),
        rate(device.manifest),
        count(device.flushes)
    );
    let reads = "by seals and merges, and for duplicates; what the page cache has does not count";
    let slices = format!("segments, and up to {} slices", c::SLICES_COUNT.value);
    let a_day = "a day, as it is written";
    vec![
        row("log", &si_bytes(disk.log_per_day), a_day),
        row("disk", &si_bytes(disk.file_system()), &files),
        row("writes", &rate(device.writes()), &writes),
        row("reads", &rate(device.reads), reads),
        row("files", &count(disk.segments_count), &slices),
    ]
}

fn fit_line(sized: &Sized, fit: &Fit) -> String {
    let percent = |part: f64| format!("{:.0} %", part * 100.0);
    let shape = &fit.shape;
    let mut line = format!(
        "{}: {} of {} cores, {} of {}, disk {} of what WAL_DIR may take of {}; limited by {} first",
        shape.about,
        percent(fit.cores),
        shape.cpus,
        percent(fit.memory),
        memory(shape.memory_bytes as f64),
        percent(fit.disk),
        memory(shape.disk_bytes as f64),
        fit.limit()
    );
    if !fit.fits() {
        line += "; IT DOES NOT FIT: take more machines, or larger ones";
    } else if fit.disk > 1.0 {
        line += &format!(
            "; bodies are kept for {} in place of {}, because room decides before age",
            about(fit.kept_s),
            about(sized.one.keep_s)
        );
    }
    line
}

fn cost_line(sized: &Sized, cost: &Cost) -> String {
    format!(
        "a month of {} machine(s) costs {:.0}: cores {:.0}, memory {:.0}, disk {:.0}, traffic {:.0}",
        sized.need.replicas,
        cost.all(),
        cost.cores,
        cost.memory,
        cost.disk,
        cost.network
    )
}

/// What a reader has to know beside the numbers.
fn notes(sized: &Sized) -> Vec<String> {
    let mut notes = Vec::new();
    let (segments, most) = (sized.plan.disk.segments_count, c::SEGMENTS_MAX.value);
    if segments > most {
        let enough = sized.one.segment_bytes * segments / most;
        let larger = (enough as u64).min(1 << 30).next_power_of_two();
        let mut note = format!(
            "{} segments are more than the {most} of the manifest, so bodies are kept for {}",
            count(segments),
            about(sized.plan.disk.kept_by_manifest_s(sized.one.keep_s))
        );
        if larger as f64 > sized.one.segment_bytes {
            note += &format!("; --segment {} makes fewer", typed_bytes(larger));
        }
        notes.push(note);
    }
    if sized.need.replicas > 1 {
        let note =
            "machines do not share ids: let each agent, or each id, always come to the same one";
        notes.push(note.to_owned());
    }
    if sized.plan.cpu.shards > 1.0 {
        let note = "nothing with more than one shard is measured yet: a tenth more CPU for each record is assumed";
        notes.push(note.to_owned());
    }
    let (below, above) = Topic::Cpu.bounds_percent();
    notes.push(format!(
        "where it was measured, the model is off by -{below:.0} to +{above:.0} % of the CPU: --explain; measure yours by flk bench"
    ));
    notes
}

/// Each number with its source, and the points.
pub(super) fn explained() -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "| number | value | | source |".to_owned(),
        "|---|---:|---|---|".to_owned(),
    ];
    lines.extend(c::ALL.iter().map(constant_row));
    lines.extend([
        String::new(),
        "| what | at | measured | model | off by | record |".to_owned(),
        "|---|---|---:|---:|---:|---|".to_owned(),
    ]);
    lines.extend(points().iter().map(point_row));
    lines
}

/// A number of the model as a row of a table.
pub(super) fn constant_row(constant: &Constant) -> String {
    let Constant {
        name,
        value,
        unit,
        kind,
        source,
    } = constant;
    let value = match *value {
        it if it != 0.0 && it < 1e-3 => format!("{it:e}"),
        it => it.to_string(),
    };
    let value = format!("{value} {unit}");
    let (value, kind) = (value.trim_end(), kind.name());
    format!("| {name} | {value} | {kind} | {source} |")
}

/// A measured number and the model's as a row of a table.
pub(super) fn point_row(point: &Point) -> String {
    let digits = match point.measured {
        it if it >= 100.0 => 0,
        it if it >= 5.0 => 2,
        _ => 3,
    };
    let (what, at, record) = (point.topic.name(), point.at, point.record);
    let (measured, modelled, error) = (point.measured, point.modelled, point.error_percent());
    format!(
        "| {what} | {at} | {measured:.digits$} | {modelled:.digits$} | {error:+.1} % | {record} |"
    )
}

/// All of it as one object; sizes in bytes, times in seconds, rates in a second.
pub(super) fn object(
    sized: &Sized,
    fit: Option<(&Fit, &str)>,
    cost: Option<&Cost>,
    explain: bool,
) -> Value {
    let (need, plan) = (&sized.need, &sized.plan);
    let mut object = json!({
        "need": {
            "per_second": need.per_second, "peak_times": need.peak_times, "duplicates": need.duplicates,
            "ed25519": need.ed25519, "body_bytes": need.body_bytes, "ttl_seconds": need.ttl_s,
            "keep_seconds": need.keep_s, "flush_seconds": need.flush_s, "use": need.use_share,
            "segment_bytes": need.segment_bytes, "replicas": need.replicas, "spare": need.spare,
        },
        "of_one_machine": of_one(sized),
        "notes": notes(sized),
        "fit": null, "cost_per_month": null,
    });
    if let Some((fit, name)) = fit {
        object["fit"] = json!({
            "machine": name, "cores": fit.cores, "memory": fit.memory, "disk": fit.disk,
            "disk_least": fit.disk_least, "kept_seconds": fit.kept_s, "limit": fit.limit(),
        });
    }
    if let Some(cost) = cost {
        object["cost_per_month"] = json!({
            "all": cost.all(), "cores": cost.cores, "memory": cost.memory, "disk": cost.disk,
            "network": cost.network,
        });
    }
    if explain {
        object["constants"] = c::ALL.iter().map(constant_object).collect();
        object["points"] = points().iter().map(point_object).collect();
    }
    object["ids"] = json!(plan.ids);
    object
}

fn of_one(sized: &Sized) -> Value {
    let plan = &sized.plan;
    let (cpu, store, disk, device) = (&plan.cpu, &plan.memory, &plan.disk, &plan.device);
    json!({
        "cores": cpu.shards + cpu.others,
        "cpu": {
            "shards": cpu.shards, "others": cpu.others, "use": cpu.use_share,
            "us_per_record": cpu.us_per_record, "records_per_batch": cpu.records_per_batch,
        },
        "memory_bytes": store.all(),
        "memory": {
            "process": store.process, "tables": store.tables, "seal": store.seal,
            "filters": store.filters, "merge": store.merge,
        },
        "log_bytes_per_day": disk.log_per_day,
        "file_system_bytes": disk.file_system(),
        "disk": {
            "wal_dir": disk.wal_dir(), "log": disk.log_kept, "slices": disk.slices, "open": disk.open,
            "segments": disk.segments_count,
        },
        "device": {
            "write_bytes_per_second": device.writes(), "log": device.log, "zeros": device.zeros,
            "slices": device.slices, "slice_writes": device.slice_writes, "packed": device.packed,
            "manifest": device.manifest,
            "read_bytes_per_second": device.reads, "flushes_per_second": device.flushes,
        },
        "network": {"bits_in_per_second": plan.network.bits_in, "bits_out_per_second": plan.network.bits_out},
        "start_seconds": plan.start_s,
    })
}

fn constant_object(constant: &Constant) -> Value {
    json!({
        "name": constant.name, "value": constant.value, "unit": constant.unit,
        "kind": constant.kind.name(), "source": constant.source,
    })
}

fn point_object(point: &Point) -> Value {
    json!({
        "what": point.topic.name(), "at": point.at, "measured": point.measured,
        "model": point.modelled, "error_percent": point.error_percent(), "record": point.record,
        "as_recorded": point.texts,
    })
}
