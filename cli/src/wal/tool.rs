//! Jobs that change a directory. The gateway that serves from it carries them out; without one, the keeper does so in this
//! process, under the lock of the directory.

use crate::args::{time, time_text};
use crate::exit::{Exit, Failure, WAL_CHANGE_CODES};
use crate::fault;
use crate::output::Output;
use crate::wal::DirArgs;
use crate::wal::socket::{Gateway, TIMEOUT_MAX, TIMEOUT_MIN};
use clap::Args;
use flk_contract::ParamsVersion;
use flk_dataplane::driver::clock::now;
use flk_dataplane::driver::files::FileExecutor;
use flk_dataplane::driver::group::ReadGroup;
use flk_dataplane::io::SyncMode;
use flk_dataplane::keeper::Keeper;
use flk_dataplane::keeper::config::{HoldLimit, KeeperConfig, MergeRule, REPACK_BYTES_MIN};
use flk_dataplane::keeper::offline::{Job, run_blocking};
use flk_dataplane::keeper::stop::STOP_US;
use flk_dataplane::stats::Stats;
use flk_dataplane::wal::files::MANIFEST;
use flk_dataplane::wal::manifest::MANIFEST_BYTES_MAX;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const QUARANTINE_EXAMPLES: &str = "\
Examples:
  $ flk wal quarantine segment-0000000000000003.wal
  $ flk wal quarantine segment-0000000000000003.wal --accept-loss

Without --accept-loss it only says what would be lost. With it, every whole batch is kept in a new segment, what is \
missing is recorded in the manifest, and what can be read of the original is kept aside as quarantine-SEGMENT: have room \
for two segments. A file that is missing, or that the device refuses to read, can be given up too. Cut short, it can be \
run again. Stop the gateway first: a directory in use is refused.";

/// The maximum of WAL_MAX_AGE.
const AGE_MAX: Duration = Duration::from_secs(10_000 * 86_400);

const COMPACT_EXAMPLES: &str = "\
Examples:
  $ flk wal compact --dry-run
  $ flk wal compact --older-than 3d

It seals the decisions of closed segments, so that duplicates are still known, and deletes those segments, bodies and \
all, once they are older than asked. Of those that stay it packs what is mostly padding: the same bodies in less than half \
of the bytes (packed_segments, saved_bytes). A serving gateway does it itself; where none serves, this command takes the \
directory's lock and does it.";

/// Options of `flk wal quarantine`.
#[derive(Args, Debug)]
#[command(after_help = format!("{QUARANTINE_EXAMPLES}\n\n{WAL_CHANGE_CODES}"))]
pub(crate) struct QuarantineArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The segment's file, as flk wal verify names it
    segment: PathBuf,
    /// Give up what cannot be read
    #[arg(long)]
    accept_loss: bool,
}

/// Options of `flk wal compact`.
#[derive(Args, Debug)]
#[command(after_help = format!("{COMPACT_EXAMPLES}\n\n{WAL_CHANGE_CODES}"))]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Delete closed segments older than this [default: the gateway's WAL_MAX_AGE; 14d where none serves]
    #[arg(long, value_name = "AGE", value_parser = time(Duration::ZERO..=AGE_MAX))]
    older_than: Option<Duration>,
    /// Only show what would be freed
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for a serving gateway's answer; sealing and deleting may take minutes
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time(TIMEOUT_MIN..=TIMEOUT_MAX))]
    timeout: Duration,
}

/// Runs `flk wal quarantine`; the exit code is the keeper's.
pub(crate) fn quarantine(args: &QuarantineArgs) -> Result<i32, Failure> {
    let name = args.segment.file_name().unwrap_or_default();
    let job = Job::Quarantine {
        segment: name.to_string_lossy().into_owned(),
        accept_loss: args.accept_loss,
    };
    run(args.dir.path(), job)
}

/// Runs `flk wal compact`; the exit code is the keeper's.
pub(crate) fn compact(args: &CompactArgs) -> Result<i32, Failure> {
    let age_s = |age: Duration| u32::try_from(age.as_secs()).ok();
    let older_than_s = args.older_than.and_then(age_s);
    let dry_run = args.dry_run;
    if !dry_run {
        let age = match args.older_than {
            Some(age) => time_text(age),
            None => "the retention that is set".to_owned(),
        };
        eprintln!(
            "flk: sealing what is closed, deleting closed segments older than {age}, then packing"
        );
    }
    if let Some(gateway) = serving(args.dir.path(), args.timeout)? {
        let age = older_than_s.map_or(String::new(), |age_s| format!(" --older-than {age_s}"));
        let dry = if dry_run { " --dry-run" } else { "" };
        let exit = gateway.ask_and_print(&format!("compact{age}{dry}"))?;
        return Ok(exit as i32);
    }
    run(
        args.dir.path(),
        Job::Compact {
            older_than_s,
            dry_run,
        },
    )
}

/// The gateway that serves from the directory, if there is one. A full listen queue counts as serving.
pub(super) fn serving(directory: &Path, timeout: Duration) -> Result<Option<Gateway>, Failure> {
    match Gateway::find(directory, timeout) {
        Ok(gateway) => Ok(Some(gateway)),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            Gateway::reach(directory, timeout).map(Some)
        }
        Err(_) => Ok(None),
    }
}

/// Carries out a job without a gateway; the exit code is the keeper's.
pub(super) fn run(directory: &Path, job: Job) -> Result<i32, Failure> {
    let opened = File::open(directory).map_err(|error| {
        let path = directory.display();
        Failure::usage(format!(
            "cannot open the log directory {path}: {}; --dir or WAL_DIR names it",
            fault::why(&error)
        ))
    })?;
    let mut files = FileExecutor::new(opened.into()).with_readers(readers(directory));
    let keeper = Keeper::tool(config(), job);
    let say = |notice| eprintln!("flk: {notice}");
    let (code, report) = run_blocking(keeper, now, |op| files.run(op), say);
    match code {
        0 => {
            let mut output = Output::new();
            output.line(report.strip_prefix("ok ").unwrap_or(&report))?;
            output.flush()?;
        }
        _ => eprintln!("flk: {report}"),
    }
    Ok(match code {
        // the keeper's exit code for a job that cannot be carried out
        78 => Exit::Usage as i32,
        code => code,
    })
}

/// The group that may read the manifest: what is made here stays readable for it.
fn readers(directory: &Path) -> Option<ReadGroup> {
    let manifest = File::open(directory.join(MANIFEST)).ok()?;
    ReadGroup::of(&manifest).ok().flatten()
}

/// The settings of the keeper in a tool. Files are written buffered and synced: speed does not matter here.
fn config() -> KeeperConfig {
    const DAY_S: u32 = 86_400;
    KeeperConfig {
        shards: 1,
        segment_bytes: 64 << 20,
        preallocated_count: 0,
        ttl_s: 14 * DAY_S,
        seal_bytes_max: 1 << 30,
        seal_every_us: 3_600_000_000,
        slices_count_max: 20,
        merges: MergeRule::default(),
        wal_bytes_max: None,
        body_age_max_s: 14 * DAY_S,
        hold_limit: HoldLimit::Refuse,
        repack_bytes_min: REPACK_BYTES_MIN,
        dedup_memory_bytes_max: u64::MAX,
        memory: None,
        drain_delay_us: 0,
        stop_us: STOP_US,
        sync: SyncMode::WriteThenSync,
        direct: false,
        params: vec![ParamsVersion::ONE],
        manifest_bytes_max: MANIFEST_BYTES_MAX,
        stats: Arc::new(Stats::new(0)),
        region: None,
        secret: None,
        pid: std::process::id(),
    }
}
