//! The reader of logs, said plainly: the whole log in memory, no windows, no state but a list of what counts. Compared
//! with the real one over random logs.

use super::report::{Verdict, Why};
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
    pub(super) fn of(verdict: &Verdict) -> Class {
        match verdict {
            Verdict::Whole | Verdict::TornTail { .. } => Class::Sound,
            Verdict::Damage(damage) => {
                assert!(damage.why != Why::Full, "the log is never full here");
                Class::Damage(damage.ordinal)
            }
            Verdict::StaleManifest { .. } => Class::Stale,
            other => panic!("never here: {other}"),
        }
    }
}

/// The header of a segment, if it is valid and its own.
fn header<'a>(entry: &SegmentEntry, file: &'a [u8]) -> Option<(SegmentHeader, u32, &'a [u8])> {
    let (header, checksum) = SegmentHeader::decode(file).ok()?;
    (header.salt == entry.salt).then_some((header, checksum, file))
}

/// Reads a log from its first segment on. Gaps and deleted beginnings are not for the twin.
pub(super) fn read(manifest: &Manifest, log: &LogEntry, files: &[Vec<u8>]) -> Finding {
    let mut batches: Vec<(u32, u64, Sequence)> = Vec::new();
    let mut end = Predecessor {
        ends_after: Sequence::before_first(log.id.start),
        checksum: 0,
    };
    let all: Vec<_> = log.segments.iter().zip(files).collect();
    for (index, (entry, file)) in all.iter().enumerate() {
        if let Ok((header, _)) = SegmentHeader::decode(file)
            && header.generation > manifest.generation
        {
            return Finding {
                class: Class::Stale,
                batches,
            };
        }
        let damage = Class::Damage(entry.ordinal);
        let own = header(entry, file);
        let stated = all
            .get(index + 1)
            .filter(|(next, _)| next.state.extent().is_none())
            .and_then(|(next, file)| header(next, file))
            .and_then(|(header, ..)| header.predecessor);
        if let Some(extent) = entry.state.extent()
            && extent.first > extent.last
        {
            if (extent.last, extent.last_checksum) != (end.ends_after, end.checksum) {
                return Finding {
                    class: damage,
                    batches,
                };
            }
            continue;
        }
        // Where must this segment end?
        let must = match entry.state.extent() {
            Some(extent) => Some(extent.last),
            None => stated.map(|stated| stated.ends_after),
        };
        let before = end;
        let mut offset = 0;
        if let Some((header, checksum, _)) = own {
            if header.ordinal > 0 && header.predecessor != Some(before) {
                return Finding {
                    class: damage,
                    batches,
                };
            }
            let mut chain = checksum;
            offset = BLOCK_BYTES;
            while must != Some(end.ends_after) {
                let limit = entry
                    .state
                    .extent()
                    .map_or(file.len(), |extent| extent.bytes as usize)
                    .min(file.len());
                let Ok(batch) = read_batch(&file[offset.min(limit)..limit]) else {
                    break;
                };
                let fields = batch.header.fields;
                let follows = fields.sequence.0 == end.ends_after.0 + 1
                    && fields.previous_checksum == chain
                    && fields.salt == entry.salt
                    && offset + batch.header.bytes() <= limit;
                if !follows {
                    break;
                }
                batches.push((entry.ordinal, offset as u64, fields.sequence));
                end = Predecessor {
                    ends_after: fields.sequence,
                    checksum: batch.header.checksum,
                };
                chain = batch.header.checksum;
                offset += batch.header.bytes();
            }
            let cut = header
                .made_bytes
                .is_some_and(|bytes| bytes > file.len() as u64);
            if entry.state.extent().is_none() && cut {
                return Finding {
                    class: damage,
                    batches,
                };
            }
        }
        let first = Sequence(before.ends_after.0 + 1);
        // A segment is called open once its first batch was durable.
        let must_hold_first = entry.state == SegmentState::Open && end == before;
        match (entry.state.extent(), stated) {
            (Some(extent), _) => {
                let exact = own.is_some()
                    && end.ends_after == extent.last
                    && end.checksum == extent.last_checksum
                    && offset as u64 == extent.bytes
                    && extent.first == first;
                if !exact {
                    return Finding {
                        class: damage,
                        batches,
                    };
                }
            }
            (None, Some(stated)) => {
                if stated != end || must_hold_first {
                    return Finding {
                        class: damage,
                        batches,
                    };
                }
            }
            (None, None) => {
                let mut durable = log.resolved_upto;
                if must_hold_first {
                    durable = durable.max(first);
                }
                let mut lost_header = None;
                for (at, (later, file)) in all.iter().enumerate().skip(index) {
                    let from = if at == index { offset } else { 0 };
                    // Behind the first write of a segment a batch proves that it, header included, was durable.
                    let behind = file.chunks(BLOCK_BYTES).skip(2);
                    let entered = behind
                        .filter_map(|block| BatchHeader::decode(block).ok())
                        .any(|found| found.fields.salt == later.salt);
                    if at > index && entered && header(later, file).is_none() {
                        lost_header = lost_header.or(Some(later.ordinal));
                    }
                    for block in file[from..].chunks(BLOCK_BYTES) {
                        if let Ok(found) = BatchHeader::decode(block)
                            && found.fields.salt == later.salt
                            && found.fields.sequence > end.ends_after
                        {
                            durable = durable.max(found.fields.durable_upto);
                        }
                        if at > index + 1
                            && let Some((header, ..)) = header(later, block)
                            && let Some(before) = header.predecessor
                        {
                            durable = durable.max(before.ends_after);
                        }
                    }
                }
                let class = match lost_header {
                    Some(ordinal) => Class::Damage(ordinal),
                    None if durable > end.ends_after => damage,
                    None => Class::Sound,
                };
                return Finding { class, batches };
            }
        }
    }
    Finding {
        class: Class::Sound,
        batches,
    }
}
