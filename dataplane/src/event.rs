//! Events that a shard takes and operations that it returns: the closed sets between [`crate::shard`] and its driver. All
//! that a shard learns about the world is an event, its clocks included; nothing here does IO.

use crate::io::{Errno, FileId, Now, ReadId, ShardId};
use crate::mesh::Message;
use crate::mesh::keeper::{ToKeeper, ToShard};
use crate::snapshot::Limit;
use crate::stats::Trace;
use crate::wal::buffer::Blocks;
use crate::wal::writer::{LogFailure, LogOp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// A connection: the driver's slot, dense from 0, and the slot's generation. After [`Op::Close`] the driver reports
/// nothing more for this id and gives the slot out again under another generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Index into the driver's connection table, below the connection limit.
    pub slot: u32,
    /// Changes each time the slot is given out.
    pub generation: u32,
}

/// Where a client is, as far as shares of a budget go: an IPv4 address, or the first 64 bits of an IPv6 address, for a client
/// has all that follow to itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer(pub u64);

impl From<Ipv4Addr> for Peer {
    fn from(address: Ipv4Addr) -> Peer {
        // Below 2^48 no client's network begins.
        Peer(0xffff << 32 | u64::from(u32::from(address)))
    }
}

impl From<Ipv6Addr> for Peer {
    fn from(address: Ipv6Addr) -> Peer {
        match address.to_ipv4_mapped() {
            Some(address) => Peer::from(address),
            None => Peer((u128::from(address) >> 64) as u64),
        }
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Peer {
        match address {
            IpAddr::V4(address) => Peer::from(address),
            IpAddr::V6(address) => Peer::from(address),
        }
    }
}

/// One thing that happened. Byte ranges index into [`Inbox::bytes`] of the same turn.
#[derive(Debug)]
pub enum Event {
    /// A client connected from this address, or `::` if that is not known; the driver reads from it at once.
    Accepted(ConnId, IpAddr),
    /// Bytes arrived on a connection, in order.
    Received(ConnId, Range<usize>),
    /// The client will send nothing more (FIN); it may still read answers.
    Ended(ConnId),
    /// The connection is of no use any more (reset, write error). The shard answers with [`Op::Close`].
    Broken(ConnId),
    /// That many bytes of earlier [`Op::Send`]s left for the kernel.
    Sent(ConnId, u32),
    /// The one log write in flight ended: the buffer comes back with the number of bytes written or the error.
    Written(Box<Blocks>, Result<u32, Errno>),
    /// The one log sync in flight ended.
    Synced(Result<(), Errno>),
    /// A read of a slice block ended: a full block in [`Inbox::bytes`], or the error.
    ReadDone(ReadId, Result<Range<usize>, Errno>),
    /// After [`Op::CloseListener`]: all connections of the listen queue were reported as accepted before, and no further one
    /// will be.
    ListenerClosed,
    /// A message from a peer shard (never from oneself: those are delivered within the turn).
    Message(ShardId, Message),
    /// A message from the keeper.
    Keeper(ToShard),
}

/// All that happened since the last turn, in order, with the bytes that came with it. Reused from turn to turn.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The events, oldest first. The shard drains them.
    pub events: Vec<Event>,
    /// The bytes that the ranges of `events` index into.
    pub bytes: Vec<u8>,
}

impl Inbox {
    /// Room for a turn's worth of both, so that filling it does not allocate in the steady state.
    pub fn with_capacity(events: usize, bytes: usize) -> Inbox {
        Inbox {
            events: Vec::with_capacity(events),
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Appends bytes and returns where they are.
    pub fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.bytes.clear();
    }
}

/// One thing to do. Byte ranges index into [`Outbox::bytes`] of the same turn; the driver copies what it must keep.
#[derive(Debug)]
pub enum Op {
    /// Queue bytes to a connection, behind what is queued already. Never fails: a dead connection is reported as
    /// [`Event::Broken`]. Progress comes back as [`Event::Sent`].
    Send(ConnId, Range<usize>),
    /// Stop reading from a connection (what was read already may still arrive).
    PauseRead(ConnId),
    /// Read again after [`Op::PauseRead`].
    ResumeRead(ConnId),
    /// Send FIN once all queued bytes have left; reading goes on.
    Shutdown(ConnId),
    /// Release the connection now, whatever is queued.
    Close(ConnId),
    /// Accept no new connections; they wait in the listen queue.
    PauseAccept,
    /// Accept again.
    ResumeAccept,
    /// Accept all connections of the listen queue, paused or not, then close the listening socket for good. The end of it is
    /// [`Event::ListenerClosed`].
    CloseListener,
    /// Write the whole buffer to a segment at a 4 KiB-aligned offset. At most one log write or sync is in flight.
    /// Under [`crate::io::SyncMode::Dsync`] completion means durable; otherwise an [`Op::Sync`] follows.
    Write {
        /// The segment.
        file: FileId,
        /// Byte offset in the file, a multiple of 4,096.
        offset: u64,
        /// What to write; it comes back in [`Event::Written`].
        blocks: Box<Blocks>,
    },
    /// Make completed writes of a segment durable.
    Sync(FileId),
    /// Read one 4 KiB block of a slice.
    Read {
        /// Returned in [`Event::ReadDone`].
        id: ReadId,
        /// The slice.
        file: FileId,
        /// Byte offset in the file, a multiple of 4,096.
        offset: u64,
    },
    /// Send a message to a peer shard. The mesh has room for all that can be in flight, so this never fails.
    Message(ShardId, Message),
    /// Send a message to the keeper.
    Keeper(ToKeeper),
    /// End the process with this exit code: durability can no longer be promised. Nothing after it is carried out.
    Stop(LogFailure),
}

impl From<LogOp> for Op {
    fn from(op: LogOp) -> Op {
        match op {
            LogOp::Write {
                file,
                offset,
                blocks,
            } => Op::Write {
                file,
                offset,
                blocks,
            },
            LogOp::Sync(file) => Op::Sync(file),
            LogOp::Entered(entered) => Op::Keeper(ToKeeper::Entered(entered)),
            LogOp::Epoch(begun) => Op::Keeper(ToKeeper::Epoch(begun)),
            LogOp::Fail(failure) => Op::Stop(failure),
        }
    }
}

/// What to do after a turn, in order, with the bytes to send. Reused from turn to turn.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The operations, in order. The driver drains them.
    pub ops: Vec<Op>,
    /// The bytes that the ranges of `ops` index into.
    pub bytes: Vec<u8>,
}

impl Outbox {
    /// Room for a turn's worth of both.
    pub fn with_capacity(ops: usize, bytes: usize) -> Outbox {
        Outbox {
            ops: Vec::with_capacity(ops),
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.bytes.clear();
    }
}

/// When the shard wants its next turn, if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: work is left over.
    Now,
    /// At this monotonic time in microseconds, or earlier if an event arrives.
    At(u64),
}

/// What a shard may ask of its driver within a turn. Nothing that it returns but `charge` reaches the shard's state.
pub trait Driver {
    /// Called at each stage border, for timings.
    fn probe(&mut self, _stage: Stage) {}
    /// The record that is judged next is traced in this slot: the stages up to [`Stage::Claim`] are its.
    fn judges_traced(&mut self, _slot: u16) {}
    /// The trace in this slot is complete.
    fn traced(&mut self, _slot: u16, _trace: &Trace) {}
    /// Takes units from a bucket of the process. A limit of 0 per second grants everything.
    fn charge(&mut self, limit: Limit, ask: Ask, now: Now) -> Granted;
}

/// What is taken from a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// As many units as there are, up to this.
    UpTo(u64),
    /// All of this if anything is left, and else nothing: what is more than there is is owed. 0 only looks.
    Whole(u64),
    /// All of this, whatever is left.
    Owed(u64),
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Units.
    pub count: u64,
    /// When there is a unit again, if there were too few; else 0.
    pub retry_after_us: u64,
}

impl Granted {
    /// Everything.
    pub fn all(ask: Ask) -> Granted {
        let (Ask::UpTo(count) | Ask::Whole(count) | Ask::Owed(count)) = ask;
        Granted {
            count,
            retry_after_us: 0,
        }
    }
}

/// The stages of a turn, in order; names for [`Driver::probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Events are applied to connections, log and claims.
    Collect,
    /// The durable prefix moved: owners are notified of durable decisions.
    Durable,
    /// Requests are cut out of connection bytes.
    Frame,
    /// Bodies are appended to the open batch.
    Append,
    /// A record is parsed. This stage and the three behind it follow each other for one record after the other.
    Parse,
    /// Its signature is checked.
    Signature,
    /// Its identity is checked, and it is verified.
    Verify,
    /// It claims its key, or is refused.
    Claim,
    /// Claims are answered and decisions appended.
    Decide,
    /// The open batch is handed to the driver.
    Commit,
    /// Answers leave in connection order.
    Reply,
    /// What no answer waits for.
    Background,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 12] = [
        Stage::Collect,
        Stage::Durable,
        Stage::Frame,
        Stage::Append,
        Stage::Parse,
        Stage::Signature,
        Stage::Verify,
        Stage::Claim,
        Stage::Decide,
        Stage::Commit,
        Stage::Reply,
        Stage::Background,
    ];

    /// Its name in lines and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Collect => "collect",
            Stage::Durable => "durable",
            Stage::Frame => "frame",
            Stage::Append => "append",
            Stage::Parse => "parse",
            Stage::Signature => "signature",
            Stage::Verify => "verify",
            Stage::Claim => "claim",
            Stage::Decide => "decide",
            Stage::Commit => "commit",
            Stage::Reply => "reply",
            Stage::Background => "background",
        }
    }

    /// The stage of this number.
    pub fn numbered(number: u8) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| *stage as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_or_the_network_of_one() {
        let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }
}
