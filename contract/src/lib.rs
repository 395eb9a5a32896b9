//! The record contract of flk: what a Proof-of-Computation Summary is, which bytes are signed, and how it is judged.
//! Data plane, command line and simulator share this crate, so that there is one answer to each of these questions.
//! It never does input or output, never reads a clock or a random source, and holds no unsafe code.
#![forbid(unsafe_code)]

// In the order in which a record meets them.
pub mod parse;
pub mod record;
pub mod rfc3339;

pub mod canonical;
pub mod hash;
pub mod number;

pub mod identity;
pub mod signature;

pub mod signals;
pub mod verify;

pub mod outcome;

pub mod build;

pub use canonical::{NumberForm, PayloadBuf};
pub use identity::{IdentityMismatch, check_identity};
pub use number::Sink;
pub use parse::{Malformed, MalformedCode, Parser};
pub use record::{Ft, OwnedRecord, Record, Regime};
pub use signals::theil_sen::SlopeCache;
pub use signature::{
    Algorithm, KeyError, KeyId, KeySet, Scheme, Scratch, SigningKey, Unauthentic, Verified,
    authenticate, authenticate_unsigned, sign,
};
pub use verify::{Outcome, Params, ParamsVersion, Reason, judge};
