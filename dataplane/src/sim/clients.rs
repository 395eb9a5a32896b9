//! What clients do: connect, send requests singly or pipelined, give up, cut connections, repeat what was not answered,
//! and read answers in the order in which they asked. They judge nothing: see [`super::answers`].

use super::answers::{Asked, parse};
use super::count::Count;
use super::oracle::{Property, SeenAnswer};
use super::queue::Happening;
use super::records::{self, Kind, Shape, TENANTS, tenant_of};
use super::world::{RunPlace, World};
use crate::sim_trace;
use std::collections::VecDeque;

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which id.
    pub key: u32,
    /// What it is.
    pub kind: Kind,
    /// What is not signed of it.
    pub shape: Shape,
}

/// A client.
#[derive(Debug, Default)]
pub struct Client {
    conn: Option<u64>,
    asked: VecDeque<Asked>,
    incoming: Vec<u8>,
    token: u64,
    give_up_us: u64,
    /// Has sent FIN: it only reads from here on.
    only_reads: bool,
    /// Was told to come back later.
    backs_off: bool,
}

impl World {
    /// Lets a client act after a delay; earlier intentions are forgotten.
    pub fn wake_client(&mut self, client: usize, delay_us: u64) {
        self.clients[client].token += 1;
        let token = self.clients[client].token;
        self.later_anyway(delay_us, Happening::Client(client, token));
    }

    /// A client acts.
    pub fn client_acts(&mut self, client: usize, token: u64) {
        if self.clients[client].token != token {
            return;
        }
        if self.now_us() < self.silent_until_us && !self.calm {
            let rest_us = self.silent_until_us - self.now_us() + self.dice.below(1000);
            return self.wake_client(client, rest_us);
        }
        if self.process.is_none() {
            return self.wake_client(client, 5_000);
        }
        if self.waits_for_ready(client) {
            let delay_us = self.dice.between(500, 50_000);
            return self.wake_client(client, delay_us);
        }
        if !self.clients[client].asked.is_empty() {
            if self.now_us() >= self.clients[client].give_up_us {
                self.client_hangs_up(client);
            }
            let rest_us = self.clients[client]
                .give_up_us
                .saturating_sub(self.now_us())
                .max(1_000);
            return self.wake_client(client, rest_us);
        }
        if std::mem::take(&mut self.clients[client].only_reads) {
            // Everything is answered: the next request needs another connection.
            return self.client_hangs_up(client);
        }
        if self.clients[client].conn.is_none() {
            self.clients[client].conn = self.connect(client);
        }
        let Some(conn) = self.clients[client].conn else {
            let waits = self.calm || self.process.as_ref().is_some_and(|it| it.terminated);
            let delay_us = match waits {
                true => self.dice.between(50_000, 500_000),
                false => self.dice.between(1_000, 20_000),
            };
            return self.wake_client(client, delay_us);
        };
        if self.calm
            && self.unresolved.is_empty()
            && self.probes.is_empty()
            && self.look_ups.are_done()
        {
            // Nothing to do; a connection too many would only disturb a graceful stop.
            return self.wake_client(client, 50_000);
        }
        self.send_burst(client, conn);
        let patience_us = self.dice.between(1_000_000, 8_000_000);
        self.clients[client].give_up_us = self.now_us() + patience_us;
        self.wake_client(client, patience_us);
    }

    /// Most clients stand behind a balancer that asks `/readyz`: they send nothing to a gateway that is not ready.
    fn waits_for_ready(&mut self, client: usize) -> bool {
        let asks_nothing = self.clients[client].asked.is_empty();
        let ready = |process: &super::process::Process| process.recovered;
        let starting = !self.process.as_ref().is_some_and(ready);
        asks_nothing && starting && self.dice.chance(9950)
    }

    fn send_burst(&mut self, client: usize, conn: u64) {
        let count = if self.dice.chance(6000) {
            1
        } else {
            self.dice.between(2, 6)
        };
        for at in 0..count {
            if at > 0 {
                self.counts.one(Count::Pipelined);
            }
            if !self.calm && self.dice.chance(300) {
                let page = self
                    .dice
                    .pick(&["/readyz", "/health", "/livez", "/metrics"]);
                self.client_sends(
                    conn,
                    format!("GET {page} HTTP/1.1\r\nHost: sim\r\n\r\n").as_bytes(),
                );
                self.asks(client, conn, Asked::Page);
                continue;
            }
            if let Some(key) = self.next_look_up() {
                self.sends_look_up(client, conn, key);
                continue;
            }
            if self.batches_next() {
                match self.sends_batch(client, conn) {
                    Some(true) => continue,
                    Some(false) | None => return,
                }
            }
            let Some(Wanted { key, kind, shape }) = self.next_request() else {
                return;
            };
            self.look_ups.sends(key);
            self.note_settled();
            let serial = self.oracle.sends(key, kind, shape);
            let body = records::body(key, kind, shape, serial);
            self.count_size(body.len());
            let head = format!(
                "POST /v1/pcs/submit HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n",
                tenant_header(key),
                body.len()
            );
            let mut bytes = head.into_bytes();
            bytes.extend_from_slice(&body);
            sim_trace!(
                self.now_us(),
                "client {client} asks {serial}: id {key}, {kind:?}, {shape:?}, on connection {conn}"
            );
            self.asks(client, conn, Asked::Submit(serial));
            if !self.sends_or_cuts(client, conn, &bytes) {
                return;
            }
        }
    }

    /// Sends a request, or cuts it and its connection. Whether the connection goes on.
    pub(super) fn sends_or_cuts(&mut self, client: usize, conn: u64, bytes: &[u8]) -> bool {
        if self.calm || !self.dice.chance(self.faults.disconnect) {
            self.client_sends(conn, bytes);
            return true;
        }
        let part = self.dice.between(1, bytes.len() as u64) as usize;
        if part < bytes.len() {
            self.counts.one(Count::PartialRequests);
        }
        self.client_sends(conn, &bytes[..part]);
        match self.dice.below(3) {
            0 => {
                self.clients[client].only_reads = true;
                self.client_fin(conn);
            }
            _ => self.client_hangs_up(client),
        }
        false
    }

    /// What a client does not send now is asked for another time.
    pub(super) fn wants_later(&mut self, wanted: Wanted) {
        self.unresolved.insert(0, wanted);
    }

    pub(super) fn asks(&mut self, client: usize, conn: u64, asked: Asked) {
        self.clients[client].asked.push_back(asked);
        if let Some(found) = self.conns.get_mut(&conn) {
            found.exchange.asks(asked);
        }
    }

    /// What a client wants next.
    pub(super) fn next_request(&mut self) -> Option<Wanted> {
        if self.calm {
            return match self.unresolved.pop() {
                Some(request) => {
                    self.counts.one(Count::Retries);
                    Some(self.resigned(request))
                }
                None => {
                    let probe = self.probes.pop();
                    if probe.is_some() {
                        self.counts.one(Count::Probes);
                    }
                    probe
                }
            };
        }
        if !self.unresolved.is_empty() && self.dice.chance(3500) {
            self.counts.one(Count::Retries);
            let at = self.dice.below(self.unresolved.len() as u64) as usize;
            let again = self.unresolved.swap_remove(at);
            return Some(self.resigned(again));
        }
        let shape = self.draw_shape();
        if let Some((key, times)) = self.hot {
            self.hot = (times > 1).then_some((key, times - 1));
            let kind = Kind::Valid(u8::from(self.dice.chance(1500)));
            return Some(Wanted { key, kind, shape });
        }
        if self.dice.chance(150) {
            self.counts.one(Count::Storms);
            let id = self.dice.below(u64::from(self.scenario.ids)) as u32;
            let key = self.publisher.key_of_any(id);
            self.hot = Some((key, self.dice.between(3, 12) as u32));
        }
        if self.dice.chance(self.scenario.sleeps / 10) {
            let silent_us = self
                .dice
                .between(10_000, self.scenario.sleep_us_max.max(10_001));
            self.counts.one(Count::LongSleeps);
            self.silent_until_us = self.now_us() + silent_us;
            if self.dice.chance(4000) {
                // The end comes in the middle of the silence, when the log has long been idle.
                self.end_at_us = self.now_us() + self.dice.between(silent_us / 2, silent_us);
            }
            sim_trace!(self.now_us(), "clients fall silent for {silent_us} us");
        }
        let key = match self.about_to_expire() {
            Some(key) => key,
            None => {
                let id = self.dice.below(u64::from(self.scenario.ids)) as u32;
                self.publisher.key_of_any(id)
            }
        };
        let kind = match self.dice.below(100) {
            0..=6 => Kind::BadSignature,
            7 => Kind::Empty,
            8..=11 => Kind::Malformed,
            12..=14 => Kind::WrongId,
            15..=22 => Kind::Valid(1),
            _ => Kind::Valid(0),
        };
        Some(Wanted { key, kind, shape })
    }

    /// Mostly by a key that verifies.
    fn draw_shape(&mut self) -> Shape {
        let bodies = self.scenario.body_bytes;
        Shape {
            signer: self.draw_signer(),
            bytes: match bodies.len() {
                1 => bodies[0],
                _ => self.rare.pick(bodies),
            },
        }
    }

    fn draw_signer(&mut self) -> u8 {
        let any = self.scenario.changes && self.rare.chance(1000);
        match self.settings.signers {
            _ if any => self.rare.below(2) as u8,
            [true, true] => self.rare.below(2) as u8,
            [first, _] => u8::from(!first),
        }
    }

    /// A retry, signed by a key of its own.
    fn resigned(&mut self, wanted: Wanted) -> Wanted {
        let signer = self.draw_signer();
        let shape = Shape {
            signer,
            ..wanted.shape
        };
        Wanted { shape, ..wanted }
    }

    /// An id whose outcome ends within the next two seconds: what answers a moment too short or too long is seen there.
    fn about_to_expire(&mut self) -> Option<u32> {
        if self.settings.ttl_s > 120 || !self.rare.chance(2500) {
            return None;
        }
        let ids = self.scenario.ids;
        let from = self.rare.below(u64::from(ids)) as u32;
        let mut some = (0..ids.min(64)).map(|at| (from + at) % ids);
        some.find(|key| {
            let left_us = self.oracle.expires_in_us(*key);
            left_us.is_some_and(|left_us| left_us < 2_000_000)
        })
    }

    pub(super) fn count_size(&mut self, bytes: usize) {
        let limit = self.scenario.limits.http.body_bytes_max as usize;
        if bytes > limit {
            self.counts.one(Count::BodiesTooLarge);
        } else if bytes + 1 >= limit {
            self.counts.one(Count::BodiesAtLimit);
        }
        if bytes > 200_000 {
            self.counts.one(Count::LargeBodies);
        }
    }

    /// A client cuts its connection; what it asked for stays open.
    fn client_hangs_up(&mut self, client: usize) {
        if let Some(conn) = self.clients[client].conn.take() {
            sim_trace!(self.now_us(), "client {client} cuts connection {conn}");
            self.client_resets(conn);
        }
        self.abandon(client);
    }

    /// What was asked and not answered is to be asked again.
    fn abandon(&mut self, client: usize) {
        self.clients[client].incoming.clear();
        self.clients[client].only_reads = false;
        for asked in std::mem::take(&mut self.clients[client].asked) {
            let serials = match asked {
                Asked::Submit(serial) => serial..serial + 1,
                Asked::Batch(asked) => asked.serials(),
                Asked::Look(_) | Asked::Page => continue,
            };
            for serial in serials {
                let again = self.wanted_again(serial);
                self.unresolved.push(again);
            }
        }
        let delay_us = self.dice.between(100, 20_000);
        self.wake_client(client, delay_us);
    }

    fn wanted_again(&self, serial: u64) -> Wanted {
        let request = &self.oracle.requests[serial as usize];
        Wanted {
            key: request.key,
            kind: request.kind,
            shape: request.shape,
        }
    }

    /// The server's bytes have ended.
    pub fn eof_to_client(&mut self, client: usize, conn: u64) {
        if self.clients[client].conn == Some(conn) {
            self.clients[client].conn = None;
            self.abandon(client);
        }
    }

    /// Bytes of answers.
    pub fn bytes_to_client(&mut self, client: usize, conn: u64, bytes: &[u8]) {
        if self.clients[client].conn != Some(conn) {
            return;
        }
        self.clients[client].incoming.extend_from_slice(bytes);
        while let Some((answer, length)) = parse(&self.clients[client].incoming) {
            self.clients[client].incoming.drain(..length);
            self.client_reads(client, &answer);
        }
        if self.clients[client].asked.is_empty() {
            let backs_off = std::mem::take(&mut self.clients[client].backs_off);
            let delay_us = match backs_off && (self.calm || self.dice.chance(2000)) {
                true if self.calm => self.dice.between(100_000, 1_000_000),
                true => self.dice.between(20_000, 200_000),
                false => self.dice.delay_us(300, 30_000, 2500),
            };
            self.wake_client(client, delay_us);
        }
    }

    fn client_reads(&mut self, client: usize, answer: &SeenAnswer) {
        match self.clients[client].asked.pop_front() {
            None => self.fail(
                Property::ReplyOrder,
                format!("client {client} got an answer that it did not ask for: {answer:?}"),
            ),
            Some(Asked::Page) => {}
            Some(Asked::Look(asked)) => self.reads_look_up(&asked, answer),
            Some(Asked::Batch(asked)) => self.reads_batch(client, asked, answer),
            Some(Asked::Submit(serial)) => self.reads_submit(client, serial, answer),
        }
    }

    /// A client reads the answer to a record.
    pub(super) fn reads_submit(&mut self, client: usize, serial: u64, answer: &SeenAnswer) {
        sim_trace!(
            self.now_us(),
            "client {client} reads the answer to {serial}: {}",
            answer.status
        );
        if matches!(answer.status, 429 | 503) {
            self.clients[client].backs_off = true;
            let again = self.wanted_again(serial);
            self.unresolved.insert(0, again);
        }
    }

    /// Faults end, and everything is to be answered; acknowledged records are asked for again.
    pub fn become_calm(&mut self, place: RunPlace) {
        sim_trace!(self.now_us(), "calm");
        self.calm = true;
        self.hot = None;
        self.faults = super::plan::Faults::default();
        self.heal();
        self.publish_the_usual();
        self.disk.total_bytes = self.disk.total_bytes.max(1 << 30);
        self.unpin_all();
        self.drop_holds();
        let alive = self.oracle.alive();
        let signer = u8::from(!self.settings.signers[0]);
        let mut probes: Vec<Wanted> = alive
            .into_iter()
            .map(|(key, told)| Wanted {
                key,
                kind: Kind::Valid(told.variant),
                shape: Shape { signer, bytes: 0 },
            })
            .collect();
        if place == RunPlace::Earlier {
            probes.truncate(8);
        }
        probes.truncate(400);
        self.probes = probes;
        self.looks_all_up();
        for client in 0..self.clients.len() {
            if self.clients[client].asked.is_empty() {
                self.wake_client(client, 100);
            }
        }
    }

    /// Whether everything was answered.
    pub fn is_resolved(&self) -> bool {
        self.unresolved.is_empty()
            && self.probes.is_empty()
            && self.look_ups.are_done()
            && self.clients.iter().all(|client| client.asked.is_empty())
    }

    /// Everything should have been answered long ago.
    pub fn not_resolved(&mut self) {
        let asked: Vec<&Asked> = self
            .clients
            .iter()
            .flat_map(|client| client.asked.iter())
            .collect();
        let how = format!(
            "after 120 s without faults {} requests are unanswered, {} to be repeated ({:?}), {} to be probed",
            asked.len(),
            self.unresolved.len(),
            self.unresolved.first(),
            self.probes.len()
        );
        self.fail(Property::Liveness, how);
    }
}

/// Names the tenant of a key, where it is not the one of requests that name none.
pub(super) fn tenant_header(key: u32) -> String {
    match tenant_of(key) {
        0 => String::new(),
        tenant => format!("X-Tenant-Id: {}\r\n", TENANTS[tenant]),
    }
}
