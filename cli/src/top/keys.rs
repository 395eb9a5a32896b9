//! What keys change on the screen. It reads no key itself.

use super::table::Sort;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use std::time::Duration;

/// Intervals that + and - step through.
const INTERVALS_MS: [u64; 9] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// Whether readings are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    Running,
    Paused,
}

/// What the user has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) sort: Sort,
    pub(super) interval: Duration,
    pub(super) motion: Motion,
}

/// What comes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterKey {
    /// Something else is to be shown.
    Redraw,
    /// Nothing.
    Stay,
    /// The user wants to leave.
    Leave,
}

impl Choice {
    /// What holds before a key is pressed.
    pub(super) fn starting(interval: Duration) -> Choice {
        Choice {
            sort: Sort::default(),
            interval,
            motion: Motion::Running,
        }
    }

    /// Carries out what a key means.
    pub(super) fn press(&mut self, event: &Event) -> AfterKey {
        let key = match event {
            Event::Resize(..) => return AfterKey::Redraw,
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => return AfterKey::Stay,
        };
        // In raw mode Ctrl-C is a key like any other.
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return AfterKey::Leave,
            KeyCode::Char('q') => return AfterKey::Leave,
            KeyCode::Char('p') => {
                self.motion = match self.motion {
                    Motion::Running => Motion::Paused,
                    Motion::Paused => Motion::Running,
                };
            }
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.sort = self.sort.reversed(),
            KeyCode::Char('+') => self.interval = longer(self.interval),
            KeyCode::Char('-') => self.interval = shorter(self.interval),
            _ => return AfterKey::Stay,
        }
        AfterKey::Redraw
    }
}

fn longer(interval: Duration) -> Duration {
    let mut steps = INTERVALS_MS.into_iter().map(Duration::from_millis);
    steps.find(|it| *it > interval).unwrap_or(interval)
}

fn shorter(interval: Duration) -> Duration {
    let mut steps = INTERVALS_MS.into_iter().rev().map(Duration::from_millis);
    steps.find(|it| *it < interval).unwrap_or(interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    fn key(character: char) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE))
    }

    fn choice() -> Choice {
        Choice::starting(Duration::from_secs(1))
    }

    #[test]
    fn each_key_changes_what_it_says_and_nothing_else() {
        let mut now = choice();
        for (pressed, expect) in [
            (
                'p',
                Choice {
                    motion: Motion::Paused,
                    ..choice()
                },
            ),
            (
                's',
                Choice {
                    sort: Sort::default().next(),
                    ..choice()
                },
            ),
            (
                'r',
                Choice {
                    sort: Sort::default().reversed(),
                    ..choice()
                },
            ),
            (
                '+',
                Choice {
                    interval: Duration::from_secs(2),
                    ..choice()
                },
            ),
            (
                '-',
                Choice {
                    interval: Duration::from_millis(500),
                    ..choice()
                },
            ),
        ] {
            assert_eq!(now.press(&key(pressed)), AfterKey::Redraw);
            assert_eq!(now, expect, "{pressed}");
            now = choice();
        }
        assert_eq!(now.press(&key('x')), AfterKey::Stay);
        assert_eq!(now.press(&key('c')), AfterKey::Stay);
        assert_eq!(now.press(&Event::Resize(80, 24)), AfterKey::Redraw);
        assert_eq!(now, choice());
        assert_eq!(now.press(&key('q')), AfterKey::Leave);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(now.press(&Event::Key(interrupt)), AfterKey::Leave);
    }

    #[test]
    fn intervals_stop_at_both_ends() {
        let mut now = choice();
        for _ in 0..20 {
            now.press(&key('+'));
        }
        assert_eq!(now.interval, Duration::from_secs(60));
        for _ in 0..20 {
            now.press(&key('-'));
        }
        assert_eq!(now.interval, Duration::from_millis(100));
        assert_eq!(longer(Duration::from_secs(600)), Duration::from_secs(600));
    }
}
