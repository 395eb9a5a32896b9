//! The service endpoints: health, readiness, version and metrics. They read counters and flags and change nothing.

use super::Ingress;
use super::answer::Answer;
use crate::http::accept::quality;
use crate::http::{Afterwards, Common, Date, Head, Problem, ResponsePart, Route, respond};
use crate::mesh::keeper::Shortage;
use crate::stats::WAL_FORMAT;
use crate::stats::exposition::{self, Format};
use crate::wal::manifest::DIRECTORY_VERSION;

impl Ingress {
    /// Why this shard takes no records now; `None`: it does.
    pub(super) fn unready(&self) -> Option<Problem> {
        if self.drain.is_on() {
            return Some(Problem::Draining);
        }
        let mut observed = self.config.stats.observed.iter();
        match self.shut() {
            None if self.stall.any() => Some(Problem::LogStalled),
            None if observed.any(|shard| shard.stuck.get() > 0) => Some(Problem::ShardStuck),
            shut => shut,
        }
    }

    /// Why no record is admitted now, of any client.
    pub(super) fn shut(&self) -> Option<Problem> {
        if let Some(problem) = self.not_loaded() {
            return Some(problem);
        }
        match self.space_low {
            Some(Shortage::Disk) => return Some(Problem::DiskFull),
            Some(Shortage::Cap | Shortage::Segments) => return Some(Problem::CapReached),
            Some(Shortage::Refused) => return Some(Problem::WalReadOnly),
            Some(Shortage::Descriptors) => return Some(Problem::OutOfDescriptors),
            None => {}
        }
        let under_pressure = self.under_pressure.contains(&true);
        under_pressure.then_some(Problem::DedupMemoryFull)
    }

    /// Why this shard does not know all outcomes, if it does not.
    pub(super) fn not_loaded(&self) -> Option<Problem> {
        match (self.loaded, self.serving) {
            // Also between the beginning of the log and the end of recovery: nothing is known of memory yet.
            (false, _) => Some(Problem::Starting),
            (true, false) => Some(Problem::DedupMemoryFull),
            (true, true) => None,
        }
    }

    pub(super) fn may_read_metrics(&mut self, slot: u32, head: &Head, inbox: &[u8]) -> bool {
        let Some(auth) = &self.config.metrics_auth else {
            return true;
        };
        let given = head
            .authorization
            .map(|span| span.of(self.connections.at(slot).received.pending(inbox)));
        given
            .and_then(basic_credentials)
            .is_some_and(|given| equal_in_constant_time(given, &auth.expected))
    }

    /// Renders an endpoint; returns its status.
    pub(super) fn write_page(
        &mut self,
        route: Route,
        afterwards: Afterwards,
        part: ResponsePart,
        out: &mut Vec<u8>,
    ) -> u16 {
        let unready = self.unready();
        let in_force = match route {
            Route::ReadyzVerbose => self.what_is_in_force(),
            _ => String::new(),
        };
        let common = Common {
            date: &self.date,
            afterwards,
            part,
        };
        let mut text = |media_type, body: &[u8]| respond::text(out, 200, media_type, body, common);
        let plain = "text/plain; charset=utf-8";
        match route {
            Route::Readyz | Route::ReadyzVerbose => match (unready, route) {
                (Some(problem), _) => {
                    respond::problem(out, problem, None, common);
                    return problem.status();
                }
                (None, Route::ReadyzVerbose) => text(plain, in_force.as_bytes()),
                (None, _) => text(plain, b"OK"),
            },
            Route::Health | Route::Livez => text(plain, b"OK"),
            Route::Version => text("application/json", VERSION.as_bytes()),
            Route::Options(allowed) => respond::options(out, allowed, common),
            Route::Submit | Route::Batch | Route::Outcome(_) | Route::Metrics => {
                unreachable!("these have answers of their own")
            }
        }
        200
    }

    /// What `/readyz?verbose` says: the snapshot, how old it is, and how many tenants it cannot serve.
    fn what_is_in_force(&self) -> String {
        let page = &self.config.stats.keeper;
        let number = self.stats().snapshot.get();
        let since_s = page.snapshot_since_us.get() / 1_000_000;
        let since = String::from_utf8_lossy(Date::at(since_s).line()).into_owned();
        let since = since.trim_start_matches("Date: ").trim_end();
        let age_s = self.date.second().saturating_sub(since_s);
        let closed = page.tenants_closed.get();
        format!(
            "OK\nsnapshot {number}, in force since {since} ({age_s} s)\ntenants without their keys {closed}\n"
        )
    }

    /// What a client that asks for a service endpoint is to get.
    pub(super) fn service(&mut self, slot: u32, head: &Head, route: Route, inbox: &[u8]) -> Answer {
        if route != Route::Metrics {
            return Answer::Service(route);
        }
        let pending = self.connections.at(slot).received.pending(inbox);
        let head = pending.get(..head.head_len).unwrap_or_default();
        Answer::Metrics(Format::preferred(|it| quality(head, it)))
    }

    /// Renders the metrics; returns the status.
    pub(super) fn write_metrics(
        &mut self,
        format: Format,
        afterwards: Afterwards,
        part: ResponsePart,
        out: &mut Vec<u8>,
    ) -> u16 {
        self.page_text.clear();
        exposition::render(&self.config.stats.parts(), format, &mut self.page_text);
        let common = Common {
            date: &self.date,
            afterwards,
            part,
        };
        respond::text(
            out,
            200,
            format.content_type(),
            self.page_text.as_bytes(),
            common,
        );
        200
    }
}

const _: () = assert!(
    DIRECTORY_VERSION == 2 && WAL_FORMAT == DIRECTORY_VERSION,
    "/version and flk_build_info state it"
);

/// The body of `/version`.
const VERSION: &str = concat!(
    "{\"name\":\"flk\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"schema\":\"fractal-lba-kakeya\",\"schema_version\":\"0.1\",\"wal_format\":2}"
);

/// What follows the scheme `Basic`, whose name has no case (RFC 9110, 11.1), and the spaces behind it.
fn basic_credentials(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(b"Basic ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Basic ")
        .then(|| rest.trim_ascii_start())
}

/// Compares without saying by its duration where the first difference is.
fn equal_in_constant_time(given: &[u8], expected: &[u8]) -> bool {
    let mut difference = given.len() ^ expected.len();
    for (at, byte) in expected.iter().enumerate() {
        difference |= usize::from(byte ^ given.get(at).copied().unwrap_or(!byte));
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::{basic_credentials, equal_in_constant_time};

    #[test]
    fn the_name_of_the_scheme_has_no_case() {
        for header in ["Basic YTpi", "basic YTpi", "BASIC YTpi", "Basic   YTpi"] {
            assert_eq!(
                basic_credentials(header.as_bytes()),
                Some(&b"YTpi"[..]),
                "{header}"
            );
        }
        for header in ["", "Basic", "BasicYTpi", "Bearer YTpi", "YTpi"] {
            assert_eq!(basic_credentials(header.as_bytes()), None, "{header}");
        }
    }

    #[test]
    fn only_equal_texts_are_equal() {
        assert!(equal_in_constant_time(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!equal_in_constant_time(other, b"abc"));
        }
    }
}
