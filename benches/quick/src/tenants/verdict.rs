//! Whether a tenant is slowed down by another one, or whether the machine was too noisy to tell. It only compares figures:
//! nothing here measures.

use std::fmt;

/// The 99th percentile of the quiet tenant may grow by this factor.
pub(super) const RATIO_MAX: f64 = 1.5;
/// What is compared with itself may differ by this factor: half of what is looked for.
const SELF_RATIO_MAX: f64 = 1.25;
/// With fewer rounds a median says nothing.
const ROUNDS_MIN: usize = 9;

/// The 99th percentiles of the quiet tenant in one round, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pub(super) alone_us: f64,
    pub(super) beside_us: f64,
    pub(super) alone_again_us: f64,
}

/// What all rounds say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// By how much the latency grows: at most as much as it may.
    Met(f64),
    /// It grows more.
    NotMet(f64),
    /// The figures say nothing, for this reason.
    Invalid(String),
}

impl Compared {
    /// By how much the noisy tenant raises it: what is before and behind counts alike, so that a machine that becomes slower
    /// or faster changes little.
    pub(super) fn ratio(&self) -> f64 {
        self.beside_us / (self.alone_us * self.alone_again_us).sqrt()
    }

    /// By how much the quiet tenant alone differs from itself; at least 1.
    fn self_ratio(&self) -> f64 {
        let ratio = self.alone_us / self.alone_again_us;
        ratio.max(1.0 / ratio)
    }

    /// What all rounds come to. A stall of the device meets one round, and raises its figure a hundredfold: the medians of many
    /// rounds leave it out, and what is compared with itself shows whether they do.
    pub(super) fn medians(rounds: &[Compared]) -> Compared {
        let of = |figure: fn(&Compared) -> f64| at_rank(rounds.iter().map(figure), 0.5);
        Compared {
            alone_us: of(|it| it.alone_us),
            beside_us: of(|it| it.beside_us),
            alone_again_us: of(|it| it.alone_again_us),
        }
    }
}

/// The value that this share of the others is below: 0 the lowest, 0.5 the median, of an even count the greater of the two.
pub(crate) fn at_rank(values: impl Iterator<Item = f64>, rank: f64) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    let at = ((all.len() as f64 * rank) as usize).min(all.len().saturating_sub(1));
    all.get(at).copied().unwrap_or(f64::NAN)
}

/// Whether what is compared with itself differs little. A figure that is not a number is noise, too.
fn is_steady(ratio: f64) -> bool {
    ratio <= SELF_RATIO_MAX
}

/// Judges the rounds; `capacities` are what the gateway took in time before and behind them, in requests per second.
pub(super) fn judge(rounds: &[Compared], capacities: [f64; 2]) -> Verdict {
    if rounds.len() < ROUNDS_MIN {
        let count = rounds.len();
        return Verdict::Invalid(format!("{count} rounds; {ROUNDS_MIN} are needed"));
    }
    let [before, behind] = capacities;
    let drift = (before / behind).max(behind / before);
    if !is_steady(drift) {
        return Verdict::Invalid(format!(
            "half load was not half: the gateway took {before:.0} requests/s in time before the rounds and {behind:.0} behind them"
        ));
    }
    let medians = Compared::medians(rounds);
    let self_ratio = medians.self_ratio();
    if !is_steady(self_ratio) {
        return Verdict::Invalid(format!(
            "the machine was too noisy: the p99 of the quiet tenant alone differs {self_ratio:.2} × from itself (at most {SELF_RATIO_MAX} × is needed)"
        ));
    }
    let ratio = medians.ratio();
    match ratio <= RATIO_MAX {
        true => Verdict::Met(ratio),
        false => Verdict::NotMet(ratio),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Met(ratio) => write!(f, "{ratio:.2} × (target: at most {RATIO_MAX} ×: met)"),
            Verdict::NotMet(ratio) => {
                write!(f, "{ratio:.2} × (target: at most {RATIO_MAX} ×: not met)")
            }
            Verdict::Invalid(why) => write!(f, "INVALID: {why}. Measure again on a quiet machine."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(figures: &[[f64; 3]]) -> Vec<Compared> {
        let of = |&[alone_us, beside_us, alone_again_us]: &[f64; 3]| Compared {
            alone_us,
            beside_us,
            alone_again_us,
        };
        figures.iter().map(of).collect()
    }

    const STEADY: [f64; 2] = [100_000.0, 95_000.0];

    #[test]
    fn a_rank_picks_one_of_the_values() {
        let of = |rank| at_rank([3.0, 1.0, 2.0, 4.0].into_iter(), rank);
        assert_eq!(
            [0.0, 0.25, 0.5, 0.75, 1.0].map(of),
            [1.0, 2.0, 3.0, 4.0, 4.0]
        );
        assert!(at_rank([].into_iter(), 0.5).is_nan());
    }

    #[test]
    fn a_steady_machine_tells_whether_the_target_is_met() {
        // Two rounds of nine meet a stall.
        let mut met = [[100.0, 120.0, 100.0]; 9];
        met[2] = [100.0, 9000.0, 110.0];
        met[5] = [20_000.0, 115.0, 90.0];
        assert_eq!(judge(&rounds(&met), STEADY), Verdict::Met(1.2));
        let not_met = rounds(&[[100.0, 300.0, 100.0]; 9]);
        assert_eq!(judge(&not_met, STEADY), Verdict::NotMet(3.0));
    }

    #[test]
    fn a_machine_that_becomes_slower_evenly_does_not_change_the_ratio() {
        let round = |number: i32| [0, 1, 2].map(|step| 100.0 * 1.1_f64.powi(3 * number + step));
        let slower = rounds(&std::array::from_fn::<_, 9, _>(|at| round(at as i32)));
        let Verdict::Met(ratio) = judge(&slower, STEADY) else {
            panic!("it is met");
        };
        assert!((ratio - 1.0).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn where_the_quiet_tenant_alone_differs_from_itself_nothing_is_said() {
        let mut noisy = [[100.0, 120.0, 130.0]; 9];
        noisy[4] = [300.0, 120.0, 100.0];
        let noisy = rounds(&noisy);
        let verdict = judge(&noisy, STEADY).to_string();
        assert!(
            verdict.starts_with("INVALID: the machine was too noisy"),
            "{verdict}"
        );
        let drifted = judge(&rounds(&[[100.0; 3]; 9]), [100_000.0, 60_000.0]).to_string();
        assert!(
            drifted.starts_with("INVALID: half load was not half"),
            "{drifted}"
        );
        let nothing = judge(&rounds(&[[0.0; 3]; 9]), STEADY).to_string();
        assert!(nothing.starts_with("INVALID"), "{nothing}");
        let few = judge(&rounds(&[[100.0; 3]; 8]), STEADY).to_string();
        assert!(few.starts_with("INVALID: 8 rounds"), "{few}");
    }
}
