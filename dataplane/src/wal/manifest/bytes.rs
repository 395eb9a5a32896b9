//! Numbers, lists and ids of logs as the manifest writes and reads them. It knows none of its fields.

use super::{ManifestFault, PREFIX_BYTES};
use crate::wal::checksum::{Reader, crc};
use crate::wal::name::LogId;

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
    /// Appends the number of bytes that the function appends, and those bytes.
    pub(super) fn with_length(&mut self, content: impl FnOnce(&mut Writer)) {
        let at = self.bytes.len();
        self.u32(0);
        content(self);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
    /// Writes the length into the prefix and the checksum behind everything.
    pub(super) fn sealed(mut self) -> Vec<u8> {
        let length = (self.bytes.len() + 4) as u32;
        self.bytes[PREFIX_BYTES - 4..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
        let checksum = crc(&self.bytes);
        self.u32(checksum);
        self.bytes
    }
}

/// Reads a list: its length, then its items. A length that the rest cannot hold is refused before memory is taken.
pub(super) fn list<'a, T, F>(
    reader: &mut Reader<'a>,
    item_bytes_min: usize,
    mut item: F,
) -> Option<Result<Vec<T>, ManifestFault>>
where
    F: FnMut(&mut Reader<'a>) -> Option<Result<T, ManifestFault>>,
{
    let count = reader.u32()? as usize;
    if count > reader.rest().len() / item_bytes_min {
        return None;
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        match item(reader)? {
            Ok(value) => items.push(value),
            Err(fault) => return Some(Err(fault)),
        }
    }
    Some(Ok(items))
}

pub(super) fn log_id(reader: &mut Reader<'_>) -> Option<LogId> {
    let start = reader.u32()?;
    let number = reader.u32()?;
    let number = u16::try_from(number).ok()?;
    Some(LogId { start, number })
}
