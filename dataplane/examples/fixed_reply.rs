//! The floor of a driver: an HTTP server that answers every request with the same bytes, on one pinned core. It prints
//! requests per second and CPU time per request; it looks at nothing of a request but its length.
//!
//! `cargo run --release -p flk-dataplane --example fixed_reply -- [--driver uring|portable] [--cpu N] [--port N]`, then
//! for example `taskset -c 1 wrk -t1 -c64 -d10 -s post.lua http://127.0.0.1:18080/`.

use flk_dataplane::driver::doorbell::Doorbell;
use flk_dataplane::driver::links::link;
use flk_dataplane::driver::listen::listeners;
use flk_dataplane::driver::rate::Buckets;
use flk_dataplane::driver::{
    DriverLimits as Limits, Ended, Machine, NoProbe, ShardSetup, portable::Portable, uring::Uring,
};
use flk_dataplane::event::{ConnId, Driver, Event, Inbox, Next, Op, Outbox};
use flk_dataplane::io::{Now, ShardId};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
const REPORT_EVERY_US: u64 = 1_000_000;

/// Cuts requests out of the stream by `Content-Length` and answers each with [`REPLY`].
#[derive(Default)]
struct FixedReply {
    partial: HashMap<u32, Vec<u8>>,
    requests: u64,
    turns: u64,
    reported: Report,
}

#[derive(Clone, Copy, Default)]
struct Report {
    at_us: u64,
    requests: u64,
    turns: u64,
    user_us: u64,
    system_us: u64,
}

/// Length of the first request in `bytes`, if it is all there.
fn request_bytes(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|value| value.parse::<usize>().ok())
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

impl FixedReply {
    fn received(&mut self, conn: ConnId, bytes: &[u8], outbox: &mut Outbox) {
        let mut before = self.partial.remove(&conn.slot).unwrap_or_default();
        let mut rest = if before.is_empty() {
            bytes
        } else {
            before.extend_from_slice(bytes);
            &before
        };
        let start = outbox.bytes.len();
        while let Some(bytes) = request_bytes(rest) {
            rest = &rest[bytes..];
            self.requests += 1;
            outbox.bytes.extend_from_slice(REPLY);
        }
        if outbox.bytes.len() > start {
            outbox.ops.push(Op::Send(conn, start..outbox.bytes.len()));
        }
        if !rest.is_empty() {
            let rest = rest.to_vec();
            self.partial.insert(conn.slot, rest);
        }
    }

    fn report(&mut self, now_us: u64) {
        let usage = usage_us();
        let now = Report {
            at_us: now_us,
            requests: self.requests,
            turns: self.turns,
            user_us: usage.0,
            system_us: usage.1,
        };
        let before = std::mem::replace(&mut self.reported, now);
        let requests = (now.requests - before.requests) as f64;
        if requests == 0.0 || before.at_us == 0 {
            return;
        }
        println!(
            "{:.0} requests/s, {:.2} µs user + {:.2} µs system per request, {:.1} requests per turn",
            requests * 1e6 / (now.at_us - before.at_us) as f64,
            (now.user_us - before.user_us) as f64 / requests,
            (now.system_us - before.system_us) as f64 / requests,
            requests / (now.turns - before.turns) as f64,
        );
    }
}

impl Machine for FixedReply {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        _: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        self.turns += 1;
        let Inbox { events, bytes } = inbox;
        for event in events.drain(..) {
            match event {
                Event::Received(conn, range) => self.received(conn, &bytes[range], outbox),
                Event::Ended(conn) | Event::Broken(conn) => {
                    self.partial.remove(&conn.slot);
                    outbox.ops.push(Op::Close(conn));
                }
                _ => {}
            }
        }
        if now.mono_us >= self.reported.at_us + REPORT_EVERY_US {
            self.report(now.mono_us);
        }
        Next::At(self.reported.at_us + REPORT_EVERY_US)
    }
}

/// User and system CPU time of this process in microseconds, io_uring's kernel workers included.
fn usage_us() -> (u64, u64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    #[allow(unsafe_code)]
    // SAFETY: the kernel fills the whole structure, for which all zeros is a valid value too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (us(usage.ru_utime), us(usage.ru_stime))
}

fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = option("--port").map_or(Ok(18_080), |port| port.parse())?;
    let cpu: usize = option("--cpu").map_or(Ok(0), |cpu| cpu.parse())?;
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)?;

    let address = ([127, 0, 0, 1], port).into();
    let listener = listeners(address, 1, std::time::Duration::ZERO, || {})?.remove(0);
    let bell = Arc::new(Doorbell::new()?);
    let (mut links, _keeper) = link(&[bell], &Arc::new(Doorbell::new()?), 1);
    let setup = ShardSetup {
        shard: ShardId(0),
        listener: listener.into(),
        links: links.remove(0),
        buckets: Arc::new(Buckets::default()),
        probe: Box::new(NoProbe),
        limits: Limits::default(),
    };
    let driver = option("--driver").unwrap_or_else(|| "uring".to_owned());
    println!("listening on {address}, driver {driver}, CPU {cpu}");
    let mut machine = FixedReply::default();
    let ended = match driver.as_str() {
        "uring" => Uring::new(setup)?.run(&mut machine),
        "portable" => Portable::new(setup)?.run(&mut machine),
        other => return Err(format!("--driver {other}: uring or portable").into()),
    };
    match ended {
        Ended::Failed(error) => Err(error.into()),
        _ => Ok(()),
    }
}
