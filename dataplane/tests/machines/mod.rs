//! Small machines for the tests of the drivers. Each does one thing and records what it saw.

use flk_dataplane::dedup::protocol::{Ticket, ToReceiver};
use flk_dataplane::driver::Machine;
use flk_dataplane::event::{ConnId, Driver, Event, Inbox, Next, Op, Outbox};
use flk_dataplane::io::{Errno, FileId, Now, ReadId, ShardId};
use flk_dataplane::mesh::Message;
use flk_dataplane::mesh::keeper::{ToKeeper, ToShard};
use flk_dataplane::wal::buffer::Blocks;
use flk_dataplane::wal::writer::LogFailure;
use std::collections::HashMap;

/// More than the socket buffers of both sides hold.
pub(crate) const FLOOD_BYTES: usize = 64 << 20;

fn never() -> Next {
    Next::At(u64::MAX)
}

/// Sends back what it gets. When the client ended and everything has left, it closes.
#[derive(Default)]
pub(crate) struct Echo {
    /// Sent when the client ended.
    pub(crate) farewell: &'static [u8],
    /// Connections are paused when accepted, and resumed when the keeper says `Roll`.
    pub(crate) paused: bool,
    /// Answers the first byte with more than a socket takes and closes at the second.
    pub(crate) floods: bool,
    pub(crate) accepted: Vec<ConnId>,
    /// How many had been accepted when the driver said that the listener is closed.
    pub(crate) accepted_at_close: Option<usize>,
    pub(crate) broken: usize,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) open: HashMap<ConnId, Open>,
}

#[derive(Default)]
pub(crate) struct Open {
    unsent_bytes: u64,
    ended: bool,
    flooded: bool,
}

impl Echo {
    fn send(&mut self, conn: ConnId, bytes: &[u8], outbox: &mut Outbox) {
        let start = outbox.bytes.len();
        outbox.bytes.extend_from_slice(bytes);
        outbox.ops.push(Op::Send(conn, start..outbox.bytes.len()));
        let open = self.open.get_mut(&conn).expect("open");
        open.unsent_bytes += bytes.len() as u64;
    }

    fn close_when_done(&mut self, conn: ConnId, outbox: &mut Outbox) {
        if self.open[&conn].ended && self.open[&conn].unsent_bytes == 0 {
            self.open.remove(&conn);
            outbox.ops.push(Op::Shutdown(conn));
            outbox.ops.push(Op::Close(conn));
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], outbox: &mut Outbox) {
        self.received_bytes += bytes.len() as u64;
        if !self.floods {
            self.send(conn, bytes, outbox);
        } else if self.open[&conn].flooded {
            self.open.remove(&conn);
            outbox.ops.push(Op::Close(conn));
        } else {
            self.open.get_mut(&conn).expect("open").flooded = true;
            self.send(conn, &vec![0; FLOOD_BYTES], outbox);
            outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
        }
    }

    fn keeper_says(&mut self, message: ToShard, outbox: &mut Outbox) {
        match message {
            ToShard::Roll(_) => {
                self.paused = false;
                let resume = self.accepted.iter().map(|&conn| Op::ResumeRead(conn));
                outbox.ops.extend(resume);
            }
            ToShard::SpaceLow(Some(_)) => {
                outbox.ops.push(Op::PauseAccept);
                outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
            }
            ToShard::SpaceLow(None) => outbox.ops.push(Op::ResumeAccept),
            ToShard::Drain => outbox.ops.push(Op::CloseListener),
            ToShard::Finish => {
                let reason = "test".to_owned();
                outbox.ops.push(Op::Stop(LogFailure { code: 74, reason }));
                outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

impl Machine for Echo {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        _: Now,
        _: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        let Inbox { events, bytes } = inbox;
        for event in events.drain(..) {
            match event {
                Event::Accepted(conn, peer) => {
                    assert_eq!(peer, std::net::Ipv4Addr::LOCALHOST);
                    assert!(!self.accepted.contains(&conn), "an id was given out twice");
                    self.accepted.push(conn);
                    self.open.insert(conn, Open::default());
                    if self.paused {
                        outbox.ops.push(Op::PauseRead(conn));
                        outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
                    }
                }
                // Whatever comes for a connection that was closed fails the test in one of these.
                Event::Received(conn, range) => self.received(conn, &bytes[range], outbox),
                Event::Ended(conn) => {
                    let farewell = self.farewell;
                    self.send(conn, farewell, outbox);
                    self.open.get_mut(&conn).expect("open").ended = true;
                    self.close_when_done(conn, outbox);
                }
                Event::Sent(conn, bytes) => {
                    self.sent_bytes += u64::from(bytes);
                    let open = self.open.get_mut(&conn).expect("open");
                    open.unsent_bytes -= u64::from(bytes);
                    self.close_when_done(conn, outbox);
                }
                Event::Broken(conn) => {
                    self.broken += 1;
                    self.open.remove(&conn).expect("open");
                    outbox.ops.push(Op::Close(conn));
                    outbox.ops.push(Op::Keeper(ToKeeper::Idle(false)));
                }
                Event::ListenerClosed => {
                    self.accepted_at_close = Some(self.accepted.len());
                    outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
                }
                Event::Keeper(message) => self.keeper_says(message, outbox),
                other => panic!("unexpected {other:?}"),
            }
        }
        never()
    }
}

/// Asks to be woken once and tells the keeper when it was.
#[derive(Default)]
pub(crate) struct Timer {
    pub(crate) asked_us: u64,
    pub(crate) woken_us: u64,
    pub(crate) turns: u32,
}

impl Machine for Timer {
    fn turn<D: Driver>(&mut self, _: &mut Inbox, now: Now, _: &mut D, outbox: &mut Outbox) -> Next {
        self.turns += 1;
        if self.asked_us == 0 {
            self.asked_us = now.mono_us + 30_000;
        } else if now.mono_us >= self.asked_us && self.woken_us == 0 {
            self.woken_us = now.mono_us;
            outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
        }
        match self.woken_us {
            0 => Next::At(self.asked_us),
            _ => never(),
        }
    }
}

/// Writes two blocks of sevens, syncs, reads them back four ways, and writes to a file that is open for reading only.
pub(crate) struct Files {
    file: FileId,
    for_reading: FileId,
    started: bool,
    pub(crate) written: Vec<Result<u32, Errno>>,
    pub(crate) blocks_back_bytes: Vec<usize>,
    pub(crate) synced: Vec<Result<(), Errno>>,
    pub(crate) read: Vec<(u64, Result<u8, Errno>)>,
}

impl Files {
    pub(crate) fn new(file: FileId, for_reading: FileId) -> Files {
        Files {
            file,
            for_reading,
            started: false,
            written: Vec::new(),
            blocks_back_bytes: Vec::new(),
            synced: Vec::new(),
            read: Vec::new(),
        }
    }
}

impl Machine for Files {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        _: Now,
        _: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        if !self.started {
            self.started = true;
            let mut blocks = Box::<Blocks>::default();
            blocks.reset(8192);
            blocks.bytes_mut().fill(7);
            outbox.ops.push(write(self.file, blocks));
        }
        let Inbox { events, bytes } = inbox;
        for event in events.drain(..) {
            match event {
                Event::Written(blocks, result) => {
                    self.blocks_back_bytes.push(blocks.len());
                    self.written.push(result);
                    if result.is_ok() {
                        outbox.ops.push(Op::Sync(self.file));
                        continue;
                    }
                    for (id, offset) in [(0, 0), (1, 4096), (2, 0), (3, 8192)] {
                        outbox.ops.push(Op::Read {
                            id: ReadId(id),
                            file: self.for_reading,
                            offset,
                        });
                    }
                }
                Event::Synced(result) => {
                    self.synced.push(result);
                    let mut blocks = Box::<Blocks>::default();
                    blocks.reset(8192);
                    outbox.ops.push(write(self.for_reading, blocks));
                }
                Event::ReadDone(ReadId(id), result) => {
                    let value = result.map(|range| {
                        assert_eq!(range.len(), 4096);
                        assert!(bytes[range.clone()].iter().all(|&byte| byte == 7));
                        bytes[range][0]
                    });
                    self.read.push((id, value));
                    if self.read.len() == 4 {
                        outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
                    }
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        never()
    }
}

fn write(file: FileId, blocks: Box<Blocks>) -> Op {
    Op::Write {
        file,
        offset: 0,
        blocks,
    }
}

/// Answers each message of its peer with one, a number of times, sleeping in between.
pub(crate) struct PingPong {
    peer: ShardId,
    serves: bool,
    rounds: u32,
    seen: u32,
}

impl PingPong {
    pub(crate) fn new(peer: ShardId, serves: bool, rounds: u32) -> PingPong {
        PingPong {
            peer,
            serves,
            rounds,
            seen: 0,
        }
    }

    fn ping(&self, outbox: &mut Outbox) {
        let ticket = Ticket {
            slot: self.seen,
            generation: 0,
        };
        let message = Message::ToReceiver(ToReceiver::Withdrawn { ticket });
        outbox.ops.push(Op::Message(self.peer, message));
    }
}

impl Machine for PingPong {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        _: Now,
        _: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        if std::mem::take(&mut self.serves) {
            self.ping(outbox);
        }
        for event in inbox.events.drain(..) {
            let Event::Message(from, _) = event else {
                panic!("unexpected {event:?}")
            };
            assert_eq!(from, self.peer);
            self.seen += 1;
            if self.seen == self.rounds {
                outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
            }
            if self.seen <= self.rounds {
                self.ping(outbox);
            }
        }
        never()
    }
}
