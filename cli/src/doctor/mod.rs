//! `flk doctor`: what of this host a gateway would meet, each finding with the value found, the value needed and how to
//! change it. It changes nothing: its trial writes are in files that are gone before it ends.

mod clock;
mod cpus;
mod disk;
mod finding;
mod host;
mod kernel;
mod memory;
mod network;
mod settings;
mod telemetry;

pub(crate) use disk::mount_line;

use crate::CommandResult;
use crate::admin::TokenArgs;
use crate::exit::{DOCTOR_CODES, Exit};
use crate::output::{Format, Output, counted};
use clap::Args;
use finding::{Finding, Level};
use host::Host;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  $ flk doctor
  $ FLK_DRIVER=auto WAL_DIR=./data/wal flk doctor
  $ flk doctor --output json
  $ flk doctor --telemetry --url http://127.0.0.1:8080 --url http://127.0.0.1:8081
  $ flk doctor --telemetry --log flk.log

It reads the settings that flk-dataplane reads (flk-dataplane --help) and checks this host for them, as this user: run it
where the gateway will run, as the user that it will run as, inside the same container or unit.";

/// Options of `flk doctor`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{DOCTOR_CODES}"))]
pub(crate) struct DoctorArgs {
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Compare metrics and logs of running processes with what is declared, and check nothing else
    #[arg(long)]
    telemetry: bool,
    /// With --telemetry: a gateway or the admin address of flk-control, such as http://127.0.0.1:8081; may be repeated. A token is
    /// sent to a process that asks for one, and to no other
    #[arg(long, value_name = "URL", requires = "telemetry")]
    url: Vec<String>,
    /// With --telemetry: a log in JSON (LOG_FORMAT=json); - is standard input
    #[arg(long, value_name = "FILE", requires = "telemetry")]
    log: Option<PathBuf>,
    #[command(flatten)]
    token: TokenArgs,
    /// End with 1 for a warning, too
    #[arg(long)]
    strict: bool,
}

/// Checks everything and prints each finding.
pub(crate) fn run(args: &DoctorArgs) -> CommandResult {
    let (findings, end) = match args.telemetry {
        true => telemetry::check(&args.url, args.log.as_deref(), &args.token)?,
        false => (findings(&Host::this()), None),
    };
    let mut output = Output::new();
    for finding in &findings {
        match args.output {
            Format::Text => finding.lines().iter().try_for_each(|it| output.line(it))?,
            Format::Json => output.line(finding.json())?,
        }
    }
    if args.output == Format::Text && !args.telemetry {
        output.line(summary(&findings))?;
    }
    output.flush()?;
    Ok(end.unwrap_or_else(|| verdict(&findings, args.strict)))
}

/// All checks, in the order in which a start would meet them.
fn findings(host: &Host) -> Vec<Finding> {
    let settings = settings::read();
    let config = &settings.config;
    let mut findings = vec![settings.finding];
    let (cores, found) = cpus::cores(config);
    findings.push(found);
    findings.extend(cpus::topology(host, &cores));
    let shards = u16::try_from(cores.len()).unwrap_or(u16::MAX);
    findings.extend(memory::check(host, config, shards));
    findings.extend(kernel::check(host, config, shards));
    findings.extend(disk::check(host, config, shards));
    findings.extend(network::check(host, config));
    findings.push(clock::check());
    findings
}

fn count(findings: &[Finding], level: Level) -> u64 {
    findings.iter().filter(|it| it.level == level).count() as u64
}

fn summary(findings: &[Finding]) -> String {
    let [warnings, failures] = [Level::Warn, Level::Fail].map(|level| count(findings, level));
    let checks = counted(findings.len() as u64, "check");
    match (failures, warnings) {
        (0, 0) => format!("{checks}: nothing is in a gateway's way here"),
        (0, _) => format!(
            "{checks}, {}: a gateway can run here",
            counted(warnings, "warning")
        ),
        _ => format!(
            "{checks}, {} and {}: a gateway does not start here, or cannot keep what it promises",
            counted(failures, "failure"),
            counted(warnings, "warning")
        ),
    }
}

fn verdict(findings: &[Finding], strict: bool) -> Exit {
    let worst = findings.iter().map(|it| it.level).max();
    match worst {
        Some(Level::Fail) => Exit::No,
        Some(Level::Warn) if strict => Exit::No,
        _ => Exit::Yes,
    }
}

/// Text of a file that the kernel makes, without the white space around it; nothing where it cannot be read.
pub(crate) fn text_of(path: impl AsRef<std::path::Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use finding::Place;

    fn of(levels: &[Level]) -> Vec<Finding> {
        let of = |level: &Level| match level {
            Level::Ok => Finding::ok("a", "found"),
            Level::Warn => Finding::warn("b", "found", "needed").fix(Place::Host, "do"),
            Level::Fail => Finding::fail("c", "found", "needed").fix(Place::Host, "do"),
        };
        levels.iter().map(of).collect()
    }

    #[test]
    fn a_failure_decides_the_exit_code_and_a_warning_does_if_asked() {
        let good = of(&[Level::Ok, Level::Ok]);
        let warned = of(&[Level::Ok, Level::Warn]);
        let failed = of(&[Level::Warn, Level::Fail, Level::Ok]);
        for (findings, plain, strict) in [
            (&good, Exit::Yes, Exit::Yes),
            (&warned, Exit::Yes, Exit::No),
            (&failed, Exit::No, Exit::No),
        ] {
            assert_eq!(verdict(findings, false), plain);
            assert_eq!(verdict(findings, true), strict);
        }
        assert_eq!(
            summary(&good),
            "2 checks: nothing is in a gateway's way here"
        );
        assert_eq!(
            summary(&warned),
            "2 checks, 1 warning: a gateway can run here"
        );
        assert!(summary(&failed).starts_with("3 checks, 1 failure and 1 warning:"));
    }
}
