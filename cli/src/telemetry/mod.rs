//! What flk emits, as it is declared: metrics, spans and log events of all processes, from their tables. The registry of
//! `docs/telemetry/registry/` is written from it, and what a running gateway shows is compared with it. It emits nothing itself.

pub(crate) mod compare;
mod labels;
pub(crate) mod registry;

use flk_control::events::{EVENTS as EVENTS_OF_CONTROL, UP_EVENTS};
use flk_control::metrics::METRICS as OF_CONTROL;
use flk_dataplane::logs::Kind;
use flk_dataplane::logs::events::EVENTS as OF_DATAPLANE;
use flk_dataplane::stats::table::{
    Kind as MetricKind, Metric as Declared, Unit, metrics as of_dataplane,
};

/// The process that emits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Process {
    Dataplane,
    Control,
}

impl Process {
    /// The name of its program.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Process::Dataplane => "flk-dataplane",
            Process::Control => "flk-control",
        }
    }
}

/// A declared metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) process: Process,
    /// Name in text format 0.0.4.
    pub(crate) name: &'static str,
    pub(crate) kind: MetricKind,
    pub(crate) unit: Unit,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
    pub(crate) presence: Presence,
}

/// When a page has a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Always,
    /// Once control knows the state of a data plane.
    WithDataplane,
}

/// The tables of log events.
pub(crate) const EVENTS: [&[&Kind]; 3] = [OF_DATAPLANE, EVENTS_OF_CONTROL, UP_EVENTS];

/// All declared log events.
pub(crate) fn events() -> impl Iterator<Item = &'static Kind> {
    EVENTS.into_iter().flatten().copied()
}

/// All declared metrics, those of the data plane first.
pub(crate) fn metrics() -> impl Iterator<Item = Metric> {
    let dataplane = of_dataplane().map(|it| Metric::of(Process::Dataplane, it, Presence::Always));
    let control = OF_CONTROL.iter().map(|it| {
        let presence = match it.value.needs_dataplane() {
            true => Presence::WithDataplane,
            false => Presence::Always,
        };
        Metric::of(Process::Control, it, presence)
    });
    dataplane.chain(control)
}

impl Metric {
    fn of<V>(process: Process, declared: &Declared<V>, presence: Presence) -> Metric {
        Metric {
            process,
            name: declared.name,
            kind: declared.kind,
            unit: declared.unit,
            labels: declared.labels,
            help: declared.help,
            presence,
        }
    }
}
