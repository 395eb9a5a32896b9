//! The files of `docs/telemetry/registry/`: what flk emits in the schema of OpenTelemetry registries (groups of metrics, spans,
//! events and attributes, <https://opentelemetry.io/docs/specs/semconv/>). They are made; a test fails when they are other ones.

use super::labels::{LABELS, Label};
use super::{Metric, events, metrics};
use flk_control::otlp::RESOURCE;
use flk_dataplane::stats::spans::{AttributeType, SPANS, Span, SpanKind};
use flk_dataplane::stats::table::{Kind, Unit};
use serde_json::json;
use std::fmt::Write as _;

/// Names of files and what is in them.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    vec![
        ("registry_manifest.yaml", manifest()),
        ("attributes.yaml", attributes()),
        ("metrics.yaml", page_of_metrics()),
        ("spans.yaml", page_of_spans()),
        ("events.yaml", page_of_events()),
    ]
}

const MADE: &str =
    "# Made by `flk commands --telemetry-registry docs/telemetry/registry`; a test compares.\n";

fn manifest() -> String {
    format!(
        "{MADE}name: flk\ndescription: What the processes of flk emit.\nsemconv_version: {version}\nschema_base_url: https://flk.invalid/schemas/\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// Text in quotes. YAML reads any string of JSON.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn attributes() -> String {
    let mut text = format!(
        "{MADE}groups:\n  - id: registry.flk\n    type: attribute_group\n    display_name: \"flk\"\n    brief: \"Labels of metrics.\"\n    attributes:\n"
    );
    for Label {
        name,
        brief,
        example,
    } in LABELS
    {
        let (brief, example) = (quoted(brief), quoted(example));
        let _ = writeln!(
            text,
            "      - id: {name}\n        type: string\n        stability: stable\n        brief: {brief}\n        examples: [{example}]"
        );
    }
    text
}

fn page_of_metrics() -> String {
    let mut text = format!("{MADE}groups:\n");
    for metric in metrics() {
        let Metric { name, help, .. } = metric;
        let instrument = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Info => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = match metric.unit {
            Unit::One => "1",
            Unit::Bytes => "By",
            Unit::Seconds => "s",
        };
        let (brief, program) = (quoted(help), metric.process.program());
        let _ = writeln!(
            text,
            "  - id: metric.{name}\n    type: metric\n    metric_name: {name}\n    instrument: {instrument}\n    unit: \"{unit}\"\n    stability: stable\n    brief: {brief}\n    note: \"Emitted by {program}.\""
        );
        if !metric.labels.is_empty() {
            text.push_str("    attributes:\n");
        }
        for label in metric.labels {
            let _ = writeln!(
                text,
                "      - ref: {label}\n        requirement_level: required"
            );
        }
    }
    text
}

/// Spans of a traced record. The attributes of a span are declared where they are used: no two spans have the same.
fn page_of_spans() -> String {
    let mut text = format!(
        "{MADE}groups:\n  - id: entity.flk\n    type: entity\n    stability: stable\n    name: flk\n    brief: \"The gateway that spans are of.\"\n    attributes:\n"
    );
    for (name, of, brief) in RESOURCE {
        attribute(&mut text, name, of, brief);
    }
    for (at, span) in SPANS.iter().enumerate() {
        let kind = match at {
            0 => "server",
            _ => "internal",
        };
        let (id, brief) = (id_of_span(span), quoted(span.about));
        let _ = writeln!(
            text,
            "  - id: span.{id}\n    type: span\n    span_kind: {kind}\n    stability: stable\n    name:\n      note: {name}\n    brief: {brief}",
            name = quoted(span.name),
        );
        if !span.attributes.is_empty() {
            text.push_str("    attributes:\n");
        }
        for it in span.attributes {
            let of = match it.of {
                AttributeType::Text => "string",
                AttributeType::Integer => "int",
            };
            attribute(&mut text, it.name, of, it.about);
        }
    }
    text
}

/// The root has the name that tools show; its id is one.
fn id_of_span(span: &Span) -> &'static str {
    match span.kind {
        SpanKind::Root => "flk.submit",
        _ => span.name,
    }
}

fn attribute(text: &mut String, id: &str, of: &str, brief: &str) {
    let brief = quoted(brief);
    let _ = writeln!(
        text,
        "      - id: {id}\n        type: {of}\n        stability: stable\n        requirement_level: recommended\n        brief: {brief}"
    );
}

/// Lines of the log. Fields are the body of an event: a line of JSON has them beside `time`, `level`, `component`, `event` and
/// `message`.
fn page_of_events() -> String {
    let mut text = format!("{MADE}groups:\n");
    for event in events() {
        let (name, brief) = (event.name, quoted(event.brief));
        let (level, component) = (event.level.name(), event.component.name());
        let _ = writeln!(
            text,
            "  - id: event.{name}\n    type: event\n    name: {name}\n    stability: stable\n    brief: {brief}\n    note: \"Level {level}; said by {component}.\""
        );
        if event.fields.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "    body:\n      id: {name}.fields\n      type: map\n      stability: stable\n      requirement_level: required\n      fields:"
        );
        for field in event.fields {
            let needed = match field.is_optional {
                true => "recommended",
                false => "required",
            };
            let (id, of, brief) = (field.name, field.of.name(), quoted(field.brief));
            let _ = writeln!(
                text,
                "        - id: {id}\n          type: {of}\n          stability: stable\n          requirement_level: {needed}\n          brief: {brief}"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Process;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_label_is_described_once_and_no_other() {
        let used: BTreeSet<&str> = metrics().flat_map(|it| it.labels).copied().collect();
        let known: Vec<&str> = LABELS.iter().map(|it| it.name).collect();
        assert_eq!(
            known,
            used.into_iter().collect::<Vec<_>>(),
            "in their order"
        );
    }

    #[test]
    fn no_name_is_declared_twice() {
        let mut names = BTreeSet::new();
        assert!(metrics().all(|it| names.insert(it.name)));
        assert!(metrics().any(|it| it.process == Process::Control));
    }
}
