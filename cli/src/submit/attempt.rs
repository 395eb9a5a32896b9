//! What becomes of a record after an attempt: what its answer means, whether it is tried again, and when.

use crate::submit::client::{NoReply, Reply};
use crate::submit::meaning::Meaning;
use crate::submit::report::{Sent, Word};
use crate::submit::retry::Retry;
use crate::submit::shared::Shared;
use crate::submit::stop::Why;
use hyper::body::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// The result of a record that no gateway takes.
pub(super) fn too_long(line: u64, bytes_count: u64) -> Sent {
    Sent {
        word: Word::Refused,
        why: Some(format!(
            "body_too_large: {bytes_count} bytes, and no gateway takes more than 1 MiB; it was not sent"
        )),
        ..Sent::nothing(line)
    }
}

/// Notes what an answer means; the pause before the next attempt, if there is to be one.
pub(super) fn judge(
    shared: &Shared,
    sent: &mut Sent,
    reply: Reply,
    body: &Bytes,
    give_up: Instant,
) -> Option<Duration> {
    sent.requests += 1;
    let meaning = Meaning::of(&reply, body);
    let (status, retry_after_s) = (reply.status, reply.retry_after_s);
    sent.reply = Some(reply);
    sent.why = None;
    sent.word = match meaning {
        Meaning::Accepted => Word::Accepted,
        Meaning::Escalated => Word::Escalated,
        Meaning::Refused => Word::Refused,
        Meaning::NotAGateway(why) => {
            sent.why = Some(format!("not a gateway: {why}"));
            sent.word = Word::NoAnswer;
            shared.stop.begin(Why::NotAGateway(why));
            return None;
        }
        Meaning::Limited => return put_off(shared, sent, retry_after_s, give_up),
        Meaning::Unknown => {
            sent.word = Word::NoAnswer;
            let attempt = sent.attempts();
            let pause = shared
                .plan
                .retry
                .pause(attempt, retry_after_s, fastrand::f64());
            return pause.filter(|_| Retry::may_change(status));
        }
    };
    None
}

/// After a 429 all tasks wait for as long as the gateway asks.
fn put_off(
    shared: &Shared,
    sent: &mut Sent,
    retry_after_s: Option<u64>,
    give_up: Instant,
) -> Option<Duration> {
    sent.put_off += 1;
    sent.word = Word::Limited;
    let asked = Duration::from_secs(retry_after_s.unwrap_or(1));
    let opens = Instant::now().checked_add(asked);
    match opens.filter(|opens| *opens <= give_up) {
        Some(opens) => {
            let later = shared
                .gate
                .get()
                .map_or(opens, |earlier| earlier.max(opens));
            shared.gate.set(Some(later));
            Some(Duration::ZERO)
        }
        None => {
            let wait = crate::args::time_text(shared.plan.wait);
            let asked = asked.as_secs();
            sent.why = Some(format!(
                "the gateway is over its rate and asks to wait {asked} s, which is beyond --wait {wait}"
            ));
            None
        }
    }
}

/// Records that there was no answer. A record counts as not sent if no attempt had a connection.
pub(super) fn no_reply(
    shared: &Shared,
    sent: &mut Sent,
    why: &NoReply,
    may_have_sent: bool,
) -> Option<Duration> {
    sent.requests += 1;
    if may_have_sent || sent.word != Word::NotSent {
        sent.word = Word::NoAnswer;
    }
    sent.reply = None;
    sent.why = Some(why.to_string());
    match why {
        NoReply::Interrupted => None,
        NoReply::NotHttp => {
            let why = "what came back is not HTTP/1.1".to_owned();
            shared.stop.begin(Why::NotAGateway(why));
            None
        }
        _ => {
            let attempt = sent.attempts();
            shared.plan.retry.pause(attempt, None, fastrand::f64())
        }
    }
}
