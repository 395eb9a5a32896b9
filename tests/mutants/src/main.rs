//! `flk-mutants`: puts single, plausible mistakes into a copy of the sources and counts which of them the tests see. All
//! mistakes are compiled at once, each behind a switch that an environment variable turns on, so that one build serves
//! thousands of them. It never touches the sources themselves.
//!
//! `plan` lists what can be changed, `mistakes` finds it in a source, `render` writes the copy, `build` compiles it and
//! drops what does not compile, `suite` knows which test reaches which mutant, `trial` runs them, `outcome` keeps the
//! verdicts, `survivors` is the list that is committed, `report` compares both.

mod build;
mod jobs;
mod mistakes;
mod mutant;
mod options;
mod outcome;
mod plan;
mod render;
mod report;
mod suite;
mod survivors;
mod tree;
mod trial;

use options::Options;
use outcome::Outcome;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;
use survivors::Known;

/// The share of fewer than this says nothing.
const JUDGED_MIN: u32 = 30;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if matches!(&arguments[..], [only] if only == "--help") {
        println!("{}", options::HELP);
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(arguments.into_iter()) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("flk-mutants: {message}\n{}", options::HELP);
            return ExitCode::from(64);
        }
    };
    run(&options).unwrap_or_else(|error| {
        eprintln!("flk-mutants: {error}");
        ExitCode::from(71)
    })
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let started = Instant::now();
    let root = std::env::current_dir()?;
    let known = Known::read(&root.join("tests/mutants/survivors.tsv"))?;
    let (tree, verdicts) = (
        root.join("target/mutants/tree"),
        root.join("target/mutants/outcome.tsv"),
    );
    let mut mutants = plan::all(&root)?;
    for (file, function, change) in known.stale(&mutants) {
        println!("survivors.tsv names no mutant:\t{file}\t{function}\t{change}");
    }
    let found = mutants.len();
    options.choose(&mut mutants);
    println!("{found} mutants can be planted; {} are", mutants.len());
    tree::copy(&root, &tree)?;
    let executables = build::compile(&root, &tree, &mut mutants)?;
    println!(
        "{} of them compile, after {} s",
        mutants.len(),
        started.elapsed().as_secs()
    );
    mutants.truncate(options.sample);
    let outcome = Outcome::begin(&verdicts, options.keep)?;
    let suite = suite::Suite::measure(&root, executables, options)?;
    println!(
        "{} tests pass with none of them on, after {} s",
        suite.tests_count(),
        started.elapsed().as_secs()
    );
    trial::all(&suite, &mutants, options, &outcome, started)?;
    let counts = report::print(&mutants, &outcome, &known);
    println!(
        "after {} s; each verdict is in {}",
        started.elapsed().as_secs(),
        verdicts.strip_prefix(&root)?.display()
    );
    if counts.judged() < JUDGED_MIN {
        println!("too few for a judgement");
        return Ok(ExitCode::SUCCESS);
    }
    let enough = counts.percent() >= options.percent_min;
    if !enough {
        println!("fewer than {} % are killed", options.percent_min);
    }
    Ok(ExitCode::from(u8::from(!enough)))
}
