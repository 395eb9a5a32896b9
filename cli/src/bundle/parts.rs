//! What was collected so far, clean of secrets, and what could not be. Each part passes the scrubber before it is kept.

use super::scrub::Scrubber;
use serde_json::{Value, json};

/// A longer part loses its beginning.
const PART_BYTES_MAX: usize = 8 << 20;

/// One file of the bundle.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) text: String,
    /// What it is, and where it came from.
    what: String,
    redactions: usize,
    is_cut: bool,
}

/// What could not be collected.
pub(super) struct Missing {
    pub(super) name: String,
    pub(super) why: String,
}

/// See the module.
pub(super) struct Parts {
    scrubber: Scrubber,
    pub(super) collected: Vec<Part>,
    pub(super) missing: Vec<Missing>,
}

impl Parts {
    pub(super) fn new(scrubber: Scrubber) -> Self {
        Self {
            scrubber,
            collected: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Keeps a part, or says why it is not there.
    pub(super) fn add(&mut self, name: &str, what: &str, text: Result<String, String>) {
        match text {
            Ok(text) => self.keep(name, what, &text),
            Err(why) => self.missing.push(Missing {
                name: name.to_owned(),
                why: self.scrubber.scrub(&why).text,
            }),
        }
    }

    fn keep(&mut self, name: &str, what: &str, text: &str) {
        let mut clean = self.scrubber.scrub(text);
        let over = clean.text.len().saturating_sub(PART_BYTES_MAX);
        if over > 0 {
            // Whole lines: a piece of one could hide what it is.
            let from = clean.text.ceil_char_boundary(over);
            let line = clean.text[from..].find('\n').map_or(0, |at| at + 1);
            clean.text.drain(..from + line);
        }
        self.collected.push(Part {
            name: name.to_owned(),
            what: self.scrubber.scrub(what).text,
            text: clean.text,
            redactions: clean.redactions,
            is_cut: over > 0,
        });
    }

    /// What is in the bundle, for a person and for a program.
    pub(super) fn manifest(&self, made: &str) -> String {
        let collected = self.collected.iter().map(|it| {
            json!({
                "name": it.name, "what": it.what, "bytes": it.text.len(), "redactions": it.redactions,
                "only_its_end": it.is_cut,
            })
        });
        let missing = self.missing.iter();
        let missing = missing.map(|it| json!({"name": it.name, "why": it.why}));
        let manifest = json!({
            "made": made,
            "made_by": concat!("flk ", env!("CARGO_PKG_VERSION")),
            "collected": collected.collect::<Vec<Value>>(),
            "missing": missing.collect::<Vec<Value>>(),
            "secrets_looked_for": self.scrubber.secrets_count,
            "note": "No record and no key was collected. Secrets of the settings, the environment and the files that they name were \
                looked for in each part, as they are and in hex and base64. A secret that this machine does not know can only be told \
                by its surroundings: look through the logs before you pass this on.",
        });
        format!("{manifest:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    #[test]
    fn a_part_is_clean_and_of_one_that_is_too_long_the_end_is_kept() {
        let secret = Zeroizing::new(b"s3cret-text".to_vec());
        let mut parts = Parts::new(Scrubber::new(&[secret]).unwrap());
        let long = format!(
            "first\n{}\nthe s3cret-text\n",
            "x\n".repeat(PART_BYTES_MAX / 2)
        );
        parts.add("a", "of s3cret-text", Ok(long));
        parts.add("b", "", Err("no s3cret-text".to_owned()));
        let part = &parts.collected[0];
        assert!(part.text.len() <= PART_BYTES_MAX && part.is_cut);
        assert!(part.text.starts_with("x\n") && part.text.ends_with("the [redacted]\n"));
        assert_eq!((part.redactions, part.what.as_str()), (1, "of [redacted]"));
        assert_eq!(parts.missing[0].why, "no [redacted]");
        let manifest: Value = serde_json::from_str(&parts.manifest("now")).unwrap();
        assert_eq!(manifest["collected"][0]["only_its_end"], true);
        assert_eq!(manifest["missing"][0]["name"], "b");
        assert_eq!(manifest["secrets_looked_for"], 1);
    }
}
