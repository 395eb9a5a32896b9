//! The exit codes of a command, case by case, compared with those that its help promises.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use crate::common::{codes, flk, run};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The key of commands that need one.
pub const KEY: &str = "an example of a key with 32 bytes";

/// What a command ended with, case by case.
pub struct Cases {
    words: &'static [&'static str],
    pub seen: BTreeSet<i32>,
}

impl Cases {
    pub fn of(words: &'static [&'static str]) -> Self {
        Self {
            words,
            seen: BTreeSet::new(),
        }
    }

    pub fn command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = flk(dir);
        command.args(self.words).args(args).env("PCS_HMAC_KEY", KEY);
        command
    }

    pub fn check(&mut self, expect: i32, dir: &Path, args: &[&str], input: &[u8]) {
        let ran = run(&mut self.command(dir, args), input);
        let said = ran.stdout + &ran.stderr;
        assert_eq!(ran.code, expect, "{:?} {args:?}: {said}", self.words);
        assert_plain(&said);
        self.seen.insert(expect);
    }

    /// What it does where its output cannot be written.
    pub fn check_full(&mut self, dir: &Path, args: &[&str], input: &[u8]) {
        let mut command = self.command(dir, args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(File::create("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).ok();
        let ran = child.wait_with_output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(74), "{args:?}: {said}");
        assert!(said.contains("no space is left"), "{said}");
        assert_plain(&said);
        self.seen.insert(74);
    }

    /// What its help promises is what was seen, but for what no test can bring about.
    pub fn end(mut self, beside: &[i32]) {
        let help = run(flk(Path::new(".")).args(self.words).arg("--help"), b"");
        let told: BTreeSet<i32> = codes(&help.stdout).into_iter().collect();
        self.seen.extend(beside);
        assert_eq!(told, self.seen, "{:?}", self.words);
    }
}

/// No library's wording and no number of an error of the system.
pub fn assert_plain(said: &str) {
    for text in [
        "os error",
        "invalid digit",
        "expected number",
        "at line 1 column",
        "EOF while",
        "panicked",
        "stream did not contain",
        "invalid float",
    ] {
        assert!(!said.contains(text), "{text}: {said}");
    }
}
