//! Lines for the operator on standard error, written by a console as the gateway's are: a full or closed standard error never
//! stops control. No line holds a secret, for nothing that control reads of a key reaches this module.

use crate::events::{LinesDropped, LinesLeftOut, Panicked};
use flk_dataplane::driver::console::{Console, OwnLines, dropped_message, last_words};
use flk_dataplane::logs::{Event, Line};
use std::sync::OnceLock;

/// What the console says by itself.
const OWN_LINES: OwnLines = OwnLines {
    dropped: |lines_count| Line::new(LinesDropped { lines_count }, dropped_message(lines_count)),
    left_out: |left_out| {
        let event = LinesLeftOut {
            of_event: left_out.kind.name,
            lines_count: left_out.count,
        };
        Line::new(event, left_out.message())
    },
    panicked: |thread, message| Line::new(Panicked { thread }, message),
};

/// None: its thread cannot be started.
fn console() -> Option<&'static Console> {
    static CONSOLE: OnceLock<Option<Console>> = OnceLock::new();
    let console = CONSOLE.get_or_init(|| Console::start_with(OWN_LINES).ok());
    console.as_ref()
}

/// Says the line of an event, unless there are too many of its kind.
pub fn say(event: impl Event, message: impl Into<String>) {
    match console() {
        Some(console) => console.say(event, message),
        None => last_words(event, message),
    }
}

/// Reports what was left out and not reported yet, and waits for the last lines, for the end of the process.
pub fn tell_the_rest() {
    if let Some(console) = console() {
        console.flush();
    }
}

/// Says panics like all other lines.
pub fn say_panics() {
    if let Some(console) = console() {
        console.say_panics();
    }
}
