//! Setting one member of a JSON object and leaving every other member as it was written, unknown ones too.

use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The object on one line with `name` set to the JSON text `value`, in its place or at the end.
/// None if the text is not one object without duplicate keys.
pub(crate) fn with_member(object: &[u8], name: &str, value: &str) -> Option<Vec<u8>> {
    let Members(members) = serde_json::from_slice(object).ok()?;
    let distinct: BTreeSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    if distinct.len() != members.len() {
        return None;
    }
    let mut out = Vec::with_capacity(object.len() + value.len());
    out.push(b'{');
    for (key, old) in &members {
        let text = if key == name { value } else { old.get() };
        put(&mut out, key, text);
    }
    if !distinct.contains(name) {
        put(&mut out, name, value);
    }
    out.push(b'}');
    Some(out)
}

fn put(out: &mut Vec<u8>, key: &str, text: &str) {
    if out.len() > 1 {
        out.push(b',');
    }
    out.extend_from_slice(serde_json::Value::from(key).to_string().as_bytes());
    out.push(b':');
    // line ends can only be white space between tokens: within a string JSON forbids them
    out.extend(text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
}

/// The members of an object in their order, values as written.
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The text of one member; none if the object has it not exactly once, or not as a string.
    pub(crate) fn text_in(object: &[u8], name: &str) -> Option<String> {
        let Self(members) = serde_json::from_slice(object).ok()?;
        let mut named = members.iter().filter(|(key, _)| key == name);
        match (named.next(), named.next()) {
            (Some((_, value)), None) => serde_json::from_str(value.get()).ok(),
            _ => None,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> serde::de::Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(object: &str, expect: Option<&str>) {
        let edited = with_member(object.as_bytes(), "sig", "\"S\"");
        let edited = edited.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(edited.as_deref(), expect);
    }

    #[test]
    fn all_other_members_keep_their_text_and_order() {
        check(
            "{ \"z\": 1.50,\n \"sig\":\"\", \"a\" : [\n 1e3, {\"b\":\"\\u00e9\"} ] }",
            Some("{\"z\":1.50,\"sig\":\"S\",\"a\":[ 1e3, {\"b\":\"\\u00e9\"} ]}"),
        );
    }

    #[test]
    fn an_absent_member_is_appended() {
        check("{}", Some("{\"sig\":\"S\"}"));
        check("{\"a\":1}", Some("{\"a\":1,\"sig\":\"S\"}"));
    }

    #[test]
    fn what_is_not_one_object_is_left_alone() {
        for text in ["", "[]", "{\"a\":1", "{} {}", "{\"a\":1,\"\\u0061\":2}"] {
            check(text, None);
        }
    }
}
