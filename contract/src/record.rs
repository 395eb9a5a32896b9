//! The parsed record: every field typed and within its bounds, texts borrowed from the parser. A `Record` is not yet
//! authenticated; `signature` and `identity` check that.

use crate::{
    number::{self, Sink},
    text::write_string,
};

/// The only schema.
pub const SCHEMA: &str = "fractal-lba-kakeya";
/// The version of records built here.
pub const VERSION: &str = "0.1";
/// Largest integer that every JSON implementation reads exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Most entries of `scales`.
pub const SCALES_COUNT_MAX: usize = 64;
/// Fewest entries of `scales`.
pub const SCALES_COUNT_MIN: usize = 2;
/// Largest scale.
pub const SCALE_MAX: u64 = (1 << 31) - 1;
/// Most components of `v_star`.
pub const DIRECTION_COUNT_MAX: usize = 4096;
/// Longest `shard_id`, and the longest `pcs_id` and `merkle_root` for which a signature is computed at all.
pub const TEXT_BYTES_MAX: usize = 128;

/// How a record's points move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Regime {
    /// Points stay together along one direction.
    Sticky,
    /// Neither of the others.
    Mixed,
    /// Points fill space.
    NonSticky,
}

impl Regime {
    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sticky => "sticky",
            Self::Mixed => "mixed",
            Self::NonSticky => "non_sticky",
        }
    }

    /// A number that never changes its meaning, for storage.
    pub const fn code(self) -> u8 {
        match self {
            Self::Sticky => 1,
            Self::Mixed => 2,
            Self::NonSticky => 3,
        }
    }

    /// The regime of a stored number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sticky),
            2 => Some(Self::Mixed),
            3 => Some(Self::NonSticky),
            _ => None,
        }
    }
}

impl std::str::FromStr for Regime {
    type Err = UnknownRegime;

    fn from_str(text: &str) -> Result<Self, UnknownRegime> {
        match text {
            "sticky" => Ok(Self::Sticky),
            "mixed" => Ok(Self::Mixed),
            "non_sticky" => Ok(Self::NonSticky),
            _ => Err(UnknownRegime),
        }
    }
}

/// The text is none of `sticky`, `mixed`, `non_sticky`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRegime;

impl std::fmt::Display for UnknownRegime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a regime is `sticky`, `mixed` or `non_sticky`")
    }
}

impl std::error::Error for UnknownRegime {}

/// A list of texts stored end to end, so that a parser can reuse the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Texts<'a> {
    joined: &'a str,
    ends: &'a [usize],
}

impl<'a> Texts<'a> {
    /// `ends[i]` is where text `i` ends in `joined`; ascending, on character boundaries.
    pub(crate) const fn new(joined: &'a str, ends: &'a [usize]) -> Self {
        Self { joined, ends }
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (joined, mut start) = (self.joined, 0);
        self.ends.iter().map(move |&end| {
            let text = joined.get(start..end).unwrap_or_default();
            start = end;
            text
        })
    }
}

/// The agent's statement about its own state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ft<'a> {
    /// Position in the agent's outbox.
    pub outbox_seq: i64,
    /// The agent worked in a degraded mode; such a record is escalated.
    pub degraded: bool,
    /// Names of the fallbacks it used.
    pub fallbacks: Texts<'a>,
    /// The agent's own estimate; never influences a verdict.
    pub clock_skew_ms: i64,
}

/// One Proof-of-Computation Summary whose fields are all present and within their bounds.
///
/// `pcs_id`, `merkle_root` and `sig` are strings of unchecked form: they are checked with or after the signature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Identity; lowercase hex SHA-256 if it is valid.
    pub pcs_id: &'a str,
    /// Always `fractal-lba-kakeya`.
    pub schema: &'a str,
    /// Major 0.
    pub version: &'a str,
    /// 1–128 bytes.
    pub shard_id: &'a str,
    /// 0 … 2^53−1.
    pub epoch: u64,
    /// From 1; not part of the identity.
    pub attempt: u64,
    /// RFC 3339 date-time; never influences a verdict.
    pub sent_at: &'a str,
    /// Seed of the direction generator.
    pub seed: i64,
    /// 2–64 distinct scales.
    pub scales: &'a [u32],
    /// Occupied cells per scale, in the order of `scales`.
    pub n_j: &'a [u64],
    /// Claimed coherence.
    pub coh_star: f64,
    /// Claimed best direction.
    pub v_star: &'a [f64],
    /// Claimed slope D̂.
    pub d_hat: f64,
    /// Claimed compressibility.
    pub r: f64,
    /// Claimed budget.
    pub budget: f64,
    /// Claimed regime.
    pub regime: Regime,
    /// 1–128 hex characters if it is valid.
    pub merkle_root: &'a str,
    /// Base64 of the signature; empty if the member is absent or not a string, which no scheme accepts.
    pub sig: &'a str,
    /// State of the agent.
    pub ft: Ft<'a>,
}

/// A record that owns its texts, for tools that build, sign and edit.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRecord {
    /// See [`Record::pcs_id`].
    pub pcs_id: String,
    /// See [`Record::schema`].
    pub schema: String,
    /// See [`Record::version`].
    pub version: String,
    /// See [`Record::shard_id`].
    pub shard_id: String,
    /// See [`Record::epoch`].
    pub epoch: u64,
    /// See [`Record::attempt`].
    pub attempt: u64,
    /// See [`Record::sent_at`].
    pub sent_at: String,
    /// See [`Record::seed`].
    pub seed: i64,
    /// See [`Record::scales`].
    pub scales: Vec<u32>,
    /// See [`Record::n_j`].
    pub n_j: Vec<u64>,
    /// See [`Record::coh_star`].
    pub coh_star: f64,
    /// See [`Record::v_star`].
    pub v_star: Vec<f64>,
    /// See [`Record::d_hat`].
    pub d_hat: f64,
    /// See [`Record::r`].
    pub r: f64,
    /// See [`Record::budget`].
    pub budget: f64,
    /// See [`Record::regime`].
    pub regime: Regime,
    /// See [`Record::merkle_root`].
    pub merkle_root: String,
    /// See [`Record::sig`].
    pub sig: String,
    /// See [`Ft::outbox_seq`].
    pub outbox_seq: i64,
    /// See [`Ft::degraded`].
    pub degraded: bool,
    /// See [`Ft::clock_skew_ms`].
    pub clock_skew_ms: i64,
    pub(crate) fallbacks_joined: String,
    pub(crate) fallbacks_ends: Vec<usize>,
}

impl OwnedRecord {
    /// The same record, borrowed.
    pub fn view(&self) -> Record<'_> {
        Record {
            pcs_id: &self.pcs_id,
            schema: &self.schema,
            version: &self.version,
            shard_id: &self.shard_id,
            epoch: self.epoch,
            attempt: self.attempt,
            sent_at: &self.sent_at,
            seed: self.seed,
            scales: &self.scales,
            n_j: &self.n_j,
            coh_star: self.coh_star,
            v_star: &self.v_star,
            d_hat: self.d_hat,
            r: self.r,
            budget: self.budget,
            regime: self.regime,
            merkle_root: &self.merkle_root,
            sig: &self.sig,
            ft: Ft {
                outbox_seq: self.outbox_seq,
                degraded: self.degraded,
                fallbacks: Texts::new(&self.fallbacks_joined, &self.fallbacks_ends),
                clock_skew_ms: self.clock_skew_ms,
            },
        }
    }

    /// Replaces the list of fallbacks.
    pub fn set_fallbacks<'t>(&mut self, fallbacks: impl IntoIterator<Item = &'t str>) {
        self.fallbacks_joined.clear();
        self.fallbacks_ends.clear();
        for text in fallbacks {
            self.fallbacks_joined.push_str(text);
            self.fallbacks_ends.push(self.fallbacks_joined.len());
        }
    }
}

impl From<&Record<'_>> for OwnedRecord {
    fn from(record: &Record<'_>) -> Self {
        let mut owned = Self {
            pcs_id: record.pcs_id.to_owned(),
            schema: record.schema.to_owned(),
            version: record.version.to_owned(),
            shard_id: record.shard_id.to_owned(),
            epoch: record.epoch,
            attempt: record.attempt,
            sent_at: record.sent_at.to_owned(),
            seed: record.seed,
            scales: record.scales.to_vec(),
            n_j: record.n_j.to_vec(),
            coh_star: record.coh_star,
            v_star: record.v_star.to_vec(),
            d_hat: record.d_hat,
            r: record.r,
            budget: record.budget,
            regime: record.regime,
            merkle_root: record.merkle_root.to_owned(),
            sig: record.sig.to_owned(),
            outbox_seq: record.ft.outbox_seq,
            degraded: record.ft.degraded,
            clock_skew_ms: record.ft.clock_skew_ms,
            fallbacks_joined: String::new(),
            fallbacks_ends: Vec::new(),
        };
        owned.set_fallbacks(record.ft.fallbacks.iter());
        owned
    }
}

/// Writes the record as one line of JSON, members in the order of the contract, unknown members of its source left out.
pub fn write_json(record: &Record<'_>, out: &mut impl Sink) {
    out.put(b"{\"pcs_id\":");
    write_string(out, record.pcs_id);
    out.put(b",\"schema\":");
    write_string(out, record.schema);
    out.put(b",\"version\":");
    write_string(out, record.version);
    out.put(b",\"shard_id\":");
    write_string(out, record.shard_id);
    out.put(b",\"epoch\":");
    number::write_unsigned(out, record.epoch);
    out.put(b",\"attempt\":");
    number::write_unsigned(out, record.attempt);
    out.put(b",\"sent_at\":");
    write_string(out, record.sent_at);
    out.put(b",\"seed\":");
    number::write_signed(out, record.seed);
    out.put(b",\"scales\":");
    write_list(out, record.scales, |out, &s| {
        number::write_unsigned(out, u64::from(s));
    });
    out.put(b",\"N_j\":{");
    for (i, (&scale, &n)) in record.scales.iter().zip(record.n_j).enumerate() {
        out.put(if i == 0 { b"\"" } else { b",\"" });
        number::write_unsigned(out, u64::from(scale));
        out.put(b"\":");
        number::write_unsigned(out, n);
    }
    out.put(b"},\"coh_star\":");
    number::write_repr(out, record.coh_star);
    out.put(b",\"v_star\":");
    write_list(out, record.v_star, |out, &v| number::write_repr(out, v));
    out.put(b",\"D_hat\":");
    number::write_repr(out, record.d_hat);
    out.put(b",\"r\":");
    number::write_repr(out, record.r);
    out.put(b",\"budget\":");
    number::write_repr(out, record.budget);
    out.put(b",\"regime\":\"");
    out.put(record.regime.as_str().as_bytes());
    out.put(b"\",\"merkle_root\":");
    write_string(out, record.merkle_root);
    out.put(b",\"sig\":");
    write_string(out, record.sig);
    out.put(b",\"ft\":{\"outbox_seq\":");
    number::write_signed(out, record.ft.outbox_seq);
    out.put(b",\"degraded\":");
    out.put(if record.ft.degraded {
        b"true"
    } else {
        b"false"
    });
    out.put(b",\"fallbacks\":[");
    for (i, text) in record.ft.fallbacks.iter().enumerate() {
        if i > 0 {
            out.put(b",");
        }
        write_string(out, text);
    }
    out.put(b"],\"clock_skew_ms\":");
    number::write_signed(out, record.ft.clock_skew_ms);
    out.put(b"}}");
}

fn write_list<S: Sink, T>(out: &mut S, items: &[T], write: impl Fn(&mut S, &T)) {
    out.put(b"[");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.put(b",");
        }
        write(out, item);
    }
    out.put(b"]");
}
