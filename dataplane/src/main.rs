//! `flk-dataplane`: the gateway process. Configured by environment variables only; see `--help`.

use flk_dataplane::config::{Config, VARIABLES};
use flk_dataplane::run::{EX_CONFIG, EXIT_CODES, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--version" | "-V") => {
            println!("flk-dataplane {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some("--help" | "-h") => {
            help();
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!(
                "flk-dataplane: unknown argument {other}; it is configured by environment variables, see --help"
            );
            return ExitCode::from(64);
        }
    }
    match Config::from_process() {
        Ok(config) => run(config),
        Err(error) => {
            eprintln!("flk-dataplane: {error}");
            ExitCode::from(EX_CONFIG)
        }
    }
}

fn help() {
    println!("flk-dataplane: takes signed records over HTTP, makes each durable, and answers.");
    println!();
    println!("Example:");
    println!(
        "  PCS_HMAC_KEY=\"$(head -c 32 /dev/urandom | base64)\" WAL_DIR=/var/lib/flk/wal flk-dataplane"
    );
    println!();
    println!("Environment:");
    for variable in VARIABLES {
        println!("  {:<20} {}", variable.name(), variable.allowed());
        println!("  {:<20} default: {}", "", variable.default());
    }
    println!();
    println!("{EXIT_CODES}");
}
