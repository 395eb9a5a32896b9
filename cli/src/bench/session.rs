//! The order of a run: options, files, questions to the gateway, signing, sending, figures, verdict. It owns what the user sees
//! meanwhile, and the way out by Ctrl-C.

use super::amounts::latency_text;
use super::files::{self, Files};
use super::plan::{self, Ready};
use super::saved::{Context, Saved, Target};
use super::thresholds::{Metric, Missed};
use super::{BenchArgs, ResultArgs, compare, gateway, host, report};
use crate::CommandResult;
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::output::{Format, Output, say};
use flk_bench_load::run::{RunResult, Second, run as run_load, supplies};
use flk_bench_load::supply::{SIGNED_BYTES, Supply};
use flk_bench_load::tally::Tally;
use flk_dataplane::config::units::show_bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Runs it.
pub(super) fn run(args: &BenchArgs) -> CommandResult {
    let then = args
        .results
        .compare
        .as_deref()
        .map(Saved::read)
        .transpose()?;
    let ready = plan::of(args)?;
    let address = ready.plan.address;
    let files = Files::take(&args.results, ready.plan.log)?;
    if !args.even_if_unready {
        gateway::check_ready(&ready.target, address)?;
    }
    let target = Target {
        url: match ready.settings.batch {
            None => ready.target.url.clone(),
            Some(_) => ready.target.batch_url(),
        },
        address: address.to_string(),
        version: gateway::version(&ready.target, address),
    };
    if !plan::is_this_machine(address) {
        say(format_args!(
            "flk: sending load to {address}, which is not this machine"
        ));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop, &interrupted)?;
    let supplies = sign(&ready);
    let (quiet, warm_up_s) = (args.results.quiet, ready.settings.warm_up_s);
    let outcome = run_load(
        &ready.plan,
        &ready.recipe,
        supplies,
        &stop,
        |second, total| {
            if !quiet {
                say(progress(second, total, warm_up_s));
            }
        },
    );
    let outcome = outcome.map_err(|error| {
        let why = fault::why(&error);
        Failure::usage(format!("the run could not begin or go on: {why}"))
    })?;
    let context = Context {
        arguments: std::env::args().skip(1).collect(),
        target,
        machine: host::look(),
        asked_per_s: asked_per_s(&ready, &outcome),
        settings: ready.settings,
        interrupted: interrupted.load(Ordering::Relaxed),
    };
    let saved = Saved::of(context, &outcome);
    let saved = saved.map_err(|error| Failure::with(Exit::File, fault::why(&error)))?;
    show(&args.results, &saved, then.as_ref())?;
    files.write(&saved, &outcome, then.as_ref())?;
    judge(&args.results, &saved, &outcome, then.as_ref())
}

/// The rate that was asked for, on average of what passed of the run.
fn asked_per_s(ready: &Ready, outcome: &RunResult) -> Option<f64> {
    let [from, to] = ready.settings.rate?;
    let passed = outcome.measured.as_secs_f64() / ready.settings.duration_s;
    Some(from + (to - from) * passed.min(1.0) / 2.0)
}

/// The first signal ends the sending, a second one the process.
fn stop_on_signal(stop: &Arc<AtomicBool>, interrupted: &Arc<AtomicBool>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let cannot = |error: std::io::Error| Failure::with(Exit::File, fault::why(&error));
    let runtime = runtime.map_err(cannot)?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    drop(entered);
    let (stop, interrupted) = (stop.clone(), interrupted.clone());
    // It ends with the process.
    std::thread::spawn(move || {
        runtime.block_on(async {
            for _ in 0..2 {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if interrupted.swap(true, Ordering::Relaxed) {
                    std::process::exit(Exit::Interrupted as i32);
                }
                stop.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

/// Signs what is to be signed before the run, and says what that takes.
fn sign(ready: &Ready) -> Vec<Supply> {
    let mut supplies = supplies(&ready.plan, &ready.recipe);
    let wanted: u64 = ready.sign_ahead.iter().sum();
    if wanted == 0 {
        return supplies;
    }
    let begun = std::time::Instant::now();
    let signed = |(supply, count): (&mut Supply, &u64)| supply.sign_ahead(*count);
    let count: u64 = supplies.iter_mut().zip(&ready.sign_ahead).map(signed).sum();
    let (memory, seconds) = (
        show_bytes(count * SIGNED_BYTES),
        begun.elapsed().as_secs_f64(),
    );
    say(format_args!(
        "flk: {count} records signed in {seconds:.1} s, {memory} of memory"
    ));
    supplies
}

/// The line of a second.
fn progress(second: &Second, total: &Tally, warm_up_s: f64) -> String {
    let latency = |quantile| latency_text(total.from_due.value_at_quantile(quantile) as f64);
    let latencies = match total.from_due.is_empty() {
        false => format!("p50 {}  p99 {}", latency(0.5), latency(0.99)),
        true if ((second.second + 1) as f64) <= warm_up_s => "warm-up, not measured".to_owned(),
        true => "no answer yet".to_owned(),
    };
    let (errors, wrong) = (
        total.warm_up.errors() + total.measured.errors(),
        total.warm_up.wrong() + total.measured.wrong(),
    );
    format!(
        "{:>5} s  {:>8} sent  {:>8} answered  {latencies}  errors {errors}  wrong {wrong}",
        second.second + 1,
        second.sent,
        second.answered,
    )
}

fn show(args: &ResultArgs, saved: &Saved, then: Option<&Saved>) -> Result<(), Failure> {
    let mut output = Output::new();
    match args.output {
        Format::Json => output.line(files::document(saved)?.trim_end())?,
        Format::Text => {
            for line in report::lines(saved) {
                output.line(line)?;
            }
            if let Some(then) = then {
                output.line("")?;
                for line in compare::lines(saved, then) {
                    output.line(line)?;
                }
            }
        }
    }
    output.flush()
}

/// How the command ends, and why.
fn judge(
    args: &ResultArgs,
    saved: &Saved,
    outcome: &RunResult,
    then: Option<&Saved>,
) -> CommandResult {
    let total = &outcome.total;
    let figure = |metric| match metric {
        Metric::Quantile(at) => total.from_due.value_at_quantile(at) as f64,
        other => saved.figure(other).unwrap_or(0.0),
    };
    let missed = args.expect.iter().filter_map(|it| it.missed(figure));
    let mut missed: Vec<Missed> = missed.collect();
    if let Some(then) = then {
        for condition in &args.fail_if {
            let of = |run: &Saved, metric| run.figure(metric);
            let found = condition.missed(|it| of(saved, it), |it| of(then, it));
            missed.extend(found.map_err(Failure::usage)?);
        }
    }
    for condition in &missed {
        eprintln!("flk: {condition}");
    }
    let wrong = total.warm_up.wrong() + total.measured.wrong();
    if wrong > 0 {
        eprintln!("flk: {wrong} answers are wrong by the record contract");
        eprintln!("{}", hint(saved));
    }
    if saved.figures.interrupted {
        return Ok(Exit::Interrupted);
    }
    let measured = &total.measured;
    if wrong == 0 && measured.answered() == measured.unjudged() {
        return Err(Failure::unavailable(match measured.answered() {
            0 => "no request was answered".to_owned(),
            _ => format!(
                "all answers were refusals: {}",
                report::refused(&saved.figures)
            ),
        }));
    }
    Ok(match wrong == 0 && missed.is_empty() {
        true => Exit::Yes,
        false => Exit::No,
    })
}

/// What wrong answers usually come from.
fn hint(saved: &Saved) -> &'static str {
    let has = |kind: &str, statuses: &[u16]| {
        let mut wrong = saved.figures.wrong.iter();
        wrong.any(|it| it.kind == kind && statuses.contains(&it.status))
    };
    match () {
        () if has("new", &[401]) => {
            "flk: new records answered 401: has the gateway this key and these tenants?"
        }
        () if has("new", &[404, 405]) => {
            "flk: new records answered 404 or 405: is this the address of a gateway?"
        }
        () if has("new", &[413]) => {
            "flk: new records answered 413: the gateway takes shorter bodies than --body-bytes, or smaller batches"
        }
        () => "flk: see the lines that begin with WRONG, and the column wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_the_warm_up_says_that_it_is_not_measured() {
        let second = |second| Second {
            second,
            sent: 7,
            answered: 6,
            errors: 0,
            p50_ns: 0,
            p99_ns: 0,
            max_ns: 0,
        };
        let line = |at, total: &Tally| progress(&second(at), total, 2.0);
        let mut total = Tally::new().unwrap();
        assert!(line(1, &total).contains("6 answered  warm-up, not measured  errors 0"));
        assert!(line(2, &total).contains("6 answered  no answer yet  errors 0"));
        total.from_due.record(1_000_000).unwrap();
        assert!(line(2, &total).contains("6 answered  p50 1.00 ms  p99 1.00 ms  errors 0"));
    }
}
