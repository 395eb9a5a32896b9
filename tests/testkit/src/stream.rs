//! Slightly wrong inputs for parsers.

/// Changes at most one byte of a stream that is not empty: by `kind`, the one at `at` becomes `byte` (0), goes (1), or `byte`
/// comes before it (2); any other kind leaves it as it is.
pub fn change_one(stream: &mut Vec<u8>, kind: usize, at: usize, byte: u8) {
    match kind {
        0 => stream[at] = byte,
        1 => drop(stream.remove(at)),
        2 => stream.insert(at, byte),
        _ => {}
    }
}
