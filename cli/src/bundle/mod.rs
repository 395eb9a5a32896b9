//! `flk support-bundle`: what someone needs who is to help with a gateway, in one file that can be mailed. It changes nothing, collects no record
//! and no key, and looks for every secret that this machine knows in what it collects.

mod archive;
mod collect;
mod logs;
mod parts;
mod scrub;
mod secrets;
mod shapes;
mod system;

use crate::CommandResult;
use crate::args::whole;
use crate::config::{FileArgs, wal_dir};
use crate::exit::{BUNDLE_CODES, Exit, Failure};
use crate::output::{Output, counted};
use archive::Archive;
use clap::Args;
use collect::Places;
use flk_dataplane::config::units::show_bytes;
use flk_dataplane::config::{ConfigError, Mended, RawConfig};
use parts::Parts;
use scrub::Scrubber;
use secrets::Found;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  $ flk support-bundle
  $ flk support-bundle --config flk.toml --log flk.log --out support.tar.gz
  $ flk support-bundle --dir ./data/wal --journal flk-dataplane --out case-7.tar.gz

It has the settings without secrets, what flk doctor finds, probes and metrics of the gateway, the state of control, names and sizes \
of the files of the log, the last lines of logs and those of the last start, and facts of kernel, limits and control group. \
manifest.json says what is there and what could not be collected; a gateway need not run. Run it where the gateway runs, with its \
settings, as root or as its user. The file is for its owner only (mode 0600), replaces none, and is never one of the log directory. No record is collected. Look through it \
before you pass it on.";

/// Options of `flk support-bundle`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{BUNDLE_CODES}"))]
pub(crate) struct BundleArgs {
    /// File to write [default: flk-support-TIME.tar.gz]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    /// Log directory [default: that of the settings]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Gateway to ask [default: that of the settings]
    #[arg(long)]
    url: Option<String>,
    /// A log of the gateway or of flk-control; may be repeated
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// A unit of systemd whose journal has the log; may be repeated
    #[arg(long, value_name = "UNIT")]
    journal: Vec<String>,
    /// How many of the last lines of each log are taken
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = whole(1..=1_000_000_usize))]
    log_lines: usize,
}

/// Runs it.
pub(crate) fn run(args: &BundleArgs) -> CommandResult {
    let now = SystemTime::now();
    let made_s = now.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let made = humantime::format_rfc3339_seconds(now).to_string();
    let directory = format!("flk-support-{}", made.replace(['-', ':'], ""));
    let default = || PathBuf::from(format!("{directory}.tar.gz"));
    let out = args.out.clone().unwrap_or_else(default);
    let (raw, mistakes) = args.file.read();
    let wal_dir = wal_dir(args.dir.as_deref(), &raw);
    // Before anything is collected, because that takes a while.
    let archive = Archive::at(&out, &wal_dir)?;
    let mut parts = collected(args, wal_dir, raw, mistakes)?;
    // They were met in the order of collection, and are looked for by name.
    parts
        .missing
        .sort_by(|one, other| one.name.cmp(&other.name));
    let manifest = parts.manifest(&made);
    let bytes = archive.keep(&directory, &manifest, &parts.collected, made_s)?;
    let mut output = Output::new();
    for missing in &parts.missing {
        output.line(format!(
            "not collected: {}: {}",
            missing.name,
            missing.why.replace('\n', " ")
        ))?;
    }
    let files = counted(parts.collected.len() as u64 + 1, "file");
    let (shown, size) = (out.display(), show_bytes(bytes));
    output.line(format!(
        "{shown}: {files}, {size}, for its owner only; look through it before you pass it on"
    ))?;
    output.flush()?;
    Ok(Exit::Yes)
}

/// Collects everything, clean of the secrets of this machine.
fn collected(
    args: &BundleArgs,
    wal_dir: PathBuf,
    raw: RawConfig,
    mistakes: Vec<ConfigError>,
) -> Result<Parts, Failure> {
    let mut found = Found::default();
    found.environment();
    if let Some(path) = args.file.path() {
        found.configuration(path);
    }
    found.settings(&raw);
    let mended = Mended::of(raw, mistakes);
    found.tenants(&mended);
    found.directory(&wal_dir);
    let scrubber = Scrubber::new(&found.0).map_err(|why| Failure::with(Exit::File, why))?;
    let mut parts = Parts::new(scrubber);
    let places = Places {
        args,
        wal_dir,
        config: mended.config,
    };
    collect::all(&places, &mut parts);
    Ok(parts)
}
