//! Writes down what shards do, line by line: what each client is sent, what is written to the log and what it says, every
//! message, and when the next turn is wanted. It judges nothing.

use super::room::BEGIN_US;
use crate::dedup::protocol::{ToOwner, ToReceiver};
use crate::event::{ConnId, Next, Op, Outbox};
use crate::io::Now;
use crate::mesh::Message;
use crate::mesh::keeper::ToKeeper;
use crate::stats::Stats;
use crate::stats::exposition::{Format, render};
use crate::wal::batch::read_batch;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::name::{ClosedSegment, Place};
use crate::wal::record::{Content, Entry};
use crate::wal::segment::SegmentHeader;

/// What shards did.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    at_us: u64,
    lines: flk_testkit::Transcript,
}

impl Transcript {
    pub(super) fn text(&self) -> String {
        self.lines.text()
    }

    pub(super) fn say(&mut self, text: String) {
        self.lines.line(self.at_us, text);
    }

    /// The metrics that are not 0.
    pub(super) fn metrics(&mut self, stats: &Stats) {
        let mut page = String::new();
        render(&stats.parts(), Format::Prometheus, &mut page);
        let wanted = |line: &&str| {
            let is_detail =
                line.starts_with('#') || line.contains("_bucket{") || line.contains("_info{");
            !is_detail && !line.ends_with(" 0")
        };
        for line in page.lines().filter(wanted) {
            self.say(line.to_string());
        }
    }

    /// A turn is over.
    pub(super) fn turn(&mut self, shard: usize, now: Now, outbox: &Outbox, next: Next) {
        self.at_us = now.mono_us - BEGIN_US;
        for op in &outbox.ops {
            let text = op_text(op, &outbox.bytes);
            self.say(format!("{shard} {text}"));
        }
        self.say(match next {
            Next::Now => format!("{shard} goes on"),
            Next::At(at_us) => {
                let in_us = at_us.saturating_sub(now.mono_us);
                format!("{shard} waits for {in_us} us")
            }
        });
    }
}

fn name(conn: &ConnId) -> String {
    format!("client {}.{}", conn.slot, conn.generation)
}

fn op_text(op: &Op, bytes: &[u8]) -> String {
    match op {
        Op::Send(conn, range) => {
            let text = String::from_utf8_lossy(&bytes[range.clone()]);
            format!("{} <- {}", name(conn), text.replace("\r\n", " | "))
        }
        Op::PauseRead(conn) => format!("{} is not read", name(conn)),
        Op::ResumeRead(conn) => format!("{} is read again", name(conn)),
        Op::Shutdown(conn) => format!("{} <- FIN", name(conn)),
        Op::Close(conn) => format!("{} is closed", name(conn)),
        Op::PauseAccept => "accepts no more".to_string(),
        Op::ResumeAccept => "accepts again".to_string(),
        Op::CloseListener => "closes the listener".to_string(),
        Op::Write {
            file,
            offset,
            blocks,
        } => format!("writes {} at {offset}: {}", file.0, batch(blocks.bytes())),
        Op::Sync(file) => format!("syncs {}", file.0),
        Op::Read { file, offset, .. } => format!("reads {} at {offset}", file.0),
        Op::Message(to, message) => format!("-> {}: {}", to.0, message_text(message)),
        Op::Keeper(message) => format!("-> keeper: {}", to_keeper(message)),
        Op::Stop(failure) => format!("stops the process: {failure:?}"),
    }
}

/// What a write holds.
fn batch(bytes: &[u8]) -> String {
    let lead = SegmentHeader::decode(bytes).ok();
    let start = if lead.is_some() { BLOCK_BYTES } else { 0 };
    let batch = read_batch(&bytes[start..]).expect("a whole batch");
    let fields = &batch.header.fields;
    let mut text = String::new();
    if let Some((header, _)) = lead {
        let after = header.predecessor.map(|it| it.ends_after.to_string());
        let after = after.unwrap_or_default();
        text += &format!("segment {} after {after:?}, ", header.ordinal);
    }
    text += &format!(
        "batch {} of {} bytes, clock {} s, durable {}, resolved {}:",
        fields.sequence,
        batch.header.bytes(),
        fields.expiry_clock_s,
        fields.durable_upto,
        fields.resolved_upto
    );
    for record in batch.records() {
        text += " ";
        text += &match record.expect("a whole record").content {
            Content::Body(body) => {
                let bytes = batch.body(&body).map_or(0, <[u8]>::len);
                format!("body of {bytes}")
            }
            Content::Entry(Entry::Decision(it)) => format!(
                "decision for {} from {} to {}, reason {}, regime {}, of {:?}",
                place(it.body),
                it.decided_at,
                it.expiry,
                it.reason,
                it.regime,
                it.numbers
            ),
            Content::Entry(Entry::Refused(it)) => {
                format!("refused {} {} for {}", it.status, it.code, place(it.body))
            }
            Content::Entry(Entry::Duplicate(of)) => format!("duplicate for {}", place(of)),
            Content::Entry(Entry::Conflict(of)) => format!("conflict for {}", place(of)),
            Content::Entry(Entry::Unanswered(of)) => format!("unanswered {}", place(of)),
            other => format!("{other:?}"),
        };
    }
    text
}

fn to_keeper(message: &ToKeeper) -> String {
    match message {
        ToKeeper::Entered(it) => format!(
            "entered segment {} of log {}, durable {}, {:?}, closed {}",
            it.ordinal,
            it.log,
            it.durable,
            it.epoch,
            closed(it.closed)
        ),
        ToKeeper::Resolved { log, upto } => format!("log {log} is resolved up to {upto}"),
        ToKeeper::Finished { log, closed: it } => {
            format!("log {log} is finished, closed {}", closed(*it))
        }
        other => format!("{other:?}"),
    }
}

fn closed(closed: Option<ClosedSegment>) -> String {
    closed.map_or("none".to_string(), |it| {
        let (first, last) = (it.first, it.last);
        format!("{} with {first}–{last} in {} bytes", it.ordinal, it.bytes)
    })
}

fn place(place: Place) -> String {
    format!("{}/{}", place.sequence, place.index)
}

fn message_text(message: &Message) -> String {
    match message {
        Message::ToOwner(ToOwner::Claim { ticket, .. }) => format!("claims for {ticket:?}"),
        Message::ToOwner(ToOwner::Withdraw { ticket, .. }) => format!("withdraws {ticket:?}"),
        Message::ToOwner(ToOwner::Durable { ticket, epoch, .. }) => {
            format!("durable {ticket:?} in {epoch:?}")
        }
        Message::ToReceiver(ToReceiver::Won {
            ticket,
            decided_at,
            expiry,
        }) => format!("won {ticket:?} from {decided_at} to {expiry}"),
        other => {
            let text = format!("{other:?}");
            text.chars().take(160).collect()
        }
    }
}
