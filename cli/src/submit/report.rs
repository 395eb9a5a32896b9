//! What is shown of each answer, and the summary. It counts and prints; it never decides what is sent.

use crate::exit::{Exit, Failure};
use crate::output::{Output, counted, printable};
use crate::submit::client::Reply;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One line for people.
    Lines,
    /// One JSON object.
    Json,
    /// Not at all.
    Quiet,
}

/// What became of one record.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its line in the input.
    pub(crate) line: u64,
    /// Requests made.
    pub(crate) attempts: u32,
    /// The last answer, or why there was none.
    pub(crate) last: Result<Reply, String>,
}

impl Sent {
    /// One word for it.
    fn word(&self) -> Word {
        match &self.last {
            Err(_) => Word::NoAnswer,
            Ok(reply) => match reply.status {
                200 => Word::Accepted,
                202 => Word::Escalated,
                408 | 429 | 500..=599 => Word::NoAnswer,
                _ => Word::Refused,
            },
        }
    }

    /// Whether the gateway said what becomes of the record.
    pub(crate) fn is_answered(&self) -> bool {
        self.word() != Word::NoAnswer
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Accepted,
    Escalated,
    Refused,
    NoAnswer,
}

impl Word {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Escalated => "escalated",
            Self::Refused => "refused",
            Self::NoAnswer => "no answer",
        }
    }
}

/// Counts and prints.
pub(crate) struct Report {
    form: Form,
    url: String,
    output: Output,
    /// By [`Word`].
    words: [u64; 4],
    hits: u64,
    conflicts: u64,
    retries: u64,
    unanswered_from: Option<u64>,
}

impl Report {
    /// Nothing was sent to `url` yet.
    pub(crate) fn new(form: Form, url: String) -> Self {
        Self {
            form,
            url,
            output: Output::new(),
            words: [0; 4],
            hits: 0,
            conflicts: 0,
            retries: 0,
            unanswered_from: None,
        }
    }

    /// Takes and shows what became of a record.
    pub(crate) fn add(&mut self, sent: &Sent) -> Result<(), Failure> {
        self.words[sent.word() as usize] += 1;
        self.retries += u64::from(sent.attempts.saturating_sub(1));
        match sent.last.as_ref().ok().and_then(|it| it.dedup.as_deref()) {
            Some("hit") => self.hits += 1,
            Some("conflict") => self.conflicts += 1,
            _ => {}
        }
        if !sent.is_answered() && self.unanswered_from.is_none() {
            self.unanswered_from = Some(sent.line);
        }
        match self.form {
            Form::Lines => self.output.line(line(sent)),
            Form::Json => self.output.line(json(sent)),
            Form::Quiet => Ok(()),
        }
    }

    /// Shows what was added so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()
    }

    /// One short line for a long wait.
    pub(crate) fn progress(&self, elapsed: Duration) -> String {
        let sent = self.total();
        format!(
            "{sent} sent, {} refused, {}, {:.0}/s",
            self.words[Word::Refused as usize],
            counted(self.retries, "retry"),
            rate(sent, elapsed)
        )
    }

    /// The summary on standard error, and how the command ends.
    pub(crate) fn end(&self, elapsed: Duration, stopped: bool) -> Exit {
        let [accepted, escalated, refused, no_answer] = self.words;
        let total = self.total();
        eprintln!(
            "{} to {}: {accepted} accepted, {escalated} escalated, {refused} refused, {no_answer} without an answer",
            counted(total, "record"),
            self.url
        );
        // a rate over less than a second says more about the first connection than about the gateway
        let rate = match elapsed.as_secs() {
            0 => String::new(),
            _ => format!(", {:.0}/s", rate(total, elapsed)),
        };
        eprintln!(
            "{} seen before, {}, {}; {:.1} s{rate}",
            self.hits,
            counted(self.conflicts, "conflict"),
            counted(self.retries, "retry"),
            elapsed.as_secs_f64()
        );
        if let Some(line) = self.unanswered_from {
            let rest = if stopped {
                "; the rest was not sent"
            } else {
                ""
            };
            eprintln!(
                "flk: no answer from input line {line} on{rest}: send those again, duplicates are recognised"
            );
            return Exit::Unavailable;
        }
        match refused {
            0 => Exit::Yes,
            _ => Exit::No,
        }
    }

    fn total(&self) -> u64 {
        self.words.iter().sum()
    }
}

fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(0.001)
}

fn line(sent: &Sent) -> String {
    let word = sent.word().as_str();
    let (status, dedup, text) = match &sent.last {
        Ok(reply) => (
            reply.status.to_string(),
            reply.dedup.as_deref().unwrap_or("-"),
            answer_text(reply),
        ),
        Err(why) => ("---".to_owned(), "-", printable(why)),
    };
    let again = match sent.attempts {
        0 | 1 => String::new(),
        attempts => format!("  ({attempts} attempts)"),
    };
    let dedup = printable(dedup);
    format!(
        "{:>6}  {status} {word:<9}  {dedup:<8}  {text}{again}",
        sent.line
    )
}

/// The outcome as it came, or what a problem document says.
fn answer_text(reply: &Reply) -> String {
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
    let word = text(&sent.word().as_str().replace(' ', "_"));
    let (line, attempts) = (sent.line, sent.attempts);
    let head = format!("{{\"line\":{line},\"result\":{word},\"attempts\":{attempts}");
    match &sent.last {
        Err(why) => format!("{head},\"error\":{}}}", text(why)),
        Ok(reply) => {
            let dedup = reply.dedup.as_deref().map_or("null".to_owned(), text);
            // an answer that is JSON is passed on byte for byte
            let body = match serde_json::from_slice::<&RawValue>(&reply.body) {
                Ok(raw) => raw.get().replace(['\n', '\r'], ""),
                Err(_) => text(&String::from_utf8_lossy(&reply.body)),
            };
            let status = reply.status;
            format!("{head},\"status\":{status},\"dedup\":{dedup},\"body\":{body}}}")
        }
    }
}
