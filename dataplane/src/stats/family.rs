//! How a metric is named and announced in a format of text. It knows no value.

use super::format::Format;
use super::table::{Kind, Unit};
use std::fmt::Write;

/// A metric's family in a format.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What a sample has behind that name.
    pub suffix: &'static str,
    kind: &'static str,
    format: Format,
}

impl Family {
    /// That of a metric with this name in format 0.0.4. In OpenMetrics a counter's sample ends in `_total`, and its family does
    /// not. The names that were promised without it are neither counters there nor renamed: their type is unknown.
    pub fn of(name: &'static str, kind: Kind, format: Format) -> Family {
        let whole = |kind| Family {
            name,
            suffix: "",
            kind,
            format,
        };
        let without = |kind, suffix| {
            let name = name.strip_suffix(suffix)?;
            Some(Family {
                name,
                suffix,
                kind,
                format,
            })
        };
        match (format, kind) {
            (Format::Prometheus, kind) => whole(kind.name()),
            (_, Kind::Counter) => without("counter", "_total").unwrap_or_else(|| whole("unknown")),
            (_, Kind::Info) => without("info", "_info").unwrap_or_else(|| whole("gauge")),
            (_, kind) => whole(kind.name()),
        }
    }

    /// Writes the lines in front of its samples.
    pub fn head(&self, help: &str, unit: Unit, out: &mut String) {
        let Family { name, kind, .. } = self;
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let unit = unit.name();
        let ends_in_unit = !unit.is_empty() && name.ends_with(unit);
        if self.format == Format::OpenMetrics && ends_in_unit {
            let _ = writeln!(out, "# UNIT {name} {unit}");
        }
    }
}
