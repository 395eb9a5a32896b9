//! When each span of a traced record begins and ends, and how they are nested.

use super::spans::{DEDUP_AT, SPANS, Span, SpanKind};
use super::trace::{Moment, Trace};

impl Trace {
    /// Its spans, the root first. Times within a turn are finer than those between turns; where they meet, a span begins no
    /// earlier than the one before it ended.
    pub fn spans(&self) -> impl Iterator<Item = SpanTimes> + '_ {
        let times = SPANS.iter().enumerate();
        times.filter_map(|(index, span)| {
            let (begins_ns, ends_ns) = self.times(span.kind)?;
            Some(SpanTimes {
                span,
                span_id: match span.kind {
                    SpanKind::Root => self.span_id,
                    _ => child(self.span_id, index as u64),
                },
                parent_id: match span.kind {
                    SpanKind::Root => self.parent_id,
                    SpanKind::OwnerHop => child(self.span_id, DEDUP_AT),
                    _ => self.span_id,
                },
                begins_ns,
                ends_ns: ends_ns.max(begins_ns),
            })
        })
    }

    fn times(&self, kind: SpanKind) -> Option<(u64, u64)> {
        let last_ns = || self.moments.iter().copied().max().unwrap_or(0);
        let claimed_ns = || Some(self.at(Moment::Claimed)?.max(self.judged_ns()));
        let answered_ns = || Some(self.at(Moment::Answered)?.max(claimed_ns()?));
        match kind {
            SpanKind::Root => Some((self.at(Moment::Begun)?, last_ns())),
            SpanKind::Framing => Some((self.at(Moment::Begun)?, self.at(Moment::Framed)?)),
            SpanKind::WalAppend => Some((self.at(Moment::Framed)?, self.at(Moment::Durable)?)),
            SpanKind::Parse => self.judging(Moment::Parse, Moment::Signature),
            SpanKind::Signature => self.judging(Moment::Signature, Moment::Verify),
            SpanKind::Verify => self.judging(Moment::Verify, Moment::Judged),
            SpanKind::Dedup => Some((claimed_ns()?, answered_ns().unwrap_or_else(last_ns))),
            SpanKind::OwnerHop if self.hops() => Some((claimed_ns()?, answered_ns()?)),
            SpanKind::OwnerHop => None,
            SpanKind::DecisionWait => {
                let decided_ns = self.at(Moment::Decided)?.max(answered_ns()?);
                Some((decided_ns, self.at(Moment::DecisionDurable)?))
            }
            SpanKind::Reply => Some((self.at(Moment::Ready)?, self.at(Moment::Replied)?)),
        }
    }

    /// A step of judging lasts until the next one begins, or until the record is refused by it.
    fn judging(&self, begins: Moment, next: Moment) -> Option<(u64, u64)> {
        let ends_ns = self.at(next).or(self.at(Moment::Judged));
        Some((self.at(begins)?, ends_ns?))
    }

    fn judged_ns(&self) -> u64 {
        self.at(Moment::Judged).unwrap_or(0)
    }
}

/// One span of a trace.
#[derive(Clone, Copy, Debug)]
pub struct SpanTimes {
    /// What it is.
    pub span: &'static Span,
    /// Its id.
    pub span_id: u64,
    /// That of the span around it; 0: there is none.
    pub parent_id: u64,
    /// When it begins, in nanoseconds of the monotonic clock.
    pub begins_ns: u64,
    /// When it ends.
    pub ends_ns: u64,
}

/// The id of a child: another one for each number, and never 0.
fn child(root: u64, number: u64) -> u64 {
    mix(root.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).max(1)
}

/// The finalizer of SplitMix64, which maps each number to another one.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn trace(moments: [u64; Moment::COUNT]) -> Trace {
        Trace {
            trace_id: [7; 16],
            span_id: 99,
            moments,
            ..Trace::default()
        }
    }

    fn spans(trace: &Trace) -> Vec<(&'static str, u64, u64)> {
        let spans = trace.spans();
        spans
            .map(|it| (it.span.name, it.begins_ns, it.ends_ns))
            .collect()
    }

    #[test]
    fn a_first_record_with_a_remote_owner_has_all_spans_one_behind_the_other() {
        let trace = Trace {
            owner: 1,
            ..trace([10, 20, 30, 31, 33, 36, 40, 30, 50, 50, 60, 70, 70, 75])
        };
        assert_eq!(
            spans(&trace),
            [
                ("POST /v1/pcs/submit", 10, 75),
                ("flk.framing", 10, 30),
                ("flk.wal_append", 30, 60),
                ("flk.parse", 31, 33),
                ("flk.signature", 33, 36),
                ("flk.verify", 36, 40),
                ("flk.dedup", 40, 50), // claimed in the turn that began at 30, behind its verification
                ("flk.owner_hop", 40, 50),
                ("flk.decision_wait", 50, 70),
                ("flk.reply", 70, 75),
            ]
        );
        let hop = trace.spans().nth(7).unwrap();
        let dedup = trace.spans().nth(6).unwrap();
        assert_eq!(hop.parent_id, dedup.span_id);
        let others = trace
            .spans()
            .filter(|it| it.span.kind != SpanKind::OwnerHop);
        let parents: Vec<u64> = others.map(|it| it.parent_id).collect();
        assert_eq!(parents, [0, 99, 99, 99, 99, 99, 99, 99, 99]);
        let ids: BTreeSet<u64> = trace.spans().map(|it| it.span_id).collect();
        assert_eq!(ids.len(), SPANS.len());
    }

    #[test]
    fn with_a_local_owner_no_span_begins_before_the_one_ahead_of_it_has_ended() {
        // All of the turn that began at 30, and its judging took until 40.
        let local = trace([10, 20, 30, 31, 33, 36, 40, 30, 30, 30, 60, 60, 60, 75]);
        let spans = spans(&local);
        assert!(spans.contains(&("flk.dedup", 40, 40)), "{spans:?}");
        assert!(spans.contains(&("flk.decision_wait", 40, 60)), "{spans:?}");
        // A clock that is read in between never makes a span that ends before it begins.
        let early = trace([10, 20, 30, 31, 33, 36, 40, 30, 30, 30, 35, 35, 35, 35]);
        assert!(early.spans().all(|it| it.begins_ns <= it.ends_ns));
    }

    #[test]
    fn a_refused_record_has_the_spans_of_what_it_reached() {
        let refused = trace([10, 20, 30, 31, 33, 0, 40, 0, 0, 0, 60, 0, 60, 65]);
        let names: Vec<_> = spans(&refused).iter().map(|it| it.0).collect();
        assert_eq!(
            names,
            [
                "POST /v1/pcs/submit",
                "flk.framing",
                "flk.wal_append",
                "flk.parse",
                "flk.signature",
                "flk.reply"
            ]
        );
        assert_eq!(spans(&refused)[4], ("flk.signature", 33, 40));
    }

    #[test]
    fn a_withdrawn_claim_lasts_until_the_end_of_the_trace() {
        let withdrawn = trace([10, 20, 30, 31, 33, 36, 40, 30, 0, 0, 60, 0, 90, 95]);
        assert!(spans(&withdrawn).contains(&("flk.dedup", 40, 95)));
    }
}
