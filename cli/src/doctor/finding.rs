//! One finding: what was looked at, how it stands, what was found and what is needed, and where to change it. It judges
//! nothing itself.

use serde_json::{Map, Value, json};

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// A gateway runs, but slower or with less room than it could.
    Warn,
    /// A gateway does not start, or cannot keep what it promises.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        }
    }
}

/// Where something is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A setting of the gateway.
    Setting,
    /// The host itself.
    Host,
    /// The unit.
    Systemd,
    /// The service in a Compose file.
    Compose,
    /// The pod, or the node that it runs on.
    Kubernetes,
}

impl Place {
    fn word(self) -> &'static str {
        match self {
            Place::Setting => "setting",
            Place::Host => "host",
            Place::Systemd => "systemd",
            Place::Compose => "compose",
            Place::Kubernetes => "kubernetes",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was looked at, in one or two words.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// False: nothing speaks against it, and the host does not say how it is.
    pub(super) is_known: bool,
    pub(super) found: String,
    /// What it should be; nothing where it is that.
    pub(super) needed: Option<String>,
    pub(super) fixes: Vec<(Place, String)>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            check,
            level: Level::Ok,
            is_known: true,
            found: found.into(),
            needed: None,
            fixes: Vec::new(),
        }
    }

    /// Nothing speaks against it, and the host does not say how it is.
    pub(super) fn unknown(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            is_known: false,
            ..Finding::ok(check, found)
        }
    }

    /// A gateway runs all the same.
    pub(super) fn warn(
        check: &'static str,
        found: impl Into<String>,
        needed: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Warn,
            needed: Some(needed.into()),
            ..Finding::ok(check, found)
        }
    }

    /// A gateway does not run, or not safely.
    pub(super) fn fail(
        check: &'static str,
        found: impl Into<String>,
        needed: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Fail,
            ..Finding::warn(check, found, needed)
        }
    }

    /// One way to change it.
    pub(super) fn fix(mut self, place: Place, text: impl Into<String>) -> Finding {
        self.fixes.push((place, text.into()));
        self
    }

    /// As text: one line, and more below it where something is to be done.
    pub(super) fn lines(&self) -> Vec<String> {
        let row = |level: &str, word: &str, text: &str| format!("{level:<5} {word:<14} {text}");
        let mut lines = vec![row(self.level.word(), self.check, &self.found)];
        let needed = self.needed.iter().map(|needed| row("", "  needed", needed));
        lines.extend(needed);
        let fix = |(place, text): &(Place, String)| row("", &format!("  {}", place.word()), text);
        lines.extend(self.fixes.iter().map(fix));
        lines
    }

    /// As one JSON object.
    pub(super) fn json(&self) -> String {
        let fixes = self.fixes.iter();
        let fixes: Map<String, Value> = fixes
            .map(|(place, text)| (place.word().to_owned(), Value::from(text.as_str())))
            .collect();
        let level = self.level.word();
        json!({
            "check": self.check, "level": level, "known": self.is_known, "found": self.found, "needed": self.needed, "fix": fixes,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_a_row_with_what_to_do_below_it() {
        assert_eq!(
            Finding::ok("kernel", "6.18").lines(),
            ["OK    kernel         6.18"]
        );
        let warning = Finding::warn("memlock", "64 KiB", "2 MiB")
            .fix(Place::Systemd, "LimitMEMLOCK=8M")
            .fix(Place::Compose, "ulimits: {memlock: 8388608}");
        assert_eq!(
            warning.lines(),
            [
                "WARN  memlock        64 KiB",
                "        needed       2 MiB",
                "        systemd      LimitMEMLOCK=8M",
                "        compose      ulimits: {memlock: 8388608}",
            ]
        );
        let json: Value = serde_json::from_str(&warning.json()).unwrap();
        assert_eq!(json["level"], "WARN");
        assert_eq!(json["fix"]["systemd"], "LimitMEMLOCK=8M");
        let json: Value = serde_json::from_str(&Finding::ok("kernel", "6.18").json()).unwrap();
        assert_eq!(
            (&json["needed"], &json["known"]),
            (&Value::Null, &Value::Bool(true))
        );
        let guess = Finding::unknown("clock", "who knows");
        assert_eq!(guess.lines(), ["OK    clock          who knows"]);
        let json: Value = serde_json::from_str(&guess.json()).unwrap();
        assert_eq!(json["known"], false);
    }
}
