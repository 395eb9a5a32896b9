//! A page of metrics in text format 0.0.4, read into samples. It is strict: a line that is no sample makes the whole page
//! unreadable, because a number that is missing without a word would look like 0.

use std::collections::{BTreeMap, BTreeSet};

/// One sample without its name.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

/// Samples by the name of their metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Samples(BTreeMap<String, Vec<Sample>>);

/// The upper edge of a bucket, and how many values are not above it.
pub(crate) type Bucket = (f64, f64);

impl Samples {
    /// Reads a page; `None` if it is no such page.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut samples = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, sample) = sample(line)?;
            samples.0.entry(name.to_owned()).or_default().push(sample);
        }
        Some(samples)
    }

    /// The name of each sample with the names of its labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
        self.0.iter().flat_map(|(name, samples)| {
            samples.iter().map(|sample| {
                let labels = sample.labels.iter();
                let labels = labels.map(|(label, _)| label.as_str());
                (name.as_str(), labels.collect())
            })
        })
    }

    /// The value of a sample without labels.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        let mut samples = self.0.get(name)?.iter();
        Some(samples.find(|it| it.labels.is_empty())?.value)
    }

    /// The value of the sample with one label of this value.
    pub(crate) fn value_by(&self, name: &str, label: &str, is: &str) -> Option<f64> {
        self.by(name, label)
            .find(|(value, _)| *value == is)
            .map(|(_, number)| number)
    }

    /// Values of a label, and the numbers beside them.
    pub(crate) fn by<'a>(
        &'a self,
        name: &str,
        label: &'a str,
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let samples = self.0.get(name).map_or(&[][..], Vec::as_slice);
        samples
            .iter()
            .filter_map(move |it| Some((it.label(label)?, it.value)))
    }

    /// Buckets of a histogram, ascending; of one with this label where one is named.
    pub(crate) fn buckets(&self, name: &str, with: Option<(&str, &str)>) -> Vec<Bucket> {
        let samples = self.0.get(&format!("{name}_bucket"));
        let samples = samples.map_or(&[][..], Vec::as_slice).iter();
        let is_meant = |it: &&Sample| with.is_none_or(|(label, is)| it.label(label) == Some(is));
        let bucket = |it: &Sample| Some((number(it.label("le")?)?, it.value));
        samples.filter(is_meant).filter_map(bucket).collect()
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        let (_, value) = self.labels.iter().find(|(label, _)| label == name)?;
        Some(value)
    }
}

fn sample(line: &str) -> Option<(&str, Sample)> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time stamp may follow.
    let value = number(rest.split_ascii_whitespace().next()?)?;
    let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_graphic());
    is_name.then_some((name, Sample { labels, value }))
}

/// Names and values of labels, and what stands behind the brace.
type Labelled<'a> = (Vec<(String, String)>, &'a str);

fn labels(mut rest: &str) -> Option<Labelled<'_>> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquoted(quoted)?;
        labels.push((name.to_owned(), value));
        rest = behind;
    }
}

/// A value up to its closing quote, and what stands behind that.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_with_what_is_escaped_in_them() {
        let page = "# HELP a b\n# TYPE a counter\na 5\nb{tenant=\"x\\\"y\\\\z\\n}\",k=\"v\"} 1.5 1700000000\n\n";
        let samples = Samples::read(page).unwrap();
        assert_eq!(samples.value("a"), Some(5.0));
        assert_eq!(samples.value("b"), None);
        let tenants: Vec<_> = samples.by("b", "tenant").collect();
        assert_eq!(tenants, [("x\"y\\z\n}", 1.5)]);
        assert_eq!(samples.value_by("b", "k", "v"), Some(1.5));
        assert_eq!(samples.value_by("b", "k", "w"), None);
    }

    #[test]
    fn buckets_are_those_of_the_histogram_and_label_that_is_meant() {
        let page = "h_bucket{s=\"a\",le=\"0.5\"} 1\nh_bucket{s=\"a\",le=\"+Inf\"} 2\nh_bucket{s=\"b\",le=\"0.5\"} 7\n";
        let samples = Samples::read(page).unwrap();
        let found = samples.buckets("h", Some(("s", "a")));
        assert_eq!(found, [(0.5, 1.0), (f64::INFINITY, 2.0)]);
        assert_eq!(samples.buckets("h", None).len(), 3);
        assert_eq!(samples.buckets("g", None), []);
    }

    #[test]
    fn what_is_no_page_of_metrics_is_refused_whole() {
        for wrong in [
            "a 5\n<html>\n",
            "a\n",
            "a x\n",
            "a{b=\"c} 1\n",
            "a{b} 1\n",
            "a{b=\"c\\",
            "{} 1\n",
            "{\"a\": 1}\n",
        ] {
            assert_eq!(Samples::read(wrong), None, "{wrong}");
        }
    }
}
