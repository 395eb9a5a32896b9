//! Log lines: what can be said (the tables, [`events::EVENTS`] and those of other programs), and how a line looks as text and
//! as JSON. A line is made from an event of a table, so what is in no table cannot be said. It writes nothing and reads no clock.

#[macro_use]
mod table;
pub mod check;
pub mod events;
pub mod limit;
pub mod redact;

use jiff::Timestamp;
use redact::redact;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
pub use table::{
    Component, Event, FieldKind, FieldType, FieldValue, Kind, Lead, Level, Rate, Value,
};

/// A longer line is cut: a path or a value in it may have any length.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Sentences for people.
    #[default]
    Text,
    /// One object a line, for programs.
    Json,
}

impl Format {
    /// As in `LOG_FORMAT`.
    pub fn named(name: &str) -> Option<Format> {
        match name {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// The format belongs to standard error, of which a process has one. Lines of a start that is refused need it before there is
/// anything else.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the format of all further lines of this process.
pub fn set_format(format: Format) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// The format of the lines of this process.
pub fn format() -> Format {
    match IS_JSON.load(Ordering::Relaxed) {
        true => Format::Json,
        false => Format::Text,
    }
}

/// One line for the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    kind: &'static Kind,
    fields: Vec<(&'static str, Value)>,
    message: String,
}

impl Line {
    /// The line of an event; the message is a sentence for people, which also says what the fields say.
    pub fn new(event: impl Event, message: impl Into<String>) -> Line {
        let kind = event.kind();
        let fields = event.fields();
        let message = message.into();
        Line {
            kind,
            fields,
            message,
        }
    }

    /// Its row of the table.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The shard that it is about, if it is about one.
    fn shard(&self) -> Option<u64> {
        let shard = self.fields.iter().find(|(name, _)| *name == "shard");
        shard.and_then(|(_, value)| match value {
            Value::Int(shard) => Some(*shard),
            _ => None,
        })
    }

    /// The line as it is written, without its end. The only place where lines become bytes: e-mail addresses and phone numbers
    /// are taken out here, for every process and format.
    pub fn render(&self, format: Format, wall_us: u64) -> String {
        match format {
            Format::Text => self.text(),
            Format::Json => self.json(wall_us),
        }
    }

    fn text(&self) -> String {
        let text = match self.kind.lead {
            Lead::Words(words) => format!("{words}{}", self.message),
            Lead::Row(name) => format!("  {name:<10} {}", self.message),
        };
        escaped(safe(&text))
    }

    fn json(&self, wall_us: u64) -> String {
        let Kind {
            name,
            level,
            component,
            lead,
            ..
        } = *self.kind;
        let time = i64::try_from(wall_us).unwrap_or(i64::MAX);
        let time = Timestamp::from_microsecond(time).unwrap_or(Timestamp::MAX);
        let (level, component) = (level.name(), component.name());
        let message = match lead {
            // The level says it already.
            Lead::Row(row) if row.is_empty() || row.eq_ignore_ascii_case("warning") => {
                safe(&self.message)
            }
            Lead::Row(row) => safe(&format!("{row}: {}", self.message)),
            Lead::Words(_) => safe(&self.message),
        };
        let mut text = format!(
            r#"{{"time":"{time:.6}","level":"{level}","component":"{component}","event":"{name}","message":{}"#,
            quoted(&message)
        );
        for (name, value) in &self.fields {
            // Writing to a text does not fail.
            let _ = match value {
                Value::String(value) => write!(text, r#","{name}":{}"#, quoted(&safe(value))),
                Value::Int(value) => write!(text, r#","{name}":{value}"#),
                Value::Boolean(value) => write!(text, r#","{name}":{value}"#),
                Value::Double(value) => {
                    write!(text, r#","{name}":{}"#, serde_json::Value::from(*value))
                }
            };
        }
        text.push('}');
        text
    }
}

/// Bytes behind the end of a line that are searched too: an address that the end cuts is still one.
const SEARCHED_BEYOND: usize = 1024;

/// A text without e-mail addresses and phone numbers, and not longer than a line may be. Little more than that is searched.
fn safe(text: &str) -> String {
    let searched = text.floor_char_boundary(LINE_BYTES_MAX + SEARCHED_BEYOND);
    let mut safe = redact(&text[..searched]).into_owned();
    if safe.len() > LINE_BYTES_MAX || searched < text.len() {
        safe.truncate(safe.floor_char_boundary(LINE_BYTES_MAX));
        safe.push('…');
    }
    safe
}

/// What a further line of one message begins with, as no other line does.
const GOES_ON: &str = "\n  | ";

/// Control characters as they are written in programs: names that others chose do nothing to a terminal. Lines of a message that
/// has several stay lines, and show that they are none of their own, wherever the line end came from.
fn escaped(text: String) -> String {
    match text.contains(char::is_control) {
        true => text.chars().fold(String::new(), |mut out, it| {
            match it {
                '\n' => out.push_str(GOES_ON),
                it if it.is_control() => out.extend(it.escape_default()),
                it => out.push(it),
            }
            out
        }),
        false => text,
    }
}

fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

#[cfg(test)]
mod tests;
