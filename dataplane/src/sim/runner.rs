//! Runs seeds: one to be read, thousands to find something, and thousands with a bug planted to prove that it is found.
//! It owns the command line of `flk-sim` and prints; it knows nothing of what a seed does.

use super::count::{Count, Counts};
use super::oracle::{Broken, Property};
use super::trace::{self, Keep};
use super::world::World;
use crate::planted::Bug;
use std::cell::Cell;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Suites of this many seeds must reach every mechanism.
pub const SEEDS_FOR_COVERAGE: u64 = 1_000;

/// Runs one seed; gives what it went through and what it broke.
pub fn run(seed: u64, keep: Keep) -> (Counts, Result<(), Broken>) {
    trace::begin(keep);
    let mut world = World::new(seed);
    let result = world.live();
    (world.counts, result)
}

/// The command that replays a seed.
pub fn replay(seed: u64, bug: Option<Bug>) -> String {
    let features = if cfg!(feature = "planted-bugs") {
        "sim,planted-bugs"
    } else {
        "sim"
    };
    let bug = bug.map_or(String::new(), |bug| format!(" --bug {bug:?}"));
    format!(
        "cargo run --release -p flk-dataplane --features {features} --bin flk-sim -- --seed {seed}{bug}"
    )
}

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
struct Asked {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    minutes: Option<u64>,
    bug: Option<String>,
    jobs: u64,
    all_lines: bool,
    lines: usize,
    quiet: bool,
    keep_going: bool,
}

const USAGE: &str = "flk-sim --seed N [--trace] [--lines 120] [--bug NAME]        replays one seed
flk-sim --seeds N [--from N] [--minutes M] [--jobs J]           runs many
        [--keep-going] [--quiet]                                  names every seed that breaks something
flk-sim --seeds N --bug NAME|all [--from N] [--jobs J]          proves that planted bugs are found";

fn read(words: &[String]) -> Result<Asked, String> {
    let mut asked = Asked {
        seeds: 2000,
        from: 1,
        jobs: 2,
        lines: 120,
        ..Asked::default()
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("{word} wants a value"));
        let number = |text: String| {
            text.parse::<u64>()
                .map_err(|_| format!("{word}: `{text}` is no number"))
        };
        match word.as_str() {
            "--seed" => asked.seed = Some(number(value()?)?),
            "--seeds" => asked.seeds = number(value()?)?,
            "--from" => asked.from = number(value()?)?,
            "--minutes" => asked.minutes = Some(number(value()?)?),
            "--jobs" => asked.jobs = number(value()?)?.max(1),
            "--lines" => asked.lines = number(value()?)? as usize,
            "--bug" => asked.bug = Some(value()?),
            "--trace" => asked.all_lines = true,
            "--quiet" => asked.quiet = true,
            "--keep-going" => asked.keep_going = true,
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(asked)
}

/// The program.
pub fn main(words: Vec<String>) -> ExitCode {
    let asked = match read(&words) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    if asked.bug.is_some() && !cfg!(feature = "planted-bugs") {
        eprintln!("planting a bug needs the feature `planted-bugs`");
        return ExitCode::from(64);
    }
    if asked.bug.as_deref() == Some("all") {
        return prove_all(&asked);
    }
    let bug = match asked
        .bug
        .as_deref()
        .map(|name| Bug::named(name).ok_or(name))
    {
        None => None,
        Some(Ok(bug)) => Some(bug),
        Some(Err(name)) => {
            eprintln!("there is no bug `{name}`; their names: {:?}", Bug::ALL);
            return ExitCode::from(64);
        }
    };
    plant(bug);
    match asked.seed {
        Some(seed) => replay_one(seed, bug, &asked),
        None if bug.is_some() => find(&asked),
        None => run_many(&asked),
    }
}

#[cfg(feature = "planted-bugs")]
fn plant(bug: Option<Bug>) {
    crate::planted::plant(bug);
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(_: Option<Bug>) {}

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Runs one seed and shows what happened.
fn replay_one(seed: u64, bug: Option<Bug>, asked: &Asked) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        show_lines();
        eprintln!("the gateway panicked: {panic}");
    }));
    let keep = if asked.all_lines {
        Keep::All
    } else {
        Keep::Last(asked.lines)
    };
    let (counts, result) = run(seed, keep);
    show_lines();
    match result {
        Ok(()) => {
            println!(
                "seed {seed}: {} events, nothing broken; trace {:016x}",
                counts.of(Count::Events),
                trace::hash()
            );
            ExitCode::SUCCESS
        }
        Err(found) => {
            show_found(seed, bug, &found);
            ExitCode::FAILURE
        }
    }
}

fn show_lines() {
    for line in trace::lines() {
        println!("{line}");
    }
}

fn show_found(seed: u64, bug: Option<Bug>, found: &Broken) {
    println!(
        "seed {seed} broke: {}\n  {}\nto replay it:\n  {}",
        found.property.words(),
        found.how,
        replay(seed, bug)
    );
}

/// Runs seeds until one breaks something, with a bug planted, and says so in one line that [`prove_all`] reads.
fn find(asked: &Asked) -> ExitCode {
    let from = asked.from;
    std::panic::set_hook(Box::new(move |panic| {
        let how = panic.to_string().replace('\n', " ");
        println!(
            "{}",
            FirstFailure {
                seed: SEED.get(),
                needed: SEED.get() + 1 - from,
                property: Property::Assertion.words().to_string(),
                how
            }
            .line()
        );
        std::process::exit(0);
    }));
    for seed in from..from + asked.seeds {
        SEED.set(seed);
        if let (_, Err(found)) = run(seed, Keep::Nothing) {
            let property = found.property.words().to_string();
            println!(
                "{}",
                FirstFailure {
                    seed,
                    needed: seed + 1 - from,
                    property,
                    how: found.how
                }
                .line()
            );
            return ExitCode::SUCCESS;
        }
    }
    println!("not found in {} seeds", asked.seeds);
    ExitCode::FAILURE
}

/// How a planted bug was found.
struct FirstFailure {
    seed: u64,
    needed: u64,
    property: String,
    how: String,
}

impl FirstFailure {
    fn line(&self) -> String {
        format!(
            "found\t{}\t{}\t{}\t{}",
            self.seed, self.needed, self.property, self.how
        )
    }

    fn read(line: &str) -> Option<FirstFailure> {
        let mut parts = line.strip_prefix("found\t")?.splitn(4, '\t');
        Some(FirstFailure {
            seed: parts.next()?.parse().ok()?,
            needed: parts.next()?.parse().ok()?,
            property: parts.next()?.to_string(),
            how: parts.next()?.to_string(),
        })
    }
}

/// The bugs that the simulator can see; the others are the drivers'.
pub fn bugs() -> impl Iterator<Item = Bug> {
    Bug::ALL
        .into_iter()
        .filter(|bug| !matches!(bug, Bug::DriverSyncSkipped | Bug::DriverSyncEarly))
}

/// Plants every bug in a process of its own, and prints the table of those found.
fn prove_all(asked: &Asked) -> ExitCode {
    let bugs: Vec<Bug> = bugs().collect();
    let verdicts: Mutex<Vec<(Bug, Option<FirstFailure>)>> = Mutex::new(Vec::new());
    let next = AtomicU64::new(0);
    let Ok(program) = std::env::current_exe() else {
        eprintln!("cannot tell where this program is");
        return ExitCode::from(70);
    };
    std::thread::scope(|scope| {
        for _ in 0..asked.jobs {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let verdict = prove(&program, *bug, asked);
                    let said = verdict.as_ref().map_or("NOT FOUND".to_string(), |verdict| {
                        format!("seed {}: {}", verdict.seed, verdict.how)
                    });
                    eprintln!("{bug:?}: {said}");
                    verdicts
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((*bug, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by_key(|(bug, _)| *bug as u8);
    print_table(&verdicts, asked)
}

/// Looks for one bug in a process of its own, since what is planted is planted for the whole process.
fn prove(program: &Path, bug: Bug, asked: &Asked) -> Option<FirstFailure> {
    let mut child = Command::new(program);
    child.args([
        "--bug",
        &format!("{bug:?}"),
        "--seeds",
        &asked.seeds.to_string(),
        "--from",
        &asked.from.to_string(),
    ]);
    let output = child.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(FirstFailure::read)
}

/// The table of docs/testing.md, and whether every bug was found.
fn print_table(verdicts: &[(Bug, Option<FirstFailure>)], asked: &Asked) -> ExitCode {
    println!(
        "| Planted bug | Name | Found by seed | Seeds needed | Property that failed |\n|---|---|---|---|---|"
    );
    for (bug, verdict) in verdicts {
        let row = match verdict {
            Some(verdict) => format!(
                "{} | {} | {}",
                verdict.seed, verdict.needed, verdict.property
            ),
            None => format!("— | more than {} | **not found**", asked.seeds),
        };
        println!("| {} | `{bug:?}` | {row} |", bug.describe());
    }
    let is_missing = |(_, verdict): &&(Bug, Option<FirstFailure>)| verdict.is_none();
    let missing = verdicts.iter().filter(is_missing).count();
    println!(
        "\n{} of {} planted bugs found, each within {} seeds from seed {}.",
        verdicts.len() - missing,
        verdicts.len(),
        asked.seeds,
        asked.from
    );
    match missing {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Runs many seeds; the first that breaks something ends it.
fn run_many(asked: &Asked) -> ExitCode {
    let began = Instant::now();
    let until = asked
        .minutes
        .map(|minutes| began + Duration::from_secs(60 * minutes));
    let next = AtomicU64::new(asked.from);
    let done = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let counts: Mutex<Counts> = Mutex::new(Counts::default());
    let broken: Mutex<Option<(u64, Broken)>> = Mutex::new(None);
    std::panic::set_hook(Box::new(|panic| end_by_panic(&panic.to_string())));
    let wanted = |seed: u64| match until {
        Some(until) => Instant::now() < until,
        None => seed < asked.from + asked.seeds,
    };
    std::thread::scope(|scope| {
        for _ in 0..asked.jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !wanted(seed) {
                        break;
                    }
                    SEED.set(seed);
                    let (went, result) = run(seed, Keep::Nothing);
                    counts
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add_seed(&went);
                    done.fetch_add(1, Ordering::Relaxed);
                    if let Err(found) = result {
                        stop.store(!asked.keep_going, Ordering::Relaxed);
                        if asked.keep_going {
                            println!("seed {seed}: {}: {}", found.property.words(), found.how);
                        }
                        broken
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert((seed, found));
                    }
                }
            });
        }
        if !asked.quiet {
            show_progress(began, &done, &stop, asked);
        }
    });
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seeds = done.load(Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", counts.table());
    println!(
        "{seeds} seeds in {seconds:.1} s: {:.0} seeds/s with {} jobs",
        seeds as f64 / seconds,
        asked.jobs
    );
    conclude(seeds, &counts, broken, asked)
}

/// A panic is a seed's end, and the program's: the seed is replayed in another process, which shows what it did.
fn end_by_panic(panic: &str) {
    let seed = SEED.get();
    eprintln!("seed {seed}: the gateway panicked: {panic}");
    if let Ok(program) = std::env::current_exe() {
        let _ = Command::new(program)
            .args(["--seed", &seed.to_string()])
            .status();
    }
    println!(
        "seed {seed} broke: an assertion of the gateway\nto replay it:\n  {}",
        replay(seed, None)
    );
    std::process::exit(1);
}

/// Whether a suite is good: nothing is broken, and nothing was met too rarely.
fn conclude(seeds: u64, counts: &Counts, broken: Option<(u64, Broken)>, asked: &Asked) -> ExitCode {
    if let Some((seed, found)) = broken {
        let (_, again) = run(seed, Keep::Last(asked.lines));
        show_lines();
        if again.as_ref().err() != Some(&found) {
            println!("a replay went another way: {again:?}");
        }
        show_found(seed, None, &found);
        return ExitCode::FAILURE;
    }
    let too_rare = counts.too_rare();
    if seeds >= SEEDS_FOR_COVERAGE && !too_rare.is_empty() {
        println!(
            "reached by too few seeds, which is a failure of this suite:\n  {}",
            too_rare.join("\n  ")
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn show_progress(began: Instant, done: &AtomicU64, stop: &AtomicBool, asked: &Asked) {
    let mut shown = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let seeds = done.load(Ordering::Relaxed);
        let over = match asked.minutes {
            Some(minutes) => began.elapsed() >= Duration::from_secs(60 * minutes),
            None => seeds >= asked.seeds,
        };
        if over || stop.load(Ordering::Relaxed) {
            return;
        }
        if shown.elapsed() >= Duration::from_secs(5) {
            shown = Instant::now();
            eprintln!(
                "{seeds} seeds, {:.0} seeds/s",
                seeds as f64 / began.elapsed().as_secs_f64()
            );
        }
    }
}
