//! Readers that keep segments: holds are set, moved and dropped at random, and every replacement of the manifest is judged by what
//! was acknowledged of them. It draws from dice of its own, so that lives without holds stay what they were.

use super::count::Count;
use super::dice::Dice;
use super::ledgers::retired;
use super::oracle::Property;
use super::world::World;
use crate::keeper::config::HoldLimit;
use crate::wal::files::MANIFEST;
use crate::wal::manifest::{Hold, LogEntry, Manifest, SegmentEntry};
use crate::wal::name::{LogId, Sequence};
use std::collections::BTreeMap;

/// The names of holds.
const NAMES: [&str; 2] = ["backup", "audit"];

/// What readers asked for.
#[derive(Clone, Debug)]
enum Asked {
    Set(&'static str),
    Moved(&'static str, LogId, Sequence),
    Else,
}

/// Holds of a life.
#[derive(Debug)]
pub struct Holders {
    dice: Dice,
    /// Commands at this many of 10,000 events.
    commands: u32,
    /// What holds of this life do at their limits.
    pub limit: HoldLimit,
    /// The command that is not answered yet.
    asked: Option<Asked>,
    /// What was acknowledged: how far each hold is done with each log.
    acknowledged: BTreeMap<&'static str, BTreeMap<LogId, Sequence>>,
}

impl Holders {
    /// Those of a seed; most have none.
    pub fn draw(seed: u64) -> Holders {
        let mut dice = Dice::new(seed.rotate_left(40) ^ 0x401d);
        let commands = match dice.chance(1500) {
            true => dice.pick(&[20, 100, 400]),
            false => 0,
        };
        let limit = match dice.chance(5000) {
            true => HoldLimit::Release,
            false => HoldLimit::Refuse,
        };
        Holders {
            dice,
            commands,
            limit,
            asked: None,
            acknowledged: BTreeMap::new(),
        }
    }

    /// Another run: what the process before was asked is answered no more.
    pub fn sit_down(&mut self) {
        self.asked = None;
    }
}

impl World {
    /// A reader may say something.
    pub fn hold_at_times(&mut self) {
        if self.holders.commands == 0
            || self.holders.asked.is_some()
            || !self.holders.dice.chance(self.holders.commands)
        {
            return;
        }
        let name = self.holders.dice.pick(&NAMES);
        let (asked, line) = match self.holders.dice.below(12) {
            0..=2 => {
                let bytes_max = self.holders.dice.pick(&[1u64, 100_000, 1 << 20, 1 << 40]);
                let age_max_s = self.holders.dice.pick(&[1, 30, 1_000_000]);
                let line = format!("set {name} --bytes-max {bytes_max} --age-max {age_max_s}");
                (Asked::Set(name), line)
            }
            3..=8 => match self.somewhere() {
                Some((log, upto)) => {
                    let line = format!("move {name} {log}:{}", upto.counter());
                    (Asked::Moved(name, log, upto), line)
                }
                None => (Asked::Else, "list".to_string()),
            },
            9 => {
                // From now on it may be gone.
                self.holders.acknowledged.remove(name);
                (Asked::Else, format!("drop {name}"))
            }
            _ => (Asked::Else, "list".to_string()),
        };
        self.counts.one(Count::HoldCommands);
        self.holders.asked = Some(asked);
        self.send_command(format!("flk1 hold {line}"));
    }

    /// A position in a log, where a segment ends or before.
    fn somewhere(&mut self) -> Option<(LogId, Sequence)> {
        let inode = self.disk.find(MANIFEST)?;
        let manifest = Manifest::decode(self.disk.seen(inode)).ok()?;
        let of =
            |(log, entry): (&LogEntry, &SegmentEntry)| Some((log.id, entry.state.extent()?.last));
        let ends: Vec<(LogId, Sequence)> = manifest.segments().filter_map(of).collect();
        if ends.is_empty() {
            return None;
        }
        let (log, end) = self.holders.dice.pick(&ends);
        let back = self.holders.dice.pick(&[0, 0, 0, 1, 5]).min(end.counter());
        Some((log, Sequence(end.0 - back)))
    }

    /// The keeper answers a reader.
    pub fn hold_answered(&mut self, is_done: bool) {
        match self.holders.asked.take().filter(|_| is_done) {
            Some(Asked::Set(name)) => {
                self.holders.acknowledged.entry(name).or_default();
            }
            Some(Asked::Moved(name, log, upto)) => {
                let done = self.holders.acknowledged.entry(name).or_default();
                done.insert(log, upto);
            }
            Some(Asked::Else) | None => {}
        }
    }

    /// Readers need nothing any more.
    pub fn drop_holds(&mut self) {
        if self.holders.commands == 0 {
            return;
        }
        self.holders.asked = None;
        self.holders.acknowledged.clear();
        for name in NAMES {
            self.send_command(format!("flk1 hold drop {name}"));
        }
    }

    /// What was acknowledged of holds is in force, and what they are not done with goes only as their limits say, and is
    /// written down.
    pub fn holds_are_kept(
        &mut self,
        before: &Manifest,
        after: &Manifest,
    ) -> Result<(), (Property, String)> {
        for (name, done) in &self.holders.acknowledged {
            let missing = |what: String| Err((Property::HoldsKept, format!("hold {name} {what}")));
            let Some(hold) = hold_of(after, name) else {
                return missing("was acknowledged, and is gone".to_string());
            };
            for (log, upto) in done {
                if after.log(*log).is_some() && position(hold, *log) < *upto {
                    return missing(format!("is no longer done with {log} up to {upto}"));
                }
            }
        }
        for (log, segment) in retired(before, after) {
            let Some(extent) = segment.state.extent() else {
                continue;
            };
            for hold in &before.sections.holds {
                let done = position(hold, log.id);
                if extent.last <= done || extent.first > extent.last {
                    continue;
                }
                self.counts.one(Count::HoldReleases);
                let (name, from, last) = (&hold.name, extent.first.0.max(done.0 + 1), extent.last);
                let lost = format!("hold {name} needs sequences of log {} up to {last}", log.id);
                if self.holders.limit == HoldLimit::Refuse {
                    return Err((
                        Property::HoldsKept,
                        format!("{lost}, and does not give way"),
                    ));
                }
                let is_said = after.sections.released.iter().any(|range| {
                    let is_there = range.from.0 <= from && range.to >= last;
                    range.hold == hold.name && range.log == log.id && is_there
                });
                if !is_said {
                    return Err((Property::HoldsKept, format!("{lost}; nothing says so")));
                }
                let is_within = is_within_limits(hold, before, after.clock.expiry_s);
                if is_within && self.has_plenty_of_room(before) {
                    return Err((Property::HoldsKept, format!("{lost} within its limits")));
                }
            }
        }
        if !before.sections.holds.is_empty() && before.segments_count() > after.segments_count() {
            self.counts.one(Count::HoldsRespected);
        }
        Ok(())
    }

    /// Whether nothing in the directory can be short for long.
    fn has_plenty_of_room(&self, manifest: &Manifest) -> bool {
        let used_bytes: u64 = manifest
            .segments()
            .map(|(_, it)| {
                let extent = it.state.extent();
                extent.map_or(self.settings.segment_bytes, |extent| extent.bytes)
            })
            .sum();
        let slices_bytes: u64 = manifest.slices.iter().map(|it| it.bytes).sum();
        let cap_bytes = self.wal_bytes_max_now;
        let manifest_bytes = manifest.encoded_bytes() * 4;
        (used_bytes + slices_bytes) * 4 < cap_bytes
            && self.disk.free_bytes() * 4 > self.disk.total_bytes * 3
            && manifest_bytes < self.scenario.manifest_bytes_max
    }
}

fn hold_of<'m>(manifest: &'m Manifest, name: &str) -> Option<&'m Hold> {
    let mut holds = manifest.sections.holds.iter();
    holds.find(|hold| hold.name == name)
}

fn position(hold: &Hold, log: LogId) -> Sequence {
    let position = hold.done.iter().find(|it| it.log == log);
    position.map_or(Sequence::before_first(log.start), |it| it.upto)
}

/// Whether a hold may keep all that it is not done with.
fn is_within_limits(hold: &Hold, manifest: &Manifest, now_s: u32) -> bool {
    let behind_bytes: u64 = manifest
        .segments()
        .filter_map(|(log, entry)| {
            let extent = entry.state.extent()?;
            (extent.last > position(hold, log.id)).then_some(extent.bytes)
        })
        .sum();
    behind_bytes <= hold.bytes_max && now_s.saturating_sub(hold.moved_at_s) <= hold.age_max_s
}
