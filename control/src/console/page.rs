//! A page of metrics in text format 0.0.4, line by line: the name of each sample with its labels, what kind of number it is, and
//! the number. It judges no number, and leaves out lines that are none.

use super::code::MISSING;
use serde::Serialize;

/// What kind of number a series has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Grows from 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A counter of values that are not above the label `le`.
    Bucket,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'p> {
    /// Name and labels as the page has them: no other series has the same.
    pub key: &'p str,
    /// Its kind.
    pub kind: Kind,
    /// The number.
    pub value: f64,
}

impl<'p> Sample<'p> {
    /// The name without the labels.
    pub fn name(&self) -> &'p str {
        self.key.split_once('{').map_or(self.key, |(name, _)| name)
    }

    /// The name, and the labels in their order with escapes taken out.
    pub fn split(&self) -> (&'p str, Vec<(String, String)>) {
        let (name, labels) = self.key.split_once('{').unwrap_or((self.key, ""));
        (name, read_labels(labels))
    }
}

/// All samples of a page.
pub fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    let mut family = ("", "");
    page.lines().filter_map(move |line| {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            family = declared.split_once(' ').unwrap_or_default();
        }
        if line.starts_with('#') {
            return None;
        }
        let (key, value) = line.rsplit_once(' ')?;
        let kind = match family.1 {
            "histogram" if key.split('{').next()?.ends_with("_bucket") => Kind::Bucket,
            "counter" | "histogram" => Kind::Counter,
            _ => Kind::Gauge,
        };
        let value = value.parse().unwrap_or(MISSING);
        Some(Sample { key, kind, value })
    })
}

/// Reads `shard="0",le="+Inf"}`.
fn read_labels(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| match escaped {
                    'n' => '\n',
                    other => other,
                })),
                other => value.push(other),
            }
        }
        labels.push((name.trim_start_matches(',').to_owned(), value));
        text = &rest[end..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a Some words.\n# TYPE a counter\na 7\n\
        # TYPE h histogram\nh_bucket{stage=\"x\",le=\"+Inf\"} 3\nh_sum{stage=\"x\"} 0.5\nh_count{stage=\"x\"} 3\n\
        # TYPE g gauge\ng{tenant=\"a \\\"b\\\\ \\nc\"} -1.5\nno number\n";

    #[test]
    fn each_sample_has_its_name_its_kind_and_its_number() {
        let found: Vec<(&str, Kind, f64)> = samples(PAGE)
            .take(5)
            .map(|it| (it.key, it.kind, it.value))
            .collect();
        let expected = [
            ("a", Kind::Counter, 7.0),
            ("h_bucket{stage=\"x\",le=\"+Inf\"}", Kind::Bucket, 3.0),
            ("h_sum{stage=\"x\"}", Kind::Counter, 0.5),
            ("h_count{stage=\"x\"}", Kind::Counter, 3.0),
            ("g{tenant=\"a \\\"b\\\\ \\nc\"}", Kind::Gauge, -1.5),
        ];
        assert_eq!(found, expected);
        assert!(samples(PAGE).last().unwrap().value.is_nan());
    }

    #[test]
    fn labels_are_read_whatever_their_values_hold() {
        let of = |key| {
            let kind = Kind::Gauge;
            let value = 0.0;
            Sample { key, kind, value }.split()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of("a"), ("a", vec![]));
        assert_eq!(
            of("h_bucket{stage=\"x\",le=\"+Inf\"}"),
            ("h_bucket", vec![pair("stage", "x"), pair("le", "+Inf")])
        );
        let (_, labels) = of("g{tenant=\"a \\\"b\\\\ {},\\nc\",b=\"=\\\"\"}");
        assert_eq!(labels, [pair("tenant", "a \"b\\ {},\nc"), pair("b", "=\"")]);
        // What is torn is read as far as it goes.
        assert_eq!(of("g{a=\"b").1, [pair("a", "b")]);
    }
}
