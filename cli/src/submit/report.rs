//! One line, or one JSON object, for the result of a record. It shows answers and never judges them.

use crate::output::{counted, printable};
use crate::submit::client::Reply;
use serde_json::Value;
use serde_json::value::RawValue;

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One line of text.
    Lines,
    /// One JSON object.
    Json,
    /// Not at all.
    Quiet,
}

impl Form {
    /// The text for a record; none where nothing is shown.
    pub(crate) fn of(self, sent: &Sent) -> Option<String> {
        match self {
            Self::Lines => Some(line(sent)),
            Self::Json => Some(json(sent)),
            Self::Quiet => None,
        }
    }
}

/// The result of one record.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its line in the input.
    pub(crate) line: u64,
    /// Requests made, or tried without a connection.
    pub(crate) requests: u32,
    /// How many of them were answered 429.
    pub(crate) put_off: u32,
    pub(crate) word: Word,
    /// The last answer, if there was one.
    pub(crate) reply: Option<Reply>,
    /// A text to show instead of the answer's own.
    pub(crate) why: Option<String>,
}

impl Sent {
    /// Of a record that was not sent yet.
    pub(super) const fn nothing(line: u64) -> Self {
        Self {
            line,
            requests: 0,
            put_off: 0,
            word: Word::NotSent,
            reply: None,
            why: None,
        }
    }

    /// Requests that count as attempts: those answered 429 do not.
    pub(crate) const fn attempts(&self) -> u32 {
        self.requests - self.put_off
    }

    /// The header `Flk-Dedup`, as it came.
    pub(crate) fn dedup(&self) -> Option<&str> {
        self.reply.as_ref()?.dedup.as_deref()
    }
}

/// The result of a record in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Accepted,
    Escalated,
    Refused,
    /// The state of the record is unknown to this program.
    NoAnswer,
    /// Over the rate until `--wait` was over: not stored.
    Limited,
    /// No byte of it was sent.
    NotSent,
}

impl Word {
    pub(crate) const COUNT: usize = 6;

    /// Whether a gateway gave a final answer.
    pub(crate) const fn is_answer(self) -> bool {
        matches!(self, Self::Accepted | Self::Escalated | Self::Refused)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Escalated => "escalated",
            Self::Refused => "refused",
            Self::NoAnswer => "no answer",
            Self::Limited => "over rate",
            Self::NotSent => "not sent",
        }
    }
}

fn line(sent: &Sent) -> String {
    let word = sent.word.as_str();
    let status = match &sent.reply {
        Some(reply) => reply.status.to_string(),
        None => "---".to_owned(),
    };
    let text = match (&sent.why, &sent.reply) {
        (Some(why), _) => printable(why),
        (None, Some(reply)) => answer_text(reply),
        (None, None) => String::new(),
    };
    let again = match (sent.attempts(), sent.put_off) {
        (0 | 1, 0) => String::new(),
        (0 | 1, put_off) => format!("  (put off {})", counted(put_off.into(), "time")),
        (attempts, 0) => format!("  ({attempts} attempts)"),
        (attempts, put_off) => {
            let put_off = counted(put_off.into(), "time");
            format!("  ({attempts} attempts, put off {put_off})")
        }
    };
    let dedup = printable(sent.dedup().unwrap_or("-"));
    format!(
        "{:>6}  {status} {word:<9}  {dedup:<8}  {text}{again}",
        sent.line
    )
}

/// The outcome as received, or the text of a problem document.
fn answer_text(reply: &Reply) -> String {
    if reply.status < 300 {
        return printable(&String::from_utf8_lossy(&reply.body));
    }
    let problem: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let member = |name: &str| problem.as_ref()?.get(name)?.as_str().map(printable);
    match (member("code"), member("detail")) {
        (Some(code), Some(detail)) => match member("field") {
            Some(field) => format!("{code} ({field}): {detail}"),
            None => format!("{code}: {detail}"),
        },
        _ => printable(&String::from_utf8_lossy(&reply.body)),
    }
}

fn json(sent: &Sent) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let word = text(&sent.word.as_str().replace(' ', "_"));
    let (line, attempts, put_off) = (sent.line, sent.attempts(), sent.put_off);
    let mut out = format!("{{\"line\":{line},\"result\":{word},\"attempts\":{attempts}");
    if put_off > 0 {
        out += &format!(",\"put_off\":{put_off}");
    }
    if let Some(why) = &sent.why {
        out += &format!(",\"error\":{}", text(why));
    }
    if let Some(reply) = &sent.reply {
        let dedup = reply.dedup.as_deref().map_or("null".to_owned(), text);
        // an answer that is JSON is passed on byte for byte
        let body = match serde_json::from_slice::<&RawValue>(&reply.body) {
            Ok(raw) => raw.get().replace(['\n', '\r'], ""),
            Err(_) => text(&String::from_utf8_lossy(&reply.body)),
        };
        let status = reply.status;
        out += &format!(",\"status\":{status},\"dedup\":{dedup},\"body\":{body}");
    }
    out + "}"
}
