//! Labels of numbers that rules are judged by.

use std::collections::BTreeMap;

/// Labels that Prometheus adds to tell gateways apart. Here is one.
const OF_TARGETS: [&str; 4] = ["job", "namespace", "instance", "pod"];

/// Names and values, in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels(pub(super) BTreeMap<String, String>);

impl Labels {
    /// The value of a label.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those of these names.
    pub(super) fn only(&self, names: &[String]) -> Labels {
        let kept = self.0.iter().filter(|(name, _)| names.contains(name));
        Labels(
            kept.map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    /// All but this one.
    pub(super) fn without(mut self, name: &str) -> Labels {
        self.0.remove(name);
        self
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(labels: T) -> Labels {
        Labels(labels.into_iter().collect())
    }
}

/// What a label must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matcher {
    pub(super) name: String,
    pub(super) is: bool,
    /// With `.` for any character, and `.*` for any characters.
    pub(super) pattern: String,
    pub(super) is_pattern: bool,
}

impl Matcher {
    /// Whether labels have it. A label that tells targets apart is not there, and always fits.
    pub(super) fn fits(&self, labels: &Labels) -> bool {
        if OF_TARGETS.contains(&self.name.as_str()) {
            return true;
        }
        let value = labels.get(&self.name).unwrap_or_default();
        let equals = match self.is_pattern {
            true => fits(self.pattern.as_bytes(), value.as_bytes()),
            false => self.pattern == value,
        };
        equals == self.is
    }
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'.', b'*', rest @ ..], text) => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        ([b'.', rest @ ..], [_, text @ ..]) => fits(rest, text),
        ([one, rest @ ..], [other, text @ ..]) => one == other && fits(rest, text),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_values() {
        for (pattern, text, expected) in [
            ("5..", "503", true),
            ("5..", "5031", false),
            ("5..", "403", false),
            ("data-.*flk.*", "data-my-flk-0", true),
            ("data-.*flk.*", "data-other", false),
            (".*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                fits(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
