//! The file of rules, line by line, as far as its form goes: each rule has its members on lines of their own. A test compares
//! this reading with that of a YAML library. It understands no expression.

use serde::Serialize;

/// How urgent an alert is; the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It wakes a person.
    Page,
    /// It is read in working hours.
    Ticket,
    /// It may be read.
    Info,
}

impl Severity {
    /// As the example of Alertmanager routes it.
    fn of_label(label: &str) -> Severity {
        match label {
            "page" | "critical" => Severity::Page,
            "info" => Severity::Info,
            _ => Severity::Ticket,
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    /// Otherwise it gives an expression a name.
    pub(super) is_alert: bool,
    pub(super) condition: String,
    /// How long the condition must hold.
    pub(super) for_ms: u64,
    pub(super) severity: Severity,
    pub(super) summary: String,
    pub(super) description: String,
    /// Name of the page without its ending.
    pub(super) runbook: String,
}

/// All rules of the file.
pub(super) fn read(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.trim_start().split_once(": ") else {
            continue;
        };
        if let "- alert" | "- record" = key {
            rules.push(Rule {
                name: value.to_owned(),
                is_alert: key == "- alert",
                condition: String::new(),
                for_ms: 0,
                severity: Severity::Ticket,
                summary: String::new(),
                description: String::new(),
                runbook: String::new(),
            });
        }
        let Some(rule) = rules.last_mut() else {
            continue;
        };
        match key {
            "expr" => rule.condition = value.to_owned(),
            "for" => rule.for_ms = milliseconds(value).unwrap_or(0),
            "labels" => rule.severity = Severity::of_label(severity(value)),
            "summary" => rule.summary = value.to_owned(),
            "description" => rule.description = unquoted(value),
            "runbook_url" => {
                let page = value.rsplit('/').next().unwrap_or_default();
                rule.runbook = page.trim_end_matches(".md").to_owned();
            }
            _ => {}
        }
    }
    rules
}

/// `{severity: page, component: gateway}`.
fn severity(labels: &str) -> &str {
    let (_, rest) = labels.split_once("severity: ").unwrap_or_default();
    rest.split([',', '}']).next().unwrap_or_default()
}

fn unquoted(text: &str) -> String {
    let inside = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inside.unwrap_or(text).replace("\\\"", "\"")
}

/// `90s`, `10m`, `2h` or `3d`.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * seconds * 1000)
}
