//! The keys of tenants as they stand in a configuration file, and changes to them. Comments, order and everything else stay as
//! they are. Whether the result is right, others say; it opens no file.

use super::state::Times;
use flk_dataplane::config::time;
use flk_dataplane::snapshot::Source;
use toml_edit::{
    Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value,
};

/// A file that is being changed.
pub(super) struct Document(pub(super) DocumentMut, LineEnd);

/// How lines of the file end.
#[derive(Clone, Copy)]
enum LineEnd {
    Lf,
    CrLf,
}

/// A key as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) scheme: String,
    /// None: it is typed in a way that no gateway reads.
    pub(super) source: Option<Source>,
    pub(super) times: Times,
}

/// What no document can be changed by.
#[derive(Debug)]
pub(super) struct NoTenant;

impl Document {
    /// Reads a file; nothing: it is not TOML.
    pub(super) fn parse(text: &str) -> Option<Document> {
        let end = match text.contains("\r\n") {
            true => LineEnd::CrLf,
            false => LineEnd::Lf,
        };
        let document = text.replace("\r\n", "\n").parse().ok()?;
        Some(Document(document, end))
    }

    /// The file's new text.
    pub(super) fn text(&self) -> String {
        match self.1 {
            LineEnd::Lf => self.0.to_string(),
            LineEnd::CrLf => self.0.to_string().replace('\n', "\r\n"),
        }
    }

    /// Names of the tenants, in the file's order.
    pub(super) fn tenants(&self) -> Vec<String> {
        let names = tables(self.0.get("tenants")).into_iter();
        names
            .filter_map(|it| text_in(it, "id").map(str::to_owned))
            .collect()
    }

    /// The keys of a tenant, in the file's order; nothing: there is no such tenant.
    pub(super) fn keys(&self, tenant: &str) -> Option<Vec<Key>> {
        let tenants = tables(self.0.get("tenants"));
        let found = tenants
            .into_iter()
            .find(|it| text_in(*it, "id") == Some(tenant))?;
        let keys = tables(found.get("keys")).into_iter();
        Some(keys.filter_map(typed).collect())
    }

    /// Puts a tenant without keys behind all others.
    pub(super) fn add_tenant(&mut self, name: &str) {
        let mut table = Table::new();
        table.insert("id", value(name));
        let prefix = self.prefix(|it| {
            push(it.0.as_table_mut(), "tenants", table.clone());
            Ok(())
        });
        if let Ok(prefix) = prefix {
            table.decor_mut().set_prefix(prefix);
        }
        push(self.0.as_table_mut(), "tenants", table);
    }

    /// What stands before a table that `push` puts in. Comments at the end of the file stay behind what they were behind.
    fn prefix(
        &mut self,
        push: impl FnOnce(&mut Document) -> Result<(), NoTenant>,
    ) -> Result<String, NoTenant> {
        let mut tried = Document(self.0.clone(), self.1);
        push(&mut tried)?;
        let end = self.0.trailing().as_str().unwrap_or_default().to_owned();
        if !tried.body().starts_with(&self.body()) {
            return Ok("\n".to_owned());
        }
        self.0.set_trailing("");
        Ok(match end.is_empty() || end.ends_with('\n') {
            true => format!("{end}\n"),
            false => format!("{end}\n\n"),
        })
    }

    /// All but the comments at the end.
    fn body(&self) -> String {
        let mut body = self.0.clone();
        body.set_trailing("");
        body.to_string()
    }

    /// Puts a key behind the others of its tenant; `note` becomes a comment behind its first time.
    pub(super) fn add_key(&mut self, tenant: &str, key: &Key, note: &str) -> Result<(), NoTenant> {
        let mut table = Table::new();
        table.insert("id", value(&key.id));
        table.insert("scheme", value(&key.scheme));
        match &key.source {
            Some(Source::File { path, entry, .. }) => {
                table.insert("file", value(path));
                match entry {
                    Some(entry) => table.insert("entry", value(entry)),
                    None => None,
                }
            }
            Some(Source::Environment { variable, .. }) => table.insert("env", value(variable)),
            Some(Source::Public { base64 }) => table.insert("public", value(base64)),
            None => None,
        };
        let times = [
            ("not_before", key.times.not_before),
            ("not_after", key.times.not_after),
            ("revoked_at", key.times.revoked_at),
        ];
        let typed = times.into_iter().filter_map(|(name, at)| Some((name, at?)));
        for ((name, at_s), note) in typed.zip([note].into_iter().chain(std::iter::repeat(""))) {
            table.insert(name, Item::Value(moment(at_s).decorated(" ", note)));
        }
        let prefix = self.prefix(|it| {
            push(it.tenant(tenant)?, "keys", table.clone());
            Ok(())
        })?;
        table.decor_mut().set_prefix(prefix);
        push(self.tenant(tenant)?, "keys", table);
        Ok(())
    }

    /// Removes a key. Comments above it stay if it is the last thing in the file: they are about what is before it.
    pub(super) fn remove_key(&mut self, tenant: &str, id: &str) -> Result<(), NoTenant> {
        let body = self.body();
        let prefix = self.prefix_of(tenant, id).unwrap_or_default();
        self.take_out(tenant, id)?;
        if body.starts_with(&self.body()) {
            let end = self.0.trailing().as_str().unwrap_or_default();
            let above = prefix.strip_suffix('\n').unwrap_or(&prefix);
            let end = format!("{above}{end}");
            self.0.set_trailing(end);
        }
        Ok(())
    }

    /// What stands before the table of a key.
    fn prefix_of(&mut self, tenant: &str, id: &str) -> Option<String> {
        let tenant = self.tenant(tenant).ok()?;
        let keys = tables_mut(tenant.get_mut("keys"));
        let prefixes = keys.into_iter().filter_map(|key| match key {
            Place::Block(key) if text_in(key, "id") == Some(id) => {
                key.decor().prefix()?.as_str().map(str::to_owned)
            }
            Place::Block(_) | Place::Inline(_) => None,
        });
        prefixes.into_iter().next()
    }

    fn take_out(&mut self, tenant: &str, id: &str) -> Result<(), NoTenant> {
        let is_it = |it: &dyn TableLike| text_in(it, "id") == Some(id);
        match self.tenant(tenant)?.get_mut("keys") {
            Some(Item::ArrayOfTables(keys)) => keys.retain(|it| !is_it(it)),
            Some(Item::Value(Value::Array(keys))) => {
                keys.retain(|it| !it.as_inline_table().is_some_and(|it| is_it(it)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Sets one time of a key to these seconds. A comment behind the time stays, with `note` behind it.
    pub(super) fn set_time(
        &mut self,
        tenant: &str,
        id: &str,
        name: &str,
        at_s: u64,
        note: &str,
    ) -> Result<(), NoTenant> {
        let tenant = self.tenant(tenant)?;
        for key in tables_mut(tenant.get_mut("keys")) {
            let (key, note) = match key {
                Place::Block(table) => (table as &mut dyn TableLike, note),
                // A comment would hide the rest of the line.
                Place::Inline(table) => (table as &mut dyn TableLike, ""),
            };
            if text_in(key, "id") == Some(id) {
                let comment = comment_in(key, name).unwrap_or_default().to_owned();
                let new = moment(at_s).decorated(" ", format!("{comment}{note}"));
                key.insert(name, Item::Value(new));
            }
        }
        Ok(())
    }

    /// What stands behind one time of a key: its comment, with the blanks before it.
    pub(super) fn comment(&self, tenant: &str, id: &str, name: &str) -> Option<&str> {
        comment_in(self.key(tenant, id)?, name)
    }

    fn key(&self, tenant: &str, id: &str) -> Option<&dyn TableLike> {
        let is = |it: &&dyn TableLike, name: &str| text_in(*it, "id") == Some(name);
        let mut tenants = tables(self.0.get("tenants")).into_iter();
        let tenant = tenants.find(|it| is(it, tenant))?;
        tables(tenant.get("keys")).into_iter().find(|it| is(it, id))
    }

    /// Gives one time of a key back the text that it had, and the comment; without a text it is removed.
    pub(super) fn restore_time(
        &mut self,
        tenant: &str,
        id: &str,
        name: &str,
        (text, comment): (Option<&str>, &str),
    ) -> Result<(), NoTenant> {
        let tenant = self.tenant(tenant)?;
        for key in tables_mut(tenant.get_mut("keys")) {
            let Place::Block(key) = key else { continue };
            if text_in(key, "id") != Some(id) {
                continue;
            }
            match text.and_then(|text| text.parse::<Value>().ok()) {
                Some(old) => key.insert(name, Item::Value(old.decorated(" ", comment))),
                None => key.remove(name),
            };
        }
        Ok(())
    }

    /// The text of one time of a key, as it is typed.
    pub(super) fn typed_time(&self, tenant: &str, id: &str, name: &str) -> Option<String> {
        let mut typed = self.key(tenant, id)?.get(name)?.as_value()?.clone();
        typed.decor_mut().clear();
        Some(typed.to_string())
    }

    fn tenant(&mut self, name: &str) -> Result<&mut dyn TableLike, NoTenant> {
        let places = tables_mut(self.0.get_mut("tenants"));
        let mut tables = places.into_iter().map(|it| match it {
            Place::Block(table) => table as &mut dyn TableLike,
            Place::Inline(table) => table as &mut dyn TableLike,
        });
        tables
            .find(|it| text_in(*it, "id") == Some(name))
            .ok_or(NoTenant)
    }
}

/// How a table is written.
enum Place<'a> {
    /// Below `[[…]]`, one member a line.
    Block(&'a mut Table),
    /// Between braces.
    Inline(&'a mut InlineTable),
}

/// The tables of an array, however it is written.
pub(super) fn tables(item: Option<&Item>) -> Vec<&dyn TableLike> {
    match item {
        Some(Item::ArrayOfTables(all)) => all.iter().map(|it| it as &dyn TableLike).collect(),
        Some(Item::Value(Value::Array(all))) => {
            let tables = all.iter().filter_map(Value::as_inline_table);
            tables.map(|it| it as &dyn TableLike).collect()
        }
        _ => Vec::new(),
    }
}

fn tables_mut(item: Option<&mut Item>) -> Vec<Place<'_>> {
    match item {
        Some(Item::ArrayOfTables(all)) => all.iter_mut().map(Place::Block).collect(),
        Some(Item::Value(Value::Array(all))) => {
            let tables = all.iter_mut().filter_map(Value::as_inline_table_mut);
            tables.map(Place::Inline).collect()
        }
        _ => Vec::new(),
    }
}

/// Puts a table behind the others of an array. It is written as they are.
fn push(parent: &mut dyn TableLike, name: &str, table: Table) {
    match parent.get_mut(name) {
        Some(Item::Value(Value::Array(all))) => push_inline(all, table),
        Some(Item::ArrayOfTables(all)) => all.push(table),
        _ => {
            let mut all = ArrayOfTables::new();
            all.push(table);
            parent.insert(name, Item::ArrayOfTables(all));
        }
    }
}

fn push_inline(all: &mut Array, table: Table) {
    let mut table = table.into_inline_table();
    for (_, value) in table.iter_mut() {
        value.decor_mut().set_suffix(""); // no comment within a line
    }
    all.push(table);
}

/// A key as it is typed.
fn typed(table: &dyn TableLike) -> Option<Key> {
    let owned = |name: &str| text_in(table, name).map(str::to_owned);
    let at = |name: &str| {
        let typed = table.get(name)?.as_value()?;
        let text = match typed {
            Value::Datetime(at) => at.value().to_string(),
            other => other.as_str()?.to_owned(),
        };
        time::seconds(&text)
    };
    let file = owned("file").map(|path| Source::entry_of(path, owned("entry")));
    let source = file.or_else(|| owned("env").map(Source::variable));
    let public = || owned("public").map(|base64| Source::Public { base64 });
    Some(Key {
        id: owned("id")?,
        scheme: owned("scheme").unwrap_or_else(|| "hmac-sha256".to_owned()),
        source: source.or_else(public),
        times: Times {
            not_before: at("not_before"),
            not_after: at("not_after"),
            revoked_at: at("revoked_at"),
        },
    })
}

fn text_in<'a>(table: &'a dyn TableLike, name: &str) -> Option<&'a str> {
    table.get(name)?.as_str()
}

fn comment_in<'a>(table: &'a dyn TableLike, name: &str) -> Option<&'a str> {
    table.get(name)?.as_value()?.decor().suffix()?.as_str()
}

/// A time as it is written into a file.
fn moment(at_s: u64) -> Value {
    let text = time::show(at_s);
    match text.parse::<toml_edit::Datetime>() {
        Ok(at) => at.into(),
        Err(_) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a user: comments everywhere, both ways to write tables, and an end without a section.
    const FILE: &str = r#"# ours
[http]
port = 9090 # not 8080

[[tenants]] # the first
id = "acme"
rate = 1_000

[[tenants.keys]]
id = "a"            # old
file = "/keys/a"
not_after = "2027-02-01T00:00:00+01:00" # the contract ends

[[tenants.params]]
version = "1"

[[tenants]]
id = "beta"
keys = [{ id = "b", env = "B" }]
# the end
"#;

    fn new(id: &str) -> Key {
        Key {
            id: id.to_owned(),
            scheme: "hmac-sha256".to_owned(),
            source: Some(Source::file("/keys/new")),
            times: Times {
                not_before: Some(1_795_957_200),
                ..Times::default()
            },
        }
    }

    #[test]
    fn a_new_key_stands_behind_the_others_and_all_else_is_as_it_was() {
        let mut document = Document::parse(FILE).unwrap();
        document.add_key("acme", &new("n"), " # rotation").unwrap();
        let added = "
[[tenants.keys]]
id = \"n\"
scheme = \"hmac-sha256\"
file = \"/keys/new\"
not_before = 2026-11-29T13:00:00Z # rotation
";
        let expected = FILE.replace("contract ends\n", &format!("contract ends\n{added}"));
        assert_eq!(document.text(), expected);
        document.remove_key("acme", "n").unwrap();
        assert_eq!(document.text(), FILE);
        let of_windows = FILE.replace('\n', "\r\n");
        let mut document = Document::parse(&of_windows).unwrap();
        document.add_key("acme", &new("n"), " # rotation").unwrap();
        assert_eq!(document.text(), expected.replace('\n', "\r\n"));
    }

    #[test]
    fn a_key_in_one_line_is_changed_in_its_line() {
        let mut document = Document::parse(FILE).unwrap();
        document.add_key("beta", &new("n"), " # rotation").unwrap();
        document
            .set_time("beta", "b", "not_after", 1_795_957_200, " # rotation to n")
            .unwrap();
        let text = document.text();
        assert!(Document::parse(&text).is_some(), "{text}");
        let keys = Document::parse(&text).unwrap().keys("beta").unwrap();
        assert_eq!(keys[0].times.not_after, Some(1_795_957_200));
        assert_eq!(keys[1], new("n"));
        assert!(text.ends_with("]\n# the end\n"), "{text}");
    }

    #[test]
    fn an_end_that_was_there_comes_back_with_its_comment() {
        let mut document = Document::parse(FILE).unwrap();
        let before = document.typed_time("acme", "a", "not_after");
        let comment = document
            .comment("acme", "a", "not_after")
            .unwrap()
            .to_owned();
        document
            .set_time("acme", "a", "not_after", 1_795_957_200, " # more")
            .unwrap();
        assert!(
            document
                .text()
                .contains("not_after = 2026-11-29T13:00:00Z # the contract ends # more\n")
        );
        document
            .restore_time("acme", "a", "not_after", (before.as_deref(), &comment))
            .unwrap();
        assert_eq!(document.text(), FILE);
    }

    #[test]
    fn comments_at_the_end_stay_with_what_is_before_them() {
        let file = "[http]\n# port = 8080\n";
        let mut document = Document::parse(file).unwrap();
        document.add_tenant("acme");
        document.add_key("acme", &new("n"), "").unwrap();
        let text = document.text();
        assert!(
            text.starts_with(
                "[http]\n# port = 8080\n\n[[tenants]]\nid = \"acme\"\n\n[[tenants.keys]]\n"
            ),
            "{text}"
        );
        let behind = format!("{text}# about n\n");
        let mut document = Document::parse(&behind).unwrap();
        document.add_key("acme", &new("m"), "").unwrap();
        assert!(document.text().starts_with(&behind), "{}", document.text());
        document.remove_key("acme", "m").unwrap();
        assert_eq!(document.text(), behind);
    }
}
