//! `flk up` as a gateway for tests: in a directory of its own, on a port that is free, ended with the test.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use crate::common::{Ran, flk, run};
use flk_testkit::plan::Plan;
use flk_testkit::{DEADLINE, wait_until};
use std::path::Path;

/// `flk up` with one shard that serves from `data` in a directory, on the port that `PORT` says.
pub fn up(dir: &Path) -> Plan {
    Plan::bare(env!("CARGO_BIN_EXE_flk"))
        .with_arguments(&["up", "--cores", "1"])
        .in_directory(dir)
        .with("ADMIN_LISTEN", "127.0.0.1:0")
        .with("WAL_SEGMENT_BYTES", "4MiB")
        .with("DEDUP_MEMORY_MAX", "16MiB")
}

pub struct Gateway {
    running: flk_testkit::gateway::Gateway,
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
        Self::start_as(dir, &["--port", "0"], variables)
    }

    /// The same without a control process.
    pub fn start_alone(dir: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_as(dir, &["--port", "0", "--no-control"], variables)
    }

    fn start_as(dir: &Path, arguments: &[&'static str], variables: &[(&str, &str)]) -> Self {
        let mut plan = up(dir).with_arguments(arguments);
        for (name, value) in variables {
            plan = plan.with(name, value);
        }
        let running = plan.launch().unwrap();
        running.wait_until_said(" wal inspect");
        Self {
            url: running.url(),
            said: running.said(),
            running,
        }
    }

    /// Sends records to it; retries wait until it is ready.
    pub fn submit(&self, dir: &Path, input: &[u8]) -> Ran {
        let args = ["pcs", "submit", "--attempts", "12", "--url", &self.url];
        run(flk(dir).args(args), input)
    }

    /// Waits until it has said this, and returns all that it said.
    pub fn wait_until_said(&self, what: &str) -> String {
        self.running.wait_until_said(what);
        self.running.said()
    }

    /// Where the admin API of its control process listens.
    pub fn admin(&self) -> String {
        let said = self.wait_until_said("admin API on http://");
        let rest = said.rsplit("admin API on http://").next().unwrap();
        rest.split(',').next().unwrap().to_owned()
    }

    /// What it answers to a GET.
    pub fn get(&self, path: &str) -> flk_testkit::client::Response {
        self.running.get(path)
    }

    /// Waits until it takes records.
    pub fn wait_until_ready(&self) {
        wait_until("it takes records", DEADLINE, || {
            self.get("/readyz").status == 200
        });
    }

    /// Asks it to stop, and does not wait.
    pub fn terminate(&self) {
        self.running.terminate();
    }

    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    /// Asks it to stop and waits; its exit code.
    pub fn stop(self) -> i32 {
        self.running.stop().code()
    }
}
