//! The admin API: routes, who may use each, and answers. Every request passes one function that checks token and role before
//! anything else happens. It changes nothing itself: it gives orders to the controller.

pub mod connections;
mod problem;
mod route;

pub use route::Route;

use crate::controller::Orders;
use crate::metrics;
use crate::scrape::Scraper;
use crate::tokens::{Actor, TokensFile};
use crate::view::{Board, Dataplane};
use axum::Router;
use axum::extract::RawPathParams;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use flk_dataplane::driver::agent::protocol::{InForce, KeptNumber};
use flk_dataplane::http::accept::quality;
use flk_dataplane::stats::exposition::Format;
use problem::Problem;
use serde::Serialize;
use std::sync::Arc;

/// The description of this interface (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("api/openapi.json");

/// A longer text is no token.
const TOKEN_BYTES_MAX: usize = 1024;

/// What requests are answered from.
#[derive(Clone, Debug)]
pub struct Api {
    /// To the controller.
    pub orders: Orders,
    /// What is shown.
    pub board: Board,
    /// Where the data plane's metrics are.
    pub scraper: Scraper,
    /// Who may use it.
    pub access: Access,
}

/// Who may use the API.
#[derive(Clone, Debug)]
pub enum Access {
    /// Every process of this machine; it listens on loopback only.
    Local,
    /// Bearers of a token of this file.
    Tokens(TokensFile),
}

/// The router: one entry for each [`Route`].
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let mut router = Router::new();
    for route in Route::ALL {
        let api = Arc::clone(&api);
        let handler = move |headers: HeaderMap, parameters: RawPathParams| async move {
            let parameter = parameters.iter().next().map(|(_, value)| value.to_owned());
            let answered = answer(&api, route, &headers, parameter.as_deref()).await;
            answered.unwrap_or_else(|problem| problem.into_response())
        };
        router = router.route(route.path(), on(route.method(), handler));
    }
    router
        .fallback(|| async { Problem::NoSuchPath.into_response() })
        .method_not_allowed_fallback(|| async { Problem::NoSuchMethod.into_response() })
}

async fn answer(
    api: &Api,
    route: Route,
    headers: &HeaderMap,
    parameter: Option<&str>,
) -> Result<Response, Problem> {
    let authorized = authorized(api, route, headers).await;
    let actor = authorized.inspect_err(|_| {
        api.board.send_modify(|view| view.counters.denied += 1);
    })?;
    match route {
        Route::Health => Ok(text("text/plain; charset=utf-8", "ok\n".to_owned())),
        Route::OpenApi => Ok(text("application/json", OPENAPI.to_owned())),
        Route::Metrics => {
            let format = wanted(headers);
            let dataplane = api.scraper.page(format).await.ok();
            let page = metrics::page(&api.board.borrow(), dataplane.as_deref(), format);
            Ok(text(format.content_type(), page))
        }
        Route::Status => json(&*api.board.borrow()),
        Route::Snapshots => snapshots(api),
        Route::Snapshot => json(&api.orders.document(number(parameter)?).await?),
        Route::Reload => json(&api.orders.reload(actor).await?),
        Route::Rollback => json(&api.orders.rollback(number(parameter)?, actor).await?),
    }
}

/// The format of the page of metrics.
fn wanted(headers: &HeaderMap) -> Format {
    let mut head = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        head.extend_from_slice(b"\naccept:");
        head.extend_from_slice(value.as_bytes());
    }
    Format::preferred(|it| quality(&head, it))
}

/// Whose request it is, if it may use this route.
async fn authorized(api: &Api, route: Route, headers: &HeaderMap) -> Result<Actor, Problem> {
    let Some(needed) = route.role() else {
        return Ok(Actor::cause("anonymous"));
    };
    let actor = match &api.access {
        Access::Local => {
            is_local(headers)?;
            Actor::local()
        }
        Access::Tokens(file) => {
            // Without a token nothing is opened: a caller that reaches the port must not cause work.
            let bearer = bearer(headers).ok_or(Problem::NoToken)?;
            let read = file.tokens().await.map_err(Problem::Tokens)?;
            read.tokens.actor(bearer).ok_or(Problem::NoToken)?.clone()
        }
    };
    match actor.role >= needed {
        true => Ok(actor),
        false => Err(Problem::Role { actor, needed }),
    }
}

/// What may be a token: others may be made elsewhere than by `flk control token`, so only its bounds are known.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    (is_bearer && (1..=TOKEN_BYTES_MAX).contains(&token.len())).then_some(token)
}

/// A page in a browser of this machine can send requests to loopback, under a name of its own that leads there. It has no
/// token to show where there are none, so it is told by what browsers add.
fn is_local(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    let host = host.unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    match (
        is_address || name == "localhost",
        headers.contains_key(header::ORIGIN),
    ) {
        (true, false) => Ok(()),
        _ => Err(Problem::Browser),
    }
}

/// The numbers that can be had again, the newest first. While the data plane is away they are those that it said last.
fn snapshots(api: &Api) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Snapshots {
        dataplane: Dataplane,
        in_force: InForce,
        kept: Vec<KeptNumber>,
        last_number: u32,
    }
    let (dataplane, status) = {
        let view = api.board.borrow();
        (view.dataplane.clone(), view.status.clone())
    };
    let status = status.ok_or_else(|| Problem::Away("it has not answered yet".to_owned()))?;
    let mut kept = status.kept;
    kept.sort_by_key(|it| std::cmp::Reverse(it.number));
    json(&Snapshots {
        dataplane,
        in_force: status.in_force,
        kept,
        last_number: status.last_number,
    })
}

fn number(parameter: Option<&str>) -> Result<u32, Problem> {
    let text = parameter.unwrap_or_default();
    text.parse().map_err(|_| Problem::NotANumber)
}

fn json(value: &impl Serialize) -> Result<Response, Problem> {
    match serde_json::to_string_pretty(value) {
        Ok(body) => Ok(text("application/json", body + "\n")),
        Err(error) => Err(Problem::Bug(error.to_string())),
    }
}

fn text(kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, headers, body).into_response()
}
