//! The operator of the simulated world: types commands while the gateway serves, holds pins, and checks that each command
//! is answered as its page says. It knows the protocol of `keeper.sock` and nothing of what the keeper does.

use super::count::Count;
use super::oracle::Property;
use super::queue::Happening;
use super::world::World;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::sim_trace;
use crate::wal::files::MANIFEST;
use crate::wal::manifest::Manifest;
use std::collections::{BTreeMap, BTreeSet};

/// What was typed and is not answered, and what is held.
#[derive(Debug, Default)]
pub struct Operator {
    typed: u64,
    open: BTreeMap<u64, String>,
    pins: BTreeSet<u64>,
}

impl Operator {
    /// Another run: what the process before was told counts no more.
    pub fn sits_down(&mut self) {
        self.open.clear();
        self.pins.clear();
    }

    /// Whether every command was answered and nothing is pinned.
    pub fn is_resolved(&self) -> bool {
        self.open.is_empty() && self.pins.is_empty()
    }

    /// Whether a pin is held: given, and not asked back.
    pub fn pins(&self) -> bool {
        !self.pins.is_empty()
    }
}

impl World {
    /// The operator types something.
    pub fn type_command(&mut self) {
        let pin = self.operator.pins.first().copied();
        let line = match (self.rare.below(10), pin) {
            (0 | 1, None) => {
                self.counts.one(Count::CommandsPin);
                "flk1 pin".to_string()
            }
            (0..=5, Some(pin)) => self.unpin(pin),
            (0..=3, _) => {
                self.counts.one(Count::CommandsCompact);
                "flk1 compact --older-than 0".to_string()
            }
            (4, _) => {
                self.counts.one(Count::CommandsCompact);
                "flk1 compact".to_string()
            }
            (5, _) => "flk1 compact --older-than 3 --dry-run".to_string(),
            (6 | 7, _) => self.release_clock(),
            (8, _) => "flk1 status".to_string(),
            _ => self
                .rare
                .pick(&["flk1 ping", "", "flk1 unpin 999", "flk2 pin"])
                .to_string(),
        };
        self.send_command(line);
    }

    pub(super) fn send_command(&mut self, line: String) {
        self.counts.one(Count::Commands);
        self.operator.typed += 1;
        let number = self.operator.typed;
        sim_trace!(self.now_us(), "the operator types {number}: {line}");
        self.operator.open.insert(number, line.clone());
        let id = CommandId(number);
        self.later(20, Happening::ToKeeper(KeeperEvent::Command { id, line }));
    }

    fn unpin(&mut self, pin: u64) -> String {
        self.operator.pins.remove(&pin);
        format!("flk1 unpin {pin}")
    }

    /// Gives back all pins.
    pub fn unpin_all(&mut self) {
        for pin in std::mem::take(&mut self.operator.pins) {
            self.send_command(format!("flk1 unpin {pin}"));
        }
    }

    /// From now on the expiry clock may have taken the time that was withheld.
    fn release_clock(&mut self) -> String {
        self.counts.one(Count::CommandsReleaseClock);
        let bytes = self.disk.find(MANIFEST).map(|it| self.disk.seen(it));
        let manifest = bytes.and_then(|bytes| Manifest::decode(bytes).ok());
        let withheld_s = manifest.map_or(0, |manifest| manifest.withheld_s);
        if withheld_s > 0 {
            let upto_us = withheld_s as i64 * 1_000_000 + 1_000_000;
            self.oracle.may_release(upto_us);
        }
        "flk1 release-clock".to_string()
    }

    /// The keeper answers.
    pub fn command_answered(&mut self, id: CommandId, text: &str) {
        sim_trace!(self.now_us(), "command {} is answered: {text}", id.0);
        let Some(line) = self.operator.open.remove(&id.0) else {
            let how = format!("command {} is answered twice: {text}", id.0);
            return self.fail(Property::ReplyOrder, how);
        };
        let good = text == "ok" || text.starts_with("ok ");
        let known = line.starts_with("flk1 ") && line != "flk1 unpin 999";
        if !good && !text.starts_with("error ") || text.contains('\n') || good && !known {
            let how = format!("command `{line}` is answered `{text}`");
            return self.fail(Property::ReplyOrder, how);
        }
        match line.as_str() {
            line if line.starts_with("flk1 hold ") => self.hold_answered(good),
            "flk1 pin" => {
                let pin = text.strip_prefix("ok ");
                let pin = pin.and_then(|it| it.parse::<u64>().ok());
                match pin {
                    Some(pin) if self.calm => self.send_command(format!("flk1 unpin {pin}")),
                    pin => self.operator.pins.extend(pin),
                }
            }
            "flk1 release-clock" => {
                let released = text.strip_prefix("ok {\"released_s\":");
                let released_s =
                    released.and_then(|it| it.trim_end_matches('}').parse::<i64>().ok());
                let released_us = released_s.unwrap_or(0) * 1_000_000;
                // Shards hear of it later, each in its own time.
                self.later(10_000_000, Happening::ClockReleased(released_us));
            }
            _ => {}
        }
    }
}
