//! Keeping preallocated segments at hand, so that naming one is a replacement of the manifest and nothing more.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::store::Zeroed;

impl Service {
    /// Makes one preallocated segment if there are too few, naming between its steps; true if it made one.
    pub(crate) async fn refill_preallocated(&mut self) -> Result<bool, Halt> {
        let enough = self.store.config.preallocated_count as usize;
        if self.store.preallocated_count() >= enough || self.space.low.is_some() {
            return Ok(false);
        }
        if self.shortage_of_preallocation().await?.is_some() {
            return Ok(false);
        }
        let mut preallocated = match self.store.begin_preallocation().await {
            Ok(preallocated) => preallocated,
            Err(halt) => {
                self.trouble("making a segment ready", &halt);
                return Ok(false);
            }
        };
        loop {
            match self.store.zero_some(&mut preallocated).await {
                Ok(Zeroed::Whole) => {
                    self.look_due = Due::AtOnce;
                    return Ok(true);
                }
                Ok(Zeroed::Part) => self.poll_requests().await?,
                Err(halt) => {
                    self.trouble("making a segment ready", &halt);
                    self.store.drop_preallocation(preallocated).await;
                    return Ok(false);
                }
            }
        }
    }
}
