//! Turns one mutant on after the other and runs what reaches it, until something fails. The simulator comes last, for it
//! takes longest.

use crate::jobs::each;
use crate::mutant::Mutant;
use crate::options::Options;
use crate::outcome::{Outcome, Verdict};
use crate::suite::{Suite, Test};
use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Tests in one process: few at first, since most mutants die early.
const CHUNKS: [usize; 4] = [1, 4, 16, 64];

/// A program gets so much more time than it takes with no mutant on.
const TIMES_SLOWER_MAX: u32 = 10;

/// And so much on top, for a machine that is busy.
const GRACE: Duration = Duration::from_secs(10);

/// Tries all that have no verdict yet, until time is over.
pub(crate) fn all(
    suite: &Suite,
    mutants: &[Mutant],
    options: &Options,
    outcome: &Outcome,
    started: Instant,
) -> io::Result<()> {
    let left = mutants.iter().filter(|it| outcome.of(it).is_none());
    let left: Vec<&Mutant> = left.collect();
    let tried = AtomicUsize::new(0);
    let results = each(options.jobs, &left, |mutant| {
        if started.elapsed() > options.time_max {
            return Ok(());
        }
        let verdict = one(suite, mutant);
        let tried = 1 + tried.fetch_add(1, Relaxed);
        if tried.is_multiple_of(25) || verdict == Verdict::Survived {
            println!("{tried}/{}\t{verdict}\t{mutant}", left.len());
        }
        outcome.add(mutant, verdict)
    });
    results.into_iter().collect()
}

fn one(suite: &Suite, mutant: &Mutant) -> Verdict {
    let mut by_program: BTreeMap<usize, Vec<&Test>> = BTreeMap::new();
    for test in suite.reaching(mutant.id) {
        by_program.entry(test.program).or_default().push(test);
    }
    // The program whose quickest test is the quickest comes first.
    let mut programs: Vec<_> = by_program.into_iter().collect();
    programs.sort_by_key(|(_, tests)| tests.first().map(|it| it.took));
    for (program, tests) in programs {
        let mut rest = &tests[..];
        let mut sizes = CHUNKS.iter().copied();
        while !rest.is_empty() {
            let size = sizes.next().unwrap_or(usize::MAX).min(rest.len());
            let (chunk, later) = rest.split_at(size);
            rest = later;
            let verdict = run_chunk(suite, mutant, program, chunk);
            if verdict != Verdict::Survived {
                return verdict;
            }
        }
    }
    match suite.simulator_took(mutant.id) {
        Some(took) => ended(suite.simulator(), mutant, took, "the simulator"),
        None => Verdict::Survived,
    }
}

fn run_chunk(suite: &Suite, mutant: &Mutant, program: usize, chunk: &[&Test]) -> Verdict {
    let mut command = suite.command(program);
    command
        .args(["--exact", "--test-threads=1"])
        .args(chunk.iter().map(|test| &test.name));
    let took = chunk.iter().map(|test| test.took).sum();
    let by = match chunk {
        [test] => test.name.clone(),
        [test, ..] => format!("{} or {} more", test.name, chunk.len() - 1),
        [] => String::new(),
    };
    ended(command, mutant, took, &by)
}

/// What is left of a mutant after the program.
fn ended(mut command: Command, mutant: &Mutant, took: Duration, by: &str) -> Verdict {
    let limit = GRACE + TIMES_SLOWER_MAX * took;
    let started = Instant::now();
    let Ok(mut child) = command.env("FLK_MUTANT", mutant.id.to_string()).spawn() else {
        return Verdict::Killed("a process that could not start".to_owned());
    };
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Verdict::Survived,
            Ok(Some(_)) | Err(_) => return Verdict::Killed(by.to_owned()),
            Ok(None) if started.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Verdict::TimedOut(by.to_owned());
            }
            Ok(None) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
