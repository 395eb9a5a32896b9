//! The admin API: routes, who may use each, and answers. Every request passes one function that checks token and role before
//! anything else happens. It changes nothing itself: it gives orders to the controller.

pub mod bounds;
pub mod connections;
mod silence;
mod watched;

mod browser;
mod console;
mod door;
mod looks;
mod problem;
mod query;
mod route;
mod turn;

pub use route::{Door, Route};

use crate::console::refusals::refusals;
use crate::console::{Console, files};
use crate::controller::Orders;
use crate::metrics;
use crate::scrape::Scraper;
use crate::tokens::TokensFile;
use crate::view::{Board, Dataplane};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::request::Parts;
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
    /// What the console is shown, where it is on.
    pub console: Option<Console>,
}

/// Who may use the API.
#[derive(Clone, Debug)]
pub enum Access {
    /// Every process of this machine; it listens on loopback only.
    Local,
    /// Bearers of a token of this file.
    Tokens(TokensFile),
}

/// A request.
struct Asked {
    head: Parts,
    /// What its path names.
    parameter: Option<String>,
}

/// The router: one entry for each [`Route`].
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let mut router = Router::new();
    for &route in Route::ALL {
        let api = Arc::clone(&api);
        let handler = move |parameters: RawPathParams, request: Request| async move {
            let parameter = parameters.iter().next().map(|(_, value)| value.to_owned());
            let (head, body) = request.into_parts();
            let asked = Asked { head, parameter };
            let answered = answer(&api, route, &asked, body).await;
            answered.unwrap_or_else(|problem| problem.into_response())
        };
        router = router.route(route.path(), on(route.method(), handler));
    }
    router
        .fallback(|| async { Problem::NoSuchPath.into_response() })
        .method_not_allowed_fallback(|| async { Problem::NoSuchMethod.into_response() })
}

async fn answer(
    api: &Arc<Api>,
    route: Route,
    asked: &Asked,
    body: Body,
) -> Result<Response, Problem> {
    let headers = &asked.head.headers;
    let authorized = door::authorized(api, route, headers).await;
    let actor = authorized.inspect_err(|_| {
        api.board.send_modify(|view| view.counters.denied += 1);
    })?;
    let parameter = asked.parameter.as_deref();
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
        _ => match &api.console {
            Some(console) => shown(api, console, route, asked, body).await,
            None => Err(Problem::NoConsole),
        },
    }
}

/// Answers of the console.
async fn shown(
    api: &Arc<Api>,
    console: &Console,
    route: Route,
    asked: &Asked,
    body: Body,
) -> Result<Response, Problem> {
    let headers = &asked.head.headers;
    match route {
        Route::Root | Route::ConsoleRoot => Ok(files::redirect()),
        Route::Page => Ok(files::page(headers)),
        Route::Asset => {
            let file = asked
                .parameter
                .as_deref()
                .and_then(|name| files::asset(name, headers));
            file.ok_or(Problem::NoSuchPath)
        }
        Route::SignIn => console::sign_in(api, console, asked, body).await,
        Route::SignOut => Ok(console::sign_out(console, asked)),
        Route::WhoAmI => console::who_am_i(api, console, asked).await,
        Route::Catalog => console::catalog(console),
        Route::History => console::history(console, asked).await,
        Route::Attention => {
            let matters = console.shown.attention().borrow().to_string();
            Ok(text("application/json", matters + "\n"))
        }
        Route::Overview => looks::overview(api, console).await,
        Route::Disk => looks::disk(console).await,
        Route::LookUp => looks::look_up(api, console, asked).await,
        Route::Refusals => compact(&refusals(&console.source).map_err(Problem::Away)?),
        Route::Events => compact(&console.journal.newest()),
        Route::Stream => console::begin_stream(api, console, asked),
        _ => Err(Problem::NoSuchPath),
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

/// The same for programs alone.
fn compact(value: &impl Serialize) -> Result<Response, Problem> {
    match serde_json::to_string(value) {
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
