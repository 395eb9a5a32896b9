//! What became of each mutant: written to a file the moment it is known, so that a run that is stopped loses nothing, and
//! read again by the next.

use crate::jobs::lock;
use crate::mutant::{Key, Mutant};
use crate::options::Keep;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This failed.
    Killed(String),
    /// This did not end in time.
    TimedOut(String),
    /// Everything passed.
    Survived,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Killed(by) => write!(out, "killed by {by}"),
            Verdict::TimedOut(by) => write!(out, "timed out in {by}"),
            Verdict::Survived => write!(out, "survived"),
        }
    }
}

impl Verdict {
    fn of_text(text: &str) -> Option<Verdict> {
        let killed = text.strip_prefix("killed by ").map(str::to_owned);
        let timed_out = text.strip_prefix("timed out in ").map(str::to_owned);
        let survived = (text == "survived").then_some(Verdict::Survived);
        (killed.map(Verdict::Killed))
            .or(timed_out.map(Verdict::TimedOut))
            .or(survived)
    }
}

/// The verdicts of a run, and their file.
pub(crate) struct Outcome(Mutex<(BTreeMap<Key, Verdict>, File)>);

impl Outcome {
    /// Begins a run with what it keeps of the last one.
    pub(crate) fn begin(path: &Path, keep: Keep) -> io::Result<Outcome> {
        let last = match keep {
            Keep::Nothing => String::new(),
            Keep::Killed | Keep::All => std::fs::read_to_string(path)?,
        };
        let mut verdicts = BTreeMap::new();
        let mut kept = String::new();
        for line in last.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [verdict, place, function, change] = fields[..] else {
                continue;
            };
            let path = place.split(':').next().unwrap_or_default();
            let Some(verdict) = Verdict::of_text(verdict) else {
                continue;
            };
            if keep == Keep::All || verdict != Verdict::Survived {
                let key = (path.to_owned(), function.to_owned(), change.to_owned());
                verdicts.insert(key, verdict);
                kept += &format!("{line}\n");
            }
        }
        let mut file = File::create(path)?;
        file.write_all(kept.as_bytes())?;
        Ok(Outcome(Mutex::new((verdicts, file))))
    }

    /// The verdict, if there is one.
    pub(crate) fn of(&self, mutant: &Mutant) -> Option<Verdict> {
        lock(&self.0).0.get(&mutant.key()).cloned()
    }

    /// Adds one, in the file too.
    pub(crate) fn add(&self, mutant: &Mutant, verdict: Verdict) -> io::Result<()> {
        let mut inner = lock(&self.0);
        inner
            .1
            .write_all(format!("{verdict}\t{mutant}\n").as_bytes())?;
        inner.0.insert(mutant.key(), verdict);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_what_it_keeps_of_the_last() {
        let path = std::env::temp_dir().join(format!("flk-outcome-{}", std::process::id()));
        let [dead, slow, alive] = ["a.rs", "b.rs", "c.rs"].map(|path| Mutant::of_test(1, path));
        let killed = Verdict::Killed("a::test and 3 more".to_owned());
        let outcome = Outcome::begin(&path, Keep::Nothing).unwrap();
        outcome.add(&dead, killed.clone()).unwrap();
        let timed_out = Verdict::TimedOut("another".to_owned());
        outcome.add(&slow, timed_out.clone()).unwrap();
        outcome.add(&alive, Verdict::Survived).unwrap();
        let of = |keep| {
            let outcome = Outcome::begin(&path, keep).unwrap();
            [&dead, &slow, &alive].map(|mutant| outcome.of(mutant))
        };
        let all = [Some(killed), Some(timed_out), Some(Verdict::Survived)];
        assert_eq!(of(Keep::All), all);
        assert_eq!(of(Keep::Killed), [all[0].clone(), all[1].clone(), None]);
        assert_eq!(of(Keep::Nothing), [None, None, None]);
        std::fs::remove_file(&path).unwrap();
    }
}
