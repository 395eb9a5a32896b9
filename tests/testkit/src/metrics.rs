//! The metrics page, read strictly: one line, one sample, no sample twice.

use std::collections::BTreeMap;

/// Samples by name with labels, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics(BTreeMap<String, String>);

impl Metrics {
    /// Reads a page of text format 0.0.4.
    pub fn read(text: &str) -> Metrics {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let earlier = samples.insert(name.to_owned(), value.to_owned());
            assert!(earlier.is_none(), "{name} is there twice");
        }
        Metrics(samples)
    }

    /// The text of an unlabelled sample.
    pub fn text(&self, name: &str) -> &str {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("no sample {name} in {:?}", self.0.keys()))
    }

    /// An unlabelled integer.
    pub fn count(&self, name: &str) -> u64 {
        let text = self.text(name);
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}"))
    }

    /// Names with labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Samples that differ from an earlier page, by name; `except` by the beginning of their names.
    pub fn changed_since<'a>(&'a self, earlier: &Metrics, except: &[&str]) -> Vec<&'a str> {
        self.0
            .iter()
            .filter(|(name, value)| earlier.0.get(*name) != Some(value))
            .map(|(name, _)| name.as_str())
            .filter(|name| !except.iter().any(|start| name.starts_with(start)))
            .collect()
    }
}
