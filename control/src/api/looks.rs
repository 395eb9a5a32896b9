//! Answers to the console that come from files and from the data plane's documents. Files are read by a thread that may wait, for one
//! answer at a time: what was begun is read to its end, whether or not its client still waits.

use super::problem::Problem;
use super::query::Query;
use super::turn::{in_turn, made};
use super::{Api, Asked, json, text};
use crate::console::lookup::{self, NotFound};
use crate::console::wal_dir::WalDir;
use crate::console::{Console, KeptMap, disk, overview, record};
use axum::response::Response;
use flk_contract::hash::bytes_of_hex32;
use flk_dataplane::snapshot::Document;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// How long a map of files is shown again.
const MAP_LASTS: Duration = Duration::from_secs(3);
/// The tenant of those that name none.
const TENANT: &str = "default";

/// Programs, shards and tenants.
pub(super) async fn overview(api: &Api, console: &Console) -> Result<Response, Problem> {
    let document = document(api, console).await;
    let address = format!("http://{}", api.scraper.address());
    let view = api.board.borrow().clone();
    json(&overview::overview(
        &console.source,
        &address,
        &view,
        document.as_deref(),
    ))
}

/// The document in force, asked for once; none while the data plane is away.
async fn document(api: &Api, console: &Console) -> Option<Arc<Document>> {
    let number = api.board.borrow().status.as_ref()?.in_force.number;
    let lock = || {
        console
            .kept
            .document
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    let kept = lock().clone();
    if let Some(kept) = kept.filter(|it| it.number == number) {
        return Some(kept);
    }
    let asked = Arc::new(api.orders.document(number).await.ok()?);
    *lock() = Some(Arc::clone(&asked));
    Some(asked)
}

/// Files of the log.
pub(super) async fn disk(console: &Console) -> Result<Response, Problem> {
    let mut kept = turn(console).await?;
    if let Some((made, map)) = &kept.text
        && made.elapsed() < MAP_LASTS
    {
        return Ok(text("application/json", map.to_string()));
    }
    let directory = WalDir::at(console.source.wal_dir());
    // The turn is the thread's: a client that goes neither lets another in nor loses what is known of files.
    let read = move || -> Result<Arc<str>, Problem> {
        let map = disk::map(&directory, &mut kept.known).map_err(Problem::Unreadable)?;
        let map = serde_json::to_string(&map).map_err(|error| Problem::Bug(error.to_string()))?;
        let map: Arc<str> = Arc::from(map + "\n");
        kept.text = Some((Instant::now(), Arc::clone(&map)));
        Ok(map)
    };
    let map = made(console.threads.place(), read).await??;
    Ok(text("application/json", map.to_string()))
}

/// The turn to read files.
async fn turn(console: &Console) -> Result<OwnedMutexGuard<KeptMap>, Problem> {
    in_turn(Arc::clone(&console.kept.map).lock_owned()).await
}

/// The stored outcome of an id.
pub(super) async fn look_up(
    api: &Api,
    console: &Console,
    asked: &Asked,
) -> Result<Response, Problem> {
    let hex = asked.parameter.as_deref().unwrap_or_default();
    let pcs_id = bytes_of_hex32(hex.as_bytes()).ok_or(Problem::NotAnId)?;
    let query = Query::of(asked.head.uri.query());
    let tenant = query.text("tenant").unwrap_or_else(|| TENANT.to_owned());
    let directory = WalDir::at(console.source.wal_dir());
    let turn = turn(console).await?;
    let now_us = record::now_ms() * 1000;
    let of_tenant = tenant.clone();
    let looked = made(console.threads.place(), move || {
        let looked = lookup::look_up(&directory, &of_tenant, pcs_id, now_us);
        drop(turn);
        looked
    })
    .await?;
    let mut shown = looked.map_err(|why| match why {
        NotFound::Unknown => Problem::NoOutcome(None),
        NotFound::Expired(expired_ms) => Problem::NoOutcome(Some(expired_ms)),
        NotFound::Unreadable(why) => Problem::Unreadable(why),
    })?;
    if let (Some(document), Some(key)) = (document(api, console).await, &shown.key_id) {
        let named = overview::key_named(&document, &tenant, key);
        shown.key_id = named.map(str::to_owned).or(shown.key_id);
    }
    json(&shown)
}
