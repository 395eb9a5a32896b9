//! The control process: it reads the configuration that should be in force and publishes it to the data plane as numbered
//! snapshots. The modules are listed from the file to the operator. It never touches a record, and nothing waits for it.

// What should be in force, and how it differs from what is.
pub mod desired;
pub mod diff;

// The data plane, as control sees it.
pub mod link;
pub mod scrape;
pub mod suspect;

// Who changed what.
pub mod audit;
pub mod tokens;

// The task that decides, and what it shows.
pub mod controller;
pub mod view;
pub mod watch;

// Operators, and what they are shown.
pub mod api;
pub mod console;
pub mod metrics;
pub mod observe;

// Traces, on their way to a collector.
pub mod export;
pub mod otlp;

// The service manager.
pub mod systemd;

// A start, and keeping one alive.
pub mod options;
pub mod run;
pub mod supervise;

// What control says.
pub mod events;
pub mod say;
