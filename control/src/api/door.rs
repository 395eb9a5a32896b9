//! Who asks, and whether it may: tokens, sessions of the console, and processes of this machine. It answers nothing itself.

use super::browser;
use super::problem::Problem;
use super::route::{Door, Route};
use super::{Access, Api};
use crate::console::Console;
use crate::console::sessions::Sessions;
use crate::tokens::{Actor, Role, TokensFile};
use axum::http::{HeaderMap, header};
use std::time::Instant;

/// A longer text is no token.
const TOKEN_BYTES_MAX: usize = 1024;

/// Whose request it is, if it may use this route.
pub(super) async fn authorized(
    api: &Api,
    route: Route,
    headers: &HeaderMap,
) -> Result<Actor, Problem> {
    let anonymous = || Actor::cause("anonymous");
    match (route.door(), &api.console) {
        (Door::Open, _) | (Door::Files, Some(_)) => Ok(anonymous()),
        (Door::Role(needed), _) => {
            let actor = of_program(api, headers).await?;
            match actor.role >= needed {
                true => Ok(actor),
                false => Err(Problem::Role { actor, needed }),
            }
        }
        (Door::OwnPage, Some(console)) => own_page(api, console, headers).map(|()| anonymous()),
        (Door::Console, Some(console)) => looking(api, console, headers).await,
        (Door::Files | Door::OwnPage | Door::Console, None) => Err(Problem::NoConsole),
    }
}

/// A program with a token, or any of this machine where there are none.
async fn of_program(api: &Api, headers: &HeaderMap) -> Result<Actor, Problem> {
    match &api.access {
        Access::Local => {
            browser::is_no_page(headers)?;
            Ok(Actor::local())
        }
        Access::Tokens(file) => {
            // Without a token nothing is opened: a caller that reaches the port must not cause work.
            let bearer = bearer(headers).ok_or(Problem::NoToken)?;
            of_token(file, bearer).await
        }
    }
}

/// Whose token it is.
pub(super) async fn of_token(file: &TokensFile, token: &str) -> Result<Actor, Problem> {
    let read = file.tokens().await.map_err(Problem::Tokens)?;
    Ok(read.tokens.actor(token).ok_or(Problem::NoToken)?.clone())
}

/// It does not come from a page elsewhere.
fn own_page(api: &Api, console: &Console, headers: &HeaderMap) -> Result<(), Problem> {
    if let Access::Local = api.access
        && !browser::names_an_address(headers)
    {
        return Err(Problem::Browser);
    }
    browser::is_own_page(headers, console.is_tls)
}

/// Who looks at the console. Whatever its token may do elsewhere, here it looks.
pub(super) async fn looking(
    api: &Api,
    console: &Console,
    headers: &HeaderMap,
) -> Result<Actor, Problem> {
    let actor = match &api.access {
        Access::Local => {
            own_page(api, console, headers)?;
            Actor::local()
        }
        Access::Tokens(file) => match bearer(headers) {
            Some(bearer) => of_token(file, bearer).await?,
            None => {
                own_page(api, console, headers)?;
                of_session(file, &console.sessions, headers).await?
            }
        },
    };
    Ok(Actor {
        role: Role::Observer,
        ..actor
    })
}

/// Whose session it is. One whose token is no longer in the file is none, and without a session nothing is opened.
async fn of_session(
    file: &TokensFile,
    sessions: &Sessions,
    headers: &HeaderMap,
) -> Result<Actor, Problem> {
    let cookie = browser::cookie(headers, sessions.cookie()).ok_or(Problem::NoToken)?;
    let token = sessions.token(cookie, Instant::now());
    let token = token.ok_or(Problem::NoToken)?;
    let read = file.tokens().await.map_err(Problem::Tokens)?;
    let actor = read.tokens.actor_of(&token);
    Ok(actor.ok_or(Problem::NoToken)?.clone())
}

/// What may be a token: others may be made elsewhere than by `flk control token`, so only its bounds are known.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    (is_bearer && is_token(token)).then_some(token)
}

/// Whether a text has the length of a token.
pub(super) fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len())
}
