//! The record of a body: where its bytes lie in the bodies part of its batch, and under which tenant it came.

use super::TENANT_BYTES_MAX;
use super::header::{Flags, assert_text, text};
use crate::wal::checksum::Reader;

/// Where the length of the encryption field lies in the payload: key number and nonce, behind the tenant. 0 of a plain body.
const ENCRYPTION_BYTES_AT: usize = 17;

/// Bytes of the encryption field of a body that a later version has encrypted.
pub(super) fn encryption_bytes(payload: &[u8]) -> Option<u8> {
    let bytes = payload.get(ENCRYPTION_BYTES_AT).copied();
    bytes.filter(|&bytes| bytes != 0)
}

/// What is known of a body when it is appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyMeta<'a> {
    /// Number of the configuration snapshot that judges the record.
    pub snapshot: u32,
    /// The tenant, 1–64 bytes.
    pub tenant: &'a str,
    /// See [`RecordHeader::key_slot`](super::RecordHeader::key_slot).
    pub key_slot: u16,
    /// [`Flags::COMPRESSED`] and [`Flags::ENCRYPTED`] describe the bytes given; [`Flags::ERASED`] is never given.
    pub flags: Flags,
    /// See [`RecordHeader::line`](super::RecordHeader::line).
    pub line: u32,
}

/// A body record as it is in the index part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRecord<'a> {
    /// Where the body begins within the bodies part of its batch, in bytes.
    pub offset: u32,
    /// Length of the body as stored, in bytes.
    pub bytes: u32,
    /// CRC-32C of the body as stored.
    pub checksum: u32,
    /// Number of the configuration snapshot that judges the record.
    pub snapshot: u32,
    /// The tenant.
    pub tenant: &'a str,
}

impl BodyRecord<'_> {
    /// Appends the payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        assert_text(self.tenant, TENANT_BYTES_MAX);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
        out.extend_from_slice(&self.snapshot.to_le_bytes());
        out.extend_from_slice(&[self.tenant.len() as u8, 0, 0, 0]);
        out.extend_from_slice(self.tenant.as_bytes());
    }

    /// Reads the payload of a body that is not encrypted; nothing if it has a form that no writer gives it.
    pub(super) fn decode<'a>(reader: &mut Reader<'a>) -> Option<BodyRecord<'a>> {
        let (offset, bytes, checksum, snapshot) =
            (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let tenant_bytes = reader.u8()?;
        let reserved: [u8; 3] = reader.array()?;
        let tenant = text(reader, usize::from(tenant_bytes), TENANT_BYTES_MAX)?;
        (reserved == [0; 3]).then_some(BodyRecord {
            offset,
            bytes,
            checksum,
            snapshot,
            tenant,
        })
    }
}
