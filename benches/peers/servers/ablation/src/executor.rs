//! What the loop of turns needs of an executor, and what a shard can be run under. It names no type of an executor.

use std::future::Future;
use std::io;
use std::time::Duration;

use flk_dataplane::driver::probe::DriverKind;
use flk_dataplane::driver::{DriverError, Ended, Machine, ShardDriver, ShardSetup};
use flk_dataplane::io::FileId;
use flk_dataplane::wal::buffer::Blocks;

use crate::{under_compio, under_glommio};

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

/// What runs the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// One of the gateway's own drivers.
    Own(DriverKind),
    Glommio,
    Compio,
}

impl Under {
    const ALL: [Self; 4] = [
        Self::Own(DriverKind::Uring),
        Self::Own(DriverKind::Portable),
        Self::Glommio,
        Self::Compio,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Own(DriverKind::Uring) => "uring",
            Self::Own(DriverKind::Portable) => "portable",
            Self::Glommio => "glommio",
            Self::Compio => "compio",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

impl ShardDriver for Under {
    fn run<M: Machine + 'static>(
        self,
        setup: ShardSetup,
        machine: M,
    ) -> Result<Ended, DriverError> {
        let ended = match self {
            Self::Own(driver) => return driver.run(setup, machine),
            Self::Glommio => under_glommio::run(setup, machine),
            Self::Compio => under_compio::run(setup, machine),
        };
        ended.map_err(|error| DriverError {
            doing: "start an executor (does this host allow io_uring, and enough lockable memory?)",
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_and_no_other_one() {
        for under in Under::ALL {
            assert_eq!(Under::named(under.name()), Some(under));
        }
        assert_eq!(Under::named("tokio"), None);
    }
}
