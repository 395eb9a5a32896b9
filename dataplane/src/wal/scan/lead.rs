//! The first block of a segment: whose header it is, and what it states of the segment before.

use super::reader::{Halt, LogReader, unreadable};
use super::report::{BatchAt, Unsupported, Verdict, Why};
use super::window::ReadAt;
use crate::planted::{Bug, planted};
use crate::wal::batch::Batch;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::SegmentEntry;
use crate::wal::segment::{Predecessor, SegmentFault, SegmentHeader};

/// What the first block of a segment is.
pub(super) enum Lead {
    /// This segment's header, with its checksum.
    Ours(SegmentHeader, u32),
    /// Anything else.
    Other(Why),
}

impl<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'_, R, V> {
    /// The end that the header of a later segment states for the segment before it.
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
            Err(fault @ SegmentFault::Version(_)) => Err(Halt(Verdict::Unsupported {
                ordinal: entry.ordinal,
                offset: 0,
                what: Unsupported::Segment(fault),
            })),
            Err(fault) => Ok(Lead::Other(Why::SegmentHeader(fault))),
        }
    }

    /// Whether the manifest names another segment under this salt: no file of an earlier life has that.
    pub(super) fn is_named_elsewhere(&self, entry: &SegmentEntry, salt: u64) -> bool {
        let other = |it: &SegmentEntry| it.salt == salt && it.file != entry.file;
        let looks = salt != entry.salt && !planted(Bug::MisplacedSegmentRead);
        looks && self.source.manifest.segments().any(|(_, it)| other(it))
    }

    /// Whose header this is.
    fn identify(
        &self,
        entry: &SegmentEntry,
        header: SegmentHeader,
        checksum: u32,
    ) -> Result<Lead, Halt> {
        let same_installation = header.installation == self.source.manifest.installation;
        if same_installation && header.generation > self.source.manifest.generation {
            return Err(Halt(Verdict::StaleManifest {
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
