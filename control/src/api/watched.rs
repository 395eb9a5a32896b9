//! The stream of a connection: it tells what its client takes, and ends where the client takes nothing for too long, or has not
//! taken all that there is for longer. It knows nothing of what is sent.

use super::bounds::Bounds;
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
    bounds: Bounds,
    /// Ends a write that waits.
    waits: Option<Pin<Box<Sleep>>>,
    /// Ends writes that do not come to the end of what there is: a client that takes a byte now and then holds memory that others
    /// wait for.
    is_behind: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, silence: Silence, bounds: Bounds) -> Watched {
        Watched {
            stream: TokioIo::new(stream),
            silence,
            bounds,
            waits: None,
            is_behind: None,
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
                let Bounds {
                    take_max,
                    behind_max,
                    ..
                } = self.bounds;
                let is_over = is_over(&mut self.waits, take_max, context)
                    || is_over(&mut self.is_behind, behind_max, context);
                match is_over {
                    true => Poll::Ready(Err(ErrorKind::TimedOut.into())),
                    false => Poll::Pending,
                }
            }
        }
    }
}

/// Whether a time is over that begins with the first question.
fn is_over(
    timer: &mut Option<Pin<Box<Sleep>>>,
    lasts: Duration,
    context: &mut Context<'_>,
) -> bool {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(lasts)));
    timer.as_mut().poll(context).is_ready()
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
        // All that there is has been written.
        self.is_behind = None;
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
