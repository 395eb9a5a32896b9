//! What reads the gateway's lines must never matter: a full disk, a reader that went away, one that never reads. And
//! signals that mean nothing to a gateway change nothing.

use flk_e2e::setting::Setting;
use flk_testkit::DEADLINE;
use flk_testkit::gateway::Gateway;
use flk_testkit::records::record;
use rustix::process::Signal;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

on_every_host!(
    a_standard_error_that_is_full_costs_lines_and_nothing_else,
    a_reader_that_went_away_costs_lines_and_nothing_else,
    a_reader_that_never_reads_costs_lines_and_nothing_else,
    a_start_that_is_refused_ends_although_nobody_reads_why,
    signals_that_mean_nothing_are_ignored_with_a_line,
);

fn full() -> OwnedFd {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// The two ends of a pipe that takes not one more byte.
fn stuffed_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while writer.write(&vec![b'.'; piece]).is_ok() {}
    }
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader.into(), writer.into())
}

/// Serves, counts what it could not say if that is known by now, and ends as asked.
fn serves_and_stops(gateway: Gateway, lost: bool) {
    for number in 1..=20 {
        assert_eq!(gateway.post(&record(number).body).status, 200);
        // Each is a line more.
        gateway.signal(Signal::HUP);
    }
    let dropped = || {
        let page = gateway.get("/metrics");
        let line = page
            .text()
            .lines()
            .find(|line| line.starts_with("flk_log_lines_dropped_total "));
        let (_, count) = line.unwrap().split_once(' ').unwrap();
        count.parse::<u64>().unwrap()
    };
    if lost {
        flk_testkit::wait_until("lost lines are counted", DEADLINE, || dropped() >= 20);
    }
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
}

fn a_standard_error_that_is_full_costs_lines_and_nothing_else(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).saying_to(full());
    serves_and_stops(plan.start(), true);
}

fn a_reader_that_went_away_costs_lines_and_nothing_else(setting: Setting) {
    let directory = setting.directory();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let plan = setting.plan(directory.path()).saying_to(writer.into());
    serves_and_stops(plan.start(), true);
}

fn a_reader_that_never_reads_costs_lines_and_nothing_else(setting: Setting) {
    let directory = setting.directory();
    let (_reader, writer) = stuffed_pipe();
    let plan = setting.plan(directory.path()).saying_to(writer);
    // So few lines wait in the queue.
    serves_and_stops(plan.start(), false);
}

fn a_start_that_is_refused_ends_although_nobody_reads_why(setting: Setting) {
    let directory = setting.directory();
    let (_reader, stuffed) = stuffed_pipe();
    for stderr in [full(), stuffed] {
        let plan = setting.plan(directory.path()).saying_to(stderr);
        let wrong = plan.clone().with("DEDUP_TTL", "never");
        assert_eq!(wrong.run_to_end().code(), 78);
        assert_eq!(plan.without("PCS_HMAC_KEY").run_to_end().code(), 78);
    }
}

fn signals_that_mean_nothing_are_ignored_with_a_line(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    for (signal, name) in [
        (Signal::HUP, "SIGHUP"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
    ] {
        gateway.signal(signal);
        gateway.wait_until_said(&format!("{name} ignored"));
    }
    // Nothing is said of a reader of another kind, or of a terminal that is another's.
    gateway.signal(Signal::PIPE);
    gateway.signal(Signal::TTOU);
    assert_eq!(gateway.post(&record(1).body).status, 200);
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
}
