//! Commands from `keeper.sock`: one line `flk1 <verb> …` in, one line out, `ok …` or `error …`. A command never outlives
//! its reply, except a pin.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::holds;
use crate::keeper::port::KeeperOp;
use crate::keeper::retain::Deletion;
use crate::keeper::slice_memory::slices_bytes_max;
use crate::keeper::store::NotReplaced;
use crate::mesh::keeper::{ExpiryClock, Shortage, ToShard};
use std::collections::BTreeSet;

/// The protocol version that lines begin with.
const PROTOCOL: &str = "flk1";

/// Pins: while one exists, no file is removed, so that a reader or a backup has time. The unused end of a segment is cut all
/// the same when the segment is closed: no batch is there. Pins end with the process.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    held: BTreeSet<u64>,
    given: u64,
}

impl Pins {
    /// Whether anything is pinned.
    pub(crate) fn any(&self) -> bool {
        !self.held.is_empty()
    }

    fn pin(&mut self) -> u64 {
        self.given += 1;
        self.held.insert(self.given);
        self.given
    }
}

/// The answer to a line that is no command.
fn usage() -> String {
    format!(
        "error expected: {PROTOCOL} ping | status | pin | unpin ID | compact [--older-than SECONDS] [--dry-run] | release-clock | hold list | hold set NAME … | hold move NAME LOG:SEQUENCE… | hold drop NAME"
    )
}

impl Service {
    /// Carries out the oldest command and replies; false if there is none.
    pub(crate) async fn carry_out_command(&mut self) -> Result<bool, Halt> {
        let Some((id, line)) = self.commands.pop_front() else {
            return Ok(false);
        };
        let text = self.command(&line).await?;
        self.store.port.put(KeeperOp::Reply { id, text });
        Ok(true)
    }

    /// Carries out one line and gives the reply.
    pub(crate) async fn command(&mut self, line: &str) -> Result<String, Halt> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some(PROTOCOL) {
            return Ok(usage());
        }
        let verb = words.next().unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        match (verb, arguments.as_slice()) {
            ("pin", []) => Ok(format!("ok {}", self.pins.pin())),
            ("unpin", [id]) => Ok(self.unpin(id)),
            ("compact", arguments) => self.compact(arguments).await,
            ("release-clock", []) => self.release_clock().await,
            (holds::VERB, arguments) => self.hold_command(arguments).await,
            _ => Ok(usage()),
        }
    }

    /// Answers those commands in the queue that take no time, also in the middle of long work: those that change nothing, and
    /// those on holds, whose readers should not wait for a merge.
    pub(crate) async fn answer_questions(&mut self) -> Result<(), Halt> {
        let asks = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let first = [words.next(), words.next(), words.next()];
            matches!(
                first,
                [Some(PROTOCOL), Some("ping" | "status"), None]
                    | [Some(PROTOCOL), Some(holds::VERB), _]
            )
        };
        while let Some(at) = self.commands.iter().position(|(_, line)| asks(line)) {
            let Some((id, line)) = self.commands.remove(at) else {
                return Ok(());
            };
            let mut words = line.split_ascii_whitespace().skip(1);
            let text = match words.next() {
                Some("status") => self.status().await?,
                Some(holds::VERB) => self.hold_command(&words.collect::<Vec<_>>()).await?,
                _ => "ok".to_string(),
            };
            self.store.port.put(KeeperOp::Reply { id, text });
        }
        Ok(())
    }

    fn unpin(&mut self, id: &str) -> String {
        match id.parse::<u64>() {
            Ok(id) if self.pins.held.remove(&id) => "ok".to_string(),
            _ => format!("error no pin {id}"),
        }
    }

    /// One JSON object.
    async fn status(&mut self) -> Result<String, Halt> {
        let room = self.room().await?;
        let bytes = self.segment_bytes();
        let (deletable_bytes, unsealed_bytes) = (bytes.deletable, bytes.unsealed);
        let manifest = &self.store.manifest;
        let segments = manifest.segments_count();
        let entries: u64 = manifest.slices.iter().map(|slice| slice.entries).sum();
        let state = match (self.stop.is_asked(), self.over_memory) {
            (true, _) => "draining",
            (false, Some(_)) => "short_of_memory",
            (false, None) => "serving",
        };
        let shortage = match self.space.low {
            None => "null",
            Some(Shortage::Disk) => "\"disk\"",
            Some(Shortage::Cap) => "\"cap\"",
            Some(Shortage::Refused) => "\"refused\"",
            Some(Shortage::Descriptors) => "\"descriptors\"",
            Some(Shortage::Segments) => "\"segments\"",
        };
        let now_s = self.store.expiry_now_s();
        let horizon_s = match self.horizon.age_s(now_s) {
            None => "null".to_string(),
            Some(age_s) => age_s.to_string(),
        };
        Ok(format!(
            "ok {{\"state\":\"{state}\",\"start\":{},\"generation\":{},\"shards\":{},\"logs\":{},\"segments\":{segments},\"preallocated\":{},\
             \"slices\":{},\"slice_memory_bytes\":{},\"slice_memory_bytes_max\":{},\"manifest_bytes\":{},\"manifest_bytes_max\":{},\"orphan_bytes\":{},\"sealed_decisions\":{entries},\"unsealed_bytes\":{unsealed_bytes},\"deletable_bytes\":{deletable_bytes},\
             \"damaged_logs\":{},\"expiry_clock_s\":{now_s},\"withheld_s\":{},\"horizon_s\":{horizon_s},\"horizon_s_max\":{},\"dedup_memory_bytes_max\":{},\
             \"dedup_memory_bytes_needed\":{},\"pins\":{},\"holds\":{},\"hold_limit\":\"{}\",\"held_bytes\":{},\"released_ranges\":{},\"space_low\":{},\"shortage\":{shortage},\"free_bytes\":{},\
             \"reserve_bytes\":{},\"used_bytes\":{},\"cap_bytes\":{},\"total_bytes\":{}}}",
            manifest.start,
            manifest.generation,
            self.shards.len(),
            manifest.logs.len(),
            self.store.preallocated_count(),
            manifest.slices.len(),
            self.slices_memory_bytes(),
            slices_bytes_max(&self.store).unwrap_or(0),
            manifest.encoded_bytes(),
            self.store.config.manifest_bytes_max,
            self.orphan_bytes(),
            self.sealing
                .blocked
                .values()
                .filter(|it| it.is_damage())
                .count(),
            manifest.withheld_s,
            self.store.config.body_age_max_s,
            self.store.config.dedup_memory_bytes_max,
            self.over_memory
                .as_ref()
                .map_or(0, |short| short.needed_bytes),
            self.pins.held.len(),
            manifest.sections.holds.len(),
            self.store.config.hold_limit.name(),
            self.holds.held_bytes,
            manifest.sections.released.len(),
            self.space.low.is_some(),
            room.free_bytes,
            room.reserve_bytes,
            room.used_bytes,
            room.cap_bytes,
            room.total_bytes,
        ))
    }

    /// Seals, deletes closed segments older than asked (the configured age if not), and packs what is left; or reports what that
    /// would free.
    async fn compact(&mut self, arguments: &[&str]) -> Result<String, Halt> {
        let mut age_s = self.store.config.body_age_max_s;
        let mut dry = false;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "--dry-run" => dry = true,
                "--older-than" => match rest.next().and_then(|text| text.parse().ok()) {
                    Some(seconds) => age_s = seconds,
                    None => return Ok(usage()),
                },
                _ => return Ok(usage()),
            }
        }
        if self.pins.any() && !dry {
            return Ok("error something is pinned: unpin it first".to_string());
        }
        if !dry && !self.stop.is_asked() {
            self.sealing.repeat_at_us = None; // it takes what is in use, too
            self.seal().await?;
            self.await_switched().await?;
        }
        let second = (self.store.expiry_now_s() + 1).saturating_sub(age_s);
        let wanted = Deletion::OlderThan(second);
        if self.space.delete_due.is_some() {
            self.space.delete_due = Some(Due::AtOnce);
        }
        let (deleted, kept, packed) = match dry {
            true => {
                let would = self.would_delete(wanted).await?;
                let packed = self.would_repack(&would.files).await?;
                (would.deleted, would.kept, packed)
            }
            false => {
                let (deleted, kept) = self.delete(wanted).await?;
                (deleted, kept, self.repack_all().await?)
            }
        };
        Ok(format!(
            "ok {{\"dry_run\":{dry},\"segments\":{},\"bytes\":{},\"held_segments\":{},\"held_bytes\":{},\"packed_segments\":{},\"saved_bytes\":{}}}",
            deleted.segments,
            deleted.bytes,
            kept.segments,
            kept.bytes,
            packed.segments,
            packed.saved_bytes
        ))
    }

    /// Lets withheld time count. It is durable before it is sent to any shard.
    async fn release_clock(&mut self) -> Result<String, Halt> {
        let released_s = self.store.manifest.withheld_s;
        let mut next = self.store.draft();
        let step_s = u32::try_from(released_s).unwrap_or(u32::MAX);
        next.clock.expiry_s = next.clock.expiry_s.saturating_add(step_s);
        // The operator states with this command that the wall clock is right as it is.
        next.clock.wall_us = self.store.now().wall_us;
        next.withheld_s = 0;
        match self.store.replace(next).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => return Ok(format!("error {halt}")),
            Err(not) => return Err(not.into()),
        }
        // The clock ran on while the manifest was replaced: only its base moves.
        self.store.clock = ExpiryClock {
            base_s: self.store.clock.base_s.saturating_add(step_s),
            ..self.store.clock
        };
        self.send_all(|| ToShard::Clock(self.store.clock));
        Ok(format!("ok {{\"released_s\":{released_s}}}"))
    }
}
