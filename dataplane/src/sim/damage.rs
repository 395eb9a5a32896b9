//! Damage at rest: bits, blocks and whole files that the simulated world spoils between two runs, only where what is left
//! proves that it was damage. It spoils and undoes; what follows from it is judged by the oracle.

use super::count::Count;
use super::disk::Inode;
use super::process::Process;

use super::truth::{LogWrite, Undo};
use super::world::World;
use crate::keeper::Keeper;
use crate::keeper::offline::Job;
use crate::keeper::port::{KeeperEvent, KeeperOp};
use crate::sim_trace;
use crate::stats::Stats;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::MANIFEST;
use crate::wal::manifest::{Cover, Manifest};
use crate::wal::name::LogId;
use std::sync::Arc;

/// The generation of a manifest, if it can be read.
fn generation(manifest: &[u8]) -> Option<u64> {
    let manifest = Manifest::decode(manifest).ok()?;
    Some(manifest.generation)
}

impl World {
    /// Damages something at rest, between two runs.
    pub fn damage_something(&mut self) {
        if !self.dice.chance(self.scenario.damage) || self.truth.may_refuse() {
            return;
        }
        // A start that wrote nothing: the manifest before it, put back, must still find everything.
        let idle = !self.truth.writes.iter().any(|write| write.run == self.run);
        if idle && self.rare.chance(5000) {
            return self.put_back_manifest(1);
        }
        if self.damage_evidence() {
            return;
        }
        let kind = self.dice.below(10);
        let back = self.dice.between(1, 6);
        match kind {
            0..=5 => self.damage_batch(),
            6 => self.damage_file("slice-"),
            7 => self.damage_file(""),
            _ => self.put_back_manifest(back),
        }
    }

    fn name_of(&self, inode: Inode) -> Option<String> {
        self.disk
            .names()
            .find(|(_, named)| *named == inode)
            .map(|(name, _)| name.to_string())
    }

    /// Damages a confirmed batch behind which a later one proves that it was durable. The proof is one that stays: a device
    /// that lied about it may still lose it before anybody reads it, and then damage cannot be told from a torn tail.
    fn damage_batch(&mut self) {
        let proven: Vec<usize> = (0..self.truth.writes.len())
            .filter(|at| {
                let write = &self.truth.writes[*at];
                let later = |later: &LogWrite| {
                    later.log == write.log
                        && later.sequence > write.sequence
                        && later.confirmed
                        && !later.lied
                        && !later.gone
                        && !later.lost
                };
                write.confirmed
                    && !write.gone
                    && !write.lost
                    && self.truth.writes[at + 1..].iter().any(later)
            })
            .collect();
        let patience_us = match self.scenario.faults.stall {
            0 => 1_000_000,
            _ => 7_000_000,
        };
        // The newest batch of a log that has been idle for long is marked, so that its damage can be known too; but not
        // while an operation hangs: of the shard's mark, or of a keeper that is to name the segment where it has room.
        let aged: Vec<usize> = (0..self.truth.writes.len())
            .filter(|at| {
                let write = &self.truth.writes[*at];
                let idle_from_us = write.confirmed_us.max(self.hung_until_us);
                let idle_us = self.truth.ended_us.saturating_sub(idle_from_us);
                let sound = write.confirmed && !write.gone && !write.lost && write.run == self.run;
                let records = !write.bodies.is_empty() || !write.decided.is_empty();
                let newer = |other: &LogWrite| {
                    let records = !other.bodies.is_empty() || !other.decided.is_empty();
                    other.log == write.log && other.sequence > write.sequence && records
                };
                let newest = !self.truth.writes[at + 1..].iter().any(newer);
                let lied = |other: &LogWrite| other.log == write.log && other.lied;
                let marked = !self.truth.writes[at + 1..].iter().any(lied);
                let healthy = self.truth.ended_healthy && marked;
                healthy && sound && records && newest && idle_us > patience_us
            })
            .collect();
        let proven = if aged.is_empty() || self.dice.chance(3000) {
            proven
        } else {
            aged
        };
        if proven.is_empty() {
            return;
        }
        // Mostly what the next start must read.
        let from = if self.dice.chance(7000) {
            proven.len().saturating_sub(6) as u64
        } else {
            0
        };
        let at = proven[self.dice.between(from, proven.len() as u64 - 1) as usize];
        let write = self.truth.writes[at].clone();
        let Some(name) = self.name_of(write.inode) else {
            return;
        };
        let before = self.disk.seen(write.inode).to_vec();
        let start = write.offset as usize;
        let used = write.bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let how = self.dice.below(4);
        match how {
            0 => {
                self.disk
                    .tamper(write.inode, start, &vec![0; write.bytes.len()]);
            }
            1 => {
                let sector = self.dice.below(used as u64) as usize / 512 * 512;
                self.disk.tamper(write.inode, start + sector, &[0; 512]);
            }
            2 => {
                let garbage = self.dice.bytes(96);
                let batch = if write.bytes.starts_with(b"flk-segm") {
                    4096
                } else {
                    0
                };
                self.disk.tamper(write.inode, start + batch, &garbage);
            }
            _ => {
                let at = self.dice.below(used as u64) as usize;
                let bit = 1 << self.dice.below(8);
                self.disk
                    .tamper(write.inode, start + at, &[write.bytes[at] ^ bit]);
            }
        }
        if self.disk.seen(write.inode) == before {
            return;
        }
        sim_trace!(self.now_us(), "damaged log write {at} in {name}, way {how}");
        self.truth.excused.extend(write.bodies.iter().copied());
        self.counts.one(Count::Damage);
        let must_refuse = self.must_be_read(&write, how, &before);
        self.truth.undo = Some(Undo {
            name,
            bytes: before,
            must_refuse,
            writes: vec![at],
        });
    }

    /// What a start reads and cannot overlook: header and index part of a batch that no slice covers. Bodies it may skip.
    fn must_be_read(&self, write: &LogWrite, how: u64, before: &[u8]) -> Option<String> {
        let bytes = self.disk.find(MANIFEST).map(|it| self.disk.seen(it))?;
        let manifest = Manifest::decode(bytes).ok()?;
        let log = LogId {
            start: write.log.0,
            number: write.log.1,
        };
        let covers = manifest.slices.iter().flat_map(|slice| &slice.covers);
        let covered = |cover: &Cover| cover.log == log && cover.upto.0 >= write.sequence;
        let named = manifest.logs.iter().any(|it| it.id == log);
        if !named || covers.into_iter().any(covered) {
            return None;
        }
        let start = write.offset as usize;
        let lead = match write.bytes.starts_with(b"flk-segm") {
            true => BLOCK_BYTES,
            false => 0,
        };
        let index_at = start + lead + 24;
        let index_bytes = before.get(index_at..index_at + 4)?.try_into().ok()?;
        let read = lead + 96 + u32::from_le_bytes(index_bytes) as usize;
        let seen = self.disk.seen(write.inode);
        let changed = seen.get(start..start + read) != before.get(start..start + read);
        changed.then(|| {
            format!(
                "way {how}, batch {:x} of log {log}, whose decisions are in no slice",
                write.sequence
            )
        })
    }

    fn damage_file(&mut self, prefix: &str) {
        let wanted = |name: &str| {
            if prefix.is_empty() {
                name == "manifest"
            } else {
                name.starts_with(prefix)
            }
        };
        let names: Vec<(String, Inode)> = self
            .disk
            .names()
            .filter(|(name, _)| wanted(name))
            .map(|(name, inode)| (name.to_string(), inode))
            .collect();
        if names.is_empty() {
            return;
        }
        let (name, inode) = names[self.dice.below(names.len() as u64) as usize].clone();
        let before = self.disk.seen(inode).to_vec();
        if before.is_empty() {
            return;
        }
        let at = self.dice.below(before.len() as u64) as usize;
        let bit = 1 << self.dice.below(8);
        self.disk.tamper(inode, at, &[before[at] ^ bit]);
        sim_trace!(self.now_us(), "damaged {name} at {at}");
        self.counts.one(Count::Damage);
        let must_refuse = (name == MANIFEST).then(|| format!("a bit at {at}"));
        self.truth.undo = Some(Undo {
            name,
            bytes: before,
            must_refuse,
            writes: Vec::new(),
        });
    }

    /// Puts an older manifest back, as a careless restore would.
    fn put_back_manifest(&mut self, back: u64) {
        let count = self.truth.manifests.len();
        let Some(now) = self
            .disk
            .find("manifest")
            .map(|inode| self.disk.seen(inode).to_vec())
        else {
            return;
        };
        if count < 2 {
            return;
        }
        let back = back.min(count as u64 - 1) as usize;
        let old = self.truth.manifests[count - 1 - back].clone();
        if old == now {
            return;
        }
        sim_trace!(
            self.now_us(),
            "the manifest of {back} replacements ago is put back: generation {:?} instead of {:?}",
            generation(&old),
            generation(&now)
        );
        self.disk.replace("manifest", &old);
        self.counts.one(Count::StaleManifests);
        self.truth.undo = Some(Undo {
            name: "manifest".to_string(),
            bytes: now,
            must_refuse: None,
            writes: Vec::new(),
        });
    }

    /// An operator gives up what a start has refused: `flk wal quarantine --accept-loss`. `false`: there is nothing of the
    /// kind, or the tool refuses too.
    pub fn quarantine(&mut self) -> bool {
        let undo = self.truth.undo.as_ref();
        let Some((name, damaged)) = undo.map(|it| (it.name.clone(), it.writes.clone())) else {
            return false;
        };
        let Some(first) = damaged.first() else {
            return false;
        };
        let job = Job::Quarantine {
            segment: name,
            accept_loss: true,
        };
        sim_trace!(self.now_us(), "the operator types {job:?}");
        let keeper = Keeper::tool(
            self.scenario
                .keeper_config(self.settings, 0, Arc::new(Stats::new(1))),
            job,
        );
        let mut given_up = self.lied_away(self.truth.writes[*first].inode);
        given_up.extend(&damaged);
        self.process = Some(Process::tool(keeper));
        let (code, reason) = self.run_tool();
        self.process = None;
        sim_trace!(self.now_us(), "the tool ends with {code}: {reason}");
        if code == 0 {
            self.counts.one(Count::Quarantines);
            self.note_given_up(&given_up);
        }
        code == 0
    }

    /// Steps a tool to its end, carrying out each file operation where it stands.
    fn run_tool(&mut self) -> (i32, String) {
        let mut events = Vec::new();
        loop {
            let now = self.clocks();
            let Some(process) = self.process.as_mut() else {
                return (70, String::new());
            };
            let ops = process.step(std::mem::take(&mut events), now);
            if ops.is_empty() {
                return (70, "the tool waits for nothing".to_string());
            }
            for op in ops {
                match op {
                    KeeperOp::File(op) => {
                        events.push(KeeperEvent::FileDone(self.do_op(op.spelled_out())));
                    }
                    KeeperOp::Wake(_) => events.push(KeeperEvent::Tick),
                    KeeperOp::Exit { code, reason } => return (code, reason),
                    KeeperOp::Say(_) | KeeperOp::ToShard(..) | KeeperOp::Reply { .. } => {}
                }
            }
        }
    }

    /// Puts back what was damaged. `false`: that cannot be done.
    pub fn undo_damage(&mut self) -> bool {
        if self.truth.lost_for_good || self.truth.damaged_and_served {
            return false;
        }
        if let Some(undo) = self.truth.undo.take() {
            sim_trace!(self.now_us(), "{} is put back as it was", undo.name);
            self.disk.replace(&undo.name, &undo.bytes);
        }
        true
    }
}
