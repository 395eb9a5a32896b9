//! What the head alone decides: which handler a request is for, or which refusal it gets before its body is read.
//! It never looks at a body, a key or a rate.

use super::head::{ContentType, Head, Method, Target, TenantHeader};
use super::problem::Problem;

/// A refused request's remaining body up to this length is read and thrown away to keep the connection.
pub const SKIPPED_BODY_BYTES_MAX: u64 = 64 * 1024;

/// Where an admissible request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A record to judge.
    Submit,
    /// `OK`.
    Health,
    /// Whether the process runs.
    Livez,
    /// Whether it takes records.
    Readyz,
    /// Which build it is.
    Version,
    /// Counters and histograms.
    Metrics,
    /// Which methods a target takes: the answer to OPTIONS.
    Options(Allowed),
}

/// The methods of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Those of the path that takes records.
    Submit,
    /// Those of a path that is only read.
    Page,
    /// Those of the server as a whole.
    Server,
}

impl Allowed {
    /// The list, as `Allow` has it.
    #[must_use]
    pub const fn methods(self) -> &'static str {
        match self {
            Allowed::Submit => "POST, OPTIONS",
            Allowed::Page => "GET, HEAD, OPTIONS",
            Allowed::Server => "GET, HEAD, POST, OPTIONS",
        }
    }
}

/// Routes by head. The checks go from path to method to what the body claims to be to who sends it.
///
/// # Errors
/// The refusal; [`connection_survives`] says whether the connection is kept.
pub fn route(head: &Head) -> Result<Route, Problem> {
    let route = match head.target {
        Target::Submit => return submit(head),
        Target::Health => Route::Health,
        Target::Livez => Route::Livez,
        Target::Readyz => Route::Readyz,
        Target::Version => Route::Version,
        Target::Metrics => Route::Metrics,
        Target::Server => return Ok(Route::Options(Allowed::Server)),
        Target::Other => return Err(Problem::NotFound),
    };
    match head.method {
        Method::Get | Method::Head => Ok(route),
        Method::Options => Ok(Route::Options(Allowed::Page)),
        _ => Err(Problem::ReadMethodNotAllowed),
    }
}

fn submit(head: &Head) -> Result<Route, Problem> {
    if head.method == Method::Options {
        return Ok(Route::Options(Allowed::Submit));
    }
    if head.method != Method::Post {
        return Err(Problem::SubmitMethodNotAllowed);
    }
    if head.content_encoded {
        return Err(Problem::ContentEncodingUnsupported);
    }
    if head.content_type == ContentType::Other {
        return Err(Problem::ContentTypeUnsupported);
    }
    if head.tenant == TenantHeader::Invalid {
        return Err(Problem::UnknownTenant);
    }
    Ok(Route::Submit)
}

/// Whether the connection goes on after this refusal, given how much of the body has not been received yet.
///
/// A sender that waits for `100 Continue` may or may not send its body after a refusal, so nothing behind an
/// unread body of such a request can be trusted: the caller passes `expects_continue` as it is in the head.
#[must_use]
pub const fn connection_survives(
    problem: Problem,
    body_bytes_left: u64,
    expects_continue: bool,
) -> bool {
    !problem.closes()
        && body_bytes_left <= SKIPPED_BODY_BYTES_MAX
        && !(expects_continue && body_bytes_left > 0)
}
