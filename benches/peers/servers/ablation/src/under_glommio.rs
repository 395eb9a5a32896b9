//! A shard under glommio: one task accepts, one serves each connection, one writes the log. Sockets are those of glommio, which
//! tries a system call first and asks its ring for readiness; the log is a direct file, written from glommio's own buffers.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use flk_dataplane::driver::listen::{Listener, local_address};
use flk_dataplane::driver::turns::Turns;
use flk_dataplane::driver::{Ended, Machine, ShardSetup};
use flk_dataplane::io::FileId;
use flk_dataplane::wal::buffer::Blocks;
use futures_lite::{AsyncRead as _, AsyncWrite as _};
use glommio::io::{DmaFile, OpenOptions};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use glommio::{GlommioError, LocalExecutorBuilder, Placement, Task, spawn_local};

use crate::connection::Connection;
use crate::executor::{Executor, LogFile};
use crate::files::{self, guarantees_of, path_of};
use crate::hub::Hub;
use crate::turns::Loop;

/// More than there are connections and log writes under way at a time in a measurement.
const RING_ENTRIES: usize = 1024;
/// Memory for log writes, registered with the ring: some batches. It counts towards the limit of lockable memory.
const IO_BYTES: usize = 4 << 20;
/// One read takes at most this much.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long to wait before accepting again after the system had no descriptor or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

pub(crate) struct Glommio;

impl Executor for Glommio {
    type Task = Task<()>;
    type File = DmaFile;

    async fn sleep(span: Duration) {
        Timer::new(span).await;
    }
}

/// Runs the shard on this thread, which is pinned already.
pub(crate) fn run<M: Machine + 'static>(setup: ShardSetup, machine: M) -> io::Result<Ended> {
    let (turns, listener, limits) = Turns::of(setup);
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .name("flk-glommio")
        .ring_depth(RING_ENTRIES)
        .io_memory(IO_BYTES)
        .make()?;
    executor.run(async move {
        let hub = Hub::new(limits.connections_max, !listener.stays);
        let listener = rebind(listener)?;
        let accepting = spawn_local(accept(listener, Rc::clone(&hub)));
        hub.accepting.replace(Some(accepting));
        let _files = spawn_local(files::carry_out::<Glommio>(Rc::clone(&hub)));
        Ok(Loop::<Glommio>::new(turns, hub)?.run(machine).await)
    })
}

/// A listener of glommio's in the place of the gateway's, on the same address.
fn rebind(listener: Listener) -> io::Result<TcpListener> {
    let address: SocketAddr = local_address(&listener.socket).map_err(|it| it.error)?;
    drop(listener);
    Ok(TcpListener::bind(address)?)
}

async fn accept(listener: TcpListener, hub: Rc<Hub<Task<()>>>) {
    loop {
        let Ok(stream) = listener.accept().await else {
            Timer::new(ACCEPT_RETRY).await;
            continue;
        };
        hub.may_open().await;
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let address = stream.peer_addr().map_or(unknown, |it| it.ip());
        if stream.set_nodelay(true).is_ok() {
            hub.open(address, |connection| {
                let served = Served::new(stream, Rc::clone(connection), Rc::clone(&hub));
                vec![spawn_local(served.run())]
            });
        }
    }
}

/// A connection and its socket.
struct Served {
    stream: TcpStream,
    connection: Rc<Connection>,
    hub: Rc<Hub<Task<()>>>,
    sending: Vec<u8>,
    sent_offset: usize,
    input: Box<[u8]>,
    has_ended: bool,
}

impl Served {
    fn new(stream: TcpStream, connection: Rc<Connection>, hub: Rc<Hub<Task<()>>>) -> Self {
        Self {
            stream,
            connection,
            hub,
            sending: Vec::new(),
            sent_offset: 0,
            input: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            has_ended: false,
        }
    }

    /// Reads and writes until the connection fails; the shard cancels it otherwise.
    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whatever they say, both are done; from here on they wake this task.
        let _ = self.connection.to_read.poll(cx);
        let _ = self.connection.to_write.poll(cx);
        let stepped = self.write(cx).and_then(|()| self.read(cx));
        match stepped {
            Ok(()) => Poll::Pending,
            Err(_) => {
                self.hub.broken(&self.connection);
                Poll::Ready(())
            }
        }
    }

    /// Writes until the socket takes no more or nothing waits; then FIN if it is due.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.sent_offset == self.sending.len() {
                self.sent_offset = 0;
                if !self.connection.take_waiting(&mut self.sending) {
                    break;
                }
            }
            let rest = &self.sending[self.sent_offset..];
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(written) => {
                    let bytes_count = written?;
                    self.sent_offset += bytes_count;
                    self.hub.sent(&self.connection, bytes_count);
                }
                Poll::Pending => return Ok(()),
            }
        }
        if self.connection.fin.take() {
            // It fails only if the connection is gone, which the next read reports.
            let _ = Pin::new(&mut self.stream).poll_close(cx);
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.connection.reads.get() && !self.has_ended {
            match Pin::new(&mut self.stream).poll_read(cx, &mut self.input) {
                Poll::Ready(read) => match read? {
                    0 => {
                        self.has_ended = true;
                        self.hub.ended(&self.connection);
                    }
                    count => self.hub.received(&self.connection, &self.input[..count]),
                },
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

impl LogFile for DmaFile {
    async fn open_to_write(file: FileId) -> io::Result<Self> {
        let guarantees = guarantees_of(file)?.bits().cast_signed();
        let mut options = OpenOptions::new();
        let options = options.write(true).custom_flags(guarantees);
        Ok(options.dma_open(path_of(file)).await?)
    }

    async fn open_to_read(file: FileId) -> io::Result<Self> {
        Ok(DmaFile::open(path_of(file)).await?)
    }

    /// glommio writes from its own memory only: the blocks are copied.
    async fn write(&self, blocks: Box<Blocks>, offset: u64) -> (Box<Blocks>, io::Result<usize>) {
        let mut buffer = self.alloc_dma_buffer(blocks.len());
        buffer.as_bytes_mut().copy_from_slice(blocks.bytes());
        let written = self.write_at(buffer, offset).await;
        (blocks, written.map_err(as_io))
    }

    async fn sync(&self) -> io::Result<()> {
        self.fdatasync().await.map_err(as_io)
    }

    async fn read(&self, offset: u64, bytes_count: usize) -> io::Result<Vec<u8>> {
        let read = self.read_at_aligned(offset, bytes_count).await;
        read.map(|bytes| bytes.to_vec()).map_err(as_io)
    }

    async fn close(self) -> io::Result<()> {
        DmaFile::close(self).await.map_err(as_io)
    }
}

/// With the number of the system's error, which glommio keeps inside.
fn as_io(error: GlommioError<()>) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error.to_string()),
    }
}
