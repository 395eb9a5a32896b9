//! Torn tail or damage: what lies behind the first position that does not hold the expected batch, and what it proves.
//! A position proves nothing by being empty. Headers behind it do, by what they say was durable and by where they stand;
//! and so does what the manifest knows: how far bodies were resolved, what slices hold, which segments were entered.

use super::BLOCK;
use super::lead::Lead;
use super::reader::{Halt, LogReader, Stop, lacks_header, unreadable};
use super::report::{BatchAt, Damage, Verdict, Why};
use super::window::{ReadAt, Window};
use crate::planted::{Bug, planted};
use crate::wal::batch::{BATCH_BYTES_MAX, Batch, BatchHeader};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::SegmentEntry;
use crate::wal::name::Sequence;
use crate::wal::segment::SegmentHeader;

/// What looking on behind a stop found.
#[derive(Default)]
struct Found {
    /// The largest sequence that anything here says was durable.
    durable_upto: Sequence,
    /// What a batch that stands behind another one in this segment says was durable. It was written only once the first
    /// write of the segment, which held the segment header, was durable.
    entered: Option<Sequence>,
    /// Bytes of blocks that are not zero within reach of one batch from the beginning.
    torn_bytes: u64,
    /// Bytes that the headers of this segment claim.
    begun_bytes: u64,
}

impl<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'_, R, V> {
    /// Torn tail or damage? Decided by the largest sequence that anything behind the stop says was durable.
    pub(super) async fn judge(
        &mut self,
        index: usize,
        stop: Stop,
        durable: Sequence,
    ) -> Result<Verdict, Halt> {
        let (ordinal, Some(expected)) = (self.ordinal(index), self.expected()) else {
            return Ok(Verdict::Whole);
        };
        let mut found = self.scan_ahead(index, stop.offset, expected).await?;
        found.durable_upto = found.durable_upto.max(durable).max(self.floor);
        let mut entered = None;
        for later in index + 1..self.segments().len() {
            let there = self.scan_ahead(later, 0, expected).await?;
            found.durable_upto = found.durable_upto.max(there.durable_upto);
            found.torn_bytes += there.begun_bytes;
            entered = entered.or(there.entered.map(|durable_upto| (later, durable_upto)));
        }
        let proven = found.durable_upto >= expected;
        if let Some((later, durable_upto)) = entered {
            let missing = match proven {
                true => (expected, found.durable_upto),
                false => (durable_upto, durable_upto),
            };
            self.refuse_lost_header(later, missing).await?;
        }
        // Not even its first batch need be missing: that one may have been given up.
        let entry = self.segment(index).map(|(entry, _)| entry);
        if proven || entry.is_some_and(|entry| lacks_header(entry, &stop)) {
            return Err(self.damage(ordinal, stop.offset, found.durable_upto, stop.why));
        }
        if found.torn_bytes == 0 {
            return Ok(Verdict::Whole);
        }
        Ok(Verdict::TornTail {
            ordinal,
            offset: stop.offset,
            bytes: found.torn_bytes,
        })
    }

    /// A later segment that was in use needs its header, which alone says where the segment before ends. After a failed
    /// write that one may hold a whole batch behind its end, so that nothing seems to be missing before the later batches.
    /// Whatever else is missing, that segment is damaged for certain, and the one before it perhaps not at all.
    async fn refuse_lost_header(
        &self,
        index: usize,
        (expected, durable_upto): (Sequence, Sequence),
    ) -> Result<(), Halt> {
        match self.lead(index).await? {
            Lead::Ours(..) => Ok(()),
            Lead::Other(why) => Err(Halt(Verdict::Damage(Damage {
                ordinal: self.ordinal(index),
                offset: 0,
                expected,
                durable_upto,
                why,
            }))),
        }
    }

    /// Looks at every block of a segment from `from` on for a header that belongs to it and says what was durable.
    async fn scan_ahead(&self, index: usize, from: u64, expected: Sequence) -> Result<Found, Halt> {
        let mut found = Found::default();
        let Some((entry, file)) = self.segment(index) else {
            return Ok(found);
        };
        let mut window = Window::new(file);
        let mut offset = from;
        let mut reach = from.saturating_add(BATCH_BYTES_MAX as u64);
        loop {
            let block = window.get(offset, BLOCK_BYTES).await;
            let Some(block) = block.map_err(|errno| unreadable(entry, errno))? else {
                return Ok(found);
            };
            let stops =
                planted(Bug::ScanStopsAtFirstBadHeader) && BatchHeader::decode(block).is_err();
            let zeros = planted(Bug::ZerosTakenForEnd) && block.iter().all(|&byte| byte == 0);
            if stops || zeros {
                return Ok(found);
            }
            if let Some(durable_upto) = self.durable_by(entry, block, expected) {
                found.durable_upto = found.durable_upto.max(durable_upto);
            }
            match begun(entry, block) {
                Begun::Ours(bytes, durable_upto) => {
                    found.begun_bytes += bytes;
                    found.entered = found.entered.or((offset > BLOCK).then_some(durable_upto));
                    reach = if offset == from { from + bytes } else { reach };
                }
                Begun::Other(salt) if self.is_named_elsewhere(entry, salt) => {
                    return Err(self.damage(entry.ordinal, offset, expected, Why::Misplaced));
                }
                Begun::Other(_) => reach = reach.min(offset),
                Begun::Nothing => {}
            }
            if offset < reach && block.iter().any(|&byte| byte != 0) {
                found.torn_bytes += BLOCK;
            }
            offset += BLOCK;
        }
    }

    /// What a block says was durable, if it is a header of this segment behind the expected position: a batch header by
    /// its field, the segment header by its statement about the segment before.
    fn durable_by(
        &self,
        entry: &SegmentEntry,
        block: &[u8],
        expected: Sequence,
    ) -> Option<Sequence> {
        if let Ok(header) = BatchHeader::decode(block) {
            let later = header.fields.sequence >= expected;
            let same_log = header.fields.sequence.start() == expected.start();
            let ours = header.fields.salt == entry.salt && same_log;
            return (ours && later).then_some(header.fields.durable_upto);
        }
        let (header, _) = SegmentHeader::decode(block).ok()?;
        let ours = header.salt == entry.salt && header.log == self.source.log.id;
        header
            .predecessor
            .filter(|_| ours)
            .map(|before| before.ends_after)
    }
}

/// What begins at a block.
enum Begun {
    /// A batch of this segment, of this length, and what it says was durable.
    Ours(u64, Sequence),
    /// A batch under another salt: mostly of an earlier life of the file.
    Other(u64),
    /// No batch.
    Nothing,
}

/// What begins at a block of a segment.
fn begun(entry: &SegmentEntry, block: &[u8]) -> Begun {
    match BatchHeader::decode(block) {
        Ok(header) if header.fields.salt == entry.salt => {
            Begun::Ours(header.bytes() as u64, header.fields.durable_upto)
        }
        Ok(header) => Begun::Other(header.fields.salt),
        Err(_) => Begun::Nothing,
    }
}
