//! The service manager's protocol: ready, alive, reloading, stopping. Where nothing asks for it each call does nothing.

use crate::events::ServiceManagerFailed;
use crate::say::say;
use sd_notify::NotifyState;
use std::fmt::Display;
use std::time::Duration;

/// It serves.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => failed("no time for the service manager", &error),
    }
}

/// It stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often to say that; none if nothing watches.
pub fn alive_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|bound| bound / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        failed("the service manager cannot be notified", &error);
    }
}

fn failed(what: &str, error: &dyn Display) {
    let message = format!("{what}: {error}");
    let error = error.to_string();
    say(ServiceManagerFailed { error }, message);
}
