//! CRC-32C and little-endian numbers: how every structure on disk is checked and encoded.
//! Nothing here knows a layout; reading past the end is a `None`, never a panic.

/// CRC-32C (Castagnoli) of some bytes; the instruction set is detected at run time.
pub fn crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Goes on with the checksum of earlier bytes: `crc_more(crc(a), b) == crc(a followed by b)`.
pub fn crc_more(earlier: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(earlier, bytes)
}

/// Writes bytes at an offset of a block whose size the caller knows.
pub(crate) fn put(block: &mut [u8], offset: usize, bytes: &[u8]) {
    block[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Reads numbers one after the other from bytes that may end anywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }
    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }
    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }
    /// The next `N` bytes by value.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = tail;
        Some(*head)
    }
    /// The next byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
    /// The next 16-bit number.
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    /// The next 32-bit number.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    /// The next 64-bit number.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    /// The next double, from its bits.
    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis_with_its_published_check_value() {
        assert_eq!(crc(b"123456789"), 0xE306_9283);
        assert_eq!(crc_more(crc(b"1234"), b"56789"), 0xE306_9283);
        assert_eq!(crc(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn a_reader_at_the_end_gives_nothing_and_stays_where_it_is() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16(), Some(0x0201));
        assert_eq!(reader.u16(), None);
        assert_eq!(reader.rest(), &[3]);
    }
}
