//! A shard under a real driver, with a real log file and 64 connections. The shard's thread waits until all requests of a
//! round were sent before it takes the first of them, so that what a round costs does not depend on how fast they came.

use crate::counting::Watch;
use crate::{ROUNDS, WARM_UP_ROUNDS};
use flk_bench_stages::records::requests;
use flk_bench_stages::setting::{SEGMENT_BYTES, begin, config, segment};
use flk_dataplane::driver::doorbell::Doorbell;
use flk_dataplane::driver::links::{Links, link};
use flk_dataplane::driver::listen::{listeners, local_address};
use flk_dataplane::driver::probe::{DriverKind, Requested, WriteMethod, choose, write_method};
use flk_dataplane::driver::pulse::Pulse;
use flk_dataplane::driver::rate::Buckets;
use flk_dataplane::driver::shard_probe::ShardProbe;
use flk_dataplane::driver::{
    DriverLimits, Ended, Machine, ShardSetup, clock, portable::Portable, uring::Uring,
};
use flk_dataplane::event::{Driver, Event, Inbox, Next, Outbox};
use flk_dataplane::io::{FileId, Now, ShardId};
use flk_dataplane::mesh::keeper::ToShard;
use flk_dataplane::shard::Shard;
use flk_dataplane::shard::config::TraceLimits;
use flk_dataplane::stats::Stats;
use flk_testkit::client::Connection;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Requests of a round, one on each connection.
pub(crate) const REQUESTS_PER_ROUND: usize = 64;

pub(crate) type Kind = DriverKind;

/// The drivers that this machine allows.
pub(crate) fn kinds() -> Vec<Kind> {
    match choose(Requested::Uring) {
        Ok(_) => vec![Kind::Portable, Kind::Uring],
        Err(refused) => {
            flk_testkit::skipped(&format!("what a request costs under io_uring: {refused}"));
            vec![Kind::Portable]
        }
    }
}

/// What the rounds after the warm-up used.
pub(crate) struct Used {
    pub(crate) requests: u64,
    /// Entries of the kernel through io_uring.
    pub(crate) enters: u64,
    pub(crate) log_bytes: u64,
    /// Where the shard's thread allocated.
    pub(crate) allocated_at: Vec<String>,
}

/// Sends rounds of new records, the first ones to warm up.
pub(crate) fn load(kind: Kind) -> Used {
    let stats = Arc::new(Stats::new(1));
    let watch = Watch::new();
    let sending = Arc::new(Mutex::new(()));
    let held = Held {
        shard: Shard::new(config(0, None, TraceLimits::default(), &stats)),
        sending: Arc::clone(&sending),
        watch,
        is_watched: false,
    };
    let all = requests(0..((WARM_UP_ROUNDS + ROUNDS) * REQUESTS_PER_ROUND) as u64);
    let (before, behind) = all.split_at(WARM_UP_ROUNDS * REQUESTS_PER_ROUND);
    let counted = || {
        let page = &stats.shards[0];
        [&page.ingest, &page.ring_entered, &page.wal_bytes].map(|cell| cell.get())
    };
    let mut used = None;
    with_server(kind, &stats, held, |address| {
        let mut client = Client::open(address, &sending);
        client.send(before);
        let first = counted();
        let allocated_at = watch.during(|| client.send(behind));
        let last = counted();
        let [requests, enters, log_bytes] = [0, 1, 2].map(|at| last[at] - first[at]);
        used = Some(Used {
            requests,
            enters,
            log_bytes,
            allocated_at,
        });
    });
    used.unwrap()
}

/// A shard that takes no request before the round was sent.
struct Held {
    shard: Shard,
    sending: Arc<Mutex<()>>,
    watch: &'static Watch,
    is_watched: bool,
}

impl Machine for Held {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        if !std::mem::replace(&mut self.is_watched, true) {
            self.watch.this_thread();
        }
        let is_request = |event: &Event| matches!(event, Event::Received(..));
        if inbox.events.iter().any(is_request) {
            drop(self.sending.lock().unwrap());
        }
        self.shard.turn(inbox, now, driver, outbox)
    }
}

struct Client<'a> {
    connections: Vec<Connection>,
    sending: &'a Mutex<()>,
}

impl Client<'_> {
    fn open(address: SocketAddr, sending: &Mutex<()>) -> Client<'_> {
        let open = |_| Connection::open(address).unwrap();
        Client {
            connections: (0..REQUESTS_PER_ROUND).map(open).collect(),
            sending,
        }
    }

    /// Sends requests round by round, each round after all answers to the one before.
    fn send(&mut self, requests: &[Vec<u8>]) {
        for round in requests.chunks(REQUESTS_PER_ROUND) {
            let sent = self.sending.lock().unwrap();
            for (connection, request) in self.connections.iter_mut().zip(round) {
                connection.send(request).unwrap();
            }
            drop(sent);
            for connection in &mut self.connections {
                let response = connection.response().unwrap();
                assert_eq!((response.status, response.dedup()), (200, Some("miss")));
            }
        }
    }
}

/// Runs the machine on a thread of its own while `client` talks to it.
fn with_server(kind: Kind, stats: &Arc<Stats>, mut machine: Held, client: impl FnOnce(SocketAddr)) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (file, method) = segment_file(directory.path());
    let any = ([127, 0, 0, 1], 0).into();
    let listener = listeners(any, 1, Duration::ZERO, || {}).unwrap().remove(0);
    let address = local_address(&listener).unwrap();
    let bell = Arc::new(Doorbell::new().unwrap());
    let keeper_bell = Arc::new(Doorbell::new().unwrap());
    let (mut links, keeper) = link(std::slice::from_ref(&bell), &keeper_bell, 1);
    let setup = setup(listener, links.remove(0), stats);
    let first = segment(0, FileId(file.as_raw_fd()));
    let mut begin = begin(0, 0, first, clock::now().mono_us);
    begin.sync = method.sync;
    keeper.tell(ShardId(0), ToShard::Begin(Box::new(begin)));
    keeper.tell(ShardId(0), ToShard::Serve { admit: true });
    std::thread::scope(|scope| {
        let server = scope.spawn(|| match kind {
            Kind::Uring => Uring::new(setup).unwrap().run(&mut machine),
            Kind::Portable => Portable::new(setup).unwrap().run(&mut machine),
        });
        let end = EndWhenDropped(&bell);
        client(address);
        drop(end);
        let ended = server.join().unwrap();
        assert!(matches!(ended, Ended::Asked), "{ended:?}");
    });
}

/// Ends the driver also where an assertion of its client fails: the test would wait for it for ever.
struct EndWhenDropped<'a>(&'a Doorbell);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.tell_to_end();
    }
}

fn setup(listener: OwnedFd, links: Links, stats: &Arc<Stats>) -> ShardSetup {
    let pulses: Arc<[Pulse]> = Arc::new([Pulse::default()]);
    ShardSetup {
        shard: ShardId(0),
        listener: listener.into(),
        links,
        buckets: Arc::new(Buckets::default()),
        probe: Box::new(ShardProbe::new(ShardId(0), Arc::clone(stats), pulses)),
        limits: DriverLimits::default(),
    }
}

/// A segment as the keeper would open it here.
fn segment_file(directory: &std::path::Path) -> (OwnedFd, WriteMethod) {
    let opened = std::fs::File::open(directory).unwrap();
    let method = write_method(opened.as_fd()).unwrap();
    let mut flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECT | OFlags::DSYNC, method.direct);
    let path = directory.join("segment");
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SEGMENT_BYTES).unwrap();
    (file, method)
}
