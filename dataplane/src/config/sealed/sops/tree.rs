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
    /// Whether a list is on the way to it.
    pub(super) is_listed: bool,
}

impl Leaf<'_> {
    /// What its value is authenticated with: the keys alone, so elements of a list have the same, and so may keys with colons.
    pub(super) fn authenticated_path(&self) -> String {
        format!("{}:", self.path.join(":"))
    }
}

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 256;
/// Values of a document.
const LEAVES_MAX: usize = 4096;
/// Keys and elements one within the other.
const DEPTH_MAX: usize = 16;

/// A document has more than is read, in words.
pub(super) type TooMuch = &'static str;

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
    ///
    /// # Errors
    /// There is too much of something.
    pub(super) fn leaves(&self) -> Result<Vec<Leaf<'_>>, TooMuch> {
        let mut walk = Walk::default();
        walk.collect(self, "", 0)?;
        Ok(walk.leaves)
    }
}

/// A walk through a document.
#[derive(Default)]
struct Walk<'a> {
    path: Vec<&'a str>,
    /// Lists on the way.
    lists_count: usize,
    leaves: Vec<Leaf<'a>>,
}

impl<'a> Walk<'a> {
    fn collect(&mut self, node: &'a Node, name: &str, depth: usize) -> Result<(), TooMuch> {
        if depth > DEPTH_MAX {
            return Err("its values stand within more than 16 others");
        }
        let below = |part: &str| {
            // A name is shown in errors: it begins no line and does nothing to a terminal.
            let part = part.replace(char::is_control, "\u{fffd}");
            match name.is_empty() {
                true => part,
                false => format!("{name}.{part}"),
            }
        };
        match node {
            Node::Null => {}
            Node::List(elements) => {
                self.lists_count += 1;
                for (at, element) in elements.iter().enumerate() {
                    self.collect(element, &below(&at.to_string()), depth + 1)?;
                }
                self.lists_count -= 1;
            }
            Node::Map(members) => {
                for (key, member) in members {
                    if key.len() > KEY_BYTES_MAX {
                        return Err("a key of it is longer than 256 bytes");
                    }
                    self.path.push(key);
                    self.collect(member, &below(key), depth + 1)?;
                    self.path.pop();
                }
            }
            Node::Text(text) | Node::Other(text) => {
                if self.leaves.len() == LEAVES_MAX {
                    return Err("it has more than 4096 values");
                }
                self.leaves.push(Leaf {
                    path: self.path.clone(),
                    name: name.to_owned(),
                    value: match node {
                        Node::Text(_) if text.starts_with(ENCRYPTED) => Value::Encrypted(text),
                        _ => Value::Plain(text),
                    },
                    is_listed: self.lists_count > 0,
                });
            }
        }
        Ok(())
    }
}

/// A truth value as a MAC takes it.
pub(super) fn truth(value: bool) -> Node {
    Node::Other(if value { "True" } else { "False" }.to_owned())
}
