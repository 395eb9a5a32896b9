//! From a checked configuration to a running gateway: what the host allows is found out, said, and handed to the threads.
//! It owns the order of a start; it serves nothing itself.

use crate::config::Config;
use crate::config::units::{show_bytes, show_hours};
use crate::dedup::table::BYTES_PER_KEY;
use crate::driver::affinity::{allowed_cpus, choose_cores, quota_cpus};
use crate::driver::descriptors::{self, Places};
use crate::driver::files::open_directory;
use crate::driver::flush_time::flush_time;
use crate::driver::listen::{listeners, local_address};
use crate::driver::probe::{Chosen, DriverKind, WriteMethod, choose, write_method};
use crate::driver::rate::Rate;
use crate::driver::ring::ring_messages;
use crate::driver::signal::Signals;
use crate::driver::threads::{self, Process, raise_open_files};
use crate::driver::{self, Machine, NoProbe};
use crate::event::{Driver, Inbox, Next, Now, Outbox, ShardId};
use crate::keeper::Keeper;
use crate::keeper::config::KeeperConfig;
use crate::shard::Shard;
use crate::shard::config::{Limits, ShardConfig, Signing};
use crate::stats::Stats;
use flk_contract::Params;
use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Exit code for a configuration that cannot run (sysexits).
pub const EX_CONFIG: u8 = 78;

/// How a gateway ends, for every text of help that must say it.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  stopped as asked, everything answered
  64  an argument that is not known
  65  damage: something durable is not what it was; nothing was changed, see flk wal verify
  69  another process holds WAL_DIR
  71  the operating system refused something that a thread needs
  74  a file operation failed: check the disk, its room and its permissions
  75  the numbers of a log are used up: start again
  78  the start is impossible as configured

A supervisor may start it again after 74 and 75; the others want somebody who looks. docs/operations.md says what to do.";

/// Exit code where the disk fails before the keeper starts; the keeper's own is the same.
const EX_IOERR: i32 = 74;

impl Machine for Shard {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        Shard::turn(self, inbox, now, driver, outbox)
    }
}

/// Runs a gateway until it is told to stop; the exit code of the process. Start-up lines and notices go to standard error.
pub fn run(config: Config) -> ExitCode {
    match start(config) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("flk: {error}");
            ExitCode::from(EX_CONFIG)
        }
    }
}

fn start(config: Config) -> Result<i32, Box<dyn Error>> {
    let signals = Signals::block()?;
    let files_max = raise_open_files();
    let files_open = descriptors::open_count();
    let cores = choose_cores(config.cores.as_deref(), &allowed_cpus()?, quota_cpus())?;
    let shards = u16::try_from(cores.len()).map_err(|_| "FLK_CORES: more than 65535 cores")?;
    let driver = choose(config.driver)?;
    let limits = Limits::default();
    let wanted = (limits.connections_max, limits.connections_spare);
    let places = descriptors::places(files_max, files_open, driver.kind, shards, wanted)?;
    let directory = open_directory(&config.wal_dir)?;
    let probed = write_method(directory.as_fd()).and_then(|method| {
        let flush = flush_time(directory.as_fd(), &method)?;
        Ok((method, flush))
    });
    let (method, flush) = match probed {
        Ok(probed) => probed,
        Err(error) => {
            let path = config.wal_dir.display();
            eprintln!(
                "flk: writing a probe in WAL_DIR {path}: {error}. Check the disk, its free space and the permissions of WAL_DIR, then start again"
            );
            return Ok(EX_IOERR);
        }
    };
    let listeners = listeners(config.listen, cores.len())?;
    let address = match listeners.first() {
        Some(listener) => local_address(listener)?,
        None => config.listen,
    };
    announce(&config, &cores, address, &driver, &method, flush);
    announce_places(&places, files_max, shards);

    let stats = Arc::new(Stats::new(shards));
    let shard_config = shard_config(&config, shards, &places, &stats);
    let limits = shard_config.limits;
    let keeper_config = keeper_config(&config, shards, &method);
    let process = Process {
        driver: driver.kind,
        cores,
        listeners,
        directory,
        directory_path: config.wal_dir.clone(),
        rate: Arc::new(Rate::new(config.token_rate)),
        limits: driver::Limits {
            connections_max: limits.connections_table(),
            ..driver::Limits::default()
        },
        ring_messages: ring_messages(limits.flights_max as usize) + PRESSURE_MESSAGES,
        signals,
    };
    let machine = move |id| {
        Shard::new(ShardConfig {
            id,
            ..shard_config.clone()
        })
    };
    let code = threads::run(
        process,
        machine,
        move || Keeper::new(keeper_config),
        |notice| eprintln!("flk: {notice}"),
        |_| Box::new(NoProbe),
    )?;
    Ok(code)
}

/// Room in each ring for messages that belong to no request.
const PRESSURE_MESSAGES: usize = 64;

fn shard_config(config: &Config, shards: u16, places: &Places, stats: &Arc<Stats>) -> ShardConfig {
    let mut limits = Limits {
        connections_max: places.connections_max,
        connections_spare: places.connections_spare,
        ..Limits::default()
    };
    limits.http.body_bytes_max = config.body_bytes_max;
    limits.idle_timeout_us = config.keepalive.as_micros() as u64;
    ShardConfig {
        id: ShardId(0),
        shards,
        limits,
        signing: Arc::clone(&config.signing),
        params: Params::default(),
        ttl_s: config.dedup_ttl_s,
        dedup_bytes_max: config.dedup_memory_bytes_max / u64::from(shards),
        rated: config.token_rate > 0,
        metrics_auth: config.metrics_auth.clone(),
        drain_delay_us: config.drain_delay.as_micros() as u64,
        stats: Arc::clone(stats),
    }
}

fn announce_places(places: &Places, files_max: Option<u64>, shards: u16) {
    let each = places.connections_max;
    let all = u64::from(each) * u64::from(shards);
    eprintln!("  places     for {all} connections, {each} per shard");
    if let (Some(limit), Some(limit_wanted)) = (files_max, places.limit_wanted) {
        let wanted = u64::from(Limits::default().connections_max) * u64::from(shards);
        eprintln!(
            "  warning    the limit of open files is {limit}: {limit_wanted} would allow {wanted} connections (LimitNOFILE, ulimit -n)"
        );
    }
}

fn keeper_config(config: &Config, shards: u16, method: &WriteMethod) -> KeeperConfig {
    KeeperConfig {
        shards,
        segment_bytes: config.segment_bytes,
        spares_count: u32::from(shards),
        ttl_s: config.dedup_ttl_s,
        seal_bytes_max: 1 << 30,
        seal_every_us: 3_600_000_000,
        slices_count_max: 20,
        wal_bytes_max: config.wal_bytes_max,
        body_age_max_s: config.wal_age_max_s,
        dedup_memory_bytes_max: config.dedup_memory_bytes_max,
        sync: method.sync,
        direct: method.direct,
        params: Params::default().version,
        pid: std::process::id(),
    }
}

fn announce(
    config: &Config,
    cores: &[usize],
    address: SocketAddr,
    driver: &Chosen,
    method: &WriteMethod,
    flush: Duration,
) {
    let cpus: Vec<String> = cores.iter().map(usize::to_string).collect();
    let keys = config.dedup_memory_bytes_max / BYTES_PER_KEY;
    let hours = |rate: u64| show_hours(keys as f64 / rate as f64 / 3600.0);
    eprintln!(
        "flk {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    eprintln!("  shards     {} on CPU {}", cores.len(), cpus.join(","));
    eprintln!("  driver     {}: {}", driver.kind.name(), driver.why);
    if driver.kind == DriverKind::Portable {
        eprintln!("             costs: {}", driver.costs);
    }
    eprintln!("  log        {}: {}", config.wal_dir.display(), method.why);
    eprintln!(
        "  flush      {:.0} µs for one durable block on this device (median of 15)",
        flush.as_secs_f64() * 1e6
    );
    eprintln!(
        "  dedup      {} of memory, {:.1} M keys: {} at 1k new ids/s, {} at 10k/s, {} at 50k/s; TTL {}",
        show_bytes(config.dedup_memory_bytes_max),
        keys as f64 / 1e6,
        hours(1_000),
        hours(10_000),
        hours(50_000),
        show_hours(f64::from(config.dedup_ttl_s) / 3600.0),
    );
    match config.signing.as_ref() {
        Signing::Keys(keys) => {
            for (id, scheme) in keys.ids() {
                eprintln!("  key        {id} {scheme}");
            }
        }
        Signing::Unsigned => {
            eprintln!(
                "  WARNING    signatures are NOT checked (PCS_SIGN_ALG=none): anyone can submit anything"
            );
        }
    }
    if config.short_keys_count > 0 {
        eprintln!(
            "  warning    {} HMAC key(s) shorter than the advised 32 bytes",
            config.short_keys_count
        );
    }
}
