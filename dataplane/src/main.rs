//! `flk-dataplane`: the gateway process. Configured by environment variables only; see `--help`.

use flk_dataplane::config::{Config, VARIABLES};
use flk_dataplane::driver::console::last_words;
use flk_dataplane::exit::{self, Exit};
use flk_dataplane::run::{Surroundings, run};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        None => serve(),
        Some(argument) if argument == "--version" || argument == "-V" => {
            print(&format!("flk-dataplane {}\n", env!("CARGO_PKG_VERSION")))
        }
        Some(argument) if argument == "--help" || argument == "-h" => print(&help()),
        Some(other) => {
            let other = other.to_string_lossy();
            last_words(&format!(
                "flk-dataplane: unknown argument {other}; use environment variables, see --help"
            ));
            ExitCode::from(Exit::Usage.code())
        }
    }
}

fn serve() -> ExitCode {
    let surroundings = match Surroundings::take() {
        Ok(surroundings) => surroundings,
        Err(code) => return code,
    };
    match Config::from_process() {
        Ok(config) => run(config, &surroundings),
        Err(error) => surroundings.end(
            Exit::Configuration.code(),
            &format!("flk-dataplane: {error}"),
        ),
    }
}

/// Prints a text on standard output. A closed pipe is not a failure.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::from(Exit::File.code()),
        _ => ExitCode::SUCCESS,
    }
}

fn help() -> String {
    let mut text = "\
flk-dataplane: receives signed records over HTTP, makes each durable, and answers it.

Example:
  PCS_HMAC_KEY=\"$(head -c 32 /dev/urandom | base64)\" WAL_DIR=/var/lib/flk/wal flk-dataplane

Environment:
"
    .to_owned();
    for variable in VARIABLES {
        let (name, allowed, default) = (variable.name(), variable.allowed(), variable.default());
        let _ = writeln!(text, "  {name:<20} {allowed}");
        let _ = writeln!(text, "  {:<20} default: {default}", "");
    }
    let _ = writeln!(text, "\n{}", exit::help());
    text
}
