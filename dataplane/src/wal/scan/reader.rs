//! The walk through the segments of a log: which batch must come next, and whether it does. Trust in a segment ends
//! where the manifest or the next segment's header says.

use super::lead::Lead;
use super::length::MadeBytes;
use super::report::{BatchAt, Damage, LastBatch, LogEnd, SegmentRead, Unsupported, Verdict, Why};
use super::window::{ReadAt, Window};
use super::{BLOCK, LogSource};
use crate::io::Errno;
use crate::planted::{Bug, planted};
use crate::wal::batch::{Batch, BatchFault, BatchHeader, read_batch_with};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{Extent, Gap, LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::{Place, Sequence};
use crate::wal::segment::{Predecessor, SegmentHeader};

/// Reading ends here with this verdict.
pub(super) struct Halt(pub(super) Verdict);

/// The first position that does not hold the expected batch, and what is there.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    pub(super) offset: u64,
    pub(super) why: Why,
}

/// A log while it is read: what is known so far, and what is to be reported.
pub(super) struct LogReader<'a, R, V> {
    pub(super) source: &'a LogSource<'a, R>,
    visit: V,
    /// The last sequence that counts; not known yet when reading begins within a log whose beginning was deleted.
    last: Option<Sequence>,
    /// Checksum of the header of the last batch that counts, 0 before the first; unknown like `last`.
    tip: Option<u32>,
    /// Checksum that the next header in this segment must repeat: the tip, or the segment header's before its first.
    chain: Option<u32>,
    /// Everything up to here was durable, whatever the segments hold: so say the manifest and the slices.
    pub(super) floor: Sequence,
    end: LogEnd,
}

impl<'a, R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'a, R, V> {
    /// Nothing is read yet.
    pub(super) fn new(source: &'a LogSource<'a, R>, visit: V) -> LogReader<'a, R, V> {
        let (last, tip) = known_before(source.log, source.from);
        LogReader {
            source,
            visit,
            last,
            tip,
            chain: None,
            floor: floor(source.manifest, source.log),
            end: LogEnd {
                verdict: Verdict::Whole,
                last: Sequence::default(),
                checksum: tip,
                last_batch: None,
                batches: 0,
                segments: Vec::new(),
                unused: Vec::new(),
                expiry_clock_s: 0,
                wall_us: 0,
                resolved_upto: Sequence::default(),
            },
        }
    }

    /// The segments to read.
    pub(super) fn segments(&self) -> &'a [SegmentEntry] {
        self.source
            .log
            .segments
            .get(self.source.from..)
            .unwrap_or_default()
    }

    /// A segment to read and its file.
    pub(super) fn segment(&self, index: usize) -> Option<(&'a SegmentEntry, &'a R)> {
        self.segments().get(index).zip(self.source.files.get(index))
    }

    /// The last sequence that counts, as far as it is known.
    pub(super) fn last(&self) -> Sequence {
        let log = self.source.log;
        let known = self.last.or(log.ended_at.map(|mark| mark.sequence));
        let before_first = Sequence::before_first(log.id.start);
        known.unwrap_or_else(|| floor(self.source.manifest, log).max(before_first))
    }

    /// The sequence that must come next, behind all gaps; none if the counter is full.
    pub(super) fn expected(&self) -> Option<Sequence> {
        let mut next = self.last().next()?;
        while let Some(gap) = self.gap(next) {
            next = gap.to.next()?;
        }
        Some(next)
    }

    /// The gap that holds a sequence.
    fn gap(&self, sequence: Sequence) -> Option<&'a Gap> {
        self.source.manifest.gap(self.source.log.id, sequence)
    }

    /// Reads everything and says in which state it is.
    pub(super) async fn read(&mut self) -> Result<Verdict, Halt> {
        let sealed = self
            .segments()
            .iter()
            .take_while(|entry| entry.state.extent().is_some())
            .count();
        for index in 0..sealed {
            self.read_sealed(index).await?;
        }
        self.check_end_mark()?;
        match self.segments().get(sealed) {
            Some(_) => self.read_open(sealed).await,
            None => Ok(Verdict::Whole),
        }
    }

    /// An ended log ends exactly where its mark says, unless an operator gave up all that lies between: the mark was made
    /// from the statement of a segment behind that, which holds nothing.
    fn check_end_mark(&self) -> Result<(), Halt> {
        let Some(mark) = self.source.log.ended_at else {
            return Ok(());
        };
        if self.agrees(mark.sequence, mark.checksum) {
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

    /// Whether what was read so far ends with this batch, as the manifest states: with it and nothing else, or an operator
    /// gave up all that lies between.
    fn agrees(&self, last: Sequence, checksum: u32) -> bool {
        let is_that_batch =
            self.last.is_none_or(|read| read == last) && self.tip.is_none_or(|tip| tip == checksum);
        is_that_batch
            || self
                .last
                .is_some_and(|read| self.only_gaps_between(read, last))
    }

    /// Reads a segment whose extent the manifest states: every deviation is damage.
    async fn read_sealed(&mut self, index: usize) -> Result<(), Halt> {
        let Some((entry, file)) = self.segment(index) else {
            return Ok(());
        };
        let Some(extent) = entry.state.extent() else {
            return Ok(());
        };
        if extent.first > extent.last {
            return self.pass_over(entry, extent);
        }
        match self.lead(index).await? {
            Lead::Ours(header, checksum) => self.enter(entry, &header, checksum)?,
            Lead::Other(why) => return Err(self.damage(entry.ordinal, 0, extent.last, why)),
        }
        if self.expected() != Some(extent.first) {
            return Err(self.damage(entry.ordinal, BLOCK, extent.last, Why::Extent));
        }
        let limit = extent.bytes.min(file.bytes());
        let stop = self.walk(index, limit, Some(extent.last)).await?;
        if self.last() != extent.last {
            return Err(self.damage(entry.ordinal, stop.offset, extent.last, stop.why));
        }
        let exact =
            stop.offset == extent.bytes && self.tip.is_none_or(|tip| tip == extent.last_checksum);
        if !exact {
            return Err(self.damage(entry.ordinal, stop.offset, extent.last, Why::Extent));
        }
        Ok(())
    }

    /// A closed segment whose first write failed, or all of which was given up: nothing in it counts, and nothing of it is
    /// read.
    fn pass_over(&mut self, entry: &SegmentEntry, extent: &Extent) -> Result<(), Halt> {
        if !self.agrees(extent.last, extent.last_checksum) {
            return Err(self.damage(entry.ordinal, 0, extent.last, Why::Extent));
        }
        self.last = Some(extent.last);
        self.tip = Some(extent.last_checksum);
        self.end.segments.push(SegmentRead {
            ordinal: entry.ordinal,
            sealed: true,
            extent: *extent,
            predecessor: None,
        });
        Ok(())
    }

    /// Reads the segments that are not closed, until the log ends.
    async fn read_open(&mut self, sealed: usize) -> Result<Verdict, Halt> {
        let mut index = sealed;
        loop {
            let Some((entry, file)) = self.segment(index) else {
                return Ok(Verdict::Whole);
            };
            let lead = self.lead(index).await?;
            let stated = self.statement(index + 1).await?;
            if let Lead::Ours(header, checksum) = &lead {
                self.enter(entry, header, *checksum)?;
            }
            let first = self.raise_floor(entry);
            let stop = match lead {
                Lead::Ours(header, _) => {
                    let end = stated.map(|stated| stated.ends_after);
                    let stop = self.walk(index, file.bytes(), end).await?;
                    self.refuse_short(entry, file.bytes(), &header, stop)?;
                    stop
                }
                Lead::Other(why) => Stop { offset: 0, why },
            };
            let headless = lacks_header(entry, &stop);
            match stated {
                Some(stated) if first.is_some_and(|first| stated.ends_after < first) => {
                    let durable = first.unwrap_or(stated.ends_after);
                    return Err(self.damage(entry.ordinal, stop.offset, durable, stop.why));
                }
                Some(stated) if !headless && self.ends_here(stated) => {
                    self.leave(entry, stated);
                    index += 1;
                }
                Some(stated) if stated.ends_after <= self.last() => {
                    let durable = stated.ends_after;
                    return Err(self.damage(entry.ordinal, stop.offset, durable, Why::Predecessor));
                }
                stated => {
                    let durable = stated.map_or(Sequence::default(), |stated| stated.ends_after);
                    return self.judge(index, stop, durable).await;
                }
            }
        }
    }

    /// A segment that is not closed holds whatever its writer wrote up to the length that its file was made with. Where the
    /// file is shorter, batches may be missing that nothing else tells of, so what is left proves nothing.
    fn refuse_short(
        &self,
        entry: &SegmentEntry,
        file_bytes: u64,
        header: &SegmentHeader,
        stop: Stop,
    ) -> Result<(), Halt> {
        let made = header.made_bytes.map(MadeBytes::stated);
        match made.and_then(|made| made.fault(file_bytes)) {
            Some(short) if !planted(Bug::ShortSegmentRead) => {
                Err(self.damage(entry.ordinal, stop.offset, self.floor, Why::Length(short)))
            }
            _ => Ok(()),
        }
    }

    /// The sequence of an entered segment's first batch, which was durable unless an operator gave it up since.
    fn raise_floor(&mut self, entry: &SegmentEntry) -> Option<Sequence> {
        if !was_entered(entry) {
            return None;
        }
        let first = self.last().next()?;
        self.floor = self.floor.max(first);
        Some(first)
    }

    /// Goes on to the next segment. One whose first write failed stays in the log as an empty one, so that ordinals have
    /// no hole.
    fn leave(&mut self, entry: &SegmentEntry, stated: Predecessor) {
        let read = self.end.segments.last().copied();
        let read = read.filter(|read| read.ordinal == entry.ordinal);
        if read.is_some_and(|read| read.holds_batches()) {
            return;
        }
        self.end
            .segments
            .retain(|read| read.ordinal != entry.ordinal);
        self.end.segments.push(SegmentRead {
            ordinal: entry.ordinal,
            sealed: false,
            extent: Extent {
                first: Sequence(stated.ends_after.0 + 1),
                last: stated.ends_after,
                bytes: 0,
                last_checksum: stated.checksum,
            },
            predecessor: Some(stated),
        });
    }

    /// Whether the log goes on in the next segment: its header says that this one ends exactly here. What lies behind
    /// (a batch of a failed write, even a whole one) does not count.
    fn ends_here(&self, stated: Predecessor) -> bool {
        let same_end = stated.ends_after == self.last();
        let same_header = self.tip.is_none_or(|tip| tip == stated.checksum);
        same_end && same_header || self.only_gaps_between(self.last(), stated.ends_after)
    }

    /// Visits batches from the first one of a segment on, up to and including `end` if that is stated, and returns the
    /// first position that it did not take.
    async fn walk(
        &mut self,
        index: usize,
        limit: u64,
        end: Option<Sequence>,
    ) -> Result<Stop, Halt> {
        let Some((entry, file)) = self.segment(index) else {
            return Ok(Stop {
                offset: 0,
                why: Why::Full,
            });
        };
        let mut window = Window::new(file);
        let mut offset = BLOCK;
        loop {
            if end.is_some_and(|end| self.last() >= end) {
                return Ok(Stop {
                    offset,
                    why: Why::Extent,
                });
            }
            let step = self.step(entry, &mut window, offset, limit).await?;
            match step {
                Ok(bytes) => offset += bytes,
                Err(why) => return Ok(Stop { offset, why }),
            }
        }
    }

    /// Takes the expected batch at an offset and returns its length, or says what is there instead.
    async fn step(
        &mut self,
        entry: &SegmentEntry,
        window: &mut Window<'_, R>,
        offset: u64,
        limit: u64,
    ) -> Result<Result<u64, Why>, Halt> {
        let Some(expected) = self.expected() else {
            return Ok(Err(Why::Full));
        };
        let cut = Ok(Err(Why::Batch(BatchFault::Cut)));
        if offset + BLOCK > limit {
            return cut;
        }
        let block = window
            .get(offset, BLOCK_BYTES)
            .await
            .map_err(|errno| unreadable(entry, errno))?;
        let Some(block) = block else {
            return cut;
        };
        let header = match BatchHeader::decode(block) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(Why::Batch(BatchFault::Header(fault)))),
        };
        if !self.is_expected(entry, &header, expected) {
            return Ok(Err(Why::NotExpected));
        }
        let at = BatchAt {
            ordinal: entry.ordinal,
            offset,
            bytes: header.bytes(),
        };
        if offset + at.bytes as u64 > limit {
            return cut;
        }
        let bytes = window
            .get(offset, at.bytes)
            .await
            .map_err(|errno| unreadable(entry, errno))?;
        let Some(bytes) = bytes else {
            return cut;
        };
        let log = self.source.log.id;
        let erased = |sequence, index| (self.source.erased)(log, Place { sequence, index });
        match read_batch_with(bytes, erased) {
            Ok(batch) => self.take(&at, &batch),
            Err(fault) => return self.not_whole(&at, expected, fault).map(Err),
        }
        Ok(Ok(at.bytes as u64))
    }

    /// Whether a header is the one that must follow in this segment.
    fn is_expected(&self, entry: &SegmentEntry, header: &BatchHeader, expected: Sequence) -> bool {
        let chain = if self.last().next() == Some(expected) {
            self.chain
        } else {
            None
        };
        let ours = header.fields.salt == entry.salt || planted(Bug::RecycledBatchReplayed);
        ours && header.fields.sequence == expected
            && chain.is_none_or(|checksum| checksum == header.fields.previous_checksum)
    }

    /// What a batch that cannot be taken means. Where all checksums match but the content makes no sense the write was
    /// complete, so it is never a torn one.
    fn not_whole(&self, at: &BatchAt, expected: Sequence, fault: BatchFault) -> Result<Why, Halt> {
        match fault {
            BatchFault::Record(unknown) if unknown.is_newer() => Err(Halt(Verdict::Unsupported {
                ordinal: at.ordinal,
                offset: at.offset,
                what: Unsupported::Record(unknown),
            })),
            BatchFault::Record(_) | BatchFault::Layout => {
                Err(self.damage(at.ordinal, at.offset, expected, Why::Batch(fault)))
            }
            BatchFault::Header(_) | BatchFault::Cut | BatchFault::Index | BatchFault::Body(_) => {
                Ok(Why::Batch(fault))
            }
        }
    }

    /// Counts a whole batch.
    fn take(&mut self, at: &BatchAt, batch: &Batch<'_>) {
        let header = batch.header;
        let before = Predecessor {
            ends_after: self.last(),
            checksum: self.tip.unwrap_or(header.fields.previous_checksum),
        };
        self.last = Some(header.fields.sequence);
        self.tip = Some(header.checksum);
        self.chain = self.tip;
        self.end.checksum = self.tip;
        self.end.batches += 1;
        self.end.last_batch = Some(LastBatch {
            at: *at,
            header,
            before,
        });
        self.end.expiry_clock_s = self.end.expiry_clock_s.max(header.fields.expiry_clock_s);
        self.end.wall_us = header.fields.wall_us;
        self.end.resolved_upto = self.end.resolved_upto.max(header.fields.resolved_upto);
        if let Some(segment) = self.end.segments.last_mut() {
            let extent = &mut segment.extent;
            if extent.first > extent.last {
                extent.first = header.fields.sequence;
            }
            extent.last = header.fields.sequence;
            extent.bytes = at.offset + at.bytes as u64;
            extent.last_checksum = header.checksum;
        }
        (self.visit)(at, batch);
    }

    /// Goes on into a segment whose header is valid, if it follows what was read.
    fn enter(
        &mut self,
        entry: &SegmentEntry,
        header: &SegmentHeader,
        checksum: u32,
    ) -> Result<(), Halt> {
        let before = header.predecessor;
        let stated = before.map_or(Sequence::before_first(header.log.start), |before| {
            before.ends_after
        });
        let last = self.last.unwrap_or(stated);
        let stated_tip = before.map_or(0, |before| before.checksum);
        let same_header = self.tip.is_none_or(|tip| tip == stated_tip);
        let follows = stated == last && same_header;
        if !follows && !self.only_gaps_between(last, stated) {
            return Err(self.damage(entry.ordinal, 0, stated, Why::Predecessor));
        }
        self.last = Some(stated);
        self.tip = Some(stated_tip);
        self.chain = Some(checksum);
        self.end.segments.push(SegmentRead {
            ordinal: entry.ordinal,
            sealed: entry.state.extent().is_some(),
            extent: Extent {
                first: Sequence(stated.0 + 1),
                last: stated,
                bytes: BLOCK,
                last_checksum: stated_tip,
            },
            predecessor: before,
        });
        Ok(())
    }

    /// Whether all that is missing between two sequences was given up by an operator.
    fn only_gaps_between(&self, last: Sequence, stated: Sequence) -> bool {
        let mut at = last;
        while at < stated {
            match at.next().and_then(|next| self.gap(next)) {
                Some(gap) => at = gap.to.min(stated),
                None => return false,
            }
        }
        at == stated && last < stated
    }

    /// The ordinal of a segment to read.
    pub(super) fn ordinal(&self, index: usize) -> u32 {
        self.segments().get(index).map_or(0, |entry| entry.ordinal)
    }

    /// Damage at a position, with what is known of it.
    pub(super) fn damage(
        &self,
        ordinal: u32,
        offset: u64,
        durable_upto: Sequence,
        why: Why,
    ) -> Halt {
        Halt(Verdict::Damage(Damage {
            ordinal,
            offset,
            expected: self.expected().unwrap_or(self.last()),
            durable_upto,
            why,
        }))
    }

    /// The report.
    pub(super) fn into_end(mut self, verdict: Verdict) -> LogEnd {
        self.end.verdict = verdict;
        self.end.last = self.last();
        // Behind the last batch a segment that only its header names was not used.
        let idle = |read: &mut SegmentRead| !read.sealed && !read.holds_batches();
        while self.end.segments.pop_if(idle).is_some() {}
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

/// Up to where a log that has not ended was durable for certain: its bodies had their dispositions in it, or slices hold its
/// decisions. An ended log has an end mark instead.
fn floor(manifest: &Manifest, log: &LogEntry) -> Sequence {
    match log.ended_at {
        Some(_) => Sequence::default(),
        None => log
            .resolved_upto
            .max(manifest.covered_upto(log.id).unwrap_or_default()),
    }
}

/// What the manifest knows of the log before the first segment to read: its last sequence and that header's checksum.
fn known_before(log: &LogEntry, from: usize) -> (Option<Sequence>, Option<u32>) {
    let before = from
        .checked_sub(1)
        .and_then(|index| log.segments.get(index));
    if let Some(extent) = before.and_then(|entry| entry.state.extent()) {
        return (Some(extent.last), Some(extent.last_checksum));
    }
    match log.segments.get(from) {
        Some(entry) if entry.ordinal == 0 => (Some(Sequence::before_first(log.id.start)), Some(0)),
        _ => (None, None),
    }
}

/// The manifest calls a segment open once its first write was durable: the header, and a first batch. A quarantine may have
/// given up the batch, and all behind it; the header it has made anew.
fn was_entered(entry: &SegmentEntry) -> bool {
    entry.state == SegmentState::Open && !planted(Bug::OpenSegmentNoEvidence)
}

/// A segment that was entered and has no header of its own: damaged, whatever of its batches was given up. Reading stops at
/// its first byte for want of a header only.
pub(super) fn lacks_header(entry: &SegmentEntry, stop: &Stop) -> bool {
    stop.offset == 0 && was_entered(entry)
}

/// A read error is a verdict of its own.
pub(super) fn unreadable(entry: &SegmentEntry, errno: Errno) -> Halt {
    Halt(Verdict::Unreadable {
        ordinal: entry.ordinal,
        errno,
    })
}
