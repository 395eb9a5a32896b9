//! Which segment holds what is behind the cursor, and what lies between. Segments that hold nothing behind it are passed
//! unread.

use super::standing::{Found, LogTail, Standing, unreadable};
use super::{Missing, Source, TailError, WhyMissing};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::packed::SegmentFile;
use crate::wal::scan::{ReadAt, Unsupported, Why, Window};
use crate::wal::segment::{Predecessor, SegmentFault, SegmentHeader};

/// What was found in front of the next batch.
pub(super) enum Entered {
    /// A segment that may hold it, up to its beginning.
    Segment,
    /// Anything else.
    Other(Found),
}

/// An open segment, and its own header with its checksum, or what is there instead.
type Opened<F> = (SegmentFile<F>, Result<(SegmentHeader, u32), Why>);

/// Whether the log has batches before a place where batches are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// All that was before it was deleted.
    Nothing,
    /// There are some, so that nothing between them and the place can have been deleted.
    Batches,
}

impl Before {
    /// Of the segments that the manifest names before the place.
    fn of(segments: &[SegmentEntry]) -> Before {
        match segments.iter().all(is_empty) {
            true => Before::Nothing,
            false => Before::Batches,
        }
    }
}

impl<S: Source> LogTail<S> {
    /// Goes to the segment that holds what is behind the cursor.
    pub(super) async fn enter(&mut self) -> Result<Entered, TailError> {
        let Some(log) = self.log() else {
            return Ok(Entered::Other(self.deleted_log()));
        };
        let (segments, ended_at) = (log.segments.clone(), log.ended_at);
        for (index, entry) in segments.iter().enumerate() {
            if self.is_passed(entry, segments.get(index + 1)).await? {
                continue;
            }
            let (file, header) = self.open(entry).await?;
            let (header, checksum) = match (header, entry.state) {
                (Ok(header), _) => header,
                // Named ahead, and not used yet.
                (Err(_), SegmentState::Next) => return Ok(Entered::Other(Found::NotYet)),
                (Err(why), _) => return Err(self.damage(entry, 0, self.next_sequence(), why)),
            };
            let begin = header.predecessor.map_or_else(
                || Sequence::before_first(header.log.start),
                |before| before.ends_after,
            );
            let before = Before::of(&segments[..index]);
            if let Some(missing) = self.missing_upto(begin, before) {
                return missing
                    .map(Entered::Other)
                    .map_err(|why| self.damage(entry, 0, self.next_sequence(), why));
            }
            self.at = Some(Standing {
                entry: *entry,
                window: Window::new(file),
                offset: BLOCK_BYTES as u64,
                last: Predecessor {
                    ends_after: begin,
                    checksum,
                },
                is_chained: true,
                stated: None,
                given: None,
            });
            return Ok(Entered::Segment);
        }
        let Some(mark) = ended_at else {
            return Ok(Entered::Other(Found::NotYet));
        };
        let before = Before::of(&segments);
        match (self.missing_upto(mark.sequence, before), segments.last()) {
            (None, _) => Ok(Entered::Other(Found::End)),
            (Some(Err(_)), Some(entry)) => {
                Err(self.damage(entry, 0, self.next_sequence(), Why::EndMark))
            }
            (Some(missing), _) => Ok(Entered::Other(missing.unwrap_or(Found::End))),
        }
    }

    /// Whether nothing behind the cursor is in a segment, as the manifest or the header behind it states.
    async fn is_passed(
        &self,
        entry: &SegmentEntry,
        next: Option<&SegmentEntry>,
    ) -> Result<bool, TailError> {
        if let Some(extent) = entry.state.extent() {
            return Ok(is_empty(entry) || extent.last <= self.cursor.sequence);
        }
        let stated = match next {
            Some(next) => self.statement(next).await?,
            None => None,
        };
        Ok(stated.is_some_and(|stated| stated.ends_after <= self.cursor.sequence))
    }

    /// Where the header of a segment says that the one before it ends; nothing without a header of its own.
    pub(super) async fn statement(
        &self,
        entry: &SegmentEntry,
    ) -> Result<Option<Predecessor>, TailError> {
        let (_, header) = self.open(entry).await?;
        Ok(header.ok().and_then(|(header, _)| header.predecessor))
    }

    /// Opens a segment and reads its own header, or what is there instead.
    async fn open(&self, entry: &SegmentEntry) -> Result<Opened<S::File>, TailError> {
        let file = self.source.segment(entry.file).await;
        let file = file.map_err(|errno| unreadable(entry, errno))?;
        let file = SegmentFile::new(file, entry);
        let block = file.read_at(0, BLOCK_BYTES).await;
        let block = block.map_err(|errno| unreadable(entry, errno))?;
        let header = match SegmentHeader::decode(&block) {
            Ok((header, checksum)) => match self.identify(entry, &header)? {
                true => Ok((header, checksum)),
                false => Err(Why::OtherSalt),
            },
            Err(fault @ SegmentFault::Version(_)) => {
                let file = NumberedFile::Segment(entry.file);
                return Err(TailError::Newer(file, Unsupported::Segment(fault)));
            }
            Err(fault) => Err(Why::SegmentHeader(fault)),
        };
        Ok((file, header))
    }

    /// Whether a valid header is this segment's own. One of an earlier life of the file is not.
    fn identify(&self, entry: &SegmentEntry, header: &SegmentHeader) -> Result<bool, TailError> {
        let same_installation = header.installation == self.manifest.installation;
        let node = header.labels.node;
        let same_node = node.is_none_or(|node| node == self.manifest.node);
        if same_installation && same_node && header.generation > self.manifest.generation {
            return Err(TailError::StaleManifest(NumberedFile::Segment(entry.file)));
        }
        if header.salt != entry.salt {
            return Ok(false);
        }
        let ours = same_installation
            && header.incarnation == self.cursor.incarnation
            && header.log == self.cursor.log
            && header.ordinal == entry.ordinal
            && header.generation == entry.generation;
        match ours {
            true => Ok(true),
            false => Err(self.damage(entry, 0, self.next_sequence(), Why::Identity)),
        }
    }

    /// What lies between the cursor and what can be read, if anything does, and passes over it.
    fn missing_upto(&mut self, upto: Sequence, before: Before) -> Option<Result<Found, Why>> {
        let from = self.cursor.sequence.next().filter(|from| *from <= upto)?;
        let why = match (self.is_given_up(from, upto), before) {
            (true, _) => WhyMissing::GivenUp,
            (false, Before::Nothing) => WhyMissing::Deleted,
            (false, Before::Batches) => return Some(Err(Why::Predecessor)),
        };
        self.cursor.sequence = upto;
        let to = upto;
        Some(Ok(Found::Missing(Missing { from, to, why })))
    }

    /// Whether an operator gave up all of these.
    fn is_given_up(&self, from: Sequence, to: Sequence) -> bool {
        let mut next = Some(from);
        while let Some(at) = next.filter(|at| *at <= to) {
            match self.manifest.gap(self.cursor.log, at) {
                Some(gap) => next = gap.to.next(),
                None => return false,
            }
        }
        true
    }

    /// The manifest does not name the log any more: slices tell how far it went.
    fn deleted_log(&mut self) -> Found {
        let covered = self.manifest.covered_upto(self.cursor.log);
        match covered.map(|upto| self.missing_upto(upto, Before::Nothing)) {
            Some(Some(Ok(missing))) => missing,
            _ => Found::End,
        }
    }

    /// The sequence behind the cursor.
    pub(super) fn next_sequence(&self) -> Sequence {
        self.cursor.sequence.next().unwrap_or(self.cursor.sequence)
    }
}

/// Whether the manifest says that no batch of a segment counts.
fn is_empty(entry: &SegmentEntry) -> bool {
    let extent = entry.state.extent();
    extent.is_some_and(|extent| extent.first > extent.last)
}
