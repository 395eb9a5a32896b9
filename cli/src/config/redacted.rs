//! A configuration file as it may leave the machine: every key that settings know, with its value unless that may be a secret. Comments and
//! values of other keys are not shown, for a secret may stand there by mistake.

use super::schema::schema;
use flk_dataplane::config::{VARIABLES, shown_path};
use serde_json::Value as Schema;
use std::path::Path;
use toml_edit::{Document, Item, TableLike, Value};

const NOT_SHOWN: &str = "(not shown)";

/// The file as lines `section.key = value`; an error where it is no TOML.
pub(crate) fn redacted(text: &str) -> Result<String, String> {
    let (mut lines, known) = (String::new(), schema());
    each(text, &mut |path, value| {
        let shown = shown(path, value, &known);
        lines.push_str(&format!("{} = {shown}\n", path.join(".")));
    })?;
    Ok(lines)
}

/// Names and texts of all values; none of what is no TOML.
pub(crate) fn string_values(text: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let read = each(text, &mut |path, value| {
        let name = path.last().cloned().unwrap_or_default();
        let text = match value {
            Value::String(text) => text.value().clone(),
            other => other.to_string().trim().to_owned(),
        };
        values.push((name, text));
    });
    match read {
        Ok(()) => values,
        Err(_) => Vec::new(),
    }
}

/// Calls for each value with its path; elements of arrays have their number in it.
fn each(text: &str, visit: &mut dyn FnMut(&[String], &Value)) -> Result<(), String> {
    // The error of the parser quotes the line, which may hold a secret.
    let document = Document::parse(text.to_owned()).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        format!("line {line} is not TOML")
    })?;
    of_table(document.as_table(), &mut Vec::new(), visit);
    Ok(())
}

fn of_table(
    table: &dyn TableLike,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&[String], &Value),
) {
    for (key, item) in table.iter() {
        path.push(key.to_owned());
        match item {
            Item::ArrayOfTables(tables) => {
                for (at, table) in tables.iter().enumerate() {
                    path.push(at.to_string());
                    of_table(table, path, visit);
                    path.pop();
                }
            }
            Item::Table(table) => of_table(table, path, visit),
            Item::Value(value) => of_value(value, path, visit),
            Item::None => {}
        }
        path.pop();
    }
}

fn of_value(value: &Value, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &Value)) {
    match value {
        Value::InlineTable(table) => of_table(table, path, visit),
        Value::Array(array) => {
            for (at, value) in array.iter().enumerate() {
                path.push(at.to_string());
                of_value(value, path, visit);
                path.pop();
            }
        }
        value => visit(path, value),
    }
}

fn shown(path: &[String], value: &Value, known: &Schema) -> String {
    if !is_known(path, known) {
        return NOT_SHOWN.to_owned();
    }
    let Value::String(text) = value else {
        return value.to_string().trim().to_owned();
    };
    let text = text.value();
    let key = path.join(".");
    let setting = VARIABLES.iter().find(|it| it.key() == key);
    // A public key looks as a private one does that was pasted in its place.
    let is_public = path.last().is_some_and(|it| it.contains("public"));
    // What stands for a secret in the file is the place of its file.
    let is_place = setting.is_none_or(|it| it.is_secret() || !it.is_secret_in(text));
    match is_place && !is_public && shown_path(Path::new(text)) == *text {
        true => format!("{text:?}"),
        false => NOT_SHOWN.to_owned(),
    }
}

/// Whether the settings know a path.
fn is_known(path: &[String], schema: &Schema) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    let items = &schema["items"];
    let below = match first.parse::<usize>() {
        Ok(_) if items.is_object() => items,
        _ => &schema["properties"][first.as_str()],
    };
    below.is_object() && is_known(rest, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_shown_and_whatever_may_be_a_secret_is_not() {
        let text = r#"
# a comment with s3cret-in-a-comment
[http]
port = 9090
[signing]
alg = "hmac"
hmac_key = "s3cret"
hmac_key_file = "/etc/flk/keys/hmac.key"
hmac_keys_file = "s3cret-of-more-than-twenty-characters"
[mine]
password = 12345678
[[tenants]]
id = "acme"
rate = 1000
keys = [{ id = "2026", file = "/etc/flk/keys/acme", key = "s3cret" }, { id = "x", public = "c2VjcmV0" }]
"#;
        assert_eq!(
            redacted(text).unwrap(),
            "http.port = 9090\nsigning.alg = \"hmac\"\nsigning.hmac_key = (not shown)\n\
            signing.hmac_key_file = \"/etc/flk/keys/hmac.key\"\nsigning.hmac_keys_file = (not shown)\n\
            mine.password = (not shown)\ntenants.0.id = \"acme\"\ntenants.0.rate = 1000\n\
            tenants.0.keys.0.id = \"2026\"\ntenants.0.keys.0.file = \"/etc/flk/keys/acme\"\n\
            tenants.0.keys.0.key = (not shown)\ntenants.0.keys.1.id = \"x\"\ntenants.0.keys.1.public = (not shown)\n"
        );
        let values = string_values(text);
        assert!(values.contains(&("hmac_key".to_owned(), "s3cret".to_owned())));
        assert!(values.contains(&("password".to_owned(), "12345678".to_owned())));
    }

    #[test]
    fn what_is_no_toml_is_said_by_its_line_alone() {
        let wrong = "[http]\nport = s3cret s3cret\n";
        assert_eq!(redacted(wrong).unwrap_err(), "line 2 is not TOML");
        assert_eq!(string_values(wrong), []);
    }
}
