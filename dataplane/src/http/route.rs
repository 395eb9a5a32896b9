//! Routing by head: chooses the handler of a request, or the problem that answers it before its body is read. It never
//! looks at a body, a key or a rate.

use super::head::{BodyRest, Head};
use super::problem::Problem;
use super::request::{ContentType, IdInPath, Method, Span, Target, TenantHeader};

/// To keep the connection after a refusal, a remaining body of at most this length is read and discarded.
pub const SKIPPED_BODY_BYTES_MAX: u64 = 64 * 1024;

/// The handler of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A record to judge.
    Submit,
    /// Many records to judge, one a line.
    Batch,
    /// The stored outcome of the id that stands here in the head.
    Outcome(Span),
    /// `OK`.
    Health,
    /// Liveness probe.
    Livez,
    /// Readiness probe.
    Readyz,
    /// The same with what is in force.
    ReadyzVerbose,
    /// Version of the build.
    Version,
    /// Counters and histograms.
    Metrics,
    /// Answers OPTIONS with the methods of a target.
    Options(Allowed),
}

/// Whether stored outcomes can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUps {
    /// Their paths are like any other that does not exist.
    Off,
    /// They can.
    On,
}

/// The methods of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The path that takes records.
    Submit,
    /// A read-only path.
    Page,
    /// The server as a whole.
    Server,
}

impl Allowed {
    /// The value of the `Allow` header.
    #[must_use]
    pub const fn methods(self) -> &'static str {
        match self {
            Allowed::Submit => "POST, OPTIONS",
            Allowed::Page => "GET, HEAD, OPTIONS",
            Allowed::Server => "GET, HEAD, POST, OPTIONS",
        }
    }
}

/// Routes by head. The checks are in this order: path, method, content encoding, content type, tenant.
///
/// # Errors
/// The problem to answer; [`connection_survives`] says whether the connection is kept.
pub fn route(head: &Head, look_ups: LookUps) -> Result<Route, Problem> {
    let route = match head.target {
        Target::Submit => return records(head, Route::Submit),
        Target::Batch => return records(head, Route::Batch),
        Target::Outcome(id) if look_ups == LookUps::On => return outcome(head, id),
        Target::Health => Route::Health,
        Target::Livez => Route::Livez,
        Target::Readyz => Route::Readyz,
        Target::ReadyzVerbose => Route::ReadyzVerbose,
        Target::Version => Route::Version,
        Target::Metrics => Route::Metrics,
        Target::Server => return Ok(Route::Options(Allowed::Server)),
        Target::Outcome(_) | Target::Other => return Err(Problem::NotFound),
    };
    match head.method {
        Method::Get | Method::Head => Ok(route),
        Method::Options => Ok(Route::Options(Allowed::Page)),
        _ => Err(Problem::ReadMethodNotAllowed),
    }
}

fn outcome(head: &Head, id: IdInPath) -> Result<Route, Problem> {
    match (head.method, id) {
        (Method::Options, _) => Ok(Route::Options(Allowed::Page)),
        (Method::Post | Method::Other, _) => Err(Problem::ReadMethodNotAllowed),
        (Method::Get | Method::Head, IdInPath::Invalid) => Err(Problem::InvalidPcsId),
        (Method::Get | Method::Head, IdInPath::Named(_))
            if head.tenant == TenantHeader::Invalid =>
        {
            Err(Problem::UnknownTenant)
        }
        (Method::Get | Method::Head, IdInPath::Named(span)) => Ok(Route::Outcome(span)),
    }
}

/// The rules of a resource that takes records, one or many.
fn records(head: &Head, route: Route) -> Result<Route, Problem> {
    if head.method == Method::Options {
        return Ok(Route::Options(Allowed::Submit));
    }
    if head.method != Method::Post {
        return Err(Problem::SubmitMethodNotAllowed);
    }
    if head.content_encoded {
        return Err(Problem::ContentEncodingUnsupported);
    }
    let (taken, refusal) = match route {
        Route::Batch => (ContentType::Ndjson, Problem::BatchTypeUnsupported),
        _ => (ContentType::Json, Problem::ContentTypeUnsupported),
    };
    if head.content_type != taken && head.content_type != ContentType::Absent {
        return Err(refusal);
    }
    if head.tenant == TenantHeader::Invalid {
        return Err(Problem::UnknownTenant);
    }
    Ok(route)
}

/// Whether the connection can be kept after this refusal, given how much of the body has not been received. Where that may
/// never come, the start of the next request cannot be found.
#[must_use]
pub const fn connection_survives(
    problem: Problem,
    body_bytes_left: u64,
    body_rest: BodyRest,
) -> bool {
    let comes = match body_rest {
        BodyRest::Comes => true,
        BodyRest::MayNotCome => body_bytes_left == 0,
    };
    comes && !problem.closes() && body_bytes_left <= SKIPPED_BODY_BYTES_MAX
}
