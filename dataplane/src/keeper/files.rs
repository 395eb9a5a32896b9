//! File operations as the flows need them: whole reads, whole writes, errors with the file's name. It owns no state but
//! the names of the files that are open.

use crate::io::{Errno, FileId};
use crate::keeper::halt::Halt;
use crate::keeper::port::{FileOp, FileResult, FileValue, OpenHow, Port};
use crate::wal::buffer::BLOCK_BYTES;

/// Largest single read or write, in bytes.
pub(crate) const IO_BYTES_MAX: usize = 1 << 20;

/// `EAGAIN`: another process holds the lock.
pub(crate) const EAGAIN: Errno = Errno(11);

/// For reading only, through the page cache.
pub(crate) const READ: OpenHow = OpenHow {
    write: false,
    create: false,
    exclusive: false,
    direct: false,
    dsync: false,
    mode: 0,
};

/// For reading and writing, made if it is not there, for the owner only.
pub(crate) const READ_WRITE_CREATE: OpenHow = OpenHow {
    write: true,
    create: true,
    mode: 0o600,
    ..READ
};

/// For writing a file that must not be there yet.
pub(crate) const MAKE: OpenHow = OpenHow {
    exclusive: true,
    ..READ_WRITE_CREATE
};

/// An open file and its name.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: FileId,
    pub(crate) name: String,
    /// Offsets and lengths must be whole blocks.
    pub(crate) direct: bool,
}

/// File operations over a port.
#[derive(Clone)]
pub(crate) struct Files {
    port: Port,
}

/// The executor answered with a value of another kind than the operation has: our mistake, returned like an error.
const MISFIT: Errno = Errno(71);

fn done(result: FileResult) -> Result<(), Errno> {
    match result? {
        FileValue::Done => Ok(()),
        _ => Err(MISFIT),
    }
}

impl Files {
    pub(crate) fn new(port: Port) -> Files {
        Files { port }
    }

    async fn call(&self, op: FileOp) -> FileResult {
        self.port.file(op).await
    }

    pub(crate) async fn list(&self) -> Result<Vec<String>, Halt> {
        match self.call(FileOp::List).await {
            Ok(FileValue::Names(mut names)) => {
                names.sort();
                Ok(names)
            }
            other => Err(io("listing", ".", other)),
        }
    }

    /// Opens a file; nothing if it is not there.
    pub(crate) async fn open_if_there(
        &self,
        name: &str,
        how: OpenHow,
    ) -> Result<Option<File>, Halt> {
        let op = FileOp::Open {
            name: name.to_string(),
            how,
        };
        match self.call(op).await {
            Ok(FileValue::Opened(id)) => Ok(Some(File {
                id,
                name: name.to_string(),
                direct: how.direct,
            })),
            Err(Errno::ENOENT) => Ok(None),
            other => Err(io("opening", name, other)),
        }
    }

    pub(crate) async fn open(&self, name: &str, how: OpenHow) -> Result<File, Halt> {
        match self.open_if_there(name, how).await? {
            Some(file) => Ok(file),
            None => Err(Halt::Io {
                doing: "opening",
                file: name.to_string(),
                error: Errno::ENOENT,
            }),
        }
    }

    /// Closes a file. An error of closing adds nothing to what a sync has returned.
    pub(crate) async fn close(&self, file: &File) {
        self.close_id(file.id).await;
    }

    pub(crate) async fn close_id(&self, file: FileId) {
        let _ = self.call(FileOp::Close(file)).await;
    }

    /// Reads up to `bytes` at an offset; shorter only where the file ends.
    pub(crate) async fn read(
        &self,
        file: &File,
        offset: u64,
        bytes: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        while out.len() < bytes {
            let wanted = (bytes - out.len()).min(IO_BYTES_MAX);
            let asked = if file.direct {
                wanted.next_multiple_of(BLOCK_BYTES)
            } else {
                wanted
            };
            let op = FileOp::Read {
                file: file.id,
                offset: offset + out.len() as u64,
                bytes: asked as u32,
            };
            let mut part = match self.call(op).await? {
                FileValue::Bytes(part) => part,
                _ => return Err(MISFIT),
            };
            let at_end = part.len() < asked;
            part.truncate(wanted);
            if out.is_empty() {
                out = part;
            } else {
                out.extend_from_slice(&part);
            }
            if at_end {
                break;
            }
        }
        Ok(out)
    }

    /// Reads a small file whole.
    pub(crate) async fn read_whole(&self, file: &File) -> Result<Vec<u8>, Halt> {
        let bytes = self.len(file).await?;
        match self.read(file, 0, bytes as usize).await {
            Ok(content) => Ok(content),
            Err(error) => Err(Halt::Io {
                doing: "reading",
                file: file.name.clone(),
                error,
            }),
        }
    }

    /// Writes all the bytes. A short write is an error like any other: the file is of no use then.
    pub(crate) async fn write(&self, file: &File, offset: u64, bytes: &[u8]) -> Result<(), Halt> {
        let mut at = offset;
        for part in bytes.chunks(IO_BYTES_MAX) {
            let op = FileOp::Write {
                file: file.id,
                offset: at,
                bytes: part.to_vec(),
            };
            written_whole(file, part.len(), self.call(op).await)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Writes zeros, at most [`IO_BYTES_MAX`] of them. A short write is an error.
    pub(crate) async fn zero(&self, file: &File, offset: u64, bytes: u32) -> Result<(), Halt> {
        let op = FileOp::Zero {
            file: file.id,
            offset,
            bytes,
        };
        written_whole(file, bytes as usize, self.call(op).await)
    }

    pub(crate) async fn sync(&self, file: &File) -> Result<(), Halt> {
        done(self.call(FileOp::Sync(file.id)).await)
            .map_err(|error| io("syncing", &file.name, Err(error)))
    }

    pub(crate) async fn sync_dir(&self) -> Result<(), Halt> {
        done(self.call(FileOp::SyncDir).await).map_err(|error| io("syncing", ".", Err(error)))
    }

    pub(crate) async fn truncate(&self, file: &File, bytes: u64) -> Result<(), Halt> {
        done(self.call(FileOp::Truncate(file.id, bytes)).await)
            .map_err(|error| io("truncating", &file.name, Err(error)))
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) -> Result<(), Halt> {
        let op = FileOp::Rename {
            from: from.to_string(),
            to: to.to_string(),
        };
        done(self.call(op).await).map_err(|error| io("renaming", from, Err(error)))
    }

    /// Removes a name; that it is gone already is as good.
    pub(crate) async fn unlink(&self, name: &str) -> Result<(), Halt> {
        match done(self.call(FileOp::Unlink(name.to_string())).await) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(io("removing", name, Err(error))),
        }
    }

    async fn number(&self, op: FileOp, doing: &'static str, file: &File) -> Result<u64, Halt> {
        match self.call(op).await {
            Ok(FileValue::Number(number)) => Ok(number),
            other => Err(io(doing, &file.name, other)),
        }
    }

    pub(crate) async fn len(&self, file: &File) -> Result<u64, Halt> {
        self.number(FileOp::Len(file.id), "measuring", file).await
    }

    pub(crate) async fn links(&self, file: &File) -> Result<u64, Halt> {
        self.number(FileOp::Links(file.id), "measuring", file).await
    }

    /// Takes the exclusive lock; false if another process holds one.
    pub(crate) async fn lock(&self, file: &File) -> Result<bool, Halt> {
        match done(self.call(FileOp::LockExclusive(file.id)).await) {
            Ok(()) => Ok(true),
            // POSIX allows either for a lock held by another.
            Err(EAGAIN | Errno(13)) => Ok(false),
            Err(error) => Err(io("locking", &file.name, Err(error))),
        }
    }

    /// Size and free bytes of the file system.
    pub(crate) async fn space(&self) -> Result<(u64, u64), Halt> {
        match self.call(FileOp::Space).await {
            Ok(FileValue::Space {
                total_bytes,
                free_bytes,
            }) => Ok((total_bytes, free_bytes)),
            other => Err(io("measuring", "the file system", other)),
        }
    }

    pub(crate) async fn random<const N: usize>(&self) -> Result<[u8; N], Halt> {
        match self.call(FileOp::Random(N as u32)).await {
            Ok(FileValue::Bytes(bytes)) if bytes.len() == N => {
                let mut out = [0; N];
                out.copy_from_slice(&bytes);
                Ok(out)
            }
            other => Err(io("drawing random bytes for", "a new file", other)),
        }
    }
}

/// A write must take all the bytes.
fn written_whole(file: &File, bytes: usize, result: FileResult) -> Result<(), Halt> {
    match result {
        Ok(FileValue::Written(count)) if count as usize == bytes => Ok(()),
        Ok(FileValue::Written(_)) => Err(io("writing", &file.name, Err(Errno::ENOSPC))),
        other => Err(io("writing", &file.name, other)),
    }
}

/// The error of an operation as the end of the process.
fn io(doing: &'static str, file: &str, result: FileResult) -> Halt {
    Halt::Io {
        doing,
        file: file.to_string(),
        error: result.err().unwrap_or(MISFIT),
    }
}
