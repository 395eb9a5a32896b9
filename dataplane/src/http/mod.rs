//! HTTP/1.1 and 1.0 as pure functions over bytes: framing of request heads and of chunked bodies, routing by head, and the
//! bytes of every answer.
//! Nothing here owns a socket, a clock or a buffer, and nothing allocates but the caller's output growing.
//!
//! What is strict, and why, is said where it is decided: [`head`] for framing (its `fields` for the values that steer
//! framing), [`chunked`] for bodies, [`route`](mod@route) for admission by head, [`problem`](mod@problem) for every refusal there is.

mod ascii;
pub mod chunked;
pub mod date;
mod fields;
pub mod head;
pub mod problem;
pub mod respond;
pub mod route;

pub use chunked::{Decoded, Decoder, Skipped};
pub use date::Date;
pub use head::{
    ContentType, Head, HeadStatus, Limits, Method, Span, Target, TenantHeader, begins_with_post,
    read_head,
};
pub use problem::Problem;
pub use respond::{Afterwards, CONTINUE, Common, Dedup};
pub use route::{Allowed, Route, SKIPPED_BODY_BYTES_MAX, connection_survives, route};
