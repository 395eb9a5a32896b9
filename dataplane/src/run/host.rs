//! What the host allows this process: CPUs, memory, open files, io_uring. It compares the settings with that and opens
//! nothing that another process could notice.

use super::StartError;
use super::memory::{DedupMemory, dedup_memory};
use crate::config::Config;
use crate::driver::affinity::{allowed_cpus, choose_cores, quota_cpus};
use crate::driver::descriptors::{self, Places};
use crate::driver::memory::memory_limit;
use crate::driver::probe::{Chosen, choose};
use crate::driver::threads::raise_open_files;
use crate::exit::Exit;
use crate::shard::config::ShardLimits;
use std::fmt::Display;

/// The CPUs, memory, connections and driver of this run.
pub(super) struct Host {
    /// One CPU per shard.
    pub(super) cores: Vec<usize>,
    pub(super) shards: u16,
    pub(super) dedup: DedupMemory,
    pub(super) driver: Chosen,
    pub(super) places: Places,
    /// The limit of open files.
    pub(super) files_max: Option<u64>,
}

impl Host {
    /// Chooses them by the settings.
    ///
    /// # Errors
    /// A setting that this host does not allow.
    pub(super) fn check(config: &Config) -> Result<Host, StartError> {
        let wrong = |reason: &dyn Display| {
            StartError::of(Exit::Configuration)(&config.with_profile(reason))
        };
        let files_max = raise_open_files();
        let files_open = descriptors::open_count();
        let allowed = allowed_cpus().map_err(|error| wrong(&error))?;
        let cores = choose_cores(config.cores.as_deref(), &allowed, quota_cpus());
        let cores = cores.map_err(|error| wrong(&error))?;
        let shards = u16::try_from(cores.len());
        let shards = shards.map_err(|_| wrong(&"FLK_CORES: more than 65535 cores"))?;
        let limits = ShardLimits::default().with(config.look_ups);
        let asked = config.dedup_memory_bytes_max;
        let dedup = dedup_memory(asked, memory_limit(), shards, &limits);
        let dedup = dedup.map_err(|reason| wrong(&reason))?;
        let enough = descriptors::allow_files(files_max, files_open, shards);
        enough.map_err(|error| wrong(&error))?;
        let driver = choose(config.driver).map_err(|error| wrong(&error))?;
        let wanted = (limits.connections_max, limits.connections_spare);
        let places = descriptors::places(files_max, files_open, driver.kind, shards, wanted);
        let places = places.map_err(|error| wrong(&error))?;
        Ok(Host {
            cores,
            shards,
            dedup,
            driver,
            places,
            files_max,
        })
    }
}
