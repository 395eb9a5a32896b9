//! The page `docs/commands.md`: the help of each command as the program prints it, in the order of its help. It adds headings
//! and a list, and not a word about any command.

use clap::Command;
use std::fmt::Write;

/// Width of the help on the page.
pub(super) const COLUMNS: usize = 100;

const BEGINNING: &str = "\
# Commands

Made by `flk commands --markdown`; a test compares. Each section is the help of a command as `--help` prints it: what it does,
its options with their environment variables and defaults, examples, and exit codes.

";

/// The whole page.
pub(super) fn page(mut root: Command) -> String {
    root.build();
    let mut found = Vec::new();
    collect(&mut root, &mut found);
    let mut page = BEGINNING.to_owned();
    for section in &found {
        let depth = section.name.split(' ').count() - 1;
        let Section { name, about, .. } = section;
        let anchor = name.replace(' ', "-");
        let indent = "  ".repeat(depth);
        let _ = writeln!(page, "{indent}- [`{name}`](#{anchor}): {about}");
    }
    for Section { name, help, .. } in &found {
        let _ = write!(page, "\n## {name}\n\n```text\n{help}\n```\n");
    }
    page
}

/// A command.
struct Section {
    /// Its words.
    name: String,
    about: String,
    help: String,
}

/// A command and those below it, without hidden ones.
fn collect(command: &mut Command, found: &mut Vec<Section>) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let about = command.get_about().map(ToString::to_string);
    found.push(Section {
        name: command
            .get_bin_name()
            .unwrap_or(command.get_name())
            .to_owned(),
        about: about.unwrap_or_default().trim_end_matches('.').to_owned(),
        help: lines.join("\n").trim_end().to_owned(),
    });
    for below in command.get_subcommands_mut() {
        if !below.is_hide_set() && below.get_name() != "help" {
            collect(below, found);
        }
    }
}
