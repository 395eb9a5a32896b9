//! Compares lines of JSON with the tables of events: each line must be an object of an event that is listed, with its fields, of
//! their types, and no other. For tests, and for checks of the log of a running process.

use super::{FieldType, Kind};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// What every line has.
const OF_ALL: [&str; 5] = ["time", "level", "component", "event", "message"];

/// The event of a line.
///
/// # Errors
/// How the line differs from the tables.
pub fn check_line(line: &str, tables: &[&[&'static Kind]]) -> Result<&'static Kind, String> {
    let object: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("not an object: {error}: {line}"))?;
    let text = |name: &str| {
        let text = object.get(name).and_then(Value::as_str);
        text.ok_or_else(|| format!("no text `{name}`: {line}"))
    };
    let name = text("event")?;
    let kind = tables
        .iter()
        .copied()
        .flatten()
        .find(|kind| kind.name == name);
    let kind = *kind.ok_or_else(|| format!("`{name}` is no event: {line}"))?;
    let time = text("time")?;
    let is_time = time.len() == "2026-11-29T17:28:31.123456Z".len()
        && time.ends_with('Z')
        && time.parse::<Timestamp>().is_ok();
    if !is_time {
        return Err(format!("`{time}` is no time: {line}"));
    }
    text("message")?;
    if [text("level")?, text("component")?] != [kind.level.name(), kind.component.name()] {
        return Err(format!(
            "not the level and the component of `{name}`: {line}"
        ));
    }
    check_fields(&object, kind).map_err(|what| format!("{what}: {line}"))?;
    Ok(kind)
}

/// The objects of a whole log.
///
/// # Errors
/// How the first line that differs from the tables does.
pub fn check_log(log: &str, tables: &[&[&'static Kind]]) -> Result<Vec<Value>, String> {
    let object = |line: &str| {
        check_line(line, tables)?;
        serde_json::from_str(line).map_err(|error| error.to_string())
    };
    log.lines().map(object).collect()
}

fn check_fields(object: &Map<String, Value>, kind: &Kind) -> Result<(), String> {
    for (name, value) in object {
        if OF_ALL.contains(&name.as_str()) {
            continue;
        }
        let field = kind.fields.iter().find(|field| field.name == name);
        let field = field.ok_or_else(|| format!("`{name}` is no field of `{}`", kind.name))?;
        let is_of_type = match field.of {
            FieldType::String => value.is_string(),
            FieldType::Int => value.is_u64(),
            FieldType::Double => value.is_f64(),
            FieldType::Boolean => value.is_boolean(),
        };
        if !is_of_type {
            return Err(format!("`{name}` is no {}", field.of.name()));
        }
    }
    let mut missing = kind.fields.iter();
    match missing.find(|field| !field.is_optional && !object.contains_key(field.name)) {
        Some(field) => Err(format!("`{}` is missing", field.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::{EVENTS, ShardMoves, SignalIgnored};
    use super::super::{Format, Line};
    use super::*;

    #[test]
    fn a_line_is_as_its_table_says_and_every_difference_is_found() {
        let event = ShardMoves {
            shard: 1,
            late_s: 2.0,
        };
        let line = Line::new(event, "it moves").render(Format::Json, 1);
        assert_eq!(check_line(&line, &[EVENTS]), Ok(ShardMoves::KIND));
        let signal = "SIGHUP";
        let other = Line::new(SignalIgnored { signal }, "ignored").render(Format::Json, 1);
        assert_eq!(check_line(&other, &[&[], EVENTS]), Ok(SignalIgnored::KIND));
        for (from, to, what) in [
            ("{", "", "not an object"),
            ("shard.moves", "shard.rests", "is no event"),
            (r#""level":"info""#, r#""level":"warn""#, "not the level"),
            ("dataplane", "control", "not the level and the component"),
            (r#""shard":1"#, r#""shard":-1"#, "`shard` is no int"),
            (r#""shard":1"#, r#""shard":"1""#, "`shard` is no int"),
            (
                r#""late_s":2.0"#,
                r#""late_s":null"#,
                "`late_s` is no double",
            ),
            (r#""shard":1,"#, "", "`shard` is missing"),
            (
                r#""shard":1"#,
                r#""shard":1,"more":1"#,
                "`more` is no field",
            ),
            ("00.000001Z", "00Z", "is no time"),
            ("00.000001Z", "00.0000001", "is no time"),
            (r#""message":"it moves","#, "", "no text `message`"),
        ] {
            let wrong = line.replacen(from, to, 1);
            assert_ne!(wrong, line);
            let error = check_line(&wrong, &[EVENTS]).unwrap_err();
            assert!(error.contains(what), "{wrong}: {error}");
        }
        assert!(check_line(&line, &[]).is_err());
    }
}
