//! Loading: the fold of slices and logs, streamed in key order to the shards that own the keys. Memory is bounded by what
//! the logs gave and a few blocks per slice.

use crate::dedup::{Decided, PARTITIONS};
use crate::event::ShardId;
use crate::keeper::fold::Fold;
use crate::keeper::halt::Halt;
use crate::keeper::ledger::Ledger;
use crate::keeper::messages::ToShard;
use crate::keeper::notice::Notice;
use crate::keeper::port::Port;
use crate::keeper::slices::{Merge, Slice};
use std::rc::Rc;

/// Decisions per [`ToShard::Load`].
const CHUNK_COUNT: usize = 4096;

/// Decisions between two progress lines.
const PROGRESS_COUNT: u64 = 1_000_000;

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
    slices: &[Rc<Slice>],
    from_logs: Vec<Decided>,
    owners: &[ShardId; PARTITIONS as usize],
) -> Result<u64, Halt> {
    let in_slices = ledger.manifest.slices.iter().map(|slice| slice.entries);
    let of = in_slices.sum::<u64>() + from_logs.len() as u64;
    let mut merge = Merge::of(slices, from_logs).await?;
    let mut fold = Fold::default();
    let mut outlet = Outlet {
        ledger,
        owners,
        now_s: ledger.expiry_now_s(),
        chunks: vec![Vec::new(); usize::from(ledger.config.shards)],
        sent: 0,
    };
    let mut done = 0;
    while let Some(decided) = merge.next().await? {
        if let Some(outcome) = fold.push(decided) {
            outlet.send(outcome);
        }
        done += 1;
        if done % PROGRESS_COUNT == 0 {
            let what = "decisions loaded";
            ledger.port.say(Notice::Progress { what, done, of });
        }
    }
    if let Some(outcome) = fold.finish() {
        outlet.send(outcome);
    }
    report_conflicts(&ledger.port, &mut fold);
    Ok(outlet.finish())
}

/// Tells the operator of keys with two outcomes.
pub(crate) fn report_conflicts(port: &Port, fold: &mut Fold) {
    for two in fold.take_conflicts() {
        port.say(Notice::TwoOutcomes {
            key_high: two.first.key.high,
            first_decided_at: two.first.decided_at,
            second_decided_at: two.second.decided_at,
        });
    }
}
