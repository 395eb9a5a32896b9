//! The keeper as the process hosts it: its mailbox, its steps and what it asks for. What it says is counted, and judged where
//! it may not be said.

use super::count::Count;
use super::oracle::Property;
use super::process::KEEPER;
use super::queue::Happening;
use super::world::World;
use crate::event::Event;
use crate::keeper::notice::Notice;
use crate::keeper::port::{KeeperEvent, KeeperOp};
use crate::mesh::keeper::{Shortage, ToShard};
use crate::sim_trace;

impl World {
    /// Puts an event into the keeper's mailbox.
    pub fn to_keeper(&mut self, event: KeeperEvent) {
        let Some(process) = self.process.as_mut() else {
            return;
        };
        process.keeper_events.push(event);
        if !process.keeper_stepping {
            process.keeper_stepping = true;
            let delay_us = self.dice.delay_us(5, 2_000, 100);
            self.later(delay_us, Happening::KeeperStep);
        }
    }

    /// The time that the keeper asked for has come, if it did not ask for another one since.
    pub fn keeper_tick(&mut self, token: u64) {
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.keeper_wake == token)
        {
            self.to_keeper(KeeperEvent::Tick);
        }
    }

    /// The keeper steps.
    pub fn keeper_step(&mut self) {
        let now = self.clocks();
        let Some(process) = self.process.as_mut() else {
            return;
        };
        process.keeper_stepping = false;
        self.counts.one(Count::KeeperSteps);
        let events = std::mem::take(&mut process.keeper_events);
        let ops = process.keeper.step(events.into_iter(), now);
        for op in ops {
            match op {
                KeeperOp::File(op) => self.file_begins(op.spelled_out()),
                KeeperOp::ToShard(shard, message) => self.keeper_tells(shard.0, message),
                KeeperOp::Reply { id, text } => self.command_answered(id, &text),
                KeeperOp::Notify(notice) => self.on_notice(&notice),
                KeeperOp::Wake(mono_us) => {
                    let at_us = self.at_mono(mono_us);
                    let mut token = 0;
                    if let Some(process) = self.process.as_mut() {
                        process.keeper_wake += 1;
                        token = process.keeper_wake;
                    }
                    self.at(at_us, Some(self.run), Happening::KeeperTick(token));
                }
                KeeperOp::Exit { code, reason } => return self.ends_itself(code, reason),
            }
        }
    }

    fn keeper_tells(&mut self, shard: u16, message: ToShard) {
        sim_trace!(
            self.now_us(),
            "keeper to shard {shard}: {}",
            brief(&message)
        );
        if matches!(message, ToShard::Roll(epoch) if shard == 0 && epoch.is_wrap()) {
            self.counts.one(Count::EpochsWrapped);
        }
        if matches!(message, ToShard::Serve { .. })
            && self
                .process
                .as_ref()
                .is_some_and(|process| !process.recovered)
        {
            if let Some(process) = self.process.as_mut() {
                process.recovered = true;
            }
            self.counts.one(Count::Recovered);
            if std::mem::take(&mut self.jumped_at_start) {
                // Which of the start's time was counted depends on when it looked at the wall clock.
                self.clock_resumes();
            }
            self.clock_resumed();
            self.note_serving();
            self.judge_slice_memory();
        }
        let delay_us = self.dice.delay_us(20, 50_000, 200);
        self.post(
            KEEPER,
            shard,
            delay_us,
            Happening::ToShard(shard, Event::Keeper(message)),
        );
    }

    fn on_notice(&mut self, notice: &Notice) {
        sim_trace!(self.now_us(), "keeper says: {notice}");
        self.note_slice_memory(notice);
        match notice {
            Notice::TornTail { .. } => self.counts.one(Count::TornTails),
            Notice::OrphanRemoved(_) => self.counts.one(Count::OrphanRemoved),
            Notice::StrayKept { file, .. } => {
                self.truth.strays_kept.insert(file.clone());
            }
            Notice::Sealed { .. } => self.counts.one(Count::Seals),
            Notice::Deleted { segments, .. } => {
                self.counts.add(Count::Deletions, u64::from(*segments))
            }
            Notice::TimeWithheld { .. } => self.counts.one(Count::WithheldTime),
            Notice::SpaceLow {
                why: Some(Shortage::Segments),
                ..
            } => self.counts.one(Count::ManifestFull),
            Notice::SpaceLow { why: Some(_), .. } => self.counts.one(Count::SpaceLow),
            Notice::DecisionsOverMemory { .. } => self.counts.one(Count::ShortOfMemory),
            Notice::TooManySegments { .. } => self.counts.one(Count::CrowdedOut),
            Notice::DecisionsInSlices { .. } => self.counts.one(Count::ServedFromSlices),
            Notice::TwoOutcomes { .. } if !self.truth.is_in_doubt() => {
                self.fail(Property::OneOutcome, format!("the keeper says: {notice}"));
            }
            Notice::SliceDamaged { .. }
                if !self.truth.is_in_doubt() && !self.truth.damaged_block_read =>
            {
                let how = format!("no shard read a damaged block, and the keeper says: {notice}");
                self.fail(Property::DamageOrTornTail, how);
            }
            Notice::DamageWhileSealing { .. }
                if !self.truth.is_in_doubt() && self.truth.keeper_errors == 0 =>
            {
                self.fail(
                    Property::DamageOrTornTail,
                    format!("nothing was damaged, and the keeper says: {notice}"),
                );
            }
            _ => {}
        }
    }
}

/// A message without its load.
fn brief(message: &ToShard) -> String {
    match message {
        ToShard::Begin(begin) => format!(
            "Begin log {} in {:?}, clock {:?}",
            begin.log, begin.first, begin.clock
        ),
        ToShard::Load(entries) => format!("Load {} decisions", entries.len()),
        ToShard::Slices(set) => format!(
            "Slices version {}, epoch {}, {} slices",
            set.version,
            set.sealed_epoch,
            set.slices.len()
        ),
        other => format!("{other:?}"),
    }
}
