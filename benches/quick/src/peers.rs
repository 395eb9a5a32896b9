//! `make bench-peers`: the gateway beside what people could run instead, in turn, with the same records from the same load. It prints
//! one table, and one of the gateway's own shard under other drivers. Before a system is measured it has to give the right answers; a
//! store that is not installed is named, not left out.

mod ablation;
mod descriptors;
mod promises;
mod stores;
mod systems;

use std::fmt;
use std::io;

use flk_bench_load::cpu::Affinity;

use crate::device::{self, Device};
use crate::goals::median;
use crate::level::{self, Level};
use crate::machine::Machine;
use crate::options::{Compared, Options};
use crate::progress;
use crate::report::verdict;

use systems::{ABLATION, Promise, SYSTEMS, System};

/// What every system is measured at.
const CONNECTIONS_COUNTS: [usize; 2] = [64, 256];
/// The gateway's rate per core beside that of the best peer with the same promise.
const RATIO_MIN: f64 = 4.0;
/// Above this share of both CPUs taken by others, figures say more about the machine than about the system.
const STRANGERS_SHARE_MAX: f64 = 0.10;

/// Among which peers the best one is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    StoresOfOthers,
}

/// What was measured of a system: rounds, for each number of connections. None if it is not installed.
struct Row {
    system: &'static System,
    levels: [Vec<Level>; CONNECTIONS_COUNTS.len()],
}

pub(crate) struct Peers {
    pub(crate) machine: Machine,
    device: Device,
    rounds: usize,
    rows: Vec<Row>,
    /// Why systems have no row.
    absent: Vec<String>,
    /// What was looked at beside the figures, line by line.
    checked: Vec<String>,
    /// Why figures do not count.
    pub(crate) wrong: Vec<String>,
}

/// Measures all systems, in turn, round by round.
pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Peers> {
    progress("device flush time");
    let flush = device::measure_blocks(&options.work_dir, std::time::Duration::from_secs(3), 4096)?;
    let mut peers = Peers {
        machine,
        device: flush,
        rounds: options.sealing_rounds,
        rows: Vec::new(),
        absent: Vec::new(),
        checked: Vec::new(),
        wrong: Vec::new(),
    };
    let (systems, ablation): (&'static [System], &'static [System]) = match options.compared {
        Compared::Systems => (&SYSTEMS, &[]),
        Compared::Ablation => (&[], &ABLATION),
        Compared::Both => (&SYSTEMS, &ABLATION),
    };
    for system in systems.iter().chain(ablation) {
        match system.lacks() {
            None => peers.rows.push(Row {
                system,
                levels: Default::default(),
            }),
            Some(what) => {
                let line = format!("{}: {what}", system.name);
                flk_testkit::skipped(&format!("bench-peers: {line}"));
                peers.absent.push(line);
            }
        }
    }
    for round in 1..=peers.rounds {
        for at in 0..peers.rows.len() {
            peers.measure_system(at, round, options, allowed)?;
        }
    }
    allowed.apply()?;
    Ok(peers)
}

impl Peers {
    /// One round of one system, which has an empty store.
    fn measure_system(
        &mut self,
        at: usize,
        round: usize,
        options: &Options,
        allowed: &Affinity,
    ) -> io::Result<()> {
        let (row, rounds) = (&mut self.rows[at], self.rounds);
        let system = row.system;
        let running = system.start(options, allowed)?;
        let mut records_used = 0;
        promises::check_answers(&running, &mut records_used)
            .map_err(|error| io::Error::other(format!("{}: {error}", system.name)))?;
        for (count, levels) in CONNECTIONS_COUNTS.into_iter().zip(&mut row.levels) {
            progress(&format!(
                "round {round} of {rounds}, {}, {count} connections",
                system.name
            ));
            let seconds = options.third_s;
            let level =
                level::measure(&running.server, count, seconds, allowed, &mut records_used)?;
            let what = format!("{} with {count} connections", system.name);
            self.wrong.extend(level.wrong(&what, 200));
            levels.push(level);
        }
        if options.check && round == 1 && system.promise != Promise::Gateway {
            progress(&format!("{}: does it keep its promise?", system.name));
            let checked =
                promises::check_durability(system, running, options, allowed, records_used);
            match checked {
                Ok(line) => self.checked.push(format!("{}: {line}", system.name)),
                Err(error) => self.wrong.push(format!("{}: {error}", system.name)),
            }
        } else {
            running.stop();
        }
        Ok(())
    }

    fn row(&self, promise: Promise) -> Option<&Row> {
        self.rows.iter().find(|row| row.system.promise == promise)
    }

    /// Of the gateway's figure and that of another one, which has to be larger or smaller.
    fn ratios(&self, row: &Row, at: usize) -> (f64, f64) {
        let Some(gateway) = self.row(Promise::Gateway) else {
            return (f64::NAN, f64::NAN);
        };
        let rate = gateway.rate(at) / row.rate(at);
        (rate, row.cpu_us(at) / gateway.cpu_us(at))
    }

    /// The peer that promises as much as the gateway and takes least CPU for it; of all, or of those whose store can be installed.
    fn best(&self, at: usize, of: Of) -> Option<(&Row, f64)> {
        let equal = self.rows.iter().filter(|row| {
            row.system.promise == Promise::Synced
                && (of == Of::All || row.system.has_store_of_others())
        });
        let with_ratio = equal.map(|row| (row, self.ratios(row, at).1));
        with_ratio.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}

impl Row {
    fn of(&self, at: usize, figure: impl Fn(&Level) -> f64) -> f64 {
        median(self.levels[at].iter().map(figure))
    }

    fn rate(&self, at: usize) -> f64 {
        self.of(at, |level| level.measured.per_second())
    }

    fn cpu_us(&self, at: usize) -> f64 {
        self.of(at, Level::cpu_us)
    }

    /// The most of all rounds.
    fn strangers_share(&self, at: usize) -> f64 {
        let levels = self.levels[at].iter();
        levels.map(|it| it.strangers_share).fold(0.0, f64::max)
    }

    fn latency_ms(&self, at: usize, share: f64) -> f64 {
        self.of(at, |level| level.measured.latency_us(share)) / 1e3
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0, load on CPU 1, stores wherever the system puts them; closed loop, HMAC, distinct records; medians of rounds in turn ({})  ",
            self.rounds
        )?;
        writeln!(
            f,
            "Device: {}: p50 {:.0} µs, p99 {:.0} µs, {:.0}/s\n",
            self.device.method, self.device.p50_us, self.device.p99_us, self.device.per_second
        )?;
        if self.row(Promise::Gateway).is_some() {
            self.write_systems(f)?;
        }
        ablation::write(f, &self.rows)?;
        for line in &self.absent {
            writeln!(f, "\nNOT MEASURED: {line}")?;
        }
        if !self.checked.is_empty() {
            writeln!(f, "\nChecked:\n")?;
        }
        self.checked
            .iter()
            .try_for_each(|line| writeln!(f, "- {line}"))?;
        self.write_remarks(f)
    }
}

impl Peers {
    /// The table of systems, and the goal.
    fn write_systems(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| system | an acknowledgement means | as durable | connections | requests/s | p50 ms | p99 ms | CPU µs/req | of it the store | flk ÷ it, rate | flk ÷ it, per CPU | CPU of others |\n\
             |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        let systems = self.rows.iter();
        for row in systems.filter(|row| row.system.promise != Promise::OwnShard) {
            (0..CONNECTIONS_COUNTS.len()).try_for_each(|at| self.write_row(f, row, at))?;
        }
        self.write_goal(f)
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, row: &Row, at: usize) -> fmt::Result {
        let System {
            name,
            promise,
            means,
            ..
        } = row.system;
        let as_durable = match promise {
            Promise::Gateway | Promise::OwnShard | Promise::Synced => "yes",
            Promise::Weaker => "no",
            Promise::Nothing => "-",
        };
        // Said once for both numbers of connections.
        let words = [name, means, as_durable].map(|it| if at == 0 { it } else { "" });
        let [name, means, as_durable] = words;
        let (rate, cpu) = self.ratios(row, at);
        writeln!(
            f,
            "| {name} | {means} | {as_durable} | {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {rate:.1} | {cpu:.1} | {:.0} % |",
            CONNECTIONS_COUNTS[at],
            row.rate(at),
            row.latency_ms(at, 0.5),
            row.latency_ms(at, 0.99),
            row.cpu_us(at),
            row.of(at, Level::store_us),
            row.strangers_share(at) * 100.0,
        )
    }

    fn write_goal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nG2: {RATIO_MIN} × the requests per CPU of the best peer as durable.\n"
        )?;
        for (of, whom) in [
            (Of::All, "all peers"),
            (Of::StoresOfOthers, "installed stores"),
        ] {
            for (at, count) in CONNECTIONS_COUNTS.into_iter().enumerate() {
                let Some((row, ratio)) = self.best(at, of) else {
                    writeln!(
                        f,
                        "- best of {whom}, {count} connections: none was measured"
                    )?;
                    continue;
                };
                let verdict = verdict(ratio >= RATIO_MIN);
                let (name, rate) = (row.system.name, self.ratios(row, at).0);
                writeln!(
                    f,
                    "- best of {whom}, {count} connections: {name}: {ratio:.1} ×, {verdict}; {rate:.1} × its rate"
                )?;
            }
        }
        Ok(())
    }

    fn write_remarks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.rows.iter().flat_map(|row| row.levels.iter().flatten());
        let most = levels.map(|it| it.strangers_share).fold(0.0, f64::max);
        let verdict = match most > STRANGERS_SHARE_MAX {
            true => "repeat on a quiet machine",
            false => "quiet enough",
        };
        writeln!(
            f,
            "\nMost time of both CPUs that went to neither server, store nor load in a run: {:.0} %: {verdict}",
            most * 100.0
        )?;
        for row in &self.rows {
            for level in row.levels.iter().flatten() {
                let count = level.measured.connections_count;
                let what = format!("{} with {count} connections", row.system.name);
                if let Some(note) = level.ran_dry(&what) {
                    writeln!(f, "\nNote: {note}")?;
                }
            }
        }
        for wrong in &self.wrong {
            writeln!(f, "\nWRONG: {wrong}")?;
        }
        Ok(())
    }
}
