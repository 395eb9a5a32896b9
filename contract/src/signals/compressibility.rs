//! r: the compressibility of the raw rows. The compressed length is part of the contract, so stock zlib (1.3.2, by the
//! feature `static` of libz-sys) is compiled in, and the zlib of the host is never used.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::number::round9;

const LEVEL: u32 = 6;

/// Length after zlib at level 6 over length before, clamped to 0…1 and rounded to nine decimals; 1.0 for no bytes.
pub fn compressibility(raw: &[u8]) -> f64 {
    if raw.is_empty() {
        return 1.0;
    }
    round9((compressed_bytes_count(raw) as f64 / raw.len() as f64).clamp(0.0, 1.0))
}

fn compressed_bytes_count(raw: &[u8]) -> u64 {
    let mut zlib = Compress::new(Compression::new(LEVEL), true);
    let mut out = [0; 16 * 1024];
    loop {
        let consumed = usize::try_from(zlib.total_in()).unwrap_or(raw.len());
        let rest = raw.get(consumed..).unwrap_or_default();
        // input and buffers are valid, so zlib has no reason to fail
        match zlib.compress(rest, &mut out, FlushCompress::Finish) {
            Ok(Status::Ok | Status::BufError) => {}
            Ok(Status::StreamEnd) | Err(_) => return zlib.total_out(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::compressibility;

    #[test]
    fn stays_between_zero_and_one() {
        assert_eq!(compressibility(b""), 1.0);
        assert_eq!(compressibility(b"a"), 1.0);
        // 17 bytes is what stock zlib makes of these
        assert_eq!(compressibility(&[b'a'; 1000]), 0.017);
    }
}
