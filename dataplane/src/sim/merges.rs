//! When slices are merged in a seed: a rule for each number of slices that is allowed, so that many seeds merge at once.

use crate::keeper::config::MergeRule;

/// Slices of one size are merged at once: two where two slices are allowed, four where four are, else never.
pub(super) fn merge_rule(slices_count_max: u32) -> MergeRule {
    match slices_count_max {
        2 => MergeRule {
            entries_min: 0,
            pairs_span_s: 0,
        },
        4 => MergeRule {
            entries_min: 0,
            pairs_span_s: u32::MAX,
        },
        _ => MergeRule::NEVER,
    }
}
