//! What to do when a start found more live decisions that no slice covers than the declared memory holds: move them into
//! slices, let the shards look there, and only then let them admit. It never drops a decision, and it changes nothing where
//! all fits.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::mesh::keeper::ToShard;

/// A seal that could not take everything is tried again after this time, in microseconds.
const AGAIN_US: u64 = 10_000_000;

/// Shards have nothing of what no slice covered, and answer 503.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverMemory {
    /// Memory that it would need.
    pub(crate) needed_bytes: u64,
    /// The version of the slice set that holds all of it, once that was sent to shards.
    version: Option<u64>,
    /// When it is sealed, or what a seal has left of it.
    seal_due: Due,
}

impl OverMemory {
    pub(crate) fn of(needed_bytes: u64) -> OverMemory {
        OverMemory {
            needed_bytes,
            version: None,
            seal_due: Due::AtOnce,
        }
    }
}

impl Service {
    /// Goes on with what a start could not load; true once shards may admit.
    ///
    /// Slices answer as the replay would: of several decisions of a key at most one is alive, and a look-up goes on behind
    /// an expired one. So nothing needs to be loaded once no decision is in a log alone.
    pub(crate) async fn admit_from_slices(&mut self) -> Result<bool, Halt> {
        let Some(mut short) = self.over_memory else {
            return Ok(false);
        };
        if short.version.is_none() && short.seal_due.is_over(self.store.now().mono_us) {
            short.version = self.seal_all_found().await?;
            short.seal_due = match self.sealing.wanted {
                // It was a part of what there is.
                true => Due::AtOnce,
                false => Due::At(self.store.now().mono_us + AGAIN_US),
            };
            self.over_memory = Some(short);
        }
        let in_use = |version| self.shards.iter().all(|shard| shard.switched >= version);
        if !short.version.is_some_and(in_use) {
            return Ok(false);
        }
        self.over_memory = None;
        self.send_all(|| ToShard::Serve { admit: true });
        let entries = self.store.manifest.slices.iter().map(|it| it.entries);
        let decisions = entries.sum();
        self.store
            .port
            .notify(Notice::DecisionsInSlices { decisions });
        Ok(true)
    }

    /// Seals, and sends the slices to shards. The version of the set once it holds all that earlier runs decided.
    async fn seal_all_found(&mut self) -> Result<Option<u64>, Halt> {
        self.seal().await?;
        let manifest = &self.store.manifest;
        let mut earlier = manifest
            .logs
            .iter()
            .filter(|log| log.id.start != manifest.start);
        let is_sealed = earlier.all(|log| manifest.first_uncovered(log) == log.segments.len());
        Ok(is_sealed.then_some(self.sealing.version))
    }
}
