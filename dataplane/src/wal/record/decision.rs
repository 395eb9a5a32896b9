//! The record of a decision: the first outcome of a key, with all that is needed to answer its duplicates.

use super::disposition::{decode_place, encode_place};
use super::header::{assert_text, text};
use super::{PARAMS_BYTES_MAX, TENANT_BYTES_MAX};
use crate::wal::checksum::Reader;
use crate::wal::name::Place;
use flk_contract::outcome::unknown_part;

/// Bytes of a decision's payload before tenant and params version.
pub(super) const DECISION_FIXED_BYTES: usize = 132;

/// A decision: the first outcome of a key, with all that is needed to answer its duplicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision<'a> {
    /// The body that it decides, in the same log.
    pub body: Place,
    /// The tenant, 1–64 bytes.
    pub tenant: &'a str,
    /// The record's id: the 32 bytes that its 64 lowercase hex digits stand for.
    pub pcs_id: [u8; 32],
    /// Signing digest in the default number form, whatever the scheme.
    pub digest: [u8; 32],
    /// Id of the key that verified the record.
    pub key_id: [u8; 8],
    /// Version of the parameter set, 1–32 bytes.
    pub params: &'a str,
    /// Second of the expiry clock at which the claim was granted.
    pub decided_at: u32,
    /// Second of the expiry clock from which on it answers nothing.
    pub expiry: u32,
    /// Number of the encoding of these fields as outcome text.
    pub encoding: u8,
    /// 0 accepted, else the escalation reason's number.
    pub reason: u8,
    /// The regime's number.
    pub regime: u8,
    /// Claimed D̂, recomputed D̂, claimed budget, recomputed budget.
    pub numbers: [f64; 4],
    /// Number of the node of its group that decided it; 0 is a node that stands alone.
    pub origin: u8,
}

impl Decision<'_> {
    /// The part, named first, whose number this version does not know.
    pub(super) fn unknown_part(&self) -> Option<(&'static str, u8)> {
        unknown_part(self.encoding, self.reason, self.regime)
    }

    /// Appends the payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        assert_text(self.tenant, TENANT_BYTES_MAX);
        assert_text(self.params, PARAMS_BYTES_MAX);
        encode_place(out, self.body);
        out.extend_from_slice(&self.decided_at.to_le_bytes());
        out.extend_from_slice(&self.expiry.to_le_bytes());
        let tenant_bytes = self.tenant.len() as u8;
        out.extend_from_slice(&[self.encoding, self.reason, self.regime, tenant_bytes]);
        out.extend_from_slice(&self.pcs_id);
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.key_id);
        for number in self.numbers {
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        out.extend_from_slice(&[self.params.len() as u8, self.origin, 0, 0]);
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(self.params.as_bytes());
    }

    /// Reads the payload; nothing if it has a form that no writer gives it.
    pub(super) fn decode<'a>(reader: &mut Reader<'a>) -> Option<Decision<'a>> {
        let body = decode_place(reader)?;
        let (decided_at, expiry) = (reader.u32()?, reader.u32()?);
        let (encoding, reason, regime) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let tenant_bytes = reader.u8()?;
        let (pcs_id, digest, key_id) = (reader.array()?, reader.array()?, reader.array()?);
        let numbers = [reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?];
        let params_bytes = reader.u8()?;
        let origin = reader.u8()?;
        let reserved: [u8; 2] = reader.array()?;
        let tenant = text(reader, usize::from(tenant_bytes), TENANT_BYTES_MAX)?;
        let params = text(reader, usize::from(params_bytes), PARAMS_BYTES_MAX)?;
        (reserved == [0; 2]).then_some(Decision {
            body,
            tenant,
            pcs_id,
            digest,
            key_id,
            params,
            decided_at,
            expiry,
            encoding,
            reason,
            regime,
            numbers,
            origin,
        })
    }
}
