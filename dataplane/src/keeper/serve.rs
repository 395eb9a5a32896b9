//! Serving: one loop that lists all that the keeper does, the most urgent first. [`Service::poll_requests`] is called
//! between the steps of all long work; it names segments and never starts long work itself.

use crate::io::ShardId;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::port::KeeperOp;
use crate::keeper::{LOOK_EVERY_US, Service};
use crate::mesh::keeper::ToShard;
use flk_contract::params::ParamsVersion;
use std::sync::Arc;

impl Service {
    /// Serves until a graceful stop is complete, and returns its summary.
    pub(crate) async fn serve(&mut self) -> Result<String, Halt> {
        self.open_to_clients().await?;
        loop {
            // First of all, segments that shards wait for. All work below names them too, between its steps.
            self.poll_requests().await?;
            self.number_params();
            if self.carry_out_command().await? {
                continue;
            }
            if self.stop.is_asked() {
                self.free_for_stop().await?;
                if let Some(summary) = self.shutdown_step().await? {
                    return Ok(summary);
                }
            } else if self.is_due_to_look() && self.work().await? {
                continue;
            }
            self.wait().await;
        }
    }

    /// One piece of long work: the first that there is, by priority. False if there is none.
    async fn work(&mut self) -> Result<bool, Halt> {
        // Packing waits for all else: what it saves was taken for days.
        Ok(self.work_but_packing().await? || self.repack_due().await?)
    }

    /// The same where a command packs all that there is, which may take hours: all else has its turn between two segments. A tool has no
    /// shards, and does nothing but what it was asked for.
    pub(crate) async fn work_between(&mut self) -> Result<(), Halt> {
        let serves = !self.shards.is_empty() && !self.stop.is_asked();
        if serves && self.is_due_to_look() && self.work_but_packing().await? {
            self.await_switched().await?;
        }
        Ok(())
    }

    async fn work_but_packing(&mut self) -> Result<bool, Halt> {
        // Without room, a shard waits or submits are refused. What was found at the start and is over memory keeps all
        // submits out. A shard whose memory is full admits nothing. Slices that are merged or dropped make room too, and so does
        // deletion; a seal takes some of it. A preallocated segment only saves a shard from waiting for one.
        // Where a table fills up as fast as it is sealed, all else gets its turn between two urgent seals.
        let others_first = std::mem::take(&mut self.sealing.was_urgent);
        let done = self.make_room().await?
            || self.admit_from_slices().await?
            || (!others_first && self.seal_if_urgent().await?)
            || self.tidy_slices().await?
            || self.delete_aged().await?
            || self.seal_if_due().await?
            || self.refill_preallocated().await?
            || self.seal_if_urgent().await?;
        self.show_horizon().await?;
        self.show_holds();
        Ok(done)
    }

    /// Whether to look for long work: once a second, and whenever something has asked for it.
    fn is_due_to_look(&mut self) -> bool {
        let now_us = self.store.now().mono_us;
        let is_due = self.look_due.is_over(now_us);
        if is_due {
            self.look_due = Due::At(now_us + LOOK_EVERY_US);
        }
        is_due
    }

    /// Room on the disk: frees what may go, and seals so that more may go.
    async fn make_room(&mut self) -> Result<bool, Halt> {
        self.look_at_space().await?;
        if self.delete_surplus().await? {
            return Ok(true);
        }
        if !self.space.seal_wanted {
            return Ok(false);
        }
        // Before all that takes room, or time: a shard may wait for it.
        self.seal_for_room().await?;
        Ok(true)
    }

    async fn seal_if_urgent(&mut self) -> Result<bool, Halt> {
        let is_urgent = self.seal_is_urgent();
        if is_urgent {
            self.seal().await?;
            self.sealing.was_urgent = true;
        }
        Ok(is_urgent)
    }

    async fn seal_if_due(&mut self) -> Result<bool, Halt> {
        let is_due = self.seal_is_due();
        if is_due {
            self.seal().await?;
        }
        Ok(is_due)
    }

    /// Waits for an event, or for the next look.
    async fn wait(&mut self) {
        let mut wake_us = self.store.now().mono_us + LOOK_EVERY_US;
        if let Some(at_us) = self.urgent_seal_us().filter(|_| !self.stop.is_asked()) {
            wake_us = wake_us.min(at_us);
            self.look_due = Due::At(at_us.min(self.look_due.wake_us()));
        }
        if !self.log_reports.is_empty() && !self.stop.is_finishing() {
            // A shard waits for its next segment.
            wake_us = wake_us.min(self.name_due.wake_us());
        }
        self.store.port.put(KeeperOp::Wake(wake_us));
        let event = self.store.port.event().await;
        self.note(event);
    }

    /// Recovery is over: shards serve, and know from the beginning whether there is room.
    async fn open_to_clients(&mut self) -> Result<(), Halt> {
        self.look_before_serving().await?;
        let admit = self.over_memory.is_none();
        self.send_all(|| ToShard::Serve { admit });
        if let Some(recovered) = self.recovered.take() {
            self.store.port.notify(recovered);
        }
        Ok(())
    }

    /// A log may need a segment for its last batches: what may go makes room for it, in a stop too.
    async fn free_for_stop(&mut self) -> Result<(), Halt> {
        if self.space.naming.is_some() && self.is_due_to_look() {
            self.look_at_space().await?;
        }
        Ok(())
    }

    /// Takes the events that have come, answers commands that only ask, and names the segments that shards ask for.
    pub(crate) async fn poll_requests(&mut self) -> Result<(), Halt> {
        loop {
            while let Some(event) = self.store.port.try_event() {
                self.note(event);
            }
            self.refuse_to_stop_later()?;
            self.answer_questions().await?;
            // Naming takes file operations: events may have come meanwhile.
            if !self.name_one().await? {
                return Ok(());
            }
        }
    }

    /// Gives numbers to parameter sets, and sends them to the shards before the caller has its answer. Never in the middle of
    /// long work, which may hold the dictionary.
    fn number_params(&mut self) {
        for (asked, versions) in std::mem::take(&mut self.params_asked) {
            if !self.dictionary.know(&versions) {
                continue; // the caller sees no answer and refuses what needs them
            }
            let all: Arc<[ParamsVersion]> = self.dictionary.versions().into();
            self.send_all(|| ToShard::Params(Arc::clone(&all)));
            self.store.config.stats.keeper.params_known.set(asked);
        }
    }

    /// Sends a message to every shard.
    pub(crate) fn send_all(&self, message: impl Fn() -> ToShard) {
        for shard in 0..self.store.config.shards {
            self.store.port.send(ShardId(shard), message());
        }
    }

    /// Logs that something failed that will be tried again.
    pub(crate) fn trouble(&self, doing: &'static str, halt: &Halt) {
        let (file, error) = match halt {
            Halt::Io { file, error, .. } => (file.clone(), error.to_string()),
            other => (String::new(), other.to_string()),
        };
        self.store
            .port
            .notify(Notice::FileTrouble { doing, file, error });
    }
}
