//! Looking ahead of a position that does not hold the expected batch: at every block from there to the end of the segment, and
//! in the segments named after it, for headers that say what was durable. It gathers evidence and concludes nothing.

use super::BLOCK;
use super::lead::Lead;
use super::reading::{Halt, LogReader, unreadable};
use super::report::{BatchAt, Why};
use super::window::{ReadAt, Window};
use crate::wal::batch::{BATCH_BYTES_MAX, Batch, BatchHeader};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::SegmentEntry;
use crate::wal::name::Sequence;
use crate::wal::segment::SegmentHeader;

/// What lies ahead of a stop.
#[derive(Default)]
pub(super) struct Ahead {
    /// The largest sequence that any header says was durable.
    pub(super) durable_upto: Sequence,
    /// At most this many bytes of writes were begun: blocks that are not zero within reach of one batch from the stop, and
    /// what headers in later segments claim.
    pub(super) torn_bytes: u64,
    /// A later segment that was in use and lacks its header.
    pub(super) lost_header: Option<LostHeader>,
}

/// A segment with a batch behind its first write, which held the segment header, and without that header.
pub(super) struct LostHeader {
    pub(super) ordinal: u32,
    /// What is there instead.
    pub(super) why: Why,
    /// What the batch says was durable.
    pub(super) durable_upto: Sequence,
}

/// What was found in one segment.
struct Found {
    durable_upto: Sequence,
    /// What the first batch that stands behind another one says was durable. It was written only once the first write of the
    /// segment was durable.
    entered: Option<Sequence>,
    /// Bytes of blocks that are not zero within reach.
    torn_bytes: u64,
    /// Bytes that the headers of this segment claim.
    begun_bytes: u64,
    /// Where the batch that may have been begun at the stop ends at the latest.
    reach: u64,
}

/// What begins at a block.
enum Begun {
    /// A batch of this segment, of this length, and what it says was durable.
    Ours { bytes: u64, durable_upto: Sequence },
    /// A batch under another salt: mostly of an earlier life of the file.
    Other { salt: u64 },
    /// No batch.
    Nothing,
}

impl<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'_, R, V> {
    /// Looks from a position in a segment to the end of the log.
    pub(super) async fn look_ahead(
        &self,
        index: usize,
        from: u64,
        expected: Sequence,
    ) -> Result<Ahead, Halt> {
        let here = self.look_through(index, from, expected).await?;
        let mut ahead = Ahead {
            durable_upto: here.durable_upto,
            torn_bytes: here.torn_bytes,
            lost_header: None,
        };
        for later in index + 1..self.segments().len() {
            let there = self.look_through(later, 0, expected).await?;
            ahead.durable_upto = ahead.durable_upto.max(there.durable_upto);
            ahead.torn_bytes += there.begun_bytes;
            if let (None, Some(durable_upto)) = (&ahead.lost_header, there.entered) {
                ahead.lost_header = self.lost_header(later, durable_upto).await?;
            }
        }
        Ok(ahead)
    }

    /// Whether a segment that was in use lacks its header.
    async fn lost_header(
        &self,
        index: usize,
        durable_upto: Sequence,
    ) -> Result<Option<LostHeader>, Halt> {
        let Some((entry, _)) = self.segment(index) else {
            return Ok(None);
        };
        Ok(match self.lead(index).await? {
            Lead::Ours(..) => None,
            Lead::Other(why) => Some(LostHeader {
                ordinal: entry.ordinal,
                why,
                durable_upto,
            }),
        })
    }

    /// Looks at every block of a segment from `from` on.
    async fn look_through(
        &self,
        index: usize,
        from: u64,
        expected: Sequence,
    ) -> Result<Found, Halt> {
        let mut found = Found::from(from);
        let Some((entry, file)) = self.segment(index) else {
            return Ok(found);
        };
        let mut window = Window::new(file);
        let mut offset = from;
        loop {
            let block = window.get(offset, BLOCK_BYTES).await;
            let Some(block) = block.map_err(|errno| unreadable(entry, errno))? else {
                return Ok(found);
            };
            #[cfg(feature = "planted-bugs")]
            if super::mistakes::ends_early_if_planted(block) {
                return Ok(found);
            }
            let durable_upto = self.durable_by(entry, block, expected);
            found.durable_upto = found.durable_upto.max(durable_upto.unwrap_or_default());
            let begun = begun(entry, block);
            if let Begun::Other { salt } = begun
                && self.is_named_elsewhere(entry, salt)
            {
                return Err(self.damage(entry.ordinal, offset, expected, Why::Misplaced));
            }
            found.count(offset, from, &begun, block);
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
        let before = header.predecessor.filter(|_| ours);
        before.map(|before| before.ends_after)
    }
}

impl Found {
    /// Nothing yet. A batch that was begun at a position reaches no further than the largest one.
    fn from(offset: u64) -> Found {
        Found {
            durable_upto: Sequence::default(),
            entered: None,
            torn_bytes: 0,
            begun_bytes: 0,
            reach: offset.saturating_add(BATCH_BYTES_MAX as u64),
        }
    }

    /// Counts what a block is of a write that was begun at `from`.
    fn count(&mut self, offset: u64, from: u64, begun: &Begun, block: &[u8]) {
        match *begun {
            Begun::Ours {
                bytes,
                durable_upto,
            } => {
                self.begun_bytes += bytes;
                // At the first block behind the segment header stands the batch of the first write itself.
                let behind_another = offset > BLOCK;
                self.entered = self.entered.or(behind_another.then_some(durable_upto));
                if offset == from {
                    self.reach = from + bytes;
                }
            }
            // What an earlier life of the file left was not begun now.
            Begun::Other { .. } => self.reach = self.reach.min(offset),
            Begun::Nothing => {}
        }
        if offset < self.reach && block.iter().any(|&byte| byte != 0) {
            self.torn_bytes += BLOCK;
        }
    }
}

/// What begins at a block of a segment.
fn begun(entry: &SegmentEntry, block: &[u8]) -> Begun {
    match BatchHeader::decode(block) {
        Ok(header) if header.fields.salt == entry.salt => Begun::Ours {
            bytes: header.bytes() as u64,
            durable_upto: header.fields.durable_upto,
        },
        Ok(header) => Begun::Other {
            salt: header.fields.salt,
        },
        Err(_) => Begun::Nothing,
    }
}
