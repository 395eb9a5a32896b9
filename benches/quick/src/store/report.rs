//! The page of the store's figures: tables, the goals with their verdicts, and the formula for more ids than were measured. It
//! only prints: nothing here measures.

use std::fmt::{self, Formatter, Result};

use super::duplicates::PER_SECOND;
use super::fresh::median;
use super::shape::{self, HOURLY};
use super::{Size, Store, starts};

/// New ids with sealed ones are at least so fast as without.
const RATE_SHARE_MIN: f64 = 0.85;
const FALSE_READS_MAX: f64 = 0.1;
const MEMORY_BYTES_MAX: f64 = 2.0;
/// With fewer ids the lines of filters, which are whole for each slice and partition, count for more than ids do.
const MEMORY_KEYS_MIN: f64 = 1e7;
/// About twenty, and one between a seal and its merge.
const SLICES_MAX: usize = 21;
/// Of a start, and for each GiB of log behind the slices.
const START_S_MAX: f64 = 2.0;
const START_S_PER_GIB: f64 = 2.0;
/// More of the server's CPU than this went to others: the figures say less.
const OTHERS_SHARE_MAX: f64 = 0.05;
/// New ids in 14 days at 100, 1,000 and 10,000 per second.
const EXTENDED_TO: [f64; 3] = [121e6, 1.21e9, 12.1e9];

const GIB: f64 = (1 << 30) as f64;
const MIB: f64 = (1 << 20) as f64;

impl fmt::Display for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0 (one shard), load on CPU 1; medians of {} rounds of {} s  ",
            self.sizes.first().map_or(0, |size| size.starts.len()),
            self.seconds
        )?;
        writeln!(
            f,
            "Slices are as a gateway leaves them that seals each hour for 14 days. They are read through the page cache"
        )?;
        self.memory(f)?;
        self.starts(f)?;
        self.fresh(f)?;
        self.duplicates(f)?;
        self.amplification(f)?;
        self.goals(f)?;
        self.formula(f)?;
        self.remarks(f)
    }
}

impl Size {
    fn keys(&self) -> f64 {
        self.keys_count as f64
    }

    /// As in `1e8`.
    fn name(&self) -> String {
        format!("{:e}", self.keys_count)
    }

    fn filters_per_id(&self) -> f64 {
        self.look_ups.filters_bytes as f64 / self.keys()
    }

    fn start(&self, figure: impl Fn(&starts::Start) -> f64) -> f64 {
        starts::median(&self.starts, figure)
    }

    fn ready_s(&self) -> f64 {
        self.start(|it| it.ready.as_secs_f64())
    }

    /// What a slice takes whatever is in it.
    fn memory_per_slice(&self) -> f64 {
        let rest = self.start(|it| it.slices_memory_bytes) - self.look_ups.filters_bytes as f64;
        rest / self.slices_counts[0] as f64
    }

    fn resident_per_id(&self) -> f64 {
        (self.start(|it| it.resident_bytes) - self.empty_start.resident_bytes) / self.keys()
    }

    /// Seconds that the start behind the log may take.
    fn start_s_max(&self) -> f64 {
        START_S_MAX + START_S_PER_GIB * self.start_behind_a_kill.log_bytes as f64 / GIB
    }

    fn reads_per_duplicate(&self) -> f64 {
        self.duplicates.total(|it| it.slice_reads) / self.duplicates.sent_count()
    }

    fn fresh_p99_us(&self) -> std::result::Result<f64, fmt::Error> {
        let us = self.duplicates.latency_us(|it| &it.fresh, 0.99);
        us.map_err(|_| fmt::Error)
    }

    fn cold_p99_us(&self) -> std::result::Result<f64, fmt::Error> {
        let us = self.duplicates.latency_us(|it| &it.cold, 0.99);
        us.map_err(|_| fmt::Error)
    }
}

impl Store {
    fn memory(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "\n### Memory, disk and look-ups\n")?;
        writeln!(
            f,
            "| sealed ids | slices | disk B/id | filters and indexes B/id | all of slices in memory B/id | RSS MiB without | RSS MiB | RSS B/id | peak RSS MiB | look-up of a new id ns | blocks that filters let pass per new id |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for size in &self.sizes {
            writeln!(
                f,
                "| {} | {} | {:.2} | {:.3} | {:.3} | {:.1} | {:.1} | {:.2} | {:.1} | {:.0} | {:.4} |",
                size.name(),
                size.slices_counts[0],
                size.slices_bytes as f64 / size.keys(),
                size.filters_per_id(),
                size.start(|it| it.slices_memory_bytes) / size.keys(),
                size.empty_start.resident_bytes / MIB,
                size.start(|it| it.resident_bytes) / MIB,
                size.resident_per_id(),
                size.start(|it| it.peak_bytes) / MIB,
                size.look_ups.look_up_ns,
                size.look_ups.false_reads,
            )?;
        }
        Ok(())
    }

    fn starts(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "\n### Starts, with nothing in the page cache\n")?;
        writeln!(
            f,
            "| sealed ids | ready s without | ready s | read MiB | behind `kill -9`: GiB of log | ready s | read MiB |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|")?;
        for size in &self.sizes {
            let killed = &size.start_behind_a_kill;
            writeln!(
                f,
                "| {} | {:.3} | {:.3} | {:.0} | {:.2} | {:.3} | {:.0} |",
                size.name(),
                size.empty_start.ready.as_secs_f64(),
                size.ready_s(),
                size.start(|it| it.read_bytes) / MIB,
                killed.log_bytes as f64 / GIB,
                killed.ready.as_secs_f64(),
                killed.read_bytes / MIB,
            )?;
        }
        Ok(())
    }

    fn fresh(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "\n### New ids, 64 connections, each with one request under way\n"
        )?;
        writeln!(
            f,
            "| sealed ids | new ids/s without | new ids/s | median of ratios | CPU µs/id without | CPU µs/id | p50 µs without | p50 µs | p99 µs without | p99 µs | blocks of slices read per id | records per flush without | records per flush |"
        )?;
        writeln!(
            f,
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for size in &self.sizes {
            let (without, with) = (&size.fresh.without, &size.fresh.with);
            writeln!(
                f,
                "| {} | {:.0} | {:.0} | {:.3} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.4} | {:.1} | {:.1} |",
                size.name(),
                median(without, |it| it.measured.per_second()),
                median(with, |it| it.measured.per_second()),
                size.fresh.rate_ratio(),
                median(without, |it| it.cpu_us),
                median(with, |it| it.cpu_us),
                median(without, |it| it.measured.latency_us(0.5)),
                median(with, |it| it.measured.latency_us(0.5)),
                median(without, |it| it.measured.latency_us(0.99)),
                median(with, |it| it.measured.latency_us(0.99)),
                median(with, |it| it.reads_per_id),
                median(without, |it| it.batch_records),
                median(with, |it| it.batch_records),
            )?;
        }
        Ok(())
    }

    fn duplicates(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "\n### Duplicates that need a read, {PER_SECOND}/s, latency from when a request was due, all rounds together\n"
        )?;
        writeln!(
            f,
            "| sealed ids | new ids: p50 µs | p99 µs | duplicates, slices not in the page cache: p50 µs | p99 µs | the same in the page cache: p50 µs | p99 µs | read of 4 KiB from the device: p50 µs | p99 µs | blocks read per duplicate | from the device, per cold one |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for size in &self.sizes {
            let all = &size.duplicates;
            let cold_count: u64 = all.rounds.iter().map(|it| it.cold.answers_count).sum();
            write!(f, "| {} |", size.name())?;
            for of in [
                (|it| &it.fresh) as fn(&super::duplicates::Round) -> &super::Measured,
                |it| &it.cold,
                |it| &it.warm,
            ] {
                for share in [0.5, 0.99] {
                    let us = all.latency_us(of, share).map_err(|_| fmt::Error)?;
                    write!(f, " {us:.0} |")?;
                }
            }
            writeln!(
                f,
                " {:.0} | {:.0} | {:.3} | {:.2} |",
                all.device.at_rank_us(0.5),
                all.device.at_rank_us(0.99),
                size.reads_per_duplicate(),
                all.total(|it| it.device_blocks) / cold_count.max(1) as f64,
            )?;
        }
        Ok(())
    }

    fn amplification(&self, f: &mut Formatter<'_>) -> Result {
        let it = &self.amplification;
        writeln!(f, "\n### What seals and merges write\n")?;
        if it.seals_count == 0 {
            return writeln!(
                f,
                "Nothing was sealed: too few new ids in too short a time."
            );
        }
        writeln!(
            f,
            "{} new ids at {:.0}/s with a small table, {} of which it was full for: {} seals and {} merges. Each of {} sealed ids was written {:.2} times into slices ({:.2} computed for that many seals of one size): {:.2} bytes for each byte of entries. The log took {:.0} bytes for each id.  ",
            it.measured.answers_count,
            it.measured.per_second(),
            it.measured.count_of(503),
            it.seals_count,
            it.merges_count,
            it.sealed_count,
            it.writes_per_id(),
            it.writes_per_id_computed(),
            it.bytes_per_entry_byte(),
            it.log_bytes_per_id(),
        )?;
        let hourly = shape::after(3 * HOURLY.ttl, HOURLY.with_ids(3_600 * 1_000));
        writeln!(
            f,
            "Where 1,000 ids come each second, with a seal each hour and 14 days of DEDUP_TTL, an id is written {:.2} times by the same rule: {:.2} bytes for each byte of entries.",
            hourly.writes_per_id,
            hourly.writes_per_id * it.bytes_per_entry_byte() / it.writes_per_id(),
        )
    }

    fn remarks(&self, f: &mut Formatter<'_>) -> Result {
        for wrong in self.wrong_answers() {
            writeln!(f, "\nWRONG: {wrong}")?;
        }
        for size in &self.sizes {
            let name = size.name();
            let others = size.fresh.runs().map(|it| it.others_share);
            let others = others.fold(0.0, f64::max);
            if others > OTHERS_SHARE_MAX {
                writeln!(
                    f,
                    "\nNote: with {name} ids up to {:.0} % of the server's CPU went to other processes and interrupts; repeat on a quiet machine",
                    100.0 * others
                )?;
            }
            if size.duplicates.device.buffered {
                writeln!(
                    f,
                    "\nNote: this file system takes no direct reads: {} reads of the device are of the page cache",
                    size.duplicates.device.count()
                )?;
            }
        }
        Ok(())
    }
}

/// A goal, what it came to, and the limit as text.
struct Goal {
    what: &'static str,
    figure: String,
    limit: String,
    is_met: bool,
}

fn at_most(what: &'static str, value: f64, limit: f64, unit: &str) -> Goal {
    Goal {
        what,
        figure: format!("{value:.3}{unit}"),
        limit: format!("at most {limit:.3}{unit}"),
        is_met: value <= limit,
    }
}

impl Store {
    fn goals(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "\n### Goals\n")?;
        writeln!(f, "| goal | sealed ids | measured | limit | |")?;
        writeln!(f, "|---|---|---:|---:|---|")?;
        for size in &self.sizes {
            for goal in size.goals()? {
                writeln!(
                    f,
                    "| {} | {} | {} | {} | {} |",
                    goal.what,
                    size.name(),
                    goal.figure,
                    goal.limit,
                    if goal.is_met { "PASS" } else { "FAIL" }
                )?;
            }
        }
        Ok(())
    }

    /// The largest number of ids, from which the formula starts.
    fn formula(&self, f: &mut Formatter<'_>) -> Result {
        let (Some(smallest), Some(largest)) = (self.sizes.first(), self.sizes.last()) else {
            return Ok(());
        };
        let per_id = largest.filters_per_id();
        let per_slice = largest.memory_per_slice();
        let disk = largest.slices_bytes as f64 / largest.keys();
        // Between the smallest and the largest number, or between none and the only one.
        let (from_keys, from_s) = match self.sizes.len() {
            1 => (0.0, largest.empty_start.ready.as_secs_f64()),
            _ => (smallest.keys(), smallest.ready_s()),
        };
        let start_per_id = (largest.ready_s() - from_s) / (largest.keys() - from_keys);
        let slices = largest.slices_counts[0] as f64;
        writeln!(f, "\n### The formula, with constants of this run\n")?;
        writeln!(
            f,
            "    memory = ids × {per_id:.3} B + slices × {:.0} KiB\n    slices = ids × {disk:.2} B\n    start  = {from_s:.2} s + (ids − {:.0} M) × {:.2} s per 100 M ids\n",
            per_slice / 1024.0,
            from_keys / 1e6,
            start_per_id * 1e8,
        )?;
        writeln!(f, "| ids | memory of slices GB | slices GB | start s |")?;
        writeln!(f, "|---:|---:|---:|---:|")?;
        for ids in EXTENDED_TO {
            writeln!(
                f,
                "| {:.0} M | {:.2} | {:.1} | {:.1} |",
                ids / 1e6,
                (ids * per_id + slices * per_slice) / 1e9,
                ids * disk / 1e9,
                from_s + (ids - from_keys) * start_per_id,
            )?;
        }
        Ok(())
    }
}

impl Size {
    fn goals(&self) -> std::result::Result<Vec<Goal>, fmt::Error> {
        let ratio = self.fresh.rate_ratio();
        let reads = median(&self.fresh.with, |it| it.reads_per_id);
        let device_us = self.duplicates.device.at_rank_us(0.99);
        let killed_s = self.start_behind_a_kill.ready.as_secs_f64();
        let slices = self.slices_counts.into_iter().max().unwrap_or(0);
        let mut goals = vec![
            Goal {
                what: "rate of new ids beside that without sealed ids",
                figure: format!("{ratio:.3} ×"),
                limit: format!("at least {RATE_SHARE_MIN} ×"),
                is_met: ratio >= RATE_SHARE_MIN,
            },
            at_most("reads in vain per new id", reads, FALSE_READS_MAX, ""),
            Goal {
                what: "slices",
                figure: slices.to_string(),
                limit: format!("at most {SLICES_MAX}"),
                is_met: slices <= SLICES_MAX,
            },
            at_most(
                "p99 of duplicates that need a read: that of new ids and two reads of the device (p99)",
                self.cold_p99_us()? / 1000.0,
                (self.fresh_p99_us()? + 2.0 * device_us) / 1000.0,
                " ms",
            ),
            at_most(
                "blocks read per duplicate: nothing is scanned",
                self.reads_per_duplicate(),
                1.0 + FALSE_READS_MAX,
                "",
            ),
            at_most("start", self.ready_s(), START_S_MAX, " s"),
            at_most(
                "start behind kill -9: 2 s, and 2 s per GiB of log behind the slices",
                killed_s,
                self.start_s_max(),
                " s",
            ),
        ];
        if self.keys() >= MEMORY_KEYS_MIN {
            let (what, bytes) = (
                "filters and indexes in memory per id",
                self.filters_per_id(),
            );
            goals.push(at_most(what, bytes, MEMORY_BYTES_MAX, " B"));
        }
        Ok(goals)
    }
}
