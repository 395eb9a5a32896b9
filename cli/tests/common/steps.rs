//! Commands of a page, as they stand in its blocks of code behind a `$`, with what is shown below each.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use crate::common::{Ran, run};
use std::path::Path;
use std::process::Command;

/// A command with the lines that are shown below it.
pub struct Step {
    pub command: String,
    pub shown: Vec<String>,
}

/// All commands of a text.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let pieces: Vec<&str> = text.split("```").collect();
    // every second piece between fences is code, as far to the right as the fence above it
    for pair in pieces.chunks_exact(2) {
        let indent = pair[0].rsplit('\n').next().unwrap();
        for line in pair[1].lines() {
            let line = line.strip_prefix(indent).unwrap_or(line);
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(step)) if step.command.trim_end().ends_with('|') => {
                    step.command += line;
                }
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => {}
            }
        }
    }
    steps
}

/// Runs a command in a directory, with the gateway that is meant by the usual address.
pub fn shell(dir: &Path, url: &str, line: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_flk")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.current_dir(dir).env_clear().env("PATH", path);
    command.env("FLK_URL", url);
    let line = line.replace("http://127.0.0.1:8080", url);
    run(command.args(["-c", &line]), b"")
}

/// What of a line must be there: how it goes on behind `…` may differ.
pub fn said_as_shown(shown: &str, said: &str) -> bool {
    let shown = shown.split('…').next().unwrap();
    said.lines().any(|line| line.starts_with(shown))
}
