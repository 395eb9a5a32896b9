//! What an item comes to, by what a command printed or a page has. Pure functions: they run nothing and read no clock.

use super::verdict::{Proof, Verdict, fail, open, pass};
use crate::page::samples::Samples;
use serde_json::Value;

/// Keys are changed after so long (docs/operations.md).
const KEY_AGE_S_MAX: f64 = 90.0 * 86_400.0;

/// Checks of `flk doctor` that are about the place of the log, but its times.
const OF_DISK: [&str; 4] = ["directory", "file system", "log writes", "power loss"];
/// The check of `flk doctor` that times the disk.
const FLUSH: &str = "flush";

/// Samples that are 0 as long as all is well.
const ZEROES: [&str; 6] = [
    "flk_wal_errors",
    "flk_slice_read_errors_total",
    "flk_slice_blocks_damaged_total",
    "flk_wal_space_errors_total",
    "flk_wal_segments_crowded_out_total",
    "flk_claim_faults_total",
];

/// A member of a row that is text.
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// Every record must be signed.
pub(super) fn is_signed(rows: &[Value]) -> Proof {
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

/// The sandbox is on, and a crash leaves no file.
pub(super) fn is_confined(rows: &[Value]) -> Proof {
    let value = |key: &str| rows.iter().find(|it| it["key"] == key)?["value"].as_str();
    match (value("process.sandbox"), value("process.core_dumps")) {
        (Some("off"), _) => fail("FLK_SANDBOX is off"),
        (_, Some(set)) => fail(format!(
            "FLK_CORE_DUMPS is {set}: a crash may leave keys in a file"
        )),
        _ => pass("on, and no core dump is written"),
    }
}

/// Each of these checks is there and known, and none has anything to change.
pub(super) fn as_it_should_be(findings: &[Value], checks: &[&str]) -> Proof {
    let mut unknown = None;
    for check in checks {
        match findings.iter().find(|it| it["check"] == *check) {
            Some(it) if it["level"] != "OK" => {
                return fail(format!(
                    "{check}: {} (needed: {})",
                    text(it, "found"),
                    text(it, "needed")
                ));
            }
            Some(it) if it["known"] == true => {}
            Some(it) => {
                unknown = unknown.or_else(|| Some(format!("{check}: {}", text(it, "found"))))
            }
            None => {
                unknown = unknown.or_else(|| Some(format!("flk doctor has no finding {check}")))
            }
        }
    }
    let last = checks
        .last()
        .and_then(|check| findings.iter().find(|it| it["check"] == **check));
    match (unknown, checks) {
        (Some(unknown), _) => open(unknown),
        (None, [_]) => pass(last.map_or_else(String::new, |it| text(it, "found"))),
        (None, _) => pass(format!("{}: all as it should be", checks.join(", "))),
    }
}

/// No check fails.
pub(super) fn nothing_fails(findings: &[Value]) -> Proof {
    match findings.iter().find(|it| it["level"] == "FAIL") {
        Some(it) => fail(format!("{}: {}", text(it, "check"), text(it, "found"))),
        None => pass(format!("{} checks, and none fails", findings.len())),
    }
}

/// The disk is as it should be. Other work may hold flushes up: those that took too long are timed once more, and times that contradict each
/// other decide nothing.
pub(super) fn disk_is_good(
    findings: &[Value],
    again: impl FnOnce() -> Result<Vec<Value>, String>,
) -> Proof {
    let timed = match as_it_should_be(findings, &[FLUSH]) {
        (Verdict::Fail, slow) => match again().map(|it| as_it_should_be(&it, &[FLUSH])) {
            Ok((Verdict::Fail, _)) => fail(slow),
            Ok((_, said)) => open(format!(
                "its times contradict each other: {slow}, then {said}"
            )),
            Err(why) => open(format!("{slow}; it could not be timed again: {why}")),
        },
        other => other,
    };
    let all = [as_it_should_be(findings, &OF_DISK), timed];
    let first = |verdict| all.iter().find(|it| it.0 == verdict).cloned();
    let wrong = first(Verdict::Fail).or_else(|| first(Verdict::Open));
    wrong.unwrap_or_else(|| {
        pass(format!(
            "{}, {FLUSH}: all as it should be",
            OF_DISK.join(", ")
        ))
    })
}

/// Nothing that is counted went wrong since the start.
pub(super) fn nothing_failed(samples: &Samples) -> Proof {
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

/// No key that is in force began too long ago.
pub(super) fn keys_are_young(samples: &Samples, now_s: f64) -> Proof {
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
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_that_is_old_fails_and_one_of_unknown_age_is_open() {
        let now = 1_000.0 * 86_400.0;
        let page = |begins: &[f64]| {
            let line = |(at, begins): (usize, &f64)| {
                format!("flk_key_begins_seconds{{tenant=\"a\",key=\"k{at}\"}} {begins}\n")
            };
            let text: String = begins.iter().enumerate().map(line).collect();
            keys_are_young(&Samples::read(&text).unwrap(), now)
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

    fn finding(check: &str, level: &str, known: bool, found: &str) -> Value {
        json!({"check": check, "level": level, "known": known, "found": found, "needed": "n"})
    }

    #[test]
    fn what_is_wrong_fails_and_what_is_not_known_is_open() {
        let clock = |level: &str, known| {
            as_it_should_be(&[finding("clock", level, known, "f")], &["clock"])
        };
        assert_eq!(clock("OK", true), pass("f"));
        assert_eq!(clock("OK", false), open("clock: f"));
        assert_eq!(clock("WARN", true), fail("clock: f (needed: n)"));
        assert_eq!(as_it_should_be(&[], &["clock"]).0, Verdict::Open);
        // What is wrong counts, whatever is not known before it.
        let both = [
            finding("a", "OK", false, "f"),
            finding("b", "FAIL", true, "g"),
        ];
        assert_eq!(
            as_it_should_be(&both, &["a", "b"]),
            fail("b: g (needed: n)")
        );
    }

    #[test]
    fn flushes_that_are_slow_only_once_decide_nothing_and_a_guess_is_open() {
        let disk = |flush: &str, is_guess: bool| {
            let mut all: Vec<Value> = OF_DISK.map(|it| finding(it, "OK", true, "f")).into();
            all[3] = finding("power loss", "OK", !is_guess, "fast");
            all.push(finding(FLUSH, flush, true, flush));
            all
        };
        let judged = |first: &str, second: &str| {
            disk_is_good(&disk(first, false), || Ok(disk(second, false)))
        };
        let once = disk_is_good(&disk("OK", false), || unreachable!("it was fast enough"));
        assert_eq!(once.0, Verdict::Pass);
        assert_eq!(judged("WARN", "WARN"), fail("flush: WARN (needed: n)"));
        let (verdict, said) = judged("WARN", "OK");
        assert_eq!(verdict, Verdict::Open);
        assert!(said.ends_with("flush: WARN (needed: n), then OK"), "{said}");
        let lost = disk_is_good(&disk("WARN", false), || Err("gone".to_owned()));
        assert_eq!(lost.0, Verdict::Open);
        let guess = disk_is_good(&disk("OK", true), || unreachable!());
        assert_eq!(guess, open("power loss: fast"));
        let slow = disk_is_good(&disk("WARN", true), || Ok(disk("WARN", true)));
        assert_eq!(slow.0, Verdict::Fail);
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
