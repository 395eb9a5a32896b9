//! What the gateway, and flk-control beside it, count: whether the promised metrics are there, and whether spans reach their collector.

use super::line::{Found, failed, ok, skipped};
use crate::admin::TokenArgs;
use crate::exit::Failure;
use crate::output::counted;
use crate::page::Page;
use crate::page::samples::Samples;
use std::time::Duration;

/// Samples without labels that every gateway has, whatever its version: dashboards and alerts in the field query them.
const PROMISED: [&str; 9] = [
    "flk_ingest_total",
    "flk_dedup_hits",
    "flk_accepted",
    "flk_escalated",
    "flk_signature_errors",
    "flk_signature_err",
    "flk_wal_errors",
    "http_requests_errors_total",
    "http_request_duration_seconds_count",
];

/// Reads `/metrics` of the gateway, and judges whether the promised ones are there.
pub(super) fn metrics(page: &Page, timeout: Duration) -> (Found, Option<Samples>) {
    let text = match page.fetch_within(timeout) {
        Ok(text) => text,
        Err(why) => return (failed(why.to_string()), None),
    };
    let Some(samples) = Samples::read(&text) else {
        return (failed("what is there is no page of metrics"), None);
    };
    let missing: Vec<&str> = PROMISED
        .into_iter()
        .filter(|name| samples.value(name).is_none())
        .collect();
    let found = match missing.is_empty() {
        true => {
            let families = text.lines().filter(|it| it.starts_with("# TYPE ")).count();
            let families = counted(families as u64, "metric");
            ok(format!(
                "{families}, the {} promised ones among them",
                PROMISED.len()
            ))
        }
        false => failed(format!(
            "no sample of {}: what answers is not a gateway",
            missing.join(", ")
        )),
    };
    (found, Some(samples))
}

/// What the gateway traced; with the address of flk-control, whether spans arrive.
pub(super) fn telemetry(
    gateway: Option<&Samples>,
    control: Option<&Page>,
    timeout: Duration,
) -> Found {
    let Some(gateway) = gateway else {
        return skipped("there are no metrics");
    };
    let Some(traced) = gateway.value("flk_traces_total") else {
        return failed("no sample of flk_traces_total");
    };
    let left_out = ["flk_traces_limited_total", "flk_traces_unplaced_total"];
    let left_out: f64 = left_out.iter().filter_map(|it| gateway.value(it)).sum();
    let traced = format!(
        "{} traced, {left_out} left out",
        counted(traced as u64, "record")
    );
    let Some(control) = control else {
        return ok(format!(
            "{traced}; --control asks flk-control whether spans arrive"
        ));
    };
    let text = match control.fetch_within(timeout) {
        Ok(text) => text,
        Err(why) => return failed(format!("flk-control of {}: {why}", control.url())),
    };
    let samples = Samples::read(&text);
    let value = |name: &str| samples.as_ref().and_then(|it| it.value(name));
    let names = ["exported_total", "refused_total", "dropped_total"];
    let [exported, refused, dropped] =
        names.map(|name| value(&format!("flk_control_spans_{name}")));
    let failures = value("flk_control_span_export_failures_total");
    let (Some(exported), Some(refused), Some(dropped), Some(failures)) =
        (exported, refused, dropped, failures)
    else {
        return failed(format!(
            "{} has no metrics of flk-control: --control names its admin address",
            control.url()
        ));
    };
    let said = format!(
        "{traced}; spans: {exported} taken, {refused} refused and {dropped} given up, {failures} attempts failed"
    );
    match exported == 0.0 && refused + dropped + failures > 0.0 {
        true => failed(format!(
            "{said}: none has reached a collector; look at OTEL_EXPORTER_OTLP_ENDPOINT"
        )),
        false => ok(said),
    }
}

/// The page of flk-control at an address, asked for with a token where it wants one.
pub(super) fn control(url: &str, token: &TokenArgs) -> Result<Page, Failure> {
    let page = Page::of_url(url)?;
    Ok(match token.read()? {
        Some(token) => page.with_token(&token),
        None => page,
    })
}
