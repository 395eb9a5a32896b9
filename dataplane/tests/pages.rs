//! The pages for operators against what the program says of itself: settings, metrics, exit codes, problems. A page that
//! forgets one, or knows one too many, fails here. No gateway is started.

#![allow(clippy::unwrap_used)] // tests may

use flk_contract::ParamsVersion;
use flk_dataplane::config::{VARIABLES, Variable};
use flk_dataplane::dedup::slice::{ENTRIES_PER_BLOCK, SliceMeta, SliceWriter};
use flk_dataplane::dedup::{Decided, Key};
use flk_dataplane::exit::Exit;
use flk_dataplane::http::Problem;
use flk_dataplane::stats::reference::reference;
use flk_dataplane::stats::spans::{SPANS, Span};
use flk_dataplane::stats::table::metrics;
use flk_dataplane::wal::buffer::BLOCK_BYTES;
use std::collections::BTreeSet;
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A setting as a row of a table: what `flk-dataplane --help` says, word for word.
fn row(variable: Variable) -> String {
    let (name, key) = (variable.name(), variable.key());
    let (default, allowed) = (variable.default(), variable.allowed());
    format!("| `{name}` | `{key}` | {default} | {allowed} |")
}

/// The rows of a page whose first cell looks like a variable: capitals, digits and `_` in backticks.
fn rows(text: &str) -> Vec<&str> {
    let is_variable = |line: &&str| {
        let cell = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split_once('`'));
        let name = cell.map_or("", |(name, _)| name);
        let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !name.is_empty() && name.bytes().all(fits)
    };
    text.lines().filter(is_variable).collect()
}

#[test]
fn the_table_of_settings_is_what_help_says_in_the_same_order() {
    let expected: Vec<String> = VARIABLES.iter().copied().map(row).collect();
    let table = expected.join("\n");
    assert_eq!(
        rows(&page("docs/operations.md")),
        expected,
        "the table of docs/operations.md should be\n{table}\n"
    );
}

/// Bytes of an id in a slice: its share of a block, of the filters, and of the index.
fn slice_bytes_per_id() -> f64 {
    BLOCK_BYTES as f64 / ENTRIES_PER_BLOCK as f64 + memory_bytes_per_id()
}

/// Bytes of an id in memory: its share of the filters, and of the index.
fn memory_bytes_per_id() -> f64 {
    FILTER_BITS_PER_ID / 8.0 + 8.0 / ENTRIES_PER_BLOCK as f64
}

/// As `docs/slice-format.md` promises; the test below measures it.
const FILTER_BITS_PER_ID: f64 = 14.0;

#[test]
fn the_capacities_of_the_page_on_storage_follow_from_the_formats() {
    let text = page("docs/storage.md");
    let (disk, memory) = (slice_bytes_per_id(), memory_bytes_per_id());
    assert!(
        text.contains(&format!("seconds of DEDUP_TTL × {disk:.2}\n")),
        "{disk}"
    );
    assert!(
        text.contains(&format!("seconds of DEDUP_TTL × {memory:.3}\n")),
        "{memory}"
    );
    for per_second in [100.0, 1_000.0, 10_000.0] {
        let ids = per_second * 14.0 * 86_400.0;
        let cells = [
            format!("{:.1} GB", ids * disk / 1e9),
            format!("{:.2} GB", ids * memory / 1e9),
            format!("{:.1} GB", per_second * 86_400.0 * (640.0 + 230.0) / 1e9),
        ];
        let row = cells.join(" | ");
        let line = text
            .lines()
            .find(|it| it.starts_with(&format!("| {per_second} |")));
        let line = line.unwrap_or_else(|| panic!("no row for {per_second} ids per second"));
        assert!(line.ends_with(&format!("| {row} |")), "{line}: {row}");
    }
}

#[test]
fn a_slice_is_as_large_as_the_page_on_storage_says() {
    const IDS_LOG2: u32 = 17;
    const FIXED_BYTES_MAX: f64 = 192.0 * 1024.0;
    let mut writer = SliceWriter::new(SliceMeta::default(), &[ParamsVersion::ONE]);
    for number in 0..1u64 << IDS_LOG2 {
        let key = Key {
            high: number << (64 - IDS_LOG2),
            low: number,
        };
        let decided = Decided {
            key,
            expiry: 1,
            ..Decided::default()
        };
        writer.push(&decided).unwrap();
    }
    let summary = writer.finish(&[]).unwrap().summary;
    let by_ids = summary.entries_count as f64 * slice_bytes_per_id();
    let fixed = summary.file_bytes as f64 - by_ids;
    assert!(
        (0.0..=FIXED_BYTES_MAX).contains(&fixed),
        "{fixed} bytes more"
    );
}

#[test]
fn the_readme_says_of_a_setting_only_what_help_says() {
    let expected: Vec<String> = VARIABLES.iter().copied().map(row).collect();
    let text = page("README.md");
    let shown = rows(&text);
    assert!(!shown.is_empty(), "the README shows no setting");
    for row in shown {
        assert!(expected.iter().any(|known| known == row), "{row}");
    }
}

#[test]
fn the_readme_names_the_oldest_rust_that_builds_it() {
    let needed = format!("**Rust {}** or newer", env!("CARGO_PKG_RUST_VERSION"));
    assert!(page("README.md").contains(&needed), "{needed}");
}

#[test]
fn the_page_of_metrics_is_what_the_program_prints() {
    assert_eq!(
        page("docs/metrics.md"),
        reference(),
        "flk-dataplane --metrics-reference > docs/metrics.md writes it anew"
    );
}

#[test]
fn the_page_for_operators_names_only_metrics_that_exist() {
    let known: BTreeSet<&str> = metrics().map(|metric| metric.name).collect();
    let page = page("docs/operations.md");
    let mut named = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split('{').next())
        .filter(|word| word.starts_with("flk_") || word.starts_with("http_request"))
        .peekable();
    assert!(named.peek().is_some());
    for name in named {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn the_page_for_operators_has_the_table_of_spans() {
    let row = |span: &Span| {
        let names = span.attributes.iter().map(|it| format!("`{}`", it.name));
        let names = names.collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "—" } else { &names };
        format!("| `{}` | {} | {names} |", span.name, span.about)
    };
    let table = SPANS.iter().map(row).collect::<Vec<_>>().join("\n");
    assert!(page("docs/operations.md").contains(&table), "{table}");
}

#[test]
fn every_problem_stands_in_its_page_once_and_no_other() {
    let row = |problem: &Problem| {
        let (status, code, detail) = (problem.status(), problem.code(), problem.detail());
        format!("| {status} | `{code}` | {detail} |")
    };
    let mut expected: Vec<String> = Problem::ALL.iter().map(row).collect();
    let page = page("docs/problems.md");
    let rows = page.lines().filter(|line| {
        let cell = line.strip_prefix("| ").and_then(|rest| rest.get(..3));
        cell.is_some_and(|cell| cell.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let mut rows: Vec<&str> = rows.collect();
    expected.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, expected);
}

#[test]
fn every_503_and_429_that_is_answered_is_explained() {
    let page = page("docs/operations.md");
    for problem in Problem::ALL
        .iter()
        .filter(|it| [429, 503].contains(&it.status()))
    {
        let code = format!("`{}`", problem.code());
        assert!(page.contains(&code), "{code} is not in docs/operations.md");
    }
}

#[test]
fn the_exit_codes_of_help_are_those_of_the_page() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_flk-dataplane"))
        .arg("--help")
        .output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let (_, codes) = help.split_once("Exit codes:").unwrap();
    let told: Vec<&str> = codes.lines().filter_map(first_number).collect();
    assert!(told.len() > 3, "{codes}");
    let page = page("docs/operations.md");
    let (_, table) = page.split_once("## Exit codes").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let explained: Vec<&str> = rows.filter_map(first_number).collect();
    assert_eq!(explained, told);
}

#[test]
fn the_unit_of_the_page_restarts_after_what_may_pass_and_after_nothing_else() {
    let page = page("docs/operations.md");
    let prevented = page
        .lines()
        .find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
    let prevented: Vec<&str> = prevented.unwrap().split(' ').collect();
    let ends = Exit::ALL.iter().filter(|&&exit| exit != Exit::Stopped);
    let looked_at: Vec<String> = ends
        .filter(|exit| !exit.is_worth_a_restart())
        .map(|exit| exit.code().to_string())
        .collect();
    assert_eq!(prevented, looked_at);
}

/// The number that a line begins with.
fn first_number(line: &str) -> Option<&str> {
    let word = line.split_ascii_whitespace().next()?;
    word.parse::<u8>().ok().map(|_| word)
}
