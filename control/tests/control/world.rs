//! A directory with a configuration file, a data plane that does what a test tells it, and `flk-control` beside it.

use crate::fake::Fake;
use flk_control::options::Options;
use flk_dataplane::snapshot::Document;
use flk_testkit::client::{Connection, Response};
use flk_testkit::process::{Ended, Process};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_flk-control");
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The world of one test.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) dataplane: Fake,
}

impl World {
    /// With this rate in force, and in the file.
    pub(crate) fn with_rate(rate: u32) -> World {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        write_file(path, rate);
        std::fs::write(path.join("key"), KEY).unwrap();
        let dataplane = Fake::start(&path.join("wal"), document(path));
        World {
            directory,
            dataplane,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the file as an editor does: another one takes its place.
    pub(crate) fn set_rate(&self, rate: u32) {
        write_file(self.path(), rate);
    }

    /// Replaces the file by any text.
    pub(crate) fn set_text(&self, text: &str) {
        let aside = self.path().join("flk.toml~");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, self.path().join("flk.toml")).unwrap();
    }

    /// A command that starts control here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .current_dir(self.path())
            .env("ADMIN_LISTEN", "127.0.0.1:0")
            .args(["--config", "flk.toml", "--dataplane"])
            .arg(self.dataplane.metrics_at.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Starts control and waits until it has seen the data plane and listens.
    pub(crate) fn start(&self) -> Control {
        Control::start(self.command())
    }

    /// Lines of the audit log.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.audit_path()).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap();
        text.lines().map(parse).collect()
    }

    pub(crate) fn audit_path(&self) -> PathBuf {
        self.path().join("control/audit.jsonl")
    }
}

/// The text of a file with this rate.
pub(crate) fn text(rate: u32) -> String {
    format!("[wal]\ndir = \"wal\"\n[signing]\nhmac_key_file = \"key\"\n[limits]\nrate = {rate}\n")
}

fn write_file(directory: &Path, rate: u32) {
    let aside = directory.join("flk.toml~");
    std::fs::write(&aside, text(rate)).unwrap();
    std::fs::rename(aside, directory.join("flk.toml")).unwrap();
}

/// What the file of a directory comes to, as control reads it there.
fn document(directory: &Path) -> Document {
    let file = directory.join("flk.toml");
    let here = std::fs::read_to_string(&file).unwrap();
    let key = directory.join("key");
    let absolute = here.replace("\"key\"", &format!("{:?}", key.to_str().unwrap()));
    let other = directory.join("absolute.toml");
    std::fs::write(&other, absolute).unwrap();
    let arguments = ["--config".to_owned(), other.to_str().unwrap().to_owned()];
    let options = Options::parse(arguments).unwrap();
    options.reader()().unwrap().document
}

/// A running control process.
pub(crate) struct Control {
    pub(crate) process: Process,
}

impl Control {
    pub(crate) fn start(command: Command) -> Control {
        let process = Process::start(command).unwrap();
        process.wait_until_said("the data plane answers");
        process.wait_until_said("admin API on http://");
        Control { process }
    }

    /// Where its admin API listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let said = self.process.said();
        let rest = said.split("admin API on http://").nth(1).unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    }

    /// Sends a request with these fields.
    pub(crate) fn ask(&self, method: &str, path: &str, fields: &str) -> Response {
        let mut connection = Connection::open(self.address()).unwrap();
        let host = self.address();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        connection.send(request.as_bytes()).unwrap();
        connection.response().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let response = self.ask("GET", path, "");
        assert_eq!(response.status, 200, "{}", response.text());
        serde_json::from_str(response.text()).unwrap()
    }

    pub(crate) fn post(&self, path: &str) -> Value {
        let response = self.ask("POST", path, "Content-Length: 0\r\n");
        assert_eq!(response.status, 200, "{}", response.text());
        serde_json::from_str(response.text()).unwrap()
    }

    /// A sample of its metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let response = self.ask("GET", "/metrics", "");
        flk_testkit::metrics::Metrics::read(response.text()).count(name)
    }

    pub(crate) fn said(&self, what: &str) {
        self.process.wait_until_said(what);
    }

    pub(crate) fn stop(mut self) -> Ended {
        self.process.stop()
    }
}
