//! The stream of a connection: it tells what its client takes, and ends where the client takes nothing for too long. It knows
//! nothing of what is sent.

use super::silence::Silence;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// See the module.
pub(super) struct Watched {
    stream: TokioIo<TcpStream>,
    silence: Silence,
    /// How long a client may take nothing while something is to be sent.
    take_max: Duration,
    /// Ends a write that waits.
    waits: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, silence: Silence, take_max: Duration) -> Watched {
        Watched {
            stream: TokioIo::new(stream),
            silence,
            take_max,
            waits: None,
        }
    }

    fn note(
        &mut self,
        written: Poll<Result<usize, Error>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, Error>> {
        match written {
            Poll::Ready(written) => {
                self.waits = None;
                if matches!(written, Ok(1..)) {
                    self.silence.interrupt();
                }
                Poll::Ready(written)
            }
            Poll::Pending => {
                let take_max = self.take_max;
                let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(take_max)));
                let is_over = waits.as_mut().poll(context);
                is_over.map(|()| Err(ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.note(written, context)
    }
}
