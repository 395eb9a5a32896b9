//! What needs attention: the alert rules of `deploy/prometheus/rules.yml`, judged here by what one gateway and its control say. The
//! rules are the file itself, embedded, so thresholds, words and runbooks are those of the alerts. Rules that need more than one
//! gateway, another program or more than a day are left to Prometheus.

mod evaluate;
mod expression;
mod labels;
mod rules;
mod said;
mod watched;

pub use rules::Severity;
pub use watched::DISK;

use super::page::Sample;
use evaluate::Found;
use expression::Expression;
use labels::Labels;
use rules::Rule;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use watched::Watched;

/// The rules.
const RULES: &str = include_str!("../../../deploy/prometheus/rules.yml");
/// Conditions that are shown at a time.
const SHOWN_MAX: usize = 100;

/// A rule that can be judged here.
#[derive(Debug)]
struct Judged {
    rule: Rule,
    condition: Expression,
}

/// A condition that is true.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matter {
    /// The alert.
    pub name: String,
    /// Whether somebody is woken.
    pub severity: Severity,
    /// The alert in short.
    pub summary: String,
    /// The same with numbers.
    pub words: String,
    /// The page of the runbook.
    pub runbook: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// All rules, and what they are judged by.
#[derive(Debug)]
pub struct Attention {
    judged: Vec<Judged>,
    watched: Watched,
    /// Since when conditions are true, by rule and labels.
    since_ms: BTreeMap<(usize, Labels), u64>,
}

impl Default for Attention {
    fn default() -> Attention {
        let judged = judged(&rules::read(RULES));
        let mut windows = BTreeMap::new();
        for it in &judged {
            it.condition.windows(&mut windows);
        }
        Attention {
            judged,
            watched: Watched::of(windows),
            since_ms: BTreeMap::new(),
        }
    }
}

/// The rules that can be judged here.
fn judged(rules: &[Rule]) -> Vec<Judged> {
    let records: BTreeMap<&str, &str> = rules
        .iter()
        .filter(|it| !it.is_alert)
        .map(|it| (it.name.as_str(), it.condition.as_str()))
        .collect();
    let alerts = rules.iter().filter(|it| it.is_alert);
    let judged = alerts.filter_map(|rule| {
        let condition = expression::read(&rule.condition, &records).ok()?;
        Some(Judged {
            rule: rule.clone(),
            condition: condition.of_known(&watched::is_known)?,
        })
    });
    judged.collect()
}

impl Attention {
    /// Takes the numbers of a second.
    pub fn take<'p>(&mut self, now_ms: u64, samples: impl Iterator<Item = Sample<'p>>) {
        self.watched.take(now_ms, samples);
    }

    /// What needs attention now, the most urgent first.
    pub fn judge(&mut self, now_ms: u64) -> Vec<Matter> {
        let mut matters = Vec::new();
        let mut holding = BTreeSet::new();
        for (number, Judged { rule, condition }) in self.judged.iter().enumerate() {
            let Found::Vector(found) = evaluate::evaluate(condition, &self.watched) else {
                continue;
            };
            for (labels, value) in found.into_iter().take(SHOWN_MAX) {
                let key = (number, labels);
                let since_ms = *self.since_ms.entry(key.clone()).or_insert(now_ms);
                if now_ms.saturating_sub(since_ms) >= rule.for_ms {
                    matters.push(Matter {
                        name: rule.name.clone(),
                        severity: rule.severity,
                        summary: rule.summary.clone(),
                        words: said::said(&rule.description, &key.1, value),
                        runbook: rule.runbook.clone(),
                        since_ms,
                    });
                }
                holding.insert(key);
            }
        }
        // One that is not true for a moment begins anew, as an alert does.
        self.since_ms.retain(|key, _| holding.contains(key));
        matters.sort_by_key(|it| (it.severity, it.since_ms));
        matters.truncate(SHOWN_MAX);
        matters
    }
}

#[cfg(test)]
mod tests;
