//! Both real drivers against small machines: whatever a shard relies on holds under either. Nothing here knows the shard.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may: its helpers are not in test functions

mod machines;

use flk_dataplane::driver::doorbell::Doorbell;
use flk_dataplane::driver::links::{KeeperLinks, Links, link};
use flk_dataplane::driver::listen::{listeners, local_address};
use flk_dataplane::driver::rate::Buckets;
use flk_dataplane::driver::{
    DriverError, DriverLimits as Limits, Ended, Machine, NoProbe, ShardSetup, portable::Portable,
    uring::Uring,
};
use flk_dataplane::io::{Errno, FileId, ShardId};
use flk_dataplane::mesh::keeper::{Shortage, ToKeeper, ToShard};
use flk_dataplane::wal::Epoch;
use machines::{Echo, Files, PingPong, Timer};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes: what waits this long has lost a wake-up.
const LOST: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Uring,
    Portable,
}

fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind::Portable];
    let mut builder: io_uring::Builder = io_uring::IoUring::builder();
    match builder.setup_single_issuer().setup_defer_taskrun().build(8) {
        Ok(_) => kinds.push(Kind::Uring),
        Err(error) => flk_testkit::skipped(&format!("drivers under io_uring: {error}")),
    }
    kinds
}

fn drive(kind: Kind, setup: ShardSetup, machine: &mut impl Machine) -> Result<Ended, DriverError> {
    Ok(match kind {
        Kind::Uring => Uring::new(setup)?.run(machine),
        Kind::Portable => Portable::new(setup)?.run(machine),
    })
}

fn limits() -> Limits {
    Limits {
        connections_max: 64,
        receive_buffers_count: 8,
        receive_buffer_bytes: 512,
        reads_max: 2,
    }
}

fn setup(shard: u16, listener: OwnedFd, links: Links, limits: Limits) -> ShardSetup {
    ShardSetup {
        shard: ShardId(shard),
        listener: listener.into(),
        links,
        buckets: Arc::new(Buckets::default()),
        probe: Box::new(NoProbe),
        limits,
    }
}

fn bells(count: usize) -> Vec<Arc<Doorbell>> {
    let bell = |_| Arc::new(Doorbell::new().unwrap());
    (0..count).map(bell).collect()
}

/// Ends a driver also where its client's assertions fail: the test would wait for it for ever.
struct EndWhenDropped<'a>(&'a Doorbell);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.tell_to_end();
    }
}

/// Runs a machine on a thread of its own while `client` talks to it, then tells it to end and gives it back.
fn with_server<M: Machine + Send>(
    kind: Kind,
    limits: Limits,
    mut machine: M,
    client: impl FnOnce(SocketAddr, &KeeperLinks),
) -> (M, Ended) {
    let listener = listeners(([127, 0, 0, 1], 0).into(), 1, Duration::ZERO, || {})
        .unwrap()
        .remove(0);
    let address = local_address(&listener).unwrap();
    let bells = bells(1);
    let (mut links, keeper) = link(&bells, &Arc::new(Doorbell::new().unwrap()), 1);
    let setup = setup(0, listener, links.remove(0), limits);
    let ended = std::thread::scope(|scope| {
        let server = scope.spawn(|| drive(kind, setup, &mut machine).unwrap());
        let end = EndWhenDropped(&bells[0]);
        client(address, &keeper);
        drop(end);
        server.join().unwrap()
    });
    (machine, ended)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LOST)).unwrap();
    stream
}

fn round_trip(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

/// Awaits the shard's next word.
fn next_word(keeper: &KeeperLinks) -> ToKeeper {
    let (_, word) = keeper.take_within(LOST).expect("the shard says nothing");
    word
}

#[test]
fn large_streams_come_back_whole_and_in_order_though_buffers_run_out() {
    for kind in kinds() {
        let (echo, _) = with_server(kind, limits(), Echo::default(), |address, _| {
            std::thread::scope(|scope| {
                for client in 0..16u8 {
                    scope.spawn(move || echo_a_megabyte(address, client));
                }
            });
        });
        assert_eq!(echo.received_bytes, 16_000_000, "{kind:?}");
        assert_eq!(echo.sent_bytes, 16_000_000, "{kind:?}");
    }
}

fn echo_a_megabyte(address: SocketAddr, client: u8) {
    let byte = |i: u32| (i.wrapping_mul(31) >> 3) as u8 ^ client;
    let bytes: Vec<u8> = (0..1_000_000).map(byte).collect();
    let mut reader = connect(address);
    let mut writer = reader.try_clone().unwrap();
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        reader.read_to_end(&mut back).unwrap();
    });
    assert!(back == bytes, "client {client} got other bytes back");
}

#[test]
fn a_client_that_ended_still_reads_its_answers_and_then_the_end() {
    for kind in kinds() {
        let echo = Echo {
            farewell: b"farewell",
            ..Echo::default()
        };
        with_server(kind, limits(), echo, |address, _| {
            let mut stream = connect(address);
            stream.write_all(b"hello ").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            assert_eq!(all, "hello farewell", "{kind:?}");
        });
    }
}

#[test]
fn a_paused_connection_is_not_read_before_it_is_resumed() {
    for kind in kinds() {
        let echo = Echo {
            paused: true,
            ..Echo::default()
        };
        let (echo, _) = with_server(kind, limits(), echo, |address, keeper| {
            let mut stream = connect(address);
            assert_eq!(next_word(keeper), ToKeeper::Idle(true));
            // Another connection's arrival shows that the shard has turned since the pause.
            let _other = connect(address);
            assert_eq!(next_word(keeper), ToKeeper::Idle(true));
            stream.write_all(b"while paused").unwrap();
            let short = Some(Duration::from_millis(50));
            stream.set_read_timeout(short).unwrap();
            let mut back = [0; 12];
            assert!(stream.read(&mut back).is_err(), "{kind:?} answered");
            stream.set_read_timeout(Some(LOST)).unwrap();
            keeper.tell(ShardId(0), ToShard::Roll(Epoch::first()));
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"while paused");
            round_trip(&mut stream, b"and after");
        });
        assert_eq!(echo.received_bytes, 21);
    }
}

#[test]
fn slots_are_used_again_under_new_generations_and_excess_clients_wait() {
    for kind in kinds() {
        let small = Limits {
            connections_max: 4,
            ..limits()
        };
        let (echo, _) = with_server(kind, small, Echo::default(), |address, _| {
            for _ in 0..50 {
                let mut streams: Vec<_> = (0..10).map(|_| connect(address)).collect();
                for stream in &mut streams {
                    stream.write_all(b"x").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                for mut stream in streams {
                    let mut back = Vec::new();
                    stream.read_to_end(&mut back).unwrap();
                    assert_eq!(back, b"x", "{kind:?}");
                }
            }
        });
        assert_eq!(echo.accepted.len(), 500, "{kind:?}");
        assert!(echo.accepted.iter().all(|conn| conn.slot < 4));
    }
}

#[test]
fn closing_drops_what_a_client_does_not_take_and_frees_the_slot() {
    for kind in kinds() {
        let one = Limits {
            connections_max: 1,
            ..limits()
        };
        let echo = Echo {
            floods: true,
            ..Echo::default()
        };
        let (echo, _) = with_server(kind, one, echo, |address, keeper| {
            for _ in 0..3 {
                let mut stream = connect(address);
                stream.write_all(b"x").unwrap();
                assert_eq!(next_word(keeper), ToKeeper::Idle(true));
                // The server's send is stuck now; the close comes with the next byte.
                stream.write_all(b"y").unwrap();
                let mut all = Vec::new();
                let _reset_or_end = stream.read_to_end(&mut all);
                assert!(
                    all.len() < machines::FLOOD_BYTES,
                    "{kind:?} sent everything"
                );
            }
        });
        assert_eq!(echo.accepted.len(), 3);
    }
}

#[test]
fn a_reset_is_reported_once() {
    for kind in kinds() {
        let (echo, _) = with_server(kind, limits(), Echo::default(), |address, keeper| {
            let mut stream = connect(address);
            round_trip(&mut stream, b"x");
            // Linger 0 turns the close into a reset.
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            drop(stream);
            assert_eq!(next_word(keeper), ToKeeper::Idle(false));
            round_trip(&mut connect(address), b"still here");
        });
        assert_eq!(echo.broken, 1, "{kind:?}");
    }
}

#[test]
fn paused_accept_leaves_clients_in_the_queue_and_a_closed_listener_refuses() {
    for kind in kinds() {
        with_server(kind, limits(), Echo::default(), |address, keeper| {
            round_trip(&mut connect(address), b"before");
            keeper.tell(ShardId(0), ToShard::SpaceLow(Some(Shortage::Disk)));
            assert_eq!(next_word(keeper), ToKeeper::Idle(true));
            let mut waiting = connect(address);
            waiting.write_all(b"waits").unwrap();
            keeper.tell(ShardId(0), ToShard::SpaceLow(None));
            let mut back = [0; 5];
            waiting.read_exact(&mut back).unwrap();
            keeper.tell(ShardId(0), ToShard::Drain);
            assert_eq!(next_word(keeper), ToKeeper::Idle(true));
            round_trip(&mut waiting, b"open connections stay");
            assert!(TcpStream::connect(address).is_err(), "{kind:?} accepted");
        });
    }
}

#[test]
fn clients_in_the_listen_queue_of_a_closing_listener_are_served_and_none_is_reset() {
    const CLIENTS: usize = 100;
    for kind in kinds() {
        // With more slots than clients, and with fewer: then they get theirs as others leave.
        for (connections_max, pauses) in [(128, true), (128, false), (7, true), (7, false)] {
            let limits = Limits {
                connections_max,
                ..limits()
            };
            let echo = Echo::default();
            let (echo, _) = with_server(kind, limits, echo, |address, keeper| {
                if pauses {
                    keeper.tell(ShardId(0), ToShard::SpaceLow(Some(Shortage::Disk)));
                    assert_eq!(next_word(keeper), ToKeeper::Idle(true));
                }
                let mut streams: Vec<_> = (0..CLIENTS).map(|_| connect(address)).collect();
                for stream in &mut streams {
                    stream.write_all(b"hello").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                keeper.tell(ShardId(0), ToShard::Drain);
                for (at, mut stream) in streams.into_iter().enumerate() {
                    let mut back = String::new();
                    let read = stream.read_to_string(&mut back);
                    assert!(read.is_ok(), "{kind:?}: client {at} of {CLIENTS}: {read:?}");
                    assert_eq!(back, "hello", "{kind:?}");
                }
                assert_eq!(next_word(keeper), ToKeeper::Idle(true));
                assert!(TcpStream::connect(address).is_err(), "{kind:?} accepted");
            });
            assert_eq!(echo.accepted.len(), CLIENTS, "{kind:?}");
            assert_eq!(echo.accepted_at_close, Some(CLIENTS), "said too early");
        }
    }
}

#[test]
fn stop_ends_the_loop_and_nothing_after_it_is_carried_out() {
    for kind in kinds() {
        let (_, ended) = with_server(kind, limits(), Echo::default(), |_, keeper| {
            keeper.tell(ShardId(0), ToShard::Finish);
            assert!(keeper.take_within(LOST).is_none(), "{kind:?} went on");
        });
        assert!(matches!(ended, Ended::Stopped(stop) if stop.code == 74));
    }
}

#[test]
fn an_idle_shard_sleeps_until_its_time_and_no_longer() {
    for kind in kinds() {
        let (timer, _) = with_server(kind, limits(), Timer::default(), |_, keeper| {
            next_word(keeper);
        });
        assert!(timer.woken_us >= timer.asked_us, "{kind:?} woke too early");
        assert!(timer.woken_us < timer.asked_us + 10_000_000);
        assert!(timer.turns < 20, "{kind:?} took {} turns", timer.turns);
    }
}

#[test]
fn files_are_written_synced_and_read_and_failures_come_back_with_the_buffer() {
    let directory = tempfile::tempdir().unwrap();
    for kind in kinds() {
        let path = directory.path().join(format!("{kind:?}"));
        let file = std::fs::File::create_new(&path).unwrap();
        let for_reading = std::fs::File::open(&path).unwrap();
        let machine = Files::new(FileId(file.as_raw_fd()), FileId(for_reading.as_raw_fd()));
        let (files, _) = with_server(kind, limits(), machine, |_, keeper| {
            next_word(keeper);
        });
        assert_eq!(files.written, vec![Ok(8192), Err(Errno(libc::EBADF))]);
        assert_eq!(files.synced, vec![Ok(())]);
        assert_eq!(files.blocks_back_bytes, vec![8192, 8192]);
        let mut read = files.read;
        read.sort_by_key(|(id, _)| *id);
        let expected = [(0, Ok(7)), (1, Ok(7)), (2, Ok(7)), (3, Err(Errno::EIO))];
        assert_eq!(read, expected, "{kind:?}");
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; 8192]);
    }
}

#[test]
fn shards_that_sleep_between_messages_lose_no_wake_up() {
    for kind in kinds() {
        const ROUNDS: u32 = 20_000;
        let listeners = listeners(([127, 0, 0, 1], 0).into(), 2, Duration::ZERO, || {}).unwrap();
        let bells = bells(2);
        let (links, keeper) = link(&bells, &Arc::new(Doorbell::new().unwrap()), 4);
        std::thread::scope(|scope| {
            let shards = links.into_iter().zip(listeners).zip(0..);
            for ((links, listener), shard) in shards {
                let setup = setup(shard, listener, links, limits());
                scope.spawn(move || {
                    let mut machine = PingPong::new(ShardId(1 - shard), shard == 0, ROUNDS);
                    drive(kind, setup, &mut machine).unwrap();
                });
            }
            for _ in 0..2 {
                assert_eq!(next_word(&keeper), ToKeeper::Idle(true), "{kind:?}");
            }
            bells.iter().for_each(|bell| bell.tell_to_end());
        });
    }
}
