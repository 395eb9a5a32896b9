//! The step from batch to batch within a segment: which batch must come next, whether it is there whole, and whether it counts.

use super::standing::{Depth, Found, LogTail, Standing, unreadable};
use super::{Missing, Source, TailError, WhyMissing};
use crate::wal::batch::{BatchFault, BatchHeader, read_batch_with, read_index};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, SegmentEntry, SegmentState};
use crate::wal::name::{Place, Sequence};
use crate::wal::record::ErasedBody;
use crate::wal::scan::{ReadAt, Unsupported, Why};
use crate::wal::segment::Predecessor;

/// One block, as offsets are counted.
const BLOCK: u64 = BLOCK_BYTES as u64;

/// What was passed.
pub(super) enum Passed {
    /// A batch that is not given: it was before, or it is a mark.
    Batch,
    /// The rest of the segment, which holds nothing more.
    Segment,
    /// There is something to say.
    Stop(Found),
}

/// What a position holds.
enum Position {
    /// The expected batch, whole as far as it was read.
    Whole(BatchHeader),
    /// Anything else; with the header of the expected batch, if that is there.
    Other(Why, Option<BatchHeader>),
}

impl<S: Source> LogTail<S> {
    /// Takes the next batch of the segment that is read.
    pub(super) async fn step(&mut self) -> Result<Passed, TailError> {
        let Some(mut at) = self.at.take() else {
            unreachable!("a segment was entered")
        };
        let passed = match at.entry.state {
            SegmentState::Closed(extent)
            | SegmentState::Packed(extent, _)
            | SegmentState::Last(extent) => self.step_closed(&mut at, &extent).await,
            SegmentState::Next | SegmentState::Open => self.step_unfinished(&mut at).await,
        };
        // After an error reading begins anew, from the cursor.
        if let Ok(Passed::Batch | Passed::Stop(_)) = passed {
            self.at = Some(at);
        }
        passed
    }

    /// In a segment whose extent the manifest states everything counts, and every deviation is damage.
    async fn step_closed(
        &mut self,
        at: &mut Standing<S::File>,
        extent: &Extent,
    ) -> Result<Passed, TailError> {
        if extent.first > extent.last || at.last.ends_after > extent.last {
            // Nothing in it counts; or what was read behind stands elsewhere now, or was the mark at the end of a log.
            return Ok(Passed::Segment);
        }
        if at.last.ends_after == extent.last {
            let end = Predecessor {
                ends_after: extent.last,
                checksum: extent.last_checksum,
            };
            return match at.offset == extent.bytes && at.last == end {
                true => Ok(Passed::Segment),
                false => Err(self.damage(&at.entry, at.offset, extent.last, Why::Extent)),
            };
        }
        if let Some(passed) = self.pass_gap(at, extent.last) {
            return Ok(passed);
        }
        let expected = expected(at);
        let bytes = extent.bytes.min(at.window.file_bytes());
        match self.look(at, expected, bytes).await? {
            Position::Whole(header) => Ok(self.pass(at, header)),
            Position::Other(why, _) => Err(self.damage(&at.entry, at.offset, expected, why)),
        }
    }

    /// In a segment that is not closed only that counts which something says was durable.
    async fn step_unfinished(&mut self, at: &mut Standing<S::File>) -> Result<Passed, TailError> {
        if at.stated.is_none() {
            at.stated = self.end_of(&at.entry).await?;
        }
        if let Some(stated) = at.stated.filter(|it| at.last.ends_after >= it.ends_after) {
            return match at.last.ends_after == stated.ends_after {
                true => Ok(Passed::Segment),
                false => {
                    let sequence = stated.ends_after;
                    Err(self.damage(&at.entry, at.offset, sequence, Why::Predecessor))
                }
            };
        }
        let upto = at.stated.map_or(Sequence(u64::MAX), |it| it.ends_after);
        if let Some(passed) = self.pass_gap(at, upto) {
            return Ok(passed);
        }
        let expected = expected(at);
        let bytes = at.window.file_bytes();
        // What was durable for certain before the position was looked at. A part of what one read gives may be older than another,
        // so that evidence found by the same read condemns nothing.
        let mut known = None;
        loop {
            let position = self.look(at, expected, bytes).await?;
            if let Position::Whole(header) | Position::Other(_, Some(header)) = &position {
                self.learn_from_behind(at, header);
            }
            let durable = self.durable(at).max(self.cursor.sequence);
            match (position, known) {
                (Position::Whole(header), _) if expected <= durable => {
                    return Ok(self.pass(at, header));
                }
                (Position::Other(why, _), Some(known)) if expected <= known => {
                    return Err(self.damage(&at.entry, at.offset, expected, why));
                }
                (_, Some(known)) if known == durable => {
                    return Ok(Passed::Stop(Found::NotYet));
                }
                _ => {}
            }
            at.stated = self.end_of(&at.entry).await?;
            at.window.forget();
            known = Some(self.durable(at).max(self.cursor.sequence));
        }
    }

    /// Where the segment behind says that this one ends.
    async fn end_of(&self, entry: &SegmentEntry) -> Result<Option<Predecessor>, TailError> {
        let segments = self.log().map_or(&[][..], |log| &log.segments);
        let behind = |it: &&SegmentEntry| Some(it.ordinal) == entry.ordinal.checked_add(1);
        match segments.iter().find(behind) {
            Some(next) => self.statement(next).await,
            None => Ok(None),
        }
    }

    /// Up to where a segment holds what was durable for certain. What its successor states bounds everything: behind that, a
    /// failed write may have left a whole batch, which stands in the successor again.
    fn durable(&self, at: &Standing<S::File>) -> Sequence {
        if let Some(stated) = at.stated {
            return stated.ends_after;
        }
        let resolved = self.log().map(|log| log.resolved_upto);
        let covered = self.manifest.covered_upto(self.cursor.log);
        let known = [resolved, covered, Some(self.durable_upto)];
        known.into_iter().flatten().max().unwrap_or_default()
    }

    /// Takes what the header of the batch behind another one says was durable.
    fn learn_from_behind(&mut self, at: &Standing<S::File>, header: &BatchHeader) {
        let behind = at.offset + header.bytes() as u64;
        let block = at.window.kept(behind, BLOCK_BYTES);
        let Some(Ok(next)) = block.map(BatchHeader::decode) else {
            return;
        };
        let follows = next.fields.salt == at.entry.salt
            && Some(next.fields.sequence) == header.fields.sequence.next()
            && next.fields.previous_checksum == header.checksum;
        if follows {
            self.durable_upto = self.durable_upto.max(next.fields.durable_upto);
        }
    }

    /// Steps over what an operator gave up, up to a sequence.
    fn pass_gap(&mut self, at: &mut Standing<S::File>, upto: Sequence) -> Option<Passed> {
        let next = at.last.ends_after.next()?;
        let gap = self.manifest.gap(self.cursor.log, next)?;
        let to = gap.to.min(upto);
        at.last.ends_after = to;
        at.is_chained = false;
        let from = next.max(self.next_sequence());
        if from > to {
            return Some(Passed::Batch);
        }
        self.cursor.sequence = to;
        let why = WhyMissing::GivenUp;
        Some(Passed::Stop(Found::Missing(Missing { from, to, why })))
    }

    /// Looks whether the expected batch is at a position.
    async fn look(
        &self,
        at: &mut Standing<S::File>,
        expected: Sequence,
        bytes: u64,
    ) -> Result<Position, TailError> {
        let other = |why| Ok(Position::Other(why, None));
        let cut = other(Why::Batch(BatchFault::Cut));
        let (entry, offset) = (at.entry, at.offset);
        if offset + BLOCK > bytes {
            return cut;
        }
        let block = at.window.get(offset, BLOCK_BYTES).await;
        let Some(block) = block.map_err(|errno| unreadable(&entry, errno))? else {
            return cut;
        };
        let header = match BatchHeader::decode(block) {
            Ok(header) => header,
            Err(fault) => return other(Why::Batch(BatchFault::Header(fault))),
        };
        let fields = &header.fields;
        let follows = !at.is_chained || fields.previous_checksum == at.last.checksum;
        if fields.salt != entry.salt || fields.sequence != expected || !follows {
            return other(Why::NotExpected);
        }
        if expected <= self.cursor.sequence {
            return Ok(Position::Whole(header)); // it was given, or passed
        }
        if offset + header.bytes() as u64 > bytes {
            return cut;
        }
        let wanted = self.bytes_read(&header);
        // With the header behind, if there is room for one.
        let with_next = header.bytes() + BLOCK_BYTES;
        let behind = at.window.get(offset, with_next).await;
        let has_next = behind.map_err(|errno| unreadable(&entry, errno))?.is_some();
        let batch = match has_next {
            true => at.window.kept(offset, wanted),
            false => {
                let alone = at.window.get(offset, wanted).await;
                alone.map_err(|errno| unreadable(&entry, errno))?
            }
        };
        let Some(batch) = batch else { return cut };
        match self.verify(batch) {
            Ok(()) => Ok(Position::Whole(header)),
            Err(BatchFault::Record(unknown)) if unknown.is_newer() => Err(TailError::Newer(
                NumberedFile::Segment(entry.file),
                Unsupported::Record(unknown),
            )),
            Err(fault) => Ok(Position::Other(Why::Batch(fault), Some(header))),
        }
    }

    fn verify(&self, batch: &[u8]) -> Result<(), BatchFault> {
        let log = self.cursor.log;
        let is_erased = |sequence, index| {
            let body = Place { sequence, index };
            self.erased.contains(&ErasedBody { log, body })
        };
        match self.depth {
            Depth::Whole => read_batch_with(batch, is_erased).map(drop),
            Depth::Index => {
                let mut records = read_index(batch)?.records();
                records.try_for_each(|record| record.map(drop).map_err(BatchFault::Record))
            }
        }
    }

    /// Goes on behind a batch that counts, and gives it if it is new and holds records.
    fn pass(&mut self, at: &mut Standing<S::File>, header: BatchHeader) -> Passed {
        let offset = at.offset;
        let sequence = header.fields.sequence;
        self.durable_upto = self.durable_upto.max(header.fields.durable_upto);
        at.offset += header.bytes() as u64;
        at.last = Predecessor {
            ends_after: sequence,
            checksum: header.checksum,
        };
        at.is_chained = true;
        if sequence <= self.cursor.sequence {
            return Passed::Batch;
        }
        self.cursor.sequence = sequence;
        if header.is_mark() {
            return Passed::Batch;
        }
        at.given = Some((offset, header));
        Passed::Stop(Found::Batch)
    }
}

/// The sequence that must come next; gaps were passed.
fn expected<F: ReadAt>(at: &Standing<F>) -> Sequence {
    let last = at.last.ends_after;
    last.next().unwrap_or(last)
}
