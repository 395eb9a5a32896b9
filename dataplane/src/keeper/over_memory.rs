//! What to do when a start found more live decisions than the declared memory holds: move all of it into slices, let the
//! shards look there, and only then let them admit. It never drops a decision, and it changes nothing where all fits.

use crate::io::ShardId;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::recover::first_uncovered;
use crate::keeper::serve::Service;
use crate::mesh::keeper::ToShard;

/// A seal that could not take everything is tried again after this time, in microseconds.
const AGAIN_US: u64 = 10_000_000;

/// Shards have only a part of what was found, and answer 503.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    /// Memory that all of it would need.
    pub(crate) needed_bytes: u64,
    /// The version of the slice set that holds all of it, once shards were told.
    version: Option<u64>,
    again_us: u64,
}

impl Short {
    pub(crate) fn of(needed_bytes: u64) -> Short {
        Short {
            needed_bytes,
            version: None,
            again_us: 0,
        }
    }
}

impl Service {
    /// Goes on with what a start could not load; true when shards were told to admit.
    ///
    /// Slices answer as the replay would: of several decisions of a key at most one is alive, and a look-up goes on behind
    /// an expired one. So nothing needs to be loaded once no decision is in a log alone.
    pub(crate) async fn admit_from_slices(&mut self) -> Result<bool, Halt> {
        let Some(mut short) = self.over_memory else {
            return Ok(false);
        };
        if short.version.is_none() && self.store.now().mono_us >= short.again_us {
            short.version = self.seal_all_found().await?;
            short.again_us = match self.sealing.wanted {
                // It was a part of what there is.
                true => 0,
                false => self.store.now().mono_us + AGAIN_US,
            };
            self.over_memory = Some(short);
        }
        let in_use = |version| self.shards.iter().all(|shard| shard.switched >= version);
        if !short.version.is_some_and(in_use) {
            return Ok(false);
        }
        self.over_memory = None;
        for shard in 0..self.store.config.shards {
            let serve = ToShard::Serve { admit: true };
            self.store.port.tell(ShardId(shard), serve);
        }
        let entries = self.store.manifest.slices.iter().map(|it| it.entries);
        let decisions = entries.sum();
        self.store.port.say(Notice::FoldInSlices { decisions });
        Ok(true)
    }

    /// Seals, and tells shards of the slices. The version of the set if it holds all that earlier runs decided.
    async fn seal_all_found(&mut self) -> Result<Option<u64>, Halt> {
        let before = self.sealing.version;
        let start = self.store.manifest.start;
        self.seal().await?;
        let earlier = self.store.manifest.logs.iter();
        let mut earlier = earlier.filter(|log| log.id.start != start);
        if !earlier.all(|log| first_uncovered(&self.store.manifest, log) == log.segments.len()) {
            return Ok(None);
        }
        if self.sealing.version == before {
            // Everything was in slices already.
            if !self.views_ready().await? {
                return Ok(None);
            }
            self.sealing.version += 1;
            self.tell_slices();
        }
        Ok(Some(self.sealing.version))
    }
}
