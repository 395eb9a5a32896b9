//! The metrics whose samples are more than one cell summed over shards: those with labels, and a few that are computed.

pub(super) mod holds;
pub(super) mod tenants;

use super::format::Number;
use super::page::{LAYOUT_VERSION, Parts};
use super::{Cell, STATUSES, ShardStats};
use flk_contract::record::Regime;
use flk_contract::verify::Reason;

/// Takes the samples of one metric: values of its labels, in their order, and the number.
pub(super) type Series<'a> = dyn FnMut(&[&str], Number) + 'a;

fn sum(parts: &Parts<'_>, cell: impl Fn(&ShardStats) -> &Cell) -> Number {
    Number(parts.shards.iter().map(|page| cell(page).get()).sum())
}

pub(super) fn reasons(parts: &Parts<'_>, put: &mut Series<'_>) {
    for (at, code) in (0..5).zip(1..) {
        if let Some(reason) = Reason::from_code(code) {
            put(&[reason.as_str()], sum(parts, |page| &page.reasons[at]));
        }
    }
}

pub(super) fn regimes(parts: &Parts<'_>, put: &mut Series<'_>) {
    let regimes = [Regime::Sticky, Regime::Mixed, Regime::NonSticky];
    for (at, regime) in regimes.into_iter().enumerate() {
        put(&[regime.as_str()], sum(parts, |page| &page.regimes[at]));
    }
}

pub(super) fn answers(parts: &Parts<'_>, put: &mut Series<'_>) {
    for (at, status) in STATUSES.into_iter().enumerate() {
        put(&[&status.to_string()], sum(parts, |page| &page.answers[at]));
    }
}

pub(super) fn proxy_headers(parts: &Parts<'_>, put: &mut Series<'_>) {
    put(&["taken"], sum(parts, |page| &page.proxy_headers.taken));
    put(
        &["without_address"],
        sum(parts, |page| &page.proxy_headers.without_address),
    );
    put(&["missing"], sum(parts, |page| &page.proxy_headers.missing));
    put(
        &["malformed"],
        sum(parts, |page| &page.proxy_headers.malformed),
    );
    put(&["refused"], sum(parts, |page| &page.proxy_headers.refused));
}

pub(super) fn look_ups(parts: &Parts<'_>, put: &mut Series<'_>) {
    put(&["found"], sum(parts, |page| &page.look_ups.found));
    put(&["not_found"], sum(parts, |page| &page.look_ups.not_found));
    put(&["limited"], sum(parts, |page| &page.look_ups.limited));
    put(
        &["unavailable"],
        sum(parts, |page| &page.look_ups.unavailable),
    );
}

pub(super) fn batches(parts: &Parts<'_>, put: &mut Series<'_>) {
    put(&["answered"], sum(parts, |page| &page.batches.answered));
    put(&["refused"], sum(parts, |page| &page.batches.refused));
    put(
        &["unavailable"],
        sum(parts, |page| &page.batches.unavailable),
    );
}

pub(super) fn errors(parts: &Parts<'_>, put: &mut Series<'_>) {
    let errors = STATUSES.iter().enumerate();
    let errors = errors.filter(|(_, status)| *status / 100 != 2);
    let all = errors.map(|(at, _)| sum(parts, |page| &page.answers[at]).0);
    put(&[], Number(all.sum()));
}

pub(super) fn shards(parts: &Parts<'_>, put: &mut Series<'_>) {
    put(&[], Number(parts.shards.len() as u64));
}

/// The format of the log directory, which stands behind the statistics: it is compared with the manifest's in `shard::service`.
pub(crate) const WAL_FORMAT: u32 = 2;

pub(super) fn build_info(parts: &Parts<'_>, put: &mut Series<'_>) {
    let version = parts.header.version.get();
    let layout = LAYOUT_VERSION.to_string();
    let format = WAL_FORMAT.to_string();
    put(
        &[&version, std::env::consts::ARCH, &format, &layout],
        Number(1),
    );
}

pub(super) fn node_info(parts: &Parts<'_>, put: &mut Series<'_>) {
    let (region, node) = (parts.header.region.get(), parts.header.node.get());
    put(&[&region, &node], Number(1));
}

pub(super) fn start_time(parts: &Parts<'_>, put: &mut Series<'_>) {
    put(&[], Number(parts.header.started_wall_us.get()));
}
