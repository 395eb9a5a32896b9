//! Runs what proves an item, and judges what came of it. An item whose proof cannot be had here is open, and never holds.

use super::files;
use super::items::{By, Item};
use super::verdict::{Proof, Verdict};
use crate::config::FileArgs;
use crate::own::{self, Ran};
use crate::page::Page;
use crate::page::samples::Samples;
use serde_json::Value;
use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn pass(said: impl Into<String>) -> Proof {
    (Verdict::Pass, said.into())
}

fn fail(said: impl Into<String>) -> Proof {
    (Verdict::Fail, said.into())
}

fn open(said: impl Into<String>) -> Proof {
    (Verdict::Open, said.into())
}

/// A command that looks at settings or asks a process.
const SHORT: Duration = Duration::from_secs(120);
/// A command that reads a log or a backup to its end.
const LONG: Duration = Duration::from_secs(86_400);

/// Keys are changed after so long (docs/operations.md).
const KEY_AGE_S_MAX: f64 = 90.0 * 86_400.0;
const BACKUP_AGE_MAX: &str = "26h";

/// Checks of `flk doctor` that are about the place of the log.
const OF_DISK: [&str; 5] = [
    "directory",
    "file system",
    "log writes",
    "flush",
    "power loss",
];

/// Samples that are 0 as long as all is well.
const ZEROES: [&str; 6] = [
    "flk_wal_errors",
    "flk_slice_read_errors_total",
    "flk_slice_blocks_damaged_total",
    "flk_wal_space_errors_total",
    "flk_wal_segments_crowded_out_total",
    "flk_claim_faults_total",
];

/// What is looked at, and what was found so far: several items follow from one command.
pub(super) struct Prover<'a> {
    pub(super) file: &'a FileArgs,
    pub(super) url: Option<&'a str>,
    pub(super) backups: Option<&'a str>,
    pub(super) wal_dir: Option<PathBuf>,
    pub(super) sends_records: bool,
    doctor: OnceCell<Result<Vec<Value>, String>>,
    settings: OnceCell<Result<Vec<Value>, String>>,
    metrics: OnceCell<Result<Samples, String>>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(
        file: &'a FileArgs,
        url: Option<&'a str>,
        backups: Option<&'a str>,
        wal_dir: Option<PathBuf>,
        sends_records: bool,
    ) -> Self {
        Self {
            file,
            url,
            backups,
            wal_dir,
            sends_records,
            doctor: OnceCell::new(),
            settings: OnceCell::new(),
            metrics: OnceCell::new(),
        }
    }

    /// Proves an item, as far as that is possible here.
    pub(super) fn prove(&self, item: &Item) -> Proof {
        match (item.by, self.url, self.backups) {
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
            "code-7" if !self.sends_records => open("--no-records: flk smoke would send some"),
            "code-7" => self.succeeds(&["smoke", url], SHORT),
            "security-6" => self.of_samples(url, keys_are_young),
            "infrastructure-7" => self.is_ready(url),
            "operations-5" => self.of_samples(url, nothing_failed),
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
            "security-2" => self.of_settings(is_signed),
            "security-3" => self.of_doctor(|it| as_it_should_be(it, &["configuration"])),
            "security-4" => files::proof(self.file),
            "security-5" => match self.of_settings(is_confined) {
                (Verdict::Pass, _) => self.of_doctor(|it| as_it_should_be(it, &["landlock"])),
                other => other,
            },
            "infrastructure-1" => self.of_doctor(nothing_fails),
            "infrastructure-2" => self.of_doctor(|it| as_it_should_be(it, &OF_DISK)),
            "infrastructure-3" => self.of_doctor(follows_a_source),
            "operations-4" => self.log_is_whole(),
            "operations-7" => self.can_be_collected(),
            _ => unreachable!("no item {id} is proven on the host"),
        }
    }

    fn run(&self, arguments: &[&str], within: Duration) -> Result<Ran, String> {
        let mut command = own::command(arguments);
        command.envs(self.file.variables());
        if let Some(directory) = &self.wal_dir {
            command.env("WAL_DIR", directory);
        }
        own::run(&mut command, within)
    }

    /// A command that ends with 0 if the item holds, and with 2 if it could not begin.
    fn succeeds(&self, arguments: &[&str], within: Duration) -> Proof {
        match self.run(arguments, within) {
            Ok(ran) if ran.code == Some(0) => pass(last_line(&ran)),
            Ok(ran) if ran.code == Some(2) => open(last_line(&ran)),
            Ok(ran) => fail(worst_line(&ran)),
            Err(why) => open(why),
        }
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
        let directory = match (&self.wal_dir, self.of_setting("wal.dir")) {
            (Some(typed), _) => typed.display().to_string(),
            (None, Some(set)) => set,
            (None, None) => "data/wal".to_owned(),
        };
        self.succeeds(&["wal", "verify", "--dir", &directory], LONG)
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
        match self.succeeds(&["support-bundle", "--out", &file], LONG) {
            (Verdict::Pass, said) => pass(said.replace(&file, "a bundle")),
            other => other,
        }
    }

    /// The value of a setting, where one is set.
    fn of_setting(&self, key: &str) -> Option<String> {
        let rows = self.rows().as_ref().ok()?;
        let row = rows.iter().find(|it| it["key"] == key)?;
        row["value"].as_str().map(str::to_owned)
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
        let findings = self
            .doctor
            .get_or_init(|| self.objects(&["doctor", "--output", "json"]));
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

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// What a command said last, on standard output or else on standard error.
fn last_line(ran: &Ran) -> String {
    let last = |text: &str| text.trim_end().lines().next_back().map(str::to_owned);
    last(&ran.stdout)
        .or_else(|| last(&ran.stderr))
        .unwrap_or_else(|| "it said nothing".to_owned())
}

/// The first line that says what is wrong, else the last one.
fn worst_line(ran: &Ran) -> String {
    let is_bad = |line: &&str| {
        ["FAIL", "error", "DAMAGED"]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let found = ran.stdout.lines().find(is_bad);
    found.map_or_else(|| last_line(ran), str::to_owned)
}

fn is_signed(rows: &[Value]) -> Proof {
    let alg = rows.iter().find(|it| it["key"] == "signing.alg");
    let alg = alg.map(|it| it["value"].as_str().unwrap_or("hmac"));
    let unsigned = rows.iter().find(|it| it["unsigned"] == true);
    match (alg, unsigned) {
        (None, _) => open("flk config show has no signing.alg"),
        (Some("none"), _) => fail("PCS_SIGN_ALG=none: records are not signed"),
        (_, Some(tenant)) => fail(format!("the tenant {} is unsigned", text(tenant, "tenant"))),
        (Some(alg), None) => pass(format!("PCS_SIGN_ALG is {alg}")),
    }
}

fn is_confined(rows: &[Value]) -> Proof {
    let value = |key: &str| rows.iter().find(|it| it["key"] == key)?["value"].as_str();
    match (value("process.sandbox"), value("process.core_dumps")) {
        (Some("off"), _) => fail("FLK_SANDBOX is off"),
        (_, Some(set)) => fail(format!(
            "FLK_CORE_DUMPS is {set}: a crash may leave keys in a file"
        )),
        _ => pass("on, and no core dump is written"),
    }
}

/// Each of these checks is there, and none has anything to change.
fn as_it_should_be(findings: &[Value], checks: &[&str]) -> Proof {
    for check in checks {
        match findings.iter().find(|it| it["check"] == *check) {
            None => return open(format!("flk doctor has no finding {check}")),
            Some(it) if it["level"] != "OK" => {
                return fail(format!(
                    "{check}: {} (needed: {})",
                    text(it, "found"),
                    text(it, "needed")
                ));
            }
            Some(_) => {}
        }
    }
    let last = checks
        .last()
        .and_then(|check| findings.iter().find(|it| it["check"] == **check));
    pass(match checks {
        [_] => last.map_or_else(String::new, |it| text(it, "found")),
        _ => format!("{}: all as it should be", checks.join(", ")),
    })
}

fn nothing_fails(findings: &[Value]) -> Proof {
    match findings.iter().find(|it| it["level"] == "FAIL") {
        Some(it) => fail(format!("{}: {}", text(it, "check"), text(it, "found"))),
        None => pass(format!("{} checks, and none fails", findings.len())),
    }
}

fn follows_a_source(findings: &[Value]) -> Proof {
    match as_it_should_be(findings, &["clock"]) {
        (Verdict::Pass, said) if said.contains("not known") => open(said),
        other => other,
    }
}

fn nothing_failed(samples: &Samples) -> Proof {
    for name in ZEROES {
        match samples.value(name) {
            None => {
                return fail(format!(
                    "there is no sample of {name}: what answers is not a gateway"
                ));
            }
            Some(value) if value > 0.0 => return fail(format!("{name} is {value}")),
            Some(_) => {}
        }
    }
    let stuck = samples
        .by("flk_shard_stuck", "shard")
        .find(|(_, is_stuck)| *is_stuck > 0.0);
    match stuck {
        Some((shard, _)) => fail(format!("shard {shard} stands still")),
        None => pass("all of these counters are 0 since the start"),
    }
}

fn keys_are_young(samples: &Samples) -> Proof {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    judge_keys(samples, now.map_or(0.0, |it| it.as_secs_f64()))
}

fn judge_keys(samples: &Samples, now_s: f64) -> Proof {
    let keys: Vec<(&str, f64)> = samples.by("flk_key_begins_seconds", "key").collect();
    let old = keys
        .iter()
        .find(|(_, begins)| *begins > 0.0 && now_s - begins > KEY_AGE_S_MAX);
    let unknown = keys.iter().find(|(_, begins)| *begins <= 0.0);
    match (old, unknown, keys.len()) {
        (Some((key, begins)), ..) => {
            let days = (now_s - begins) / 86_400.0;
            fail(format!(
                "the key {key} is {days:.0} days old: flk keys rotate"
            ))
        }
        (None, Some((key, _)), _) => open(format!(
            "the key {key} has no begin, so its age is not known: not_before in the configuration file"
        )),
        (None, None, 0) => fail("there is no sample of flk_key_begins_seconds"),
        (None, None, count) => pass(format!("{count} keys, none older than 90 days")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::items::ITEMS;
    use super::*;
    use serde_json::json;

    /// The name of an item has to be known where its proof is run.
    #[test]
    fn every_item_that_can_be_run_has_a_proof() {
        let source = include_str!("prove.rs");
        for item in ITEMS.iter().filter(|it| it.by != By::Hand) {
            assert!(source.contains(&format!("\"{}\" ", item.id)), "{}", item.id);
        }
    }

    #[test]
    fn a_key_that_is_old_fails_and_one_of_unknown_age_is_open() {
        let now = 1_000.0 * 86_400.0;
        let page = |begins: &[f64]| {
            let line = |(at, begins): (usize, &f64)| {
                format!("flk_key_begins_seconds{{tenant=\"a\",key=\"k{at}\"}} {begins}\n")
            };
            let text: String = begins.iter().enumerate().map(line).collect();
            judge_keys(&Samples::read(&text).unwrap(), now)
        };
        let days = |days: f64| now - days * 86_400.0;
        assert_eq!(page(&[days(89.0), days(1.0)]).0, Verdict::Pass);
        let (verdict, said) = page(&[0.0, days(91.0)]);
        assert_eq!(
            (verdict, said.as_str()),
            (Verdict::Fail, "the key k1 is 91 days old: flk keys rotate")
        );
        assert_eq!(page(&[days(1.0), 0.0]).0, Verdict::Open);
        assert_eq!(page(&[]).0, Verdict::Fail);
    }

    #[test]
    fn a_clock_that_follows_nothing_fails_and_an_unknown_one_is_open() {
        let clock = |level: &str, found: &str| {
            follows_a_source(&[
                json!({"check": "clock", "level": level, "found": found, "needed": "n"}),
            ])
        };
        assert_eq!(
            clock("OK", "it follows a source, to within 2 ms").0,
            Verdict::Pass
        );
        assert_eq!(
            clock("OK", "not known here: the kernel does not say").0,
            Verdict::Open
        );
        assert_eq!(
            clock("WARN", "the kernel's clock follows no source").0,
            Verdict::Fail
        );
        assert_eq!(follows_a_source(&[]).0, Verdict::Open);
    }

    #[test]
    fn a_counter_above_0_and_a_shard_that_stands_still_fail() {
        let page = |name: &str, value: u32, stuck: u32| {
            let zero = |it: &str| format!("{it} {}\n", if it == name { value } else { 0 });
            let text: String = ZEROES.iter().map(|it| zero(it)).collect();
            let text = format!("{text}flk_shard_stuck{{shard=\"3\"}} {stuck}\n");
            nothing_failed(&Samples::read(&text).unwrap())
        };
        assert_eq!(page("", 0, 0).0, Verdict::Pass);
        assert_eq!(page("", 0, 1), fail("shard 3 stands still"));
        for name in ZEROES {
            assert_eq!(page(name, 2, 0), fail(format!("{name} is 2")));
        }
        assert_eq!(
            nothing_failed(&Samples::read("a 1\n").unwrap()).0,
            Verdict::Fail
        );
    }
}
