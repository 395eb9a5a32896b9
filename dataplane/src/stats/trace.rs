//! One traced record: whose trace it is, when it passed which border, and how it ended; and when each of its spans begins and ends.
//! It holds no payload, reads no clock and sends nothing.

use super::spans::{DEDUP_AT, SPANS, Span, SpanKind};
use flk_contract::verify::Reason;

/// A border that a traced record passes, in the order of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Moment {
    /// The first bytes of its request were looked at.
    Begun,
    /// Its last byte had arrived: latency counts from here.
    Whole,
    /// It was cut out of the bytes of its connection, and its body appended to the open batch.
    Framed,
    /// Parsing begins.
    Parse,
    /// Checking the signature begins.
    Signature,
    /// Checking the identity and verifying begins.
    Verify,
    /// It is judged.
    Judged,
    /// It claimed its key.
    Claimed,
    /// The owner of the key answered.
    Answered,
    /// Its decision was appended to the open batch.
    Decided,
    /// Its body was durable.
    Durable,
    /// Its decision was durable.
    DecisionDurable,
    /// All that its answer promises was durable.
    Ready,
    /// Its answer left.
    Replied,
}

impl Moment {
    /// How many there are.
    pub const COUNT: usize = Moment::Replied as usize + 1;
}

/// What de-duplication said of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// It was not asked, or did not answer.
    #[default]
    Nothing,
    /// The record is the first of its id.
    Miss,
    /// It is a duplicate.
    Hit,
    /// It is another record of the same id.
    Conflict,
}

impl Found {
    const ALL: [Found; 4] = [Found::Nothing, Found::Miss, Found::Hit, Found::Conflict];

    /// As in the header `Flk-Dedup`; empty for nothing.
    pub fn name(self) -> &'static str {
        match self {
            Found::Nothing => "",
            Found::Miss => "miss",
            Found::Hit => "hit",
            Found::Conflict => "conflict",
        }
    }

    /// That of this number.
    pub(super) fn numbered(number: u8) -> Found {
        let found = Found::ALL.get(usize::from(number));
        found.copied().unwrap_or_default()
    }
}

/// A traced record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The trace that it belongs to.
    pub trace_id: [u8; 16],
    /// The span of its caller; 0: the trace begins here.
    pub parent_id: u64,
    /// Its root span; those of its children follow from it.
    pub span_id: u64,
    /// When it passed each [`Moment`], in nanoseconds of the monotonic clock; 0: it did not.
    pub moments: [u64; Moment::COUNT],
    /// Status of its answer; 0: none left, for its connection had ended.
    pub status: u16,
    /// What de-duplication said.
    pub found: Found,
    /// Number of the reason of an escalation; 0: none.
    pub reason: u8,
    /// The shard that received it.
    pub shard: u16,
    /// The shard that owns its key, if it claimed one.
    pub owner: u16,
    /// Row of its tenant in [`super::tenants::TenantPages`].
    pub tenant_row: u16,
    /// Snapshot that it was judged under.
    pub snapshot: u32,
    /// Records of the batch with its body.
    pub batch_records: u32,
    /// Its id, if its signature was valid.
    pub pcs_id: Option<[u8; 32]>,
}

impl Trace {
    /// When it passed a border.
    pub fn at(&self, moment: Moment) -> Option<u64> {
        Some(self.moments[moment as usize]).filter(|&at_ns| at_ns > 0)
    }

    /// It passes a border now; only the first time counts.
    pub fn pass(&mut self, moment: Moment, at_ns: u64) {
        let place = &mut self.moments[moment as usize];
        if *place == 0 {
            *place = at_ns;
        }
    }

    /// What the histogram of latencies counted for it, in microseconds; `None`: nothing.
    pub fn latency_us(&self) -> Option<u64> {
        let replied_ns = self.at(Moment::Replied)?;
        Some(replied_ns.saturating_sub(self.at(Moment::Whole)?) / 1000)
    }

    /// The reason of its escalation.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.reason)
    }

    /// Whether another shard owns its key.
    pub fn hops(&self) -> bool {
        self.at(Moment::Claimed).is_some() && self.owner != self.shard
    }

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
