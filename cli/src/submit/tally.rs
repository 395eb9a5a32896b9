//! Counts the results of all records, and makes the summary and the exit code. It prints nothing itself.

use crate::args::time_text;
use crate::exit::Exit;
use crate::output::{counted, printable};
use crate::submit::reader::Rest;
use crate::submit::report::{Sent, Word};
use crate::submit::stop::Why;
use std::time::Duration;

/// Counts of one run.
#[derive(Default)]
pub(super) struct Tally {
    /// By [`Word`].
    words: [u64; Word::COUNT],
    hits: u64,
    conflicts: u64,
    retries: u64,
    /// Answers 429.
    put_off: u64,
    /// Bytes of the records that are done.
    bytes: u64,
    /// Lowest input line of a record without a final answer.
    open_from: Option<u64>,
}

impl Tally {
    /// Counts the result of a record of so many bytes.
    pub(super) fn add(&mut self, sent: &Sent, bytes: usize) {
        self.words[sent.word as usize] += 1;
        self.bytes += bytes as u64;
        self.retries += u64::from(sent.attempts().saturating_sub(1));
        self.put_off += u64::from(sent.put_off);
        match sent.dedup() {
            Some("hit") => self.hits += 1,
            Some("conflict") => self.conflicts += 1,
            _ => {}
        }
        if !sent.word.is_answer() {
            self.open(sent.line);
        }
    }

    fn open(&mut self, line: u64) {
        self.open_from = Some(self.open_from.map_or(line, |earlier| earlier.min(line)));
    }

    /// A record that was read and never given to a connection.
    pub(super) fn leave_out(&mut self, line: u64) {
        self.words[Word::NotSent as usize] += 1;
        self.open(line);
    }

    const fn count(&self, word: Word) -> u64 {
        self.words[word as usize]
    }

    fn sent(&self) -> u64 {
        let all: u64 = self.words.iter().sum();
        all - self.count(Word::NotSent)
    }

    fn answered(&self) -> u64 {
        self.count(Word::Accepted) + self.count(Word::Escalated) + self.count(Word::Refused)
    }

    /// The progress line. `total_bytes` is the length of the input, if known.
    pub(super) fn progress(&self, elapsed: Duration, total_bytes: Option<u64>) -> String {
        let mut line = format!(
            "{} answered, {} refused, {}, {:.0}/s",
            self.answered(),
            self.count(Word::Refused),
            counted(self.retries, "retry"),
            rate(self.answered(), elapsed)
        );
        if self.put_off > 0 {
            line += &format!(", put off by 429 {} times", self.put_off);
        }
        if let Some(total) = total_bytes.filter(|total| self.bytes > 0 && *total > 0) {
            let share = (self.bytes as f64 / total as f64).min(1.0);
            let left = elapsed.as_secs_f64() * (1.0 / share - 1.0);
            let left = time_text(Duration::from_secs(left.ceil() as u64));
            line += &format!(", {:.0} %, about {left} left", share * 100.0);
        }
        line
    }

    /// The lines of the summary, and the exit code.
    pub(super) fn end(&mut self, end: &End<'_>) -> (Vec<String>, Exit) {
        if let Some(line) = end.rest.line {
            self.words[Word::NotSent as usize] += end.rest.records;
            self.open(line);
        }
        let mut lines = self.counts(end);
        lines.extend(end.why.as_ref().and_then(|why| self.why_it_stopped(why)));
        lines.extend(self.state(end));
        (lines, self.exit(end))
    }

    fn counts(&self, end: &End<'_>) -> Vec<String> {
        let [accepted, escalated, refused, no_answer] = [
            Word::Accepted,
            Word::Escalated,
            Word::Refused,
            Word::NoAnswer,
        ]
        .map(|word| self.count(word));
        let limited = match self.count(Word::Limited) {
            0 => String::new(),
            count => format!(", {count} over the rate"),
        };
        let first = format!(
            "{} to {}: {accepted} accepted, {escalated} escalated, {refused} refused, {no_answer} without an answer{limited}",
            counted(self.sent(), "record"),
            end.url
        );
        let put_off = match self.put_off {
            0 => String::new(),
            count => format!(", put off by 429 {}", counted(count, "time")),
        };
        // a rate over less than a second says more about the first connection than about the gateway
        let per_second = match end.elapsed.as_secs() {
            0 => String::new(),
            _ => format!(", {:.0}/s", rate(self.answered(), end.elapsed)),
        };
        let second = format!(
            "{} seen before, {}, {}{put_off}; {:.1} s{per_second}",
            self.hits,
            counted(self.conflicts, "conflict"),
            counted(self.retries, "retry"),
            end.elapsed.as_secs_f64()
        );
        vec![first, second]
    }

    fn why_it_stopped(&self, why: &Why) -> Option<String> {
        Some(match why {
            Why::Unanswered => return None,
            Why::Interrupted => "flk: interrupted".to_owned(),
            Why::OutputClosed => "flk: the output was closed".to_owned(),
            Why::Output(why) => format!("flk: the output cannot be written: {why}"),
            Why::NotAGateway(why) => format!("flk: not a gateway: {}", printable(why)),
        })
    }

    /// The input line from which to send again, if not all records are done.
    fn state(&self, end: &End<'_>) -> Option<String> {
        let (sent, answered) = (self.sent(), self.answered());
        let Some(from) = self.open_from else {
            let unread =
                format!("flk: {sent} sent, {answered} answered; the input was not read to its end");
            return end.rest.goes_on.then_some(unread);
        };
        let unsent = self.count(Word::NotSent);
        let not_sent = match (unsent, end.rest.goes_on) {
            (0, false) => "all were sent".to_owned(),
            (_, false) => format!("{unsent} not sent"),
            (_, true) => format!("{unsent} or more not sent"),
        };
        Some(format!(
            "flk: {sent} sent, {answered} answered, {not_sent}; send again from input line {from} on, duplicates are recognised"
        ))
    }

    fn exit(&self, end: &End<'_>) -> Exit {
        let is_done = self.open_from.is_none() && !end.rest.goes_on;
        match end.why {
            Some(Why::NotAGateway(_)) => Exit::Unavailable,
            Some(Why::Interrupted) if !is_done => Exit::Interrupted,
            Some(Why::OutputClosed) if !is_done => Exit::File,
            // the output that the user asked for is incomplete
            Some(Why::Output(_)) => Exit::File,
            _ if !is_done => Exit::Unavailable,
            _ if self.count(Word::Refused) > 0 => Exit::No,
            _ => Exit::Yes,
        }
    }

    /// Whether the input held nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.words == [0; Word::COUNT]
    }
}

/// The data of the summary besides the counts.
pub(super) struct End<'a> {
    pub(super) url: &'a str,
    pub(super) elapsed: Duration,
    pub(super) why: Option<Why>,
    pub(super) rest: &'a Rest,
}

fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(0.001)
}
