//! Runs what proves an item. An item whose proof cannot be had here is open, and never holds. What was found is judged elsewhere.

use super::items::{By, Item};
use super::judge::{self, text};
use super::verdict::{Proof, Verdict, fail, open, pass};
use super::{ChecklistArgs, files};
use crate::config::wal_dir;
use crate::keys::now_s;
use crate::own::{self, Ran};
use crate::page::Page;
use crate::page::samples::Samples;
use flk_dataplane::config::Mended;
use serde_json::Value;
use std::cell::OnceCell;
use std::time::Duration;

/// A command that looks at settings or asks a process.
const SHORT: Duration = Duration::from_secs(120);
/// A command that reads a log or a backup to its end.
const LONG: Duration = Duration::from_secs(86_400);

const BACKUP_AGE_MAX: &str = "26h";

const DOCTOR: [&str; 3] = ["doctor", "--output", "json"];

/// Parts of a support bundle that are of the log itself, and can be had without a gateway.
const OF_LOG: [&str; 2] = ["wal/files.txt", "wal/segments.txt"];

/// What is looked at, and what was found so far: several items follow from one command.
pub(super) struct Prover<'a> {
    args: &'a ChecklistArgs,
    doctor: OnceCell<Result<Vec<Value>, String>>,
    settings: OnceCell<Result<Vec<Value>, String>>,
    metrics: OnceCell<Result<Samples, String>>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(args: &'a ChecklistArgs) -> Self {
        Self {
            args,
            doctor: OnceCell::new(),
            settings: OnceCell::new(),
            metrics: OnceCell::new(),
        }
    }

    /// Proves an item, as far as that is possible here.
    pub(super) fn prove(&self, item: &Item) -> Proof {
        match (item.by, &self.args.url, &self.args.backups) {
            (By::Hand, ..) => (Verdict::Hand, item.proof.to_owned()),
            (By::Url, None, _) => open("no URL of a gateway is given"),
            (By::Url, Some(url), _) => self.of_gateway(item.id, url),
            (By::Backups, _, None) => open("no place of backups is given: --backups"),
            (By::Backups, _, Some(place)) => self.of_backups(item.id, place),
            (By::Host, ..) => self.of_host(item.id),
        }
    }

    fn of_gateway(&self, id: &str, url: &str) -> Proof {
        match id {
            "code-6" => self.succeeds(&["doctor", "--telemetry", "--url", url], SHORT),
            "code-7" if self.args.no_records => open("--no-records: flk smoke would send some"),
            "code-7" => self.succeeds(&["smoke", url], SHORT),
            "security-6" => self.of_samples(url, keys_are_young),
            "infrastructure-7" => self.is_ready(url),
            "operations-5" => self.of_samples(url, judge::nothing_failed),
            _ => unreachable!("no item {id} is proven by a gateway"),
        }
    }

    fn of_backups(&self, id: &str, place: &str) -> Proof {
        match id {
            "operations-2" => {
                let asked = [
                    "backup",
                    "list",
                    "--from",
                    place,
                    "--older-than",
                    BACKUP_AGE_MAX,
                ];
                match self.run(&asked, SHORT) {
                    // It succeeds where the newest is older, so that a timer can raise an alarm.
                    Ok(ran) if ran.code == Some(1) => pass(last_line(&ran)),
                    Ok(ran) => fail(last_line(&ran)),
                    Err(why) => open(why),
                }
            }
            "operations-3" => self.succeeds(&["restore", "--from", place, "--verify"], LONG),
            _ => unreachable!("no item {id} is proven by a backup"),
        }
    }

    fn of_host(&self, id: &str) -> Proof {
        match id {
            "security-1" => self.succeeds(&["config", "check"], SHORT),
            "security-2" => self.of_settings(judge::is_signed),
            "security-3" => self.of_doctor(|it| judge::as_it_should_be(it, &["configuration"])),
            "security-4" => files::proof(&self.args.file),
            "security-5" => match self.of_settings(judge::is_confined) {
                (Verdict::Pass, _) => {
                    self.of_doctor(|it| judge::as_it_should_be(it, &["landlock"]))
                }
                other => other,
            },
            "infrastructure-1" => match self.refused_setting() {
                Some(mistake) => fail(mistake),
                None => self.of_doctor(judge::nothing_fails),
            },
            "infrastructure-2" => {
                self.of_doctor(|it| judge::disk_is_good(it, || self.objects(&DOCTOR)))
            }
            "infrastructure-3" => self.of_doctor(|it| judge::as_it_should_be(it, &["clock"])),
            "operations-4" => self.log_is_whole(),
            "operations-7" => self.can_be_collected(),
            _ => unreachable!("no item {id} is proven on the host"),
        }
    }

    fn run(&self, arguments: &[&str], within: Duration) -> Result<Ran, String> {
        let (file, wal_dir) = (&self.args.file, self.args.dir.as_deref());
        own::run(&mut own::command(arguments, file, wal_dir), within)
    }

    /// A command that ends with 0 if the item holds, and with 2 if it could not begin.
    fn succeeds(&self, arguments: &[&str], within: Duration) -> Proof {
        match self.run(arguments, within) {
            Ok(ran) if ran.code == Some(0) => pass(last_line(&ran)),
            Ok(ran) => unsuccessful(&ran, last_line),
            Err(why) => open(why),
        }
    }

    /// The first setting that a start of a gateway refuses, and why: `flk up` makes up for a key that is missing, flk-dataplane does not.
    fn refused_setting(&self) -> Option<String> {
        let (raw, mistakes) = self.args.file.read();
        let mistakes = Mended::of(raw, mistakes).mistakes;
        mistakes.first().map(ToString::to_string)
    }

    fn is_ready(&self, url: &str) -> Proof {
        let ran = match self.run(&["smoke", url, "--no-records", "--json"], SHORT) {
            Ok(ran) => ran,
            Err(why) => return open(why),
        };
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let checks = report["checks"].as_array();
        let wrong = checks.into_iter().flatten().find(|it| {
            ["health", "ready"].iter().any(|name| it["check"] == *name) && it["verdict"] != "ok"
        });
        match (checks, wrong) {
            (None, _) => open(last_line(&ran)),
            (Some(_), Some(wrong)) => fail(text(wrong, "said")),
            (Some(_), None) => pass("200 OK"),
        }
    }

    fn log_is_whole(&self) -> Proof {
        let (raw, _) = self.args.file.read();
        let directory = wal_dir(self.args.dir.as_deref(), &raw);
        let directory = directory.display().to_string();
        match self.run(&["wal", "verify", "--dir", &directory], LONG) {
            Ok(ran) if ran.code == Some(0) => pass(conclusion(&ran)),
            Ok(ran) => unsuccessful(&ran, conclusion),
            Err(why) => open(why),
        }
    }

    fn can_be_collected(&self) -> Proof {
        let directory = match tempfile::tempdir() {
            Ok(directory) => directory,
            Err(error) => return fail(format!("no place for it: {}", crate::fault::why(&error))),
        };
        let file = directory
            .path()
            .join("support.tar.gz")
            .display()
            .to_string();
        let ran = match self.run(&["support-bundle", "--out", &file], LONG) {
            Ok(ran) => ran,
            Err(why) => return open(why),
        };
        let is_of_log = |line: &&str| {
            let named = |part| line.starts_with(&format!("not collected: {part}: "));
            OF_LOG.into_iter().any(named)
        };
        match (ran.code, ran.stdout.lines().find(is_of_log)) {
            (Some(0), None) => pass(last_line(&ran).replace(&file, "a bundle")),
            (Some(0), Some(missing)) => open(missing),
            _ => unsuccessful(&ran, last_line),
        }
    }

    fn of_settings(&self, judge: fn(&[Value]) -> Proof) -> Proof {
        match self.rows() {
            Ok(rows) => judge(rows),
            Err(why) => fail(why),
        }
    }

    fn rows(&self) -> &Result<Vec<Value>, String> {
        self.settings
            .get_or_init(|| self.objects(&["config", "show", "--output", "json"]))
    }

    fn of_doctor(&self, judge: impl Fn(&[Value]) -> Proof) -> Proof {
        let findings = self.doctor.get_or_init(|| self.objects(&DOCTOR));
        match findings {
            Ok(findings) => judge(findings),
            Err(why) => open(why),
        }
    }

    fn of_samples(&self, url: &str, judge: fn(&Samples) -> Proof) -> Proof {
        let fetch = || {
            let page = Page::of_url(url).map_err(|it| it.text().to_owned())?;
            let page = page.with_credentials_of_environment().fetch();
            let page = page.map_err(|it| it.text().to_owned())?;
            Samples::read(&page).ok_or_else(|| "what is there is no page of metrics".to_owned())
        };
        match self.metrics.get_or_init(fetch) {
            Ok(samples) => judge(samples),
            Err(why) => fail(why),
        }
    }

    /// Lines of JSON that a command prints.
    fn objects(&self, arguments: &[&str]) -> Result<Vec<Value>, String> {
        let ran = self.run(arguments, SHORT)?;
        let lines = ran.stdout.lines().map(serde_json::from_str).collect();
        match lines {
            Ok(lines) if !ran.stdout.is_empty() => Ok(lines),
            _ => Err(last_line(&ran)),
        }
    }
}

fn keys_are_young(samples: &Samples) -> Proof {
    match now_s() {
        Ok(now_s) => judge::keys_are_young(samples, now_s as f64),
        Err(why) => open(why.text()),
    }
}

/// What came of a command that did not end with 0: it could not begin, or what is wrong, else what is said.
fn unsuccessful(ran: &Ran, said: fn(&Ran) -> String) -> Proof {
    match ran.code {
        Some(2) => open(last_line(ran)),
        _ => fail(worst_line(ran).unwrap_or_else(|| said(ran))),
    }
}

fn last_of(text: &str) -> Option<String> {
    text.trim_end().lines().next_back().map(str::to_owned)
}

/// What a command said last, on standard output or else on standard error.
fn last_line(ran: &Ran) -> String {
    let said = last_of(&ran.stdout).or_else(|| last_of(&ran.stderr));
    said.unwrap_or_else(|| "it said nothing".to_owned())
}

/// The same of a command that lists what it found on standard output, and concludes on standard error.
fn conclusion(ran: &Ran) -> String {
    last_of(&ran.stderr).unwrap_or_else(|| last_line(ran))
}

/// The first line that says what is wrong.
fn worst_line(ran: &Ran) -> Option<String> {
    let is_bad = |line: &&str| {
        ["FAIL", "error", "DAMAGED"]
            .iter()
            .any(|it| line.starts_with(it))
    };
    ran.stdout.lines().find(is_bad).map(str::to_owned)
}
