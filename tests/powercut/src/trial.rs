//! One disk through many power cuts: start on what survived, check every promise, load, cut. The order of these steps is
//! here and nowhere else.

use crate::client::{self, Acknowledged, Load};
use crate::disk::{Access, Disk};
use crate::gateway::{START_MAX, Setup};
use crate::options::Options;
use crate::volume::{self, Volume};
use flk_testkit::gateway::Gateway;
use flk_testkit::{Dice, comes_true};
use std::error::Error;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Promises of earlier cuts that are checked again after each cut; those of the last one all are.
const EARLIER_CHECKED: usize = 200;
/// Longest time under load before a cut, in milliseconds.
const LOAD_MS_MAX: u64 = 1_200;
/// Longest time into a start at which the power is cut, in milliseconds.
const START_MS_MAX: u64 = 60;
/// One cut of so many happens during a start.
const START_CUT_EVERY: u64 = 6;
/// Latest write or flush under load within which the power is cut, counted from the first acknowledgement.
const LOAD_ACCESSES_MAX: u64 = 1_000;
/// Latest write or flush of a start within which the power is cut. Where a start has fewer, an idle gateway is cut.
const START_ACCESSES_MAX: u64 = 40;
/// How long to wait for it.
const ACCESS_MAX: Duration = Duration::from_secs(2);
/// Without an acknowledgement in this time the load is broken, and nothing was proved.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(30);

/// When the power is cut.
#[derive(Clone, Copy)]
enum Moment {
    /// After this time.
    After(Duration),
    /// Within the write or flush after this many further ones.
    Within(Access, u64),
}

impl std::fmt::Display for Moment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moment::After(time) => write!(out, "{time:.1?}"),
            Moment::Within(access, count) => write!(out, "{access:?} {count}"),
        }
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a trial ended early.
pub(crate) enum Found {
    /// A promise was broken: the words for it.
    Missing(String),
    /// The machine or the harness failed; nothing is proved.
    Failed(Box<dyn Error>),
}

impl<E: Into<Box<dyn Error>>> From<E> for Found {
    fn from(error: E) -> Found {
        Found::Failed(error.into())
    }
}

/// A gateway on a mounted disk, dropped in this order.
struct Running {
    gateway: Gateway,
    volume: Volume,
}

/// A disk and the promises made on it.
pub(crate) struct Trial<'a> {
    running: Option<Running>,
    host: String,
    setup: Setup<'a>,
    /// Most clients at a time.
    clients: usize,
    dice: Dice,
    scratch: tempfile::TempDir,
    disk: Arc<Mutex<Disk>>,
    mounts: u64,
    next: Arc<AtomicU64>,
    /// All promises; those from `checked` on were made since the last check.
    acknowledged: Vec<Acknowledged>,
    checked: usize,
    cuts: u64,
    /// How often an answer to a known record was 503, so far.
    retries: u64,
}

impl<'a> Trial<'a> {
    /// A formatted disk and no promises.
    pub(crate) fn new(options: &'a Options) -> Result<Trial<'a>, Box<dyn Error>> {
        let scratch = tempfile::Builder::new().prefix("flk-powercut-").tempdir()?;
        let disk = volume::formatted(scratch.path())?;
        Ok(Trial {
            running: None,
            host: options.host(),
            setup: Setup {
                program: &options.gateway,
                driver: &options.driver,
                buffered: options.buffered,
                bug: options.bug.as_deref(),
            },
            clients: options.clients,
            dice: Dice::new(options.seed),
            scratch,
            disk: Arc::new(Mutex::new(disk)),
            mounts: 0,
            next: Arc::new(AtomicU64::new(1)),
            acknowledged: Vec::new(),
            checked: 0,
            cuts: 0,
            retries: 0,
        })
    }

    /// Loads the gateway, cuts the power at a random moment, starts again on what survived, and checks every promise.
    pub(crate) fn cut(&mut self) -> Result<String, Found> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        let during_start = self.mounts > 1 && self.dice.below(START_CUT_EVERY) == 0;
        let line = if during_start {
            self.cut_start(running)?
        } else {
            self.cut_load(running)?
        };
        let mut running = self.start()?;
        let checked = self.check(&mut running)?;
        self.running = Some(running);
        Ok(format!("{line}; {checked} promises kept"))
    }

    /// What was done in all.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} cuts survived under {}: {} acknowledged records, none missing; {} asked again after a 503",
            self.cuts,
            self.host,
            self.acknowledged.len(),
            self.retries
        )
    }

    fn cut_load(&mut self, running: Running) -> Result<String, Found> {
        // The volume lives on until the end of this function.
        let Running {
            gateway,
            volume: _volume,
        } = running;
        // Few clients leave gaps between batches, many fill every batch.
        let clients = 1 + self.dice.below(self.clients as u64) as usize;
        let load = Load::start(gateway.address(), clients, &self.next, {
            let disk = Arc::clone(&self.disk);
            move || lock(&disk).is_cut()
        });
        if !comes_true(FIRST_ANSWER_MAX, || load.acknowledged() > 0) {
            let said = gateway.said();
            return Err(format!("nothing was acknowledged; the gateway said:\n{said}").into());
        }
        let moment = self.moment(LOAD_MS_MAX, LOAD_ACCESSES_MAX);
        let lost = self.cut_power(moment);
        // Only now: a promise made between the cut and the end of the process is a promise too.
        gateway.kill();
        let mut new = load.finish();
        let count = new.len();
        self.acknowledged.append(&mut new);
        Ok(format!(
            "{moment} into the load of {clients} clients, {count} acknowledged, {lost}"
        ))
    }

    /// The process is killed, and the power is cut while the next one recovers.
    fn cut_start(&mut self, running: Running) -> Result<String, Found> {
        let Running { gateway, volume } = running;
        gateway.kill();
        let cores = self.cores();
        let _started = self.setup.start(volume.directory(), cores)?;
        let moment = self.moment(START_MS_MAX, START_ACCESSES_MAX);
        let lost = self.cut_power(moment);
        Ok(format!("{moment} into a start, {lost}"))
    }

    /// One shard or two, so that their number changes between starts.
    fn cores(&mut self) -> u64 {
        let there = std::thread::available_parallelism().map_or(1, usize::from);
        1 + self.dice.below(there.min(2) as u64)
    }

    /// A third of the cuts come by the clock, the others within a write or a flush.
    fn moment(&mut self, ms_max: u64, accesses_max: u64) -> Moment {
        match self.dice.below(3) {
            0 => Moment::After(Duration::from_micros(self.dice.below(ms_max * 1000))),
            1 => Moment::Within(Access::Write, self.dice.below(accesses_max)),
            _ => Moment::Within(Access::Flush, self.dice.below(accesses_max)),
        }
    }

    fn cut_power(&mut self, moment: Moment) -> String {
        self.cuts += 1;
        let mut dice = Dice::new(self.dice.next_bits());
        match moment {
            Moment::After(time) => std::thread::sleep(time),
            Moment::Within(access, count) => {
                let chance = Dice::new(self.dice.next_bits());
                lock(&self.disk).cut_within(access, count, chance);
                comes_true(ACCESS_MAX, || lock(&self.disk).is_cut());
            }
        }
        let mut disk = lock(&self.disk);
        disk.cut(&mut dice);
        let Some(lost) = disk.take_lost() else {
            return "already without power".to_owned();
        };
        format!(
            "{} flushes, {} pages unflushed, {} of their sectors lost",
            lost.flushes, lost.pages, lost.sectors
        )
    }

    /// Mounts what is on the disk and starts a gateway that takes records. One that refuses to, after nothing but power
    /// cuts, has broken its promise.
    fn start(&mut self) -> Result<Running, Found> {
        self.mounts += 1;
        let options = "errors=remount-ro,noinit_itable";
        let volume = Volume::mount(&self.disk, self.scratch.path(), self.mounts, options)?;
        let cores = self.cores();
        let mut gateway = self.setup.start(volume.directory(), cores)?;
        match gateway.wait_until_ready(START_MAX) {
            Ok(()) => Ok(Running { gateway, volume }),
            Err(unready) if self.mounts > 1 => {
                let kept = self.keep(&volume);
                Err(Found::Missing(format!("{unready}\n{kept}")))
            }
            Err(unready) => Err(unready.into()),
        }
    }

    /// Copies the gateway's directory to where it can be looked at, unless a bug was looked for; says where.
    fn keep(&self, volume: &Volume) -> String {
        if self.setup.bug.is_some() {
            return String::new();
        }
        let to = std::env::temp_dir().join(format!("flk-powercut-kept-{}", std::process::id()));
        let copied = std::fs::create_dir(&to).and_then(|()| {
            for entry in std::fs::read_dir(volume.directory().join("wal"))? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), to.join(entry.file_name()))?;
                }
            }
            Ok(())
        });
        match copied {
            Ok(()) => format!(
                "its directory, after the new start, is kept in {}",
                to.display()
            ),
            Err(error) => format!("its directory could not be kept: {error}"),
        }
    }

    /// Sends again what was acknowledged: all since the last check, some from before.
    fn check(&mut self, running: &mut Running) -> Result<usize, Found> {
        let mut list = self.acknowledged[self.checked..].to_vec();
        for _ in 0..EARLIER_CHECKED.min(self.checked) {
            let index = self.dice.below(self.checked as u64) as usize;
            list.push(self.acknowledged[index].clone());
        }
        let Running { gateway, volume } = running;
        let wrong = client::check(gateway.address(), &list, &mut self.retries)
            .map_err(|error| format!("checking: {error}; the gateway said:\n{}", gateway.said()))?;
        if !wrong.is_empty() {
            let said = gateway.said();
            let kept = self.keep(volume);
            return Err(Found::Missing(format!(
                "{} of {} were to be found\n{}\n{kept}\nthe gateway said:\n{said}",
                list.len(),
                self.acknowledged.len(),
                wrong.join("\n")
            )));
        }
        self.checked = self.acknowledged.len();
        Ok(list.len())
    }
}
