//! The bytes of a manifest, from its fields. The counterpart of `read`.

use super::bytes::Writer;
use super::packed::packed_files;
use super::{
    DIRECTORY_VERSION, Gap, LogEntry, MANIFEST_MAGIC, Manifest, READABLE_SINCE, SegmentEntry,
    SegmentState, SliceEntry,
};

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

impl Writer {
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
}
