//! The judge: compares what clients were told over all lives with what a restarted gateway answers and with what lies in
//! the log. It knows nothing of how either is made.

use crate::load::Memory;
use flk_e2e::log::{Disposition, Kept};
use flk_testkit::client::{Connection, submit};
use flk_testkit::gateway::Gateway;
use flk_testkit::records::record;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What all clients of all lives remember.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    acknowledged: BTreeMap<u64, Vec<u8>>,
    sent: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

/// Requests under way while asking.
const PIPELINE: usize = 64;

impl Judge {
    /// Takes the memory of one life.
    pub(crate) fn take(&mut self, life: Memory) -> Result<(), String> {
        if let Some(wrong) = life.wrong.first() {
            return Err(format!("a client was told what cannot be: {wrong}"));
        }
        for (number, outcome) in life.acknowledged {
            let first = self
                .acknowledged
                .entry(number)
                .or_insert_with(|| outcome.clone());
            if *first != outcome {
                return Err(format!("record {number} has two outcomes"));
            }
        }
        self.sent.extend(life.sent);
        self.refused.extend(life.refused);
        Ok(())
    }

    /// How many records were acknowledged.
    pub(crate) fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// The first number that no record had yet.
    pub(crate) fn fresh(&self) -> u64 {
        self.sent.last().map_or(0, |last| last + 1)
    }

    /// Asks a restarted gateway for every record from `from` on that any life sent: the acknowledged ones must be hits
    /// with the same bytes. What it answers now is an acknowledgement too.
    pub(crate) fn ask(&mut self, gateway: &Gateway, from: u64) -> Result<(), String> {
        let numbers: Vec<u64> = self.sent.range(from..).copied().collect();
        let mut connection = gateway.connect();
        for chunk in numbers.chunks(PIPELINE) {
            let burst: Vec<u8> = chunk
                .iter()
                .flat_map(|&number| submit(&record(number).body))
                .collect();
            connection.send(&burst).map_err(|error| error.to_string())?;
            for &number in chunk {
                self.ask_one(&mut connection, number)?;
            }
        }
        Ok(())
    }

    fn ask_one(&mut self, connection: &mut Connection, number: u64) -> Result<(), String> {
        let answer = connection
            .response()
            .map_err(|error| format!("record {number} is not answered: {error}"))?;
        if answer.status != 200 {
            return Err(format!("record {number} got {answer:?}"));
        }
        match self.acknowledged.get(&number) {
            Some(_) if answer.dedup() != Some("hit") => Err(format!(
                "record {number} was acknowledged and is a {:?} now",
                answer.dedup()
            )),
            Some(outcome) if *outcome != answer.body => {
                Err(format!("record {number} has two outcomes: {answer:?}"))
            }
            Some(_) => Ok(()),
            None => {
                self.acknowledged.insert(number, answer.body);
                Ok(())
            }
        }
    }

    /// Reads the log of a gateway that does not run: each acknowledged record is in it with exactly one decision, each
    /// refused one with its refusal, and nothing that nobody sent.
    pub(crate) fn read(&self, directory: &Path) -> Result<(), String> {
        let kept = Kept::read(directory);
        if let Some((log, verdict)) = kept
            .verdicts
            .iter()
            .find(|(_, verdict)| !verdict.is_sound())
        {
            return Err(format!("log {log} is not sound after a crash: {verdict}"));
        }
        let mut decided: BTreeMap<&str, u32> = kept.decisions_by_id();
        for &number in self.acknowledged.keys() {
            match decided.remove(record(number).pcs_id.as_str()) {
                Some(1) => {}
                Some(count) => return Err(format!("record {number} was decided {count} times")),
                None => {
                    return Err(format!(
                        "record {number} was acknowledged and has no decision in the log"
                    ));
                }
            }
        }
        for number in &self.sent {
            decided.remove(record(*number).pcs_id.as_str());
        }
        if let Some(id) = decided.keys().next() {
            return Err(format!("{id} was decided and never sent"));
        }
        let mut refused: BTreeSet<&[u8]> = BTreeSet::new();
        for body in kept.bodies.values() {
            if body
                .dispositions
                .iter()
                .any(|disposition| matches!(disposition, Disposition::Refused { status: 401, .. }))
            {
                refused.insert(&body.bytes);
            }
        }
        let missing = self
            .refused
            .iter()
            .find(|&&number| !refused.contains(record(number).forged().as_slice()));
        match missing {
            Some(number) => Err(format!(
                "the forged record {number} was answered 401 and is not in the log"
            )),
            None => Ok(()),
        }
    }
}
