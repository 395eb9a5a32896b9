//! SOPS documents in dotenv form: a line for each value, and the metadata as lines whose names begin with `sops_`.

use super::METADATA;
use super::tree::{Members, Node};

/// What names of metadata begin with.
pub(super) const PREFIX: &str = "sops_";

/// Lines of metadata, and parts of the name of one: documents with more are none of SOPS.
const METADATA_LINES_MAX: usize = 1024;
const PARTS_MAX: usize = 8;

/// Reads a document; the metadata are one member of it, as in the other formats.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let mut members = Members::default();
    let mut metadata = Node::Map(Vec::new());
    let mut metadata_lines = 0;
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} is not NAME=VALUE"));
        };
        let value = Node::Text(value.replace("\\n", "\n"));
        let is_right = match name.strip_prefix(PREFIX) {
            None => members.add(name.to_owned(), value),
            Some(name) => {
                metadata_lines += 1;
                metadata_lines <= METADATA_LINES_MAX && place(&mut metadata, name, value).is_some()
            }
        };
        if !is_right {
            return Err(format!(
                "line {number} has a name that another line has, or that SOPS never writes"
            ));
        }
    }
    // No other name begins with the prefix.
    let _is_new = members.add(METADATA.to_owned(), metadata);
    Ok(members.into_node())
}

/// Puts a value where its name says: `age__list_0__map_enc` is the member enc of the first element of age.
fn place(root: &mut Node, name: &str, value: Node) -> Option<()> {
    let mut at = root;
    let name = name.replace("__list_", "\0[").replace("__map_", "\0");
    let parts: Vec<&str> = name.split('\0').collect();
    if parts.len() > PARTS_MAX {
        return None;
    }
    for part in parts {
        at = match part.strip_prefix('[') {
            Some(number) => element(at, number.parse().ok()?)?,
            None => member(at, part)?,
        };
    }
    *at = value;
    Some(())
}

/// The next element of a list or one that is there.
fn element(node: &mut Node, number: usize) -> Option<&mut Node> {
    if *node == Node::Null {
        *node = Node::List(Vec::new());
    }
    let Node::List(elements) = node else {
        return None;
    };
    if elements.len() == number {
        elements.push(Node::Null);
    }
    elements.get_mut(number)
}

fn member<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    if *node == Node::Null {
        *node = Node::Map(Vec::new());
    }
    let Node::Map(members) = node else {
        return None;
    };
    let at = match members.iter().position(|(other, _)| other == name) {
        Some(at) => at,
        None => {
            members.push((name.to_owned(), Node::Null));
            members.len() - 1
        }
    };
    Some(&mut members[at].1)
}
