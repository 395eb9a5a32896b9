//! What a check found, as a line or as JSON. It judges nothing.

use serde_json::{Value, json};
use std::time::Duration;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Failed,
    /// There was nothing to check, or an earlier failure stood in the way.
    Skipped,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        }
    }
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What was checked, in one word.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
    /// What was found; after a failure, what to do.
    pub(super) said: String,
}

/// The result of a check before its time is known.
pub(super) type Found = (Verdict, String);

/// As it should be.
pub(super) fn ok(said: impl Into<String>) -> Found {
    (Verdict::Ok, said.into())
}

/// Not as it should be.
pub(super) fn failed(said: impl Into<String>) -> Found {
    (Verdict::Failed, said.into())
}

/// Nothing to check.
pub(super) fn skipped(said: impl Into<String>) -> Found {
    (Verdict::Skipped, said.into())
}

impl Line {
    pub(super) fn text(&self) -> String {
        let (word, check, said) = (self.verdict.word(), self.check, &self.said);
        let took = match self.verdict {
            Verdict::Skipped => "-".to_owned(),
            _ => millis(self.took),
        };
        format!("{word:<8} {check:<10} {took:>10}  {said}")
    }

    pub(super) fn json(&self) -> Value {
        let took_ms = match self.verdict {
            Verdict::Skipped => None,
            _ => Some(number_of_ms(self.took)),
        };
        let verdict = self.verdict.word().to_ascii_lowercase();
        json!({"check": self.check, "verdict": verdict, "took_ms": took_ms, "said": self.said})
    }
}

/// A time in milliseconds for a program, to the microsecond.
pub(super) fn number_of_ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// A time in milliseconds, with three digits at least.
pub(super) fn millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..100.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_verdict_check_and_time_in_columns() {
        let line = |(verdict, said), ms| Line {
            check: "ready",
            verdict,
            took: Duration::from_micros(ms),
            said,
        };
        let good = line(ok("200 OK"), 1_234);
        assert_eq!(good.text(), "ok       ready         1.23 ms  200 OK");
        let bad = line(failed("503"), 123_456);
        assert_eq!(bad.text(), "FAILED   ready          123 ms  503");
        assert_eq!(bad.json()["verdict"], "failed");
        assert_eq!(bad.json()["took_ms"].to_string(), "123.456");
        let none = line(skipped("no"), 7);
        assert_eq!(none.text(), "skipped  ready               -  no");
        assert_eq!(none.json()["took_ms"], Value::Null);
    }

    #[test]
    fn no_digit_behind_the_microsecond_is_printed() {
        for (nanoseconds, expected) in [(384_123, "0.384"), (8_184_001, "8.184"), (99, "0.0")] {
            let number = number_of_ms(Duration::from_nanos(nanoseconds));
            assert_eq!(json!(number).to_string(), expected);
        }
    }
}
