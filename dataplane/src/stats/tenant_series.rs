//! Samples by tenant, key and parameter set. Rows of one name, of whatever shard, are one sample; rows without a name are
//! those of all others, and there only if something was counted in them.

use super::Cell;
use super::exposition::Number;
use super::page::Parts;
use super::series::Series;
use super::tenants::{ParamsRow, TenantPages, TenantRow};
use flk_contract::verify::Reason;
use std::collections::BTreeMap;

/// Samples of one metric by the values of their labels.
type Samples<const LABELS: usize> = BTreeMap<[String; LABELS], u64>;

fn put_all<const LABELS: usize>(samples: &Samples<LABELS>, put: &mut Series<'_>) {
    for (labels, value) in samples {
        let labels = labels.each_ref().map(String::as_str);
        put(&labels, Number(*value));
    }
}

fn pages<'a>(parts: &Parts<'a>) -> impl Iterator<Item = &'a TenantPages> + use<'a> {
    parts.shards.iter().map(|page| &page.tenants)
}

/// Samples by tenant.
pub(super) fn by_tenant(parts: &Parts<'_>, put: &mut Series<'_>, cell: fn(&TenantRow) -> &Cell) {
    let mut samples = Samples::new();
    for row in pages(parts).flat_map(TenantPages::tenants) {
        let value = cell(row).get();
        if row.name.is_set() || value > 0 {
            *samples.entry([row.name.or_other()]).or_insert(0) += value;
        }
    }
    put_all(&samples, put);
}

/// Signatures that each key verified.
pub(super) fn keys_verified(parts: &Parts<'_>, put: &mut Series<'_>) {
    let mut samples = Samples::new();
    for page in pages(parts) {
        for row in page.keys() {
            let value = row.verified.get();
            if row.name.is_set() || value > 0 {
                let labels = [page.tenant_of(&row.tenant, &row.name), row.name.or_other()];
                *samples.entry(labels).or_insert(0) += value;
            }
        }
    }
    put_all(&samples, put);
}

/// When each key verified last.
pub(super) fn keys_last_seen(parts: &Parts<'_>, put: &mut Series<'_>) {
    let mut samples = Samples::new();
    for page in pages(parts) {
        for row in page.keys() {
            let value = row.last_seen_s.get() * 1_000_000;
            if row.name.is_set() || value > 0 {
                let labels = [page.tenant_of(&row.tenant, &row.name), row.name.or_other()];
                let latest = samples.entry(labels).or_insert(0);
                *latest = value.max(*latest);
            }
        }
    }
    put_all(&samples, put);
}

/// Samples by tenant and parameter set.
pub(super) fn by_params(parts: &Parts<'_>, put: &mut Series<'_>, cell: fn(&ParamsRow) -> &Cell) {
    let mut samples = Samples::new();
    for page in pages(parts) {
        for row in page.all_params() {
            let value = cell(row).get();
            if row.name.is_set() || value > 0 {
                let labels = [page.tenant_of(&row.tenant, &row.name), row.name.or_other()];
                *samples.entry(labels).or_insert(0) += value;
            }
        }
    }
    put_all(&samples, put);
}

/// Escalations by tenant, parameter set and reason.
pub(super) fn reasons_by_params(parts: &Parts<'_>, put: &mut Series<'_>) {
    let mut samples = Samples::new();
    for page in pages(parts) {
        for row in page.all_params() {
            for (code, cell) in (1..).zip(&row.reasons) {
                let Some(reason) = Reason::from_code(code) else {
                    continue;
                };
                let value = cell.get();
                if row.name.is_set() || value > 0 {
                    let labels = [
                        page.tenant_of(&row.tenant, &row.name),
                        row.name.or_other(),
                        reason.as_str().to_owned(),
                    ];
                    *samples.entry(labels).or_insert(0) += value;
                }
            }
        }
    }
    put_all(&samples, put);
}

#[cfg(test)]
mod tests {
    use crate::stats::Stats;
    use crate::stats::exposition::{Format, render};
    use crate::stats::tenants::{KEY_ROWS, TENANT_ROWS};

    fn rendered(stats: &Stats) -> String {
        let mut text = String::new();
        render(&stats.parts(), Format::Prometheus, &mut text);
        let lines = text.lines().filter(|line| line.contains("tenant="));
        lines.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn rows_of_one_name_are_one_sample_of_all_shards() {
        let stats = Stats::new(2);
        for (shard, page) in (1..).zip(stats.shards.iter()) {
            let page = &page.tenants;
            let name = "a-name.of_64-characters-".repeat(3)[..64].to_owned();
            let tenant = page.tenant_row(1, &name);
            page.tenant(tenant).ingest.add(shard);
            let key = page.key_row(tenant, "2026-11");
            assert_eq!(page.key_row(tenant, "2026-11"), key);
            assert_ne!(page.key_row(tenant, "2026-12"), key);
            page.key(key).verified.add(10);
            page.key(key).last_seen_s.set(100 + shard);
            let params = page.params_row(tenant, "2");
            page.params(params).escalated.add(1);
            page.params(params).reasons[0].add(1);
        }
        let text = rendered(&stats);
        let name = "a-name.of_64-characters-a-name.of_64-characters-a-name.of_64-cha";
        for line in [
            format!("flk_ingest_by_tenant{{tenant=\"{name}\"}} 3"),
            format!("flk_key_verified_total{{tenant=\"{name}\",key=\"2026-11\"}} 20"),
            format!("flk_key_last_seen_seconds{{tenant=\"{name}\",key=\"2026-11\"}} 102"),
            format!("flk_escalated_by_params{{tenant=\"{name}\",params=\"2\"}} 2"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(
            text.contains(",params=\"2\",reason=\"d_hat_out_of_tolerance\"} 2\n"),
            "{text}"
        );
        assert!(!text.contains("other"), "{text}");
    }

    #[test]
    fn what_comes_when_a_table_is_full_is_counted_together() {
        let stats = Stats::new(1);
        let page = &stats.shards[0].tenants;
        for at in 0..TENANT_ROWS + 3 {
            let row = page.tenant_row(at, &format!("t{at}"));
            page.tenant(row).accepted.add(1);
            let key = page.key_row(row, "only");
            page.key(key).verified.add(1);
        }
        let last = page.tenant_row(0, "t0");
        for at in 0..KEY_ROWS {
            let key = page.key_row(last, &format!("k{at}"));
            page.key(key).verified.add(1);
        }
        let text = rendered(&stats);
        assert!(
            text.contains("flk_accepted_by_tenant{tenant=\"other\"} 3\n"),
            "{text}"
        );
        let keys = format!(
            "flk_key_verified_total{{tenant=\"other\",key=\"other\"}} {}\n",
            3 + TENANT_ROWS
        );
        assert!(text.contains(&keys), "{keys}{text}");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("flk_accepted_by_tenant"));
        assert_eq!(lines.count(), TENANT_ROWS + 1);
    }
}
