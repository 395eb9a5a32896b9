//! The lines of one batch: where each record is, what became of it, and the text of the answer. It never looks into a record,
//! and it never decides what a record is answered or when the answer may leave.

use super::answer::{Answer, Refusal};
use crate::dedup::Decided;
use crate::http::{BatchCounts, Problem, respond};
use crate::planted::{Bug, planted};
use crate::wal::name::Sequence;

/// Most bytes of the text of one line of an answer; a test compares it with the largest ones.
pub(super) const LINE_TEXT_BYTES_MAX: usize = 512;

/// Memory that the answer of one line may take.
pub(super) const LINE_REPLY_BYTES: usize = size_of::<Line>() + LINE_TEXT_BYTES_MAX;

/// Writes the text of an outcome in place of another, and gives its status.
pub(super) type OutcomeText<'a> = &'a mut dyn FnMut(&Decided, &[u8; 32], &mut Vec<u8>) -> u16;

/// What became of a line.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// Its record lies there in the body, and is not in the log.
    Waits { start: u32, end: u32 },
    /// There is no record on it.
    Empty,
    /// Its record is in the log, and has no answer.
    InFlight,
    /// Its record has an answer, which waits for the log up to `needs`.
    Answered { answer: Answer, needs: Sequence },
}

/// A record that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextRecord {
    /// Its line, from 1.
    pub line: u16,
    /// Where it begins in the body.
    pub start: usize,
    /// Its length.
    pub bytes: usize,
    /// No record of the batch was before it.
    pub is_first: bool,
}

/// A batch whose answer has not left. Cursors: `rendered <= next <= lines.len()`.
#[derive(Debug)]
pub(super) struct Batch {
    lines: Vec<Line>,
    /// The first line that waits.
    next: usize,
    /// Lines in flight.
    unanswered: usize,
    /// A record went into the log, or was to.
    has_begun: bool,
    /// The most that an answered line waits for, if no answer has changed since it was looked for.
    needs: Option<Sequence>,
    /// It is among the answers that wait for the log.
    pub waits_for_log: bool,
    /// Lines whose text is written.
    rendered: usize,
    text: Vec<u8>,
    counts: BatchCounts,
    /// When its body was complete.
    pub complete_us: u64,
    /// From then on no record of it enters the log.
    pub due_us: u64,
}

/// How many lines a body has: what stands behind the last line feed is one, unless it is nothing.
pub(super) fn count_lines(body: &[u8]) -> usize {
    let is_cut = body.last().is_some_and(|&last| last != b'\n');
    memchr::memchr_iter(b'\n', body).count() + usize::from(is_cut)
}

/// Memory that the answer to a batch of so many lines may take.
pub(super) const fn reply_bytes(lines_count: usize) -> usize {
    size_of::<Batch>() + lines_count * LINE_REPLY_BYTES
}

impl Batch {
    /// Finds the records of a body of so many lines. A line ends with LF or CRLF; one without anything before that has no
    /// record.
    pub(super) fn read(body: &[u8], lines_count: usize) -> Batch {
        let mut lines = Vec::with_capacity(lines_count);
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', body).chain([body.len()]);
        for end in ends.take(lines_count) {
            let cut = body[start..end].strip_suffix(b"\r");
            let content_end = cut.map_or(end, |cut| start + cut.len());
            lines.push(match content_end - start {
                0 => Line::Empty,
                _ => Line::Waits {
                    start: start as u32,
                    end: content_end as u32,
                },
            });
            start = end + 1;
        }
        Batch {
            lines,
            next: 0,
            unanswered: 0,
            has_begun: false,
            needs: None,
            waits_for_log: false,
            rendered: 0,
            text: Vec::new(),
            counts: BatchCounts::default(),
            complete_us: 0,
            due_us: 0,
        }
    }

    /// How many records it has.
    pub(super) fn records_count(&self) -> usize {
        let is_record = |line: &&Line| !matches!(line, Line::Empty);
        self.lines.iter().filter(is_record).count()
    }

    /// How many lines it has.
    pub(super) fn lines_count(&self) -> usize {
        self.lines.len()
    }

    /// The record that comes next into the log; `None`: no line waits. Those that are too large for a record are answered on
    /// the way.
    pub(super) fn next_record(&mut self, record_bytes_max: u64) -> Option<NextRecord> {
        while let Some(line) = self.lines.get_mut(self.next) {
            if let Line::Waits { start, end } = *line {
                let bytes = end - start;
                if u64::from(bytes) <= record_bytes_max {
                    return Some(NextRecord {
                        line: self.next as u16 + 1,
                        start: start as usize,
                        bytes: bytes as usize,
                        is_first: !self.has_begun,
                    });
                }
                let answer = Answer::refusal(Problem::BodyTooLarge);
                *line = answered_at_once(answer);
            }
            self.next += 1;
        }
        None
    }

    /// The record that comes next goes into the log in this turn, or is refused for a limit.
    pub(super) fn take_next(&mut self) {
        self.lines[self.next] = Line::InFlight;
        self.next += 1;
        self.unanswered += 1;
        self.has_begun = true;
    }

    /// Answers all lines that wait; how many there were.
    pub(super) fn refuse_rest(&mut self, refusal: Refusal) -> u64 {
        let mut refused_count = 0;
        for line in &mut self.lines[self.next..] {
            if let Line::Waits { .. } = line {
                *line = answered_at_once(refusal.answer());
                refused_count += 1;
            }
        }
        self.next = self.lines.len();
        refused_count
    }

    /// A line has an answer, or gets another one at its deadline. Whether all lines have.
    pub(super) fn answer(&mut self, line: u16, answer: Answer, needs: Sequence) -> bool {
        let line = &mut self.lines[usize::from(line) - 1];
        match line {
            Line::InFlight => self.unanswered -= 1,
            Line::Answered { .. } => {}
            Line::Waits { .. } | Line::Empty => unreachable!("only what was taken is answered"),
        }
        *line = Line::Answered { answer, needs };
        self.needs = None;
        self.is_answered()
    }

    /// Whether a line has no answer that may leave: none at all, or one that waits for the log.
    pub(super) fn is_unanswerable(&self, line: u16, durable: Option<Sequence>) -> bool {
        match self.lines[usize::from(line) - 1] {
            Line::Waits { .. } | Line::InFlight => true,
            Line::Answered { needs, .. } => durable.is_none_or(|durable| needs > durable),
            Line::Empty => false,
        }
    }

    /// Whether each record has its answer.
    pub(super) fn is_answered(&self) -> bool {
        self.next == self.lines.len() && self.unanswered == 0
    }

    /// What the answer promises of the log: everything that any line of it does.
    pub(super) fn needs(&mut self) -> Sequence {
        let lines = &self.lines;
        *self.needs.get_or_insert_with(|| {
            let mut needs = lines.iter().filter_map(|line| match line {
                Line::Answered { needs, .. } => Some(*needs),
                _ => None,
            });
            match planted(Bug::BatchWaitsForFirstLine) {
                true => needs.next().unwrap_or_default(),
                false => needs.max().unwrap_or_default(),
            }
        })
    }

    /// Writes the text of further lines, at most so many, and gives their statuses to `answered`. Whether all are written.
    pub(super) fn render(
        &mut self,
        lines_max: usize,
        outcome: OutcomeText<'_>,
        body_text: &mut Vec<u8>,
        mut answered: impl FnMut(u16),
    ) -> bool {
        if self.rendered == 0 {
            #[cfg(feature = "planted-bugs")]
            self.swap_if_planted();
            self.text
                .reserve_exact(self.lines.len() * LINE_TEXT_BYTES_MAX);
        }
        let upto = self.lines.len().min(self.rendered + lines_max);
        for (at, line) in self.lines[..upto].iter().enumerate().skip(self.rendered) {
            let Line::Answered { answer, .. } = line else {
                debug_assert!(matches!(line, Line::Empty), "each record has its answer");
                continue;
            };
            let number = at as u32 + 1;
            let status = write_line(&mut self.text, number, answer, &mut *outcome, body_text);
            self.counts.records += 1;
            self.counts.outcomes += u32::from(status < 300);
            self.counts.retryable += u32::from(matches!(status, 429 | 503));
            answered(status);
        }
        self.rendered = upto;
        upto == self.lines.len()
    }

    /// What is to be sent, when all is written.
    pub(super) fn rendered(&self) -> (BatchCounts, &[u8]) {
        (self.counts, &self.text)
    }

    /// The mistake of [`Bug::BatchLinesSwapped`]: the first two answers of a batch change places.
    #[cfg(feature = "planted-bugs")]
    fn swap_if_planted(&mut self) {
        if planted(Bug::BatchLinesSwapped)
            && let [first, second, ..] = &mut self.lines[..]
        {
            std::mem::swap(first, second);
        }
    }
}

/// A line whose answer promises nothing of the log.
fn answered_at_once(answer: Answer) -> Line {
    Line::Answered {
        answer,
        needs: Sequence::default(),
    }
}

/// Appends the text of one line, and gives the status that a submit would have had.
fn write_line(
    out: &mut Vec<u8>,
    line: u32,
    answer: &Answer,
    outcome: OutcomeText<'_>,
    body_text: &mut Vec<u8>,
) -> u16 {
    match *answer {
        Answer::Outcome {
            ref decided,
            ref pcs_id,
            dedup,
        } => {
            let status = outcome(decided, pcs_id, body_text);
            respond::line_outcome(out, line, status, body_text, dedup);
            status
        }
        Answer::Problem(problem, field) => {
            respond::line_problem(out, line, problem, field, None);
            problem.status()
        }
        Answer::Later(problem, seconds) => {
            respond::line_problem(out, line, problem, "", Some(seconds));
            problem.status()
        }
        Answer::Stored { .. } | Answer::Continue | Answer::Service(_) | Answer::Metrics(_) => {
            unreachable!("a record is answered with an outcome or a problem")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Dedup;
    use proptest::prelude::*;

    /// The records of a body as a plain reading finds them: line and bytes.
    fn plain(body: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut lines: Vec<&[u8]> = body.split(|&byte| byte == b'\n').collect();
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        let lines = lines.into_iter().zip(1..);
        let lines = lines.map(|(line, at)| (at, line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
        lines.filter(|(_, line)| !line.is_empty()).collect()
    }

    fn taken(body: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut batch = Batch::read(body, count_lines(body));
        let mut found = Vec::new();
        while let Some(next) = batch.next_record(u64::MAX) {
            let record = &body[next.start..next.start + next.bytes];
            found.push((next.line, record.to_vec()));
            batch.take_next();
        }
        assert_eq!(found.len(), batch.records_count());
        found
    }

    #[test]
    fn lines_end_with_lf_or_crlf_and_empty_ones_count_and_have_no_record() {
        let cases: &[(&str, &[(u16, &str)])] = &[
            ("", &[]),
            ("\n", &[]),
            ("\r", &[]),
            ("\r\n\r\n", &[]),
            ("a", &[(1, "a")]),
            ("a\n", &[(1, "a")]),
            ("a\r\n", &[(1, "a")]),
            ("a\r", &[(1, "a")]),
            ("\n\na\n\r\nb", &[(3, "a"), (5, "b")]),
            ("a\rb\r\r\n\0\n", &[(1, "a\rb\r"), (2, "\0")]),
            (" \n", &[(1, " ")]),
        ];
        for (body, expect) in cases {
            let expect: Vec<_> = expect
                .iter()
                .map(|(line, text)| (*line, text.as_bytes().to_vec()))
                .collect();
            assert_eq!(taken(body.as_bytes()), expect, "{body:?}");
        }
        assert_eq!(count_lines(b"a\n\nb"), 3);
        assert_eq!(count_lines(b"a\n\nb\n"), 3);
    }

    proptest! {
        #[test]
        fn records_are_those_of_a_plain_reading(
            body in proptest::collection::vec(proptest::sample::select(b"ab\r\n\n\0".to_vec()), 0..60),
        ) {
            prop_assert_eq!(taken(&body), plain(&body));
        }
    }

    #[test]
    fn no_line_of_an_answer_is_longer_than_the_memory_that_is_reserved_for_it() {
        assert_eq!(LINE_REPLY_BYTES, 632, "docs/batch.md says so");
        let mut texts = Vec::new();
        for &problem in Problem::ALL {
            let mut text = Vec::new();
            let longest_field = "ft.clock_skew_ms";
            respond::line_problem(&mut text, 4096, problem, longest_field, Some(u32::MAX));
            texts.push(text);
        }
        let number = -f64::MIN_POSITIVE;
        let outcome = flk_contract::Outcome {
            escalated: Some(flk_contract::Reason::DHatOutOfTolerance),
            d_hat: number,
            recomputed_d_hat: number,
            budget: number,
            recomputed_budget: number,
            regime: flk_contract::Regime::NonSticky,
            params_version: flk_contract::ParamsVersion::new(&"x".repeat(32)).unwrap(),
        };
        let (mut body, mut text) = (Vec::new(), Vec::new());
        flk_contract::outcome::write_outcome(1, &outcome, &"0".repeat(64), &mut body).unwrap();
        respond::line_outcome(&mut text, 4096, 202, &body, Dedup::Conflict);
        texts.push(text);
        for text in texts {
            let text = String::from_utf8(text).unwrap();
            assert!(text.len() <= LINE_TEXT_BYTES_MAX, "{}: {text}", text.len());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["line"], 4096);
        }
    }

    #[test]
    fn an_answer_waits_for_all_that_any_line_promises_and_for_less_when_that_is_taken_back() {
        let body = b"a\nb\n\nc\n";
        let mut batch = Batch::read(body, count_lines(body));
        while batch.next_record(1).is_some() {
            batch.take_next();
        }
        let answer = |problem| Answer::refusal(problem);
        assert!(!batch.answer(2, answer(Problem::MalformedJson), Sequence(7)));
        assert!(!batch.answer(1, answer(Problem::MalformedJson), Sequence(4)));
        assert!(batch.is_unanswerable(4, Some(Sequence(9))));
        assert!(batch.answer(4, answer(Problem::MalformedJson), Sequence(5)));
        assert_eq!(batch.needs(), Sequence(7));
        assert!(batch.is_unanswerable(2, Some(Sequence(6))));
        assert!(batch.answer(2, answer(Problem::DeadlineExceeded), Sequence(0)));
        assert_eq!(batch.needs(), Sequence(5));
    }
}
