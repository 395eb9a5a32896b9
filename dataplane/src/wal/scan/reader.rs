//! The walk through the segments of a log, oldest first: those that the manifest calls closed must hold what it states, the
//! others end where the header of the next one states or where reading stops. Trust in a segment never goes beyond that end.

use super::BLOCK;
use super::cursor::end_of;
use super::lead::Lead;
use super::length::MadeBytes;
use super::reading::{Halt, LogReader};
use super::report::{BatchAt, Damage, LogEnd, LogVerdict, SegmentRead, Why};
use super::walk::{Bounds, WalkEnd};
use super::window::ReadAt;
use crate::planted::{Bug, planted};
use crate::wal::batch::Batch;
use crate::wal::manifest::{Extent, SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::segment::{Predecessor, SegmentHeader};

/// Where reading goes on behind a segment that is not closed.
enum Next {
    /// In the segment after it, whose header states that this one ends where reading stopped.
    Segment,
    /// Nowhere; what lies behind the stop decides what that means.
    Stopped(WalkEnd),
}

impl<'a, R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'a, R, V> {
    /// Reads everything and says in which state it is.
    pub(super) async fn read(&mut self) -> Result<LogVerdict, Halt> {
        let is_closed = |entry: &&SegmentEntry| entry.state.extent().is_some();
        let closed = self.segments().iter().take_while(is_closed).count();
        for index in 0..closed {
            self.read_closed(index).await?;
        }
        self.check_end_mark()?;
        let mut index = closed;
        while let Some(segment) = self.segment(index) {
            match self.read_unfinished(index, segment).await? {
                Next::Segment => index += 1,
                Next::Stopped(stop) => return self.judge(index, segment.0, stop).await,
            }
        }
        Ok(LogVerdict::Whole)
    }

    /// An ended log ends exactly where its mark says, unless an operator gave up all that lies between: the mark was made
    /// from the statement of a segment behind that, which holds nothing.
    fn check_end_mark(&self) -> Result<(), Halt> {
        let Some(mark) = self.source.log.ended_at else {
            return Ok(());
        };
        let stated = Predecessor {
            ends_after: mark.sequence,
            checksum: mark.checksum,
        };
        if self.cursor.agrees(stated) {
            return Ok(());
        }
        let at = self.end.segments.last();
        Err(self.damage(
            at.map_or(0, |segment| segment.ordinal),
            at.map_or(0, |segment| segment.extent.bytes),
            mark.sequence,
            Why::EndMark,
        ))
    }

    /// Reads a segment whose extent the manifest states: every deviation is damage.
    async fn read_closed(&mut self, index: usize) -> Result<(), Halt> {
        let Some((entry, file)) = self.segment(index) else {
            return Ok(());
        };
        let Some(extent) = entry.state.extent() else {
            return Ok(());
        };
        if extent.first > extent.last {
            return self.pass_over(entry, extent);
        }
        let checksum = match self.lead(index).await? {
            Lead::Ours(header, checksum) => {
                self.enter(entry, &header)?;
                checksum
            }
            Lead::Other(why) => return Err(self.damage(entry.ordinal, 0, extent.last, why)),
        };
        if self.cursor.expected() != Some(extent.first) {
            return Err(self.damage(entry.ordinal, BLOCK, extent.last, Why::Extent));
        }
        let bounds = Bounds {
            bytes: extent.bytes.min(file.bytes()),
            end: Some(extent.last),
        };
        let stop = self.walk((entry, file), checksum, bounds).await?;
        if self.cursor.last() != extent.last {
            return Err(self.damage(entry.ordinal, stop.offset, extent.last, stop.why));
        }
        if stop.offset != extent.bytes || self.cursor.end() != Some(end_of(extent)) {
            return Err(self.damage(entry.ordinal, stop.offset, extent.last, Why::Extent));
        }
        Ok(())
    }

    /// A closed segment whose first write failed, or all of which was given up: nothing in it counts, and nothing of it is
    /// read.
    fn pass_over(&mut self, entry: &SegmentEntry, extent: &Extent) -> Result<(), Halt> {
        let end = end_of(extent);
        if !self.cursor.agrees(end) {
            return Err(self.damage(entry.ordinal, 0, extent.last, Why::Extent));
        }
        self.cursor.move_to(end);
        self.end.segments.push(SegmentRead {
            ordinal: entry.ordinal,
            closed: true,
            extent: *extent,
            predecessor: None,
        });
        Ok(())
    }

    /// Reads a segment that is not closed up to where the header of the next one states, or as far as it goes.
    async fn read_unfinished(
        &mut self,
        index: usize,
        (entry, file): (&'a SegmentEntry, &'a R),
    ) -> Result<Next, Halt> {
        let lead = self.lead(index).await?;
        let stated = self.statement(index + 1).await?;
        if let Lead::Ours(header, _) = &lead {
            self.enter(entry, header)?;
        }
        // The first batch of an entered segment was durable, unless an operator gave it up since.
        let first = self.cursor.last().next().filter(|_| was_entered(entry));
        self.cursor.raise_floor(first.unwrap_or_default());
        let stop = match lead {
            Lead::Ours(header, checksum) => {
                let bounds = Bounds {
                    bytes: file.bytes(),
                    end: stated.map(|stated| stated.ends_after),
                };
                let stop = self.walk((entry, file), checksum, bounds).await?;
                self.refuse_short(entry, file, &header, stop)?;
                stop
            }
            Lead::Other(why) => WalkEnd { offset: 0, why },
        };
        let Some(stated) = stated else {
            return Ok(Next::Stopped(stop));
        };
        if let Some(first) = first.filter(|first| stated.ends_after < *first) {
            return Err(self.damage(entry.ordinal, stop.offset, first, stop.why));
        }
        if self.cursor.is_at(stated) && !lacks_header(entry, &stop) {
            self.leave(entry, stated);
            return Ok(Next::Segment);
        }
        if stated.ends_after <= self.cursor.last() {
            let durable_upto = stated.ends_after;
            return Err(self.damage(entry.ordinal, stop.offset, durable_upto, Why::Predecessor));
        }
        self.cursor.raise_floor(stated.ends_after);
        Ok(Next::Stopped(stop))
    }

    /// A segment that is not closed holds whatever its writer wrote up to the length that its file was made with. Where the
    /// file is shorter, batches may be missing that nothing else states, so what is left proves nothing.
    fn refuse_short(
        &self,
        entry: &SegmentEntry,
        file: &R,
        header: &SegmentHeader,
        stop: WalkEnd,
    ) -> Result<(), Halt> {
        let made = header.made_bytes.map(MadeBytes::stated);
        match made.and_then(|made| made.fault(file.bytes())) {
            Some(short) if !planted(Bug::ShortSegmentRead) => {
                let (offset, durable_upto) = (stop.offset, self.cursor.floor());
                Err(self.damage(entry.ordinal, offset, durable_upto, Why::Length(short)))
            }
            _ => Ok(()),
        }
    }

    /// Goes on to the next segment. One whose first write failed stays in the log as an empty one, so that ordinals have
    /// no hole.
    fn leave(&mut self, entry: &SegmentEntry, stated: Predecessor) {
        let read = self.end.segments.last();
        let read = read.filter(|read| read.ordinal == entry.ordinal);
        if read.is_some_and(|read| read.holds_batches()) {
            return;
        }
        self.end
            .segments
            .retain(|read| read.ordinal != entry.ordinal);
        self.end.segments.push(SegmentRead {
            ordinal: entry.ordinal,
            closed: false,
            extent: Extent {
                first: Sequence(stated.ends_after.0 + 1),
                last: stated.ends_after,
                bytes: 0,
                last_checksum: stated.checksum,
            },
            predecessor: Some(stated),
        });
    }

    /// Goes on into a segment whose header is valid, if it follows what was read.
    fn enter(&mut self, entry: &SegmentEntry, header: &SegmentHeader) -> Result<(), Halt> {
        let stated = header.predecessor.unwrap_or(Predecessor {
            ends_after: Sequence::before_first(header.log.start),
            checksum: 0,
        });
        if !self.cursor.agrees(stated) {
            return Err(self.damage(entry.ordinal, 0, stated.ends_after, Why::Predecessor));
        }
        self.cursor.move_to(stated);
        self.end.segments.push(SegmentRead {
            ordinal: entry.ordinal,
            closed: entry.state.extent().is_some(),
            extent: Extent {
                first: Sequence(stated.ends_after.0 + 1),
                last: stated.ends_after,
                bytes: BLOCK,
                last_checksum: stated.checksum,
            },
            predecessor: header.predecessor,
        });
        Ok(())
    }

    /// Damage at a position, with what is known of it.
    pub(super) fn damage(
        &self,
        ordinal: u32,
        offset: u64,
        durable_upto: Sequence,
        why: Why,
    ) -> Halt {
        Halt(LogVerdict::Damage(Damage {
            ordinal,
            offset,
            expected: self.cursor.expected().unwrap_or(self.cursor.last()),
            durable_upto,
            why,
        }))
    }

    /// The report.
    pub(super) fn into_end(mut self, verdict: LogVerdict) -> LogEnd {
        self.end.verdict = verdict;
        self.end.last = self.cursor.last();
        // Behind the last batch a segment that only its header names was not used.
        let idle = |read: &mut SegmentRead| !read.closed && !read.holds_batches();
        while self.end.segments.pop_if(idle).is_some() {}
        assert!(
            self.end.segments.is_sorted_by_key(|read| read.ordinal),
            "segments are reported in the order of their log"
        );
        let used = |ordinal| self.end.segments.iter().any(|read| read.ordinal == ordinal);
        self.end.unused = self
            .segments()
            .iter()
            .filter(|entry| entry.state.extent().is_none() && !used(entry.ordinal))
            .map(|entry| entry.ordinal)
            .collect();
        self.end
    }
}

/// The manifest calls a segment open once its first write was durable: the header, and a first batch. A quarantine may have
/// given up the batch, and all behind it; the header it has made anew.
fn was_entered(entry: &SegmentEntry) -> bool {
    entry.state == SegmentState::Open && !planted(Bug::OpenSegmentNoEvidence)
}

/// A segment that was entered and has no header of its own: damaged, whatever of its batches was given up. Reading stops at
/// its first byte for want of a header only.
pub(super) fn lacks_header(entry: &SegmentEntry, stop: &WalkEnd) -> bool {
    stop.offset == 0 && was_entered(entry)
}
