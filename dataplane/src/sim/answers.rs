//! Answers as they leave the gateway: cut out of the bytes of a connection, matched with what was asked on it, and judged
//! at that moment. An answer that has left counts, whether and whenever its client reads it: ids may expire, and the
//! process may end and start, while it is on its way.

use super::count::Count;
use super::oracle::{Dedup, LookUp, Meaning, Property, SeenAnswer};
use super::records::params;
use super::world::World;
use crate::sim_trace;
use std::collections::VecDeque;

/// Codes of answers that a client may repeat.
const RETRY_CODES: [(&str, Count); 7] = [
    ("\"starting\"", Count::Starting503),
    ("\"draining\"", Count::Draining503),
    ("\"wal_unavailable\"", Count::WalUnavailable503),
    ("\"disk_full\"", Count::DiskFull503),
    ("\"dedup_memory_full\"", Count::DedupMemoryFull503),
    ("\"deadline_exceeded\"", Count::Deadline503),
    ("\"store_unavailable\"", Count::Store503),
];

/// What an answer is awaited for.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// A record, by the number of the request.
    Submit(u64),
    /// Many records.
    Batch(AskedBatch),
    /// A stored outcome.
    Look(LookUp),
    /// A service page.
    Page,
}

/// A batch that was asked for: records with numbers in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedBatch {
    /// The first record.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Empty lines before each.
    pub(super) empty_lines: u64,
}

impl AskedBatch {
    /// The numbers of its records.
    pub fn serials(self) -> std::ops::Range<u64> {
        self.first..self.first + self.count
    }

    /// The answer to each record: from its line, or that to the whole batch. `None`: the lines are not those of the batch.
    pub(super) fn answers(self, answer: &SeenAnswer) -> Option<Vec<SeenAnswer>> {
        if answer.status != 200 {
            return Some(vec![answer.clone(); self.count as usize]);
        }
        let lines: Vec<&str> = answer.body.split_terminator('\n').collect();
        let is_all = lines.len() as u64 == self.count;
        let lines = lines.into_iter().zip(1..);
        let parts = lines.map(|(text, at)| line_of(text, at * (1 + self.empty_lines)));
        parts
            .collect::<Option<Vec<SeenAnswer>>>()
            .filter(|_| is_all)
    }
}

/// The answer that a line holds, if it is that line.
fn line_of(text: &str, line: u64) -> Option<SeenAnswer> {
    let rest = text.strip_prefix(&format!("{{\"line\":{line},\"status\":"))?;
    let (status, rest) = rest.split_once(',')?;
    let rest = rest.strip_suffix('}')?;
    let outcomes = [
        ("\"dedup\":\"miss\",\"outcome\":", Dedup::Miss),
        ("\"dedup\":\"hit\",\"outcome\":", Dedup::Hit),
        ("\"dedup\":\"conflict\",\"outcome\":", Dedup::Conflict),
    ];
    let outcome = outcomes
        .iter()
        .find_map(|(open, dedup)| Some((rest.strip_prefix(open)?, *dedup)));
    let (body, dedup) = match outcome {
        Some((body, dedup)) => (body, Some(dedup)),
        None => (rest.split_once("\"problem\":")?.1, None),
    };
    Some(SeenAnswer {
        status: status.parse().ok()?,
        dedup,
        body: body.to_string(),
    })
}

/// What was asked on a connection and has no answer yet, and an answer of which only a part has left.
#[derive(Debug, Default)]
pub struct Exchange {
    asked: VecDeque<Asked>,
    part: Vec<u8>,
}

impl Exchange {
    /// Something is asked.
    pub fn asks(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// Bytes leave: the answers that are whole with them, each with what it answers.
    fn leave(&mut self, bytes: &[u8]) -> Vec<(Option<Asked>, SeenAnswer)> {
        self.part.extend_from_slice(bytes);
        let mut whole = Vec::new();
        while let Some((answer, length)) = parse(&self.part) {
            self.part.drain(..length);
            whole.push((self.asked.pop_front(), answer));
        }
        whole
    }
}

impl World {
    /// Bytes leave the gateway on a connection; the answers that end in them are judged.
    pub fn answers_leave(&mut self, conn: u64, bytes: &[u8]) {
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        for (asked, answer) in found.exchange.leave(bytes) {
            match asked {
                None => self.fail(
                    Property::ReplyOrder,
                    format!("nobody asked on connection {conn} for the answer {answer:?}"),
                ),
                Some(Asked::Page) if matches!(answer.status, 200 | 503) => {}
                Some(Asked::Page) => self.fail(
                    Property::ReplyOrder,
                    format!("a service page was answered {answer:?}"),
                ),
                Some(Asked::Submit(serial)) => self.judge_answer(serial, &answer),
                Some(Asked::Batch(asked)) => self.judge_batch(asked, &answer),
                Some(Asked::Look(asked)) => self.judge_look_up(&asked, &answer),
            }
        }
    }

    /// The answer to a record leaves the gateway.
    pub(super) fn judge_answer(&mut self, serial: u64, answer: &SeenAnswer) {
        sim_trace!(
            self.now_us(),
            "request {serial} is answered {} {:?} {}",
            answer.status,
            answer.dedup,
            answer.body
        );
        let run = self.run;
        let judged = self.oracle.answered(serial, answer, run);
        let Some(meaning) = self.check(judged) else {
            return;
        };
        self.counts.one(match meaning {
            Meaning::First => Count::Misses,
            Meaning::FirstAgain => Count::Expired,
            Meaning::Again => Count::Hits,
            Meaning::Conflict => Count::Conflicts,
            Meaning::Refused if answer.status == 400 => Count::Refused400,
            Meaning::Refused => Count::Refused401,
            Meaning::TooLarge => Count::TooLarge413,
            Meaning::Limited => Count::Limited429,
            Meaning::Retry => Count::Unavailable503,
            Meaning::Found | Meaning::Absent => unreachable!("a record is not looked up"),
        });
        if meaning == Meaning::First && self.is_by_the_other_set(answer) {
            self.counts.one(Count::OtherParams);
        }
        if let Some((_, count)) = RETRY_CODES
            .iter()
            .filter(|_| meaning == Meaning::Retry)
            .find(|(code, _)| answer.body.contains(code))
        {
            self.counts.one(*count);
        }
    }
}

impl World {
    /// Whether another parameter set judged than the one with which the run began.
    fn is_by_the_other_set(&self, answer: &SeenAnswer) -> bool {
        let other = params(1 - self.settings.params).version;
        answer
            .body
            .contains(&format!("\"params_version\":\"{other}\""))
    }
}

/// Reads one whole answer from the beginning of the bytes, and how long it is.
pub fn parse(bytes: &[u8]) -> Option<(SeenAnswer, usize)> {
    let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut dedup = None;
    let mut length = 0;
    for line in lines {
        match line.split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().ok()?,
            Some(("Flk-Dedup", "miss")) => dedup = Some(Dedup::Miss),
            Some(("Flk-Dedup", "hit")) => dedup = Some(Dedup::Hit),
            Some(("Flk-Dedup", "conflict")) => dedup = Some(Dedup::Conflict),
            _ => {}
        }
    }
    let body = bytes.get(head_len..head_len + length)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Some((
        SeenAnswer {
            status,
            dedup,
            body,
        },
        head_len + length,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_where_they_end() {
        let one = "HTTP/1.1 200 OK\r\nFlk-Dedup: hit\r\nContent-Length: 2\r\n\r\n{}";
        let both = format!("{one}HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        let (first, length) = parse(both.as_bytes()).unwrap();
        assert_eq!(
            (first.status, first.dedup, first.body.as_str(), length),
            (200, Some(Dedup::Hit), "{}", one.len())
        );
        let (second, _) = parse(&both.as_bytes()[length..]).unwrap();
        assert_eq!(second.status, 503);
        assert!(
            parse(&both.as_bytes()[..one.len() - 1]).is_none(),
            "an answer that is not whole is none"
        );
    }

    #[test]
    fn an_answer_counts_when_its_last_byte_has_left() {
        let one = "HTTP/1.1 200 OK\r\nFlk-Dedup: miss\r\nContent-Length: 2\r\n\r\n{}";
        let mut exchange = Exchange::default();
        exchange.asks(Asked::Submit(7));
        let (most, last) = one.as_bytes().split_at(one.len() - 1);
        assert!(exchange.leave(most).is_empty());
        let whole = exchange.leave(last);
        assert!(matches!(whole[..], [(Some(Asked::Submit(7)), _)]));
        let (asked, _) = &exchange.leave(one.as_bytes())[0];
        assert!(asked.is_none(), "nobody asked for another one");
    }
}
