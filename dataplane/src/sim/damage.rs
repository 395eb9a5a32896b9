//! Damage at rest: bits, blocks and whole files that the simulated world spoils between two runs, only where what is left
//! proves that it was damage. It spoils and undoes; what follows from it is judged by the oracle.

use super::count::Count;
use super::disk::Inode;
use super::plan::Cap;
use super::process::Process;
use super::slice_damage::Reads;
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
use crate::wal::record::Flags;
use std::sync::Arc;

/// The generation of a manifest, if it can be read.
fn generation(manifest: &[u8]) -> Option<u64> {
    let manifest = Manifest::decode(manifest).ok()?;
    Some(manifest.generation)
}

/// What checksums cover of a batch's header and index part, of which the latter begins here: all but the erased flags of its
/// records, which prove nothing.
fn checked(read: &[u8], index_at: usize) -> Vec<u8> {
    let mut checked = read.to_vec();
    let mut at = index_at;
    while let Some(header) = checked
        .get_mut(at..)
        .and_then(<[u8]>::first_chunk_mut::<16>)
    {
        header[2] &= !Flags::ERASED.0;
        let [.., a, b, c, d] = *header;
        at += 16 + (u32::from_le_bytes([a, b, c, d]) as usize).next_multiple_of(8);
    }
    checked
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
        if self.rare.chance(2500) && self.damage_slice() || self.damage_evidence() {
            return;
        }
        let kind = self.dice.below(10);
        let back = self.dice.between(1, 6);
        match kind {
            0..=6 => self.damage_batch(),
            7 => self.damage_manifest(),
            _ => self.put_back_manifest(back),
        }
    }

    fn name_of(&self, inode: Inode) -> Option<String> {
        self.disk
            .names()
            .find(|(_, named)| *named == inode)
            .map(|(name, _)| name.to_string())
    }

    /// Damages a confirmed batch of which something else proves that it was durable.
    fn damage_batch(&mut self) {
        let (followed, marked) = (self.followed_batches(), self.marked_batches());
        let proven = match marked.is_empty() || self.dice.chance(3000) {
            true => followed,
            false => marked,
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
        let how = self.spoil(&write);
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
            passes: None,
            writes: vec![at],
        });
    }

    /// Confirmed batches behind which a later one proves that they were durable. The proof is one that stays: a device that
    /// lied about it may still lose it before it is read, and then damage cannot be told from a torn tail.
    fn followed_batches(&self) -> Vec<usize> {
        let writes = &self.truth.writes;
        let proven = |at: &usize| {
            let write = &writes[*at];
            let proves = |later: &LogWrite| {
                let is_later = later.log == write.log && later.sequence > write.sequence;
                is_later && later.is_there() && !later.lied
            };
            write.is_there() && writes[at + 1..].iter().any(proves)
        };
        (0..writes.len()).filter(proven).collect()
    }

    /// The newest batch with records of each log of the last run that was idle for so long that it must be marked.
    fn marked_batches(&self) -> Vec<usize> {
        if !self.truth.ended_healthy {
            return Vec::new();
        }
        let patience_us = match self.scenario.faults.stall {
            0 => 1_000_000,
            _ => 7_000_000,
        };
        let manifest = self.disk.find(MANIFEST).map(|it| self.disk.seen(it));
        let manifest = manifest.and_then(|bytes| Manifest::decode(bytes).ok());
        let writes = &self.truth.writes;
        let marked = |at: &usize| {
            let write = &writes[*at];
            let later = || writes[at + 1..].iter().filter(|it| it.log == write.log);
            let newest = write.holds_records() && !later().any(LogWrite::holds_records);
            let idle_us = match self.could_be_marked_from_us(write, manifest.as_ref()) {
                Some(from_us) => self.truth.ended_us.saturating_sub(from_us),
                None => 0,
            };
            let sound = write.is_there() && write.run == self.run;
            sound && newest && !later().any(|it| it.lied) && idle_us > patience_us
        };
        (0..writes.len()).filter(marked).collect()
    }

    /// From when on a mark could be written behind a batch: no operation hung, of the shard or of the keeper that names
    /// segments, and a block was left behind the batch or the log's next segment was named. Nothing: that never was so. The
    /// batch then ends its segment to the last byte and no file holds anything behind it: its damage is a torn tail.
    fn could_be_marked_from_us(
        &self,
        write: &LogWrite,
        manifest: Option<&Manifest>,
    ) -> Option<u64> {
        let idle_from_us = write.confirmed_us.max(self.hung_until_us);
        let end = write.offset as usize + write.bytes.len();
        if end + BLOCK_BYTES <= self.disk.seen(write.inode).len() {
            return Some(idle_from_us);
        }
        let logs = &manifest?.logs;
        let log = logs.iter().find(|it| it.id == write.log_id())?;
        let last = log.segments.last()?;
        let named_us = self.truth.named_us.get(&last.file)?;
        (last.salt != write.salt).then_some(idle_from_us.max(*named_us))
    }

    /// Spoils a batch where it lies, in one of four ways.
    fn spoil(&mut self, write: &LogWrite) -> u64 {
        let start = write.offset as usize;
        let used = write.bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let how = self.dice.below(4);
        let (at, bytes) = match how {
            0 => (0, vec![0; write.bytes.len()]),
            1 => {
                let sector = self.dice.below(used as u64) as usize / 512 * 512;
                (sector, vec![0; 512])
            }
            2 => {
                let garbage = self.dice.bytes(96);
                (write.lead_bytes(), garbage)
            }
            _ => {
                let at = self.dice.below(used as u64) as usize;
                let bit = 1 << self.dice.below(8);
                (at, vec![write.bytes[at] ^ bit])
            }
        };
        self.disk.tamper(write.inode, start + at, &bytes);
        how
    }

    /// What a start reads and cannot overlook: header and index part of a batch that no slice covers. Bodies it may skip.
    fn must_be_read(&self, write: &LogWrite, how: u64, before: &[u8]) -> Option<String> {
        let bytes = self.disk.find(MANIFEST).map(|it| self.disk.seen(it))?;
        let manifest = Manifest::decode(bytes).ok()?;
        let log = write.log_id();
        let covers = manifest.slices.iter().flat_map(|slice| &slice.covers);
        let covered = |cover: &Cover| cover.log == log && cover.upto.0 >= write.sequence;
        let named = manifest.logs.iter().any(|it| it.id == log);
        if !named || covers.into_iter().any(covered) {
            return None;
        }
        let start = write.offset as usize;
        let lead = write.lead_bytes();
        let index_at = start + lead + 24;
        let index_bytes = before.get(index_at..index_at + 4)?.try_into().ok()?;
        let read = lead + 96 + u32::from_le_bytes(index_bytes) as usize;
        let seen = self.disk.seen(write.inode).get(start..start + read)?;
        let before = before.get(start..start + read)?;
        let is_noticed = checked(seen, lead + 96) != checked(before, lead + 96);
        is_noticed.then(|| {
            format!(
                "way {how}, batch {:x} of log {log}, whose decisions are in no slice",
                write.sequence
            )
        })
    }

    fn damage_manifest(&mut self) {
        let Some(inode) = self.disk.find(MANIFEST) else {
            return;
        };
        let bytes = self.disk.seen(inode).len() as u64;
        if bytes > 0 {
            let at = self.dice.below(bytes) as usize;
            self.flip_bit(MANIFEST, at, Reads::Starts);
        }
    }

    /// Changes a bit of a file at rest.
    pub(super) fn flip_bit(&mut self, name: &str, at: usize, reads: Reads) {
        let Some(inode) = self.disk.find(name) else {
            return;
        };
        let before = self.disk.seen(inode).to_vec();
        let bit = 1 << self.dice.below(8);
        self.disk.tamper(inode, at, &[before[at] ^ bit]);
        sim_trace!(self.now_us(), "damaged {name} at {at}, read by {reads:?}");
        self.counts.one(Count::Damage);
        let passes = reads == Reads::LookUps;
        self.counts.add(Count::SlicesDamaged, u64::from(passes));
        self.truth.undo = Some(Undo {
            name: name.to_string(),
            bytes: before,
            must_refuse: (!passes).then(|| format!("a bit at {at}")),
            passes: passes.then_some(inode),
            writes: Vec::new(),
        });
    }

    /// Puts an older manifest back, as a careless restore would. The beginnings of segments tell of that: not where a device has
    /// acknowledged one that it may not keep.
    fn put_back_manifest(&mut self, back: u64) {
        let may_lack = |write: &LogWrite| write.lied && write.begins_segment() && !write.gone;
        if self.truth.writes.iter().any(may_lack) {
            return;
        }
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
            passes: None,
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
                .keeper_config(self.settings, Cap::Tight, 0, Arc::new(Stats::new(1))),
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
                    KeeperOp::Notify(_) | KeeperOp::ToShard(..) | KeeperOp::Reply { .. } => {}
                }
            }
        }
    }

    /// Puts back what was damaged. `false`: that cannot be done.
    pub fn undo_damage(&mut self) -> bool {
        if self.truth.lost_for_good || self.truth.damaged_and_served {
            return false;
        }
        // A slice may have been dropped since it was damaged.
        let undo = self.truth.undo.take();
        let is_there =
            |undo: &Undo| undo.passes.is_none() || self.disk.find(&undo.name) == undo.passes;
        if let Some(undo) = undo.filter(is_there) {
            sim_trace!(self.now_us(), "{} is put back as it was", undo.name);
            self.disk.replace(&undo.name, &undo.bytes);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::disk::Reach;
    use crate::wal::batch::{BatchFields, BatchLimits, OpenBatch, read_batch};
    use crate::wal::buffer::Blocks;
    use crate::wal::manifest::{LogEntry, SegmentEntry, SegmentState};
    use crate::wal::name::{Place, Sequence};
    use crate::wal::record::{BodyMeta, Entry};

    const SALT: u64 = 7;
    const FILE_AFTER: u64 = 2;

    /// A segment of three blocks, and a batch in one of them that was confirmed at 5 us.
    fn world(block: u64) -> (World, LogWrite) {
        let mut world = World::new(1);
        let inode = world.disk.make("segment-0000000000000001.wal");
        world
            .disk
            .write(inode, 0, &[0; 3 * BLOCK_BYTES], Reach::Medium);
        let offset = block * BLOCK_BYTES as u64;
        let at = world.note_log_write(0, inode, offset, &[1; BLOCK_BYTES]);
        let mut write = world.truth.writes[at].clone();
        (write.salt, write.confirmed, write.confirmed_us) = (SALT, true, 5);
        (world, write)
    }

    /// A manifest whose last segment of the log has this number and salt.
    fn manifest(file: u64, salt: u64, write: &LogWrite) -> Manifest {
        let segment = SegmentEntry {
            ordinal: 0,
            file,
            salt,
            generation: 1,
            state: SegmentState::Open,
        };
        let log = LogEntry {
            id: write.log_id(),
            incarnation: [0; 16],
            ended_at: None,
            resolved_upto: Sequence(0),
            segments: vec![segment],
        };
        Manifest {
            logs: vec![log],
            ..Manifest::default()
        }
    }

    #[test]
    fn a_batch_with_a_block_behind_it_is_to_be_marked_once_nothing_hangs() {
        let (mut world, write) = world(1);
        let named = manifest(1, SALT, &write);
        let from_us = world.could_be_marked_from_us(&write, Some(&named));
        assert_eq!(from_us, Some(5));
        world.hung_until_us = 30;
        let from_us = world.could_be_marked_from_us(&write, Some(&named));
        assert_eq!(from_us, Some(30));
    }

    #[test]
    fn a_batch_that_fills_its_segment_is_to_be_marked_from_when_the_next_one_was_named() {
        let (mut world, write) = world(2);
        let alone = manifest(1, SALT, &write);
        assert_eq!(world.could_be_marked_from_us(&write, Some(&alone)), None);
        world.truth.named_us.insert(FILE_AFTER, 9);
        let followed = manifest(FILE_AFTER, SALT + 1, &write);
        let from_us = world.could_be_marked_from_us(&write, Some(&followed));
        assert_eq!(from_us, Some(9));
    }

    #[test]
    fn what_a_start_must_notice_is_what_a_reader_of_batches_refuses() {
        let mut open = OpenBatch::new(BatchLimits::default());
        let meta = BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        };
        let sequence = Sequence(Sequence::before_first(3).0 + 1);
        for body in [&b"{}"[..], b"[1]"] {
            let index = open.push_body(body, &meta);
            open.push(&Entry::Unanswered(Place { sequence, index }));
        }
        let fields = BatchFields {
            sequence,
            durable_upto: Sequence::before_first(3),
            ..BatchFields::default()
        };
        let mut blocks = Blocks::default();
        open.assemble(&fields, None, &mut blocks);
        let whole = blocks.bytes().to_vec();
        let batch = read_batch(&whole).expect("it is whole");
        let bytes = 96 + batch.header.index_bytes as usize;
        let mut overlooked = 0;
        for bit in 0..bytes * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let is_noticed = checked(&flipped[..bytes], 96) != checked(&whole[..bytes], 96);
            assert_eq!(read_batch(&flipped).is_err(), is_noticed, "bit {bit}");
            overlooked += usize::from(!is_noticed);
        }
        assert_eq!(overlooked, 4, "one flag of each record");
    }
}
