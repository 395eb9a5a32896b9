//! `flk config schema`: the JSON Schema of the configuration file, so that editors complete and check it.

use super::CommandResult;
use super::init::is_value;
use crate::exit::{CONFIG_SCHEMA_CODES, Exit};
use crate::output::Output;
use clap::Args;
use flk_dataplane::config::{PARAMS_NUMBERS, VARIABLES, Variable};
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "\
Examples:
  $ flk config schema > flk.schema.json

An editor with a TOML language server finds it by a first line in the file: #:schema ./flk.schema.json";

/// Options of `flk config schema`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CONFIG_SCHEMA_CODES}"))]
pub(crate) struct SchemaArgs {}

pub(super) fn run() -> CommandResult {
    let mut output = Output::new();
    output.line(format!("{:#}", schema()))?;
    output.flush()?;
    Ok(Exit::Yes)
}

/// What a file may say.
pub(super) fn schema() -> Value {
    let mut sections = Map::new();
    for &variable in VARIABLES {
        let Some((section, key)) = variable.key().split_once('.') else {
            continue;
        };
        let section = sections.entry(section).or_insert_with(
            || json!({"type": "object", "additionalProperties": false, "properties": {}}),
        );
        section["properties"][key] = property(variable);
    }
    sections.insert("tenants".to_owned(), tenants());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a flk gateway",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

/// The tenants: an array of tables.
fn tenants() -> Value {
    let whole = json!({"type": "integer", "minimum": 0});
    let time = json!({"description": "A time with its offset, such as 2026-11-01T00:00:00Z."});
    let text = |description: &str| json!({"type": "string", "description": description});
    let table = |required: &[&str], properties: Value| {
        json!({
            "type": "object", "additionalProperties": false, "required": required,
            "properties": properties,
        })
    };
    let array = |items: Value| json!({"type": "array", "items": items});
    let keys = json!({
        "id": text("Its name among the keys of the tenant."),
        "scheme": text("hmac-sha256 (default), ed25519 or hmac-sha256-payload, each also with ;num=fixed9."),
        "file": text("The path of the file that holds it; it may be encrypted with age or SOPS."),
        "entry": text("Which value of a SOPS document it is: keys with dots between them, such as acme.current."),
        "env": text("The variable of the gateway's environment that holds it."),
        "public": text("An Ed25519 public key itself, as standard base64."),
        "not_before": time, "not_after": time, "revoked_at": time,
    });
    let mut params = json!({
        "version": text("The name that outcomes carry; it stands for its numbers for ever."),
        "share": {"type": "integer", "minimum": 0, "maximum": 1000, "description": "Thousandths of the records."},
        "effective_from": {"description": "From this time on the set judges, and before it the other one; with its offset, such as 2026-11-01T00:00:00Z."},
    });
    for name in PARAMS_NUMBERS {
        params[name] = json!({"type": "number"});
    }
    array(table(
        &["id"],
        json!({
            "id": text("What X-Tenant-Id says."),
            "enabled": {"type": "boolean"}, "unsigned": {"type": "boolean"},
            "rate": whole, "burst": whole, "bytes_per_second": whole, "unauthenticated_bytes_per_second": whole,
            "wal_share": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How much of a batch of the log its bodies may fill while it waits for the disk, in percent."},
            "home": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": "Reserved, without effect: the region of the tenant."},
            "keys": array(table(&["id"], keys)), "params": array(table(&["version"], params)),
        }),
    ))
}

fn property(variable: Variable) -> Value {
    let what = match variable.is_secret() {
        true => "The path of a file that holds it. ",
        false => "",
    };
    let description = format!(
        "{} {what}Allowed: {}.",
        variable.about(),
        variable.allowed()
    );
    let mut property = json!({"description": description, "type": types(variable)});
    if variable.is_list() {
        property["items"] = json!({"type": "string", "pattern": "^[^,]*$"});
    }
    if is_value(variable.default()) {
        property["default"] = Value::from(variable.default());
    }
    property
}

fn types(variable: Variable) -> Value {
    match variable {
        _ if variable.is_switch() => json!(["boolean", "string", "integer"]),
        _ if variable.is_share() => json!(["string", "number"]),
        _ if variable.is_list() => json!(["array", "string", "integer"]),
        _ => json!(["string", "integer"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_the_schema_and_no_other() {
        let schema = schema();
        let sections = schema["properties"].as_object().unwrap();
        let mut keys = Vec::new();
        for (section, value) in sections.iter().filter(|(name, _)| *name != "tenants") {
            assert_eq!(value["additionalProperties"], false);
            let properties = value["properties"].as_object().unwrap();
            keys.extend(properties.keys().map(|key| format!("{section}.{key}")));
        }
        let mut expected: Vec<&str> = VARIABLES.iter().map(|it| it.key()).collect();
        expected.sort_unstable();
        keys.sort_unstable();
        assert_eq!(keys, expected);
        let port = &schema["properties"]["http"]["properties"]["port"];
        assert_eq!(port["default"], "8080");
        assert!(
            port["description"]
                .as_str()
                .unwrap()
                .starts_with("Port to listen on.")
        );
    }
}
