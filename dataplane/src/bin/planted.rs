//! The gateway as crash tests want it: `FLK_PLANT` names a bug to have, `FLK_DIE_AT` a point and how often it is passed
//! before the process dies there (`LogWritten:7`). Everything else is the gateway itself.

use flk_dataplane::config::Config;
use flk_dataplane::planted::{Bug, Point, die_at, plant};
use flk_dataplane::run::{EX_CONFIG, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    if let Err(wrong) = plant_from(&env) {
        eprintln!("flk-dataplane-planted: {wrong}");
        return ExitCode::from(EX_CONFIG);
    }
    match Config::from_process() {
        Ok(config) => run(config),
        Err(error) => {
            eprintln!("flk-dataplane-planted: {error}");
            ExitCode::from(EX_CONFIG)
        }
    }
}

fn plant_from(env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    if let Some(name) = env("FLK_PLANT") {
        let bug = Bug::named(&name).ok_or_else(|| format!("FLK_PLANT={name}: no such bug"))?;
        plant(Some(bug));
    }
    if let Some(text) = env("FLK_DIE_AT") {
        let wrong = || {
            format!(
                "FLK_DIE_AT={text}: allowed is POINT:TIMES, a point being one of {:?}",
                Point::ALL
            )
        };
        let (point, times) = text.split_once(':').ok_or_else(wrong)?;
        let point = Point::named(point).ok_or_else(wrong)?;
        die_at(point, times.parse().map_err(|_| wrong())?);
    }
    Ok(())
}
