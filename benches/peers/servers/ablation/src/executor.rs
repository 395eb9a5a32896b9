//! What the loop of turns needs of an executor. It names none.

use std::future::Future;
use std::io;
use std::time::Duration;

use flk_dataplane::io::FileId;
use flk_dataplane::wal::buffer::Blocks;

/// An executor of one thread.
pub(crate) trait Executor: Sized + 'static {
    /// A task; dropped, it is cancelled.
    type Task: 'static;
    /// A file of the log or of the slices.
    type File: LogFile;

    fn sleep(span: Duration) -> impl Future<Output = ()> + 'static;
}

/// A file that the keeper has open, opened again by the executor.
pub(crate) trait LogFile: Sized {
    /// To write to it, with the same guarantees as the keeper's descriptor.
    fn open_to_write(file: FileId) -> impl Future<Output = io::Result<Self>>;

    fn open_to_read(file: FileId) -> impl Future<Output = io::Result<Self>>;

    /// The blocks come back with the number of bytes written.
    fn write(
        &self,
        blocks: Box<Blocks>,
        offset: u64,
    ) -> impl Future<Output = (Box<Blocks>, io::Result<usize>)>;

    fn sync(&self) -> impl Future<Output = io::Result<()>>;

    /// So many bytes, or fewer at the end of the file.
    fn read(&self, offset: u64, bytes_count: usize) -> impl Future<Output = io::Result<Vec<u8>>>;

    fn close(self) -> impl Future<Output = io::Result<()>>;
}
