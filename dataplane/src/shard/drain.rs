//! The graceful stop of one shard: readiness fails at once, serving goes on for a while, then listeners close, everything
//! in flight is answered, and the shard notifies the keeper that it is idle. The keeper ends the process when all shards are.

use super::connection::Phase;
use super::{Core, Ingress};
use crate::event::{Op, Outbox};
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;

/// How far a stop is.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// When the stop was asked for.
    since_us: Option<u64>,
    /// When the listener closes.
    closes_us: u64,
    /// Until then an idle connection may ask once more: what its client sends crosses our FIN otherwise.
    lingers_until_us: u64,
    /// The time of the current turn, for [`Drain::is_over`].
    now_us: u64,
    pub(in crate::shard) listener_closed: bool,
    /// All connections of the listen queue have been accepted.
    queue_is_empty: bool,
    /// The last state that the keeper was notified of.
    idle_notified: bool,
    finishing: bool,
    finished: bool,
}

impl Drain {
    /// Whether a stop was asked for.
    pub(in crate::shard) fn is_on(&self) -> bool {
        self.since_us.is_some()
    }

    /// Whether patience with clients that still send is over.
    pub(in crate::shard) fn is_over(&self, patience_us: u64) -> bool {
        self.is_on() && self.now_us >= self.closes_us + patience_us
    }

    /// When there is something to do.
    pub(in crate::shard) fn next_us(&self) -> Option<u64> {
        (self.is_on() && !self.idle_notified).then(|| {
            if self.listener_closed {
                self.now_us + 50_000
            } else {
                self.closes_us
            }
        })
    }
}

impl Ingress {
    /// The first request for a stop begins it; the second ends its delay and the time that idle connections have.
    pub(super) fn begin_drain(&mut self, now: Now) {
        if self.drain.is_on() {
            self.drain.closes_us = self.drain.closes_us.min(now.mono_us);
            self.drain.lingers_until_us = self.drain.lingers_until_us.min(now.mono_us);
            return;
        }
        self.drain.since_us = Some(now.mono_us);
        self.drain.closes_us = now.mono_us + self.config.drain_delay_us;
        self.drain.lingers_until_us = now.mono_us + self.config.limits.drain_linger_us;
    }

    /// The driver has let go of the listener, and no connection will be accepted any more.
    pub(super) fn listener_closed(&mut self) {
        self.drain.queue_is_empty = true;
    }

    /// All shards are idle: the log gets its last mark.
    pub(super) fn finish(&mut self, core: &mut Core) {
        self.drain.finishing = true;
        core.log.mark();
    }

    pub(super) fn progress_drain(&mut self, core: Option<&Core>, now: Now, outbox: &mut Outbox) {
        self.drain.now_us = now.mono_us;
        if !self.drain.is_on() || now.mono_us < self.drain.closes_us {
            return;
        }
        if !self.drain.listener_closed {
            self.drain.listener_closed = true;
            self.accepting = false;
            outbox.ops.push(Op::CloseListener);
        }
        let lingers = now.mono_us < self.drain.lingers_until_us;
        let cut = self.drain.is_over(self.config.limits.drain_patience_us);
        for slot in 0..self.connections.slots() {
            let connection = self.connections.at(slot);
            let conn = connection.id;
            match connection.phase {
                Phase::Open
                    if connection.is_at_rest()
                        && (lingers || now.mono_us < connection.first_byte_deadline_us) => {}
                Phase::Open if connection.is_at_rest() => {
                    connection.phase = Phase::Closing;
                    self.due.push(conn);
                }
                Phase::Open if cut && connection.waits_for_room() => {
                    self.refuse_at_drain(slot, now)
                }
                // Nothing is waited for but the client: for the rest of a request, for it to take its answers, or to close.
                Phase::Open | Phase::Closing | Phase::Lingering { .. }
                    if cut && (connection.owed.is_empty() || connection.unsent_bytes > 0) =>
                {
                    self.drop_connection(conn, outbox)
                }
                _ => {}
            }
        }
        self.notify_keeper(core, outbox);
    }

    fn notify_keeper(&mut self, core: Option<&Core>, outbox: &mut Outbox) {
        let log_is_quiet = core.is_none_or(|core| core.log.is_quiet());
        let no_connections = self.connections.open_count() == 0 && self.drain.queue_is_empty;
        let nothing_in_flight = self.flights.count() == 0 && self.looks.count() == 0;
        let idle = no_connections && nothing_in_flight && log_is_quiet;
        if self.drain.finishing {
            let Some(core) = core else {
                unreachable!("a log that is to end has begun");
            };
            if log_is_quiet && core.log.is_marked() && !self.drain.finished {
                self.drain.finished = true;
                outbox.ops.push(Op::Keeper(ToKeeper::Finished {
                    log: core.begin.log,
                    closed: core.log.in_use(),
                }));
            }
        } else if idle != self.drain.idle_notified {
            self.drain.idle_notified = idle;
            outbox.ops.push(Op::Keeper(ToKeeper::Idle(idle)));
        }
    }
}
