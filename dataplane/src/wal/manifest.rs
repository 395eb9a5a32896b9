//! The manifest: which files count and what they are. It is replaced as a whole, never changed in place.
//! This is its memory and its bytes; replacing the file is the keeper's.

use crate::wal::checksum::{Reader, crc};
use crate::wal::name::{LogId, Sequence};
use crate::wal::segment::START_LIMIT;
use std::fmt;

/// The first eight bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"flk-mani";

/// The format of the whole directory. A directory of a higher format is refused.
pub const DIRECTORY_VERSION: u32 = 1;

/// The oldest flk that reads what this one writes: major, minor, patch.
pub const READABLE_SINCE: [u16; 3] = [0, 1, 0];

/// Bytes of a manifest before its fields: magic, version, oldest reader, length. Never changes, like the checksum in
/// the last four bytes, so that every flk can tell a newer manifest from a damaged one.
const PREFIX_BYTES: usize = 24;

/// A manifest is smaller than this; a longer file is refused unread.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// The expiry clock as it was written down, with the wall clock of that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockMark {
    /// Seconds since installation on the expiry clock.
    pub expiry_s: u32,
    /// Wall clock, microseconds since the Unix epoch.
    pub wall_us: u64,
}

/// Sequences and bytes of a segment that is no longer written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First sequence in it, or the position after `last` if it holds no batch.
    pub first: Sequence,
    /// Last sequence in it, or that of the segment before if it holds no batch.
    pub last: Sequence,
    /// Bytes in use, header included: a multiple of 4 KiB. What lies behind is not looked at.
    pub bytes: u64,
    /// Checksum of the header of the last batch (of the segment header if there is no batch).
    pub last_checksum: u32,
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Named before its first batch; perhaps never used, perhaps in use already.
    Next,
    /// Known to be in use: its first batch is durable. (So a segment without one is damage, not unused.)
    Open,
    /// Written no more.
    Closed(Extent),
    /// The last segment of an ended log: header and the last whole batch, exactly.
    Last(Extent),
}

impl SegmentState {
    /// First and last sequence of a segment that is written no more.
    pub fn extent(&self) -> Option<&Extent> {
        match self {
            SegmentState::Next | SegmentState::Open => None,
            SegmentState::Closed(extent) | SegmentState::Last(extent) => Some(extent),
        }
    }
}

/// A segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Position in the log, from 0.
    pub ordinal: u32,
    /// Number of its file.
    pub file: u64,
    /// Salt of its headers.
    pub salt: u64,
    /// Generation of the manifest that first named it.
    pub generation: u64,
    /// What becomes of it.
    pub state: SegmentState,
}

/// Where an ended log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEndMark {
    /// Its last sequence; the position before the first if it never held a batch.
    pub sequence: Sequence,
    /// Checksum of that batch's header; 0 if there is none.
    pub checksum: u32,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its name.
    pub id: LogId,
    /// Incarnation of the directory that wrote it: that of its segment headers.
    pub incarnation: [u8; 16],
    /// Set once the log has ended; its bodies without a fate are unanswered.
    pub ended_at: Option<LogEndMark>,
    /// Every body up to this sequence has its fate in the durable log.
    pub settled_upto: Sequence,
    /// Its live segments, ordinals ascending without holes; written-off ones before open ones before next ones.
    pub segments: Vec<SegmentEntry>,
}

/// Sequences that an operator gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The log.
    pub log: LogId,
    /// First missing sequence.
    pub from: Sequence,
    /// Last missing sequence.
    pub to: Sequence,
}

/// How much of a log a slice covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// The log.
    pub log: LogId,
    /// Every decision up to this sequence is in this slice or in an earlier one.
    pub upto: Sequence,
}

/// A sealed slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEntry {
    /// Number of its file.
    pub file: u64,
    /// Random id, repeated in its blocks.
    pub id: u64,
    /// Smallest decided-at in it.
    pub decided_first: u32,
    /// Largest decided-at in it.
    pub decided_last: u32,
    /// Largest expiry in it: once the clock has passed it the slice answers nothing.
    pub expiry_max: u32,
    /// Number of entries.
    pub entries: u64,
    /// Length of the file.
    pub bytes: u64,
    /// CRC-32C of the file's section table.
    pub checksum: u32,
    /// What it covers.
    pub covers: Vec<Cover>,
}

/// All durable state but the contents of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Random id of the installation, made with the directory.
    pub installation: [u8; 16],
    /// Random id of the node.
    pub node: [u8; 16],
    /// Random id of this incarnation of the directory; a restore makes a new one.
    pub incarnation: [u8; 16],
    /// Id of the secret that the slices were made under.
    pub secret: [u8; 16],
    /// Grows by one with every replacement.
    pub generation: u64,
    /// Number of the latest start, 24 bits; 0 before the first.
    pub start: u32,
    /// Every log was brought to its end by a graceful stop, and none is written now.
    pub clean_stop: bool,
    /// The expiry clock when this was written.
    pub clock: ClockMark,
    /// Time that the expiry clock withholds until an operator releases it, in seconds.
    pub withheld_s: u64,
    /// The next file number to give out.
    pub next_file: u64,
    /// The logs.
    pub logs: Vec<LogEntry>,
    /// What is known to be missing.
    pub gaps: Vec<Gap>,
    /// Files that are ready to become segments.
    pub spares: Vec<u64>,
    /// The slices, oldest first.
    pub slices: Vec<SliceEntry>,
}

/// Why bytes are not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// Fewer bytes than its length says, or more.
    Length,
    /// The first bytes are not a manifest's.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// It is whole, but of a newer format.
    Newer {
        /// The format version found.
        version: u32,
        /// The oldest flk that reads it.
        readable_since: [u16; 3],
    },
    /// The checksum matches, but a field holds what no writer writes; its name.
    Field(&'static str),
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestFault::Length => {
                out.write_str("the manifest has not the length that it states")
            }
            ManifestFault::Magic => out.write_str("the file is not a manifest"),
            ManifestFault::Checksum => out.write_str("the checksum of the manifest does not match"),
            ManifestFault::Newer {
                version,
                readable_since: [major, minor, patch],
            } => write!(
                out,
                "the directory has format version {version}, this flk reads {DIRECTORY_VERSION}: use flk {major}.{minor}.{patch} or later"
            ),
            ManifestFault::Field(name) => write!(out, "the manifest holds an impossible {name}"),
        }
    }
}

impl std::error::Error for ManifestFault {}

impl Manifest {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(&MANIFEST_MAGIC);
        out.u32(DIRECTORY_VERSION);
        READABLE_SINCE.iter().for_each(|&part| out.u16(part));
        out.u16(0);
        out.u32(0); // the length, once it is known
        out.raw(&self.installation);
        out.raw(&self.node);
        out.raw(&self.incarnation);
        out.raw(&self.secret);
        out.u64(self.generation);
        out.u32(self.start);
        out.u32(u32::from(self.clean_stop));
        out.u64(self.clock.wall_us);
        out.u32(self.clock.expiry_s);
        out.u32(0);
        out.u64(self.withheld_s);
        out.u64(self.next_file);
        out.list(&self.logs, Writer::log);
        out.list(&self.gaps, Writer::gap);
        out.list(&self.spares, |out, &file| out.u64(file));
        out.list(&self.slices, Writer::slice);
        out.sealed()
    }

    /// Reads the bytes of the file.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
        let fields = verified_fields(bytes)?;
        let mut reader = Reader::new(fields);
        let manifest = manifest_of(&mut reader).ok_or(ManifestFault::Length)?;
        if !reader.rest().is_empty() {
            return Err(ManifestFault::Length);
        }
        let manifest = manifest?;
        match manifest.impossible() {
            Some(name) => Err(ManifestFault::Field(name)),
            None => Ok(manifest),
        }
    }

    /// The name of a field that no writer gives this value.
    fn impossible(&self) -> Option<&'static str> {
        if self.start >= START_LIMIT {
            return Some("start number");
        }
        if self.logs.iter().any(|log| log.id.start > self.start) {
            return Some("log of a later start");
        }
        let files = self.files();
        let distinct: std::collections::BTreeSet<u64> = files.iter().copied().collect();
        if distinct.len() != files.len() || files.iter().any(|&file| file >= self.next_file) {
            return Some("file number");
        }
        let ids: std::collections::BTreeSet<LogId> = self.logs.iter().map(|log| log.id).collect();
        if ids.len() != self.logs.len() {
            return Some("log named twice");
        }
        self.logs
            .iter()
            .find_map(|log| log.impossible(self.generation))
    }

    /// The numbers of all files that it names.
    pub fn files(&self) -> Vec<u64> {
        let segments = self.logs.iter().flat_map(|log| &log.segments);
        let slices = self.slices.iter().map(|slice| slice.file);
        segments
            .map(|segment| segment.file)
            .chain(self.spares.iter().copied())
            .chain(slices)
            .collect()
    }

    /// The gap that holds a sequence of a log.
    pub fn gap(&self, log: LogId, sequence: Sequence) -> Option<&Gap> {
        self.gaps
            .iter()
            .find(|gap| gap.log == log && (gap.from..=gap.to).contains(&sequence))
    }
}

impl LogEntry {
    /// The name of a field that no writer gives this value.
    fn impossible(&self, generation: u64) -> Option<&'static str> {
        let rank = |segment: &SegmentEntry| match segment.state {
            SegmentState::Closed(_) => 0,
            SegmentState::Last(_) => 1,
            SegmentState::Open => 2,
            SegmentState::Next => 3,
        };
        let pairs = || self.segments.iter().zip(self.segments.iter().skip(1));
        if pairs().any(|(a, b)| a.ordinal.checked_add(1) != Some(b.ordinal)) {
            return Some("order of segments");
        }
        let doubled =
            |a: &SegmentEntry, b: &SegmentEntry| rank(a) == rank(b) && (1..=2).contains(&rank(a));
        if pairs().any(|(a, b)| rank(a) > rank(b) || doubled(a, b)) {
            return Some("order of segment states");
        }
        let written = |segment: &SegmentEntry| segment.state.extent().is_some();
        if self.ended_at.is_some() && !self.segments.iter().all(written) {
            return Some("open segment of an ended log");
        }
        let last = |segment: &SegmentEntry| matches!(segment.state, SegmentState::Last(_));
        if self.ended_at.is_none() && self.segments.iter().any(last) {
            return Some("last segment of a log that has not ended");
        }
        if self
            .segments
            .iter()
            .any(|segment| segment.generation > generation)
        {
            return Some("segment of a later generation");
        }
        None
    }
}

/// Checks all that never changes between formats, then the version, and returns the bytes of the fields.
fn verified_fields(bytes: &[u8]) -> Result<&[u8], ManifestFault> {
    if !bytes.starts_with(&MANIFEST_MAGIC) {
        return Err(ManifestFault::Magic);
    }
    let prefix = |reader: &mut Reader<'_>| {
        let version = reader.u32()?;
        let readable_since = [reader.u16()?, reader.u16()?, reader.u16()?];
        let reserved = reader.u16()?;
        Some((version, readable_since, reserved, reader.u32()?))
    };
    let mut reader = Reader::new(&bytes[MANIFEST_MAGIC.len()..]);
    let (version, readable_since, reserved, length) =
        prefix(&mut reader).ok_or(ManifestFault::Length)?;
    let too_long = bytes.len() > MANIFEST_BYTES_MAX;
    if length as usize != bytes.len() || too_long {
        return Err(ManifestFault::Length);
    }
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(ManifestFault::Length)?;
    if crc(covered) != u32::from_le_bytes(*checksum) {
        return Err(ManifestFault::Checksum);
    }
    if version > DIRECTORY_VERSION {
        return Err(ManifestFault::Newer {
            version,
            readable_since,
        });
    }
    if version == 0 || reserved != 0 {
        return Err(ManifestFault::Field("format version"));
    }
    covered.get(PREFIX_BYTES..).ok_or(ManifestFault::Length)
}

/// Reads a list: its length, then its items. A length that the rest cannot hold is refused before memory is taken.
fn list<'a, T, F>(
    reader: &mut Reader<'a>,
    item_bytes_min: usize,
    mut item: F,
) -> Option<Result<Vec<T>, ManifestFault>>
where
    F: FnMut(&mut Reader<'a>) -> Option<Result<T, ManifestFault>>,
{
    let count = reader.u32()? as usize;
    if count > reader.rest().len() / item_bytes_min {
        return None;
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        match item(reader)? {
            Ok(value) => items.push(value),
            Err(fault) => return Some(Err(fault)),
        }
    }
    Some(Ok(items))
}

/// The fields of a manifest. `None`: they end too early.
fn manifest_of(reader: &mut Reader<'_>) -> Option<Result<Manifest, ManifestFault>> {
    let [installation, node, incarnation, secret] = [
        reader.array()?,
        reader.array()?,
        reader.array()?,
        reader.array()?,
    ];
    let (generation, start, flags) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let (wall_us, expiry_s, reserved) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let (withheld_s, next_file) = (reader.u64()?, reader.u64()?);
    if flags > 1 || reserved != 0 {
        return Some(Err(ManifestFault::Field("reserved bit")));
    }
    let logs = list(reader, 52, log_of)?;
    let gaps = list(reader, 24, |reader| gap_of(reader).map(Ok))?;
    let spares = list(reader, 8, |reader| reader.u64().map(Ok))?;
    let slices = list(reader, 52, slice_of)?;
    let assemble = || {
        Ok(Manifest {
            installation,
            node,
            incarnation,
            secret,
            generation,
            start,
            clean_stop: flags == 1,
            clock: ClockMark { expiry_s, wall_us },
            withheld_s,
            next_file,
            logs: logs?,
            gaps: gaps?,
            spares: spares?,
            slices: slices?,
        })
    };
    Some(assemble())
}

fn log_id(reader: &mut Reader<'_>) -> Option<LogId> {
    let start = reader.u32()?;
    let number = reader.u32()?;
    let number = u16::try_from(number).ok()?;
    Some(LogId { start, number })
}

fn log_of(reader: &mut Reader<'_>) -> Option<Result<LogEntry, ManifestFault>> {
    let id = log_id(reader)?;
    let incarnation = reader.array()?;
    let settled_upto = Sequence(reader.u64()?);
    let ended = reader.u32()?;
    let mark = LogEndMark {
        checksum: reader.u32()?,
        sequence: Sequence(reader.u64()?),
    };
    let ended_at = match ended {
        0 => None,
        1 => Some(mark),
        _ => return Some(Err(ManifestFault::Field("end mark"))),
    };
    let segments = list(reader, 32, segment_of)?;
    Some(segments.map(|segments| LogEntry {
        id,
        incarnation,
        ended_at,
        settled_upto,
        segments,
    }))
}

fn segment_of(reader: &mut Reader<'_>) -> Option<Result<SegmentEntry, ManifestFault>> {
    let (ordinal, state) = (reader.u32()?, reader.u32()?);
    let (file, salt, generation) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let state = match state {
        0 => SegmentState::Next,
        1 => SegmentState::Open,
        2 => SegmentState::Closed(extent_of(reader)?),
        3 => SegmentState::Last(extent_of(reader)?),
        _ => return Some(Err(ManifestFault::Field("segment state"))),
    };
    Some(Ok(SegmentEntry {
        ordinal,
        file,
        salt,
        generation,
        state,
    }))
}

fn extent_of(reader: &mut Reader<'_>) -> Option<Extent> {
    let extent = Extent {
        first: Sequence(reader.u64()?),
        last: Sequence(reader.u64()?),
        bytes: reader.u64()?,
        last_checksum: reader.u32()?,
    };
    (reader.u32()? == 0).then_some(extent)
}

fn gap_of(reader: &mut Reader<'_>) -> Option<Gap> {
    Some(Gap {
        log: log_id(reader)?,
        from: Sequence(reader.u64()?),
        to: Sequence(reader.u64()?),
    })
}

fn slice_of(reader: &mut Reader<'_>) -> Option<Result<SliceEntry, ManifestFault>> {
    let (file, id) = (reader.u64()?, reader.u64()?);
    let (decided_first, decided_last) = (reader.u32()?, reader.u32()?);
    let (expiry_max, checksum) = (reader.u32()?, reader.u32()?);
    let (entries, bytes) = (reader.u64()?, reader.u64()?);
    let cover = |reader: &mut Reader<'_>| {
        Some(Ok(Cover {
            log: log_id(reader)?,
            upto: Sequence(reader.u64()?),
        }))
    };
    let covers = list(reader, 16, cover)?;
    Some(covers.map(|covers| SliceEntry {
        file,
        id,
        decided_first,
        decided_last,
        expiry_max,
        entries,
        bytes,
        checksum,
        covers,
    }))
}

/// Spells numbers one after the other.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }
    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Writer, &T)) {
        self.u32(items.len() as u32);
        items.iter().for_each(|item| each(self, item));
    }
    fn log_id(&mut self, log: LogId) {
        self.u32(log.start);
        self.u32(u32::from(log.number));
    }
    fn log(&mut self, log: &LogEntry) {
        self.log_id(log.id);
        self.raw(&log.incarnation);
        self.u64(log.settled_upto.0);
        self.u32(u32::from(log.ended_at.is_some()));
        self.u32(log.ended_at.map_or(0, |end| end.checksum));
        self.u64(log.ended_at.map_or(0, |end| end.sequence.0));
        self.list(&log.segments, Writer::segment);
    }
    fn segment(&mut self, segment: &SegmentEntry) {
        let (state, extent) = match &segment.state {
            SegmentState::Next => (0, None),
            SegmentState::Open => (1, None),
            SegmentState::Closed(extent) => (2, Some(extent)),
            SegmentState::Last(extent) => (3, Some(extent)),
        };
        self.u32(segment.ordinal);
        self.u32(state);
        self.u64(segment.file);
        self.u64(segment.salt);
        self.u64(segment.generation);
        if let Some(extent) = extent {
            self.u64(extent.first.0);
            self.u64(extent.last.0);
            self.u64(extent.bytes);
            self.u32(extent.last_checksum);
            self.u32(0);
        }
    }
    fn gap(&mut self, gap: &Gap) {
        self.log_id(gap.log);
        self.u64(gap.from.0);
        self.u64(gap.to.0);
    }
    fn slice(&mut self, slice: &SliceEntry) {
        self.u64(slice.file);
        self.u64(slice.id);
        self.u32(slice.decided_first);
        self.u32(slice.decided_last);
        self.u32(slice.expiry_max);
        self.u32(slice.checksum);
        self.u64(slice.entries);
        self.u64(slice.bytes);
        self.list(&slice.covers, |out, cover| {
            out.log_id(cover.log);
            out.u64(cover.upto.0);
        });
    }
    /// Writes the length into the prefix and the checksum behind everything.
    fn sealed(mut self) -> Vec<u8> {
        let length = (self.bytes.len() + 4) as u32;
        self.bytes[PREFIX_BYTES - 4..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
        let checksum = crc(&self.bytes);
        self.u32(checksum);
        self.bytes
    }
}
