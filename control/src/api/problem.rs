//! Why a request is not carried out, as an answer: one row makes status, code and title. No answer holds a token.

use crate::controller::Refusal;
use crate::tokens::{Actor, Role};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flk_dataplane::driver::agent::protocol::Code;
use serde_json::json;

/// Why a request is not carried out.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no such path.
    NoSuchPath,
    /// The path has another method.
    NoSuchMethod,
    /// A snapshot is named by its number.
    NotANumber,
    /// There is no token, or an unknown one.
    NoToken,
    /// The file of the tokens cannot be read.
    Tokens(String),
    /// The token's role does not suffice.
    Role {
        /// Whose token it is.
        actor: Actor,
        /// The role that is needed.
        needed: Role,
    },
    /// It came from a page in a browser.
    Browser,
    /// The data plane is away.
    Away(String),
    /// The controller did not carry it out.
    Refused(Refusal),
    /// A mistake in this program.
    Bug(String),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem::Refused(refusal)
    }
}

impl Problem {
    fn row(&self) -> (u16, &'static str, &'static str) {
        match self {
            Problem::NoSuchPath => (404, "not_found", "No such path"),
            Problem::NoSuchMethod => (405, "method_not_allowed", "The path has another method"),
            Problem::NotANumber => (400, "not_a_number", "A snapshot is named by its number"),
            Problem::NoToken => (401, "token_required", "A valid token is needed"),
            Problem::Tokens(_) => (503, "tokens_unavailable", "The tokens cannot be read"),
            Problem::Role { .. } => (
                403,
                "role_insufficient",
                "The token's role does not suffice",
            ),
            Problem::Browser => (403, "local_only", "Only programs of this machine may ask"),
            Problem::Away(_) => (503, "dataplane_away", "The data plane does not answer"),
            Problem::Bug(_) => (500, "bug", "A mistake in flk-control"),
            Problem::Refused(refusal) => match refusal {
                Refusal::Wrong(_) => (422, "configuration_wrong", "The configuration is wrong"),
                Refusal::Away(_) => (503, "dataplane_away", "The data plane does not answer"),
                Refusal::Refused {
                    code: Code::NotKept,
                    ..
                } => (404, "not_kept", "The snapshot is not kept"),
                Refusal::Refused { .. } => (409, "refused", "The data plane refuses it"),
                Refusal::Audit(_) => (503, "audit_failed", "The change could not be recorded"),
                Refusal::Stopping => (503, "stopping", "Control stops"),
            },
        }
    }

    fn detail(&self) -> String {
        match self {
            Problem::NoSuchPath | Problem::NoSuchMethod => {
                "GET /v1/openapi.json describes this interface.".to_owned()
            }
            Problem::NotANumber => "GET /v1/snapshots has the numbers.".to_owned(),
            Problem::NoToken => {
                "Send Authorization: Bearer TOKEN; flk control token makes one.".to_owned()
            }
            Problem::Role { actor, needed } => format!(
                "{} is {}; this needs {}.",
                actor.name,
                actor.role.as_str(),
                needed.as_str()
            ),
            Problem::Browser => {
                "Without tokens, requests with an Origin, or for a host other than localhost or an address, are refused."
                    .to_owned()
            }
            Problem::Tokens(why) | Problem::Away(why) | Problem::Bug(why) => why.clone(),
            Problem::Refused(Refusal::Wrong(_)) => {
                "The configuration is wrong, and the one in force stays.".to_owned()
            }
            Problem::Refused(refusal) => refusal.to_string(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.row();
        let mut body = json!({
            "title": title, "status": status, "code": code, "detail": self.detail(),
            // What is away now may be back later; nothing else changes by asking again.
            "retryable": status == 503,
        });
        if let Problem::Refused(Refusal::Wrong(mistakes)) = &self {
            body["mistakes"] = json!(mistakes);
        }
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, headers, format!("{body}\n")).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
