//! The bytes of a manifest, from its fields. The counterpart of `read`.

use super::packed::packed_files;
use super::{
    DIRECTORY_VERSION, Gap, LogEntry, MANIFEST_MAGIC, Manifest, PREFIX_BYTES, READABLE_SINCE,
    SegmentEntry, SegmentState, SliceEntry,
};
use crate::wal::checksum::crc;
use crate::wal::name::LogId;

/// The bytes of the file.
pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Writer::default();
    out.raw(&MANIFEST_MAGIC);
    out.u32(DIRECTORY_VERSION);
    READABLE_SINCE.iter().for_each(|&part| out.u16(part));
    out.u16(0);
    out.u32(0); // the length, once it is known
    out.raw(&manifest.installation);
    out.raw(&manifest.node);
    out.raw(&manifest.incarnation);
    out.raw(&manifest.secret);
    out.u64(manifest.generation);
    out.u32(manifest.start);
    out.u32(u32::from(manifest.clean_stop));
    out.u64(manifest.clock.wall_us);
    out.u32(manifest.clock.expiry_s);
    out.u32(0);
    out.u64(manifest.withheld_s);
    out.u64(manifest.next_file);
    out.list(&manifest.logs, Writer::log);
    out.list(&manifest.gaps, Writer::gap);
    out.list(&manifest.preallocated, |out, &file| out.u64(file));
    out.list(&manifest.slices, Writer::slice);
    let packed = packed_files(&manifest.logs);
    manifest.sections.encode(&packed, &mut out);
    out.sealed()
}

/// Encodes numbers one after the other.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    pub(super) fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }
    pub(super) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }
    pub(super) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }
    pub(super) fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Writer, &T)) {
        self.u32(items.len() as u32);
        items.iter().for_each(|item| each(self, item));
    }
    pub(super) fn log_id(&mut self, log: LogId) {
        self.u32(log.start);
        self.u32(u32::from(log.number));
    }
    fn log(&mut self, log: &LogEntry) {
        self.log_id(log.id);
        self.raw(&log.incarnation);
        self.u64(log.resolved_upto.0);
        self.u32(u32::from(log.ended_at.is_some()));
        self.u32(log.ended_at.map_or(0, |end| end.checksum));
        self.u64(log.ended_at.map_or(0, |end| end.sequence.0));
        self.list(&log.segments, Writer::segment);
    }
    fn segment(&mut self, segment: &SegmentEntry) {
        let (state, extent) = match &segment.state {
            SegmentState::Next => (0, None),
            SegmentState::Open => (1, None),
            // That it is packed stands in a section of its own, which an older flk refuses by name.
            SegmentState::Closed(extent) | SegmentState::Packed(extent, _) => (2, Some(extent)),
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
    /// Appends the number of bytes that the function appends, and those bytes.
    pub(super) fn with_length(&mut self, content: impl FnOnce(&mut Writer)) {
        let at = self.bytes.len();
        self.u32(0);
        content(self);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
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
