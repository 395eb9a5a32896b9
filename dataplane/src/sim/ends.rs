//! How runs end and what lies between two of them: what was under way is cut off, memory and unsynced sectors go, clocks go
//! on, and files are damaged at rest. It judges what a process says when it ends itself.

use super::count::Count;
use super::disk::Survival;
use super::oracle::Property;
use super::process::{Exit, Process};
use super::world::{RunPlace, STOP_QUIET_US, World};
use crate::sim_trace;
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::Manifest;

impl World {
    /// The process is gone; what was under way ends as it may. `false`: the seed ends here.
    pub fn end_run(&mut self, exit: Exit, place: RunPlace) -> bool {
        sim_trace!(self.now_us(), "run {} ended: {exit:?}", self.run);
        let recovered = self
            .process
            .as_ref()
            .is_some_and(|process| process.recovered);
        for what in self.take_under_way() {
            self.interrupted(what);
        }
        let terminated = |process: &Process| process.terminated;
        if self.process.as_ref().is_some_and(terminated)
            && matches!(exit, Exit::Killed | Exit::PowerCut)
        {
            self.counts.one(Count::CrashesInStop);
        }
        self.process = None;
        self.note_end();
        self.drop_connections();
        if !recovered && matches!(exit, Exit::Killed | Exit::PowerCut) {
            self.counts.one(Count::CrashesInRecovery);
        }
        match exit {
            Exit::PowerCut => self.cut_power(),
            Exit::Killed => {
                self.counts.one(Count::Kills);
                self.disk.kill(&mut self.dice);
            }
            Exit::Code(code, reason) => {
                self.disk.kill(&mut self.dice);
                if !self.judge_exit(code, &reason, place) {
                    return false;
                }
            }
        }
        self.note_losses()
    }

    fn cut_power(&mut self) {
        let survival = self.dice.pick(&[
            Survival::Nothing,
            Survival::Everything,
            Survival::Scattered,
            Survival::Scattered,
            Survival::Prefix,
            Survival::Suffix,
            Survival::Mixed,
        ]);
        let manifest = |world: &World| {
            let inode = world.disk.find(MANIFEST)?;
            Some(world.disk.seen(inode).to_vec())
        };
        let before = manifest(self);
        let cut = self.disk.cut_power(survival, &mut self.dice);
        let left = manifest(self);
        if left != before {
            self.truth.forget_manifests_behind(left.as_deref());
        }
        self.booted();
        self.counts.one(Count::PowerCuts);
        self.counts.add(Count::SectorsLost, cut.sectors_lost);
        self.counts.add(Count::SectorsKept, cut.sectors_kept);
        self.counts.add(Count::SectorsBetween, cut.sectors_between);
        self.counts.add(Count::NamesLost, cut.names_lost);
        sim_trace!(self.now_us(), "power cut, {survival:?}: {cut:?}");
    }

    /// What a process may say when it ends itself. `false`: the seed ends here.
    fn judge_exit(&mut self, code: i32, reason: &str, place: RunPlace) -> bool {
        self.truth.stopped_cleanly = code == 0;
        let faulty = self.truth.keeper_errors > 0 || self.truth.log_errors > 0;
        match code {
            0 => {
                self.counts.one(Count::CleanStops);
                true
            }
            65 if self.truth.may_refuse() => {
                self.counts.one(Count::Exits65);
                if place == RunPlace::Earlier && self.rare.chance(4000) && self.quarantine() {
                    return true;
                }
                // Nothing is served from a damaged directory: what was damaged on purpose is put back, else the story ends.
                place == RunPlace::Earlier && self.undo_damage()
            }
            65 => {
                self.fail(
                    Property::DamageOrTornTail,
                    format!("refused as damaged, and nothing was: {reason}"),
                );
                false
            }
            74 if faulty || self.hung_too_long(reason) => {
                self.counts.one(Count::Exits74);
                true
            }
            78 if place == RunPlace::Earlier && self.is_refused_for_memory(reason) => true,
            _ if faulty || self.truth.may_refuse() => {
                self.counts.one(Count::ExitsOther);
                place == RunPlace::Earlier && self.undo_damage()
            }
            _ => {
                self.fail(
                    Property::Liveness,
                    format!("ended with {code} although nothing failed: {reason}"),
                );
                false
            }
        }
    }

    /// A stop may end before its work is done where an operation hung so long that less was left than a stop takes.
    fn hung_too_long(&self, reason: &str) -> bool {
        let left_us = self.now_us().saturating_sub(self.hung_until_us);
        reason.starts_with("stopped, but not cleanly") && left_us < STOP_QUIET_US
    }

    /// The process is down for a while; clocks go on, or not.
    pub fn between_runs(&mut self) {
        let down_us = self
            .dice
            .pick(&[1_000, 1_000_000, 30_000_000, 3_000_000_000]);
        let down_us = self.dice.below(down_us) + 1;
        self.pass(down_us);
        if self.dice.chance(self.scenario.clock_jumps) {
            self.jump_wall();
        }
        self.damage_something();
        self.back_up();
    }

    /// A backup gives the files of logs another name each, as `cp -l` does.
    fn back_up(&mut self) {
        if !self.rare.chance(self.scenario.links) || self.truth.is_in_doubt() {
            return;
        }
        let bytes = self.disk.find(MANIFEST).map(|it| self.disk.seen(it));
        let Some(manifest) = bytes.and_then(|bytes| Manifest::decode(bytes).ok()) else {
            return;
        };
        let segments = manifest.logs.iter().flat_map(|log| &log.segments);
        for segment in segments {
            let name = NumberedFile::Segment(segment.file).to_string();
            if let Some(inode) = self.disk.find(&name) {
                self.disk.link(inode, &format!("backup-{name}"));
                self.truth.linked.insert(inode, self.run);
            }
        }
        self.counts.one(Count::Backups);
        sim_trace!(self.now_us(), "a backup links all segments of logs");
    }

    /// Tells the oracle what the start may have added to the expiry clock, by the wall clock.
    pub fn clock_resumes(&mut self) {
        let (fast_us, slow_us) = self.truth.resumed(
            self.wall_us(),
            self.oracle.now().fast_us,
            self.oracle.now().slow_us,
        );
        self.oracle.pass(fast_us, slow_us);
        sim_trace!(
            self.now_us(),
            "the expiry clock resumes, moved by {slow_us} to {fast_us} us against this moment"
        );
    }

    /// A start is over. It goes on from where the wall clock was at its furthest: one that was set back says of none of the
    /// start's time that it has passed.
    pub fn clock_resumed(&mut self) {
        if self.wall_is_behind() {
            let now = self.oracle.now();
            let (_, slow_us) = self.truth.resumed(self.wall_us(), now.fast_us, now.slow_us);
            self.oracle.pass(0, slow_us);
        }
    }
}
