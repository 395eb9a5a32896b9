//! SOPS documents in JSON, those of binary files among them: members in their order, each key once.

use super::tree::{Members, Node, truth};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let read = serde_json::from_str::<Ordered>(text);
    read.map(|it| it.0).map_err(|error| {
        // Its own words may quote the text.
        format!(
            "not JSON at line {}, column {}",
            error.line(),
            error.column()
        )
    })
}

struct Ordered(Node);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        deserializer.deserialize_any(InOrder).map(Ordered)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value of JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(truth(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Other(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        // What is beyond i64 is a double for SOPS.
        Ok(Node::Other(match i64::try_from(value) {
            Ok(value) => value.to_string(),
            Err(_) => (value as f64).to_string(),
        }))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Other(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(Ordered(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = Members::default();
        while let Some((key, Ordered(member))) = members.next_entry::<String, Ordered>()? {
            if !map.add(key, member) {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(map.into_node())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_a_mac_of_sops_takes() {
        for (number, taken) in [
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775807", "9223372036854775807"),
            ("18446744073709551615", "18446744073709552000"),
            ("1.50", "1.5"),
        ] {
            assert_eq!(read(number), Ok(Node::Other(taken.to_owned())), "{number}");
        }
    }
}
