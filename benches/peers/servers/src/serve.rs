//! HTTP by hyper: one task a connection, records by POST, readiness by GET. It answers a record when its store has acknowledged it,
//! and never before.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::judge::{Judge, Verdict};
use crate::store::{Record, Seen, Store};

/// More is no record.
const BODY_BYTES_MAX: usize = 1 << 20;

struct Server {
    judge: Judge,
    store: Store,
}

/// Serves until the process is ended.
pub(crate) async fn serve(address: SocketAddr, judge: Judge, store: Store) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("flk-peer listens on http://{}", listener.local_addr()?);
    let server = Arc::new(Server { judge, store });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = server.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&server, request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await
                && !error.is_incomplete_message()
            {
                eprintln!("flk-peer: a connection ended: {error}");
            }
        });
    }
}

async fn answer(
    server: &Server,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        return Ok(response(StatusCode::OK, None, b"ready".to_vec()));
    }
    let Ok(body) = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await
    else {
        return Ok(response(StatusCode::PAYLOAD_TOO_LARGE, None, Vec::new()));
    };
    let body = body.to_bytes();
    let (id, status, answer) = match server.judge.verdict(&body) {
        Verdict::Malformed => return Ok(response(StatusCode::BAD_REQUEST, None, Vec::new())),
        Verdict::Forged => return Ok(response(StatusCode::UNAUTHORIZED, None, Vec::new())),
        Verdict::Authentic { id, status, answer } => (id, status, answer),
    };
    Ok(match server.store.put(Record { id, body }).await {
        Ok(seen) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            response(status, Some(seen), answer)
        }
        Err(error) => {
            eprintln!("flk-peer: not stored: {error}");
            response(StatusCode::SERVICE_UNAVAILABLE, None, Vec::new())
        }
    })
}

fn response(status: StatusCode, seen: Option<Seen>, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = hyper::header::HeaderValue::from_static("application/json");
    headers.insert(hyper::header::CONTENT_TYPE, json);
    if let Some(seen) = seen {
        let value = match seen {
            Seen::New => "miss",
            Seen::Before => "hit",
        };
        let value = hyper::header::HeaderValue::from_static(value);
        headers.insert(hyper::header::HeaderName::from_static("flk-dedup"), value);
    }
    response
}
