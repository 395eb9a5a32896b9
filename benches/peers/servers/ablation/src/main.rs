//! The gateway with its shards under glommio or compio, or under its own drivers, in one program: start, recovery, keeper and shard are
//! the gateway's. It exists to be measured; it has no sandbox, and must not be exposed to anybody.

mod bell;
mod connection;
mod executor;
mod files;
mod hub;
mod signal;
mod table;
mod turns;
mod under;
mod under_compio;
mod under_glommio;

use std::process::ExitCode;

use flk_dataplane::config::{Config, Environment, Flags};
use flk_dataplane::run::{Around, Surroundings, TimeLimits, run_under};
use under::Under;

const USAGE: &str = "usage: flk-ablation uring|portable|glommio|compio; settings are those of flk-dataplane, in the environment, with FLK_SANDBOX=off: \
    executors read /sys and open files by themselves";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    match (words.next().as_deref().and_then(Under::named), words.next()) {
        (Some(under), None) => serve(under),
        _ => refused(USAGE),
    }
}

fn serve(under: Under) -> ExitCode {
    let flags = Flags::default();
    let environment = Environment::take_for(&flags);
    let surroundings = match Surroundings::take() {
        Ok(surroundings) => surroundings,
        Err(code) => return code,
    };
    let config = match Config::from_process(environment, &flags) {
        Ok(config) => config,
        Err(mistakes) => {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return refused(&mistakes.join("\n"));
        }
    };
    let around = Around {
        listening: &|_| eprintln!("flk-ablation: shards run under {}", under.name()),
        typed: &[],
        wrongly_typed: 1,
        time_limits: TimeLimits::default(),
    };
    run_under(|_| under, config, &surroundings, &around)
}

fn refused(why: &str) -> ExitCode {
    eprintln!("flk-ablation: {why}");
    ExitCode::FAILURE
}
