//! The terms in which the oracle judges: what may be broken, what is asked and answered, the rules of a run, and times. They
//! are data.

use crate::sim::records::{Kind, Shape, VARIANTS_COUNT, pool};

/// What the gateway may not do; the words of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// An acknowledged record was lost.
    AcknowledgedLost,
    /// A second outcome while the first lives, or an expired one that still answers.
    OneOutcome,
    /// Something was accepted that no client sent.
    NothingInvented,
    /// A body that was answered is not in the log, or without its disposition.
    BodiesKept,
    /// A refused record left a trace in de-duplication.
    SignatureFirst,
    /// Answers out of order, or of another request.
    ReplyOrder,
    /// Judged under another configuration than the one in force at the append.
    JudgedAsInForce,
    /// Damage taken for a torn tail, or the reverse.
    DamageOrTornTail,
    /// A hold was lost, or what it needs was deleted against its terms.
    HoldsKept,
    /// Something grew beyond its bound.
    Bounded,
    /// Nothing more comes although nothing is wrong.
    Liveness,
    /// An assertion of the gateway itself.
    Assertion,
}

impl Property {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Property::AcknowledgedLost => "no acknowledged record lost",
            Property::OneOutcome => "one outcome per id within its TTL",
            Property::NothingInvented => "nothing accepted that no client sent",
            Property::BodiesKept => "bodies kept, with their disposition",
            Property::SignatureFirst => "invalid signatures leave dedup untouched",
            Property::ReplyOrder => "replies in connection order",
            Property::JudgedAsInForce => "judged under the snapshot in force",
            Property::DamageOrTornTail => "damage is no torn tail, nor the reverse",
            Property::HoldsKept => "holds kept, and what they need",
            Property::Bounded => "resources bounded",
            Property::Liveness => "everything is answered",
            Property::Assertion => "an assertion of the gateway",
        }
    }
}

/// A broken property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub property: Property,
    /// How, with ids and numbers.
    pub how: String,
}

/// Makes a broken property.
pub fn broken(property: Property, how: String) -> Broken {
    Broken { property, how }
}

/// Both bounds of the expiry clock at one moment, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The sum of what it advanced at most.
    pub fast_us: i64,
    /// The sum of what it advanced at least.
    pub slow_us: i64,
}

/// What de-duplication said in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedup {
    /// First outcome.
    Miss,
    /// A repetition.
    Hit,
    /// Same id, other content.
    Conflict,
}

/// An answer as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAnswer {
    /// HTTP status.
    pub status: u16,
    /// The dedup header, if there is one.
    pub dedup: Option<Dedup>,
    /// The body.
    pub body: String,
}

/// A request that was sent, at least in part.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which id.
    pub key: u32,
    /// What it is.
    pub kind: Kind,
    /// What is not signed of it.
    pub shape: Shape,
    /// When it was sent.
    pub sent: Reading,
    /// Status of its answer.
    pub status: Option<u16>,
    /// The oldest snapshot that may have been in force anywhere when it was sent.
    pub since_snapshot: usize,
    /// The wall clock when it was sent.
    pub walls: Walls,
    /// It was refused before the log, because its tenant is not there or over its limits.
    pub before_the_log: bool,
    /// Run of the process in which it was answered.
    pub answered_in_run: u32,
}

/// What the gateway is configured with in a run, as far as its answers depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long an outcome lives.
    pub ttl_us: i64,
    /// The parameter set in force.
    pub params: u8,
    /// Whether each key verifies.
    pub signers: [bool; 2],
    /// Longest body.
    pub body_bytes_max: u64,
    /// A request is decided, and its decision durable, at most this long after it was sent, or never.
    pub flight_us_max: i64,
}

/// The outcome of an id: the variant of its record, and the parameter set that judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The variant.
    pub variant: u8,
    /// The parameter set.
    pub params: u8,
}

impl ReadOutcome {
    /// The outcome of this id that an answer has, if it has one.
    pub(super) fn read(key: u32, answer: &SeenAnswer) -> Option<ReadOutcome> {
        let id = pool().id(key);
        (0..VARIANTS_COUNT).find_map(|variant| {
            let mut outcomes = id.variants[usize::from(variant)].outcomes.iter();
            let is_it =
                |(status, text): &(u16, String)| *text == answer.body && *status == answer.status;
            let params = outcomes.position(is_it)? as u8;
            Some(ReadOutcome { variant, params })
        })
    }
}

/// What an answer meant, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A first outcome.
    First,
    /// A first outcome of an id whose earlier one has expired.
    FirstAgain,
    /// A repetition.
    Again,
    /// A conflict.
    Conflict,
    /// Refused for good.
    Refused,
    /// Larger than is allowed; never logged.
    TooLarge,
    /// Over a rate; never logged.
    Limited,
    /// The client may retry.
    Retry,
    /// A look-up found an outcome.
    Found,
    /// A look-up found none.
    Absent,
}

/// The seconds that the wall clock has shown since some moment: all from the least to the most, if it was set in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walls {
    /// The least.
    pub least_s: u64,
    /// The most.
    pub most_s: u64,
    /// How often it had been set before.
    pub jumps: usize,
}
