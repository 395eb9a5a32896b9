//! In which pieces a packed file is made.

use super::tests::header;
use super::{PackedHeader, Packer, frame_bytes, packed_bytes};
use crate::io::Errno;
use crate::wal::batch::{BatchFields, BatchLimits, OpenBatch, read_batch};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::name::Sequence;
use crate::wal::scan::tests::at;
use crate::wal::scan::world::LOG;
use crate::wal::scan::{InMemory, ReadAt, run_ready};
use std::cell::Cell;

/// A file that counts the bytes that were read of it.
struct Counted<'a>(InMemory<'a>, &'a Cell<usize>);

impl ReadAt for Counted<'_> {
    async fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        let part = self.0.read_at(offset, bytes).await?;
        self.1.set(self.1.get() + part.len());
        Ok(part)
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

#[test]
fn no_more_of_a_segment_is_read_for_a_piece_than_a_piece_is_long() {
    let open = OpenBatch::new(BatchLimits::default());
    let mut mark = Blocks::default();
    let fields = BatchFields {
        sequence: at(1),
        durable_upto: Sequence::before_first(LOG.start),
        ..BatchFields::default()
    };
    open.assemble(&fields, None, &mut mark);
    let (batches, mut file) = (2500, vec![0; BLOCK_BYTES]);
    (0..batches).for_each(|_| file.extend_from_slice(mark.bytes()));
    let frames = frame_bytes(&read_batch(mark.bytes()).unwrap()) * batches;
    let header = PackedHeader {
        segment_bytes: file.len() as u64,
        bytes: packed_bytes(frames as u64),
        ..header()
    };
    let read = Cell::new(0);
    let mut packer = Packer::new(header, Counted(InMemory(&file), &read));
    let mut bytes = 0;
    while let Some(piece) = run_ready(packer.next()).unwrap().unwrap() {
        bytes += piece.len() as u64;
        let taken = read.replace(0);
        assert!(taken <= 2 << 20, "{taken}");
    }
    assert_eq!(bytes, header.bytes);
}
