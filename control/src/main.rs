//! `flk-control`: the control process. Configured as `flk-dataplane` is, by the same file, variables and arguments.

use flk_control::events::ArgumentRefused;
use flk_control::options::Options;
use flk_control::run::run;
use flk_control::say::{say, tell_the_rest};
use flk_dataplane::config::log_format_of_start;
use flk_dataplane::driver::console::print;
use flk_dataplane::exit::{self, Exit};
use flk_dataplane::logs::set_format;
use std::process::ExitCode;

const HELP: &str = "\
flk-control: publishes the configuration to the data plane that serves from the same WAL_DIR, and serves the admin API.

Examples:
  flk-control --config /etc/flk/flk.toml
  ADMIN_LISTEN=127.0.0.1:8081 WAL_DIR=/var/lib/flk/wal flk-control

It takes the settings of flk-dataplane (see flk-dataplane --help) and reads them again on SIGHUP, on a change of the file,
and on request. ADMIN_LISTEN, ADMIN_TOKENS_FILE and CONTROL_DIR are its own. docs/control.md describes it.

  --dataplane ADDRESS   where the data plane listens, if the settings do not say it
  --until-stdin-ends    stop when standard input ends
";

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let arguments: Vec<String> = arguments
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    set_format(log_format_of_start(
        &|name| std::env::var(name).ok(),
        &arguments,
    ));
    match arguments.first().map(String::as_str) {
        Some("--version" | "-V") => print(&format!("flk-control {}\n", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => print(&format!("{HELP}\n{}\n", exit::help())),
        _ => match Options::parse(arguments) {
            Ok(options) => ExitCode::from(run(options)),
            Err(problem) => {
                say(ArgumentRefused {}, problem);
                tell_the_rest();
                ExitCode::from(Exit::Usage.code())
            }
        },
    }
}
