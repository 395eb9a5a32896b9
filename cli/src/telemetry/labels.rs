//! The labels of metrics: what each means, and an example. A metric with a label that is not here fails a test.

/// A label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) brief: &'static str,
    pub(super) example: &'static str,
}

const fn label(name: &'static str, brief: &'static str, example: &'static str) -> Label {
    Label {
        name,
        brief,
        example,
    }
}

/// All of them, by name.
#[rustfmt::skip] // a table
pub(super) const LABELS: &[Label] = &[
    label("arch", "Architecture that the program was built for.", "x86_64"),
    label("code", "Status code of an answer.", "200"),
    label("hold", "Name of a hold.", "nightly"),
    label("key", "Id of a key within its tenant; `other` is all keys beyond the first 256.", "2026-11"),
    label("node", "NODE_ID; empty until it is set.", ""),
    label("number", "Number of a configuration snapshot.", "8"),
    label("params", "Label of a set of verify parameters.", "default"),
    label("reason", "Why a record was escalated.", "low_coherence"),
    label("regime", "Regime of the recomputed signals.", "sticky"),
    label("region", "REGION_ID; empty until it is set.", ""),
    label("result", "What became of a header of the PROXY protocol.", "taken"),
    label("shard", "Number of a shard, from 0.", "0"),
    label("stage", "Stage of a record's way.", "wal_wait"),
    label("stats_layout", "Version of the layout of the statistics page.", "1"),
    label("tenant", "Tenant id; `other` is all tenants beyond the first 64.", "default"),
    label("version", "Version of flk.", "0.2.0"),
    label("wal_format", "Version of the format of the log.", "3"),
];
