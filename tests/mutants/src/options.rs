//! What was asked for on the command line, and the choice of mutants that follows from it. It opens nothing.

use crate::mutant::Mutant;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
usage: flk-mutants [--sample N] [--seed N] [--only TEXT,…] [--keep all|killed] [--sim-seeds N] [--jobs N]
                   [--minutes N] [--percent-min P]

  --sample N        try N mutants, chosen by chance (default: all, some thousand)
  --seed N          which ones (default 1)
  --only TEXT,…     only mutants whose file, line, function or change contains one of the texts
  --keep all        take the verdicts of the last run, so that one that was stopped goes on
  --keep killed     take those of killed mutants, so that only survivors are tried again
  --sim-seeds N     seeds of the simulator that a mutant must survive (default 2000)
  --jobs N          trials at a time (default 2)
  --minutes N       begin no trial later than that (default: no limit)
  --percent-min P   fail if fewer than P percent are killed (default 90); fewer than 30 mutants are not judged

Run it from the root of the repository. Examples:
  flk-mutants --sample 400
  flk-mutants --only dedup/claims";

/// Which verdicts of the last run are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    Killed,
    All,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) sample: usize,
    pub(crate) seed: u64,
    pub(crate) only: String,
    pub(crate) keep: Keep,
    pub(crate) sim_seeds: u32,
    pub(crate) jobs: usize,
    pub(crate) time_max: Duration,
    pub(crate) percent_min: f64,
}

impl Options {
    /// Reads the arguments; the message says which one is wrong.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            sample: usize::MAX,
            seed: 1,
            only: String::new(),
            keep: Keep::Nothing,
            sim_seeds: 2000,
            jobs: 2,
            time_max: Duration::MAX,
            percent_min: 90.0,
        };
        while let Some(name) = arguments.next() {
            let Some(value) = arguments.next() else {
                return Err(format!("{name} is unknown or has no value"));
            };
            options.set(&name, &value)?;
        }
        if options.jobs == 0 || options.sample == 0 {
            return Err("--jobs and --sample are at least 1".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("{name} cannot be {value}");
        let number = || value.parse::<u64>().map_err(|_| wrong());
        match name {
            "--sample" => self.sample = number()? as usize,
            "--seed" => self.seed = number()?,
            "--only" => self.only = value.to_owned(),
            "--keep" => {
                self.keep = match value {
                    "all" => Keep::All,
                    "killed" => Keep::Killed,
                    _ => return Err(wrong()),
                }
            }
            "--sim-seeds" => self.sim_seeds = value.parse().map_err(|_| wrong())?,
            "--jobs" => self.jobs = number()? as usize,
            "--minutes" => self.time_max = Duration::from_secs(60 * number()?),
            "--percent-min" => self.percent_min = value.parse().map_err(|_| wrong())?,
            _ => return Err(format!("{name} is unknown")),
        }
        Ok(())
    }

    /// Keeps the mutants that are planted, with some to spare for those that do not compile, in the order in which they
    /// are tried. Each is as likely as any other, so that the share that is killed is an estimate for all of them,
    /// wherever the run is stopped. What is chosen hangs on seed and name alone: a change of the sources changes nothing
    /// for mutants elsewhere.
    pub(crate) fn choose(&self, mutants: &mut Vec<Mutant>) {
        mutants.retain(|mutant| {
            let shown = mutant.to_string();
            self.only.split(',').any(|text| shown.contains(text))
        });
        mutants.sort_by_cached_key(|mutant| {
            let mut hasher = DefaultHasher::new();
            (self.seed, mutant.key()).hash(&mut hasher);
            hasher.finish()
        });
        mutants.truncate(self.sample.saturating_add(self.sample / 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn unknown_and_wrong_arguments_are_named() {
        assert_eq!(parse("--sample 400 --seed 7").unwrap().sample, 400);
        assert_eq!(parse("--keep killed").unwrap().keep, Keep::Killed);
        for wrong in ["--sample x", "--what 1", "--keep none", "--seed"] {
            let name = wrong.split(' ').next().unwrap();
            assert!(parse(wrong).unwrap_err().contains(name), "{wrong}");
        }
        assert!(parse("--jobs 0").is_err());
    }

    #[test]
    fn a_sample_is_bound_to_its_seed_and_has_no_mutant_twice() {
        let all: Vec<Mutant> = (0..1000)
            .map(|id| Mutant::of_test(id, &format!("{id}.rs")))
            .collect();
        let chosen = |line| {
            let mut mutants = all.clone();
            parse(line).unwrap().choose(&mut mutants);
            mutants.iter().map(|it| it.id).collect::<Vec<_>>()
        };
        let ids = chosen("--sample 20 --seed 3");
        assert_eq!(ids, chosen("--sample 20 --seed 3"));
        assert_ne!(ids, chosen("--sample 20 --seed 4"));
        assert_eq!(ids.len(), 25);
        let once: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(once.len(), 25);
        assert_eq!(chosen("--sample 2000").len(), 1000);
    }
}
