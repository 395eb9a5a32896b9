//! The task that takes traces from the data plane's page of statistics and sends their spans to a collector by OTLP over HTTP.
//! Nothing waits for it: what it cannot send in time is dropped and counted.

use crate::events::{CollectorAnswers, CollectorAway};
use crate::otlp::{CollectorAnswer, Origin, Row, request, spans_count};
use crate::say::say;
use flk_dataplane::config::{Endpoint, OtlpSettings};
use flk_dataplane::driver::statistics::Reader;
use flk_dataplane::wal::files::SOCKET;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use prost::Message;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How often the page is read. In this time a shard may trace as many records as its ring holds.
const READ_EVERY: Duration = Duration::from_millis(250);
/// How often the data plane is asked for its page, which is another one after a restart.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Traces that wait to be sent.
const QUEUE_MAX: usize = 2048;
/// Traces of one request.
const BATCH_MAX: usize = 256;
/// A collector answers within this time.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Attempts to send a batch.
const ATTEMPTS_MAX: u32 = 5;
/// The first pause between two attempts; it doubles.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause, whatever a collector asks for.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Lines about a collector are at least this far apart.
const LINES_APART: Duration = Duration::from_secs(60);

/// What the export counts.
#[derive(Debug, Default)]
pub struct Exported {
    /// Spans that a collector took.
    pub spans: AtomicU64,
    /// Traces that a shard overwrote before they were read.
    pub overwritten: AtomicU64,
    /// Spans that a collector refused.
    pub refused: AtomicU64,
    /// Spans that found the queue full, and those that were given up after the last attempt.
    pub dropped: AtomicU64,
    /// Attempts that failed.
    pub failures: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Works for as long as the process.
pub async fn export(wal_dir: PathBuf, settings: OtlpSettings, counts: Arc<Exported>) {
    let (queue, waiting) = mpsc::channel(QUEUE_MAX);
    let sender = Sender {
        settings,
        counts: Arc::clone(&counts),
        said: None,
        is_away: false,
    };
    tokio::join!(read(wal_dir, queue, counts), sender.run(waiting));
}

/// Takes traces from the page, and queues them.
async fn read(wal_dir: PathBuf, queue: mpsc::Sender<Row>, counts: Arc<Exported>) {
    let socket = wal_dir.join(SOCKET);
    let mut source = None;
    let mut asked: Option<Instant> = None;
    loop {
        if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            // What is away now is asked again.
            if let Some(page) = ask(&socket).await {
                source = Some(Source::follow(source, page, &queue, &counts));
            }
        }
        if let Some(source) = &mut source {
            source.take(&queue, &counts);
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

async fn ask(socket: &Path) -> Option<Reader> {
    let socket = socket.to_owned();
    let asked = tokio::task::spawn_blocking(move || Reader::ask(&socket));
    asked.await.ok()?.ok()
}

/// A page, and how far each of its rings was read.
struct Source {
    page: Reader,
    positions: Vec<u64>,
}

impl Source {
    /// Goes on with a page: where it is that of the same process, behind what was read. What is left of another one is read.
    fn follow(
        before: Option<Source>,
        page: Reader,
        queue: &mpsc::Sender<Row>,
        counts: &Exported,
    ) -> Source {
        let identity = |page: &Reader| (page.pid(), page.started_wall_us());
        let positions = match before {
            Some(before) if identity(&before.page) == identity(&page) => before.positions,
            Some(mut before) => {
                before.take(queue, counts);
                vec![0; usize::from(page.shards_count())]
            }
            None => vec![0; usize::from(page.shards_count())],
        };
        Source { page, positions }
    }

    fn take(&mut self, queue: &mpsc::Sender<Row>, counts: &Exported) {
        let [version, region, node] = self.page.origin();
        let origin = Origin {
            version,
            region,
            node,
            pid: self.page.pid(),
        };
        for (ring, position) in self.page.traces().iter().zip(&mut self.positions) {
            let taken = ring.take(position);
            add(&counts.overwritten, taken.lost);
            for (trace, epoch_ns) in taken.traces {
                let row = Row {
                    tenant: self.page.tenant_name(trace.tenant_row),
                    origin: origin.clone(),
                    trace,
                    epoch_ns,
                };
                if queue.try_send(row).is_err() {
                    add(&counts.dropped, spans_count(&trace));
                }
            }
        }
    }
}

/// Why a batch was not taken.
#[derive(Debug)]
enum Refused {
    /// It may be taken later, maybe after the pause that the collector asks for.
    Later(String, Option<Duration>),
    /// It will never be.
    Never(String),
}

struct Sender {
    settings: OtlpSettings,
    counts: Arc<Exported>,
    /// When a line was said.
    said: Option<Instant>,
    is_away: bool,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Row>) {
        let mut rows = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut rows, BATCH_MAX).await > 0 {
            let (request, spans_count) = request(&rows, &self.settings.service_name);
            self.send(Bytes::from(request.encode_to_vec()), spans_count)
                .await;
            rows.clear();
        }
    }

    /// Sends a batch, again where that may help.
    async fn send(&mut self, body: Bytes, spans_count: u64) {
        let mut pause = PAUSE_MIN;
        for attempt in 1..=ATTEMPTS_MAX {
            let sent = timeout(ANSWER_MAX, post(&self.settings, body.clone())).await;
            let late = || Refused::Later("it did not answer in time".to_owned(), None);
            match sent.unwrap_or_else(|_| Err(late())) {
                Ok(rejected) => {
                    let rejected = rejected.min(spans_count);
                    add(&self.counts.spans, spans_count - rejected);
                    add(&self.counts.refused, rejected);
                    return self.is_there();
                }
                Err(Refused::Never(why)) => {
                    add(&self.counts.failures, 1);
                    add(&self.counts.refused, spans_count);
                    return self.is_away(&why);
                }
                Err(Refused::Later(why, asked)) => {
                    add(&self.counts.failures, 1);
                    self.is_away(&why);
                    if attempt < ATTEMPTS_MAX {
                        let own = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
                        tokio::time::sleep(asked.unwrap_or(own).min(PAUSE_MAX)).await;
                        pause = (2 * pause).min(PAUSE_MAX);
                    }
                }
            }
        }
        add(&self.counts.dropped, spans_count);
    }

    fn is_there(&mut self) {
        if std::mem::take(&mut self.is_away) && self.may_say() {
            let collector = self.settings.endpoint.authority.clone();
            let message = format!("spans: {collector} takes them again");
            say(CollectorAnswers { collector }, message);
        }
    }

    fn is_away(&mut self, why: &str) {
        let is_news = !std::mem::replace(&mut self.is_away, true);
        if is_news && self.may_say() {
            let collector = self.settings.endpoint.authority.clone();
            let message = format!(
                "spans: {collector} does not take them: {why}; traffic goes on, and what is lost is counted in flk_control_spans_dropped_total and _refused_total"
            );
            let reason = why.to_owned();
            say(CollectorAway { collector, reason }, message);
        }
    }

    fn may_say(&mut self) -> bool {
        let may = self.said.is_none_or(|at| at.elapsed() >= LINES_APART);
        if may {
            self.said = Some(Instant::now());
        }
        may
    }
}

/// Sends a batch once; how many of its spans were rejected.
async fn post(settings: &OtlpSettings, body: Bytes) -> Result<u64, Refused> {
    let later = |error: &dyn std::fmt::Display| Refused::Later(error.to_string(), None);
    let Endpoint {
        host,
        port,
        authority,
        path,
    } = &settings.endpoint;
    let addresses = lookup(host, *port).await.map_err(|error| later(&error))?;
    let stream = TcpStream::connect(&addresses[..]).await;
    let stream = stream.map_err(|error| later(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| later(&error))?;
    let _ended_with_this = Connection(tokio::spawn(connection));
    let mut request = hyper::Request::post(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("flk/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/x-protobuf");
    for (name, value) in &settings.headers.0 {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Refused::Never(format!("{name} is no header")))?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body));
    let request = request.map_err(|error| Refused::Never(error.to_string()))?;
    let response = sender.send_request(request).await;
    let (head, body) = response.map_err(|error| later(&error))?.into_parts();
    let body = Limited::new(body, 64 << 10).collect().await;
    let body = body.map(|it| it.to_bytes()).unwrap_or_default();
    verdict(head.status, &head.headers, &body)
}

/// The addresses of a name. A resolver may hang for minutes: it has a thread of its own, at most one at a time, so that it
/// never takes those that the configuration is read by.
async fn lookup(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    static IS_ASKED: AtomicBool = AtomicBool::new(false);
    if IS_ASKED.swap(true, Ordering::Relaxed) {
        return Err(std::io::Error::other(format!(
            "the look-up of {host} has not ended"
        )));
    }
    let (sender, found) = tokio::sync::oneshot::channel();
    let name = host.to_owned();
    let ask = move || {
        let addresses = (name.as_str(), port).to_socket_addrs();
        IS_ASKED.store(false, Ordering::Relaxed);
        let _ = sender.send(addresses.map(Iterator::collect));
    };
    let thread = std::thread::Builder::new().name("flk-resolver".to_owned());
    if let Err(error) = thread.spawn(ask) {
        IS_ASKED.store(false, Ordering::Relaxed);
        return Err(error);
    }
    let ended = |_| std::io::Error::other("the look-up ended");
    found.await.map_err(ended)?
}

/// A connection that ends with its request, also where that is given up.
struct Connection(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn verdict(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<u64, Refused> {
    let said = format!("it answers {status}");
    match status.as_u16() {
        200..300 => Ok(CollectorAnswer::decode(body).map_or(0, |answer| answer.rejected())),
        429 | 502 | 503 | 504 => {
            let asked = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
            let asked = asked.and_then(|it| it.trim().parse().ok());
            Err(Refused::Later(said, asked.map(Duration::from_secs)))
        }
        _ => Err(Refused::Never(said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::driver::statistics::{Published, publish};
    use flk_dataplane::stats::trace::{Moment, Trace};
    use std::os::fd::AsFd;

    #[test]
    fn what_may_pass_is_tried_again_after_the_pause_that_is_asked_for() {
        let mut headers = HeaderMap::new();
        for status in [429, 502, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(matches!(
                verdict(status, &headers, b""),
                Err(Refused::Later(_, None))
            ));
        }
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let asked = verdict(StatusCode::SERVICE_UNAVAILABLE, &headers, b"");
        let seven = Duration::from_secs(7);
        assert!(matches!(asked, Err(Refused::Later(_, Some(it))) if it == seven));
        for status in [301, 400, 401, 404, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(matches!(
                verdict(status, &headers, b""),
                Err(Refused::Never(_))
            ));
        }
    }

    /// A page to which records are traced, and that a reader follows.
    fn traced(started_wall_us: u64, count: u64) -> (Published, Reader) {
        let published = publish(1).unwrap();
        let parts = published.stats.parts();
        parts.header.started_wall_us.set(started_wall_us);
        for span_id in 0..count {
            let mut trace = Trace {
                span_id,
                ..Trace::default()
            };
            for moment in [Moment::Begun, Moment::Framed, Moment::Durable] {
                trace.pass(moment, 7);
            }
            parts.traces[0].push(&trace, 0);
        }
        let reader = Reader::of(published.memory.as_fd()).unwrap();
        (published, reader)
    }

    #[test]
    fn a_page_goes_on_where_it_was_read_and_one_of_another_start_begins_anew() {
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        let counts = Exported::default();
        let (first, page) = traced(1, 2);
        let mut source = Source::follow(None, page, &queue, &counts);
        source.take(&queue, &counts);
        assert_eq!(waiting.len(), 2);
        let again = Reader::of(first.memory.as_fd()).unwrap();
        let mut source = Source::follow(Some(source), again, &queue, &counts);
        source.take(&queue, &counts);
        assert_eq!(waiting.len(), 2, "none is taken twice");
        // In a container each start has the same process id.
        let (_second, page) = traced(2, 5);
        first.stats.parts().traces[0].push(&Trace::default(), 0);
        let mut source = Source::follow(Some(source), page, &queue, &counts);
        source.take(&queue, &counts);
        assert_eq!(
            waiting.len(),
            2 + 1 + 5,
            "also what was left of the one before"
        );
        assert!(waiting.try_recv().is_ok());
        assert_eq!(counts.overwritten.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn spans_and_not_traces_are_counted_where_the_queue_is_full() {
        let (queue, _waiting) = mpsc::channel(1);
        let counts = Exported::default();
        let (_page, reader) = traced(1, 3);
        Source::follow(None, reader, &queue, &counts).take(&queue, &counts);
        // Of the second and the third: the request, its framing and its way to the disk.
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 2 * 3);
    }

    #[test]
    fn spans_that_a_collector_rejects_are_known() {
        let headers = HeaderMap::new();
        // Field 1, a message of 2 bytes: field 1, the number 3.
        let partial = [0x0a, 0x02, 0x08, 0x03];
        let rejected = |body: &[u8]| verdict(StatusCode::OK, &headers, body).unwrap();
        assert_eq!(rejected(&partial), 3);
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"not protobuf"), 0, "it was taken");
    }
}
