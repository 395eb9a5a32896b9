//! `flk-control` as an operator sees it: the program, its files, its admin API and its log, beside a data plane that speaks
//! the protocol and does what a test tells it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests may

mod api;
mod connections;
mod console;
mod events;
mod fake;
mod history;
mod logs;
mod process;
mod reload;
mod sessions;
mod units;
mod world;
