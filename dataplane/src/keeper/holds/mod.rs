//! Holds: readers outside of the process that need segments to stay until they are done with them. They are in the manifest, so
//! they outlive the process. Here are the commands that change them; what deletion makes of them is in `keep`.

mod change;
pub(super) mod keep;
mod show;

pub use change::hold_name;
pub use show::holds_json;

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::store::{Growth, NotReplaced};
use crate::stats::holds::ShownHold;
use change::Change;
use std::collections::BTreeMap;

/// The most holds at a time. Each costs a position for each log in the manifest.
pub const HOLDS_COUNT_MAX: usize = 16;

/// So many ranges that were let go are remembered; the oldest are forgotten.
pub(crate) const RELEASED_COUNT_MAX: usize = 256;

/// The verb of all commands on holds.
pub(crate) const VERB: &str = "hold";

/// What the keeper remembers of holds besides what is in the manifest.
#[derive(Debug, Default)]
pub(crate) struct HoldsState {
    /// Grows with each change, so that a deletion sees that one came in between.
    pub(crate) changes: u64,
    /// Bytes that each hold kept from being deleted by age when that was last looked at.
    pub(crate) kept_bytes: BTreeMap<String, u64>,
    /// The same for all holds together; a segment counts once.
    pub(crate) held_bytes: u64,
}

impl Service {
    /// Carries out one command on holds and gives the reply. It takes one replacement of the manifest at most, so it may be
    /// carried out between the steps of long work.
    pub(crate) async fn hold_command(&mut self, arguments: &[&str]) -> Result<String, Halt> {
        let change = match Change::parse(arguments) {
            Ok(change) => change,
            Err(why) => return Ok(format!("error {why}")),
        };
        let Some(change) = change else {
            let (manifest, now_s) = (&self.store.manifest, self.store.expiry_now_s());
            let json = show::holds_json_with(manifest, now_s, Some(&self.holds.kept_bytes));
            return Ok(format!("ok {json}"));
        };
        let mut next = self.store.draft();
        let now_s = self.store.expiry_now_s();
        if let Err(why) = change.apply(&mut next, now_s) {
            return Ok(format!("error {why}"));
        }
        let growth = match change {
            Change::Drop { .. } => self.store.replace(next).await,
            // A hold that could not move would keep for ever what fills the manifest.
            Change::Move { .. } => self.store.grow(next, Growth::Publishing).await,
            Change::Set { .. } => self.store.grow(next, Growth::Serving).await,
        };
        match growth {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => return Ok(format!("error {halt}")),
            Err(not) => return Err(not.into()),
        }
        self.holds.changes += 1;
        let holds = &self.store.manifest.sections.holds;
        let is_there = |name: &String| holds.iter().any(|hold| hold.name == *name);
        self.holds.kept_bytes.retain(|name, _| is_there(name));
        self.show_holds();
        // What it let go of may be deleted.
        self.look_due = Due::AtOnce;
        Ok("ok".to_string())
    }

    /// Shows the holds in the metrics.
    pub(crate) fn show_holds(&self) {
        let manifest = &self.store.manifest;
        let now_s = self.store.expiry_now_s();
        let holds = &manifest.sections.holds;
        let shown = holds.iter().map(|hold| ShownHold {
            name: &hold.name,
            kept_bytes: self.holds.kept_bytes.get(&hold.name).copied().unwrap_or(0),
            behind_bytes: show::behind_bytes(manifest, hold),
            age_s: now_s.saturating_sub(hold.moved_at_s),
        });
        let stats = &self.store.config.stats.keeper;
        stats.holds.set(holds.len() as u64);
        stats.hold_rows.show(&shown.collect::<Vec<_>>());
    }
}
