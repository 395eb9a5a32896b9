//! What sealed ids cost, for several numbers of them: memory, look-ups, the rate of new ids, duplicates that need a read,
//! starts, and what seals and merges write. A directory with so many ids is made by the product's own writers, and the real
//! gateway serves from it. Goals are judged in the report; nothing fails because a machine is slow.

mod amplification;
mod device_reads;
mod directory;
mod duplicates;
mod filters;
mod fresh;
mod report;
mod shape;
mod starts;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flk_bench_load::cpu::{self, Affinity};
use flk_bench_load::{Load, Measured, Stock};

use self::amplification::Amplification;
use self::directory::{add_slices, manifest_of, slices_of};
use self::duplicates::{Duplicates, PER_SECOND};
use self::filters::LookUps;
use self::fresh::Rounds;
use self::shape::HOURLY;
use self::starts::{Start, Starter};
use crate::machine::Machine;
use crate::options::Options;
use crate::scrape::sample;
use crate::server::{KEY, Server, WalDir};
use crate::{LOAD_CPU, progress};

/// Records from this number on are new; those below are in slices.
const FRESH_FROM: u64 = 1_000_000_000;
/// More than one thread of load can send: as many are signed for each second. Without optimisation signing takes longer, and
/// a gateway takes less.
const RECORDS_PER_SECOND_MAX: usize = if cfg!(debug_assertions) {
    20_000
} else {
    130_000
};
/// Of the sealed ids at most one in so many is sent again in all rounds.
const SAMPLE_SHARE: u64 = 4;
/// Room for an id, merges included, and for a second of new ids.
const KEY_ROOM_BYTES: u64 = 84;
const SECOND_ROOM_BYTES: u64 = 100_000_000;
/// Segments in use, and the log behind the last slice.
const OTHER_ROOM_BYTES: u64 = 2_000_000_000;
/// Duplicates that are sent again behind the last start.
const RECALLED_COUNT: usize = 200;

/// The figures of one number of sealed ids.
struct Size {
    keys_count: u64,
    slices_bytes: u64,
    look_ups: LookUps,
    /// Without a sealed id, and with all of them.
    empty_start: Start,
    starts: Vec<Start>,
    fresh: Rounds,
    duplicates: Duplicates,
    start_behind_a_kill: Start,
    /// Duplicates behind that start.
    recalled: Measured,
    recalled_hits: f64,
    /// While nothing was sent yet, and at the end.
    slices_counts: [usize; 2],
}

pub(crate) struct Store {
    pub(crate) machine: Machine,
    seconds: u64,
    sizes: Vec<Size>,
    amplification: Amplification,
}

/// Measures all numbers of ids, the smallest first.
pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Store> {
    for keys_count in &options.keys_counts {
        needs_room(options, *keys_count)?;
    }
    let mut records_used = FRESH_FROM;
    let mut sizes = Vec::new();
    for keys_count in &options.keys_counts {
        sizes.push(measure_size(
            options,
            *keys_count,
            allowed,
            &mut records_used,
        )?);
    }
    let amplification = amplification::measure(options, allowed, &mut records_used)?;
    allowed.apply()?;
    Ok(Store {
        machine,
        seconds: options.gateway_s,
        sizes,
        amplification,
    })
}

/// Refuses what would fill the disk halfway.
fn needs_room(options: &Options, keys_count: u64) -> io::Result<()> {
    let load_s = options.gateway_s * (2 * options.sealing_rounds as u64 + amplification::ROUNDS);
    let needed = keys_count * KEY_ROOM_BYTES + load_s * SECOND_ROOM_BYTES + OTHER_ROOM_BYTES;
    let space = rustix::fs::statvfs(&options.work_dir)?;
    let free = space.f_bavail * space.f_frsize;
    if free >= needed {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{keys_count} ids need {:.1} GB in {}, of which {:.1} GB are missing: free them, name another place with --work-dir, or ask for fewer ids with --keys (make: KEYS)",
        needed as f64 / 1e9,
        options.work_dir.display(),
        (needed - free) as f64 / 1e9,
    )))
}

fn measure_size(
    options: &Options,
    keys_count: u64,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<Size> {
    let (binary, rounds) = (options.binary("flk-dataplane")?, options.sealing_rounds);
    let seconds = options.gateway_s;
    let per_round = (PER_SECOND as u64 * seconds).min(keys_count / (SAMPLE_SHARE * rounds as u64));
    let wal_dirs = [
        WalDir::make(&options.work_dir, "empty")?,
        WalDir::make(&options.work_dir, "sealed")?,
    ];
    let [empty, sealed] = [0, 1].map(|at| Starter {
        options,
        binary: &binary,
        wal_dir: &wal_dirs[at],
    });
    progress(&format!("{keys_count} sealed ids"));
    sealed.start()?.0.stop();
    let directory = wal_dirs[1].path();
    let slices_bytes = make(allowed, directory, keys_count, per_round * rounds as u64)?;
    progress("look-ups in filters");
    let look_ups = filters::measure(&slices_of(directory)?)?;
    let slices_before = slices_of(directory)?.len();
    let (with, starts) = sealed.rounds(rounds)?;
    let (without, empty_start) = empty.start()?;

    let mut fresh = Rounds::default();
    for round in 1..=rounds {
        progress(&format!("new ids, round {round} of {rounds}"));
        fresh.add([&without, &with], seconds, allowed, records_used)?;
    }
    without.stop();
    let mut duplicates = Duplicates::default();
    for round in 1..=rounds as u64 {
        progress(&format!("duplicates, round {round} of {rounds}"));
        let samples = (round - 1) * per_round..round * per_round;
        duplicates.add(&with, directory, samples, allowed, records_used)?;
    }
    let (with, start_behind_a_kill) = sealed.behind_a_kill(with, allowed, records_used)?;
    let (recalled, recalled_hits) = recall(&with, per_round as usize)?;
    with.stop();
    Ok(Size {
        keys_count,
        slices_bytes,
        look_ups,
        empty_start,
        starts,
        fresh,
        duplicates,
        start_behind_a_kill,
        recalled,
        recalled_hits,
        slices_counts: [slices_before, manifest_of(directory)?.slices.len()],
    })
}

/// Adds slices on all CPUs that there are; everything else has one.
fn make(
    allowed: &Affinity,
    directory: &Path,
    keys_count: u64,
    samples_count: u64,
) -> io::Result<u64> {
    allowed.apply()?;
    let shape = shape::after(
        3 * HOURLY.ttl,
        HOURLY.with_ids(keys_count / u64::from(HOURLY.ttl)),
    );
    let bytes = add_slices(&directory::Plan {
        at: directory,
        keys_count,
        samples_count,
        shape: &shape,
    })?;
    cpu::pin_to(LOAD_CPU)?;
    Ok(bytes)
}

/// Whether ids are still known behind the last start: some duplicates, and how many were answered as such.
fn recall(server: &Server, samples_count: usize) -> io::Result<(Measured, f64)> {
    let hits = || {
        let page = page_of(server);
        let of = |name| sample(&page, name).unwrap_or(f64::NAN);
        of("flk_dedup_hits") - of("flk_dedup_conflicts")
    };
    let before = hits();
    let mut stock = Stock::sign(KEY.as_bytes(), 0, samples_count.min(RECALLED_COUNT));
    let mut load = Load::connect(server.running.address(), 1)?;
    let measured = load.run(&mut stock, Duration::from_secs(60))?;
    Ok((measured, hits() - before))
}

/// The page of metrics; nothing where there is no answer.
fn page_of(server: &Server) -> String {
    let page = server.running.try_get("/metrics");
    page.map(|it| it.text().to_owned()).unwrap_or_default()
}

/// A number in a file of /proc of the gateway. Some files are only for root, as the gateway keeps its memory to itself.
fn proc_number(server: &Server, file: &str, name: &str) -> f64 {
    let path = PathBuf::from(format!("/proc/{}/{file}", server.running.id()));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(f64::NAN)
}

impl Store {
    /// What was wrong with answers, one text each: every request has its 200, and every duplicate the stored outcome.
    pub(crate) fn wrong_answers(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for size in &self.sizes {
            let of = |part: &str| format!("{:e} sealed ids, {part}", size.keys_count);
            wrong.extend(
                size.wrong_answers()
                    .map(|(part, what)| format!("{}: {what}", of(part))),
            );
        }
        // A table that is full for a moment is what such a small one is for.
        let it = &self.amplification.measured;
        if it.count_of(200) + it.count_of(503) < it.answers_count || it.lost_count > 0 {
            wrong.push(format!(
                "what seals and merges write: {}",
                it.answers_text()
            ));
        }
        wrong
    }
}

impl Size {
    fn wrong_answers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let fresh = self.fresh.runs().map(|it| ("new ids", &it.measured));
        let paced = self.duplicates.rounds.iter().flat_map(|it| {
            let duplicates = [("cold duplicates", &it.cold), ("warm duplicates", &it.warm)];
            duplicates.into_iter().chain([("paced new ids", &it.fresh)])
        });
        let all = fresh.chain(paced);
        let all = all.chain([("duplicates behind the last start", &self.recalled)]);
        let statuses = all
            .filter(|(_, it)| it.other_than_200_count() > 0 || it.lost_count > 0)
            .map(|(part, it)| (part, it.answers_text()));
        let hits = [
            (
                "duplicates",
                self.duplicates.total(|it| it.hits),
                self.duplicates.sent_count(),
            ),
            (
                "duplicates behind the last start",
                self.recalled_hits,
                self.recalled.answers_count as f64,
            ),
        ];
        let unknown = hits.into_iter().filter(|(_, hits, sent)| hits != sent);
        statuses
            .chain(unknown.map(|(part, hits, sent)| (part, format!("{hits} of {sent} were known"))))
    }
}
