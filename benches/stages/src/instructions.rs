//! Instructions of each stage and pipeline, counted by valgrind: the same on a quiet and on a busy machine. A count is the
//! difference of two runs of this program, one with more calls than the other, so that its start and what it prepares
//! cancel out. It measures no time, and valgrind offers no SHA instructions, so hashing counts for more than it takes.

mod counted;
mod table;

pub use counted::{Counted, Machine, count, cpu};
pub use table::{Difference, PER_MILLE_MAX, Table};

use crate::by_hand::CONNECTIONS;
use crate::pipelines::PIPELINES;
use crate::records::SAMPLES;
use crate::stages::STAGES;

/// Calls of a stage before those that are counted, so that tables and buffers have their size.
const WARM_UP_CALLS: u64 = SAMPLES;
/// Calls of a stage that are counted: each sample so often as any other.
const CALLS: u64 = 4 * SAMPLES;
/// Rounds of a pipeline before those that are counted.
const WARM_UP_ROUNDS: u64 = 100;
/// Rounds of a pipeline that are counted.
const ROUNDS: u64 = 100;

/// One line of the table: what is run, and how it is divided.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, a path.
    pub name: &'static str,
    /// Calls, or rounds, of the shorter run.
    pub warm_up: u64,
    /// Those of the longer run that the shorter one does not have.
    pub counted: u64,
    /// Records of each.
    pub records: u64,
}

/// All lines of the table.
pub fn rows() -> impl Iterator<Item = Row> {
    let stages = STAGES.iter().map(|stage| Row {
        name: stage.name,
        warm_up: WARM_UP_CALLS,
        counted: CALLS,
        records: stage.records,
    });
    let pipelines = PIPELINES.iter().map(|pipeline| Row {
        name: pipeline.name,
        warm_up: WARM_UP_ROUNDS,
        counted: ROUNDS,
        records: u64::from(CONNECTIONS),
    });
    pipelines.chain(stages)
}

/// Runs what a line names so often; this is what valgrind runs.
///
/// # Panics
/// There is no line of that name.
pub fn run(name: &str, times: u64) {
    let stage = STAGES.iter().find(|stage| stage.name == name);
    let pipeline = PIPELINES.iter().find(|pipeline| pipeline.name == name);
    match (stage, pipeline) {
        (Some(stage), _) => stage.run(times),
        (None, Some(pipeline)) => pipeline.run(times, WARM_UP_ROUNDS + ROUNDS),
        (None, None) => panic!("there is no stage or pipeline `{name}`"),
    }
}
