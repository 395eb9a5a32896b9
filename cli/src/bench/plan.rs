//! Options turned into a run: where to, how fast, what, over how many connections. It checks that they fit together, and that the
//! process may open as many connections; it sends nothing.

use super::key::{self, KeyFiles};
use super::saved::Settings;
use super::{Arrivals, BenchArgs, gateway, host};
use crate::exit::Failure;
use crate::submit::target::Target;
use flk_bench_load::arrivals::{Curve, Ramp, Spacing};
use flk_bench_load::claims::Regime;
use flk_bench_load::mix::Mix;
use flk_bench_load::record::{Carries, RECORDS_MAX, Recipe, Shape};
use flk_bench_load::run::{Log, Loop, Plan, due_counts};
use flk_bench_load::supply::SIGNED_BYTES;
use flk_bench_load::travel::Travel;
use flk_dataplane::config::units::show_bytes;
use flk_dataplane::driver::affinity::parse_list;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::sync::Arc;

/// Descriptors of a process beside its connections.
const OTHER_FILES: u64 = 64;
/// Most records under way on a connection: more only wait in buffers, of the generator and of the kernel.
const UNDER_WAY_MAX: u64 = 16_384;
/// A part of the free memory that records signed ahead may take.
const MEMORY_PART: u64 = 2;

/// CPUs of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cpus(pub(super) Vec<usize>);

/// Reads a list of CPUs.
pub(super) fn cpus(text: &str) -> Result<Cpus, String> {
    let list = parse_list(text).filter(|it| !it.is_empty());
    list.map(Cpus)
        .ok_or_else(|| "CPUs are a list such as 1,3 or 2-5".to_owned())
}

/// A run that can begin.
pub(super) struct Ready {
    pub(super) plan: Plan,
    pub(super) recipe: Arc<Recipe>,
    pub(super) target: Target,
    pub(super) settings: Settings,
    /// Records to sign before the run, of each thread.
    pub(super) sign_ahead: Vec<u64>,
}

/// Makes a run of the options.
pub(super) fn of(args: &BenchArgs) -> Result<Ready, Failure> {
    // The address stands alone here.
    let named = |it: Failure| Failure::usage(it.text().replacen("--url", "the address", 1));
    let target = Target::parse(&args.url).map_err(named)?;
    let mix = mix(args)?;
    let cpus = args.cpus.as_ref().map_or_else(Vec::new, |it| it.0.clone());
    let threads_count = threads_count(args, &cpus)?;
    allow_files(u64::from(args.connections))?;
    let under_way = u64::from(args.batch.unwrap_or(1)) * u64::from(args.pipeline);
    if under_way > UNDER_WAY_MAX {
        return Err(Failure::usage(format!(
            "a connection would have {under_way} records under way, and may have {UNDER_WAY_MAX}: give a smaller --batch or --pipeline"
        )));
    }
    let tenants = args.mix.tenants.as_ref().map_or(&[][..], |it| &it.0[..]);
    let files = KeyFiles {
        keys: &args.keys,
        tenants_dir: args.mix.tenant_keys.as_deref(),
        tenants,
        ed25519: (mix.second_key > 0.0).then_some(args.mix.ed25519_key_file.as_ref()),
    };
    let keys = key::read(&files, Regime::Sticky)?;
    let shard_id = super::new_shard_id();
    let (path, carries) = match args.batch {
        None => (&target.path, Carries::Record),
        Some(_) => (&target.batch_path, Carries::Batch),
    };
    let shape = Shape {
        authority: &target.authority,
        path: path.path(),
        carries,
        tenants,
        body_bytes: args
            .body_bytes
            .map_or(0, |it| usize::try_from(it).unwrap_or(usize::MAX)),
        shard_id: &shard_id,
        regime: Regime::Sticky,
    };
    let recipe = Arc::new(Recipe::new(&shape, keys));
    let pace = pace(args);
    let plan = Plan {
        address: gateway::address(&target)?,
        connections_count: args.connections as usize,
        threads_count,
        cpus,
        pace,
        travel: Travel {
            records: args.batch.unwrap_or(1),
            pipeline: args.pipeline,
        },
        mix,
        seed: args.mix.seed,
        timeout: args.timeout,
        log: log(args),
    };
    let sign_ahead = sign_ahead(args, &plan)?;
    Ok(Ready {
        settings: settings(args, &plan, &recipe),
        plan,
        recipe,
        target,
        sign_ahead,
    })
}

fn mix(args: &BenchArgs) -> Result<Mix, Failure> {
    let tenants_count = args.mix.tenants.as_ref().map_or(1, |it| it.0.len());
    let mix = Mix {
        duplicates: args.mix.duplicates,
        bad_signatures: args.mix.bad_signatures,
        malformed: args.mix.malformed,
        second_key: args.mix.ed25519,
        tenants_count: u16::try_from(tenants_count).unwrap_or(u16::MAX),
    };
    mix.checked()
        .map_err(|error| Failure::usage(error.to_string()))
}

fn threads_count(args: &BenchArgs, cpus: &[usize]) -> Result<usize, Failure> {
    let threads = args.threads.map_or(cpus.len().max(1), |it| it as usize);
    let connections = args.connections as usize;
    match threads <= connections {
        true => Ok(threads),
        false => Err(Failure::usage(format!(
            "{threads} sending threads need as many --connections, and there are {connections}"
        ))),
    }
}

fn pace(args: &BenchArgs) -> Loop {
    let (warm_up, duration) = (args.warm_up, args.duration);
    let Some(rate) = args.rate else {
        return Loop::Closed { warm_up, duration };
    };
    Loop::Open {
        curve: Curve {
            warm_up,
            ramp: Ramp {
                from_per_second: rate.from,
                to_per_second: rate.to,
                duration,
            },
        },
        spacing: match args.arrivals {
            Arrivals::Constant => Spacing::Constant,
            Arrivals::Poisson => Spacing::Poisson,
        },
    }
}

fn log(args: &BenchArgs) -> Log {
    let path = args.results.hdr_out.as_ref();
    let is_log = path.is_some_and(|it| it.extension().is_some_and(|it| it == "hlog"));
    match is_log {
        true => Log::Kept,
        false => Log::Dropped,
    }
}

/// Lets the process open files for so many connections, as far as it may.
fn allow_files(connections: u64) -> Result<(), Failure> {
    let wanted = connections + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|it| it >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|_| Failure::usage(too_few_files(connections, limit.maximum.unwrap_or(0))))
}

/// What to do where a process may have so many descriptors at most. Fewer connections help only where some fit.
fn too_few_files(connections: u64, most: u64) -> String {
    let wanted = connections + OTHER_FILES;
    let connections = crate::output::counted(connections, "connection");
    let fewer = match most.saturating_sub(OTHER_FILES) {
        0 => String::new(),
        fit => format!(", or give --connections {fit} or fewer"),
    };
    format!(
        "{connections} take {wanted} descriptors, and this process may have {most}: raise the hard limit (ulimit -n {wanted}){fewer}"
    )
}

/// How many records each thread signs before the run.
fn sign_ahead(args: &BenchArgs, plan: &Plan) -> Result<Vec<u64>, Failure> {
    let threads = plan.threads_count as u64;
    let due = due_counts(plan);
    let all: u64 = due.iter().flatten().sum();
    if due.is_some() && all == 0 {
        let batch = args
            .batch
            .map_or_else(String::new, |it| format!(" of {it} records"));
        return Err(Failure::usage(format!(
            "no request{batch} is due within the run: give a higher --rate or a longer --duration"
        )));
    }
    if all > RECORDS_MAX {
        return Err(Failure::usage(format!(
            "{all} records are more than one run can have ({RECORDS_MAX}): give a shorter --duration"
        )));
    }
    if args.sign_on_the_fly {
        return Ok(vec![0; plan.threads_count]);
    }
    let counts = match (due, args.pre_sign) {
        (None, None | Some(0)) => {
            return match args.pre_sign {
                None => Ok(vec![0; plan.threads_count]),
                Some(_) => Err(Failure::usage(
                    "how many records a closed loop sends is not known before: say how many to sign with --pre-sign=N",
                )),
            };
        }
        (Some(due), None | Some(0)) => due,
        (_, Some(count)) => vec![count.div_ceil(threads); plan.threads_count],
    };
    let bytes = counts.iter().sum::<u64>().saturating_mul(SIGNED_BYTES);
    let most = host::memory_available().map(|it| it / MEMORY_PART);
    if most.is_none_or(|most| bytes <= most) {
        return Ok(counts);
    }
    let (bytes, most) = (show_bytes(bytes), show_bytes(most.unwrap_or(0)));
    match args.pre_sign {
        Some(_) => Err(Failure::usage(format!(
            "records signed before the run would take {bytes}, and half of the free memory is {most}: sign fewer with --pre-sign=N, or --sign-on-the-fly"
        ))),
        None => {
            eprintln!(
                "flk: signing on the fly: signing before the run would take {bytes}, and half of the free memory is {most}"
            );
            Ok(vec![0; plan.threads_count])
        }
    }
}

fn settings(args: &BenchArgs, plan: &Plan, recipe: &Recipe) -> Settings {
    Settings {
        r#loop: match args.closed {
            true => "closed".to_owned(),
            false => "open".to_owned(),
        },
        arrivals: match (args.rate, args.arrivals) {
            (None, _) => String::new(),
            (_, Arrivals::Constant) => "constant".to_owned(),
            (_, Arrivals::Poisson) => "poisson".to_owned(),
        },
        rate: args.rate.map(|it| [it.from, it.to]),
        duration_s: args.duration.as_secs_f64(),
        warm_up_s: args.warm_up.as_secs_f64(),
        connections: plan.connections_count,
        batch: args.batch,
        pipeline: args.pipeline,
        threads: plan.threads_count,
        cpus: plan.cpus.clone(),
        timeout_s: args.timeout.as_secs_f64(),
        seed: plan.seed,
        body_bytes: recipe.body_bytes(),
        duplicates: plan.mix.duplicates,
        bad_signatures: plan.mix.bad_signatures,
        malformed: plan.mix.malformed,
        ed25519: plan.mix.second_key,
        tenants: usize::from(plan.mix.tenants_count),
    }
}

/// Whether all requests go to this machine.
pub(super) fn is_this_machine(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_low_a_limit_of_descriptors_is_told_with_what_helps() {
        let said = too_few_files(64, 64);
        assert!(
            said.contains("64 connections take 128 descriptors"),
            "{said}"
        );
        assert!(
            said.ends_with("may have 64: raise the hard limit (ulimit -n 128)"),
            "{said}"
        );
        let said = too_few_files(1_000, 70);
        assert!(
            said.ends_with("(ulimit -n 1064), or give --connections 6 or fewer"),
            "{said}"
        );
    }
}
