//! The connections of the admin API: how many there are at a time, and how long each may be silent. A new one takes the place
//! of the one that has been silent for the longest time, so no number of them keeps another out or uses up the descriptors
//! that publishing needs. Where none is silent, the next answer is the last one of its connection. It knows nothing of what is
//! asked, and never ends a connection whose request is being answered, unless that waits for the rest of the request; one whose
//! client takes nothing of its answer, or takes it for too long, is ended.

use super::bounds::Bounds;
use super::silence::Silence;
use super::watched::Watched;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id, JoinSet};

/// A longer head is refused with 431.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Between two attempts to accept where the system refuses it, for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Answers requests by this router for ever.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let mut connections = Connections {
        bounds,
        tasks: JoinSet::new(),
        seats: HashMap::new(),
        silent: Arc::default(),
        is_wanted: Arc::default(),
    };
    loop {
        let stream = accept(&listener).await;
        connections.make_room().await;
        connections.add(stream, router.clone());
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => match error.kind() {
                // Of the connection, not of this process.
                ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset => {}
                _ => tokio::time::sleep(ACCEPT_AGAIN).await,
            },
        }
    }
}

/// All connections.
struct Connections {
    bounds: Bounds,
    tasks: JoinSet<()>,
    seats: HashMap<Id, Seat>,
    /// Told when a connection has become silent.
    silent: Arc<Notify>,
    /// A place is waited for: whichever connection is answered next gives up its own. A client that does not wait for
    /// answers is never silent.
    is_wanted: Arc<AtomicBool>,
}

/// One connection.
struct Seat {
    task: AbortHandle,
    silence: Silence,
}

/// A request is being answered until this is dropped.
struct Answering {
    silence: Silence,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.silence.begin();
    }
}

impl Connections {
    /// Waits until there is a place. The one that has been silent for the longest time gives way; while all are being answered,
    /// the connection that is answered first ends with that.
    async fn make_room(&mut self) {
        loop {
            self.is_wanted.store(false, Ordering::Relaxed);
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.seats.remove(&id_of(ended));
            }
            if self.seats.len() < self.bounds.connections_max {
                return;
            }
            let silent = self
                .seats
                .values()
                .filter_map(|seat| Some((seat.silence.since()?, seat)));
            match silent.min_by_key(|(since, _)| *since) {
                Some((_, seat)) => seat.task.abort(),
                None => self.is_wanted.store(true, Ordering::Relaxed),
            }
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.seats.remove(&id_of(ended));
                }
                () = self.silent.notified() => {}
            }
        }
    }

    fn add(&mut self, stream: TcpStream, router: Router) {
        let silence = Silence::of_new(&self.silent);
        let of_seat = silence.clone();
        let stream = Watched::new(stream, silence.clone(), self.bounds);
        let is_wanted = Arc::clone(&self.is_wanted);
        let routes = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            silence.end();
            request.extensions_mut().insert(silence.clone());
            let silence = silence.clone();
            let answering = Answering { silence };
            let (answer, is_wanted) = (routes.call(request), Arc::clone(&is_wanted));
            async move {
                let mut answer = answer.await;
                if let Ok(answer) = &mut answer
                    && is_wanted.swap(false, Ordering::Relaxed)
                {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                drop(answering);
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.head_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(stream, service);
        let task = self.tasks.spawn(async move {
            // A client that went away, said what is no request, or was silent for too long.
            let _ = connection.await;
        });
        let silence = of_seat;
        self.seats.insert(task.id(), Seat { task, silence });
    }
}

fn id_of(ended: Result<(Id, ()), tokio::task::JoinError>) -> Id {
    match ended {
        Ok((id, ())) => id,
        Err(error) => error.id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::silence::of_client;
    use axum::routing::{get, post};
    use std::net::SocketAddr;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    /// More than the system keeps for a client that does not read.
    const LARGE_BYTES: usize = 64 << 20;
    const LONG: Duration = Duration::from_secs(600);
    /// Two connections, and all the time that they want.
    const TWO: Bounds = Bounds {
        connections_max: 2,
        head_max: LONG,
        take_max: LONG,
        behind_max: LONG,
    };
    /// What takes longer does not come.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// Told when `/held` is asked for, and when it is to be answered.
    #[derive(Clone, Default)]
    struct Held {
        asked: Arc<Notify>,
        release: Arc<Notify>,
    }

    /// Serves `/quick`, `/large`, `/body` and `/held`.
    async fn server(bounds: Bounds) -> (SocketAddr, Held) {
        let held = Held::default();
        let of_route = held.clone();
        let route = move || async move {
            of_route.asked.notify_one();
            of_route.release.notified().await;
            "held"
        };
        let body = |request: axum::extract::Request| async {
            let (head, body) = request.into_parts();
            let read = axum::body::to_bytes(body, 100);
            let body = of_client(&head.extensions, read).await.unwrap();
            format!("got {}", body.len())
        };
        let router = Router::new()
            .route("/quick", get(|| async { "quick" }))
            .route("/large", get(|| async { "x".repeat(LARGE_BYTES) }))
            .route("/body", post(body))
            .route("/held", get(route));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, bounds));
        (address, held)
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.unwrap()
    }

    async fn ask(stream: &mut TcpStream, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads up to the end of the answer's body.
    async fn answer(stream: &mut TcpStream, body: &str) {
        let mut text = Vec::new();
        while !text.ends_with(body.as_bytes()) {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "{body}");
        }
    }

    async fn is_ended(stream: &mut TcpStream) -> bool {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.is_err() || rest.is_empty()
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_and_a_connection_without_a_request_are_ended() {
        let bounds = Bounds {
            head_max: Duration::from_millis(50),
            ..Bounds::default()
        };
        let (address, _) = server(bounds).await;
        let (mut silent, mut slow, mut kept) = (
            connect(address).await,
            connect(address).await,
            connect(address).await,
        );
        slow.write_all(b"GET /quick HTTP/1.1\r\nHost:")
            .await
            .unwrap();
        ask(&mut kept, "/quick").await;
        answer(&mut kept, "quick").await;
        for stream in [&mut silent, &mut slow, &mut kept] {
            assert!(is_ended(stream).await);
        }
    }

    #[tokio::test]
    async fn a_new_connection_takes_the_place_of_the_one_that_was_silent_longest() {
        let (address, _) = server(TWO).await;
        let mut first = connect(address).await;
        ask(&mut first, "/quick").await;
        answer(&mut first, "quick").await;
        let mut second = connect(address).await;
        ask(&mut second, "/quick").await;
        answer(&mut second, "quick").await;
        // The first was asked last now.
        ask(&mut first, "/quick").await;
        answer(&mut first, "quick").await;
        let mut third = connect(address).await;
        ask(&mut third, "/quick").await;
        answer(&mut third, "quick").await;
        assert!(is_ended(&mut second).await);
        ask(&mut first, "/quick").await;
        answer(&mut first, "quick").await;
    }

    #[tokio::test]
    async fn a_request_that_is_being_answered_keeps_its_place_although_it_is_the_oldest() {
        for connections_max in [1, 2] {
            let bounds = Bounds {
                connections_max,
                ..TWO
            };
            let (address, Held { asked, release }) = server(bounds).await;
            let mut held = connect(address).await;
            ask(&mut held, "/held").await;
            asked.notified().await;
            let mut silent = connect(address).await;
            ask(&mut silent, "/quick").await;
            if connections_max == 2 {
                answer(&mut silent, "quick").await;
                let mut third = connect(address).await;
                ask(&mut third, "/quick").await;
                answer(&mut third, "quick").await;
            }
            release.notify_one();
            answer(&mut held, "held").await;
            // It had to wait, or had to go.
            match connections_max {
                1 => answer(&mut silent, "quick").await,
                _ => assert!(is_ended(&mut silent).await),
            }
        }
    }

    #[tokio::test]
    async fn clients_that_do_not_send_the_body_that_they_said_keep_no_other_out() {
        let (address, _) = server(TWO).await;
        let head =
            b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        let mut owing = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(address).await;
            stream.write_all(head).await.unwrap();
            // The body is asked for when it is waited for.
            answer(&mut stream, "100 Continue\r\n\r\n").await;
            owing.push(stream);
        }
        let mut operator = connect(address).await;
        ask(&mut operator, "/quick").await;
        let answered = timeout(DEADLINE, answer(&mut operator, "quick"));
        answered.await.expect("it waits for no body");
        assert!(is_ended(&mut owing[0]).await);
        owing[1].write_all(b"body").await.unwrap();
        answer(&mut owing[1], "got 4").await;
    }

    #[tokio::test]
    async fn a_client_that_takes_its_answer_too_slowly_is_ended_although_it_takes_some() {
        let bounds = Bounds {
            behind_max: Duration::from_millis(200),
            ..TWO
        };
        let (address, _) = server(bounds).await;
        let mut slow = connect(address).await;
        ask(&mut slow, "/large").await;
        let takes = async {
            let (mut count, mut part) = (0, vec![0; 1 << 16]);
            while let Ok(more @ 1..) = slow.read(&mut part).await {
                count += more;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            count
        };
        let count = timeout(DEADLINE, takes).await.expect("it is ended");
        assert!(count < LARGE_BYTES, "{count} of {LARGE_BYTES}");
        // One that takes all that there is in time may stay for longer.
        let mut kept = connect(address).await;
        let began = Instant::now();
        while began.elapsed() < 2 * bounds.behind_max {
            ask(&mut kept, "/quick").await;
            answer(&mut kept, "quick").await;
        }
    }

    /// Sends requests without waiting for answers, and takes those.
    fn flood(address: SocketAddr, path: &str) {
        use std::io::{Read, Write};
        let stream = std::net::TcpStream::connect(address).unwrap();
        let mut reading = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut taken = [0; 65536];
            while reading.read(&mut taken).is_ok_and(|count| count > 0) {}
        });
        let requests = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(1000);
        let mut writing = stream;
        std::thread::spawn(move || while writing.write_all(requests.as_bytes()).is_ok() {});
    }

    #[tokio::test]
    async fn clients_that_ask_without_waiting_for_answers_keep_no_other_out() {
        // As one that asks a disk: when it is answered, the next one of the same client is there already.
        let hop = || async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            "hop"
        };
        let router = Router::new()
            .route("/quick", get(|| async { "quick" }))
            .route("/hop", get(hop));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, TWO));
        for _ in 0..2 {
            flood(address, "/hop");
        }
        for _ in 0..5 {
            let mut operator = connect(address).await;
            ask(&mut operator, "/quick").await;
            answer(&mut operator, "quick").await;
        }
    }

    /// Reads so many bytes, or up to the end.
    async fn read_count(stream: &mut TcpStream, wanted: usize) -> usize {
        let (mut count, mut part) = (0, vec![0; 1 << 16]);
        while count < wanted {
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => break,
                Ok(more) => count += more,
            }
        }
        count
    }

    #[tokio::test]
    async fn a_client_that_still_takes_its_answer_is_not_the_one_that_was_silent_longest() {
        let (address, _) = server(TWO).await;
        let mut slow = connect(address).await;
        ask(&mut slow, "/large").await;
        let mut count = read_count(&mut slow, 1).await;
        let mut silent = connect(address).await;
        ask(&mut silent, "/quick").await;
        answer(&mut silent, "quick").await;
        count += read_count(&mut slow, LARGE_BYTES / 2).await;
        let mut third = connect(address).await;
        ask(&mut third, "/quick").await;
        answer(&mut third, "quick").await;
        count += read_count(&mut slow, LARGE_BYTES - count).await;
        assert!(count >= LARGE_BYTES, "{count} of {LARGE_BYTES}");
        assert!(is_ended(&mut silent).await);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_is_ended_and_one_that_takes_some_is_not() {
        let bounds = Bounds {
            take_max: Duration::from_secs(2),
            ..TWO
        };
        let (address, _) = server(bounds).await;
        let (mut stuck, mut slow) = (connect(address).await, connect(address).await);
        ask(&mut stuck, "/large").await;
        ask(&mut slow, "/large").await;
        let (mut count, begun) = (0, Instant::now());
        // Longer than a client may take nothing, a little at a time.
        while begun.elapsed() < bounds.take_max * 3 / 2 {
            count += read_count(&mut slow, 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        count += read_count(&mut slow, LARGE_BYTES - count).await;
        assert!(count >= LARGE_BYTES, "{count} of {LARGE_BYTES}");
        let taken = read_count(&mut stuck, LARGE_BYTES).await;
        assert!(taken < LARGE_BYTES, "what the system kept for it: {taken}");
    }
}
