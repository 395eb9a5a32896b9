//! The rules of the fields, checked in the order of the contract after `schema` and `version`. Unknown members are ignored.
//! It checks neither the signature nor the identity.

use simd_json::{Node, StaticNode};

use super::{
    json::{Elements, Members},
    malformed::{Field, Malformed, MalformedCode},
};
use crate::{
    record::{
        DIRECTION_COUNT_MAX, Ft, INTEGER_MAX, Record, Regime, SCALE_MAX, SCALES_COUNT_MAX,
        SCALES_COUNT_MIN, SCHEMA, TEXT_BYTES_MAX, Texts,
    },
    rfc3339,
};

/// Buffers for the lists of the current record, reused for the next one.
#[derive(Default)]
pub(super) struct Room {
    scales: Vec<u32>,
    n_j: Vec<u64>,
    v_star: Vec<f64>,
    fallbacks_joined: String,
    fallbacks_ends: Vec<usize>,
}

type Value<'t, 'i> = &'t [Node<'i>];

/// The place of each field's value on the tape.
struct Found<'t, 'i>([Option<Value<'t, 'i>>; Field::ALL.len()]);

impl<'t, 'i> Found<'t, 'i> {
    fn get(&self, field: Field) -> Result<Value<'t, 'i>, Malformed> {
        self.0[field as usize].ok_or(Malformed::field(MalformedCode::MissingField, field))
    }

    fn take(&mut self, object: Members<'t, 'i>, name: impl Fn(&str) -> Option<Field>) {
        for (key, value) in object {
            if let Some(field) = name(key) {
                self.0[field as usize] = Some(value);
            }
        }
    }

    fn str(&self, field: Field) -> Result<&'i str, Malformed> {
        match self.get(field)? {
            [Node::String(text), ..] => Ok(text),
            _ => Err(wrong_type(field)),
        }
    }

    fn bool(&self, field: Field) -> Result<bool, Malformed> {
        match self.get(field)? {
            [Node::Static(StaticNode::Bool(v)), ..] => Ok(*v),
            _ => Err(wrong_type(field)),
        }
    }

    fn unsigned(&self, field: Field, min: u64, max: u64) -> Result<u64, Malformed> {
        unsigned(self.get(field)?, field, min, max)
    }

    fn signed(&self, field: Field) -> Result<i64, Malformed> {
        match self.get(field)? {
            [Node::Static(StaticNode::I64(v)), ..] => Ok(*v),
            [Node::Static(StaticNode::U64(v)), ..] => {
                i64::try_from(*v).map_err(|_| out_of_range(field))
            }
            _ => Err(wrong_type(field)),
        }
    }

    fn number(&self, field: Field) -> Result<f64, Malformed> {
        number(self.get(field)?, field)
    }
}

/// Reads the record that the tape holds.
pub(super) fn record<'p>(tape: &[Node<'p>], room: &'p mut Room) -> Result<Record<'p>, Malformed> {
    let members = Members::of(tape).ok_or(Malformed::json(MalformedCode::NotAnObject))?;
    let mut found = Found([None; Field::ALL.len()]);
    found.take(members, top_level);

    let (schema, version) = schema_and_version(&found)?;
    let pcs_id = found.str(Field::PcsId)?;
    let shard_id = found.str(Field::ShardId)?;
    if !(1..=TEXT_BYTES_MAX).contains(&shard_id.len()) {
        return Err(out_of_range(Field::ShardId));
    }
    let epoch = found.unsigned(Field::Epoch, 0, INTEGER_MAX)?;
    let attempt = found.unsigned(Field::Attempt, 1, INTEGER_MAX)?;
    let sent_at = found.str(Field::SentAt)?;
    if !rfc3339::is_date_time(sent_at) {
        return Err(out_of_range(Field::SentAt));
    }
    let seed = found.signed(Field::Seed)?;
    read_scales(found.get(Field::Scales)?, &mut room.scales)?;
    read_n_j(found.get(Field::NJ)?, &room.scales, &mut room.n_j)?;
    let coh_star = found.number(Field::CohStar)?;
    read_v_star(found.get(Field::VStar)?, &mut room.v_star)?;
    let d_hat = found.number(Field::DHat)?;
    let r = found.number(Field::R)?;
    let budget = found.number(Field::Budget)?;
    let regime = found
        .str(Field::Regime)?
        .parse::<Regime>()
        .map_err(|_| out_of_range(Field::Regime))?;
    let merkle_root = found.str(Field::MerkleRoot)?;
    // if it is absent or not a string, the signature stage refuses it like every other unusable signature
    let sig = found.str(Field::Sig).unwrap_or_default();

    let members = Members::of(found.get(Field::Ft)?).ok_or(wrong_type(Field::Ft))?;
    found.take(members, of_ft);
    let outbox_seq = found.signed(Field::OutboxSeq)?;
    let degraded = found.bool(Field::Degraded)?;
    read_fallbacks(found.get(Field::Fallbacks)?, room)?;
    let clock_skew_ms = found.signed(Field::ClockSkewMs)?;

    Ok(Record {
        pcs_id,
        schema,
        version,
        shard_id,
        epoch,
        attempt,
        sent_at,
        seed,
        scales: &room.scales,
        n_j: &room.n_j,
        coh_star,
        v_star: &room.v_star,
        d_hat,
        r,
        budget,
        regime,
        merkle_root,
        sig,
        ft: Ft {
            outbox_seq,
            degraded,
            fallbacks: Texts::new(&room.fallbacks_joined, &room.fallbacks_ends),
            clock_skew_ms,
        },
    })
}

/// They come first: a record of another version may differ in every other field.
fn schema_and_version<'i>(found: &Found<'_, 'i>) -> Result<(&'i str, &'i str), Malformed> {
    let schema = found.str(Field::Schema)?;
    if schema != SCHEMA {
        return Err(unsupported(Field::Schema));
    }
    let version = found.str(Field::Version)?;
    check_version(version)?;
    Ok((schema, version))
}

fn top_level(key: &str) -> Option<Field> {
    Some(match key {
        "pcs_id" => Field::PcsId,
        "schema" => Field::Schema,
        "version" => Field::Version,
        "shard_id" => Field::ShardId,
        "epoch" => Field::Epoch,
        "attempt" => Field::Attempt,
        "sent_at" => Field::SentAt,
        "seed" => Field::Seed,
        "scales" => Field::Scales,
        "N_j" => Field::NJ,
        "coh_star" => Field::CohStar,
        "v_star" => Field::VStar,
        "D_hat" => Field::DHat,
        "r" => Field::R,
        "budget" => Field::Budget,
        "regime" => Field::Regime,
        "merkle_root" => Field::MerkleRoot,
        "sig" => Field::Sig,
        "ft" => Field::Ft,
        _ => return None,
    })
}

fn of_ft(key: &str) -> Option<Field> {
    Some(match key {
        "outbox_seq" => Field::OutboxSeq,
        "degraded" => Field::Degraded,
        "fallbacks" => Field::Fallbacks,
        "clock_skew_ms" => Field::ClockSkewMs,
        _ => return None,
    })
}

const fn wrong_type(field: Field) -> Malformed {
    Malformed::field(MalformedCode::WrongType, field)
}

const fn out_of_range(field: Field) -> Malformed {
    Malformed::field(MalformedCode::OutOfRange, field)
}

const fn unsupported(field: Field) -> Malformed {
    Malformed::field(MalformedCode::UnsupportedVersion, field)
}

/// `0.MINOR` or `0.MINOR.PATCH`; another major is unsupported, anything else is not a version.
fn check_version(version: &str) -> Result<(), Malformed> {
    let mut parts = version.split('.');
    let major = parts.next().unwrap_or_default();
    let rest_count = version.bytes().filter(|b| *b == b'.').count();
    if !(1..=2).contains(&rest_count) || !is_plain_integer(major) || !parts.all(is_plain_integer) {
        return Err(out_of_range(Field::Version));
    }
    if major != "0" {
        return Err(unsupported(Field::Version));
    }
    Ok(())
}

/// Digits without a leading zero.
fn is_plain_integer(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

fn unsigned(value: Value<'_, '_>, field: Field, min: u64, max: u64) -> Result<u64, Malformed> {
    let v = match value {
        [Node::Static(StaticNode::U64(v)), ..] => *v,
        // the only one that is not negative is the text `-0`
        [Node::Static(StaticNode::I64(v)), ..] => {
            u64::try_from(*v).map_err(|_| out_of_range(field))?
        }
        _ => return Err(wrong_type(field)),
    };
    if (min..=max).contains(&v) {
        Ok(v)
    } else {
        Err(out_of_range(field))
    }
}

fn number(value: Value<'_, '_>, field: Field) -> Result<f64, Malformed> {
    match value {
        [Node::Static(StaticNode::F64(v)), ..] => Ok(*v),
        [Node::Static(StaticNode::U64(v)), ..] => Ok(*v as f64),
        // on the tape only the type keeps the sign of the integer text `-0`
        [Node::Static(StaticNode::I64(0)), ..] => Ok(-0.0),
        [Node::Static(StaticNode::I64(v)), ..] => Ok(*v as f64),
        _ => Err(wrong_type(field)),
    }
}

fn read_scales(value: Value<'_, '_>, scales: &mut Vec<u32>) -> Result<(), Malformed> {
    const FIELD: Field = Field::Scales;
    scales.clear();
    for element in Elements::of(value).ok_or(wrong_type(FIELD))? {
        let scale = unsigned(element, FIELD, 1, SCALE_MAX)? as u32;
        if scales.len() == SCALES_COUNT_MAX || scales.contains(&scale) {
            return Err(out_of_range(FIELD));
        }
        scales.push(scale);
    }
    if scales.len() < SCALES_COUNT_MIN {
        return Err(out_of_range(FIELD));
    }
    Ok(())
}

fn read_n_j(value: Value<'_, '_>, scales: &[u32], n_j: &mut Vec<u64>) -> Result<(), Malformed> {
    const FIELD: Field = Field::NJ;
    const MISMATCH: Malformed = Malformed::field(MalformedCode::ScalesMismatch, FIELD);
    n_j.clear();
    n_j.resize(scales.len(), 0);
    let mut members_count = 0;
    for (key, value) in Members::of(value).ok_or(wrong_type(FIELD))? {
        let scale = scale_key(key).ok_or(MISMATCH)?;
        let at = scales.iter().position(|s| *s == scale).ok_or(MISMATCH)?;
        n_j[at] = unsigned(value, FIELD, 1, INTEGER_MAX)?;
        members_count += 1;
    }
    // keys are distinct and each scale has one text, so an equal count means the same set
    if members_count == scales.len() {
        Ok(())
    } else {
        Err(MISMATCH)
    }
}

fn scale_key(key: &str) -> Option<u32> {
    is_plain_integer(key).then(|| key.parse().ok()).flatten()
}

fn read_v_star(value: Value<'_, '_>, v_star: &mut Vec<f64>) -> Result<(), Malformed> {
    const FIELD: Field = Field::VStar;
    v_star.clear();
    for element in Elements::of(value).ok_or(wrong_type(FIELD))? {
        if v_star.len() == DIRECTION_COUNT_MAX {
            return Err(out_of_range(FIELD));
        }
        v_star.push(number(element, FIELD)?);
    }
    if v_star.is_empty() {
        return Err(out_of_range(FIELD));
    }
    Ok(())
}

fn read_fallbacks(value: Value<'_, '_>, room: &mut Room) -> Result<(), Malformed> {
    const FIELD: Field = Field::Fallbacks;
    room.fallbacks_joined.clear();
    room.fallbacks_ends.clear();
    for element in Elements::of(value).ok_or(wrong_type(FIELD))? {
        let [Node::String(text), ..] = element else {
            return Err(wrong_type(FIELD));
        };
        room.fallbacks_joined.push_str(text);
        room.fallbacks_ends.push(room.fallbacks_joined.len());
    }
    Ok(())
}
