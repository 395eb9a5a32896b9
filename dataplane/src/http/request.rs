//! What a head can say of a request, as the reader of heads found it: the words between reading, routing and refusing.

/// A range of bytes of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes it names; empty where `bytes` is not the head it was made from.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Heads are bounded far below 4 GiB.
    pub(super) const fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }
}

/// Request method. Case matters: `get` is not `GET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`
    Options,
    /// Any other token.
    Other,
}

/// The id in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdInPath {
    /// 64 lowercase hex digits.
    Named(Span),
    /// Anything else.
    Invalid,
}

/// Which resource the path names, compared byte for byte; the query is ignored, but for `/readyz?verbose`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/v1/pcs/submit`
    Submit,
    /// `/v1/pcs/batch`
    Batch,
    /// `/v1/pcs/` and one more segment: the outcome of that id.
    Outcome(IdInPath),
    /// `/health`
    Health,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
    /// `/readyz?verbose`
    ReadyzVerbose,
    /// `/version`
    Version,
    /// `/metrics`
    Metrics,
    /// `*`: the server as a whole, with OPTIONS only.
    Server,
    /// Everything else.
    Other,
}

/// The `Content-Type` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`, whatever its parameters.
    Json,
    /// `application/x-ndjson`, whatever its parameters.
    Ndjson,
    /// No such header: treated as what the path takes.
    Absent,
    /// Something else.
    Other,
}

/// The `X-Tenant-Id` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantHeader {
    /// No such header: the default tenant.
    Absent,
    /// One well-formed name. Whether such a tenant is configured is checked elsewhere.
    Named(Span),
    /// Malformed, or sent twice.
    Invalid,
}
