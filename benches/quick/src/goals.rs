//! `make goals`: what the gateway is to reach, each beside what it is measured against in the same run: the floor, the device's flush
//! time, another driver, other kinds of requests. Figures are medians of rounds in turn. A goal that is missed fails nothing.

mod batch;
mod connections;
mod kinds;
mod latency;
mod servers;
mod shards;

use std::fmt;
use std::io;
use std::path::PathBuf;

use flk_bench_load::cpu::Affinity;

use crate::level::Level;
use crate::machine::Machine;
use crate::options::Options;

/// A goal, and what came out.
struct Figure {
    /// Its number in the list of goals of docs/performance.md.
    goal: &'static str,
    what: String,
    value: String,
    bound: String,
    met: bool,
}

/// A table of what was measured, in Markdown.
struct Table {
    title: String,
    text: String,
}

pub(crate) struct Goals {
    pub(crate) machine: Machine,
    figures: Vec<Figure>,
    tables: Vec<Table>,
    /// Why figures do not count.
    pub(crate) wrong: Vec<String>,
}

/// What each part needs.
struct Bench<'a> {
    options: &'a Options,
    allowed: &'a Affinity,
    gateway: PathBuf,
    /// Of one measured run.
    seconds: u64,
    rounds: usize,
}

/// Measures all of them, one part after the other.
pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Goals> {
    let has_sha = machine.has_sha();
    let bench = Bench {
        options,
        allowed,
        gateway: options.binary("flk-dataplane")?,
        seconds: options.third_s,
        rounds: options.sealing_rounds,
    };
    let mut goals = Goals {
        machine,
        figures: Vec::new(),
        tables: Vec::new(),
        wrong: Vec::new(),
    };
    servers::measure(&bench, &mut goals)?;
    latency::measure(&bench, &mut goals)?;
    batch::measure(&bench, &mut goals, has_sha)?;
    shards::measure(&bench, &mut goals)?;
    kinds::measure(&bench, &mut goals)?;
    connections::measure(&bench, &mut goals)?;
    allowed.apply()?;
    goals.figures.sort_by_key(|figure| figure.goal);
    Ok(goals)
}

impl Goals {
    /// A ratio that is to be at least that.
    fn at_least(&mut self, goal: &'static str, what: impl Into<String>, value: f64, bound: f64) {
        self.ratio(goal, what, value, "≥", bound, value >= bound);
    }

    /// A ratio that is to be at most that.
    fn at_most(&mut self, goal: &'static str, what: impl Into<String>, value: f64, bound: f64) {
        self.ratio(goal, what, value, "≤", bound, value <= bound);
    }

    fn ratio(
        &mut self,
        goal: &'static str,
        what: impl Into<String>,
        value: f64,
        sign: &str,
        bound: f64,
        met: bool,
    ) {
        self.figures.push(Figure {
            goal,
            what: what.into(),
            value: format!("{value:.2}"),
            bound: format!("{sign} {bound}"),
            met,
        });
    }

    /// Answers of this status are right; any other, or a lost connection, makes the figures count for nothing.
    fn check(&mut self, what: &str, level: &Level, status: u16) {
        self.wrong.extend(level.wrong(what, status));
    }
}

/// The middle one of these figures.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Rows of levels: medians over their rounds.
fn level_rows<'a>(rows: impl Iterator<Item = (String, &'a [Level])>) -> String {
    let mut text = concat!(
        "| | requests/s | p50 µs | p99 µs | user µs/req | system µs/req | CPU µs/req | most CPU to others |\n",
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    .to_owned();
    for (name, levels) in rows {
        let of = |figure: &dyn Fn(&Level) -> f64| median(levels.iter().map(figure));
        let others = levels.iter().map(|it| it.others_share).fold(0.0, f64::max);
        text += &format!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} % |\n",
            of(&|it| it.measured.per_second()),
            of(&|it| it.measured.latency_us(0.5)),
            of(&|it| it.measured.latency_us(0.99)),
            of(&Level::user_us),
            of(&Level::system_us),
            of(&Level::cpu_us),
            100.0 * others,
        );
    }
    text
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0, load on CPU 1, HMAC, every answer after its sync; medians of rounds in turn\n"
        )?;
        writeln!(
            f,
            "| goal | what | figure | bound | |\n|---|---|---:|---:|---|"
        )?;
        for it in &self.figures {
            let met = if it.met { "met" } else { "not met" };
            writeln!(
                f,
                "| {} | {} | {} | {} | {met} |",
                it.goal, it.what, it.value, it.bound
            )?;
        }
        for table in &self.tables {
            write!(f, "\n## {}\n\n{}", table.title, table.text)?;
        }
        for wrong in &self.wrong {
            writeln!(f, "\nWRONG: {wrong}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert!(median(std::iter::empty()).is_nan());
    }
}
