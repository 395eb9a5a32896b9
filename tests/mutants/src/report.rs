//! Adds the verdicts up, by area, and says what has survived without a reason.

use crate::mutant::Mutant;
use crate::outcome::{Outcome, Verdict};
use crate::survivors::{Known, Reason};
use std::collections::BTreeMap;
use std::fmt;

/// Counts of verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    killed: u32,
    equivalent: u32,
    open: u32,
    new: u32,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict, reason: Option<Reason>) {
        let count = match (verdict, reason) {
            (Verdict::Killed(_) | Verdict::TimedOut(_), _) => &mut self.killed,
            (Verdict::Survived, Some(Reason::Equivalent)) => &mut self.equivalent,
            (Verdict::Survived, Some(Reason::Open)) => &mut self.open,
            (Verdict::Survived, None) => &mut self.new,
        };
        *count += 1;
    }

    /// Those that are not known to change nothing.
    pub(crate) fn judged(&self) -> u32 {
        self.killed + self.open + self.new
    }

    /// The share of killed mutants among those, in percent.
    pub(crate) fn percent(&self) -> f64 {
        f64::from(self.killed) * 100.0 / f64::from(self.judged().max(1))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            killed,
            equivalent,
            open,
            new,
        } = *self;
        let tried = killed + equivalent + open + new;
        write!(
            out,
            "{tried:5} tried {killed:5} killed {equivalent:4} equivalent {open:4} open {new:4} new  {:5.1} %",
            self.percent()
        )
    }
}

/// Prints new survivors and the counts of each area; gives those of all.
pub(crate) fn print(mutants: &[Mutant], outcome: &Outcome, known: &Known) -> Counts {
    let mut areas: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut all = Counts::default();
    let mut without = 0u32;
    for mutant in mutants {
        let Some(verdict) = outcome.of(mutant) else {
            without += 1;
            continue;
        };
        let reason = known.reason(mutant);
        if verdict == Verdict::Survived && reason.is_none() {
            println!("survived, and not in tests/mutants/survivors.tsv:\t{mutant}");
        }
        areas
            .entry(mutant.area())
            .or_default()
            .add(&verdict, reason);
        all.add(&verdict, reason);
    }
    for (area, counts) in areas {
        println!("{area:10} {counts}");
    }
    println!("{:10} {all}", "all");
    if without > 0 {
        println!("{without} were not tried: time was over");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_does_not_count_against_the_tests() {
        let mut counts = Counts::default();
        let killed = Verdict::Killed("t".to_owned());
        for _ in 0..8 {
            counts.add(&killed, None);
        }
        counts.add(&Verdict::TimedOut("t".to_owned()), None);
        for _ in 0..5 {
            counts.add(&Verdict::Survived, Some(Reason::Equivalent));
        }
        assert_eq!(counts.percent(), 100.0);
        counts.add(&Verdict::Survived, None);
        assert_eq!(counts.percent(), 90.0);
        counts.add(&killed, Some(Reason::Open));
        counts.add(&Verdict::Survived, Some(Reason::Open));
        assert!(counts.percent() < 90.0);
    }
}
