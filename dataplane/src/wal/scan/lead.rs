//! The first block of a segment: whether it is the segment's own header, and where that says that the segment before ends.

use super::reading::{Halt, LogReader, unreadable};
use super::report::{BatchAt, LogVerdict, Unsupported, Why};
use super::window::ReadAt;
use crate::planted::{Bug, planted};
use crate::wal::batch::Batch;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::SegmentEntry;
use crate::wal::segment::{Predecessor, SegmentFault, SegmentHeader};

/// What the first block of a segment holds.
pub(super) enum Lead {
    /// The segment's own header, with its checksum.
    Ours(SegmentHeader, u32),
    /// Anything else, and why it is not that header.
    Other(Why),
}

impl<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'_, R, V> {
    /// Where the header of a segment says that the one before it ends; nothing without a header of its own.
    pub(super) async fn statement(&self, index: usize) -> Result<Option<Predecessor>, Halt> {
        match self.segment(index) {
            Some(_) => match self.lead(index).await? {
                Lead::Ours(header, _) => Ok(header.predecessor),
                Lead::Other(_) => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Reads the first block of a segment.
    pub(super) async fn lead(&self, index: usize) -> Result<Lead, Halt> {
        let Some((entry, file)) = self.segment(index) else {
            return Ok(Lead::Other(Why::SegmentHeader(SegmentFault::Short)));
        };
        let block = file
            .read_at(0, BLOCK_BYTES)
            .await
            .map_err(|errno| unreadable(entry, errno))?;
        match SegmentHeader::decode(&block) {
            Ok((header, checksum)) => self.identify(entry, header, checksum),
            Err(fault @ SegmentFault::Version(_)) => Err(Halt(LogVerdict::Unsupported {
                ordinal: entry.ordinal,
                offset: 0,
                what: Unsupported::Segment(fault),
            })),
            Err(fault) => Ok(Lead::Other(Why::SegmentHeader(fault))),
        }
    }

    /// Whether the manifest names another segment with this salt. What an earlier use of the file left has no such salt.
    pub(super) fn is_named_elsewhere(&self, entry: &SegmentEntry, salt: u64) -> bool {
        let other = |it: &SegmentEntry| it.salt == salt && it.file != entry.file;
        let looks = salt != entry.salt && !planted(Bug::MisplacedSegmentRead);
        looks && self.source.manifest.segments().any(|(_, it)| other(it))
    }

    /// Whether a valid header is this segment's own. One that only has its salt, or belongs elsewhere, is damage.
    fn identify(
        &self,
        entry: &SegmentEntry,
        header: SegmentHeader,
        checksum: u32,
    ) -> Result<Lead, Halt> {
        let same_installation = header.installation == self.source.manifest.installation;
        let node = header.labels.node;
        let same_node = node.is_none_or(|node| node == self.source.manifest.node);
        let is_later = header.generation > self.source.manifest.generation;
        if same_installation && same_node && is_later {
            return Err(Halt(LogVerdict::StaleManifest {
                ordinal: entry.ordinal,
                generation: header.generation,
            }));
        }
        if same_installation && self.is_named_elsewhere(entry, header.salt) {
            return Err(self.damage(entry.ordinal, 0, self.cursor.last(), Why::Misplaced));
        }
        if header.salt != entry.salt && !planted(Bug::RecycledBatchReplayed) {
            return Ok(Lead::Other(Why::OtherSalt));
        }
        let ours = same_installation
            && header.incarnation == self.source.log.incarnation
            && header.log == self.source.log.id
            && header.ordinal == entry.ordinal
            && header.generation == entry.generation;
        if !ours {
            return Err(self.damage(entry.ordinal, 0, self.cursor.last(), Why::Identity));
        }
        Ok(Lead::Ours(header, checksum))
    }
}
