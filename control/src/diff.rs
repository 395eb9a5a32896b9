//! How two documents differ, in words: one line for each thing that changed. It compares names, times, limits and
//! fingerprints; a document holds no key, so no line can.

use flk_dataplane::snapshot::{Document, KeyDocument, ParamsDocument, TenantDocument};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// Lines of a change.
pub fn diff(before: &Document, after: &Document) -> Vec<String> {
    let mut lines = members("limits", &before.limits, &after.limits, &[]);
    let name = |tenant: &TenantDocument| tenant.name.clone();
    for (name, pair) in paired(&before.tenants, &after.tenants, name) {
        let place = format!("tenant {name}");
        match pair {
            (Some(before), Some(after)) => lines.extend(tenant(&place, before, after)),
            (None, Some(after)) => lines.push(format!("{place}: added, {}", summary(after))),
            (Some(_), None) => lines.push(format!("{place}: removed")),
            (None, None) => {}
        }
    }
    lines
}

fn summary(tenant: &TenantDocument) -> String {
    let keys = match (tenant.unsigned, tenant.keys.len()) {
        (true, _) => "unsigned".to_owned(),
        (false, 1) => "1 key".to_owned(),
        (false, count) => format!("{count} keys"),
    };
    match tenant.enabled {
        true => keys,
        false => format!("{keys}, not enabled"),
    }
}

fn tenant(place: &str, before: &TenantDocument, after: &TenantDocument) -> Vec<String> {
    let mut lines = members(place, before, after, &["keys", "limits", "params"]);
    lines.extend(members(place, &before.limits, &after.limits, &[]));
    let id = |key: &KeyDocument| key.id.clone();
    for (id, pair) in paired(&before.keys, &after.keys, id) {
        let key = format!("key {id}");
        lines.extend(part(place, &key, pair, &["id"]));
    }
    let version = |set: &ParamsDocument| set.version.clone();
    for (version, pair) in paired(&before.params, &after.params, version) {
        let set = format!("parameters {version}");
        lines.extend(part(place, &set, pair, &["version"]));
    }
    let order = |tenant: &TenantDocument| tenant.keys.iter().map(id).collect::<Vec<_>>();
    let (mut then, mut now) = (order(before), order(after));
    let moved = then != now;
    then.sort();
    now.sort();
    if moved && then == now {
        lines.push(format!("{place}: keys are tried in another order"));
    }
    lines
}

/// A key or parameter set that was added, removed or changed.
fn part<T: Serialize>(
    place: &str,
    name: &str,
    pair: (Option<&T>, Option<&T>),
    but: &[&str],
) -> Vec<String> {
    match pair {
        (Some(before), Some(after)) => members(&format!("{place}, {name}"), before, after, but),
        (None, Some(_)) => vec![format!("{place}: {name} added")],
        (Some(_), None) => vec![format!("{place}: {name} removed")],
        (None, None) => Vec::new(),
    }
}

/// Members of two objects that differ: `tenant acme: rate 1000 → 2000`.
fn members<T: Serialize>(place: &str, before: &T, after: &T, but: &[&str]) -> Vec<String> {
    let (before, after) = (object(before), object(after));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let named = names
        .into_iter()
        .filter(|name| !but.contains(&name.as_str()));
    let changed = named.filter(|name| before.get(*name) != after.get(*name));
    changed
        .map(|name| {
            let [then, now] = [&before, &after].map(|it| shown(name, it.get(name)));
            format!("{place}: {name} {then} → {now}")
        })
        .collect()
}

fn object<T: Serialize>(of: &T) -> serde_json::Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => members,
        _ => unreachable!("parts of a document are objects of texts and numbers"),
    }
}

/// A value in words; times as dates.
fn shown(name: &str, value: Option<&Value>) -> String {
    let is_time = ["not_before", "not_after", "revoked_at", "effective_from"].contains(&name);
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if is_time => time(number.as_u64().unwrap_or_default()),
        Some(Value::Object(source)) => source_text(source),
        Some(other) => other.to_string(),
    }
}

/// Where a key is: `file /etc/flk/keys/acme`, `environment PCS_HMAC_KEYS, key 2 of it`.
fn source_text(source: &serde_json::Map<String, Value>) -> String {
    let texts = source.iter().map(|(kind, of)| {
        let text = ["path", "variable"].iter().find_map(|it| of[*it].as_str());
        let at = of["index"].as_u64();
        let at = at.map(|at| format!(", key {} of it", at + 1));
        format!(
            "{kind} {}{}",
            text.unwrap_or_default(),
            at.unwrap_or_default()
        )
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// A second of the Unix epoch as a date.
pub fn time(second: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(second)) {
        Some(at) if second < 253_402_300_800 => humantime::format_rfc3339_seconds(at).to_string(),
        _ => format!("second {second}"),
    }
}

type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

/// Elements of two lists by their names.
fn paired<'a, T>(
    before: &'a [T],
    after: &'a [T],
    name: impl Fn(&T) -> String,
) -> BTreeMap<String, Pair<'a, T>> {
    let mut pairs: BTreeMap<String, Pair<'a, T>> = BTreeMap::new();
    for it in before {
        pairs.entry(name(it)).or_default().0 = Some(it);
    }
    for it in after {
        pairs.entry(name(it)).or_default().1 = Some(it);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_contract::Params;
    use flk_dataplane::snapshot::{FORMAT, LimitsDocument, Source};

    fn key(id: &str) -> KeyDocument {
        KeyDocument {
            id: id.to_owned(),
            scheme: "hmac-sha256".to_owned(),
            source: Source::file(format!("/keys/{id}")),
            fingerprint: "0123456789abcdef".to_owned(),
            not_before: None,
            not_after: None,
            revoked_at: None,
        }
    }

    fn tenant(name: &str, keys: &[&str]) -> TenantDocument {
        TenantDocument {
            name: name.to_owned(),
            enabled: true,
            unsigned: keys.is_empty(),
            keys: keys.iter().map(|id| key(id)).collect(),
            limits: LimitsDocument::default(),
            wal_share: None,
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        }
    }

    fn document(tenants: Vec<TenantDocument>) -> Document {
        Document {
            format: FORMAT,
            number: 0,
            limits: LimitsDocument::default(),
            tenants,
        }
    }

    #[test]
    fn equal_documents_have_no_difference_whatever_their_numbers() {
        let one = document(vec![tenant("acme", &["a"])]);
        let other = Document {
            number: 9,
            ..one.clone()
        };
        assert_eq!(diff(&one, &other), [""; 0]);
    }

    #[test]
    fn what_changed_is_said_in_words() {
        let before = document(vec![
            tenant("acme", &["2026-10", "old"]),
            tenant("beta", &["a"]),
        ]);
        let mut acme = tenant("acme", &["2026-10", "2026-11"]);
        acme.limits.rate = 2000;
        acme.enabled = false;
        acme.keys[0].not_after = Some(1_796_083_200);
        acme.keys[0].source = Source::Environment {
            variable: "KEYS".to_owned(),
            index: Some(1),
        };
        acme.params[0].tol_d = 0.5;
        let mut after = document(vec![acme, tenant("gamma", &["a", "b"])]);
        after.limits.burst = 7;
        let tol_d = Params::default().tol_d;
        assert_eq!(
            diff(&before, &after),
            [
                "limits: burst 0 → 7",
                "tenant acme: enabled true → false",
                "tenant acme: rate 0 → 2000",
                "tenant acme, key 2026-10: not_after none → 2026-12-01T00:00:00Z",
                "tenant acme, key 2026-10: source file /keys/2026-10 → environment KEYS, key 2 of it",
                "tenant acme: key 2026-11 added",
                "tenant acme: key old removed",
                &format!("tenant acme, parameters 1: tol_d {tol_d} → 0.5"),
                "tenant beta: removed",
                "tenant gamma: added, 2 keys",
            ]
        );
    }

    #[test]
    fn keys_in_another_order_are_a_difference() {
        let before = document(vec![tenant("acme", &["a", "b"])]);
        let after = document(vec![tenant("acme", &["b", "a"])]);
        let said = ["tenant acme: keys are tried in another order"];
        assert_eq!(diff(&before, &after), said);
    }
}
