//! `flk-dataplane`: the gateway process. Configured by a file, environment variables and arguments; see `--help`.

use flk_dataplane::config::{
    Config, ConfigError, Environment, Flags, VARIABLES, log_format_of_start, read_pipes,
};
use flk_dataplane::driver::console::{last_words, print};
use flk_dataplane::exit::{self, Exit};
use flk_dataplane::logs::events::{ArgumentRefused, SettingRefused};
use flk_dataplane::logs::{Line, set_format};
use flk_dataplane::run::{Surroundings, run};
use flk_dataplane::stats::reference::reference;
use std::fmt::Write as _;
use std::process::ExitCode;

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
        Some("--version" | "-V") => {
            print(&format!("flk-dataplane {}\n", env!("CARGO_PKG_VERSION")))
        }
        Some("--metrics-reference") => print(&reference()),
        Some("--help" | "-h") => print(&help()),
        _ => match Flags::parse(arguments) {
            Ok(flags) => serve(flags),
            Err(problem) => {
                last_words(ArgumentRefused {}, problem);
                ExitCode::from(Exit::Usage.code())
            }
        },
    }
}

fn serve(mut flags: Flags) -> ExitCode {
    let mut environment = Environment::take_for(&flags);
    let surroundings = match Surroundings::take() {
        Ok(surroundings) => surroundings,
        Err(code) => return code,
    };
    let config = read_pipes(&mut environment, &mut flags).map_err(|mistake| vec![mistake]);
    match config.and_then(|_| Config::from_process(environment, &flags)) {
        Ok(config) => run(config, &surroundings, &flags),
        Err(mistakes) => refuse(&surroundings, &mistakes),
    }
}

/// Names every mistake, as `flk config check` does.
fn refuse(surroundings: &Surroundings, mistakes: &[ConfigError]) -> ExitCode {
    let line = |mistake: &ConfigError| {
        let variable = mistake.variable;
        Line::new(SettingRefused { variable }, mistake.to_string())
    };
    let lines: Vec<Line> = mistakes.iter().map(line).collect();
    surroundings.end_with(Exit::Configuration.code(), &lines)
}

fn help() -> String {
    let mut text = "\
flk-dataplane: receives signed records over HTTP, makes each durable, and answers it.

Examples:
  PCS_HMAC_KEY=\"$(head -c 32 /dev/urandom | base64)\" WAL_DIR=/var/lib/flk/wal flk-dataplane
  flk-dataplane --config /etc/flk/flk.toml --http.port=9090
  flk-dataplane --metrics-reference

Settings come from a profile of the machine (FLK_PROFILE; flk profile list shows them), from a file, which outweighs it
(--config or FLK_CONFIG; flk config init writes one), from the environment, which outweighs both, and from arguments, which
outweigh them all: --KEY=VALUE. Each has a variable and a key:

"
    .to_owned();
    for variable in VARIABLES {
        let (name, allowed, default) = (variable.name(), variable.allowed(), variable.default());
        let _ = writeln!(text, "  {name:<20} {}", variable.key());
        if let Some(file) = variable.file_name() {
            let _ = writeln!(text, "  {:<20} or {file}: a file that holds it", "");
        }
        let _ = writeln!(text, "  {:<20} {allowed}", "");
        let _ = writeln!(text, "  {:<20} default: {default}", "");
    }
    let _ = writeln!(text, "\n{}", exit::help());
    text
}
