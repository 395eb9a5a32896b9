//! Applies the rules of this repository to every file of it; a failure lists each place and what to do there.
//! It never repairs anything.

use flk_checks::files::{self, File};
use flk_checks::{
    Finding, console, cycles, decisions, dependencies, links, modules, packages, rust, unused,
};

fn check(findings: impl IntoIterator<Item = Finding>) {
    let lines: Vec<String> = findings
        .into_iter()
        .map(|finding| finding.to_string())
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn texts() -> Vec<File> {
    files::texts(&files::root())
        .unwrap_or_else(|error| panic!("the repository cannot be read: {error}"))
}

fn texts_with(extension: &str) -> Vec<File> {
    let mut files = texts();
    files.retain(|file| file.has_extension(extension));
    assert!(
        !files.is_empty(),
        "no .{extension} file was found: the walk is broken"
    );
    files
}

#[test]
fn every_rust_file_opens_with_prose() {
    check(texts_with("rs").iter().filter_map(rust::opens_with_prose));
}

#[test]
fn every_rust_file_can_be_read_in_one_sitting() {
    check(
        texts_with("rs")
            .iter()
            .filter_map(rust::is_readable_in_one_sitting),
    );
}

#[test]
fn every_function_is_short() {
    check(texts_with("rs").iter().flat_map(rust::has_short_functions));
}

#[test]
fn nothing_is_public_that_nothing_uses() {
    check(unused::declarations(&texts_with("rs")));
}

#[test]
fn unsafe_code_stays_in_its_directories() {
    check(texts_with("rs").iter().flat_map(rust::is_safe_or_allowed));
}

#[test]
fn every_skipped_part_of_a_test_is_in_the_list() {
    check(texts_with("rs").iter().flat_map(rust::skips_by_the_list));
}

#[test]
fn no_work_is_left_as_a_mark_in_a_file() {
    check(texts().iter().flat_map(rust::has_no_left_work));
}

#[test]
fn the_gateway_prints_nothing_past_its_console() {
    check(
        texts_with("rs")
            .iter()
            .flat_map(rust::prints_by_the_console),
    );
}

#[test]
fn every_dependency_has_its_reason() {
    let manifests = texts_with("toml");
    let root = manifests
        .iter()
        .filter(|file| file.path.as_os_str() == "Cargo.toml");
    check(root.flat_map(dependencies::without_reason));
}

#[test]
fn the_page_of_packages_says_what_cargo_says() {
    let file = |path: &str| {
        let text = std::fs::read_to_string(files::root().join(path));
        let text = text.unwrap_or_else(|error| panic!("{path} cannot be read: {error}"));
        let path = path.into();
        File { path, text }
    };
    let page = file("docs/decisions/0031-packages-of-the-design.md");
    check(packages::told_otherwise(
        &page,
        &file("Cargo.toml"),
        &file("Cargo.lock"),
    ));
}

#[test]
fn every_version_is_declared_at_the_root() {
    // Two are workspaces of their own: the fuzz package needs flags of its own, and what peers need is not the product's.
    const OWN: [&str; 2] = ["tests/fuzz", "benches/peers/servers"];
    let members = texts_with("toml").into_iter().filter(|file| {
        file.path
            .file_name()
            .is_some_and(|name| name == "Cargo.toml")
            && !OWN.iter().any(|it| file.path.starts_with(it))
    });
    check(members.flat_map(|file| dependencies::versions_outside_the_root(&file)));
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let root = files::root();
    check(
        texts_with("md")
            .iter()
            .flat_map(|page| links::broken(page, &root)),
    );
}

#[test]
fn decisions_are_numbered_without_holes() {
    check(decisions::out_of_order(
        texts().iter().map(|file| file.path.as_path()),
    ));
}

#[test]
fn modules_of_the_data_plane_use_only_those_before_them() {
    let page = files::root().join("docs/ARCHITECTURE.md");
    let page = std::fs::read_to_string(page)
        .unwrap_or_else(|error| panic!("docs/ARCHITECTURE.md cannot be read: {error}"));
    let order = modules::order(&page);
    assert!(order.len() > 5, "the table of modules is not found");
    check(modules::uses_against_the_order(&texts_with("rs"), &order));
}

#[test]
fn files_of_a_folder_use_each_other_in_one_direction() {
    check(cycles::uses_in_a_circle(&texts_with("rs")));
}

#[test]
fn scripts_of_the_console_can_be_read_and_make_no_markup_of_text() {
    let mut scripts = texts();
    scripts.retain(console::is_script);
    assert!(
        !scripts.is_empty(),
        "no script of the console was found: the walk is broken"
    );
    check(scripts.iter().flat_map(console::is_readable));
    check(scripts.iter().flat_map(console::makes_markup_of_text));
}

#[test]
fn every_package_of_the_console_has_its_reason() {
    let files = texts();
    let file = |name| console::file(&files, name).unwrap_or_else(|| panic!("no {name}"));
    check(console::without_reason(
        file("package.json"),
        file("README.md"),
    ));
}
