//! Any bytes as a sealed slice, and as a list of changes to a sound one. A changed slice is refused or says the same as
//! before: never other entries.
#![no_main]

use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::slice::{read_anything, verify_whole};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static SOUND: LazyLock<(Vec<u8>, Vec<Decided>)> = LazyLock::new(flk_fuzz::slice);

fuzz_target!(|bytes: &[u8]| {
    let _ = read_anything(bytes);
    let (mut changed, entries) = SOUND.clone();
    // Each change: a position in three bytes, and what to add to the byte there.
    for change in bytes.chunks_exact(4).take(64) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
        let at = at % changed.len();
        changed[at] = changed[at].wrapping_add(change[3]);
    }
    // A remainder shortens or lengthens it.
    match bytes.chunks_exact(4).remainder() {
        [cut] => changed.truncate(changed.len() - usize::from(*cut)),
        [more, byte] => changed.resize(changed.len() + usize::from(*more), *byte),
        _ => {}
    }
    let _ = read_anything(&changed);
    let mut seen = Vec::new();
    if verify_whole(&changed, |decided| seen.push(decided)).is_ok() {
        assert_eq!(seen, entries, "a damaged slice was taken for another one");
    }
});
