//! `flk capacity` and `flk profile`, as a user meets them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "common/cases.rs"]
mod cases;
mod common;

use cases::Cases;
use common::{Ran, flk, run};
use serde_json::Value;
use std::path::Path;

const FIVE: [&str; 5] = [
    "laptop",
    "cloud-2cpu",
    "nvme-16core",
    "numa-64core",
    "network-disk",
];

fn capacity(args: &[&str]) -> Ran {
    run(flk(Path::new(".")).arg("capacity").args(args), b"")
}

fn object(args: &[&str]) -> Value {
    let ran = capacity(&[args, &["--output", "json"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// A number of the machine that is planned.
fn of_one(object: &Value, path: &str) -> f64 {
    let number = object.pointer(&format!("/of_one_machine/{path}"));
    number
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("{path}: {object}"))
}

#[test]
fn the_answer_has_a_line_for_each_resource() {
    let ran = capacity(&[
        "--rate", "50k", "--ttl", "14d", "--body", "700", "--flush", "100us",
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for name in [
        "cores ", "memory ", "log ", "disk ", "writes ", "reads ", "files ", "network ", "start ",
    ] {
        let lines = ran.stdout.lines().filter(|it| it.starts_with(name));
        assert_eq!(lines.count(), 1, "{name}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("DEDUP_MEMORY_MAX="), "{}", ran.stdout);
    assert!(
        !ran.stdout.contains("costs"),
        "no price, no cost: {}",
        ran.stdout
    );
}

/// The table of docs/storage.md, by another program.
#[test]
fn slices_and_filters_are_those_of_the_page_on_storage() {
    for (rate, slices_gb, filters_gb) in [
        ("100", 9.1, 0.23),
        ("1000", 90.8, 2.29),
        ("10k", 907.6, 22.90),
    ] {
        let object = object(&["--rate", rate]);
        let slices = of_one(&object, "disk/slices") / 1e9;
        assert!((slices / slices_gb - 1.0).abs() < 0.01, "{rate}: {slices}");
        let filters = of_one(&object, "memory/filters") / 1e9;
        assert!(
            (filters / filters_gb - 1.0).abs() < 0.02,
            "{rate}: {filters}"
        );
    }
    // At this rate batches are large, and the page's 230 bytes beside a body hold.
    let busy = object(&["--rate", "50k", "--flush", "2ms"]);
    let log_gb = of_one(&busy, "log_bytes_per_day") / 1e9;
    assert!((log_gb / 5.0 / 751.7 - 1.0).abs() < 0.02, "{log_gb}");
}

#[test]
fn more_of_anything_never_needs_less() {
    let paths = [
        "cores",
        "memory_bytes",
        "file_system_bytes",
        "device/write_bytes_per_second",
        "network/bits_in_per_second",
    ];
    let rates = ["10", "1k", "10k", "50k", "200k", "1M"];
    let objects: Vec<Value> = rates.iter().map(|it| object(&["--rate", it])).collect();
    for path in paths {
        let numbers: Vec<f64> = objects.iter().map(|it| of_one(it, path)).collect();
        assert!(numbers.is_sorted(), "{path}: {numbers:?}");
    }
    let base = object(&["--rate", "20k"]);
    for (more, path) in [
        (&["--body", "2KiB"][..], "file_system_bytes"),
        (&["--ttl", "28d"], "memory_bytes"),
        (&["--keep", "28d"], "file_system_bytes"),
        (&["--peak", "3"], "cores"),
        (&["--ed25519", "50%"], "cores"),
        (&["--use", "20%"], "cores"),
    ] {
        let object = object(&[&["--rate", "20k"], more].concat());
        assert!(of_one(&object, path) > of_one(&base, path), "{more:?}");
    }
    let known = object(&["--rate", "20k", "--duplicates", "50%"]);
    assert!(of_one(&known, "memory_bytes") < of_one(&base, "memory_bytes"));
}

#[test]
fn machines_share_the_rate_and_some_may_be_away() {
    let all = object(&["--rate", "100k"]);
    let half = object(&["--rate", "100k", "--replicas", "2"]);
    assert!(of_one(&half, "disk/slices") < 0.51 * of_one(&all, "disk/slices"));
    let spare = object(&["--rate", "100k", "--replicas", "3", "--spare", "1"]);
    assert_eq!(
        of_one(&half, "memory_bytes"),
        of_one(&spare, "memory_bytes")
    );
    let notes = half["notes"].to_string();
    assert!(notes.contains("do not share ids"), "{notes}");
    let none = capacity(&["--rate", "1", "--replicas", "2", "--spare", "2"]);
    assert_eq!(none.code, 2);
    assert!(
        none.stderr.contains("at least one has to serve"),
        "{}",
        none.stderr
    );
}

#[test]
fn a_machine_is_compared_and_as_many_are_taken_as_serve() {
    let small = object(&["--rate", "100", "--machine", "cloud-2cpu", "--keep", "1d"]);
    assert_eq!(small["need"]["replicas"], 1);
    assert_eq!(small["fit"]["machine"], "cloud-2cpu");
    let large = object(&["--rate", "1k", "--machine", "cloud-2cpu", "--keep", "1d"]);
    assert!(large["need"]["replicas"].as_u64().unwrap() > 1, "{large}");
    for part in ["cores", "memory", "disk_least"] {
        assert!(large["fit"][part].as_f64().unwrap() <= 1.0, "{large}");
    }
    let forced = capacity(&[
        "--rate",
        "50k",
        "--machine",
        "cloud-2cpu",
        "--replicas",
        "1",
    ]);
    assert!(
        forced.stdout.contains("IT DOES NOT FIT"),
        "{}",
        forced.stdout
    );
    let wrong = capacity(&["--rate", "1", "--machine", "mainframe"]);
    assert_eq!(wrong.code, 2);
    for name in FIVE {
        assert!(wrong.stderr.contains(name), "{}", wrong.stderr);
    }
}

#[test]
fn a_cost_is_the_sum_of_what_has_a_price() {
    assert!(object(&["--rate", "10k"])["cost_per_month"].is_null());
    let object = object(&[
        "--rate",
        "10k",
        "--replicas",
        "2",
        "--price-core",
        "30",
        "--price-disk-gb",
        "0.1",
    ]);
    let cost = |name: &str| object["cost_per_month"][name].as_f64().unwrap();
    assert_eq!(cost("cores"), of_one(&object, "cores") * 30.0 * 2.0);
    let disk = of_one(&object, "file_system_bytes") / 1e9 * 0.1 * 2.0;
    assert!((cost("disk") - disk).abs() < 1e-6 * disk);
    assert_eq!((cost("memory"), cost("network")), (0.0, 0.0));
    assert_eq!(cost("all"), cost("cores") + cost("disk"));
}

#[test]
fn too_many_segments_are_told_with_a_length_that_makes_fewer() {
    let told = object(&["--rate", "100k", "--keep", "60d"]);
    let notes = told["notes"].to_string();
    assert!(notes.contains("--segment "), "{notes}");
    let length = notes.split("--segment ").nth(1).unwrap();
    let length = length.split(' ').next().unwrap();
    let mended = object(&["--rate", "100k", "--keep", "60d", "--segment", length]);
    assert!(of_one(&mended, "disk/segments") < of_one(&told, "disk/segments"));
}

#[test]
fn the_sources_and_the_error_are_shown_when_asked_for() {
    let ran = capacity(&["--rate", "1k", "--explain"]);
    assert_eq!(ran.code, 0);
    for text in ["| measured |", "| assumed |", "profiles/records/", " % |"] {
        assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout);
    }
    let object = object(&["--rate", "1k", "--explain"]);
    assert!(object["constants"].as_array().unwrap().len() > 30);
    assert!(object["points"].as_array().unwrap().len() > 20);
}

#[test]
fn what_is_typed_wrongly_is_named_with_what_is_allowed() {
    for (args, expect) in [
        (&[][..], "--rate"),
        (&["--rate", "0"], "records per second such as 500"),
        (&["--rate", "-5"], "records per second such as 500"),
        (&["--rate", "NaN"], "records per second such as 500"),
        (&["--rate", "1e9"], "records per second such as 500"),
        (
            &["--rate", "1", "--body", "2MiB"],
            "a size from 1 B to 1.0 MiB",
        ),
        (
            &["--rate", "1", "--body", "0"],
            "a size from 1 B to 1.0 MiB",
        ),
        (&["--rate", "1", "--ttl", "14"], "a time from 1m to 1000d"),
        (&["--rate", "1", "--flush", "110"], "a time from 1us to 1s"),
        (&["--rate", "1", "--flush", "2s"], "a time from 1us to 1s"),
        (&["--rate", "1", "--peak", "0.5"], "a number from 1 to 1000"),
        (
            &["--rate", "1", "--duplicates", "20"],
            "a share is from 0% to 100%",
        ),
        (&["--rate", "1", "--use", "100%"], "from 5% to 95%"),
        (
            &["--rate", "1", "--price-core", "-3"],
            "a price is a number",
        ),
        (
            &["--rate", "1", "--replicas", "0"],
            "a whole number from 1 to 1000",
        ),
        (
            &["--rate", "1", "--segment", "1MiB"],
            "a size from 4.0 MiB to 1.0 GiB",
        ),
    ] {
        let ran = capacity(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ran.stderr.contains(expect), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn every_combination_of_extremes_has_finite_numbers() {
    for rate in ["0.001", "10M"] {
        for flush in ["1us", "1s"] {
            for duplicates in ["0%", "100%"] {
                for body in ["1", "1MiB"] {
                    let args = [
                        "--rate",
                        rate,
                        "--flush",
                        flush,
                        "--duplicates",
                        duplicates,
                        "--body",
                        body,
                    ];
                    let object = object(&args);
                    for path in [
                        "cores",
                        "memory_bytes",
                        "file_system_bytes",
                        "start_seconds",
                        "device/read_bytes_per_second",
                    ] {
                        let number = of_one(&object, path);
                        assert!(
                            number.is_finite() && number > 0.0,
                            "{args:?} {path}: {number}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let dir = tempfile::tempdir().unwrap();
    let mut cases = Cases::of(&["capacity"]);
    cases.check(0, dir.path(), &["--rate", "1k"], b"");
    cases.check(2, dir.path(), &["--rate", "x"], b"");
    cases.check_full(dir.path(), &["--rate", "1k"], b"");
    cases.end(&[]);
    for (words, name) in [
        (&["profile", "list"], &[][..]),
        (&["profile", "show"], &["laptop"]),
    ] {
        let mut cases = Cases::of(words);
        cases.check(0, dir.path(), name, b"");
        cases.check(2, dir.path(), &["--nonsense"], b"");
        cases.check_full(dir.path(), name, b"");
        cases.end(&[]);
    }
}

#[test]
fn profiles_are_listed_and_shown() {
    let profile = |args: &[&str]| run(flk(Path::new(".")).arg("profile").args(args), b"");
    let listed = profile(&["list"]);
    let names: Vec<&str> = listed
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, FIVE);
    let listed = profile(&["list", "--output", "json"]);
    let objects = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let objects: Vec<Value> = objects.collect();
    assert_eq!(objects[2]["cpus"], 16);
    assert_eq!(objects[2]["memory_bytes"], 64_u64 << 30);
    for name in FIVE {
        let file = format!(
            "{}/../profiles/machines/{name}.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        assert_eq!(
            profile(&["show", name]).stdout,
            std::fs::read_to_string(file).unwrap()
        );
    }
    let wrong = profile(&["show", "mainframe"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains(&FIVE.join(", ")), "{}", wrong.stderr);
}

#[test]
fn config_show_names_the_profile_of_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let config = |args: &[&str], cores: &str| {
        let mut command = flk(dir.path());
        command.arg("config").args(args).env("FLK_CORES", cores);
        run(
            command.env("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef"),
            b"",
        )
    };
    let shown = config(&["show", "--origin", "--profile", "laptop"], "1").stdout;
    let line = |key: &str| {
        let mut lines = shown.lines().filter(|it| it.starts_with(key));
        lines
            .next()
            .unwrap_or_else(|| panic!("{key}: {shown}"))
            .to_owned()
    };
    assert!(
        line("dedup.memory_max").contains("profile laptop:"),
        "{shown}"
    );
    assert!(
        line("process.cores").contains("environment: FLK_CORES"),
        "{shown}"
    );
    assert!(line("process.profile").contains("laptop"), "{shown}");
    let listed = config(&["check", "--profile", "laptop"], "1");
    assert_eq!(listed.code, 0, "{}", listed.stdout);
    let wrong = config(&["check", "--profile", "lpatop"], "1");
    assert_eq!(wrong.code, 78);
    for text in ["no such profile; is laptop meant?", "network-disk"] {
        assert!(wrong.stdout.contains(text), "{}", wrong.stdout);
    }
}
