//! A real gateway for tests: `flk up` in a directory of its own, on a port that is free, ended with the test.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use crate::common::{Ran, flk, run};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A gateway that serves from `data` in a directory.
pub struct Gateway {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub url: String,
    /// What it said until it had said what to try.
    pub said: String,
}

impl Gateway {
    /// Starts one and waits until it says where it listens, and what to try.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// The same with further variables.
    pub fn start_with(dir: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = flk(dir);
        command
            .envs(variables.iter().copied())
            .args(["up", "--port", "0", "--cores", "1"])
            .env("WAL_SEGMENT_BYTES", "4MiB")
            .env("DEDUP_MEMORY_MAX", "16MiB");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut gateway = Self {
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
            url: String::new(),
            said: String::new(),
        };
        gateway.read_address();
        gateway
    }

    fn read_address(&mut self) {
        let is_last = |said: &str| {
            said.lines()
                .last()
                .is_some_and(|it| it.contains(" wal inspect"))
        };
        while self.url.is_empty() || !is_last(&self.said) {
            let before = self.said.len();
            let read = self.stderr.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it does not start: {}", self.said);
            if let Some((_, url)) = self.said[before..].trim_end().split_once("listens on ") {
                self.url = url.to_owned();
            }
        }
    }

    /// Sends records to it; retries wait until it is ready.
    pub fn submit(&self, dir: &Path, input: &[u8]) -> Ran {
        let args = ["pcs", "submit", "--attempts", "12", "--url", &self.url];
        run(flk(dir).args(args), input)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits; its exit code.
    pub fn stop(mut self) -> i32 {
        let pid = self.pid().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        while self.stderr.read_line(&mut rest).unwrap() > 0 {}
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Gateway {
    /// Ends it without a word, as a crash would.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
