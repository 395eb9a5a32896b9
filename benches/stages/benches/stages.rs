//! Times of the record path: each stage alone, and whole shards that are driven by hand, per record. `make bench-stages` runs
//! them and leaves pages with plots. They hold for this machine in this hour; `make instructions` is what can be compared.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measuring program: it works or says why it does not

use criterion::Criterion;
use flk_bench_stages::by_hand::CONNECTIONS;
use flk_bench_stages::pipelines::{PIPELINES, Pipeline};
use flk_bench_stages::stages::{STAGES, Stage};
use std::time::{Duration, Instant};

/// Rounds whose requests are made before they are sent.
const ROUNDS_MADE: u64 = 64;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for pipeline in PIPELINES {
        bench_pipeline(&mut criterion, pipeline);
    }
    for stage in STAGES {
        bench_stage(&mut criterion, stage);
    }
    criterion.final_summary();
}

fn bench_stage(criterion: &mut Criterion, stage: Stage) {
    criterion.bench_function(stage.name, |bencher| {
        let mut once = (stage.prepare)();
        bencher.iter_custom(|records| {
            let calls = records.div_ceil(stage.records);
            let started = Instant::now();
            (0..calls).for_each(|_| once());
            share(started.elapsed(), records, calls * stage.records)
        });
    });
}

fn bench_pipeline(criterion: &mut Criterion, pipeline: Pipeline) {
    criterion.bench_function(pipeline.name, |bencher| {
        let mut shards = pipeline.begin();
        let per_round = u64::from(CONNECTIONS);
        let mut round = 0;
        bencher.iter_custom(|records| {
            let upto = round + records.div_ceil(per_round);
            let first = round;
            let mut spent = Duration::ZERO;
            while round < upto {
                let next = upto.min(round + ROUNDS_MADE);
                let requests = pipeline.requests(round..next);
                let started = Instant::now();
                for requests in requests.chunks(per_round as usize) {
                    shards.round(requests);
                }
                spent += started.elapsed();
                round = next;
            }
            pipeline.check(&shards, round);
            share(spent, records, (round - first) * per_round)
        });
    });
}

/// What so many records of all would have taken.
fn share(spent: Duration, records: u64, all: u64) -> Duration {
    spent.mul_f64(records as f64 / all as f64)
}
