//! Duplicates whose outcome only a slice has, sent at a moderate rate whatever becomes of earlier ones, beside fresh records at
//! the same rate: what a read adds to the latency, with the slices out of the page cache and with them in it.

use std::io;
use std::path::Path;
use std::time::Duration;

use flk_bench_load::arrivals::Spacing;
use flk_bench_load::cpu::{self, Affinity};
use flk_bench_load::paced::{self, Sender};
use flk_bench_load::{Load, Measured, Stock};

use super::device_reads::DeviceReads;
use super::directory::{drop_from_cache, slices_of};
use super::{page_of, proc_number};
use crate::LOAD_CPU;
use crate::scrape::sample;
use crate::server::{KEY, Server};

const CONNECTIONS_COUNT: usize = 64;
/// Requests in a second: about a fiftieth of what a shard takes.
pub(super) const PER_SECOND: usize = 2_000;
/// Before each round.
const DEVICE_READS: Duration = Duration::from_secs(2);

/// Duplicates of one round, and the requests that they are compared with.
pub(super) struct Round {
    pub(super) fresh: Measured,
    /// The slices were taken out of the page cache before.
    pub(super) cold: Measured,
    /// The same records again.
    pub(super) warm: Measured,
    pub(super) counts: Counts,
}

/// What the gateway says of the duplicates of a round.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Answered with the stored outcome of the same content.
    pub(super) hits: f64,
    /// Blocks of slices read for them.
    pub(super) slice_reads: f64,
    /// Blocks of 4 KiB that came from the device for the cold ones.
    pub(super) device_blocks: f64,
}

/// All rounds with one number of sealed ids.
#[derive(Default)]
pub(super) struct Duplicates {
    pub(super) rounds: Vec<Round>,
    pub(super) device: DeviceReads,
}

impl Duplicates {
    /// One round; `samples` are the numbers of records that are sealed and were not sent yet.
    pub(super) fn add(
        &mut self,
        server: &Server,
        directory: &Path,
        samples: std::ops::Range<u64>,
        allowed: &Affinity,
        records_used: &mut u64,
    ) -> io::Result<()> {
        let count = (samples.end - samples.start) as usize;
        let send = |first: u64| {
            allowed.apply()?;
            let stock = Stock::sign(KEY.as_bytes(), first, count);
            cpu::pin_to(LOAD_CPU)?;
            run(server, stock)
        };
        let fresh = send(*records_used)?;
        *records_used += count as u64;
        let slices = slices_of(directory)?;
        drop_from_cache(&slices)?;
        self.device.read(&slices, DEVICE_READS)?;
        // What the process had the device read: it writes its log past the page cache, and reads it for seals only.
        let from_device = || proc_number(server, "io", "read_bytes:");
        let (page_before, device_before) = (page_of(server), from_device());
        let cold = send(samples.start)?;
        let device_bytes = from_device() - device_before;
        let warm = send(samples.start)?;
        let page = page_of(server);
        let grew = |name| {
            let of = |page: &str| sample(page, name).unwrap_or(f64::NAN);
            of(&page) - of(&page_before)
        };
        self.rounds.push(Round {
            fresh,
            cold,
            warm,
            counts: Counts {
                hits: grew("flk_dedup_hits") - grew("flk_dedup_conflicts"),
                slice_reads: grew("flk_slice_reads_total"),
                device_blocks: device_bytes / 4096.0,
            },
        });
        Ok(())
    }

    /// The latency that this share of the answers of all rounds did not exceed.
    pub(super) fn latency_us(&self, of: fn(&Round) -> &Measured, share: f64) -> io::Result<f64> {
        Measured::latency_of_all_us(self.rounds.iter().map(of), share)
    }

    /// Duplicates that were sent, cold and warm.
    pub(super) fn sent_count(&self) -> f64 {
        let sent = |round: &Round| round.cold.answers_count + round.warm.answers_count;
        self.rounds.iter().map(sent).sum::<u64>() as f64
    }

    /// A count of all rounds.
    pub(super) fn total(&self, of: fn(&Counts) -> f64) -> f64 {
        self.rounds.iter().map(|it| of(&it.counts)).sum()
    }
}

/// Sends the stock at its rate.
fn run(server: &Server, mut stock: Stock) -> io::Result<Measured> {
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let duration = Duration::from_secs_f64(stock.left_count() as f64 / PER_SECOND as f64);
    let mut senders = [Sender {
        load: &mut load,
        stock: &mut stock,
        per_second: PER_SECOND as f64,
        spacing: Spacing::Constant,
    }];
    let measured = paced::run(&mut senders, duration)?.into_iter().next();
    measured.ok_or_else(|| io::Error::other("a sender has its figures"))
}
