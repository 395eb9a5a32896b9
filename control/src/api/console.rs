//! Answers to the console: who looks, series, rows, and the stream. It reads what is shown and changes nothing but sessions.

use super::door::{self, is_token};
use super::problem::Problem;
use super::query::Query;
use super::silence::of_client;
use super::turn::{in_turn, made};
use super::{Access, Api, Asked, browser, compact, json, text};
use crate::console::history::{History, Step};
use crate::console::shown::Shown;
use crate::console::stream::{self, EVENTS_MAX, Last, Pace, stream};
use crate::console::{Console, held, numbers, record};
use crate::tokens::digest;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// A longer body holds no token.
const SIGN_IN_BYTES_MAX: usize = 4096;
/// Each series is compared with each name, while nobody else reads the history.
const NAMES_MAX: usize = 64;
/// A body that comes later is given up.
const SIGN_IN_MAX: Duration = Duration::from_secs(5);

/// Whether to sign in, and who did.
pub(super) async fn who_am_i(
    api: &Api,
    console: &Console,
    asked: &Asked,
) -> Result<Response, Problem> {
    let access = match api.access {
        Access::Local => "local",
        Access::Tokens(_) => "tokens",
    };
    let looking = door::looking(api, console, &asked.head.headers).await;
    let actor = match looking {
        Ok(actor) => Some(actor),
        Err(Problem::NoToken) => None,
        Err(problem) => return Err(problem),
    };
    let name = actor.as_ref().map(|it| it.name.as_str());
    let role = actor.as_ref().map(|it| it.role.as_str());
    let epoch = console.shown.history().epoch.to_string();
    json(&json!({
        "access": access, "actor": name, "role": role, "console": env!("CARGO_PKG_VERSION"), "epoch": epoch,
    }))
}

/// Begins a session for a token.
pub(super) async fn sign_in(
    api: &Api,
    console: &Console,
    asked: &Asked,
    body: Body,
) -> Result<Response, Problem> {
    let Access::Tokens(file) = &api.access else {
        return Err(Problem::NoSignIn);
    };
    let read = timeout(SIGN_IN_MAX, to_bytes(body, SIGN_IN_BYTES_MAX));
    let read = of_client(&asked.head.extensions, read).await;
    let body = read.ok().and_then(Result::ok).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = body["token"].as_str().map(str::trim);
    let token = token.filter(|it| is_token(it)).ok_or(Problem::NoToken)?;
    door::of_token(file, token).await?;
    let begun = console.sessions.begin(digest(token), Instant::now());
    let secret = begun.map_err(Problem::Bug)?;
    Ok(with_cookie(
        &secret,
        crate::console::sessions::LASTS,
        console,
    ))
}

/// Ends the session, if it is one.
pub(super) fn sign_out(console: &Console, asked: &Asked) -> Response {
    if let Some(cookie) = browser::cookie(&asked.head.headers, console.sessions.cookie()) {
        console.sessions.end(cookie, Instant::now());
    }
    with_cookie("", Duration::ZERO, console)
}

fn with_cookie(secret: &str, lasts: Duration, console: &Console) -> Response {
    let name = console.sessions.cookie();
    let cookie = browser::set_cookie(name, secret, lasts.as_secs(), console.is_tls);
    let mut answer = StatusCode::NO_CONTENT.into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// The series.
pub(super) fn catalog(console: &Console) -> Result<Response, Problem> {
    let history = console.shown.history();
    let steps = Step::ALL.map(|step| {
        let ring = history.ring(step);
        let first = ring.oldest();
        json!({
            "step_s": step.seconds(), "keeps_s": step.keeps_s(),
            "first_seq": first, "next_seq": ring.next(), "t0_ms": history.at_ms(step, first),
        })
    });
    compact(&json!({
        "epoch": history.epoch.to_string(),
        "now_ms": record::now_ms(),
        "steps": steps,
        "series": history.catalog.shown(),
        "left_out": history.catalog.left_out(),
    }))
}

/// Rows of the history.
pub(super) async fn history(console: &Console, asked: &Asked) -> Result<Response, Problem> {
    let query = Query::of(asked.head.uri.query());
    let step = step(&query)?;
    let (from, to) = (query.number("from")?, query.number("to")?);
    // A place is held until the last byte is taken: so much memory and no more is lent to slow clients.
    let place = place(&console.shown).await?;
    let rows = {
        let history = console.shown.history();
        let ids = series(&query, |names| history.catalog.find(names))?;
        let rows = history.rows(step, from.unwrap_or(0), to.unwrap_or(u64::MAX), ids);
        if !History::is_answered(rows.ids.len(), rows.slice.rows_count()) {
            return Err(Problem::TooMuch);
        }
        rows
    };
    // The place is the thread's: a client that goes does not let another one's rows be made beside these.
    let rows = made(console.threads.place_for_rows(), move || {
        held::bytes(numbers::rows(&rows), place)
    })
    .await?;
    let mut answer = text("application/json", String::new());
    *answer.body_mut() = Body::from(rows);
    Ok(answer)
}

async fn place(shown: &Shown) -> Result<OwnedSemaphorePermit, Problem> {
    let turn = Arc::clone(&shown.answers).acquire_owned();
    in_turn(turn).await?.map_err(|_| Problem::Busy)
}

fn step(query: &Query) -> Result<Step, Problem> {
    let step = Step::of_seconds(query.number("step_s")?.unwrap_or(1));
    step.ok_or_else(|| Problem::Query("step_s is 1 or 10".to_owned()))
}

/// The series that are asked for.
fn series(query: &Query, find: impl Fn(&[&str]) -> Vec<usize>) -> Result<Vec<usize>, Problem> {
    let names = query.text("names").unwrap_or_default();
    let names: Vec<&str> = names.split(',').filter(|it| !it.is_empty()).collect();
    if names.is_empty() {
        return Err(Problem::Query("names says which metrics".to_owned()));
    }
    if names.len() > NAMES_MAX {
        let why = format!("names says at most {NAMES_MAX} beginnings of names");
        return Err(Problem::Query(why));
    }
    Ok(find(&names))
}

/// A stream of rows.
pub(super) fn begin_stream(
    api: &Arc<Api>,
    console: &Console,
    asked: &Asked,
) -> Result<Response, Problem> {
    let query = Query::of(asked.head.uri.query());
    let step = step(&query)?;
    let last = asked.head.headers.get("last-event-id");
    let last = last.and_then(|it| it.to_str().ok().map(str::to_owned));
    let last = last.or_else(|| query.text("last"));
    let place = Arc::clone(&console.shown.streams).try_acquire_owned();
    let place = place.map_err(|_| Problem::Streams)?;
    let wanted = {
        let history = console.shown.history();
        stream::Asked {
            step,
            // All of them, if it wants: a row is small, and of many columns few rows are replayed at a time.
            ids: series(&query, |names| history.catalog.find(names))?,
            epoch: history.epoch,
            revision: history.catalog.revision(),
            last: last.as_deref().and_then(Last::read),
            pace: Pace::default(),
        }
    };
    let (to, events) = mpsc::channel(EVENTS_MAX);
    let shown = Arc::clone(&console.shown);
    tokio::spawn(stream(
        shown,
        console.threads.clone(),
        wanted,
        to,
        still_allowed(api, console, asked),
        place,
    ));
    let mut answer = text("text/event-stream", String::new());
    // A proxy in front must not collect events.
    let name = header::HeaderName::from_static("x-accel-buffering");
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static("no"));
    *answer.body_mut() = Body::new(Events(events));
    Ok(answer)
}

/// Asks again what the request was asked at its beginning.
fn still_allowed(api: &Arc<Api>, console: &Console, asked: &Asked) -> stream::StillAllowed {
    let (api, console, headers) = (Arc::clone(api), console.clone(), asked.head.headers.clone());
    Box::new(move || {
        let (api, console, headers) = (Arc::clone(&api), console.clone(), headers.clone());
        Box::pin(async move { door::looking(&api, &console, &headers).await.is_ok() })
    })
}

/// What a stream sends, as a body.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.0.poll_recv(context);
        event.map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::clock::Clock;
    use crate::console::history::{NUMBERS_MAX, ROWS_MAX};
    use crate::console::page::samples;
    use crate::console::sessions::Sessions;
    use crate::console::source::Source;
    use crate::console::threads::Threads;
    use crate::scrape::Scraper;
    use axum::http::Request;

    #[test]
    fn names_are_so_many_that_comparing_them_holds_nobody_up() {
        let asked = |count: usize| {
            let query = format!("names={}", vec!["a"; count].join(","));
            series(&Query::of(Some(&query)), |_| vec![0; 7])
        };
        assert_eq!(asked(NAMES_MAX).unwrap().len(), 7);
        assert!(matches!(asked(NAMES_MAX + 1), Err(Problem::Query(_))));
        assert!(matches!(asked(0), Err(Problem::Query(_))));
    }

    #[tokio::test]
    async fn rows_of_many_columns_are_refused_where_they_are_more_than_an_answer_has() {
        let shown = Shown::begin(&Clock::begin(1_800_000_000_000), Arc::default());
        let columns = 0..NUMBERS_MAX / ROWS_MAX;
        let page: String = columns.map(|at| format!("a{at} 1\n")).collect();
        shown.take(0, samples(&page), None);
        shown.take(10 * ROWS_MAX - 1, samples(&page), None);
        let threads = Threads::default();
        let nowhere = Scraper::of(([127, 0, 0, 1], 1).into(), None);
        let console = Console {
            shown: Arc::new(shown),
            source: Source::of("/no/such/directory".into(), nowhere, threads.clone()),
            journal: Arc::default(),
            sessions: Arc::new(Sessions::of_process(7, false)),
            kept: Arc::default(),
            threads,
            is_tls: false,
        };
        for (query, is_answered) in [
            ("names=a", false),
            ("names=a&from=1", true),
            ("names=a7", true),
        ] {
            let uri = format!("/v1/console/history?step_s=10&{query}");
            let (head, ()) = Request::get(uri).body(()).unwrap().into_parts();
            let parameter = None;
            let answer = history(&console, &Asked { head, parameter }).await;
            match is_answered {
                true => assert_eq!(answer.unwrap().status(), StatusCode::OK),
                false => assert!(matches!(answer, Err(Problem::TooMuch)), "{query}"),
            }
        }
    }
}
