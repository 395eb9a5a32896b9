//! Our encoder, given the same contents, writes the same bytes.

use super::logs::{manifest, segments};
use super::vectors::{FORMS, PACKED, directories, files, is_current, list, number, vectors};
use flk_dataplane::wal::batch::{Batch, BatchLimits, OpenBatch, read_batch, rewrite};
use flk_dataplane::wal::buffer::{BLOCK_BYTES, Blocks};
use flk_dataplane::wal::packed::{PackedHeader, Packer, SegmentFile};
use flk_dataplane::wal::record::{BodyMeta, Content};
use flk_dataplane::wal::scan::{InMemory, run_ready};
use flk_dataplane::wal::segment::SegmentHeader;
use serde_json::Value;

/// Fills an open batch with what a batch holds; none if it holds something that only a later version writes.
fn refilled(batch: &Batch<'_>) -> Option<OpenBatch> {
    let mut open = OpenBatch::new(BatchLimits::default());
    for record in batch.records() {
        let record = record.unwrap();
        match record.content {
            Content::Body(body) => {
                let meta = BodyMeta {
                    snapshot: body.snapshot,
                    tenant: body.tenant,
                    key_slot: record.header.key_slot,
                    flags: record.header.flags,
                    line: record.header.line,
                };
                open.push_body(batch.body(&body).unwrap(), &meta);
            }
            Content::Entry(entry) => {
                open.push_line(&entry, record.header.line);
            }
            Content::Skipped => return None,
        }
    }
    Some(open)
}

/// Writes every batch of a directory again; how many, and how many hold something that only a later version writes.
fn write_again(directory: &Value, is_current: bool) -> (usize, usize) {
    let files = files(directory);
    let (mut written, mut skipped) = (0, 0);
    for (log, wanted) in manifest(&files).logs.iter().zip(list(&directory["logs"])) {
        let segments = segments(&files, log);
        let first = log.segments.first().map_or(0, |entry| entry.ordinal);
        for row in list(&wanted["batches"]) {
            let file = segments[(number(&row["ordinal"]) - u64::from(first)) as usize];
            let offset = number(&row["offset"]) as usize;
            let batch = read_batch(&file[offset..]).unwrap();
            let Some(open) = refilled(&batch) else {
                skipped += 1;
                continue;
            };
            let leads = offset == BLOCK_BYTES;
            let lead = leads.then(|| SegmentHeader::decode(file).unwrap().0);
            let mut blocks = Blocks::default();
            let assembled = open.assemble(&batch.header.fields, lead.as_ref(), &mut blocks);
            let start = if leads { 0 } else { offset };
            // Headers of segments are written in the current version.
            let same = if leads && !is_current { BLOCK_BYTES } else { 0 };
            assert_eq!(assembled.checksum, batch.header.checksum);
            assert!(
                blocks.bytes()[same..] == file[start + same..offset + batch.header.bytes()],
                "log {} batch {}",
                log.id,
                batch.header.fields.sequence
            );
            written += 1;
        }
    }
    (written, skipped)
}

#[test]
fn every_batch_is_written_again_byte_for_byte() {
    let vectors = vectors();
    for form in FORMS {
        let [plain, sealed] =
            directories(&vectors, form).map(|it| write_again(it, is_current(form)));
        assert_eq!(
            (plain.1, sealed.1),
            (1, 0),
            "one batch holds an unknown optional record"
        );
        assert!(plain.0 + sealed.0 >= 20, "{plain:?} {sealed:?}");
    }
}

/// Where the failed write of a batch still lies behind the end of a segment, repeating it in the next segment gives what
/// is there.
#[test]
fn a_failed_write_is_repeated_byte_for_byte() {
    let vectors = vectors();
    for form in FORMS {
        let files = files(&vectors[form]);
        let mut repeated = 0;
        for log in &manifest(&files).logs {
            for pair in segments(&files, log).windows(2) {
                let Ok(next) = read_batch(pair[1].get(BLOCK_BYTES..).unwrap_or_default()) else {
                    continue;
                };
                let same = |at: &usize| {
                    let found = read_batch(&pair[0][*at..]);
                    found.is_ok_and(|it| it.header.fields.sequence == next.header.fields.sequence)
                };
                let Some(at) = (0..pair[0].len()).step_by(BLOCK_BYTES).find(same) else {
                    continue;
                };
                let failed = read_batch(&pair[0][at..]).unwrap();
                let mut blocks = Blocks::default();
                refilled(&failed)
                    .unwrap()
                    .assemble(&failed.header.fields, None, &mut blocks);
                let lead = SegmentHeader::decode(pair[1]).unwrap().0;
                rewrite(&mut blocks, &lead).unwrap();
                let same = if is_current(form) { 0 } else { BLOCK_BYTES };
                let there = &pair[1][same..blocks.len()];
                assert!(&blocks.bytes()[same..] == there, "log {}", log.id);
                repeated += 1;
            }
        }
        assert_eq!(repeated, 3, "one of log 2.0 and two of log 3.0");
    }
}

#[test]
fn segment_headers_are_written_again_byte_for_byte_and_old_ones_mean_the_same() {
    let vectors = vectors();
    for form in FORMS {
        let mut written = 0;
        let files = directories(&vectors, form).into_iter().flat_map(files);
        for (name, bytes) in files {
            let Ok((header, checksum)) = SegmentHeader::decode(&bytes) else {
                continue;
            };
            let mut block = [0xAA; BLOCK_BYTES];
            assert_eq!(header.encode(&mut block), checksum, "{name}");
            assert_eq!(SegmentHeader::decode(&block), Ok((header, checksum)));
            let is_same = block[..] == bytes[..BLOCK_BYTES];
            assert_eq!(is_same, is_current(form), "{name}");
            written += 1;
        }
        assert!(written >= 11, "{written}");
    }
}

/// The segment that a packed file stands for, packed again.
#[test]
fn a_packed_segment_is_packed_again_byte_for_byte() {
    let files = files(&vectors()[PACKED]);
    let log = &manifest(&files).logs[0];
    let entry = log.segments[0];
    let packed = segments(&files, log)[0];
    let segment = SegmentFile::new(InMemory(packed), &entry);
    let header = PackedHeader::decode(packed).unwrap();
    let mut packer = Packer::new(header, &segment);
    let mut again = Vec::new();
    while let Some(piece) = run_ready(packer.next()).unwrap().unwrap() {
        again.extend(piece);
    }
    assert!(again == packed);
    assert_eq!(&header.encode()[..], &packed[..BLOCK_BYTES]);
}
