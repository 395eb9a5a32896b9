//! What a SOPS document says of itself: its version, its recipients, and what its MAC is of. It opens nothing.

use super::SopsError;
use super::tree::{Leaf, Node, Value};

/// Members that hold data keys for others than age, each with what they are called in words.
const OTHERS: [(&str, &str); 6] = [
    ("kms", "AWS KMS"),
    ("gcp_kms", "GCP KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "Vault"),
    ("hckms", "Huawei Cloud KMS"),
    ("pgp", "PGP"),
];

/// Values whose MAC a document has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MacOf {
    AllValues,
    EncryptedValues,
}

/// Which keys hold values that are not encrypted.
enum Suffix<'a> {
    Unencrypted(&'a str),
    Encrypted(&'a str),
    /// A rule of another kind.
    Unknown,
}

/// The metadata of a document.
pub(super) struct Metadata<'a> {
    /// The data key for each age recipient, armored.
    pub(super) data_keys: Vec<&'a str>,
    pub(super) mac: &'a str,
    pub(super) last_modified: &'a str,
    pub(super) mac_of: MacOf,
    suffix: Suffix<'a>,
}

impl<'a> Metadata<'a> {
    pub(super) fn read(node: &'a Node) -> Result<Metadata<'a>, SopsError> {
        let text = |name: &str| node.get(name).and_then(Node::text);
        let version = text("version").unwrap_or_default();
        if version.split('.').next() != Some("3") {
            return Err(SopsError::Version(version.chars().take(32).collect()));
        }
        let is_there = |name: &str| node.get(name).is_some_and(|it| !it.elements().is_empty());
        let data_keys = node.get("age").map_or(&[][..], Node::elements);
        let data_keys = data_keys.iter();
        let data_keys: Vec<&str> = data_keys
            .filter_map(|it| it.get("enc").and_then(Node::text))
            .collect();
        if data_keys.is_empty() {
            if is_there("key_groups") {
                return Err(SopsError::KeyGroups);
            }
            let others = OTHERS.iter().filter(|(name, _)| is_there(name));
            return Err(SopsError::OtherRecipients(others.map(|it| it.1).collect()));
        }
        let (Some(mac), Some(last_modified)) = (text("mac"), text("lastmodified")) else {
            return Err(SopsError::NoMac);
        };
        Ok(Metadata {
            data_keys,
            mac,
            last_modified,
            mac_of: match text("mac_only_encrypted") {
                Some(said) if said.eq_ignore_ascii_case("true") => MacOf::EncryptedValues,
                _ => MacOf::AllValues,
            },
            suffix: Suffix::read(&text),
        })
    }

    /// Whether a value stands there in plain text although the document says that it is encrypted.
    pub(super) fn is_left_open(&self, leaf: &Leaf<'_>) -> bool {
        let has = |suffix: &str| leaf.path.iter().any(|key| key.ends_with(suffix));
        let should_be = match self.suffix {
            Suffix::Unencrypted(suffix) => !has(suffix),
            Suffix::Encrypted(suffix) => has(suffix),
            Suffix::Unknown => false,
        };
        // An empty text is stored as such.
        should_be && matches!(leaf.value, Value::Plain(text) if !text.is_empty())
    }
}

impl<'a> Suffix<'a> {
    fn read(text: &impl Fn(&str) -> Option<&'a str>) -> Suffix<'a> {
        let set = |name: &str| text(name).filter(|it| !it.is_empty());
        let others = [
            "encrypted_regex",
            "unencrypted_regex",
            "encrypted_comment_regex",
            "unencrypted_comment_regex",
        ];
        if let Some(suffix) = set("encrypted_suffix") {
            return Suffix::Encrypted(suffix);
        }
        if let Some(suffix) = set("unencrypted_suffix") {
            return Suffix::Unencrypted(suffix);
        }
        match others.into_iter().any(|name| set(name).is_some()) {
            true => Suffix::Unknown,
            false => Suffix::Unencrypted("_unencrypted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn left_open(rule: &str) -> Vec<String> {
        let text = format!(
            r#"{{"version": "3.11.0", "mac": "m", "lastmodified": "t", {rule} "age": [{{"enc": "e"}}]}}"#
        );
        let said = json::read(&text).unwrap();
        let document =
            r#"{"a": "1", "b_open": {"c": "2"}, "d": {"e_open": "3", "f": ["4"]}, "g": ""}"#;
        let document = json::read(document).unwrap();
        let metadata = Metadata::read(&said).unwrap_or_else(|it| panic!("{it}"));
        let leaves = document.leaves().unwrap();
        let left_open = leaves.iter().filter(|leaf| metadata.is_left_open(leaf));
        left_open.map(|leaf| leaf.name.clone()).collect()
    }

    #[test]
    fn a_suffix_is_that_of_any_key_on_the_way_to_a_value() {
        let open = r#""unencrypted_suffix": "_open","#;
        assert_eq!(left_open(open), ["a", "d.f.0"]);
        let sealed = r#""encrypted_suffix": "_open","#;
        assert_eq!(left_open(sealed), ["b_open.c", "d.e_open"]);
        assert_eq!(
            left_open("").len(),
            4,
            "by the suffix that SOPS has by itself"
        );
        assert!(left_open(r#""encrypted_regex": "x","#).is_empty());
    }
}
