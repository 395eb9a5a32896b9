//! Sections of a manifest: what not every directory has, and what later versions will add. One that this version does not know
//! is carried over byte for byte if it is optional, and refused if it is not. What sections mean is the keeper's.

use super::bytes::{Writer, list, log_id};
use super::clock_base::ClockBase;
use super::packed::{self, PackedFiles};
use super::{ManifestFault, SECTION_HEADER_BYTES};
use crate::wal::checksum::Reader;
use crate::wal::name::{LogId, Sequence};
use std::collections::BTreeSet;

/// Name and owner of a hold are at most this long.
pub const HOLD_TEXT_BYTES_MAX: usize = 64;

/// Bytes of a [`ClockBase`].
const CLOCK_BASE_BYTES: usize = 8;
/// Bytes of a hold without its texts and its list of logs, but with the list's length.
const HOLD_BYTES: usize = 4 + 8 + 4 + 4 + 4 + 4;
/// Bytes of a log and a sequence in it.
const UPTO_BYTES: usize = 16;
/// Bytes of a [`ReleasedRange`] without the name.
const RELEASED_BYTES: usize = 4 + 4 + 8 + 8 + 8;
/// Bytes of [`RestoredFrom`] without its list of logs, but with the list's length.
const RESTORED_BYTES: usize = 16 + 4;

/// The kinds of sections; the numbers are for ever.
const CLOCK_BASE_OF_FORMAT_1: u16 = 1;
const HOLDS: u16 = 2;
const RESTORED_FROM: u16 = 3;
const RELEASED_RANGES: u16 = 4;
const PACKED_SEGMENTS: u16 = 5;

/// The largest kind that this version knows.
const KNOWN_MAX: u16 = PACKED_SEGMENTS;

/// Bit of a section's flags: a reader that does not know its kind carries it over.
const OPTIONAL: u16 = 1;

/// A position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUpto {
    /// The log.
    pub log: LogId,
    /// Up to this sequence.
    pub upto: Sequence,
}

impl LogUpto {
    /// Reads `START.NUMBER:COUNTER`, such as `3.0:17`: log 3.0 up to its 17th batch. The counter may have its start in front of
    /// it, as sequences are shown elsewhere: `3.0:3:17`.
    pub fn parse(text: &str) -> Option<LogUpto> {
        let (id, sequence) = text.split_once(':')?;
        let log = LogId::parse(id)?;
        let counter = match sequence.split_once(':') {
            Some((start, counter)) => (id.split('.').next() == Some(start)).then_some(counter)?,
            None => sequence,
        };
        let counter: u64 = counter.parse().ok()?;
        let upto = Sequence(Sequence::before_first(log.start).0 + counter);
        (counter >> Sequence::COUNTER_BITS == 0).then_some(LogUpto { log, upto })
    }
}

/// A reader outside of the process that needs segments to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name: 1 to 64 visible characters of ASCII, no other hold's.
    pub name: String,
    /// Whose it is, in words: up to 64 characters of ASCII.
    pub owner: String,
    /// The most that it keeps from being deleted, in bytes.
    pub bytes_max: u64,
    /// How long it keeps anything at most without moving, in seconds.
    pub age_max_s: u32,
    /// When it was made, on the expiry clock.
    pub made_at_s: u32,
    /// When it last moved, on the expiry clock.
    pub moved_at_s: u32,
    /// How far it is done with each log that it has read; each log once.
    pub done: Vec<LogUpto>,
}

/// Sequences of a log that were deleted although a hold was not done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasedRange {
    /// Name of the hold.
    pub hold: String,
    /// The log.
    pub log: LogId,
    /// First sequence that was let go.
    pub from: Sequence,
    /// Last sequence that was let go.
    pub to: Sequence,
    /// When the last of them was, on the expiry clock.
    pub at_s: u32,
}

/// What a restored directory goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredFrom {
    /// The incarnation that it follows.
    pub incarnation: [u8; 16],
    /// The last sequence that was taken of each log; each log once.
    pub taken: Vec<LogUpto>,
}

/// An optional section of a kind that only a later version knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedSection {
    /// Its kind.
    pub kind: u16,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The sections of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// What is added to times of format 1. Nothing in a directory that never had one.
    pub clock_base_of_format_1: Option<ClockBase>,
    /// The holds.
    pub holds: Vec<Hold>,
    /// Of a restored directory.
    pub restored_from: Option<RestoredFrom>,
    /// What was deleted although a hold was not done with it, oldest first.
    pub released: Vec<ReleasedRange>,
    /// Those that this version does not know and carries over, by ascending kinds.
    pub carried: Vec<CarriedSection>,
}

impl Sections {
    /// Appends the list of sections: these, and that of the packed files of logs.
    pub(super) fn encode(&self, packed: &PackedFiles, out: &mut Writer) {
        out.u32(self.count(packed));
        if let Some(base) = self.clock_base_of_format_1 {
            section(out, CLOCK_BASE_OF_FORMAT_1, 0, |out| base.encode(out));
        }
        if !self.holds.is_empty() {
            section(out, HOLDS, 0, |out| out.list(&self.holds, Hold::encode));
        }
        if let Some(restored) = &self.restored_from {
            section(out, RESTORED_FROM, 0, |out| restored.encode(out));
        }
        if !self.released.is_empty() {
            section(out, RELEASED_RANGES, 0, |out| {
                out.list(&self.released, ReleasedRange::encode);
            });
        }
        if !packed.is_empty() {
            section(out, PACKED_SEGMENTS, 0, |out| packed::encode(packed, out));
        }
        for carried in &self.carried {
            section(out, carried.kind, OPTIONAL, |out| out.raw(&carried.bytes));
        }
    }

    fn count(&self, packed: &PackedFiles) -> u32 {
        let known = u32::from(self.clock_base_of_format_1.is_some())
            + u32::from(!self.holds.is_empty())
            + u32::from(self.restored_from.is_some())
            + u32::from(!self.released.is_empty())
            + u32::from(!packed.is_empty());
        known + self.carried.len() as u32
    }

    /// Bytes of all sections, without the length of the list.
    pub(super) fn encoded_bytes(&self, packed: &PackedFiles) -> usize {
        let holds = self.holds.iter().map(Hold::encoded_bytes).sum::<usize>();
        let released = self.released.iter().map(ReleasedRange::encoded_bytes);
        let released = released.sum::<usize>();
        let content = self.clock_base_of_format_1.map_or(0, |_| CLOCK_BASE_BYTES)
            + if self.holds.is_empty() { 0 } else { 4 + holds }
            + if self.released.is_empty() {
                0
            } else {
                4 + released
            }
            + packed::content_bytes(packed.len())
            + self
                .restored_from
                .as_ref()
                .map_or(0, |it| RESTORED_BYTES + it.taken.len() * UPTO_BYTES)
            + self.carried.iter().map(|it| it.bytes.len()).sum::<usize>();
        content + self.count(packed) as usize * SECTION_HEADER_BYTES
    }

    /// Reads the list of sections, and which files are packed. `None`: it ends too early.
    pub(super) fn read(
        reader: &mut Reader<'_>,
    ) -> Option<Result<(Sections, PackedFiles), ManifestFault>> {
        let mut sections = Sections::default();
        let mut packed = PackedFiles::new();
        let mut kind_before = 0;
        let read = list(reader, SECTION_HEADER_BYTES, |reader| {
            let (kind, flags) = (reader.u16()?, reader.u16()?);
            let bytes = reader.u32()? as usize;
            let content = reader.take(bytes)?;
            if kind <= kind_before || flags & !OPTIONAL != 0 {
                return Some(Err(ManifestFault::Field("section")));
            }
            kind_before = kind;
            Some(sections.take(kind, flags == OPTIONAL, content, &mut packed))
        })?;
        Some(read.map(|_: Vec<()>| (sections, packed)))
    }

    /// Takes the content of one section.
    fn take(
        &mut self,
        kind: u16,
        is_optional: bool,
        content: &[u8],
        packed: &mut PackedFiles,
    ) -> Result<(), ManifestFault> {
        let mut reader = Reader::new(content);
        let read = match kind {
            CLOCK_BASE_OF_FORMAT_1 => {
                self.clock_base_of_format_1 = ClockBase::read(&mut reader);
                self.clock_base_of_format_1.is_some()
            }
            HOLDS => match list(&mut reader, HOLD_BYTES, |reader| Hold::read(reader).map(Ok)) {
                Some(holds) => {
                    self.holds = holds?;
                    true
                }
                None => false,
            },
            RESTORED_FROM => {
                self.restored_from = RestoredFrom::read(&mut reader);
                self.restored_from.is_some()
            }
            RELEASED_RANGES => match list(&mut reader, RELEASED_BYTES, |reader| {
                ReleasedRange::read(reader).map(Ok)
            }) {
                Some(released) => {
                    self.released = released?;
                    true
                }
                None => false,
            },
            PACKED_SEGMENTS => match packed::read(&mut reader) {
                Some(rows) => {
                    *packed = rows?;
                    !packed.is_empty()
                }
                None => false,
            },
            _ if is_optional => {
                let bytes = content.to_vec();
                self.carried.push(CarriedSection { kind, bytes });
                return Ok(());
            }
            _ => return Err(ManifestFault::NewerSection { kind }),
        };
        match read && reader.rest().is_empty() && !is_optional {
            true => Ok(()),
            false => Err(ManifestFault::Field("section")),
        }
    }

    /// The name of a field that no writer gives this value.
    pub(super) fn impossible(&self) -> Option<&'static str> {
        let names: BTreeSet<&str> = self.holds.iter().map(|hold| hold.name.as_str()).collect();
        let is_restored = |it: &RestoredFrom| is_each_log_once(&it.taken);
        if !self.holds.iter().all(Hold::is_possible) {
            Some("hold")
        } else if names.len() != self.holds.len() {
            Some("hold named twice")
        } else if !self.restored_from.as_ref().is_none_or(is_restored) {
            Some("log of a restored directory")
        } else if !self.released.iter().all(|it| it.is_possible(&names)) {
            Some("range that a hold let go of")
        } else if !self.carried.is_sorted_by(|a, b| a.kind < b.kind)
            || self.carried.iter().any(|it| it.kind <= KNOWN_MAX)
        {
            Some("section")
        } else {
            None
        }
    }
}

/// Appends a section.
fn section(out: &mut Writer, kind: u16, flags: u16, content: impl FnOnce(&mut Writer)) {
    out.u16(kind);
    out.u16(flags);
    out.with_length(content);
}

/// Whether each log is there once, with a sequence of its own.
fn is_each_log_once(positions: &[LogUpto]) -> bool {
    let logs: BTreeSet<LogId> = positions.iter().map(|it| it.log).collect();
    let own = |it: &LogUpto| it.upto.start() == it.log.start;
    logs.len() == positions.len() && positions.iter().all(own)
}

fn encode_upto(out: &mut Writer, position: &LogUpto) {
    out.log_id(position.log);
    out.u64(position.upto.0);
}

fn read_upto(reader: &mut Reader<'_>) -> Option<LogUpto> {
    Some(LogUpto {
        log: log_id(reader)?,
        upto: Sequence(reader.u64()?),
    })
}

/// A list of positions; nothing if it ends too early.
fn read_uptos(reader: &mut Reader<'_>) -> Option<Vec<LogUpto>> {
    list(reader, UPTO_BYTES, |reader| read_upto(reader).map(Ok))?.ok()
}

/// A text of so many bytes.
fn read_text(reader: &mut Reader<'_>, bytes: u8) -> Option<String> {
    let text = std::str::from_utf8(reader.take(usize::from(bytes))?).ok()?;
    Some(text.to_owned())
}

impl ClockBase {
    fn encode(self, out: &mut Writer) {
        out.u32(self.base_s);
        out.u32(self.upto_start);
    }

    fn read(reader: &mut Reader<'_>) -> Option<ClockBase> {
        Some(ClockBase {
            base_s: reader.u32()?,
            upto_start: reader.u32()?,
        })
    }
}

impl Hold {
    fn encode(out: &mut Writer, hold: &Hold) {
        out.raw(&[hold.name.len() as u8, hold.owner.len() as u8, 0, 0]);
        out.u64(hold.bytes_max);
        out.u32(hold.age_max_s);
        out.u32(hold.made_at_s);
        out.u32(hold.moved_at_s);
        out.raw(hold.name.as_bytes());
        out.raw(hold.owner.as_bytes());
        out.list(&hold.done, encode_upto);
    }

    fn encoded_bytes(&self) -> usize {
        HOLD_BYTES + self.name.len() + self.owner.len() + self.done.len() * UPTO_BYTES
    }

    fn read(reader: &mut Reader<'_>) -> Option<Hold> {
        let (name_bytes, owner_bytes) = (reader.u8()?, reader.u8()?);
        let reserved = reader.u16()?;
        let (bytes_max, age_max_s) = (reader.u64()?, reader.u32()?);
        let (made_at_s, moved_at_s) = (reader.u32()?, reader.u32()?);
        let hold = Hold {
            name: read_text(reader, name_bytes)?,
            owner: read_text(reader, owner_bytes)?,
            bytes_max,
            age_max_s,
            made_at_s,
            moved_at_s,
            done: read_uptos(reader)?,
        };
        (reserved == 0).then_some(hold)
    }

    fn is_possible(&self) -> bool {
        let is_name = self.name.bytes().all(|byte| byte.is_ascii_graphic());
        let is_owner = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        (1..=HOLD_TEXT_BYTES_MAX).contains(&self.name.len())
            && is_name
            && self.owner.len() <= HOLD_TEXT_BYTES_MAX
            && self.owner.bytes().all(is_owner)
            && self.made_at_s <= self.moved_at_s
            && is_each_log_once(&self.done)
    }
}

impl ReleasedRange {
    fn encode(out: &mut Writer, range: &ReleasedRange) {
        out.raw(&[range.hold.len() as u8, 0, 0, 0]);
        out.u32(range.at_s);
        out.log_id(range.log);
        out.u64(range.from.0);
        out.u64(range.to.0);
        out.raw(range.hold.as_bytes());
    }

    fn encoded_bytes(&self) -> usize {
        RELEASED_BYTES + self.hold.len()
    }

    fn read(reader: &mut Reader<'_>) -> Option<ReleasedRange> {
        let (name_bytes, reserved) = (reader.u8()?, [reader.u8()?, reader.u8()?, reader.u8()?]);
        let at_s = reader.u32()?;
        let log = log_id(reader)?;
        let (from, to) = (Sequence(reader.u64()?), Sequence(reader.u64()?));
        let hold = read_text(reader, name_bytes)?;
        (reserved == [0; 3]).then_some(ReleasedRange {
            hold,
            log,
            from,
            to,
            at_s,
        })
    }

    /// Whether it is of a hold that there is, and of one log.
    fn is_possible(&self, holds: &BTreeSet<&str>) -> bool {
        let starts = [self.from.start(), self.to.start()];
        holds.contains(self.hold.as_str()) && self.from <= self.to && starts == [self.log.start; 2]
    }
}

impl RestoredFrom {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.incarnation);
        out.list(&self.taken, encode_upto);
    }

    fn read(reader: &mut Reader<'_>) -> Option<RestoredFrom> {
        Some(RestoredFrom {
            incarnation: reader.array()?,
            taken: read_uptos(reader)?,
        })
    }
}
