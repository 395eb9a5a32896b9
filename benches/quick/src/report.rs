//! The figures as text, in Markdown, so that the terminal and the recorded page say the same.
//! It compares with the floor and the targets in words; no figure here makes a run fail.

use std::fmt;

use crate::device::Device;
use crate::level::Level;
use crate::machine::Machine;

/// The level at which the targets hold.
const TARGET_CONNECTIONS_COUNT: usize = 64;
/// Share of the floor's requests per second, at least.
const TARGET_RATE_SHARE: f64 = 0.45;
/// Multiple of the floor's CPU per request, at most.
const TARGET_CPU_RATIO: f64 = 2.2;
/// Above this share of the server's CPU taken by others, figures say more about the machine than about the server.
const OTHERS_SHARE_MAX: f64 = 0.10;

pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) device: Option<Device>,
    pub(crate) floor: Vec<Level>,
    pub(crate) gateway: Vec<Level>,
}

impl Report {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            device: None,
            floor: Vec::new(),
            gateway: Vec::new(),
        }
    }

    /// Every answer was 200 and no connection was lost.
    pub(crate) fn answers_are_right(&self) -> bool {
        self.levels().all(|(_, level)| {
            level.measured.other_than_200_count() == 0 && level.measured.lost_count == 0
        })
    }

    fn levels(&self) -> impl Iterator<Item = (&'static str, &Level)> {
        let floor = self.floor.iter().map(|level| ("floor", level));
        floor.chain(self.gateway.iter().map(|level| ("gateway", level)))
    }

    /// Pairs of floor and gateway at the same number of connections.
    fn pairs(&self) -> impl Iterator<Item = (&Level, &Level)> {
        self.floor.iter().zip(&self.gateway)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0, load on CPU 1, keep-alive, one request under way per connection  "
        )?;
        if let Some(device) = &self.device {
            writeln!(
                f,
                "Device: {}: p50 {:.0} µs, p99 {:.0} µs, {:.0}/s",
                device.method, device.p50_us, device.p99_us, device.per_second
            )?;
        }
        table(f, self.levels())?;
        ratios(f, self.pairs())?;
        remarks(f, self.levels())
    }
}

fn table<'a>(
    f: &mut fmt::Formatter<'_>,
    levels: impl Iterator<Item = (&'static str, &'a Level)>,
) -> fmt::Result {
    writeln!(
        f,
        "\n| server  | connections | requests/s | p50 µs | p99 µs | p99.9 µs | user µs/req | system µs/req | WAL B/req | records/sync | req/sync |"
    )?;
    writeln!(
        f,
        "|---------|------------:|-----------:|-------:|-------:|---------:|------------:|--------------:|----------:|-------------:|---------:|"
    )?;
    for (name, level) in levels {
        let run = &level.measured;
        write!(
            f,
            "| {name:<7} | {:>11} | {:>10.0} | {:>6.0} | {:>6.0} | {:>8.0} | {:>11.2} | {:>13.2} |",
            run.connections_count,
            run.per_second(),
            run.latency_us(0.5),
            run.latency_us(0.99),
            run.latency_us(0.999),
            level.user_us(),
            level.system_us(),
        )?;
        match &level.wal {
            Some(wal) => writeln!(
                f,
                " {:>9.0} | {:>12.1} | {:>8.1} |",
                wal.written_bytes / run.answers_count.max(1) as f64,
                wal.records_count / wal.syncs_count.max(1.0),
                run.answers_count as f64 / wal.syncs_count.max(1.0),
            )?,
            None => writeln!(f, " {:>9} | {:>12} | {:>8} |", "-", "-", "-")?,
        }
    }
    Ok(())
}

fn ratios<'a>(
    f: &mut fmt::Formatter<'_>,
    pairs: impl Iterator<Item = (&'a Level, &'a Level)>,
) -> fmt::Result {
    for (index, (floor, gateway)) in pairs.enumerate() {
        if index == 0 {
            writeln!(f, "\nGateway beside the floor of the same run:")?;
        }
        let rate = gateway.measured.per_second() / floor.measured.per_second();
        let cpu = gateway.cpu_us() / floor.cpu_us();
        let connections_count = gateway.measured.connections_count;
        write!(
            f,
            "- {connections_count} connections: {rate:.2} × the requests/s, {cpu:.2} × the CPU per request"
        )?;
        if connections_count == TARGET_CONNECTIONS_COUNT {
            let rate_verdict = verdict(rate >= TARGET_RATE_SHARE);
            let cpu_verdict = verdict(cpu <= TARGET_CPU_RATIO);
            write!(
                f,
                " (targets: at least {TARGET_RATE_SHARE} ×: {rate_verdict}; at most {TARGET_CPU_RATIO} ×: {cpu_verdict})"
            )?;
        }
        writeln!(f)?;
    }
    Ok(())
}

pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}

/// What makes a figure doubtful or wrong.
fn remarks<'a>(
    f: &mut fmt::Formatter<'_>,
    levels: impl Iterator<Item = (&'static str, &'a Level)>,
) -> fmt::Result {
    for (name, level) in levels {
        let run = &level.measured;
        let at = format!("{name} at {} connections", run.connections_count);
        if run.other_than_200_count() > 0 || run.lost_count > 0 {
            writeln!(
                f,
                "\nWRONG: {at}: statuses {:?}, {} connections lost",
                run.statuses, run.lost_count
            )?;
        }
        if let Some(note) = level.ran_dry(&at) {
            writeln!(f, "\nNote: {note}")?;
        }
        if level.others_share > OTHERS_SHARE_MAX {
            writeln!(
                f,
                "\nNote: {at}: {:.0} % of the server's CPU went to other processes and interrupts; repeat on a quiet machine",
                level.others_share * 100.0
            )?;
        }
    }
    Ok(())
}
