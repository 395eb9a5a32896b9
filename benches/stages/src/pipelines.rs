//! The whole record path in shards that are driven by hand, from the bytes of heads to those of answers: what is sent through
//! it, and in which shape. A round is one request on each connection, so one batch of the log and one flush.

use crate::by_hand::{ByHand, CONNECTIONS, Shape};
use crate::records::{forged_requests, requests};

/// What the requests of a round are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// Records that were never seen.
    New,
    /// Those of the first round again.
    Duplicates,
    /// Records that were never seen, with signatures that cannot be right: 401.
    Forged,
}

/// One way through the record path.
#[derive(Clone, Copy, Debug)]
pub struct Pipeline {
    /// Its name, a path.
    pub name: &'static str,
    shape: Shape,
    sends: Sends,
}

/// All of them.
pub const PIPELINES: [Pipeline; 8] = [
    Pipeline::of("pipeline/new", Shape::Alone, Sends::New),
    Pipeline::of("pipeline/new-share", Shape::Share, Sends::New),
    Pipeline::of("pipeline/new-drawn", Shape::Drawn, Sends::New),
    Pipeline::of("pipeline/new-traced", Shape::Traced, Sends::New),
    Pipeline::of("pipeline/new-hop", Shape::Hop, Sends::New),
    Pipeline::of("pipeline/duplicate", Shape::Alone, Sends::Duplicates),
    Pipeline::of("pipeline/duplicate-hop", Shape::Hop, Sends::Duplicates),
    Pipeline::of("pipeline/forged", Shape::Alone, Sends::Forged),
];

impl Pipeline {
    const fn of(name: &'static str, shape: Shape, sends: Sends) -> Pipeline {
        Pipeline { name, shape, sends }
    }

    /// Shards that serve.
    pub fn begin(self) -> ByHand {
        ByHand::new(self.shape)
    }

    /// The requests of the rounds from one number to another, one behind the other.
    pub fn requests(self, rounds: std::ops::Range<u64>) -> Vec<Vec<u8>> {
        let per_round = u64::from(CONNECTIONS);
        let epochs = rounds.start * per_round..rounds.end * per_round;
        match self.sends {
            Sends::New => requests(epochs),
            Sends::Duplicates => requests(epochs.map(|epoch| epoch % per_round)),
            Sends::Forged => forged_requests(epochs),
        }
    }

    /// Sends that many rounds of so many that are made, so that making them cancels out between two runs.
    pub fn run(self, rounds: u64, made: u64) {
        let mut shards = self.begin();
        let requests = self.requests(0..made);
        for round in requests.chunks(CONNECTIONS as usize).take(rounds as usize) {
            shards.round(round);
        }
        self.check(&shards, rounds);
    }

    /// Every request of these rounds was answered as it must be.
    pub fn check(self, shards: &ByHand, rounds: u64) {
        let requests = rounds * u64::from(CONNECTIONS);
        let ok_count = match self.sends {
            Sends::Forged => 0,
            Sends::New | Sends::Duplicates => requests,
        };
        let found = (shards.answers.count, shards.answers.ok_count);
        assert_eq!(found, (requests, ok_count), "answers, and those with 200");
        let traced_count = match self.shape {
            Shape::Traced => requests,
            _ => 0,
        };
        assert_eq!(shards.traced_count(), traced_count, "records with a trace");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pipeline_answers_every_request_as_it_must() {
        for pipeline in PIPELINES {
            pipeline.run(3, 3);
        }
    }
}
