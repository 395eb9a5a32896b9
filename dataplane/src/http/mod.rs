//! HTTP/1.1 and 1.0 as pure functions over bytes: framing of request heads and chunked bodies, routing, and the bytes of
//! every response. No function here owns a socket, a clock or a buffer; the only allocation is the growth of the caller's
//! output.
//!
//! In the order in which a request meets them: [`proxy`] reads what a proxy says of the client, [`head`] reads a head (with `request_line`, `fields` and `framing`), [`forwarded`] finds the client in it,
//! [`route`](mod@route) chooses a handler or a refusal, [`accept`] says what form of a page is wanted, [`read_traceparent`] reads which trace a request belongs to, [`chunked`] decodes a body, [`respond`] writes the response,
//! [`problem`](mod@problem) is the table of all refusals. Each file states where it is stricter than the RFCs, and why.

pub mod accept;
mod ascii;
pub mod chunked;
pub mod date;
mod fields;
pub mod forwarded;
mod framing;
pub mod head;
pub mod networks;
pub mod problem;
pub mod proxy;
mod request_line;
pub mod respond;
pub mod route;
mod traceparent;

pub use chunked::{Decoded, Decoder, Skipped};
pub use date::Date;
pub use forwarded::forwarded_client;
pub use head::{
    BodyRest, ContentType, Head, HeadStatus, HttpLimits, IdInPath, Method, Span, Target,
    TenantHeader, begins_with_post, read_head,
};
pub use networks::{Networks, NetworksError};
pub use problem::Problem;
pub use proxy::{ProxyFault, ProxyHeader, ProxyStatus, read_proxy_header};
pub use respond::{Afterwards, BatchCounts, CONTINUE, Common, Dedup, ResponsePart};
pub use route::{Allowed, LookUps, Route, SKIPPED_BODY_BYTES_MAX, connection_survives, route};
pub use traceparent::{Sampled, Traceparent, read_traceparent};
