//! Rules for Rust sources: prose at the top, a length that can be read in one sitting, and unsafe code only by name.
//! It looks at lines, not at syntax: what a compiler or clippy can check is left to them.

use std::path::Path;

use crate::Finding;
use crate::files::File;

/// A longer file has more than one subject.
pub const LINES_MAX: usize = 500;

/// A longer function does more than one thing.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Where unsafe code may be, and why. `unsafe_code` is denied everywhere, so each use carries an `allow` as well.
pub const UNSAFE_ALLOWED: [(&str, &str); 5] = [
    (
        "dataplane/src/driver/",
        "rings, mapped memory and system calls",
    ),
    (
        "dataplane/src/wal/buffer.rs",
        "two marker traits that let aligned blocks be seen as bytes",
    ),
    (
        "dataplane/examples/",
        "measurements that ask the kernel what safe wrappers do not",
    ),
    (
        "dataplane/tests/",
        "an allocator that looks at freed memory, and a system call without a wrapper",
    ),
    (
        "benches/stages/tests/",
        "a counting allocator, which the language lets nobody write otherwise",
    ),
];

/// A file opens with what it owns and what it never does.
pub fn opens_with_prose(file: &File) -> Option<Finding> {
    let opens = file
        .text
        .lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with("//! "));
    (!opens).then(|| Finding::at(file, 1, "opens without `//!`: say in two or three sentences what it owns and what it never does"))
}

/// A file has at most [`LINES_MAX`] lines.
pub fn is_readable_in_one_sitting(file: &File) -> Option<Finding> {
    let count = file.text.lines().count();
    (count > LINES_MAX).then(|| {
        Finding::at(
            file,
            LINES_MAX,
            format!("has {count} lines, at most {LINES_MAX}: split it by its nouns"),
        )
    })
}

/// A function has at most [`FUNCTION_LINES_MAX`] lines, from `fn` to its closing brace. That is the first line below that
/// holds a brace only, as far in as the function begins: `cargo fmt` puts it there, and where it does not (in a macro) so do
/// we. A text of several lines may hold such a line too, and ends the count early.
pub fn has_short_functions(file: &File) -> Vec<Finding> {
    let all: Vec<&str> = file.text.lines().collect();
    lines(file)
        .filter(|(_, line)| begins_function(line))
        .filter_map(|(number, line)| {
            let count = function_lines(&all[number - 1..])?;
            let what = format!("a function of {count} lines, at most {FUNCTION_LINES_MAX}: give its parts names of their own");
            (count > FUNCTION_LINES_MAX).then(|| Finding::at(file, number, format!("`{}`: {what}", function_name(line))))
        })
        .collect()
}

/// Whether a declaration of a function begins in this line, with or without a body.
fn begins_function(line: &str) -> bool {
    const QUALIFIERS: [&str; 6] = ["default", "const", "async", "unsafe", "extern", "\"C\""];
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || QUALIFIERS.contains(word) || word.ends_with(')') // of `pub(in path)`
    });
    words.next() == Some("fn")
}

fn function_name(line: &str) -> &str {
    let behind = line.split("fn ").nth(1).unwrap_or_default();
    let end = behind.find(['(', '<']).unwrap_or(behind.len());
    &behind[..end]
}

/// Lines of the function that begins in the first of these; nothing for a declaration without a body, and for one whose
/// body ends in the line in which it begins.
fn function_lines(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let indent = &first[..first.len() - first.trim_start().len()];
    for (at, line) in lines.iter().enumerate() {
        let Some(line) = line.strip_prefix(indent) else {
            continue;
        };
        let is_part_of_head = at == 0 || line.starts_with(')');
        if line.trim_end() == "}" {
            return Some(at + 1);
        }
        if is_part_of_head && (line.ends_with(';') || line.ends_with('}')) {
            return None;
        }
    }
    None
}

/// The word `unsafe` in code, and `allow(unsafe_code)`, appear in [`UNSAFE_ALLOWED`] only.
pub fn is_safe_or_allowed(file: &File) -> Vec<Finding> {
    if UNSAFE_ALLOWED
        .iter()
        .any(|(directory, _)| file.path.starts_with(Path::new(directory)))
    {
        return Vec::new();
    }
    lines(file)
        .filter(|(_, line)| has_unsafe(line))
        .map(|(number, _)| {
            Finding::at(
                file,
                number,
                "unsafe code outside the drivers: move it there or do without",
            )
        })
        .collect()
}

/// Work that is left is either done or written where it is tracked, never a mark in a source. Drawings carry scripts of the library that
/// drew them.
pub fn has_no_left_work(file: &File) -> Vec<Finding> {
    if file.has_extension("svg") {
        return Vec::new();
    }
    const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
    lines(file)
        .filter(|(_, line)| MARKS.iter().any(|mark| has_word(line, mark)))
        .map(|(number, _)| {
            Finding::at(
                file,
                number,
                "work is left here: do it, or state the limit in prose",
            )
        })
        .collect()
}

/// The gateway says its lines through its console: printing blocks where nobody reads, and panics where nothing can be
/// written. What follows the tests' mark is tests; the simulator is a program for a terminal.
pub fn prints_by_the_console(file: &File) -> Vec<Finding> {
    const GATEWAY: [&str; 2] = ["dataplane/src/", "cli/src/up/"];
    const TERMINAL: [&str; 2] = ["dataplane/src/sim/", "dataplane/src/bin/flk-sim.rs"];
    const MACROS: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    let is_in = |all: &[&str]| {
        all.iter()
            .any(|it| file.path.to_string_lossy().starts_with(it))
    };
    let is_test = |part: &str| part.starts_with("test");
    if !is_in(&GATEWAY)
        || is_in(&TERMINAL)
        || file
            .path
            .components()
            .any(|part| is_test(&part.as_os_str().to_string_lossy()))
    {
        return Vec::new();
    }
    lines(file)
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| {
            let code = line.split("//").next().unwrap_or_default();
            MACROS
                .iter()
                .any(|name| has_word(code, &name[..name.len() - 1]) && code.contains(name))
        })
        .map(|(number, _)| Finding::at(file, number, "prints: say it through the console"))
        .collect()
}

/// A skipped part of a test is said by `flk_testkit::skipped`, which keeps the list, and by nothing else.
pub fn skips_by_the_list(file: &File) -> Vec<Finding> {
    const SAID: &str = concat!("\"SKIP", "PED:");
    if file.path.starts_with("tests/testkit") {
        return Vec::new();
    }
    lines(file)
        .filter(|(_, line)| line.contains(SAID))
        .map(|(number, _)| {
            Finding::at(
                file,
                number,
                "a skip that no list shows: call flk_testkit::skipped",
            )
        })
        .collect()
}

fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let inhibited = code.contains("forbid(unsafe_code)") || code.contains("deny(unsafe_code)");
    // A quote before the word means that it is text; such a line would be refused by the compiler's own lint anyway.
    let quoted = code
        .find("unsafe")
        .is_some_and(|at| code[..at].contains('"'));
    !inhibited
        && !quoted
        && (has_word(code, "unsafe")
            || code.contains("allow(unsafe_code)")
            || code.contains("expect(unsafe_code"))
}

/// The word with neither letter, digit nor `_` beside it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word)
    })
}

fn lines(file: &File) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(file.text.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_opens_with_code_is_found() {
        assert!(opens_with_prose(&File::of("a.rs", "use std::io;\n//! Late.")).is_some());
        assert!(opens_with_prose(&File::of("a.rs", "//!\nfn main() {}")).is_some());
        assert!(opens_with_prose(&File::of("a.rs", "//! Owns a thing.\n")).is_none());
    }

    #[test]
    fn a_file_of_one_line_too_many_is_found() {
        assert!(is_readable_in_one_sitting(&File::of("a.rs", &"x\n".repeat(LINES_MAX))).is_none());
        assert!(
            is_readable_in_one_sitting(&File::of("a.rs", &"x\n".repeat(LINES_MAX + 1))).is_some()
        );
    }

    /// A function of so many lines, this far in.
    fn function(head: &str, count: usize) -> File {
        let indent = &head[..head.len() - head.trim_start().len()];
        let body = format!("{indent}    x();\n").repeat(count - 2);
        let text = format!("//! A file.\n{head} {{\n{body}{indent}}}\n\nfn next() {{\n}}\n");
        File::of("a.rs", &text)
    }

    #[test]
    fn a_function_of_one_line_too_many_is_found_wherever_it_stands() {
        for head in [
            "fn long()",
            "    pub(super) async fn long(&mut self) -> bool",
            "        pub(in crate::wal) const unsafe fn long<T: Default>()",
            "pub extern \"C\" fn long()",
        ] {
            assert!(has_short_functions(&function(head, FUNCTION_LINES_MAX)).is_empty());
            let found = has_short_functions(&function(head, FUNCTION_LINES_MAX + 1));
            assert_eq!(found.len(), 1, "{head}");
            assert_eq!(found[0].line, 2, "{head}");
            assert!(found[0].what.starts_with("`long`: a function of 71 lines"));
        }
    }

    #[test]
    fn the_head_of_a_function_counts_and_what_is_behind_it_does_not() {
        let behind =
            "const X: [u8; 80] = [\n".to_owned() + &"    1,\n".repeat(80) + "];\nstruct Y {\n}\n";
        for before in [
            "fn declared();\n",
            "fn short() {}\n",
            "fn declared(\n    a: u8,\n);\n",
            "fn short() {\n}\n",
            "// fn in_prose() {\n",
            "type F = fn();\n",
        ] {
            let file = File::of("a.rs", &format!("{before}{behind}"));
            assert!(has_short_functions(&file).is_empty(), "{before}");
        }
        let head = "fn long(\n".to_owned() + &"    a: u8,\n".repeat(69) + ") {\n}\n";
        assert_eq!(has_short_functions(&File::of("a.rs", &head)).len(), 1);
    }

    #[test]
    fn unsafe_code_is_found_outside_its_directories_only() {
        for text in [
            "unsafe { f() }",
            "pub unsafe fn f() {}",
            "#![allow(unsafe_code)]",
        ] {
            assert_eq!(
                is_safe_or_allowed(&File::of("contract/src/a.rs", text)).len(),
                1,
                "{text}"
            );
            assert!(
                is_safe_or_allowed(&File::of("dataplane/src/driver/uring.rs", text)).is_empty(),
                "{text}"
            );
        }
        for text in [
            "#![forbid(unsafe_code)]",
            "// not unsafe",
            "let unsafely = 1;",
            "say(\"unsafe\");",
        ] {
            assert!(
                is_safe_or_allowed(&File::of("contract/src/a.rs", text)).is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_gateway_that_prints_is_found() {
        let text = "fn a() {\n    eprintln!(\"lost\");\n}\n";
        assert_eq!(
            prints_by_the_console(&File::of("dataplane/src/run.rs", text)).len(),
            1
        );
        assert_eq!(
            prints_by_the_console(&File::of("cli/src/up/mod.rs", text)).len(),
            1
        );
        for path in [
            "cli/src/main.rs",
            "dataplane/src/sim/a.rs",
            "dataplane/src/keeper/tests.rs",
        ] {
            assert!(
                prints_by_the_console(&File::of(path, text)).is_empty(),
                "{path}"
            );
        }
        let text = "fn a() {} // not eprintln!\n#[cfg(test)]\nmod tests { fn a() { println!(\"ok\"); } }\n";
        assert!(prints_by_the_console(&File::of("dataplane/src/run.rs", text)).is_empty());
    }

    #[test]
    fn a_skip_beside_the_list_is_found() {
        let text = concat!("eprintln!(\"SKIP", "PED: no disk\");");
        assert_eq!(
            skips_by_the_list(&File::of("tests/e2e/src/a.rs", text)).len(),
            1
        );
        assert!(skips_by_the_list(&File::of("tests/testkit/src/skip.rs", text)).is_empty());
        let text = "flk_testkit::skipped(\"no disk\");";
        assert!(skips_by_the_list(&File::of("tests/e2e/src/a.rs", text)).is_empty());
    }

    #[test]
    fn left_work_is_found_as_a_word() {
        let mark = concat!("TO", "DO");
        assert_eq!(
            has_no_left_work(&File::of("a.rs", &format!("// {mark}: later"))).len(),
            1
        );
        assert!(has_no_left_work(&File::of("a.rs", &format!("// {mark}S"))).is_empty());
    }
}
