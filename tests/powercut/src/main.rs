//! `flk-powercut`: cuts the power under a gateway at random moments and checks that nothing acknowledged is missing
//! afterwards. It needs root for FUSE, loop devices and mounts, works in a mount namespace of its own, and ends by itself.

mod client;
mod disk;
mod fuse;
mod gateway;
mod options;
mod trial;
mod volume;

use flk_testkit::skipped;
use gateway::Refused;
use options::Options;
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use trial::{Found, Trial};

/// Says to the program that it already is in a namespace of its own.
const UNSHARED: &str = "FLK_POWERCUT_UNSHARED";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("flk-powercut: {message}\n{}", options::HELP);
            return ExitCode::from(64);
        }
    };
    if let Some(reason) = unfit() {
        skipped(&format!("power cuts: {reason}"));
        return ExitCode::SUCCESS;
    }
    let result = if std::env::var_os(UNSHARED).is_some() {
        run(&options)
    } else {
        Err(become_unshared().into())
    };
    result.unwrap_or_else(|error| {
        eprintln!("flk-powercut: {error}");
        ExitCode::from(71)
    })
}

/// What this machine lacks.
fn unfit() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("they need root (FUSE, loop devices, mounts)");
    }
    if std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .is_err()
    {
        return Some("/dev/fuse cannot be opened");
    }
    if std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .is_err()
    {
        return Some("/dev/loop-control cannot be opened");
    }
    let tools = ["mkfs.ext4", "losetup", "mount", "setpriv", "unshare"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        |tool: &str| std::env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    (!tools.into_iter().all(found)).then_some(
        "mkfs.ext4, losetup, mount, setpriv or unshare is missing (e2fsprogs, util-linux)",
    )
}

/// Becomes this program again, in a mount namespace of its own: whatever happens, its mounts end with its processes.
fn become_unshared() -> std::io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(UNSHARED, "1")
        .exec()
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", options.describe());
    let mut trial = Trial::new(options)?;
    for cut in 1..=options.cuts {
        let found = match trial.cut() {
            Ok(line) => {
                println!("cut {cut}: {line}");
                continue;
            }
            Err(Found::Failed(error)) if error.is::<Refused>() => {
                skipped(&format!("power cuts under {}: {error}", options.host()));
                return Ok(ExitCode::SUCCESS);
            }
            Err(Found::Failed(error)) => return Err(error),
            Err(Found::Missing(text)) => text,
        };
        println!("cut {cut}: {found}");
        return Ok(match &options.bug {
            Some(bug) => {
                println!(
                    "found {bug} under {} at cut {cut} of at most {}",
                    options.host(),
                    options.cuts
                );
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("FAILED: again with: {}", options.command());
                ExitCode::FAILURE
            }
        });
    }
    println!("{}", trial.summary());
    match &options.bug {
        Some(bug) => {
            eprintln!(
                "FAILED: {bug} was not found under {} within {} cuts",
                options.host(),
                options.cuts
            );
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}
