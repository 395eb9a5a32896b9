//! HTTP/1.1 and 1.0 as pure functions over bytes: framing of request heads and chunked bodies, routing, and the bytes of
//! every response. No function here owns a socket, a clock or a buffer; the only allocation is the growth of the caller's
//! output.
//!
//! In the order in which a request meets them: [`proxy`] reads what a proxy states of the client, [`head`] reads a head (with
//! `request_line`, `fields` and `framing`) as the words of [`request`], [`forwarded`] finds the client in it, [`read_traceparent`]
//! the trace. [`route`](mod@route) chooses a handler or a refusal, [`chunked`] decodes a body, [`problem`](mod@problem) is the table
//! of all refusals, [`respond`] writes the response, [`accept`] tells which form of a page is wanted. Each file states where it is
//! stricter than the RFCs, and why.

// A head, and what it says.
pub mod proxy;

pub mod head;

pub mod request;

mod request_line;

mod framing;

mod fields;

mod ascii;

pub mod forwarded;

pub mod networks;

mod traceparent;

// What becomes of it.
pub mod route;

pub mod chunked;

pub mod problem;

pub mod respond;

pub mod accept;

pub mod date;

pub use chunked::{Decoded, Decoder, Skipped};
pub use date::Date;
pub use forwarded::forwarded_client;
pub use head::{BodyRest, Head, HeadStatus, HttpLimits, begins_with_post, read_head};
pub use networks::{Networks, NetworksError};
pub use problem::Problem;
pub use proxy::{ProxyFault, ProxyHeader, ProxyStatus, read_proxy_header};
pub use request::{ContentType, IdInPath, Method, Span, Target, TenantHeader};
pub use respond::{Afterwards, BatchCounts, CONTINUE, Common, Dedup, ResponsePart};
pub use route::{Allowed, LookUps, Route, SKIPPED_BODY_BYTES_MAX, connection_survives, route};
pub use traceparent::{Sampled, Traceparent, read_traceparent};
