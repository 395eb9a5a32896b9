//! The naive twin of the reader of logs: the whole log is in memory, without windows, and the only state is a list of what
//! counts. A property compares both over random logs.

use super::report::{LogVerdict, Why};
use crate::wal::batch::{BatchHeader, read_batch};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::segment::{Predecessor, SegmentHeader};

/// What the twin finds, in terms that both can be compared by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Class {
    Sound,
    Damage(u32),
    Stale,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) class: Class,
    pub(super) batches: Vec<(u32, u64, Sequence)>,
}

impl Class {
    pub(super) fn of(verdict: &LogVerdict) -> Class {
        match verdict {
            LogVerdict::Whole | LogVerdict::TornTail { .. } => Class::Sound,
            LogVerdict::Damage(damage) => {
                assert!(damage.why != Why::Full, "the log is never full here");
                Class::Damage(damage.ordinal)
            }
            LogVerdict::StaleManifest { .. } => Class::Stale,
            other => panic!("never here: {other}"),
        }
    }
}

/// The header of a segment, if it is valid and its own, with its checksum.
fn header(entry: &SegmentEntry, file: &[u8]) -> Option<(SegmentHeader, u32)> {
    let (header, checksum) = SegmentHeader::decode(file).ok()?;
    (header.salt == entry.salt).then_some((header, checksum))
}

/// Reads a log from its first segment on. Gaps and deleted beginnings are not for the twin.
pub(super) fn read(manifest: &Manifest, log: &LogEntry, files: &[Vec<u8>]) -> Finding {
    let mut twin = Twin {
        manifest,
        log,
        all: log.segments.iter().zip(files).collect(),
        batches: Vec::new(),
        end: Predecessor {
            ends_after: Sequence::before_first(log.id.start),
            checksum: 0,
        },
    };
    let mut each = 0..twin.all.len();
    let class = each.find_map(|index| twin.segment(index));
    Finding {
        class: class.unwrap_or(Class::Sound),
        batches: twin.batches,
    }
}

/// A log in memory, and what of it counts so far.
struct Twin<'a> {
    manifest: &'a Manifest,
    log: &'a LogEntry,
    all: Vec<(&'a SegmentEntry, &'a Vec<u8>)>,
    batches: Vec<(u32, u64, Sequence)>,
    end: Predecessor,
}

impl Twin<'_> {
    /// Reads a segment. What it finds ends the log; nothing: the log goes on in the next segment.
    fn segment(&mut self, index: usize) -> Option<Class> {
        let (entry, file) = self.all[index];
        let damage = Some(Class::Damage(entry.ordinal));
        if SegmentHeader::decode(file)
            .is_ok_and(|(header, _)| header.generation > self.manifest.generation)
        {
            return Some(Class::Stale);
        }
        let extent = entry.state.extent();
        if let Some(empty) = extent.filter(|extent| extent.first > extent.last) {
            let same =
                (empty.last, empty.last_checksum) == (self.end.ends_after, self.end.checksum);
            return if same { None } else { damage };
        }
        let stated = self.stated_behind(index);
        let before = self.end;
        let own = header(entry, file);
        if own.is_some_and(|(own, _)| own.ordinal > 0 && own.predecessor != Some(before)) {
            return damage;
        }
        // Where must this segment end?
        let must = extent
            .map(|extent| extent.last)
            .or(stated.map(|stated| stated.ends_after));
        let offset = own.map_or(0, |(_, checksum)| self.walk(index, checksum, must));
        // A segment is called open once its first batch was durable.
        let lacks_first = entry.state == SegmentState::Open && self.end == before;
        let made_bytes = own.and_then(|(own, _)| own.made_bytes);
        let cut = made_bytes.is_some_and(|bytes| bytes > file.len() as u64);
        match (extent, stated) {
            (Some(extent), _) => {
                let end = (self.end.ends_after, self.end.checksum);
                let exact = own.is_some()
                    && end == (extent.last, extent.last_checksum)
                    && offset as u64 == extent.bytes
                    && extent.first.0 == before.ends_after.0 + 1;
                if exact { None } else { damage }
            }
            (None, _) if cut => damage,
            (None, Some(stated)) if stated == self.end && !lacks_first => None,
            (None, Some(_)) => damage,
            (None, None) => Some(self.judge(index, offset, lacks_first)),
        }
    }

    /// Where the header of the next segment says that this one ends, unless the manifest says it.
    fn stated_behind(&self, index: usize) -> Option<Predecessor> {
        let (entry, file) = self.all.get(index + 1)?;
        let (header, _) = header(entry, file).filter(|_| entry.state.extent().is_none())?;
        header.predecessor
    }

    /// Takes the batches of a segment up to where it must end, and returns the first position that was not taken.
    fn walk(&mut self, index: usize, header_checksum: u32, must: Option<Sequence>) -> usize {
        let (entry, file) = self.all[index];
        let extent = entry.state.extent();
        let limit = extent.map_or(file.len(), |extent| extent.bytes as usize);
        let limit = limit.min(file.len());
        let mut chain = header_checksum;
        let mut offset = BLOCK_BYTES;
        while must != Some(self.end.ends_after) {
            let Ok(batch) = read_batch(&file[offset.min(limit)..limit]) else {
                break;
            };
            let fields = batch.header.fields;
            let follows = fields.sequence.0 == self.end.ends_after.0 + 1
                && fields.previous_checksum == chain
                && fields.salt == entry.salt
                && offset + batch.header.bytes() <= limit;
            if !follows {
                break;
            }
            self.batches
                .push((entry.ordinal, offset as u64, fields.sequence));
            self.end = Predecessor {
                ends_after: fields.sequence,
                checksum: batch.header.checksum,
            };
            chain = batch.header.checksum;
            offset += batch.header.bytes();
        }
        offset
    }

    /// What a position means that does not hold the expected batch, where no later header says where the segment ends.
    fn judge(&self, index: usize, offset: usize, lacks_first: bool) -> Class {
        let end = self.end.ends_after;
        let mut durable = self.log.resolved_upto;
        if lacks_first {
            durable = durable.max(Sequence(end.0 + 1));
        }
        for (at, (entry, file)) in self.all.iter().enumerate().skip(index) {
            // Behind the first write of a segment a batch proves that it, header included, was durable.
            let entered = blocks_from(file, 2 * BLOCK_BYTES)
                .filter_map(|block| BatchHeader::decode(block).ok())
                .any(|found| found.fields.salt == entry.salt);
            if at > index && entered && header(entry, file).is_none() {
                return Class::Damage(entry.ordinal);
            }
        }
        for (at, (entry, file)) in self.all.iter().enumerate().skip(index) {
            for block in blocks_from(file, if at == index { offset } else { 0 }) {
                if let Ok(found) = BatchHeader::decode(block)
                    && found.fields.salt == entry.salt
                    && found.fields.sequence > end
                {
                    durable = durable.max(found.fields.durable_upto);
                }
                if at > index + 1
                    && let Some((header, _)) = header(entry, block)
                    && let Some(before) = header.predecessor
                {
                    durable = durable.max(before.ends_after);
                }
            }
        }
        match durable > end {
            true => Class::Damage(self.all[index].0.ordinal),
            false => Class::Sound,
        }
    }
}

/// The blocks of a file from an offset on.
fn blocks_from(file: &[u8], offset: usize) -> impl Iterator<Item = &[u8]> {
    file[offset.min(file.len())..].chunks(BLOCK_BYTES)
}
