//! What seals and merges make of steady ingest, computed without a gateway: how old the ids of each slice are, and how often an
//! id is written. A twin of the keeper's rule (the smallest pair of neighbours that is worth it, or any while there are too many
//! slices); it never reads a file.

use flk_dataplane::keeper::config::MergeRule;
use std::ops::Range;

/// When slices are merged and when they go; lengths of time are counted in seals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Ids of a seal; 0: few.
    pub(super) ids: u64,
    /// Above so many slices two neighbours become one, as do two of one size that span more seals than this, and four ...
    pub(super) slices_count_max: usize,
    pub(super) pairs_span: u32,
    /// ... that spans no more than this.
    pub(super) span_max: u32,
    /// After so long an id has expired.
    pub(super) ttl: u32,
}

impl Policy {
    /// The same with so many ids in each seal.
    pub(super) const fn with_ids(self, ids: u64) -> Policy {
        Policy { ids, ..self }
    }
}

/// A seal each hour, and ids that live for 14 days: what a gateway does by default, below 1 GiB of log in an hour.
pub(super) const HOURLY: Policy = Policy {
    ids: 0,
    slices_count_max: 20,
    pairs_span: 1,
    span_max: 33, // hours: a tenth of 14 days
    ttl: 14 * 24,
};

/// Seals so close together that neither age nor span ends anything.
pub(super) const AT_ONCE: Policy = Policy {
    pairs_span: u32::MAX,
    span_max: u32::MAX,
    ttl: u32::MAX,
    ..HOURLY
};

/// Seals whose ids are in one slice: from this one on, and before that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Span {
    fn seals(self) -> u32 {
        self.to - self.from
    }
}

/// What so many seals come to.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The slices, oldest first.
    pub(super) slices: Vec<Span>,
    /// How often an id is written into a slice: once by its seal, and by each merge.
    pub(super) writes_per_id: f64,
}

/// Seals as many ids each time. Writes are counted over the last life of an id, when what was there at the beginning is gone.
pub(super) fn after(seals: u32, policy: Policy) -> Shape {
    let counted_from = seals - seals.min(policy.ttl);
    let mut slices: Vec<Span> = Vec::new();
    let mut written = 0_u64;
    for seal in 0..seals {
        slices.retain(|slice| slice.to.saturating_add(policy.ttl) > seal);
        slices.push(Span {
            from: seal,
            to: seal + 1,
        });
        let mut written_now = 1;
        while let Some(run) = next_merge(&slices, policy) {
            let merged = Span {
                from: slices[run.start].from,
                to: slices[run.end - 1].to,
            };
            slices.splice(run, [merged]);
            written_now += u64::from(merged.seals());
        }
        if seal >= counted_from {
            written += written_now;
        }
    }
    Shape {
        slices,
        writes_per_id: written as f64 / f64::from(seals - counted_from),
    }
}

fn next_merge(slices: &[Span], policy: Policy) -> Option<Range<usize>> {
    let too_many = slices.len() > policy.slices_count_max;
    let seals = |run: &[Span]| run.iter().map(|it| it.seals()).sum::<u32>();
    let may_merge = |run: &[Span]| {
        let ids = |slice: &Span| u64::from(slice.seals()) * policy.ids;
        let (sum, largest) = (run.iter().map(ids).sum::<u64>(), run.iter().map(ids).max());
        let is_large = sum >= MergeRule::default().entries_min;
        let is_wanted = match run {
            [older, younger] => {
                let spans_enough = seals(run) > policy.pairs_span.min(policy.ttl / 40);
                too_many || spans_enough && is_large && ids(younger) >= ids(older) / 5 * 3
            }
            _ => is_large && largest <= Some(sum / 2),
        };
        is_wanted && seals(run) <= policy.span_max
    };
    let runs = [2, 4].into_iter().flat_map(|count| {
        let last = slices.len().saturating_sub(count - 1);
        (0..last).map(move |at| at..at + count)
    });
    runs.filter(|run| may_merge(&slices[run.clone()]))
        .min_by_key(|run| seals(&slices[run.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_seals_each_hour_has_about_twenty_slices_that_follow_each_other() {
        let shape = after(3 * HOURLY.ttl, HOURLY);
        assert!((10..=20).contains(&shape.slices.len()), "{shape:?}");
        assert!(
            shape
                .slices
                .windows(2)
                .all(|pair| pair[0].to == pair[1].from)
        );
        assert!(
            shape
                .slices
                .iter()
                .all(|slice| slice.seals() <= HOURLY.span_max)
        );
        let first = shape.slices[0];
        assert!(first.to + HOURLY.ttl >= 3 * HOURLY.ttl, "{first:?}");
    }

    #[test]
    fn without_merges_an_id_is_written_once() {
        let shape = after(20, AT_ONCE);
        assert_eq!((shape.slices.len(), shape.writes_per_id), (20, 1.0));
    }

    #[test]
    fn a_merge_writes_what_is_in_its_pair() {
        // The 21st seal merges the oldest two, the next ones the oldest that were not merged yet.
        let shape = after(22, AT_ONCE);
        assert_eq!(
            shape.slices[..2],
            [Span { from: 0, to: 2 }, Span { from: 2, to: 4 }]
        );
        assert_eq!(shape.writes_per_id, (22.0 + 2.0 + 2.0) / 22.0);
    }

    #[test]
    fn large_seals_are_merged_two_by_two_or_four_at_a_time() {
        let large = AT_ONCE.with_ids(MergeRule::default().entries_min);
        let apart = Policy {
            pairs_span: 1,
            ..large
        };
        let shape = after(7, apart);
        let spans = [(0, 4), (4, 6), (6, 7)].map(|(from, to)| Span { from, to });
        assert_eq!(shape.slices, spans);
        // Each once, two pairs, the two pairs, and one pair more.
        assert_eq!(shape.writes_per_id, (7.0 + 4.0 + 4.0 + 2.0) / 7.0);
        let shape = after(7, large);
        let spans = [(0, 4), (4, 5), (5, 6), (6, 7)].map(|(from, to)| Span { from, to });
        assert_eq!(shape.slices, spans);
        assert_eq!(shape.writes_per_id, (7.0 + 4.0) / 7.0);
    }

    #[test]
    fn where_ids_live_for_hours_only_pairs_need_not_span_one() {
        // A TTL of ten hours, and a seal each 100 s.
        let short = Policy {
            ids: 200_000,
            pairs_span: 36,
            span_max: 36,
            ttl: 360,
            ..HOURLY
        };
        let shape = after(800, short);
        assert!(shape.writes_per_id < 7.0, "{}", shape.writes_per_id);
    }

    #[test]
    fn with_a_thousand_ids_a_second_there_are_fewer_slices_and_fewer_writes() {
        let few = after(3 * HOURLY.ttl, HOURLY);
        let many = after(3 * HOURLY.ttl, HOURLY.with_ids(3_600_000));
        assert!(many.slices.len() < 16 && few.slices.len() == 20);
        assert!(many.writes_per_id < 6.5 && few.writes_per_id > 10.0);
    }
}
