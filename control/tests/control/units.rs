//! The units of `deploy/systemd`: what a service manager would refuse, and what must be the same in both.

use flk_dataplane::exit::Exit;
use std::path::{Path, PathBuf};
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/systemd")
        .join(name)
}

/// The values of a key, in their order.
fn values(name: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(unit(name)).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let of_key = lines.filter(|(found, _)| *found == key);
    of_key.map(|(_, value)| value.to_owned()).collect()
}

const UNITS: [&str; 2] = ["flk-dataplane.service", "flk-control.service"];

#[test]
fn both_tell_their_manager_and_give_up_what_they_do_not_need() {
    for name in UNITS {
        for (key, expected) in [
            ("Type", "notify"),
            ("User", "flk"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("CapabilityBoundingSet", ""),
            ("MemoryDenyWriteExecute", "yes"),
            ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
            ("LimitCORE", "0"),
        ] {
            assert_eq!(values(name, key), [expected], "{name}: {key}");
        }
        assert_eq!(values(name, "WatchdogSec").len(), 1);
    }
    let in_both = |key| UNITS.map(|name| values(name, key));
    let [one, other] = in_both("Environment");
    assert!(
        one.iter().all(|setting| other.contains(setting)),
        "{one:?} {other:?}"
    );
}

#[test]
fn the_gateway_is_started_again_after_what_may_pass_and_after_nothing_else() {
    let ends = Exit::ALL.iter().filter(|&&exit| exit != Exit::Stopped);
    let others = ends.filter(|exit| !exit.is_worth_a_restart());
    let others: Vec<String> = others.map(|exit| exit.code().to_string()).collect();
    let prevented = values(UNITS[0], "RestartPreventExitStatus");
    assert_eq!(prevented, [others.join(" ")]);
    let needs = ["Requires", "BindsTo", "PartOf"].map(|key| values(UNITS[1], key));
    assert!(
        needs.iter().all(Vec::is_empty),
        "neither is bound to the other"
    );
}

#[test]
fn a_service_manager_takes_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for name in UNITS {
        // Programs that are there: whether the real ones are installed is not asked.
        let text = std::fs::read_to_string(unit(name)).unwrap();
        let text = text.replace("/usr/local/bin/flk-", "/bin/true #");
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let mut analyze = Command::new("systemd-analyze");
    match analyze.arg("verify").args(&paths).output() {
        Ok(verified) => {
            let said = String::from_utf8_lossy(&verified.stderr).into_owned();
            let of_ours = said.lines().filter(|line| line.contains("flk-"));
            let of_ours: Vec<&str> = of_ours.collect();
            assert!(verified.status.success() && of_ours.is_empty(), "{said}");
        }
        Err(_) => flk_testkit::skipped("no systemd-analyze: units are checked by their keys only"),
    }
}
