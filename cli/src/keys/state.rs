//! What a key's times say of it at a given second. It reads no clock.

use flk_dataplane::config::time;
use flk_dataplane::snapshot::KeyDocument;

/// When a key verifies, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) not_before: Option<u64>,
    pub(super) not_after: Option<u64>,
    pub(super) revoked_at: Option<u64>,
}

impl Times {
    /// Those of a key of the configuration.
    pub(super) fn of(key: &KeyDocument) -> Times {
        Times {
            not_before: key.not_before,
            not_after: key.not_after,
            revoked_at: key.revoked_at,
        }
    }

    /// The first second in which it no longer verifies.
    pub(super) fn ends_s(self) -> Option<u64> {
        let ends = [self.not_after, self.revoked_at].into_iter().flatten();
        ends.min()
    }

    /// What they say at `now_s`.
    pub(super) fn state(self, now_s: u64) -> State {
        let begins_s = self.not_before.unwrap_or(0);
        match (self.revoked_at, self.ends_s()) {
            (Some(at), _) if at <= now_s => State::Revoked { at_s: at },
            (_, Some(at)) if at <= now_s => State::Ended { at_s: at },
            _ if begins_s > now_s => State::Coming {
                in_s: begins_s - now_s,
            },
            (_, Some(at)) => State::Ending { in_s: at - now_s },
            (_, None) => State::Active,
        }
    }
}

/// See [`Times::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It does not verify yet.
    Coming { in_s: u64 },
    /// It verifies, without an end.
    Active,
    /// It verifies, and will not for ever.
    Ending { in_s: u64 },
    /// Its time is over.
    Ended { at_s: u64 },
    /// It was taken back.
    Revoked { at_s: u64 },
}

impl State {
    /// Whether it verifies.
    pub(super) fn is_active(self) -> bool {
        matches!(self, State::Active | State::Ending { .. })
    }

    /// For programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Coming { .. } => "coming",
            State::Active => "active",
            State::Ending { .. } => "ending",
            State::Ended { .. } => "ended",
            State::Revoked { .. } => "revoked",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            State::Coming { in_s } => write!(out, "coming in {}", span(in_s)),
            State::Active => out.write_str("active"),
            State::Ending { in_s } => write!(out, "ends in {}", span(in_s)),
            State::Ended { at_s } => write!(out, "ended {}", time::show(at_s)),
            State::Revoked { at_s } => write!(out, "revoked {}", time::show(at_s)),
        }
    }
}

/// A time in its two largest units.
pub(super) fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(first) = units.iter().position(|(unit, _)| seconds >= *unit) else {
        return "0s".to_owned();
    };
    let (unit, name) = units[first];
    let rest = units
        .get(first + 1)
        .map(|&(small, name)| (seconds % unit / small, name));
    match rest {
        Some((more, small)) if more > 0 => format!("{}{name} {more}{small}", seconds / unit),
        _ => format!("{}{name}", seconds / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_is_active_ends_and_is_over_to_the_second() {
        let times = |not_before, not_after, revoked_at| Times {
            not_before,
            not_after,
            revoked_at,
        };
        for (times, now_s, expected) in [
            (times(None, None, None), 0, State::Active),
            (times(Some(10), None, None), 9, State::Coming { in_s: 1 }),
            (times(Some(10), None, None), 10, State::Active),
            (times(None, Some(10), None), 9, State::Ending { in_s: 1 }),
            (times(None, Some(10), None), 10, State::Ended { at_s: 10 }),
            (times(None, Some(10), Some(8)), 7, State::Ending { in_s: 1 }),
            (
                times(None, Some(10), Some(8)),
                11,
                State::Revoked { at_s: 8 },
            ),
            (
                times(Some(10), None, Some(8)),
                8,
                State::Revoked { at_s: 8 },
            ),
        ] {
            assert_eq!(times.state(now_s), expected, "{times:?} at {now_s}");
        }
    }

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_661, "1h 1m"),
            (14 * 86_400, "14d"),
            (14 * 86_400 - 1, "13d 23h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }
}
