//! Where the logs of a manifest end in a copy of it. The judgement is that of a start ([`crate::wal::scan`]).

use crate::wal::manifest::{LogEndMark, LogEntry, Manifest, SegmentState};
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::{LogSource, LogVerdict, ReadAt, SegmentRead, read_log};

/// How much of a log that has not ended goes into a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// All but the last batch where nothing says yet that it was durable: a process writes the log, and may take that batch back.
    Confirmed,
    /// Every whole batch: nothing writes the log, and a start would keep them.
    Whole,
}

/// Where a log ends in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStop {
    /// The log.
    pub log: LogId,
    /// Its end in the copy.
    pub end: LogEndMark,
    /// The last batch with records that was whole when the log was read, whether it is in the copy or not.
    pub whole_upto: Sequence,
    /// Its segments that the manifest does not call closed, as far as they count. One that is not among them is not copied.
    segments: Vec<SegmentRead>,
}

impl LogStop {
    /// Whether all that was whole at an earlier look is in the copy.
    pub fn holds(&self, whole_upto: Sequence) -> bool {
        self.end.sequence >= whole_upto
    }
}

/// Reads the segments of a log that are not closed, and says where it ends in a copy. `files` are these segments, in order.
///
/// # Errors
/// The log is not sound; or it is written, and what was read is of two moments.
pub async fn stop_of<R: ReadAt>(
    manifest: &Manifest,
    log: &LogEntry,
    files: &[R],
    take: Take,
) -> Result<LogStop, LogVerdict> {
    let source = LogSource {
        manifest,
        log,
        from: closed_count(log),
        files,
        erased: &|_, _| false,
    };
    let end = read_log(&source, |_, _| {}).await;
    if !end.verdict.is_sound() {
        return Err(end.verdict);
    }
    let before_first = Sequence::before_first(log.id.start);
    let (confirmed, confirmed_segments) = end.confirmed(before_first);
    let last_is_mark = end.unconfirmed().is_some_and(|it| it.header.is_mark());
    let whole_upto = match last_is_mark {
        true => confirmed.sequence,
        false => end.last,
    };
    let (end, segments) = match take {
        Take::Confirmed => (confirmed, confirmed_segments),
        Take::Whole => (end.end_mark(), end.segments),
    };
    Ok(LogStop {
        log: log.id,
        end,
        whole_upto,
        segments,
    })
}

/// How many segments of a log the manifest calls closed: they come first.
fn closed_count(log: &LogEntry) -> usize {
    let segments = log.segments.iter();
    segments
        .take_while(|it| it.state.extent().is_some())
        .count()
}

/// The manifest of a copy: every log has ended, where `stops` say so, and only what the copy holds is named.
pub fn stopped(manifest: &Manifest, stops: &[LogStop]) -> Manifest {
    let mut copy = manifest.clone();
    copy.preallocated.clear();
    for log in copy.logs.iter_mut().filter(|log| log.ended_at.is_none()) {
        let Some(stop) = stops.iter().find(|stop| stop.log == log.id) else {
            unreachable!("every log that has not ended was read")
        };
        end_log(log, stop);
    }
    copy.logs.retain(|log| !log.segments.is_empty());
    copy
}

fn end_log(log: &mut LogEntry, stop: &LogStop) {
    let read = |ordinal| stop.segments.iter().find(|it| it.ordinal == ordinal);
    log.segments
        .retain(|entry| entry.state.extent().is_some() || read(entry.ordinal).is_some());
    for entry in &mut log.segments {
        if let (None, Some(read)) = (entry.state.extent(), read(entry.ordinal)) {
            entry.state = SegmentState::Closed(read.extent);
        }
    }
    log.resolved_upto = stop.end.sequence;
    log.ended_at = Some(stop.end);
}
