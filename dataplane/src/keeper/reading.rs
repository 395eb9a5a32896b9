//! Segment files as a reader of logs wants them.

use crate::io::Errno;
use crate::keeper::Service;
use crate::keeper::files::{File, Files, READ};
use crate::keeper::halt::Halt;
use crate::keeper::port::OpenHow;
use crate::keeper::store::ManifestStore;
use crate::wal::batch::Batch;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry};
use crate::wal::name::{LogId, Place};
use crate::wal::packed::SegmentFile;
use crate::wal::scan::{BatchAt, LogEnd, LogSource, ReadAt, read_log};
use std::cell::Cell;
use std::future::Future;

/// An open file whose length is known.
pub(crate) struct Readable {
    files: Files,
    pub(crate) file: File,
    bytes: u64,
}

impl Readable {
    /// Opens a segment the way that segments are opened, for reading.
    pub(crate) async fn segment(
        store: &ManifestStore,
        entry: &SegmentEntry,
    ) -> Result<SegmentFile<Readable>, Halt> {
        let file = Readable::numbered(store, entry.file).await?;
        Ok(SegmentFile::new(file, entry))
    }

    /// The file itself, by its number.
    pub(crate) async fn numbered(store: &ManifestStore, file: u64) -> Result<Readable, Halt> {
        let name = NumberedFile::Segment(file).to_string();
        let how = OpenHow {
            direct: store.config.direct,
            ..READ
        };
        Readable::open(&store.files, &name, how).await
    }

    /// Opens any file.
    pub(crate) async fn open(files: &Files, name: &str, how: OpenHow) -> Result<Readable, Halt> {
        let file = files.open(name, how).await?;
        match files.len(&file).await {
            Ok(bytes) => Ok(Readable {
                files: files.clone(),
                file,
                bytes,
            }),
            Err(halt) => {
                files.close(&file).await;
                Err(halt)
            }
        }
    }

    pub(crate) async fn close(self) {
        self.files.close(&self.file).await;
    }
}

impl ReadAt for Readable {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        self.files.read(&self.file, offset, bytes)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl SegmentFile<Readable> {
    pub(crate) async fn close(self) {
        self.into_file().close().await;
    }
}

/// Why reading beside serving ended early.
pub(crate) enum Interrupted {
    /// The process must end.
    End(Halt),
    /// The process was asked to end, which has a bound.
    Stopping,
}

/// Why nothing is known of a segment that was to be read beside serving.
pub(crate) enum NotRead {
    /// It could not be opened.
    Unopened(Halt),
    /// Something else came first.
    Interrupted(Interrupted),
}

impl Service {
    /// Reads the last segment of a part of a log as a start would, serving shards in between. `manifest` is one of now: another one may
    /// be put in force meanwhile, and what it states of closed segments stays as it is.
    pub(crate) async fn read_last_segment(
        &mut self,
        manifest: &Manifest,
        part: &LogEntry,
        visit: impl FnMut(&BatchAt, &Batch<'_>),
    ) -> Result<LogEnd, NotRead> {
        let from = part.segments.len() - 1;
        let readable = Readable::segment(&self.store, &part.segments[from]).await;
        let readable = readable.map_err(NotRead::Unopened)?;
        let files = [ReadWhileServing::of(&readable, self)];
        let source = LogSource {
            manifest,
            log: part,
            from,
            files: &files,
            erased: &|_: LogId, _: Place| false,
        };
        let end = read_log(&source, visit).await;
        let [file] = files;
        let interrupted = file.why_ended();
        readable.close().await;
        match interrupted {
            None => Ok(end),
            Some(interrupted) => Err(NotRead::Interrupted(interrupted)),
        }
    }
}

/// A file that is read while shards are served: between its parts segments are named and questions answered.
pub(crate) struct ReadWhileServing<'a, R> {
    readable: &'a R,
    /// Taken while it serves. Nothing else reads meanwhile.
    service: Cell<Option<&'a mut Service>>,
    interrupted: Cell<Option<Interrupted>>,
}

impl<'a, R: ReadAt> ReadWhileServing<'a, R> {
    pub(crate) fn of(readable: &'a R, service: &'a mut Service) -> ReadWhileServing<'a, R> {
        ReadWhileServing {
            readable,
            service: Cell::new(Some(service)),
            interrupted: Cell::new(None),
        }
    }

    /// Why its reading ended before it should, if it did.
    pub(crate) fn why_ended(self) -> Option<Interrupted> {
        self.interrupted.into_inner()
    }

    async fn poll_requests(&self) -> Result<(), Interrupted> {
        let Some(service) = self.service.take() else {
            unreachable!("one read at a time");
        };
        let polled = service.poll_requests().await;
        let stop = service.stop;
        self.service.set(Some(service));
        polled.map_err(Interrupted::End)?;
        match stop.is_asked() {
            true => Err(Interrupted::Stopping),
            false => Ok(()),
        }
    }
}

impl<R: ReadAt> ReadAt for ReadWhileServing<'_, R> {
    async fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        if let Err(interrupted) = self.poll_requests().await {
            // The reader of logs knows read errors only; the caller asks why before it believes this one.
            self.interrupted.set(Some(interrupted));
            return Err(Errno::EIO);
        }
        self.readable.read_at(offset, bytes).await
    }

    fn bytes(&self) -> u64 {
        self.readable.bytes()
    }
}
