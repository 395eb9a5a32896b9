//! Compiles the copy with all mutants in it. A mutant that does not compile is no mistake that anybody could make: it is
//! dropped, and the rest compiled again.

use crate::mutant::Mutant;
use crate::render::{Place, SWITCH, SWITCH_MODULE, render};
use crate::tree;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Crates that mutants are planted in.
const CRATES: [&str; 2] = ["contract", "dataplane"];

const FEATURES: &str = "flk-dataplane/sim,flk-dataplane/planted-bugs";

/// Each round drops at least one mutant; more rounds than this mean that something else is wrong.
const ROUNDS_MAX: usize = 40;

/// What was built.
#[derive(Debug, Default)]
pub(crate) struct Executables {
    /// Test programs, and the directory of the package that each must run in.
    pub(crate) tests: Vec<(PathBuf, PathBuf)>,
    pub(crate) simulator: PathBuf,
}

/// Writes the mutants into the copy and compiles it. Mutants that do not compile are removed.
pub(crate) fn compile(
    root: &Path,
    tree: &Path,
    mutants: &mut Vec<Mutant>,
) -> Result<Executables, Box<dyn Error>> {
    for crate_name in CRATES {
        add_switch(root, tree, crate_name)?;
    }
    for round in 1..=ROUNDS_MAX {
        let places = plant(root, tree, mutants)?;
        let messages = cargo(tree, &["build", "--lib"])?;
        let (bad, strange) = culprits(&messages, &places);
        if bad.is_empty() {
            if let Some(message) = strange {
                return Err(format!("the copy does not compile: {message}").into());
            }
            return build(tree);
        }
        println!("round {round}: {} mutants do not compile", bad.len());
        for mutant in mutants.extract_if(.., |mutant| bad.contains(&mutant.id)) {
            // A file whose only mutant this was is written by nobody else.
            restore(root, tree, &mutant.path)?;
        }
    }
    Err("the copy never compiles".into())
}

/// Writes a source file of the copy; the root of a crate declares the switch.
fn write_source(tree: &Path, path: &Path, mut text: String) -> std::io::Result<()> {
    if path.ends_with("src/lib.rs") {
        text += &format!("\npub(crate) mod {SWITCH_MODULE};\n");
    }
    tree::write(&tree.join(path), text.as_bytes())
}

/// Writes a file of the copy as it was.
fn restore(root: &Path, tree: &Path, path: &Path) -> std::io::Result<()> {
    write_source(tree, path, std::fs::read_to_string(root.join(path))?)
}

fn add_switch(root: &Path, tree: &Path, crate_name: &str) -> std::io::Result<()> {
    let source = Path::new(crate_name).join("src");
    restore(root, tree, &source.join("lib.rs"))?;
    let module = source.join(format!("{SWITCH_MODULE}.rs"));
    tree::write(&tree.join(module), SWITCH.as_bytes())
}

/// Writes every file that has mutants; where they are, by file.
fn plant(
    root: &Path,
    tree: &Path,
    mutants: &[Mutant],
) -> std::io::Result<BTreeMap<PathBuf, Vec<Place>>> {
    let mut by_file: BTreeMap<&Path, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_file.entry(&mutant.path).or_default().push(mutant);
    }
    let mut places = BTreeMap::new();
    for (path, mutants) in by_file {
        let rendered = render(&std::fs::read_to_string(root.join(path))?, &mutants);
        write_source(tree, path, rendered.text)?;
        places.insert(path.to_path_buf(), rendered.places);
    }
    Ok(places)
}

fn cargo(tree: &Path, command: &[&str]) -> Result<Vec<Value>, Box<dyn Error>> {
    let output = Command::new("cargo")
        .args(command)
        .args(["--locked", "-p", "flk-contract", "-p", "flk-dataplane"])
        .args(["--features", FEATURES, "--message-format=json"])
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"))
        .current_dir(tree)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The mutants that errors point at; and an error that points at none.
fn culprits(
    messages: &[Value],
    places: &BTreeMap<PathBuf, Vec<Place>>,
) -> (BTreeSet<u32>, Option<String>) {
    let mut bad = BTreeSet::new();
    let mut strange = None;
    for message in messages {
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let spans = message["spans"].as_array().cloned().unwrap_or_default();
        let found: Vec<u32> = spans
            .iter()
            .filter_map(|span| culprit(span, places))
            .collect();
        if found.is_empty() && !spans.is_empty() {
            strange = message["rendered"].as_str().map(str::to_owned);
        }
        // The first place that is a mutant's: dropping too many would hide mistakes.
        bad.extend(found.first());
    }
    (bad, strange)
}

/// The mutant whose text, or else whose surroundings, hold the span; the innermost of several.
fn culprit(span: &Value, places: &BTreeMap<PathBuf, Vec<Place>>) -> Option<u32> {
    let path = Path::new(span["file_name"].as_str()?);
    let start = usize::try_from(span["byte_start"].as_u64()?).ok()?;
    let end = usize::try_from(span["byte_end"].as_u64()?).ok()?;
    let places = places.get(path)?;
    let own = places
        .iter()
        .filter(|it| it.own.start <= start && end <= it.own.end);
    let around = places
        .iter()
        .filter(|it| it.whole.start <= start && end <= it.whole.end);
    own.min_by_key(|it| it.own.len())
        .or_else(|| around.min_by_key(|it| it.whole.len()))
        .or_else(|| {
            places
                .iter()
                .find(|it| start <= it.whole.start && it.whole.end <= end)
        })
        .map(|it| it.id)
}

/// Test programs that say nothing of mutants: they look at processes, sockets or pages, or judge the simulator itself.
const LEFT_OUT: [&str; 5] = ["drivers", "process", "pages", "start_time", "planted"];

fn build(tree: &Path) -> Result<Executables, Box<dyn Error>> {
    let messages = cargo(tree, &["test", "--no-run"])?;
    let mut executables = Executables::default();
    for message in &messages {
        let Some(program) = message["executable"].as_str() else {
            continue;
        };
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let is_test = message["profile"]["test"] == true;
        let directory = Path::new(message["manifest_path"].as_str().unwrap_or_default());
        let directory = directory.parent().unwrap_or(tree).to_path_buf();
        if is_test && !LEFT_OUT.contains(&name) {
            executables.tests.push((program.into(), directory));
        } else if !is_test && name == "flk-sim" {
            executables.simulator = program.into();
        }
    }
    if executables.tests.is_empty() || !executables.simulator.is_file() {
        return Err("the tests of the copy do not compile".into());
    }
    Ok(executables)
}
