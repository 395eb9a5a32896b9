//! The true address of a client behind a proxy: what the proxy says in front of the connection and in the head of a request.
//! A word counts only from networks that are trusted. Addresses serve budgets alone: none is logged, counted or answered.

use super::connection::{FrameStep, Phase, Reading, Word};
use super::connections::FIRST_BYTES_US;
use super::{Ingress, config};
use crate::event::Peer;
use crate::http::{ProxyFault, ProxyStatus, forwarded_client, read_proxy_header};
use crate::io::Now;
use config::ProxyProtocol;
use std::net::IpAddr;

impl Ingress {
    /// Decides whether a connection from this address begins with a proxy's header, and whether its word counts.
    pub(super) fn meet(&mut self, slot: u32, address: IpAddr) {
        if self.word_of(address) == Word::Ignored {
            return;
        }
        let connection = self.connections.at(slot);
        connection.word = Word::Counts;
        match self.config.proxies.protocol {
            ProxyProtocol::Off => {}
            ProxyProtocol::Optional | ProxyProtocol::Required => {
                connection.reading = Reading::Preface;
            }
        }
    }

    fn word_of(&self, address: IpAddr) -> Word {
        match self.config.proxies.trusted.contains(address) {
            true => Word::Counts,
            false => Word::Ignored,
        }
    }

    /// Takes the header of a proxy off the front of a connection.
    pub(super) fn frame_preface(&mut self, slot: u32, inbox: &[u8], now: Now) -> FrameStep {
        let is_required = self.config.proxies.protocol == ProxyProtocol::Required;
        let connection = self.connections.at(slot);
        match read_proxy_header(connection.received.pending(inbox)) {
            ProxyStatus::Partial => FrameStep::Enough,
            ProxyStatus::Complete(header) => {
                connection.received.consume(header.header_len);
                if connection.received.pending_bytes() == 0 {
                    // Nothing of the client has come: its first bytes may still be on their way.
                    connection.first_byte_deadline_us = now.mono_us + FIRST_BYTES_US;
                }
                connection.reading = Reading::Head;
                match header.client {
                    Some(address) => self.move_to(slot, address),
                    None => self.stats().proxy_headers.without_address.add(1),
                }
                FrameStep::Again
            }
            ProxyStatus::Absent if is_required => self.break_off(slot, ProxyFault::Missing),
            ProxyStatus::Absent => {
                connection.reading = Reading::Head;
                FrameStep::Again
            }
            ProxyStatus::Malformed => self.break_off(slot, ProxyFault::Malformed),
        }
    }

    /// The client of a connection is at another address than its peer. What it holds is given back in the name of the old
    /// one; the end of the turn takes it again in that of the new one.
    fn move_to(&mut self, slot: u32, address: IpAddr) {
        self.stats().proxy_headers.taken.add(1);
        let word = self.word_of(address);
        let conn = self.connections.at(slot).id;
        self.give_back_memory(conn);
        let connection = self.connections.at(slot);
        connection.peer = Peer::from(address);
        connection.word = word;
        self.wake_budget_waiters();
    }

    /// Ends a connection without an answer: whether its client speaks HTTP is not known.
    fn break_off(&mut self, slot: u32, fault: ProxyFault) -> FrameStep {
        let headers = &self.stats().proxy_headers;
        match fault {
            ProxyFault::Missing => headers.missing.add(1),
            ProxyFault::Malformed => headers.malformed.add(1),
        }
        self.foreign.note_fault(fault);
        let connection = self.connections.at(slot);
        connection.received.consume_all();
        connection.end_request();
        connection.phase = Phase::Closing;
        let conn = connection.id;
        self.due.push(conn);
        FrameStep::Enough
    }

    /// Where the client of a request is, whose head is the first of what is pending.
    pub(super) fn client_of(&mut self, slot: u32, head_len: usize, inbox: &[u8]) -> Peer {
        let connection = self.connections.at(slot);
        if connection.word == Word::Ignored {
            return connection.peer;
        }
        let pending = connection.received.pending(inbox);
        let head = pending.get(..head_len).unwrap_or(pending);
        let client = forwarded_client(head, &self.config.proxies.trusted);
        client.map_or(self.connections.at(slot).peer, Peer::from)
    }
}
