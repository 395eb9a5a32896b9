//! The tour of the README, followed literally: each of its commands is run, and what it shows has to appear.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "common/steps.rs"]
mod steps;

use common::golden;
use gateway::Gateway;
use steps::{Step, said_as_shown, shell, steps};

fn tour() -> Vec<Step> {
    let readme = std::fs::read_to_string(golden("../README.md")).unwrap();
    let tour = readme.split("## A tour in sixty seconds").nth(1).unwrap();
    steps(tour.split("\n## ").next().unwrap())
}

/// Whether a line is the same whenever the tour is done: it names no key, time or rate.
fn is_the_same_each_time(line: &str) -> bool {
    let varies = [
        "Date: ",
        "by key",
        "log 1.",
        "log 2.",
        "key        ",
        " ms ",
        "draining",
        "stopped",
    ];
    !line.trim().is_empty() && !line.starts_with('…') && !varies.iter().any(|it| line.contains(it))
}

#[test]
fn the_tour_works_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::os::unix::fs::symlink(golden(""), dir.join("golden")).unwrap();
    let mut gateway = None;
    let (mut starts, mut compared) = (0, 0);
    for step in tour() {
        match step.command.as_str() {
            "make run" => {
                starts += 1;
                let started = Gateway::start(dir);
                // it refuses what is no record once it is ready
                assert_eq!(started.submit(dir, b"{}").code, 1);
                gateway = Some(started);
                continue;
            }
            // the test ends its own gateway, and no other
            "pkill -9 -x flk" => {
                drop(gateway.take().unwrap());
                continue;
            }
            _ => {}
        }
        let url = gateway.as_ref().unwrap().url.clone();
        let ran = shell(dir, &url, &step.command);
        let said = (ran.stdout + &ran.stderr).replace(&url, "http://127.0.0.1:8080");
        for line in step.shown.iter().filter(|it| is_the_same_each_time(it)) {
            // how long it took is another matter
            let shown = line.split(';').next().unwrap();
            assert!(
                said_as_shown(shown, &said),
                "{}\nshows {shown}\n{said}",
                step.command
            );
            compared += 1;
        }
    }
    assert_eq!(starts, 2);
    assert!(compared >= 20, "{compared}");
    assert_eq!(gateway.unwrap().stop(), 0);
}
