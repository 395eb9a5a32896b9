//! The whole gateway from outside: every test runs on every host of `Setting`. `make test-e2e` builds what it needs.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // helpers of tests may unwrap as tests do

/// Every test of a module on every host, each under its own name.
macro_rules! on_every_host {
    ($($test:ident),* $(,)?) => {
        mod uring { $(#[test] fn $test() { crate::run(flk_e2e::setting::Setting::Uring, super::$test); })* }
        mod portable { $(#[test] fn $test() { crate::run(flk_e2e::setting::Setting::Portable, super::$test); })* }
        mod uring_blocked { $(#[test] fn $test() { crate::run(flk_e2e::setting::Setting::UringBlocked, super::$test); })* }
        mod tmpfs { $(#[test] fn $test() { crate::run(flk_e2e::setting::Setting::Tmpfs, super::$test); })* }
    };
}

// In the order in which an operator meets them.
mod start;

mod environment;
mod logs;
mod memory;
mod sandbox;
mod secrets;
mod stderr;

mod batch;
mod connections;
mod conversations;
mod descriptors;
mod idle;
mod limits;
mod look_ups;
mod patience;
mod proxy;
mod records;
mod shards;

mod metrics;
mod namespaces;
mod stuck;

mod snapshots;

mod kept;

mod damage;
mod drills;

mod disk;
mod faults;
mod room;

mod drain;
mod handover;

fn run(setting: flk_e2e::setting::Setting, test: fn(flk_e2e::setting::Setting)) {
    if setting.is_available() {
        test(setting);
    }
}
