//! How far a manifest may grow, and what has place in it.

use super::*;
use crate::keeper::tests::world;

#[test]
fn a_slice_has_place_if_a_start_behind_it_still_has_its_part_of_the_manifest() {
    let manifest = Manifest::default();
    let with_three_bytes = manifest.encode().len() + SLICE_BYTES + 3 * COVER_BYTES;
    let mut config = world::config(1);
    // 31 of 32 parts of this are what a manifest with a slice of three covers takes.
    config.manifest_bytes_max = with_three_bytes + with_three_bytes.div_ceil(31);
    while config.manifest_bytes_max - config.manifest_bytes_max / 32 > with_three_bytes {
        config.manifest_bytes_max -= 1;
    }
    let store = ManifestStore::new(Port::default(), config, manifest);
    let bytes_max = |what| store.growth_bytes_max(what);
    assert_eq!(bytes_max(Growth::Publishing), with_three_bytes);
    assert!(
        bytes_max(Growth::Stopping) < with_three_bytes,
        "it has place behind a stop"
    );
    assert!(store.has_place_for_slice(3).is_ok());
    assert!(matches!(
        store.has_place_for_slice(4),
        Err(Halt::ManifestFull { bytes, bytes_max })
            if bytes == with_three_bytes + COVER_BYTES && bytes_max == with_three_bytes
    ));
}

#[test]
fn serving_leaves_room_for_a_stop_and_a_stop_for_slices_and_these_for_a_start() {
    let mut config = world::config(2);
    config.manifest_bytes_max = 32 << 10;
    let store = ManifestStore::new(Port::default(), config, Manifest::default());
    let bytes_max = |what| store.growth_bytes_max(what);
    let stop_bytes = 2 * STOP_SEGMENTS * CLOSED_SEGMENT_BYTES;
    assert_eq!(bytes_max(Growth::Serving), (30 << 10) - stop_bytes);
    assert_eq!(bytes_max(Growth::Stopping), 30 << 10);
    assert_eq!(bytes_max(Growth::Publishing), 31 << 10);
}

/// Whether a replacement is begun, which then waits for its first file operation.
fn begins(mut store: ManifestStore, next: Manifest) -> bool {
    let mut growing = Box::pin(store.grow(next, Growth::Stopping));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match growing.as_mut().poll(&mut context) {
        std::task::Poll::Pending => true,
        std::task::Poll::Ready(Err(NotReplaced::Before(Halt::ManifestFull { .. }))) => false,
        std::task::Poll::Ready(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_manifest_may_grow_to_the_last_byte_and_beyond_it_only_shrink() {
    let with = |preallocated: u64| Manifest {
        preallocated: (0..preallocated).collect(),
        next_file: preallocated,
        generation: preallocated,
        ..Manifest::default()
    };
    let bytes = |count| with(count).encoded_bytes();
    for (growth_bytes_max, from, to, expect) in [
        (bytes(5), 4, 5, true),
        (bytes(5) - 1, 4, 5, false),
        (bytes(3), 4, 6, false),
    ] {
        let mut config = world::config(1);
        config.manifest_bytes_max = growth_bytes_max;
        while config.manifest_bytes_max - config.manifest_bytes_max / 16 < growth_bytes_max {
            config.manifest_bytes_max += 1;
        }
        let store = || ManifestStore::new(Port::default(), config.clone(), with(from));
        assert_eq!(store().growth_bytes_max(Growth::Stopping), growth_bytes_max);
        assert_eq!(begins(store(), with(to)), expect, "{from} to {to}");
        // As long as the one in force, though that is too long.
        let same = Manifest {
            generation: from + 1,
            ..with(from)
        };
        assert!(begins(store(), same));
    }
}

#[test]
fn a_manifest_has_a_surplus_from_the_first_byte_above_half_of_what_can_be_read_back() {
    let mut config = world::config(1);
    let bytes = Manifest::default().encoded_bytes();
    for (bytes_max, surplus_bytes) in [(2 * bytes, 0), (2 * bytes - 2, 1), (2 * bytes + 2, 0)] {
        config.manifest_bytes_max = bytes_max;
        let store = ManifestStore::new(Port::default(), config.clone(), Manifest::default());
        assert_eq!(store.surplus_bytes(), surplus_bytes);
    }
}
