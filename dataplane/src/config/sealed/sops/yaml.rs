//! SOPS documents in YAML: one document, mappings in their order, scalars typed as SOPS types them. Aliases and other tags than
//! `!!str` are refused, for SOPS writes none.

use super::tree::{Members, Node, truth};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use std::borrow::Cow;

/// Deeper documents are none of ours.
const DEPTH_MAX: usize = 32;

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        depth: 0,
    };
    let mut document = None;
    loop {
        match reader.next()? {
            Event::StreamEnd => break,
            Event::DocumentStart(_) if document.is_some() => {
                return Err("it holds several documents: keep keys in files of one".to_owned());
            }
            Event::DocumentStart(_) => {
                let first = reader.next()?;
                document = Some(reader.node(first)?);
            }
            _ => {}
        }
    }
    document.ok_or_else(|| "it is empty".to_owned())
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            // Its own words may quote the text.
            Some(Err(error)) => Err(format!("not YAML at line {}", error.marker().line())),
            None => Ok(Event::StreamEnd),
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("it is deeper than {DEPTH_MAX} levels"));
        }
        let node = match event {
            Event::Scalar(text, style, _, tag) => scalar(text, style, tag.as_deref()),
            Event::SequenceStart(_, None) => self.list(),
            Event::MappingStart(_, None) => self.map(),
            Event::Alias(_) => Err("it has an alias (*name), which SOPS never writes".to_owned()),
            _ => Err("it has a tag, which SOPS never writes".to_owned()),
        };
        self.depth -= 1;
        node
    }

    fn list(&mut self) -> Result<Node, String> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Node::List(list)),
                event => list.push(self.node(event)?),
            }
        }
    }

    fn map(&mut self) -> Result<Node, String> {
        let mut map = Members::default();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(map.into_node()),
                event => self.node(event)?,
            };
            let Node::Text(key) = key else {
                return Err("it has a key that is not a text: put quotes around it".to_owned());
            };
            let value = self.next()?;
            let value = self.node(value)?;
            if !map.add(key, value) {
                return Err("it has a key twice".to_owned());
            }
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, String> {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    match (is_text, tag) {
        (false, Some(_)) => Err("it has a tag, which SOPS never writes".to_owned()),
        (false, None) if style == ScalarStyle::Plain => Ok(plain(&text)),
        _ => Ok(Node::Text(text.into_owned())),
    }
}

/// A scalar without quotes, by the rules of the library that SOPS uses.
fn plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "true" | "True" | "TRUE" => return truth(true),
        "false" | "False" | "FALSE" => return truth(false),
        _ => {}
    }
    let may_be_a_number =
        text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    if !may_be_a_number {
        return Node::Text(text.to_owned());
    }
    if is_date(text) {
        return Node::Other(format!("{text}T00:00:00Z"));
    }
    let number = text.replace('_', "");
    if let Some(whole) = whole(&number) {
        return Node::Other(whole.to_string());
    }
    let is_double = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match number.parse::<f64>() {
        Ok(double) if is_double => Node::Other(double.to_string()),
        _ => Node::Text(text.to_owned()),
    }
}

/// `2026-11-29`, which SOPS takes as midnight.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.concat().bytes().all(|byte| byte.is_ascii_digit())
}

/// A whole number in base 2, 8, 10 or 16.
fn whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixed = |prefix: &str| digits.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    let (base, digits) = if let Some(rest) = prefixed("0x").or(prefixed("0X")) {
        (16, rest)
    } else if let Some(rest) = prefixed("0b").or(prefixed("0B")) {
        (2, rest)
    } else if let Some(rest) = prefixed("0o").or(prefixed("0O")).or(prefixed("0")) {
        (8, rest)
    } else {
        (10, digits)
    };
    match digits.starts_with(['+', '-']) {
        true => None,
        false => i64::from_str_radix(&format!("{sign}{digits}"), base).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_the_types_that_sops_gives_them() {
        for (typed, expected) in [
            ("a", Node::Text("a".to_owned())),
            ("yes", Node::Text("yes".to_owned())),
            ("\"1\"", Node::Text("1".to_owned())),
            ("!!str 1", Node::Text("1".to_owned())),
            ("~", Node::Null),
            ("", Node::Null),
            ("true", truth(true)),
            ("FALSE", truth(false)),
            ("1_000", Node::Other("1000".to_owned())),
            ("0x1F", Node::Other("31".to_owned())),
            ("010", Node::Other("8".to_owned())),
            ("-7", Node::Other("-7".to_owned())),
            ("1.50", Node::Other("1.5".to_owned())),
            ("1e3", Node::Other("1000".to_owned())),
            ("2026-11-29", Node::Other("2026-11-29T00:00:00Z".to_owned())),
            ("1.2.3", Node::Text("1.2.3".to_owned())),
            ("+-5", Node::Text("+-5".to_owned())),
        ] {
            let Node::Map(map) = read(&format!("k: {typed}\n")).unwrap() else {
                panic!("{typed}");
            };
            assert_eq!(map, [("k".to_owned(), expected)], "{typed}");
        }
    }

    #[test]
    fn what_sops_never_writes_is_refused() {
        let deep = format!("{}1", "- ".repeat(40));
        for (text, expected) in [
            ("a: &x 1\nb: *x\n", "alias"),
            ("a: !other 1\n", "tag"),
            ("a: 1\n---\nb: 1\n", "several documents"),
            ("a: 1\na: 2\n", "twice"),
            ("1: 1\n", "not a text"),
            ("a: [", "not YAML"),
            (deep.as_str(), "deeper"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
