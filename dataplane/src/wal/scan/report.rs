//! What reading a log back found: where the log ends, in which state it is, and how a start ends it for good. It is data and
//! text; it reads nothing.

use super::length::TooShort;
use crate::io::Errno;
use crate::wal::batch::{BatchFault, BatchHeader};
use crate::wal::manifest::{Extent, LogEndMark};
use crate::wal::name::Sequence;
use crate::wal::record::RecordFault;
use crate::wal::segment::{Predecessor, SegmentFault};
use std::fmt;

/// Where a batch lies. Only for reading it again: nothing durable refers to a log by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchAt {
    /// Position of the segment in its log.
    pub ordinal: u32,
    /// Byte offset in the segment.
    pub offset: u64,
    /// Length, padding included.
    pub bytes: usize,
}

/// What is wrong at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The segment header cannot be read.
    SegmentHeader(SegmentFault),
    /// A segment header is there, but under another salt: an earlier life of the file.
    OtherSalt,
    /// What is here belongs to another segment that the manifest names: files were put in each other's places.
    Misplaced,
    /// The header has this segment's salt, but belongs to another installation, incarnation, log or position.
    Identity,
    /// The header and the log before it disagree about where the segment before ends.
    Predecessor,
    /// No whole batch is here.
    Batch(BatchFault),
    /// A batch header is here, but not the expected one: another salt, sequence or previous header.
    NotExpected,
    /// The file has fewer bytes than its own header states.
    Length(TooShort),
    /// The log cannot hold a further batch: its counter is full.
    Full,
    /// The segment and what the manifest states of it disagree.
    Extent,
    /// The log and its end mark disagree.
    EndMark,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::SegmentHeader(fault) => fault.fmt(out),
            Why::OtherSalt => out.write_str("the segment header is of an earlier life of the file"),
            Why::Misplaced => {
                out.write_str("what is here belongs to another segment, so files were mixed up")
            }
            Why::Identity => out.write_str("the segment header belongs to another log or position"),
            Why::Predecessor => {
                out.write_str("a segment header and the log before it disagree about its end")
            }
            Why::Batch(fault) => fault.fmt(out),
            Why::NotExpected => out.write_str("the batch here is not the one that must follow"),
            Why::Length(short) => short.fmt(out),
            Why::Full => out.write_str("the log is full"),
            Why::Extent => out.write_str("the segment does not hold what the manifest states"),
            Why::EndMark => out.write_str("the log does not end where the manifest states"),
        }
    }
}

/// Acknowledged data cannot be read, or it cannot be known whether any is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Position of the segment in its log.
    pub ordinal: u32,
    /// Byte offset in it.
    pub offset: u64,
    /// The first sequence that is missing.
    pub expected: Sequence,
    /// The last sequence that is known to have been durable.
    pub durable_upto: Sequence,
    /// What is there instead.
    pub why: Why,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "segment {} at byte {}: {}",
            self.ordinal, self.offset, self.why
        )?;
        match self.durable_upto >= self.expected {
            true => write!(
                out,
                "; batch {} is missing although everything up to {} was durable",
                self.expected, self.durable_upto
            ),
            false => Ok(()),
        }
    }
}

/// Why a log cannot be read by this flk although nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A record of a kind that is neither known nor optional.
    Record(RecordFault),
    /// A segment of another format version.
    Segment(SegmentFault),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsupported::Record(fault) => fault.fmt(out),
            Unsupported::Segment(fault) => fault.fmt(out),
        }
    }
}

/// In which state a log was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogVerdict {
    /// Everything that was ever written is there.
    Whole,
    /// Behind the last whole batch lies the beginning of one that was never durable: cut it and go on.
    TornTail {
        /// Position of the segment where it begins.
        ordinal: u32,
        /// Byte offset in it.
        offset: u64,
        /// At most this many bytes of it were written.
        bytes: u64,
    },
    /// Acknowledged data is damaged: do not start.
    Damage(Damage),
    /// The device refused to read: nothing is known of what lies there.
    Unreadable {
        /// Position of the segment.
        ordinal: u32,
        /// What the device said.
        errno: Errno,
    },
    /// Written by a newer flk: do not start.
    Unsupported {
        /// Position of the segment.
        ordinal: u32,
        /// Byte offset in it.
        offset: u64,
        /// What is not known.
        what: Unsupported,
    },
    /// A segment was named by a later manifest than this one: the manifest is an old copy. Do not start.
    StaleManifest {
        /// Position of the segment.
        ordinal: u32,
        /// Generation that its header states.
        generation: u64,
    },
}

impl LogVerdict {
    /// Whether recovery may go on with this log.
    pub fn is_sound(&self) -> bool {
        matches!(self, LogVerdict::Whole | LogVerdict::TornTail { .. })
    }
}

impl fmt::Display for LogVerdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogVerdict::Whole => out.write_str("whole"),
            LogVerdict::TornTail {
                ordinal,
                offset,
                bytes,
            } => write!(
                out,
                "torn tail: segment {ordinal} from byte {offset}, {bytes} bytes of a write that was never acknowledged"
            ),
            LogVerdict::Damage(damage) => write!(out, "damaged: {damage}"),
            LogVerdict::Unreadable { ordinal, errno } => {
                write!(out, "segment {ordinal} cannot be read: {errno}")
            }
            LogVerdict::Unsupported {
                ordinal,
                offset,
                what,
            } => {
                write!(out, "segment {ordinal} at byte {offset}: {what}")
            }
            LogVerdict::StaleManifest {
                ordinal,
                generation,
            } => write!(
                out,
                "segment {ordinal} was named by manifest generation {generation}, which is later than this manifest: it is an old copy"
            ),
        }
    }
}

/// A segment as it was read: what of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRead {
    /// Position in the log.
    pub ordinal: u32,
    /// Whether the manifest calls it closed, and so states its extent.
    pub closed: bool,
    /// First and last sequence and length of what counts.
    pub extent: Extent,
    /// Its header's statement of where the segment before ends.
    pub predecessor: Option<Predecessor>,
}

impl SegmentRead {
    /// Whether any batch in it counts.
    pub fn holds_batches(&self) -> bool {
        self.extent.first <= self.extent.last
    }
}

/// The last whole batch of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBatch {
    /// Where it is.
    pub at: BatchAt,
    /// Its header.
    pub header: BatchHeader,
    /// The batch that counts before it; before the first of a log its checksum is 0.
    pub before: Predecessor,
}

/// What reading a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// In which state it is.
    pub verdict: LogVerdict,
    /// Its last sequence that counts.
    pub last: Sequence,
    /// Checksum of the header of its last batch, if one was read or the manifest states it.
    pub checksum: Option<u32>,
    /// The last whole batch, if one was read.
    pub last_batch: Option<LastBatch>,
    /// Whole batches read.
    pub batches: u64,
    /// Every segment that was read and counts, oldest first; one whose first write failed is among them as an empty one
    /// if the log went on behind it.
    pub segments: Vec<SegmentRead>,
    /// Ordinals of the segments named but never used: nothing in them counts.
    pub unused: Vec<u32>,
    /// Largest expiry clock of all batches read, in seconds as its batches state it.
    pub expiry_clock_s: u32,
    /// Wall clock of the newest batch, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Largest resolved sequence of all batches read.
    pub resolved_upto: Sequence,
}

/// How a sound log that has not ended is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The batch that goes into the last segment; none if nothing was left unconfirmed but an empty batch. Then the log
    /// ends at `end` as it is.
    pub batch: Option<BatchAt>,
    /// Position of the last segment in the log.
    pub ordinal: u32,
    /// The last segment's statement.
    pub predecessor: Option<Predecessor>,
    /// The log's end. Where there is a last segment, the checksum is that of its batch header once it is rewritten.
    pub end: LogEndMark,
    /// The segments that were read, as they are to be closed; one that is not among them holds nothing that counts.
    pub closed: Vec<(u32, Extent)>,
}

impl LogEnd {
    /// How to end this log. Its last batch may have reached the disk without being durable, so it is taken off the
    /// segment that it lies in and goes into a last segment of its own; an empty batch is left out altogether.
    pub fn ending(&self, before_first: Sequence) -> Ending {
        let mut kept = self.segments.clone();
        let mut ending = Ending {
            batch: None,
            ordinal: 0,
            predecessor: None,
            end: self.end_mark(),
            closed: Vec::new(),
        };
        if let Some(last) = self.unconfirmed() {
            let before = remove_last(&last, &mut kept);
            if last.header.is_mark() {
                ending.end = LogEndMark {
                    sequence: before.map_or(before_first, |before| before.ends_after),
                    checksum: before.map_or(0, |before| before.checksum),
                };
            } else {
                let in_place = kept.last().is_some_and(|it| it.ordinal == last.at.ordinal);
                ending.batch = Some(last.at);
                ending.ordinal = last.at.ordinal + u32::from(in_place);
                ending.predecessor = before;
            }
        }
        ending.closed = kept.iter().map(|it| (it.ordinal, it.extent)).collect();
        ending
    }

    /// The end with all that was read.
    pub fn end_mark(&self) -> LogEndMark {
        LogEndMark {
            sequence: self.last,
            checksum: self.checksum.unwrap_or(0),
        }
    }

    /// The last batch, where nothing says yet that it was durable.
    pub fn unconfirmed(&self) -> Option<LastBatch> {
        let is_open = self.segments.last().is_some_and(|it| !it.closed);
        self.last_batch.filter(|_| is_open)
    }

    /// The end and the segments without the last batch that nothing confirms.
    pub fn confirmed(&self, before_first: Sequence) -> (LogEndMark, Vec<SegmentRead>) {
        let mut kept = self.segments.clone();
        let Some(last) = self.unconfirmed() else {
            return (self.end_mark(), kept);
        };
        let before = remove_last(&last, &mut kept);
        let end = LogEndMark {
            sequence: before.map_or(before_first, |before| before.ends_after),
            checksum: before.map_or(0, |before| before.checksum),
        };
        (end, kept)
    }
}

/// Shortens the segment of the last batch by that batch, or drops it if nothing is left, and says what is before.
fn remove_last(last: &LastBatch, kept: &mut Vec<SegmentRead>) -> Option<Predecessor> {
    let mut segment = kept.pop()?;
    let extent = &mut segment.extent;
    if extent.first == extent.last {
        return segment.predecessor;
    }
    extent.last = last.before.ends_after;
    extent.bytes = last.at.offset;
    extent.last_checksum = last.before.checksum;
    kept.push(segment);
    Some(last.before)
}
