//! What happened, in words: starts, changes of the configuration, seals and deletions, and when the data plane went and came. The
//! newest few hundred; a start of this process begins with the last lines of the audit log. It reads no file.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Events that are kept.
const EVENTS_MAX: usize = 400;

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A process started.
    Start,
    /// A snapshot was published.
    Reload,
    /// An earlier one was published again.
    Rollback,
    /// A change was refused.
    Refused,
    /// Any other line of the audit log.
    Audit,
    /// Decisions were sealed into a slice.
    Seal,
    /// Slices were merged.
    Merge,
    /// Segments were packed.
    Pack,
    /// Segments or slices were deleted.
    Delete,
    /// A hold lost what it was not done with.
    Hold,
    /// An operator gave up what is damaged.
    Quarantine,
    /// The data plane stopped as it should.
    Stop,
    /// The data plane does not answer.
    Away,
    /// It answers again.
    Back,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub t_ms: u64,
    /// Its kind.
    pub kind: What,
    /// What happened.
    pub words: String,
    /// Who or what caused it.
    pub actor: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Journal(Mutex<VecDeque<Event>>);

impl Journal {
    /// Notes an event at its place in time; the oldest goes where there are too many.
    pub fn note(&self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = events.iter().rposition(|it| it.t_ms <= event.t_ms);
        events.insert(behind.map_or(0, |at| at + 1), event);
        if events.len() > EVENTS_MAX {
            events.pop_front();
        }
    }

    /// All of them, the newest first.
    pub fn newest(&self) -> Vec<Event> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(t_ms: u64, words: &str) -> Event {
        Event {
            t_ms,
            kind: What::Start,
            words: words.to_owned(),
            actor: None,
        }
    }

    #[test]
    fn events_stand_in_the_order_of_their_times_and_the_newest_are_kept() {
        let journal = Journal::default();
        for it in [event(5, "b"), event(3, "a"), event(5, "c"), event(9, "d")] {
            journal.note(it);
        }
        let words: Vec<_> = journal.newest().into_iter().map(|it| it.words).collect();
        assert_eq!(words, ["d", "c", "b", "a"]);
        for t_ms in 10..10 + EVENTS_MAX as u64 {
            journal.note(event(t_ms, ""));
        }
        let newest = journal.newest();
        assert_eq!(
            (newest.len(), newest[EVENTS_MAX - 1].t_ms),
            (EVENTS_MAX, 10)
        );
    }

    #[test]
    fn an_event_is_an_object_with_the_word_of_its_kind() {
        let json = serde_json::to_string(&event(7, "x")).unwrap();
        assert_eq!(
            json,
            r#"{"t_ms":7,"kind":"start","words":"x","actor":null}"#
        );
    }
}
