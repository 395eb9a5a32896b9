//! What an expression comes to, by the numbers of one gateway: a number, or numbers by their labels. Comparisons leave those for
//! which they are true, as in Prometheus. A function of what is known; it reads no clock.

use super::expression::{Expression, Growth, Operator, Selector};
use super::labels::Labels;
use std::collections::BTreeMap;

/// What is known of a gateway.
pub(super) trait Known {
    /// Seconds since 1970.
    fn now_s(&self) -> f64;
    /// Numbers as they are now.
    fn numbers(&self, selector: &Selector) -> Vec<(Labels, f64)>;
    /// What was made of them over a time, in milliseconds.
    fn growth(&self, growth: Growth, selector: &Selector, window_ms: u64) -> Vec<(Labels, f64)>;
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Number(f64),
    Vector(Vec<(Labels, f64)>),
}

pub(super) fn evaluate(expression: &Expression, known: &impl Known) -> Found {
    match expression {
        Expression::Number(number) => Found::Number(*number),
        Expression::Time => Found::Number(known.now_s()),
        Expression::Select(selector) => Found::Vector(known.numbers(selector)),
        Expression::Growth(growth, selector, window_ms) => {
            Found::Vector(known.growth(*growth, selector, *window_ms))
        }
        Expression::Absolute(of) => match evaluate(of, known) {
            Found::Number(number) => Found::Number(number.abs()),
            Found::Vector(all) => Found::Vector(map(all, f64::abs)),
        },
        Expression::Sum(by, of) => Found::Vector(sum(by, vector(evaluate(of, known)))),
        Expression::Quantile(part, of) => {
            Found::Vector(quantiles(*part, vector(evaluate(of, known))))
        }
        Expression::Join(operator, left, right) => {
            join(*operator, evaluate(left, known), evaluate(right, known))
        }
    }
}

fn vector(found: Found) -> Vec<(Labels, f64)> {
    match found {
        Found::Vector(all) => all,
        Found::Number(number) => vec![(Labels::default(), number)],
    }
}

fn map(all: Vec<(Labels, f64)>, of: impl Fn(f64) -> f64) -> Vec<(Labels, f64)> {
    let all = all.into_iter();
    all.map(|(labels, number)| (labels, of(number))).collect()
}

fn sum(by: &[String], all: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let mut sums: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, number) in all {
        *sums.entry(labels.only(by)).or_insert(0.0) += number;
    }
    sums.into_iter().collect()
}

fn join(operator: Operator, left: Found, right: Found) -> Found {
    match (left, right) {
        (Found::Number(left), Found::Number(right)) => {
            Found::Number(of_two(operator, left, right).unwrap_or(f64::NAN))
        }
        (Found::Vector(left), Found::Number(right)) => {
            let of = |(labels, left)| Some((labels, of_two(operator, left, right)?));
            Found::Vector(left.into_iter().filter_map(of).collect())
        }
        (Found::Number(left), Found::Vector(right)) => {
            let of = |(labels, right)| {
                let found = of_two(operator, left, right)?;
                // A comparison leaves the number of the series.
                Some((
                    labels,
                    if is_comparison(operator) {
                        right
                    } else {
                        found
                    },
                ))
            };
            Found::Vector(right.into_iter().filter_map(of).collect())
        }
        (Found::Vector(left), Found::Vector(right)) => {
            Found::Vector(join_vectors(operator, left, right))
        }
    }
}

fn join_vectors(
    operator: Operator,
    mut left: Vec<(Labels, f64)>,
    right: Vec<(Labels, f64)>,
) -> Vec<(Labels, f64)> {
    let of = |all: &[(Labels, f64)], labels: &Labels| {
        let found = all.iter().find(|(it, _)| it == labels);
        found.map(|(_, number)| *number)
    };
    match operator {
        Operator::And => {
            left.retain(|(labels, _)| of(&right, labels).is_some());
            left
        }
        Operator::Or => {
            let more: Vec<_> = right
                .into_iter()
                .filter(|(labels, _)| of(&left, labels).is_none())
                .collect();
            left.extend(more);
            left
        }
        _ => {
            let both = left.into_iter().filter_map(|(labels, number)| {
                let found = of_two(operator, number, of(&right, &labels)?)?;
                Some((labels, found))
            });
            both.collect()
        }
    }
}

fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Above | Operator::Below | Operator::Equals
    )
}

/// What two numbers come to; a comparison that is true leaves the left one, and one that is not leaves nothing.
fn of_two(operator: Operator, left: f64, right: f64) -> Option<f64> {
    match operator {
        Operator::Add => Some(left + right),
        Operator::Subtract => Some(left - right),
        Operator::Multiply => Some(left * right),
        Operator::Divide => Some(left / right),
        Operator::Above => (left > right).then_some(left),
        Operator::Below => (left < right).then_some(left),
        Operator::Equals => (left == right).then_some(left),
        Operator::And | Operator::Or => None,
    }
}

/// The quantile of each histogram, straight between the edges of the bucket that it is in.
fn quantiles(part: f64, buckets: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (labels, below) in buckets {
        let edge = match labels.get("le") {
            Some("+Inf") => f64::INFINITY,
            edge => match edge.and_then(|it| it.parse().ok()) {
                Some(edge) => edge,
                None => continue,
            },
        };
        let histogram = histograms.entry(labels.without("le")).or_default();
        histogram.push((edge, below));
    }
    let all = histograms.into_iter();
    all.map(|(labels, buckets)| (labels, quantile(part, buckets)))
        .collect()
}

fn quantile(part: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all = buckets.last().map_or(0.0, |it| it.1);
    if all <= 0.0 {
        return f64::NAN;
    }
    let wanted = part * all;
    let (mut edge_before, mut below_before) = (0.0, 0.0);
    for (edge, below) in buckets {
        if below >= wanted {
            return match edge.is_infinite() || below <= below_before {
                true => edge_before,
                false => {
                    let share = (wanted - below_before) / (below - below_before);
                    edge_before + (edge - edge_before) * share
                }
            };
        }
        (edge_before, below_before) = (edge, below);
    }
    edge_before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_its_bucket_and_above_all_edges_the_highest_of_them() {
        let buckets = vec![(f64::INFINITY, 10.0), (0.5, 4.0), (1.0, 8.0)];
        for (part, expected) in [
            (0.2, 0.25),
            (0.4, 0.5),
            (0.6, 0.75),
            (0.8, 1.0),
            (0.95, 1.0),
        ] {
            assert_eq!(quantile(part, buckets.clone()), expected, "{part}");
        }
        assert!(quantile(0.95, vec![(1.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
    }
}
