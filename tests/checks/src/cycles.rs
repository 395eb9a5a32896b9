//! The files of a folder use each other in one direction only. A folder is a module of a crate, its files and folders the
//! modules in it; the module itself, which stands above them, may share anything with them. It reads `use` and paths, not
//! calls of methods, and leaves out tests and what only planted bugs need.

use crate::Finding;
use crate::files::{File, is_of_tests, without_comments_and_tests};
use std::collections::{BTreeMap, BTreeSet};

/// What a file begins with that holds mistakes only: it belongs to each of the places where they are planted.
const ONLY_PLANTED: &str = "#![cfg(feature = \"planted-bugs\")]\n";

/// The path of a module in its crate.
type Module = Vec<String>;

/// Who uses whom in one folder, with the file and line of one such use.
type Folder<'a> = BTreeMap<(String, String), (&'a File, usize)>;

/// Uses that are part of a cycle between two modules of one folder, in each crate.
pub fn uses_in_a_circle(files: &[File]) -> Vec<Finding> {
    let roots = files.iter().filter_map(|file| root_of(file.path.to_str()?));
    let roots: BTreeSet<&str> = roots.collect();
    roots
        .iter()
        .flat_map(|root| in_crate(files, root))
        .collect()
}

/// The folder of a crate's sources, if this file is the crate's root.
fn root_of(path: &str) -> Option<&str> {
    let root = path
        .strip_suffix("lib.rs")
        .or(path.strip_suffix("main.rs"))?;
    root.ends_with("src/").then_some(root)
}

fn in_crate(files: &[File], root: &str) -> Vec<Finding> {
    let inside = |file: &File| {
        let path = file.path.to_str()?.strip_prefix(root)?.to_owned();
        let module = module_of(&path)?;
        let is_test = module.iter().any(|part| is_of_tests(part));
        (!path.starts_with("bin/") && !is_test).then_some(module)
    };
    let modules: BTreeMap<Module, &File> = files
        .iter()
        .filter(|file| !file.text.contains(ONLY_PLANTED))
        .filter_map(|file| Some((inside(file)?, file)))
        .collect();
    let mut folders: BTreeMap<Module, Folder<'_>> = BTreeMap::new();
    for (module, &file) in &modules {
        for (line, path) in paths(&file.text) {
            let Some(used) = resolved(&path, module, &modules) else {
                continue;
            };
            let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.get(common), used.get(common)) {
                let folder = folders.entry(module[..common].to_vec()).or_default();
                let edge = (from.clone(), to.clone());
                folder.entry(edge).or_insert((file, line));
            }
        }
    }
    folders.values().flat_map(circles).collect()
}

/// Uses from which a way leads back.
fn circles(folder: &Folder<'_>) -> Vec<Finding> {
    let in_a_circle = folder
        .iter()
        .filter(|((from, to), _)| reaches(folder, to, from));
    let findings = in_a_circle.map(|((from, to), (file, line))| {
        let what = format!("`{from}` uses `{to}`, which uses `{from}`, perhaps through others: move what both need to a file below both");
        Finding::at(file, *line, what)
    });
    findings.collect()
}

fn reaches(folder: &Folder<'_>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        let used = folder.keys().filter(|(user, _)| user == module);
        open.extend(
            used.map(|(_, used)| used.as_str())
                .filter(|it| seen.insert(it)),
        );
    }
    false
}

/// The module of a file, by its path below the crate's root.
fn module_of(path: &str) -> Option<Module> {
    let path = path.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let parts = path.split('/').map(str::to_owned);
    Some(match path {
        "lib" | "main" => Module::new(),
        _ => parts.collect(),
    })
}

/// The module that a path names, or that has what it names; nothing for paths into other crates.
fn resolved(path: &str, from: &Module, modules: &BTreeMap<Module, &File>) -> Option<Module> {
    let mut parts = path.split("::").peekable();
    let mut at = match *parts.peek()? {
        "crate" => Module::new(),
        "super" | "self" => from.clone(),
        first => {
            let mut child = from.clone();
            child.push(first.to_owned());
            modules.contains_key(&child).then(|| from.clone())?
        }
    };
    for part in parts {
        match part {
            "crate" | "self" => {}
            "super" => drop(at.pop()),
            part => {
                at.push(part.to_owned());
                if !modules.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
        }
    }
    Some(at)
}

/// Every path in a text, with its line: those that `use` brings in, and those that begin with `crate` or `super`. What is made
/// public again is no use, and neither is how far something may be seen.
fn paths(text: &str) -> Vec<(usize, String)> {
    let code = without_comments_and_tests(text);
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let begin = code[..at]
            .rfind(['\n', ';', '{', '}'])
            .map_or(0, |it| it + 1);
        if code[begin..at].trim().is_empty()
            && let Some((tree, _)) = code[at + 4..].split_once(';')
        {
            let line = line_of(&code, at);
            let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
            expand("", &tree, &mut |path| paths.push((line, path)));
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            let is_inside = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let is_seen_from = before.ends_with("pub(in ") || before.ends_with("pub(");
            let line = before.rfind('\n').map_or(0, |it| it + 1);
            let is_use = before[line..].contains("use ");
            if is_inside || is_seen_from || is_use {
                continue;
            }
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = code[at..]
                .find(|c| !is_path(c))
                .map_or(code.len(), |it| at + it);
            paths.push((line_of(&code, at), code[at..end].to_owned()));
        }
    }
    paths
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].bytes().filter(|&byte| byte == b'\n').count()
}

/// Each path of a tree: `a::{b, c::d}` has `a::b` and `a::c::d`.
fn expand(before: &str, tree: &str, take: &mut impl FnMut(String)) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return take(format!("{before}{path}"));
    };
    let rest = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in rest.char_indices().chain([(rest.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = rest[begin..at].trim();
                if !part.is_empty() {
                    expand(&format!("{before}{head}"), part, take);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File::of(path, text))
            .collect();
        let findings = uses_in_a_circle(&files);
        findings.iter().map(ToString::to_string).collect()
    }

    const ROOT: (&str, &str) = ("x/src/lib.rs", "mod a;\nmod b;\nmod c;\n");

    #[test]
    fn two_files_that_use_each_other_are_found_with_their_lines() {
        let a = ("x/src/a.rs", "//! A.\n\nuse crate::b::{self, One};\n");
        let b = ("x/src/b.rs", "//! B.\nfn f(it: super::a::Two) {}\n");
        let found = check(&[ROOT, a, b]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("x/src/a.rs:3: `a` uses `b`"));
        assert!(found[1].starts_with("x/src/b.rs:2: `b` uses `a`"));
    }

    #[test]
    fn a_circle_of_three_is_found_and_a_chain_is_not() {
        let [a, b] = [
            ("x/src/a.rs", "use crate::b::B;"),
            ("x/src/b/mod.rs", "mod d;"),
        ];
        let d = ("x/src/b/d.rs", "use crate::{\n    c::C,\n};");
        let c = ("x/src/c.rs", "");
        assert_eq!(check(&[ROOT, a, b, d, c]), Vec::<String>::new());
        let c = ("x/src/c.rs", "use super::a::A;");
        assert_eq!(check(&[ROOT, a, b, d, c]).len(), 3);
    }

    #[test]
    fn a_folder_and_what_is_in_it_may_use_each_other() {
        let a = ("x/src/a/mod.rs", "mod e;\nuse e::E;\nuse self::e::F;");
        let e = ("x/src/a/e.rs", "use super::A;");
        assert_eq!(check(&[ROOT, a, e]), Vec::<String>::new());
    }

    #[test]
    fn tests_comments_visibility_and_what_is_made_public_again_do_not_count() {
        let a = ("x/src/a.rs", "use crate::b::B;");
        for text in [
            "// use crate::a::A;",
            "pub use crate::a::A;",
            "pub(in crate::a) fn f() {}",
            "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}",
            "use other::a::A;",
        ] {
            let found = check(&[ROOT, a, ("x/src/b.rs", text)]);
            assert_eq!(found, Vec::<String>::new(), "{text}");
        }
        let tests = [("x/src/b/tests.rs", "use crate::a::A;"), ("x/src/b.rs", "")];
        assert_eq!(check(&[ROOT, a, tests[0], tests[1]]), Vec::<String>::new());
    }
}
