//! What will happen, and when: the queue of the world, and who carries out what comes out of it.

use super::disk::Inode;
use super::world::World;
use crate::event::Event;
use crate::io::Errno;
use crate::keeper::port::{FileOp, KeeperEvent};
use crate::wal::buffer::Blocks;
use std::collections::BTreeMap;

/// Something that will happen.
pub enum Happening {
    /// A shard takes a turn.
    Turn(u16, u64),
    /// The keeper steps.
    KeeperStep,
    /// A log write ends.
    LogWritten {
        /// Whose.
        shard: u16,
        /// Its number in [`super::truth::Truth::writes`].
        write: usize,
        /// The memory.
        blocks: Box<Blocks>,
        /// Bytes that are written, or the error.
        result: Result<u32, Errno>,
    },
    /// A log sync ends.
    LogSynced {
        /// Whose.
        shard: u16,
        /// The segment.
        inode: Inode,
        /// What was written up to here is covered.
        moment: u64,
        /// How it ends.
        result: Result<(), Errno>,
    },
    /// An event for a shard that carries no bytes.
    ToShard(u16, Event),
    /// A block read for a shard.
    SliceRead {
        /// Whose.
        shard: u16,
        /// Its name for it.
        id: crate::io::ReadId,
        /// The slice.
        inode: Inode,
        /// Where.
        offset: u64,
        /// Whether it fails.
        fails: bool,
    },
    /// An event for the keeper.
    ToKeeper(KeeperEvent),
    /// The time that the keeper asked for has come, if its token is still this.
    KeeperTick(u64),
    /// The keeper's file operation ends.
    FileDone(FileOp, Option<Errno>),
    /// A client acts, if its token is still this.
    Client(usize, u64),
    /// Every shard knows that so much withheld time was released.
    ClockReleased(i64),
    /// Bytes reach the server.
    BytesToServer(u64, Vec<u8>),
    /// The client's FIN reaches the server.
    FinToServer(u64),
    /// The client's reset reaches the server.
    ResetToServer(u64),
    /// The kernel takes queued bytes of a connection.
    Drain(u64),
    /// Bytes reach a client.
    BytesToClient(usize, u64, Vec<u8>),
    /// The end of the server's bytes reaches a client.
    EofToClient(usize, u64),
}

/// Something that will happen, its time, and the run that it belongs to; no run: it survives the process.
pub(super) struct Due {
    pub(super) at_us: u64,
    pub(super) run: Option<u32>,
    pub(super) what: Happening,
}

/// All that will happen, in the order of time; at one time, in the order in which it was put in.
#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<(u64, u64), Due>,
    pushed: u64,
}

impl Queue {
    fn push(&mut self, due: Due) {
        self.pushed += 1;
        self.waiting.insert((due.at_us, self.pushed), due);
    }

    /// What happens next.
    pub(super) fn pop(&mut self) -> Option<Due> {
        self.waiting.pop_first().map(|(_, due)| due)
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes out what belongs to any run.
    fn take_of_runs(&mut self) -> impl Iterator<Item = Due> {
        let waiting = std::mem::take(&mut self.waiting);
        let (of_runs, stays): (BTreeMap<_, _>, BTreeMap<_, _>) =
            waiting.into_iter().partition(|(_, due)| due.run.is_some());
        self.waiting = stays;
        of_runs.into_values()
    }
}

impl World {
    /// Lets something happen after a delay, in this run of the process only.
    pub fn later(&mut self, delay_us: u64, what: Happening) {
        self.at(self.now_us().saturating_add(delay_us), Some(self.run), what);
    }

    /// Lets something happen after a delay, whatever becomes of the process.
    pub fn later_anyway(&mut self, delay_us: u64, what: Happening) {
        self.at(self.now_us().saturating_add(delay_us), None, what);
    }

    /// Lets something happen at a time.
    pub fn at(&mut self, at_us: u64, run: Option<u32>, what: Happening) {
        let at_us = at_us.max(self.now_us());
        self.queue.push(Due { at_us, run, what });
    }

    /// What was under way in this run, and happens no more.
    pub fn take_under_way(&mut self) -> Vec<Happening> {
        let run = Some(self.run);
        let gone = self.queue.take_of_runs().filter(|due| due.run == run);
        gone.map(|due| due.what).collect()
    }

    /// It happens now.
    pub(super) fn carry_out(&mut self, what: Happening) {
        match what {
            Happening::Turn(shard, token) => self.turn(shard, token),
            Happening::KeeperStep => self.keeper_step(),
            Happening::LogWritten {
                shard,
                write,
                blocks,
                result,
            } => self.log_written(shard, write, blocks, result),
            Happening::LogSynced {
                shard,
                inode,
                moment,
                result,
            } => self.log_synced(shard, inode, moment, result),
            Happening::ToShard(shard, event) => self.to_shard(shard, event),
            Happening::SliceRead {
                shard,
                id,
                inode,
                offset,
                fails,
            } => self.slice_read(shard, id, inode, offset, fails),
            Happening::ToKeeper(event) => self.to_keeper(event),
            Happening::KeeperTick(token) => self.keeper_tick(token),
            Happening::FileDone(op, error) => self.file_done(op, error),
            Happening::Client(client, token) => self.client_acts(client, token),
            Happening::ClockReleased(by_us) => self.oracle.released(by_us),
            Happening::BytesToServer(conn, bytes) => self.bytes_to_server(conn, bytes),
            Happening::FinToServer(conn) => self.fin_to_server(conn),
            Happening::ResetToServer(conn) => self.reset_to_server(conn),
            Happening::Drain(conn) => self.drain(conn),
            Happening::BytesToClient(client, conn, bytes) => {
                self.bytes_to_client(client, conn, &bytes)
            }
            Happening::EofToClient(client, conn) => self.eof_to_client(client, conn),
        }
    }
}
