//! Batches of clients: in some seeds records are sent several at a time, one a line, with empty lines between them or not, in
//! chunks or not. Each line of an answer is judged as the answer to a submit. Their chances are their own, so that
//! a seed without batches is the life that it was before there were any.

use super::answers::{Asked, AskedBatch};
use super::clients::{Wanted, tenant_header};
use super::count::Count;
use super::dice::Dice;
use super::oracle::{Property, SeenAnswer};
use super::records::{self, Kind, tenant_of};
use super::world::World;
use crate::shard::config::ShardLimits;
use crate::sim_trace;

/// Records of a batch at most.
const RECORDS_MAX: u64 = 14;

/// How clients batch.
#[derive(Debug)]
pub struct Batches {
    dice: Dice,
    is_on: bool,
}

impl Batches {
    /// What a seed does, with memory for the answers of any number of batches or of few.
    pub fn draw(seed: u64, limits: &mut ShardLimits) -> Batches {
        let mut dice = Dice::new(seed.rotate_left(32) ^ 0xb47c);
        let is_on = dice.chance(2500);
        if is_on {
            limits.batch_reply_bytes_max = dice.pick(&[1, 20_000, limits.batch_reply_bytes_max]);
            let total_bytes = limits.batch_reply_bytes_total_max;
            limits.batch_reply_bytes_total_max = dice.pick(&[40_000, 100_000, total_bytes]);
        }
        Batches { dice, is_on }
    }
}

impl World {
    /// Whether a client sends a batch next.
    pub fn batches_next(&mut self) -> bool {
        self.batches.is_on && self.batches.dice.chance(5000)
    }

    /// A client sends a batch of what it wants next; `None`: it wants nothing. Whether its connection goes on.
    pub fn sends_batch(&mut self, client: usize, conn: u64) -> Option<bool> {
        let wanted = self.wanted_for_batch()?;
        self.note_settled();
        let dice = &mut self.batches.dice;
        let (end, empty_lines) = (dice.pick(&["\n", "\r\n"]), dice.pick(&[0, 0, 1, 2]));
        let chunk_bytes = dice.chance(2000).then(|| dice.pick(&[1_usize, 50, 3_000]));
        let ends_with_line_end = dice.chance(5000);
        let mut body = Vec::new();
        let mut first = None;
        for (Wanted { key, kind, shape }, at) in wanted.iter().copied().zip(0..) {
            self.look_ups.sends(key);
            let serial = self.oracle.sends(key, kind, shape);
            sim_trace!(
                self.now_us(),
                "client {client} asks {serial}: id {key}, {kind:?}, {shape:?}, in a batch on connection {conn}"
            );
            first.get_or_insert(serial);
            let record = records::body(key, kind, shape, serial);
            self.count_size(record.len());
            let before = usize::from(at > 0) + empty_lines as usize;
            body.extend_from_slice(end.repeat(before).as_bytes());
            body.extend_from_slice(&record);
        }
        if ends_with_line_end {
            body.extend_from_slice(end.as_bytes());
        }
        let asked = AskedBatch {
            first: first?,
            count: wanted.len() as u64,
            empty_lines,
        };
        self.counts.one(Count::Batches);
        self.asks(client, conn, Asked::Batch(asked));
        let bytes = request(wanted[0].key, &body, chunk_bytes);
        Some(self.sends_or_cuts(client, conn, &bytes))
    }

    /// Records of one tenant that fit a batch. What does not is wanted later.
    fn wanted_for_batch(&mut self) -> Option<Vec<Wanted>> {
        let limits = self.scenario.limits;
        let room_bytes = limits
            .http
            .batch_bytes_max
            .min(limits.body_bytes_total_max as u64)
            / 2;
        let count = self.batches.dice.between(1, RECORDS_MAX);
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut bytes = 0;
        for _ in 0..count {
            let Some(next) = self.next_request() else {
                break;
            };
            let tenant = wanted.first().map_or(next.key, |first| first.key);
            let next_bytes = u64::from(next.shape.bytes) + 2_000;
            let fits = next.kind != Kind::Empty
                && tenant_of(tenant) == tenant_of(next.key)
                && bytes + next_bytes <= room_bytes;
            match fits {
                true => wanted.push(next),
                false => self.wants_later(next),
            }
            bytes += next_bytes;
        }
        (!wanted.is_empty()).then_some(wanted)
    }

    /// The answer to a batch leaves the gateway.
    pub fn judge_batch(&mut self, asked: AskedBatch, answer: &SeenAnswer) {
        let Some(answers) = asked.answers(answer) else {
            let how = format!("the answer to {asked:?} has other lines: {answer:?}");
            return self.fail(Property::ReplyOrder, how);
        };
        for (serial, answer) in asked.serials().zip(&answers) {
            self.judge_answer(serial, answer);
        }
    }

    /// A client reads the answer to a batch.
    pub fn reads_batch(&mut self, client: usize, asked: AskedBatch, answer: &SeenAnswer) {
        // One with other lines has been judged when it left.
        for (serial, answer) in asked
            .serials()
            .zip(asked.answers(answer).unwrap_or_default())
        {
            self.reads_submit(client, serial, &answer);
        }
    }
}

fn request(key: u32, body: &[u8], chunk_bytes: Option<usize>) -> Vec<u8> {
    let mut head = format!(
        "POST /v1/pcs/batch HTTP/1.1\r\nHost: sim\r\nContent-Type: application/x-ndjson\r\n{}",
        tenant_header(key)
    );
    let Some(chunk_bytes) = chunk_bytes else {
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), body].concat();
    };
    head += "Transfer-Encoding: chunked\r\n\r\n";
    let mut bytes = head.into_bytes();
    for chunk in body.chunks(chunk_bytes) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::oracle::Dedup;

    fn answer(status: u16, body: &str) -> SeenAnswer {
        SeenAnswer {
            status,
            dedup: None,
            body: body.to_string(),
        }
    }

    #[test]
    fn an_answer_is_cut_into_its_lines_and_another_number_of_lines_is_none() {
        let asked = AskedBatch {
            first: 7,
            count: 2,
            empty_lines: 1,
        };
        let text = "{\"line\":2,\"status\":202,\"dedup\":\"hit\",\"outcome\":{\"a\":1}}\n{\"line\":4,\"status\":429,\"retry_after\":1,\"problem\":{\"b\":2}}\n";
        let answers = asked.answers(&answer(200, text)).unwrap();
        let hit = SeenAnswer {
            dedup: Some(Dedup::Hit),
            ..answer(202, "{\"a\":1}")
        };
        assert_eq!(answers, [hit, answer(429, "{\"b\":2}")]);
        let (first_line, _) = text.split_at(text.find('\n').unwrap() + 1);
        for wrong in [
            "",
            first_line,
            &text.replace("\"line\":4", "\"line\":3"),
            &text.repeat(2),
        ] {
            assert!(asked.answers(&answer(200, wrong)).is_none(), "{wrong}");
        }
        let refused = answer(503, "{}");
        assert_eq!(asked.answers(&refused).unwrap(), [refused.clone(), refused]);
    }
}
