//! A SOPS document as a tree in its own order, whatever its format. It knows which values look encrypted and opens none.

use std::collections::BTreeSet;

/// What stands in a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A text; it may be an encrypted value.
    Text(String),
    /// A number, a truth value or a date, as its MAC takes it.
    Other(String),
    Null,
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Members of a map that is being read.
#[derive(Default)]
pub(super) struct Members {
    all: Vec<(String, Node)>,
    names: BTreeSet<String>,
}

impl Members {
    /// Puts one behind the others. Whether no other has its name.
    #[must_use]
    pub(super) fn add(&mut self, name: String, node: Node) -> bool {
        let is_new = self.names.insert(name.clone());
        self.all.push((name, node));
        is_new
    }

    pub(super) fn into_node(self) -> Node {
        Node::Map(self.all)
    }
}

/// A value and where it stands.
pub(super) struct Leaf<'a> {
    /// The keys on the way to it; elements of lists have that of the list.
    pub(super) path: Vec<&'a str>,
    /// What an entry is called: keys and numbers of elements, with dots between them.
    pub(super) name: String,
    pub(super) value: Value<'a>,
}

/// A value as it stands there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Encrypted(&'a str),
    Plain(&'a str),
}

/// What encrypted values begin with.
pub(super) const ENCRYPTED: &str = "ENC[";

impl Node {
    /// A member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Node::Map(members) => members.iter().find(|it| it.0 == name).map(|it| &it.1),
            _ => None,
        }
    }

    /// A text, a number or a truth value, as text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) | Node::Other(text) => Some(text),
            Node::Null | Node::List(_) | Node::Map(_) => None,
        }
    }

    /// The elements of a list; nothing: there are none.
    pub(super) fn elements(&self) -> &[Node] {
        match self {
            Node::List(elements) => elements,
            _ => &[],
        }
    }

    /// All values, in the order of the document.
    pub(super) fn leaves(&self) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        self.collect(&mut Vec::new(), "", &mut leaves);
        leaves
    }

    fn collect<'a>(&'a self, path: &mut Vec<&'a str>, name: &str, leaves: &mut Vec<Leaf<'a>>) {
        let below = |part: &str| match name.is_empty() {
            true => part.to_owned(),
            false => format!("{name}.{part}"),
        };
        match self {
            Node::Null => {}
            Node::List(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    element.collect(path, &below(&at.to_string()), leaves);
                }
            }
            Node::Map(members) => {
                for (key, member) in members {
                    path.push(key);
                    member.collect(path, &below(key), leaves);
                    path.pop();
                }
            }
            Node::Text(text) | Node::Other(text) => leaves.push(Leaf {
                path: path.clone(),
                name: name.to_owned(),
                value: match self {
                    Node::Text(_) if text.starts_with(ENCRYPTED) => Value::Encrypted(text),
                    _ => Value::Plain(text),
                },
            }),
        }
    }
}

/// A truth value as a MAC takes it.
pub(super) fn truth(value: bool) -> Node {
    Node::Other(if value { "True" } else { "False" }.to_owned())
}
