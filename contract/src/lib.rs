//! The record contract of flk: the form of a Proof-of-Computation Summary, the bytes that are signed, and the verdict. Data
//! plane, command line and simulator all use this crate. It does no input or output, reads no clock and no random source,
//! and has no unsafe code.
#![forbid(unsafe_code)]

// In the order in which a record meets them.
pub mod parse;
pub mod record;
pub mod rfc3339;

pub mod canonical;
pub mod hash;
pub mod number;
pub mod text;

pub mod identity;
pub mod signature;

pub mod params;
pub mod signals;
pub mod verify;

pub mod outcome;

pub mod build;

pub use canonical::{NumberForm, PayloadBuf};
pub use identity::{IdentityMismatch, check_identity};
pub use number::Sink;
pub use params::{Params, ParamsVersion};
pub use parse::{Malformed, MalformedCode, Parser};
pub use record::{Ft, OwnedRecord, Record, Regime};
pub use signals::theil_sen::SlopeCache;
pub use signature::{
    Algorithm, KeyError, KeyId, KeySet, Scheme, Scratch, SigningKey, Unauthentic, Verified,
    authenticate, authenticate_unsigned, sign,
};
pub use verify::{Outcome, Reason, judge};
