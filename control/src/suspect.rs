//! Whether a new snapshot is suspect: the shares of 401, 202 and 429 in the first minute under it against the minute before.
//! Pure functions of counters and times; it rolls nothing back.

use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// How long a snapshot is watched, and how long the time before it counts.
pub const WATCHED: Duration = Duration::from_secs(60);
/// Fewer answers than this on either side say nothing.
pub const ANSWERS_MIN: u64 = 100;
/// A share jumps if it grows by at least this, in thousandths of all answers ...
pub const GROWTH_MIN: u64 = 50;
/// ... and becomes at least this many times as large.
pub const FACTOR_MIN: u64 = 2;

/// Statuses that are watched: refused signatures and tenants, escalations, limits.
const STATUSES: [u16; 3] = [401, 202, 429];

/// Answers since the start of the data plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    all: u64,
    of: [u64; STATUSES.len()],
}

/// A share that jumped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspicion {
    /// The snapshot.
    pub number: u32,
    /// The status.
    pub status: u16,
    /// Its share of all answers in the minute before, in thousandths.
    pub before_thousandths: u64,
    /// The same under the snapshot.
    pub after_thousandths: u64,
}

impl fmt::Display for Suspicion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |thousandths: u64| format!("{}.{} %", thousandths / 10, thousandths % 10);
        let [before, after] = [self.before_thousandths, self.after_thousandths].map(percent);
        let Suspicion { number, status, .. } = self;
        write!(
            out,
            "snapshot {number} is suspect: {after} of all answers are {status}, {before} were in the minute before; flk config history shows what to roll back to"
        )
    }
}

impl Counts {
    /// From a page of metrics: `http_requests_total{code="401"} 7`.
    pub fn read(page: &str) -> Counts {
        let mut counts = Counts::default();
        let samples = page.lines().filter_map(|line| {
            let rest = line.strip_prefix("http_requests_total{code=\"")?;
            let (code, value) = rest.split_once("\"} ")?;
            Some((code.parse::<u16>().ok()?, value.parse::<u64>().ok()?))
        });
        for (code, value) in samples {
            counts.all += value;
            if let Some(at) = STATUSES.iter().position(|status| *status == code) {
                counts.of[at] += value;
            }
        }
        counts
    }

    /// What came since an earlier count; none if the data plane was started in between.
    fn since(self, earlier: Counts) -> Option<Counts> {
        let mut of = [0; STATUSES.len()];
        for (at, since) in of.iter_mut().enumerate() {
            *since = self.of[at].checked_sub(earlier.of[at])?;
        }
        let all = self.all.checked_sub(earlier.all)?;
        Some(Counts { all, of })
    }

    fn thousandths(&self, at: usize) -> u64 {
        self.of[at] * 1000 / self.all.max(1)
    }
}

/// Counters of the last minute, and the snapshot that is watched.
#[derive(Debug, Default)]
pub struct Judge {
    samples: VecDeque<(Duration, Counts)>,
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    number: u32,
    until: Duration,
    /// Answers in the minute before.
    before: Counts,
    /// Counters at its beginning.
    from: Counts,
    reported: [bool; STATUSES.len()],
}

impl Judge {
    /// Takes counters at a time of a clock that never goes back; what is suspect now and was not before.
    pub fn sample(&mut self, now: Duration, counts: Counts) -> Vec<Suspicion> {
        if let Some((_, last)) = self.samples.back()
            && counts.since(*last).is_none()
        {
            // The data plane was started again: nothing can be compared.
            self.samples.clear();
            self.watched = None;
        }
        self.samples.push_back((now, counts));
        while self.samples.len() > 1 && now.saturating_sub(self.samples[0].0) > WATCHED {
            self.samples.pop_front();
        }
        if self.watched.as_ref().is_some_and(|it| now > it.until) {
            self.watched = None;
        }
        self.watched
            .as_mut()
            .map_or_else(Vec::new, |it| it.judge(counts))
    }

    /// A snapshot came into force just after the last sample.
    pub fn published(&mut self, number: u32, now: Duration) {
        self.watched = None;
        if let (Some((_, first)), Some((_, last))) = (self.samples.front(), self.samples.back())
            && let Some(before) = last.since(*first)
        {
            self.watched = Some(Watched {
                number,
                until: now + WATCHED,
                before,
                from: *last,
                reported: [false; STATUSES.len()],
            });
        }
    }
}

impl Watched {
    fn judge(&mut self, counts: Counts) -> Vec<Suspicion> {
        let mut found = Vec::new();
        let Some(after) = counts.since(self.from) else {
            return found;
        };
        if after.all < ANSWERS_MIN || self.before.all < ANSWERS_MIN {
            return found;
        }
        for (at, status) in STATUSES.into_iter().enumerate() {
            let (was, is) = (self.before.thousandths(at), after.thousandths(at));
            let jumps = is >= was + GROWTH_MIN && is >= was * FACTOR_MIN;
            if jumps && !std::mem::replace(&mut self.reported[at], true) {
                found.push(Suspicion {
                    number: self.number,
                    status,
                    before_thousandths: was,
                    after_thousandths: is,
                });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ok: u64, refused: u64) -> Counts {
        Counts::read(&format!(
            "# HELP http_requests_total x\nhttp_requests_total{{code=\"200\"}} {ok}\nhttp_requests_total{{code=\"401\"}} {refused}\nhttp_requests_errors_total {refused}\n"
        ))
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A judge that saw this in the minute before snapshot 7.
    fn judge(ok: u64, refused: u64) -> Judge {
        let mut judge = Judge::default();
        assert_eq!(judge.sample(s(0), counts(0, 0)), []);
        assert_eq!(judge.sample(s(55), counts(ok, refused)), []);
        judge.published(7, s(56));
        judge
    }

    #[test]
    fn a_share_that_jumps_is_told_once() {
        let mut judge = judge(1000, 10);
        assert_eq!(judge.sample(s(60), counts(1050, 11)), [], "too few answers");
        let suspicions = judge.sample(s(65), counts(1200, 70));
        let [suspicion] = &suspicions[..] else {
            panic!("{suspicions:?}");
        };
        let Suspicion { number, status, .. } = suspicion;
        assert_eq!((*number, *status), (7, 401));
        assert_eq!(
            (suspicion.before_thousandths, suspicion.after_thousandths),
            (9, 230)
        );
        let text = suspicion.to_string();
        assert!(
            text.contains("23.0 % of all answers are 401, 0.9 % were"),
            "{text}"
        );
        assert_eq!(judge.sample(s(70), counts(1210, 200)), []);
    }

    #[test]
    fn a_share_that_stays_or_grows_a_little_is_not_suspect() {
        let mut judge = judge(900, 100);
        assert_eq!(judge.sample(s(65), counts(1800, 200)), []);
        assert_eq!(
            judge.sample(s(70), counts(2600, 390)),
            [],
            "17 % after 10 %"
        );
    }

    #[test]
    fn what_comes_after_the_first_minute_is_not_held_against_it() {
        let mut judge = judge(1000, 0);
        assert_eq!(judge.sample(s(117), counts(1000, 5000)), []);
    }

    #[test]
    fn without_traffic_before_there_is_nothing_to_compare() {
        let mut judge = judge(50, 0);
        assert_eq!(judge.sample(s(60), counts(50, 5000)), []);
        let mut judge = Judge::default();
        judge.published(1, s(0));
        assert_eq!(judge.sample(s(5), counts(0, 5000)), []);
    }

    #[test]
    fn a_data_plane_that_was_started_again_is_not_compared_with_its_former_self() {
        let mut judge = judge(100_000, 0);
        assert_eq!(judge.sample(s(60), counts(0, 500)), []);
        assert_eq!(judge.sample(s(65), counts(0, 5000)), []);
    }
}
