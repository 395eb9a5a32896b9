//! The gateway as crash tests want it: `FLK_PLANT` names a bug to have, `FLK_DIE_AT` a point and how often it is passed
//! before the process dies there (`LogWritten:7`), `FLK_HANG_AT` the same and for how many milliseconds a thread hangs there
//! (`Answer:7:3000`), `FLK_TEST_LIMITS` shortens time limits (`deadline=500ms,stop=2s`). Everything else is the gateway itself.

use flk_dataplane::config::{Config, Environment, Flags, log_format_of_start};
use flk_dataplane::exit::Exit;
use flk_dataplane::logs::events::StartRefused;
use flk_dataplane::logs::{Line, set_format};
use flk_dataplane::planted::{Bug, InjectedFault, Point, inject_at, plant};
use flk_dataplane::run::{Around, Surroundings, TimeLimits, run_within};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    set_format(log_format_of_start(&|name| std::env::var(name).ok(), &[]));
    let environment = Environment::take();
    let surroundings = match Surroundings::take() {
        Ok(surroundings) => surroundings,
        Err(code) => return code,
    };
    let env = |name: &str| std::env::var(name).ok();
    let config = || {
        plant_from(&env)?;
        let time_limits = time_limits_from(&env)?;
        let config = Config::from_process(environment, &Flags::default());
        let config = config.map_err(|it| it[0].to_string())?;
        Ok::<_, String>((config, time_limits))
    };
    match config() {
        Ok((config, time_limits)) => {
            let around = Around {
                listening: &|_| (),
                typed: &[],
                wrongly_typed: 1,
                time_limits,
            };
            run_within(config, &surroundings, &around)
        }
        Err(wrong) => {
            let exit_code = Exit::Configuration.code();
            let line = Line::new(StartRefused { exit_code }, wrong);
            surroundings.end(exit_code, &line)
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
        inject_at(
            point,
            times.parse().map_err(|_| wrong())?,
            InjectedFault::Kill,
        );
    }
    if let Some(text) = env("FLK_HANG_AT") {
        let parsed = || {
            let (point, rest) = text.split_once(':')?;
            let (times, wait_ms) = rest.split_once(':')?;
            let wait = Duration::from_millis(wait_ms.parse().ok()?);
            Some((Point::named(point)?, times.parse().ok()?, wait))
        };
        let (point, times, wait) = parsed().ok_or_else(|| {
            format!(
                "FLK_HANG_AT={text}: allowed is POINT:TIMES:MILLISECONDS, a point being one of {:?}",
                Point::ALL
            )
        })?;
        inject_at(point, times, InjectedFault::Hang(wait));
    }
    Ok(())
}

fn time_limits_from(env: &dyn Fn(&str) -> Option<String>) -> Result<TimeLimits, String> {
    match env("FLK_TEST_LIMITS") {
        Some(text) => TimeLimits::parse(&text).map_err(|wrong| format!("FLK_TEST_LIMITS: {wrong}")),
        None => Ok(TimeLimits::default()),
    }
}
