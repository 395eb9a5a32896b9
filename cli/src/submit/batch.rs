//! Records sent many at a time, one a line of one request. Each line of the answer becomes the answer to its record, and from
//! there on a record is judged, retried and given up like one that was sent alone. It never decides what an answer means.

use crate::submit::attempt::{judge, no_reply, too_long};
use crate::submit::client::{Connection, NoReply, Reply, Sending};
use crate::submit::meaning::Meaning;
use crate::submit::reader::Item;
use crate::submit::report::{Sent, Word};
use crate::submit::shared::{Shared, pass_gate};
use crate::submit::stop::Why;
use hyper::body::Bytes;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The largest batch that any gateway accepts.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Time for further records to come, so that a batch is not sent nearly empty.
const GATHERS_FOR: Duration = Duration::from_millis(5);
/// How often they are looked for in that time.
const LOOKS_EVERY: Duration = Duration::from_millis(1);

/// A record without its final answer.
struct Open {
    at: usize,
    body: Bytes,
}

/// One line of an answer.
#[derive(serde::Deserialize)]
struct Line<'a> {
    line: u64,
    status: u16,
    dedup: Option<String>,
    retry_after: Option<u64>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

/// Takes further records that are there or come at once, as many as one request takes.
pub(super) async fn gather(shared: &Shared, first: Item) -> Vec<Item> {
    let until = Instant::now() + GATHERS_FOR;
    let mut bytes = bytes_of(&first);
    let mut items = vec![first];
    while items.len() < usize::from(shared.plan.batch) {
        let Some(item) = shared.next() else {
            if Instant::now() >= until || shared.stop.has_begun() {
                break;
            }
            sleep_until(Instant::now() + LOOKS_EVERY).await;
            continue;
        };
        bytes += bytes_of(&item);
        if bytes > BATCH_BYTES_MAX {
            shared.put_back(item);
            break;
        }
        items.push(item);
    }
    items
}

fn bytes_of(item: &Item) -> usize {
    item.body.as_ref().map_or(0, |body| body.len() + 1)
}

/// Sends records until each is answered or given up; their results, in the same order.
pub(super) async fn send_many(
    shared: &Shared,
    connection: &mut Connection,
    items: &[Item],
) -> Vec<Sent> {
    let before = |item: &Item| match item.body {
        Ok(_) => Sent::nothing(item.line),
        Err(bytes_count) => too_long(item.line, bytes_count),
    };
    let mut sent: Vec<Sent> = items.iter().map(before).collect();
    let bodies = items.iter().zip(0..).filter_map(|(item, at)| {
        let body = item.body.as_ref().ok()?.clone();
        Some(Open { at, body })
    });
    let mut open: Vec<Open> = bodies.collect();
    let mut at_once = open.len();
    let give_up = Instant::now() + shared.plan.wait;
    while !open.is_empty() {
        if !pass_gate(shared).await {
            break;
        }
        let count = at_once.clamp(1, open.len());
        let part = &open[..count];
        let sending = Sending::Batch(joined(part));
        let answer = tokio::select! {
            biased;
            answer = connection.send(&sending) => answer,
            () = shared.stop.abandoned() => Err(NoReply::Interrupted),
        };
        if count > 1 && matches!(&answer, Ok(reply) if reply.status == 413) {
            // this gateway takes smaller ones
            at_once = count / 2;
            continue;
        }
        let may_have_sent = connection.may_have_sent();
        let answers = answer.map(|reply| split(shared, reply, count));
        let (mut again, mut pause) = (Vec::new(), Duration::ZERO);
        for (record, at) in open.drain(..count).zip(0..) {
            let of = &mut sent[record.at];
            let next = match &answers {
                Ok(Some(replies)) => judge(shared, of, replies[at].clone(), &record.body, give_up),
                Ok(None) => not_believed(of),
                Err(why) => no_reply(shared, of, why, may_have_sent),
            };
            if let Some(next) = next {
                pause = pause.max(next);
                again.push(record);
            }
        }
        again.append(&mut open);
        open = again;
        tokio::select! {
            biased;
            () = shared.stop.begun() => break,
            () = sleep_until(Instant::now() + pause) => {}
        }
    }
    sent
}

/// What came back is no answer to a batch; why is said once for all.
fn not_believed(sent: &mut Sent) -> Option<Duration> {
    sent.requests += 1;
    sent.word = Word::NoAnswer;
    sent.why = Some("not a gateway that takes batches".to_owned());
    None
}

/// Records one a line. A record over several lines has its line breaks between its members only, where they are white space.
fn joined(records: &[Open]) -> Bytes {
    let mut text = Vec::new();
    for record in records {
        let bytes = record.body.iter();
        text.extend(bytes.map(|&byte| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            }
        }));
        text.push(b'\n');
    }
    text.into()
}

/// The answer to each record; none where no gateway that takes batches answers like this: sending has stopped then.
fn split(shared: &Shared, reply: Reply, count: usize) -> Option<Vec<Reply>> {
    let wrong = |why: String| {
        shared.stop.begin(Why::NotAGateway(why));
        None
    };
    match reply.status {
        200 if reply.content_type == "application/x-ndjson" => match lines(&reply.body, count) {
            Some(replies) => Some(replies),
            None => wrong("the answer to a batch has other lines than the batch".to_owned()),
        },
        404 | 405 => wrong("it takes no batches; send without --batch".to_owned()),
        _ => match Meaning::of(&reply, b"") {
            Meaning::NotAGateway(why) => wrong(why),
            _ => Some(vec![reply; count]),
        },
    }
}

fn lines(body: &[u8], count: usize) -> Option<Vec<Reply>> {
    let text = std::str::from_utf8(body).ok()?;
    let replies = text.split_terminator('\n').zip(1..).map(|(text, at)| {
        let line: Line<'_> = serde_json::from_str(text)
            .ok()
            .filter(|it: &Line<'_>| it.line == at)?;
        let (content_type, body) = match (line.outcome, line.problem) {
            (Some(outcome), None) => ("application/json", outcome),
            (None, Some(problem)) => ("application/problem+json", problem),
            _ => return None,
        };
        Some(Reply {
            status: line.status,
            content_type: content_type.to_owned(),
            dedup: line.dedup,
            retry_after_s: line.retry_after,
            body: body.get().as_bytes().to_vec(),
        })
    });
    let replies: Option<Vec<Reply>> = replies.collect();
    replies.filter(|replies| replies.len() == count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_that_of_each_record_or_not_believed() {
        let text = "{\"line\":1,\"status\":202,\"dedup\":\"hit\",\"outcome\":{\"a\":1.0}}\n{\"line\":2,\"status\":429,\"retry_after\":7,\"problem\":{\"code\":\"x\"}}\n";
        let replies = lines(text.as_bytes(), 2).unwrap();
        assert_eq!((replies[0].status, replies[1].status), (202, 429));
        assert_eq!(replies[0].dedup.as_deref(), Some("hit"));
        assert_eq!(replies[1].retry_after_s, Some(7));
        assert_eq!(replies[0].body, b"{\"a\":1.0}");
        assert_eq!(replies[1].content_type, "application/problem+json");
        for wrong in [
            text.replace("\"line\":2", "\"line\":3"),
            text.replace("\"problem\"", "\"other\""),
            text.repeat(2),
            String::new(),
        ] {
            assert_eq!(lines(wrong.as_bytes(), 2), None, "{wrong}");
        }
    }

    #[test]
    fn a_record_over_several_lines_becomes_one() {
        let body = Bytes::from_static(b"{\r\n \"a\": 1\n}");
        let text = joined(&[Open { at: 0, body }]);
        assert_eq!(&text[..], b"{   \"a\": 1 }\n");
    }
}
