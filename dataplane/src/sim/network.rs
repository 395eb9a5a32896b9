//! Connections between clients and shards: bytes in order both ways, in pieces, late, cut off. It knows no HTTP.

use super::answers::Exchange;
use super::count::Count;
use super::queue::Happening;
use super::world::World;
use crate::event::{ConnId, Event};
use crate::sim_trace;
use std::collections::VecDeque;
use std::net::Ipv6Addr;

/// A place in a shard's connection table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// Grows each time the place is given out.
    pub generation: u32,
    /// The connection in it.
    pub conn: Option<u64>,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// Who opened it.
    pub client: usize,
    /// The shard that accepted it.
    pub shard: u16,
    /// Its name there.
    pub id: ConnId,
    /// When the client's last byte so far arrives: bytes do not overtake each other.
    to_server_us: u64,
    to_client_us: u64,
    paused: bool,
    held: VecDeque<Held>,
    out: VecDeque<u8>,
    /// What was asked on it, and what of the answers has left.
    pub exchange: Exchange,
    draining: bool,
    shut_down: bool,
    broken: bool,
}

#[derive(Debug)]
enum Held {
    Bytes(Vec<u8>),
    Fin,
}

impl World {
    /// Opens a connection to some shard that takes one.
    pub fn connect(&mut self, client: usize) -> Option<u64> {
        let process = self.process.as_mut()?;
        let connections_max = self.scenario.limits.connections_table() as usize;
        let taking: Vec<u16> = (0..process.shards.len() as u16)
            .filter(|shard| {
                let host = &process.shards[usize::from(*shard)];
                // As a driver: its table is as large as the limit, the rest waits in the listen queue.
                let open = host.slots.iter().filter(|slot| slot.conn.is_some()).count();
                host.accepting && host.listening && open < connections_max
            })
            .collect();
        if taking.is_empty() {
            return None;
        }
        let shard = taking[self.dice.below(taking.len() as u64) as usize];
        let host = &mut process.shards[usize::from(shard)];
        let free = host.slots.iter().position(|slot| slot.conn.is_none());
        let at = free.unwrap_or_else(|| {
            host.slots.push(Slot::default());
            host.slots.len() - 1
        });
        self.conns_made += 1;
        let number = self.conns_made;
        let slot = &mut host.slots[at];
        slot.generation += 1;
        slot.conn = Some(number);
        let id = ConnId {
            slot: at as u32,
            generation: slot.generation,
        };
        let conn = Conn {
            client,
            shard,
            id,
            to_server_us: 0,
            to_client_us: 0,
            paused: false,
            held: VecDeque::new(),
            out: VecDeque::new(),
            exchange: Exchange::default(),
            draining: false,
            shut_down: false,
            broken: false,
        };
        self.conns.insert(number, conn);
        // Two clients share an address, as behind a proxy.
        let network = client as u128 / 2;
        let address = Ipv6Addr::from_bits(network << 64);
        self.to_shard(shard, Event::Accepted(id, address.into()));
        Some(number)
    }

    fn conn_of(&self, shard: u16, id: ConnId) -> Option<u64> {
        let host = self.process.as_ref()?.shards.get(usize::from(shard))?;
        let slot = host.slots.get(id.slot as usize)?;
        if slot.generation == id.generation {
            slot.conn
        } else {
            None
        }
    }

    fn toward_server(&mut self, conn: u64, what: Happening) {
        let delay_us = self.dice.delay_us(60, 20_000, 100);
        let mut at_us = self.now_us() + delay_us;
        if let Some(found) = self.conns.get_mut(&conn) {
            at_us = at_us.max(found.to_server_us);
            found.to_server_us = at_us;
        }
        self.at(at_us, Some(self.run), what);
    }

    fn toward_client(&mut self, conn: u64, what: Happening) {
        let delay_us = self.dice.delay_us(60, 20_000, 100);
        let mut at_us = self.now_us() + delay_us;
        if let Some(found) = self.conns.get_mut(&conn) {
            at_us = at_us.max(found.to_client_us);
            found.to_client_us = at_us;
        }
        // What has left the server arrives although the server ends.
        self.at(at_us, None, what);
    }

    /// A client sends bytes, in pieces.
    pub fn client_sends(&mut self, conn: u64, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = if self.dice.chance(8000) {
                rest.len()
            } else {
                self.dice.between(1, rest.len() as u64) as usize
            };
            let (now, later) = rest.split_at(piece);
            self.toward_server(conn, Happening::BytesToServer(conn, now.to_vec()));
            rest = later;
        }
    }

    /// A client will send no more, and reads on.
    pub fn client_fin(&mut self, conn: u64) {
        self.toward_server(conn, Happening::FinToServer(conn));
    }

    /// A client is gone.
    pub fn client_resets(&mut self, conn: u64) {
        self.counts.one(Count::Disconnects);
        self.toward_server(conn, Happening::ResetToServer(conn));
    }

    /// Bytes of a client are there.
    pub fn bytes_to_server(&mut self, conn: u64, bytes: Vec<u8>) {
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        if found.broken {
            return;
        }
        if found.paused || !found.held.is_empty() {
            found.held.push_back(Held::Bytes(bytes));
            return;
        }
        let (shard, id) = (found.shard, found.id);
        sim_trace!(
            self.now_us(),
            "{} bytes to shard {shard} on connection {conn}: {:?}",
            bytes.len(),
            String::from_utf8_lossy(&bytes[..bytes.len().min(24)])
        );
        self.received(shard, id, &bytes);
    }

    /// The end of a client's bytes is there.
    pub fn fin_to_server(&mut self, conn: u64) {
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        if found.broken {
            return;
        }
        if found.paused || !found.held.is_empty() {
            found.held.push_back(Held::Fin);
            return;
        }
        let (shard, id) = (found.shard, found.id);
        self.to_shard(shard, Event::Ended(id));
    }

    /// A client's reset is there.
    pub fn reset_to_server(&mut self, conn: u64) {
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        if std::mem::replace(&mut found.broken, true) {
            return;
        }
        let (shard, id) = (found.shard, found.id);
        self.to_shard(shard, Event::Broken(id));
    }

    /// A shard queues bytes for a client.
    pub fn server_sends(&mut self, shard: u16, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.conn_of(shard, id) else {
            let how = format!("shard {shard} sends to {id:?}, which it closed");
            return self.fail(super::oracle::Property::Assertion, how);
        };
        let delay_us = self.dice.delay_us(10, 5_000, 200);
        if let Some(found) = self.conns.get_mut(&conn) {
            found.out.extend(bytes);
            if !std::mem::replace(&mut found.draining, true) {
                self.later(delay_us, Happening::Drain(conn));
            }
        }
    }

    /// The kernel takes some of the queued bytes.
    pub fn drain(&mut self, conn: u64) {
        let all = self.dice.chance(8000);
        let again_us = self.dice.delay_us(10, 5_000, 200);
        let part = self.dice.next();
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        found.draining = false;
        if found.broken {
            return;
        }
        let queued = found.out.len() as u64;
        let count = if all {
            queued
        } else {
            (part % queued.max(1)) + 1
        }
        .min(queued) as usize;
        let bytes: Vec<u8> = found.out.drain(..count).collect();
        let (shard, id, client, more) =
            (found.shard, found.id, found.client, !found.out.is_empty());
        found.draining = more;
        if more {
            self.later(again_us, Happening::Drain(conn));
        }
        if count > 0 {
            self.answers_leave(conn, &bytes);
            self.to_shard(shard, Event::Sent(id, count as u32));
            self.toward_client(conn, Happening::BytesToClient(client, conn, bytes));
        }
        self.finish_shutdown(conn);
    }

    fn finish_shutdown(&mut self, conn: u64) {
        let Some(found) = self.conns.get(&conn) else {
            return;
        };
        if found.shut_down && found.out.is_empty() {
            let client = found.client;
            self.toward_client(conn, Happening::EofToClient(client, conn));
        }
    }

    /// A shard stops reading.
    pub fn server_pauses(&mut self, shard: u16, id: ConnId) {
        let conn = self.conn_of(shard, id);
        if let Some(found) = conn.and_then(|conn| self.conns.get_mut(&conn)) {
            found.paused = true;
        }
    }

    /// A shard reads on.
    pub fn server_resumes(&mut self, shard: u16, id: ConnId) {
        let Some(conn) = self.conn_of(shard, id) else {
            return;
        };
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        found.paused = false;
        let held = std::mem::take(&mut found.held);
        for one in held {
            match one {
                Held::Bytes(bytes) => self.bytes_to_server(conn, bytes),
                Held::Fin => self.fin_to_server(conn),
            }
        }
    }

    /// A shard sends FIN behind what is queued.
    pub fn server_shuts_down(&mut self, shard: u16, id: ConnId) {
        let Some(conn) = self.conn_of(shard, id) else {
            return;
        };
        if let Some(found) = self.conns.get_mut(&conn) {
            found.shut_down = true;
        }
        self.finish_shutdown(conn);
    }

    /// A shard lets go of a connection.
    pub fn server_closes(&mut self, shard: u16, id: ConnId) {
        let Some(conn) = self.conn_of(shard, id) else {
            let how = format!("shard {shard} closes {id:?} twice");
            return self.fail(super::oracle::Property::Assertion, how);
        };
        sim_trace!(self.now_us(), "shard {shard} closes connection {conn}");
        if let Some(process) = self.process.as_mut() {
            process.shards[usize::from(shard)].slots[id.slot as usize].conn = None;
        }
        if let Some(found) = self.conns.get(&conn) {
            let client = found.client;
            self.toward_client(conn, Happening::EofToClient(client, conn));
        }
        self.conns.remove(&conn);
    }

    /// A shard takes connections, or lets them wait.
    pub fn server_accepts(&mut self, shard: u16, accepting: bool) {
        if let Some(process) = self.process.as_mut() {
            process.shards[usize::from(shard)].accepting = accepting;
        }
    }

    /// The process is gone, and with it every connection.
    pub fn drop_connections(&mut self) {
        let conns: Vec<(u64, usize)> = self
            .conns
            .iter()
            .map(|(number, conn)| (*number, conn.client))
            .collect();
        for (conn, client) in conns {
            self.toward_client(conn, Happening::EofToClient(client, conn));
        }
        self.conns.clear();
    }
}
