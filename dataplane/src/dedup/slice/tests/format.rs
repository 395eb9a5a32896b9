//! What a slice of format 1 is to this version, and digests that are not those of the entries.

use super::*;
use crate::wal::checksum::crc_more;

/// The slice as format 1 had it: without digests, and with a seal epoch in its first entry.
fn as_format_1(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = with_trailer(bytes, |trailer| {
        trailer.version = 1;
        trailer.sections.truncate(5);
    });
    bytes[8] = 1;
    let sum = crc(&bytes[..BLOCK_BYTES - 4]).to_le_bytes();
    bytes[BLOCK_BYTES - 4..BLOCK_BYTES].copy_from_slice(&sum);
    let block = &mut bytes[BLOCK_BYTES..2 * BLOCK_BYTES];
    block[64 + 70] = 5;
    let sum = crc_more(crc(&block[..60]), &block[64..]).to_le_bytes();
    block[60..64].copy_from_slice(&sum);
    bytes
}

#[test]
fn a_slice_of_format_1_is_read_with_its_times_on_the_clock_of_now() {
    let entries = entries(300);
    let (bytes, _) = write(&entries);
    let old = as_format_1(&bytes);
    for (bytes, base_s) in [(&old, 5_000), (&bytes, 0)] {
        let (reader, directory) = verify_whole(bytes, |_| {}).unwrap();
        let reader = reader.with_clock_base(5_000);
        let view = view_whole(&reader, &directory, FileId(5), 0..PARTITIONS, bytes, 2).unwrap();
        assert_eq!(view.decided_first(), 100 + base_s);
        let later: Vec<Decided> = entries.iter().map(|it| it.on_clock(base_s)).collect();
        for entry in &later {
            assert_eq!(look_up(&view, bytes, entry.key), Some(*entry));
        }
        let blocks = reader.blocks().flat_map(|number| {
            let block = &bytes[number as usize * BLOCK_BYTES..][..BLOCK_BYTES];
            reader.block(number, block).unwrap().entries()
        });
        assert!(blocks.eq(later.iter().copied()));
    }
}

#[test]
fn first_and_last_block_of_different_formats_are_refused() {
    let (bytes, _) = write(&entries(10));
    let mixed = with_trailer(&bytes, |trailer| trailer.version = 1);
    assert!(verify_whole(&mixed, |_| {}).is_err());
}

#[test]
fn digests_that_lie_under_a_right_checksum_are_refused() {
    let (mut bytes, _) = write(&entries(100));
    let (reader, _) = verify_whole(&bytes, |_| {}).unwrap();
    let at = reader.digests_at().unwrap();
    let section = at.start as usize..at.end as usize;
    for (byte, bit) in [(8, 1), (16, 0), (31, 7)] {
        bytes[section.start + byte] ^= 1 << bit;
        let sum = crc(&bytes[section.clone()]);
        let lying = with_trailer(&bytes, |trailer| trailer.sections[5].checksum = sum);
        let what = "digests are not those of the entries";
        let found = verify_whole(&lying, |_| {}).map(|_| ());
        assert_eq!(found, Err(SliceError::Inconsistent { what }));
        bytes[section.start + byte] ^= 1 << bit;
    }
}
