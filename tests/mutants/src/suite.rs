//! The tests and the simulator, each with its time and the mutants that it reaches: what does not reach a mutant cannot
//! see it and is not run.

use crate::build::Executables;
use crate::jobs::each;
use crate::options::Options;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One test of one program.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) program: usize,
    pub(crate) name: String,
    pub(crate) took: Duration,
}

/// What a program took, and the mutants that it reached.
type Measured = (Duration, BTreeSet<u32>);

/// All tests.
pub(crate) struct Suite {
    executables: Executables,
    corpora: PathBuf,
    sim_seeds: u32,
    /// The quickest first.
    tests: Vec<Test>,
    /// By mutant: the tests that reach it, as indices.
    reach: BTreeMap<u32, Vec<usize>>,
    simulated: Measured,
}

impl Suite {
    /// Runs every test on its own, then the simulator, with no mutant on; all have to pass.
    pub(crate) fn measure(
        root: &Path,
        executables: Executables,
        options: &Options,
    ) -> Result<Suite, Box<dyn Error>> {
        let mut suite = Suite {
            executables,
            corpora: std::env::var_os("FLK_CORPORA")
                .map_or_else(|| root.join("../shared/corpora"), PathBuf::from),
            sim_seeds: options.sim_seeds,
            tests: Vec::new(),
            reach: BTreeMap::new(),
            simulated: Measured::default(),
        };
        let list = root.join("target/mutants/asked");
        let list_of = |name: &str| list.with_extension(name.replace(':', "."));
        let measured = each(options.jobs, suite.names()?, |(program, name)| {
            let mut command = suite.command(program);
            command.args(["--exact", &name]);
            let measured = measure_one(command, &name, &list_of(&format!("{program}.{name}")));
            measured.map(|(took, asked)| (took, asked, program, name))
        });
        let mut measured = measured.into_iter().collect::<Result<Vec<_>, _>>()?;
        measured.sort_by_key(|it| it.0);
        for (took, asked, program, name) in measured {
            for id in asked {
                suite.reach.entry(id).or_default().push(suite.tests.len());
            }
            suite.tests.push(Test {
                program,
                name,
                took,
            });
        }
        if suite.reach.is_empty() {
            return Err("no test reaches any mutant: the switch is broken".into());
        }
        if options.sim_seeds > 0 {
            suite.simulated = measure_one(suite.simulator(), "the simulator", &list)?;
        }
        Ok(suite)
    }

    /// Each test, as the number of its program and its name.
    fn names(&self) -> Result<Vec<(usize, String)>, Box<dyn Error>> {
        let mut names = Vec::new();
        for program in 0..self.executables.tests.len() {
            let mut command = self.command(program);
            let output = command.arg("--list").stdout(Stdio::piped()).output()?;
            let text = String::from_utf8(output.stdout)?;
            let found = text.lines().filter_map(|line| line.strip_suffix(": test"));
            names.extend(found.map(|name| (program, name.to_owned())));
        }
        Ok(names)
    }

    /// A test program. Properties draw the same values in each run and do not look for smaller ones: that they fail is
    /// all that is asked.
    pub(crate) fn command(&self, program: usize) -> Command {
        let (path, directory) = &self.executables.tests[program];
        let mut command = limited(path);
        command
            .current_dir(directory)
            .env("FLK_CORPORA", &self.corpora)
            .env("PROPTEST_RNG_SEED", "1")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
        command
    }

    /// The simulator.
    pub(crate) fn simulator(&self) -> Command {
        let mut command = limited(&self.executables.simulator);
        command.args(["--seeds", &self.sim_seeds.to_string(), "--jobs", "1"]);
        command
    }

    /// How many tests there are.
    pub(crate) fn tests_count(&self) -> usize {
        self.tests.len()
    }

    /// The tests that reach a mutant, the quickest first.
    pub(crate) fn reaching(&self, id: u32) -> Vec<&Test> {
        let tests = self.reach.get(&id).into_iter().flatten();
        tests.map(|test| &self.tests[*test]).collect()
    }

    /// What the simulator takes, if it reaches the mutant.
    pub(crate) fn simulator_took(&self, id: u32) -> Option<Duration> {
        let (took, asked) = &self.simulated;
        asked.contains(&id).then_some(*took)
    }
}

fn measure_one(mut command: Command, name: &str, list: &Path) -> Result<Measured, String> {
    let wrong = |error: std::io::Error| format!("{name}: {error}");
    std::fs::write(list, "").map_err(wrong)?;
    let started = Instant::now();
    command.env("FLK_MUTANTS_ASKED", list);
    if !command.status().map_err(wrong)?.success() {
        return Err(format!("{name} fails with no mutant on"));
    }
    let took = started.elapsed();
    let asked = std::fs::read_to_string(list).map_err(wrong)?;
    std::fs::remove_file(list).map_err(wrong)?;
    let asked = asked.lines().filter_map(|id| id.parse().ok()).collect();
    Ok((took, asked))
}

/// A program with as much memory as any of them needs and no more: a mutant may ask for all there is.
fn limited(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v 6000000; ulimit -c 0; exec \"$0\" \"$@\""])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
