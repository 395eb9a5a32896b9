//! Why a request is not carried out, as an answer: one row makes status, code and title. No answer holds a token.

use crate::console::history::NUMBERS_MAX;
use crate::console::shown::STREAMS_MAX;
use crate::controller::Refusal;
use crate::tokens::{Actor, Role};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flk_dataplane::driver::agent::protocol::Code;
use serde_json::json;
use std::time::{Duration, UNIX_EPOCH};

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
    /// It came from another page than the console.
    Foreign,
    /// The console is off here.
    NoConsole,
    /// There is nothing to sign in with.
    NoSignIn,
    /// The query says nothing that can be answered.
    Query(String),
    /// More columns or rows than an answer may have.
    TooMuch,
    /// There are as many streams as there may be.
    Streams,
    /// Too many answers are being made.
    Busy,
    /// It is no id of a record.
    NotAnId,
    /// No outcome of that id answers; with the time at which one did for the last time, in milliseconds since 1970.
    NoOutcome(Option<u64>),
    /// Files of the log cannot be read.
    Unreadable(String),
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
            Problem::Foreign => (403, "foreign_page", "A page elsewhere asked"),
            Problem::NoConsole => (404, "no_console", "The console is off"),
            Problem::NoSignIn => (409, "no_sign_in", "There are no tokens to sign in with"),
            Problem::Query(_) => (400, "wrong_query", "The query is wrong"),
            Problem::TooMuch => (400, "too_much", "Too many columns or rows"),
            Problem::Streams => (503, "too_many_streams", "There are too many streams"),
            Problem::Busy => (503, "busy", "Too many answers are being made"),
            Problem::NotAnId => (400, "not_an_id", "A pcs_id is 64 of 0-9 a-f"),
            Problem::NoOutcome(_) => (404, "outcome_not_found", "No outcome is stored"),
            Problem::Unreadable(_) => (503, "log_unreadable", "The log cannot be read"),
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
                "Without tokens, requests with an Origin, of a page elsewhere, or for a host other than localhost or an address, are refused."
                    .to_owned()
            }
            Problem::Foreign => {
                "The console answers its own page and programs: Origin or Sec-Fetch-Site names another page. With ADMIN_CONSOLE=tls its page begins with https://, and a proxy in front passes Host on."
                    .to_owned()
            }
            Problem::NoConsole => {
                "ADMIN_CONSOLE is off, or it is local, the default, and ADMIN_LISTEN is not loopback: tls serves it behind a proxy that ends TLS, plain without TLS."
                    .to_owned()
            }
            Problem::NoSignIn => {
                "Without ADMIN_TOKENS_FILE every user of this machine may look.".to_owned()
            }
            Problem::TooMuch => format!(
                "An answer has at most {NUMBERS_MAX} numbers, rows times columns: name fewer metrics, or a shorter time."
            ),
            Problem::Streams => format!(
                "At most {STREAMS_MAX} streams are open at a time: close a page of the console."
            ),
            Problem::Busy => "Answers to others are made or taken first: try again.".to_owned(),
            Problem::NotAnId => {
                "A pcs_id is 64 of 0-9 a-f: ask for one as records have it.".to_owned()
            }
            Problem::NoOutcome(None) => {
                "No outcome of that id is stored for this tenant.".to_owned()
            }
            Problem::NoOutcome(Some(expired_ms)) => {
                let at = UNIX_EPOCH + Duration::from_millis(*expired_ms);
                let at = humantime::format_rfc3339_seconds(at);
                format!("There was an outcome of that id: its time was over at {at}.")
            }
            Problem::Unreadable(why)
            | Problem::Query(why)
            | Problem::Tokens(why)
            | Problem::Away(why)
            | Problem::Bug(why) => why.clone(),
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
