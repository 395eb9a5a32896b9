//! The service endpoints: health, readiness, version and metrics. They read counters and flags and change nothing.

use super::Ingress;
use crate::http::{Afterwards, Common, Head, Problem, ResponsePart, Route, respond};
use crate::mesh::keeper::Shortage;
use crate::stats::exposition;

impl Ingress {
    /// Why this shard takes no records now; `None`: it does.
    pub(super) fn unready(&self) -> Option<Problem> {
        if self.drain.is_on() {
            return Some(Problem::Draining);
        }
        match self.shut() {
            None if self.stall.any() => Some(Problem::LogStalled),
            shut => shut,
        }
    }

    /// Why no record is admitted now, of any client.
    pub(super) fn shut(&self) -> Option<Problem> {
        if !self.loaded {
            // Also between the beginning of the log and the end of recovery: nothing is known of memory yet.
            return Some(Problem::Starting);
        }
        if !self.serving {
            return Some(Problem::DedupMemoryFull);
        }
        match self.space_low {
            Some(Shortage::Disk) => return Some(Problem::DiskFull),
            Some(Shortage::Cap | Shortage::Segments) => return Some(Problem::CapReached),
            Some(Shortage::Refused) => return Some(Problem::WalReadOnly),
            None => {}
        }
        let under_pressure = self.under_pressure.contains(&true);
        under_pressure.then_some(Problem::DedupMemoryFull)
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
        let common = Common {
            date: &self.date,
            afterwards,
            part,
        };
        let mut text = |media_type, body: &[u8]| respond::text(out, 200, media_type, body, common);
        let plain = "text/plain; charset=utf-8";
        match route {
            Route::Readyz => match unready {
                Some(problem) => {
                    respond::problem(out, problem, None, common);
                    return problem.status();
                }
                None => text(plain, b"OK"),
            },
            Route::Health | Route::Livez => text(plain, b"OK"),
            Route::Version => text("application/json", VERSION.as_bytes()),
            Route::Metrics => {
                self.page_text.clear();
                exposition::render(&self.config.stats, &mut self.page_text);
                text(exposition::CONTENT_TYPE, self.page_text.as_bytes());
            }
            Route::Options(allowed) => respond::options(out, allowed, common),
            Route::Submit => unreachable!("a submission is not a page"),
        }
        200
    }
}

/// The body of `/version`.
const VERSION: &str = concat!(
    "{\"name\":\"flk\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"schema\":\"fractal-lba-kakeya\",\"schema_version\":\"0.1\",\"wal_format\":1}"
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
