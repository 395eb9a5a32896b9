//! A shard under compio: one task accepts, two serve each connection, one writes the log. Sockets receive by multishot operations
//! into provided buffers, and log writes take the shard's own memory.

use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpListener as StdListener;
use std::num::NonZeroU16;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use compio::BufResult;
use compio::buf::{IntoInner as _, IoBuf};
use compio::driver::ProactorBuilder;
use compio::fs::{File, OpenOptions};
use compio::io::{AsyncReadAt as _, AsyncReadMulti as _, AsyncWrite as _, AsyncWriteAt as _};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{JoinHandle, Runtime, spawn};
use flk_dataplane::driver::turns::Turns;
use flk_dataplane::driver::{Ended, Machine, ShardSetup};
use flk_dataplane::io::FileId;
use flk_dataplane::wal::buffer::Blocks;
use futures_lite::Stream as _;

use crate::connection::Connection;
use crate::executor::{Executor, LogFile};
use crate::files::{self, guarantees_of, path_of};
use crate::hub::Hub;
use crate::turns::Loop;

/// As many entries as the gateway's own ring has connections in a measurement, and room for their completions.
const RING_ENTRIES: u32 = 1024;
/// Tasks that run before the ring is asked again: all that one set of completions woke, so that they share a turn.
const TASKS_PER_TICK_MAX: usize = 4096;
/// How long to wait before accepting again after the system had no descriptor or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);
/// All receive buffers hold bytes that no task has taken yet.
const ENOBUFS: i32 = 105;

pub(crate) struct Compio;

impl Executor for Compio {
    type Task = JoinHandle<()>;
    type File = File;

    fn sleep(span: Duration) -> impl Future<Output = ()> + 'static {
        compio::time::sleep(span)
    }
}

/// Runs the shard on this thread, which is pinned already.
pub(crate) fn run<M: Machine + 'static>(setup: ShardSetup, machine: M) -> io::Result<Ended> {
    let (turns, listener, limits) = Turns::of(setup);
    let mut ring = ProactorBuilder::new();
    ring.capacity(RING_ENTRIES)
        .single_issuer(true)
        .defer_taskrun(true)
        .buffer_pool_buffer_len(limits.receive_buffer_bytes as usize);
    if let Some(count) = NonZeroU16::new(limits.receive_buffers_count) {
        ring.buffer_pool_size(count);
    }
    let runtime = Runtime::builder()
        .with_proactor(ring)
        .event_interval(TASKS_PER_TICK_MAX)
        .build()?;
    runtime.block_on(async move {
        let hub = Hub::new(limits.connections_max, !listener.stays);
        let listener = TcpListener::from_std(StdListener::from(listener.socket))?;
        let accepting = spawn(accept(listener, Rc::clone(&hub)));
        hub.accepting.replace(Some(accepting));
        let _files = spawn(files::carry_out::<Compio>(Rc::clone(&hub)));
        // As a task, which runs behind those that have woken it; the outermost future would be polled after each wait.
        let turns = spawn(Loop::<Compio>::new(turns, hub)?.run(machine));
        Ok(turns.await?)
    })
}

async fn accept(listener: TcpListener, hub: Rc<Hub<JoinHandle<()>>>) {
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            compio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        hub.may_open().await;
        hub.open(address.ip(), |connection| {
            let reads = read(stream.clone(), Rc::clone(connection), Rc::clone(&hub));
            let writes = write(stream, Rc::clone(connection), Rc::clone(&hub));
            vec![spawn(reads), spawn(writes)]
        });
    }
}

/// Receives until the client sends nothing more or the connection fails; the shard cancels it otherwise.
async fn read(mut stream: TcpStream, connection: Rc<Connection>, hub: Rc<Hub<JoinHandle<()>>>) {
    loop {
        while !connection.reads.get() {
            connection.to_read.wait().await;
        }
        // Dropped, it is cancelled: a client whose bytes are not wanted fills its own socket only.
        let mut received = pin!(stream.read_multi(0));
        while connection.reads.get() {
            match poll_fn(|cx| received.as_mut().poll_next(cx)).await {
                Some(Ok(bytes)) => hub.received(&connection, &bytes),
                Some(Err(error)) if error.raw_os_error() == Some(ENOBUFS) => break,
                Some(Err(_)) => return hub.broken(&connection),
                None => return hub.ended(&connection),
            }
        }
    }
}

/// Sends what waits, all of it in one operation, and FIN behind it if it is due.
async fn write(mut stream: TcpStream, connection: Rc<Connection>, hub: Rc<Hub<JoinHandle<()>>>) {
    let mut sending = Vec::new();
    loop {
        connection.to_write.wait().await;
        while connection.take_waiting(&mut sending) {
            let mut sent_offset = 0;
            while sent_offset < sending.len() {
                let BufResult(sent, rest) = stream.write(sending.slice(sent_offset..)).await;
                sending = rest.into_inner();
                match sent {
                    Ok(bytes_count) => {
                        sent_offset += bytes_count;
                        hub.sent(&connection, bytes_count);
                    }
                    Err(_) => return hub.broken(&connection),
                }
            }
        }
        if connection.fin.take() {
            // It fails only if the connection is gone, which the task that reads reports.
            let _ = stream.shutdown().await;
        }
    }
}

/// The blocks of a log write, given to the ring as they are.
struct Whole(Box<Blocks>);

impl IoBuf for Whole {
    fn as_init(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl LogFile for File {
    async fn open_to_write(file: FileId) -> io::Result<Self> {
        let guarantees = guarantees_of(file)?.bits().cast_signed();
        let mut options = OpenOptions::new();
        let options = options.write(true).custom_flags(guarantees);
        options.open(path_of(file)).await
    }

    async fn open_to_read(file: FileId) -> io::Result<Self> {
        File::open(path_of(file)).await
    }

    async fn write(&self, blocks: Box<Blocks>, offset: u64) -> (Box<Blocks>, io::Result<usize>) {
        let mut file = self;
        let BufResult(written, Whole(blocks)) = file.write_at(Whole(blocks), offset).await;
        (blocks, written)
    }

    async fn sync(&self) -> io::Result<()> {
        self.sync_data().await
    }

    async fn read(&self, offset: u64, bytes_count: usize) -> io::Result<Vec<u8>> {
        let BufResult(read, bytes) = self.read_at(Vec::with_capacity(bytes_count), offset).await;
        read.map(|_| bytes)
    }

    async fn close(self) -> io::Result<()> {
        File::close(self).await
    }
}
