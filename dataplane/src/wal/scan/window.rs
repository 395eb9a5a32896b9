//! Reading a file forward in bounded chunks. It holds one chunk. What lies behind the end of the file is `None`; a read error is
//! an error and never taken for the end.

use crate::io::Errno;
use std::future::Future;

/// A file as a reader of logs wants it. Offsets and lengths that are asked for are multiples of 4 KiB, except that a
/// read may be cut short by the end of the file.
pub trait ReadAt {
    /// Up to `bytes` bytes from `offset`; fewer only where the file ends.
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>>;
    /// Length of the file.
    fn bytes(&self) -> u64;
}

/// How much is read at once, unless a batch is larger. Reading never asks for more than the largest batch.
pub const CHUNK_BYTES: usize = 1 << 20;

impl<R: ReadAt> ReadAt for &R {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        (*self).read_at(offset, bytes)
    }

    fn bytes(&self) -> u64 {
        (*self).bytes()
    }
}

/// One chunk of a file.
pub(in crate::wal) struct Window<R> {
    file: R,
    start: u64,
    chunk: Vec<u8>,
}

impl<R: ReadAt> Window<R> {
    /// Nothing is read yet.
    pub(in crate::wal) fn new(file: R) -> Window<R> {
        Window {
            file,
            start: 0,
            chunk: Vec::new(),
        }
    }

    /// Length of the file.
    pub(in crate::wal) fn file_bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Reads the file anew from here on: it may have been written to since.
    pub(in crate::wal) fn forget(&mut self) {
        self.chunk.clear();
    }

    /// What was read of that range last.
    pub(in crate::wal) fn kept(&self, offset: u64, bytes: usize) -> Option<&[u8]> {
        self.chunk.get(self.range(offset, bytes)?)
    }

    /// `bytes` bytes from `offset`, or nothing if the file ends before.
    pub(in crate::wal) async fn get(
        &mut self,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<&[u8]>, Errno> {
        let Some(left) = self.file.bytes().checked_sub(offset) else {
            return Ok(None);
        };
        if left < bytes as u64 {
            return Ok(None);
        }
        if self.range(offset, bytes).is_none() {
            let wanted = bytes.max(CHUNK_BYTES);
            let wanted = usize::try_from(left).map_or(wanted, |left| left.min(wanted));
            self.chunk = self.file.read_at(offset, wanted).await?;
            self.start = offset;
        }
        Ok(self.kept(offset, bytes))
    }

    /// Where that range lies within the chunk, if it does.
    fn range(&self, offset: u64, bytes: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(bytes)?;
        (end <= self.chunk.len()).then_some(start..end)
    }
}

/// A file that is in memory.
#[derive(Clone, Copy, Debug)]
pub struct InMemory<'a>(pub &'a [u8]);

impl ReadAt for InMemory<'_> {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        let start = usize::try_from(offset).map_or(self.0.len(), |start| start.min(self.0.len()));
        let end = start.saturating_add(bytes).min(self.0.len());
        std::future::ready(Ok(self.0[start..end].to_vec()))
    }

    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Runs a future that never waits, as reading from memory or from a plain file does. `None`: it did wait.
pub fn run_ready<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
