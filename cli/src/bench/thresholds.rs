//! Conditions on the figures of a run: bounds of its own (`p99<5ms`), and bounds of its ratio to an earlier run (`p99>1.2`). It reads and
//! decides them, and measures nothing.

use super::amounts::{latency_ns, latency_text, plain, rate_text, scaled, share, share_text};
use std::fmt;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Metric {
    /// The latency that this part of the answers did not exceed, from when requests were due.
    Quantile(f64),
    /// The largest latency.
    Max,
    /// The mean of the latencies.
    Mean,
    /// How late requests left although they could, 99 of 100.
    Lag,
    /// Requests that were not judged or got no answer, as a part of those due.
    Errors,
    /// Answers as expected, per second.
    Rate,
}

impl Metric {
    fn parse(text: &str) -> Option<Metric> {
        match text {
            "max" => Some(Metric::Max),
            "mean" => Some(Metric::Mean),
            "lag" => Some(Metric::Lag),
            "errors" => Some(Metric::Errors),
            "rate" => Some(Metric::Rate),
            _ => {
                let percent = text.strip_prefix('p').and_then(plain)?;
                // The nearest double of the part: a hundredth of 99.9 is another one.
                let part = (percent * 1e10).round() / 1e12;
                (0.0 < part && part < 1.0).then_some(Metric::Quantile(part))
            }
        }
    }

    /// A value of it in its unit.
    fn value(self, text: &str) -> Option<f64> {
        match self {
            Metric::Errors => share(text).ok(),
            Metric::Rate => scaled(text),
            _ => latency_ns(text),
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Metric::Errors => share_text(value),
            Metric::Rate => format!("{}/s", rate_text(value)),
            _ => latency_text(value),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
        }
    }
}

/// Name, operator and value of a condition.
fn parts(text: &str) -> Option<(Metric, Operator, &str)> {
    let at = text.find(['<', '>'])?;
    let (name, rest) = text.split_at(at);
    let (operator, value) = match (rest.strip_prefix("<="), rest.strip_prefix(">=")) {
        (Some(value), _) => (Operator::LessOrEqual, value),
        (_, Some(value)) => (Operator::GreaterOrEqual, value),
        _ if rest.starts_with('<') => (Operator::Less, &rest[1..]),
        _ => (Operator::Greater, &rest[1..]),
    };
    Some((Metric::parse(name.trim())?, operator, value.trim()))
}

/// What the figures of a run have to keep to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expectation {
    text: String,
    metric: Metric,
    operator: Operator,
    value: f64,
}

/// Reads `p95<2ms`, `errors<1%` or `rate>=9k`.
pub(super) fn expectation(text: &str) -> Result<Expectation, String> {
    let read = parts(text).and_then(|(metric, operator, value)| {
        Some(Expectation {
            text: text.to_owned(),
            metric,
            operator,
            value: metric.value(value)?,
        })
    });
    read.ok_or_else(|| {
        "a condition is a figure (p50, p95, p99.9 …, max, mean, lag, errors, rate), then < <= > or >=, then a value with its unit: 'p95<2ms', 'errors<1%', 'rate>=9k'".to_owned()
    })
}

/// What a condition did not hold for, to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed(String);

impl fmt::Display for Missed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Expectation {
    /// What is missed, where the figures do not keep to it.
    pub(super) fn missed(&self, figure: impl Fn(Metric) -> f64) -> Option<Missed> {
        let found = figure(self.metric);
        let said = || {
            let found = self.metric.text(found);
            Missed(format!("expected {}, but it is {found}", self.text))
        };
        (!self.operator.holds(found, self.value)).then(said)
    }
}

/// A ratio to an earlier run that is a failure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FailIf {
    text: String,
    metric: Metric,
    operator: Operator,
    ratio: f64,
}

/// Reads `p99>1.2` or `rate<0.9`.
pub(super) fn fail_if(text: &str) -> Result<FailIf, String> {
    let read = parts(text).and_then(|(metric, operator, value)| {
        Some(FailIf {
            text: text.to_owned(),
            metric,
            operator,
            ratio: plain(value)?,
        })
    });
    read.ok_or_else(|| {
        "a condition is a figure (p50, p90, p99, p99.9, p99.99, max, mean, errors, rate), then < <= > or >=, then its ratio to the earlier run: 'p99>1.2', 'rate<0.9'".to_owned()
    })
}

impl FailIf {
    /// What has become worse; an error where the earlier run has no such figure.
    pub(super) fn missed(
        &self,
        now: impl Fn(Metric) -> Option<f64>,
        then: impl Fn(Metric) -> Option<f64>,
    ) -> Result<Option<Missed>, String> {
        let (Some(now), Some(then)) = (now(self.metric), then(self.metric)) else {
            let text = &self.text;
            return Err(format!(
                "--fail-if {text}: saved runs hold p50, p90, p99, p99.9, p99.99, max, mean, lag, errors and rate"
            ));
        };
        let ratio = ratio(now, then);
        let said = || {
            let [now, then] = [now, then].map(|it| self.metric.text(it));
            Missed(format!("{}: {now} against {then} is {ratio:.2}", self.text))
        };
        Ok(self.operator.holds(ratio, self.ratio).then(said))
    }
}

/// How much larger it is now. Nothing against nothing is as large as before.
pub(super) fn ratio(now: f64, then: f64) -> f64 {
    match (now == 0.0, then == 0.0) {
        (true, true) => 1.0,
        (false, true) => f64::INFINITY,
        _ => now / then,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(metric: Metric) -> f64 {
        match metric {
            Metric::Quantile(at) => (at * 1e6).round(),
            Metric::Max => 5e6,
            Metric::Mean => 4e5,
            Metric::Lag => 1e4,
            Metric::Errors => 0.01,
            Metric::Rate => 9_500.0,
        }
    }

    #[test]
    fn conditions_hold_or_say_what_was_found() {
        for (text, said) in [
            ("p50<501us", None),
            (
                "p50 < 500us",
                Some("expected p50 < 500us, but it is 500 µs"),
            ),
            ("p99.9<=999us", None),
            ("max>4ms", None),
            ("mean<1ms", None),
            ("lag<10us", Some("but it is 10.0 µs")),
            ("errors<1%", Some("expected errors<1%, but it is 1.0 %")),
            ("errors<=1%", None),
            ("rate>=9.5k", None),
            ("rate>10k", Some("but it is 9500/s")),
        ] {
            let missed = expectation(text).unwrap().missed(figure);
            let missed = missed.map(|it| it.to_string());
            assert_eq!(missed.is_some(), said.is_some(), "{text}: {missed:?}");
            assert!(
                missed
                    .unwrap_or_default()
                    .contains(said.unwrap_or_default()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_examples() {
        for text in [
            "", "p95", "p95<", "p95<2", "p95=2ms", "p0<1ms", "p100<1ms", "q<1ms", "errors<1",
            "rate<1ms", "p95<<2ms", "p95<-2ms", "pinf<1ms",
        ] {
            let said = expectation(text).unwrap_err();
            assert!(said.contains("'p95<2ms'"), "{text}: {said}");
        }
        for text in ["p99>x", "p99>1.2ms", "p99", ">1"] {
            assert!(fail_if(text).unwrap_err().contains("'p99>1.2'"), "{text}");
        }
    }

    #[test]
    fn a_ratio_fails_where_it_is_too_large_or_too_small() {
        let then = |metric| match metric {
            Metric::Quantile(_) => Some(1e6),
            Metric::Errors => Some(0.0),
            Metric::Rate => Some(19_000.0),
            _ => None,
        };
        let now = |metric| Some(figure(metric));
        for (text, fails) in [
            ("p99>1.2", false),
            ("p99>0.98", true),
            ("rate<0.9", true),
            ("rate<0.5", false),
            ("errors>1000", true),
        ] {
            let missed = fail_if(text).unwrap().missed(now, then).unwrap();
            assert_eq!(missed.is_some(), fails, "{text}: {missed:?}");
        }
        assert!(fail_if("max>1").unwrap().missed(now, then).is_err());
        assert_eq!(ratio(0.0, 0.0), 1.0);
    }
}
