//! What recovery and sealing take out of batches: decisions, clock readings, and which bodies have no disposition yet.
//! It copies; it never judges.

use crate::dedup::Decided;
use crate::dedup::key::KeyHash;
use crate::keeper::clock::Reading;
use crate::wal::batch::Batch;
use crate::wal::name::{LogId, Place};
use crate::wal::record::{Content, Decision, Entry};
use flk_contract::hash::hex32;
use flk_contract::params::ParamsVersion;
use std::collections::BTreeSet;

/// The process's dictionary of parameter-set versions: an entry's number is its place in the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dictionary {
    versions: Vec<ParamsVersion>,
}

impl Dictionary {
    /// The number of a version, given out on first sight. Nothing if the text is no version name or numbers run out.
    pub(crate) fn number(&mut self, version: &str) -> Option<u16> {
        let known = self.versions.iter().position(|at| at.as_str() == version);
        let index = match known {
            Some(index) => index,
            None => {
                self.versions.push(ParamsVersion::new(version).ok()?);
                self.versions.len() - 1
            }
        };
        u16::try_from(index).ok()
    }

    /// Gives numbers to versions that shards are about to judge under. The keeper must not meet one first in a log: it would
    /// give it a number that no shard knows. `false`: numbers have run out.
    pub(crate) fn know(&mut self, versions: &[ParamsVersion]) -> bool {
        let mut all = versions.iter();
        all.all(|version| self.number(version.as_str()).is_some())
    }

    /// All versions by number.
    pub(crate) fn versions(&self) -> &[ParamsVersion] {
        &self.versions
    }
}

/// What was taken out so far.
#[derive(Debug)]
pub(crate) struct Extract {
    hash: KeyHash,
    /// Decisions, in the order met; none where there are more than may be held.
    pub(crate) decisions: Vec<Decided>,
    /// How many may be held.
    held_count_max: usize,
    /// How many were met and not held.
    pub(crate) left_out: u64,
    /// The newest reading of both clocks.
    pub(crate) newest: Reading,
    /// The largest `decided_at` of any decision.
    pub(crate) decided_at_max: u32,
    /// Bodies that were met and whose disposition was not.
    pub(crate) open: BTreeSet<(LogId, Place)>,
}

impl Extract {
    /// Nothing yet; for a caller that looks itself how much it takes.
    pub(crate) fn new(hash: KeyHash) -> Extract {
        Extract::holding(hash, usize::MAX)
    }

    /// Nothing yet. What is met beyond so many decisions is only counted, and so are those before: a part of them would be
    /// of no use.
    pub(crate) fn holding(hash: KeyHash, held_count_max: usize) -> Extract {
        Extract {
            hash,
            held_count_max,
            left_out: 0,
            decisions: Vec::new(),
            newest: Reading::default(),
            decided_at_max: 0,
            open: BTreeSet::new(),
        }
    }

    /// Takes what there is in a batch of a log, with so much added to its times. What it cannot take (a params version that is no name) comes back in words.
    pub(crate) fn take(
        &mut self,
        log: LogId,
        clock_base_s: u32,
        batch: &Batch<'_>,
        dictionary: &mut Dictionary,
    ) -> Result<(), &'static str> {
        let fields = &batch.header.fields;
        self.newest = self.newest.later(Reading {
            expiry_s: fields.expiry_clock_s.saturating_add(clock_base_s),
            wall_us: fields.wall_us,
        });
        for record in batch.records().flatten() {
            let entry = match record.content {
                Content::Body(_) => {
                    let place = Place {
                        sequence: fields.sequence,
                        index: record.index,
                    };
                    self.open.insert((log, place));
                    continue;
                }
                Content::Entry(entry) => entry,
                Content::Skipped => continue,
            };
            if let Some(body) = entry.disposition_of() {
                self.open.remove(&(log, body));
            }
            if let Entry::Decision(decision) = entry {
                let params = dictionary
                    .number(decision.params)
                    .ok_or("a decision names an impossible params version")?;
                let decided = self.decided(&decision, params).on_clock(clock_base_s);
                self.decided_at_max = self.decided_at_max.max(decided.decided_at);
                self.hold(decided);
            }
        }
        Ok(())
    }

    fn hold(&mut self, decided: Decided) {
        if self.left_out == 0 && self.decisions.len() < self.held_count_max {
            self.decisions.push(decided);
        } else {
            // Their memory is given back, not only their places.
            let held = std::mem::take(&mut self.decisions);
            self.left_out += 1 + held.len() as u64;
        }
    }

    fn decided(&self, decision: &Decision<'_>, params: u16) -> Decided {
        let pcs_id = hex32(&decision.pcs_id);
        let pcs_id = std::str::from_utf8(&pcs_id).unwrap_or_default();
        let key = self.hash.key(decision.tenant, pcs_id);
        Decided::of_record(key, decision, params)
    }
}
