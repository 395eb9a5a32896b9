//! The task that carries out a shard's file operations, one after the other, as the thread of the portable driver does. It owns the
//! executor's handle of the segment that is written. It never retries, and reports a short write without judging it.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use flk_dataplane::event::Event;
use flk_dataplane::io::{Errno, FileId};
use flk_dataplane::wal::buffer::{BLOCK_BYTES, Blocks};
use rustix::fs::OFlags;

use crate::executor::{Executor, LogFile};
use crate::hub::{Hub, Job};

/// A segment that was written last. A roll goes to another one, which the keeper opened before it closes this one: a descriptor of
/// the same number is always the same file.
struct Segment<F> {
    id: FileId,
    file: F,
}

/// Runs until it is dropped.
pub(crate) async fn carry_out<E: Executor>(hub: Rc<Hub<E::Task>>) {
    let mut segment: Option<Segment<E::File>> = None;
    loop {
        hub.has_jobs.wait().await;
        while let Some(job) = hub.next_job() {
            match job {
                Job::Write(id, offset, blocks) => {
                    let (blocks, written) = write(&mut segment, id, offset, blocks).await;
                    hub.report(Event::Written(blocks, written.map_err(errno)));
                }
                Job::Sync(id) => {
                    let synced = sync(&mut segment, id).await;
                    hub.report(Event::Synced(synced.map_err(errno)));
                }
                Job::Read(id, file, offset) => {
                    let read = read::<E::File>(file, offset).await;
                    hub.read_done(id, read.map_err(errno));
                }
            }
        }
    }
}

async fn write<F: LogFile>(
    segment: &mut Option<Segment<F>>,
    id: FileId,
    offset: u64,
    blocks: Box<Blocks>,
) -> (Box<Blocks>, io::Result<u32>) {
    match open(segment, id).await {
        Ok(file) => {
            let (blocks, written) = file.write(blocks, offset).await;
            (blocks, written.map(|bytes| bytes as u32))
        }
        Err(error) => (blocks, Err(error)),
    }
}

async fn sync<F: LogFile>(segment: &mut Option<Segment<F>>, id: FileId) -> io::Result<()> {
    open(segment, id).await?.sync().await
}

async fn read<F: LogFile>(id: FileId, offset: u64) -> io::Result<Vec<u8>> {
    let file = F::open_to_read(id).await?;
    let read = file.read(offset, BLOCK_BYTES).await;
    file.close().await?;
    // A file that is shorter than its table of contents says.
    read.and_then(|block| match block.len() {
        BLOCK_BYTES => Ok(block),
        _ => Err(io::Error::from_raw_os_error(Errno::EIO.0)),
    })
}

/// The handle of this segment.
async fn open<F: LogFile>(segment: &mut Option<Segment<F>>, id: FileId) -> io::Result<&F> {
    if let Some(other) = segment.take_if(|it| it.id != id) {
        other.file.close().await?;
    }
    let opened = match segment.take() {
        Some(opened) => opened,
        None => Segment {
            id,
            file: F::open_to_write(id).await?,
        },
    };
    Ok(&segment.insert(opened).file)
}

/// The file behind a descriptor of this process.
pub(crate) fn path_of(file: FileId) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.0))
}

/// Whether writes to a descriptor of this process bypass the page cache, and whether they are durable when they end.
pub(crate) fn guarantees_of(file: FileId) -> io::Result<OFlags> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.0))?;
    flags_in(&text)
        .map(|flags| flags & (OFlags::DIRECT | OFlags::DSYNC))
        .ok_or_else(|| io::Error::other("the kernel does not say how a descriptor was opened"))
}

fn flags_in(text: &str) -> Option<OFlags> {
    let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let bits = u32::from_str_radix(line.trim(), 8).ok()?;
    Some(OFlags::from_bits_retain(bits))
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn how_a_descriptor_writes_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment");
        for wanted in [OFlags::empty(), OFlags::DSYNC] {
            let flags = OFlags::RDWR | OFlags::CREATE | wanted;
            let file = rustix::fs::open(&path, flags, rustix::fs::Mode::RWXU).unwrap();
            let id = FileId(file.as_raw_fd());
            assert_eq!(guarantees_of(id).unwrap(), wanted);
            assert_eq!(std::fs::read_link(path_of(id)).unwrap(), path);
        }
        assert_eq!(flags_in("pos:\t0\nflags:\there\n"), None);
    }
}
