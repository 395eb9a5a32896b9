//! A log of one file, as it is written in an afternoon: id, length, body, one record after the other, and all ids in memory. It
//! syncs before it answers where that is asked for; it never deletes, and after a failed write it takes nothing more.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Record, Seen, seen};
use crate::batcher::Batcher;

/// Before the body: the id and the length.
const HEAD_BYTES: usize = 36;
const BATCH_MAX: usize = 1024;

/// When the file is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before the answer to each record.
    Each,
    /// When the kernel sees fit.
    Never,
}

struct Log {
    file: File,
    ids: HashSet<[u8; 32]>,
    sync: Sync,
    has_failed: bool,
}

impl Log {
    fn open(directory: &Path, sync: Sync) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("records.log");
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let bytes = std::fs::read(&path)?;
        let (mut at, mut ids) = (0, HashSet::new());
        while let Some((id, end)) = record_at(&bytes, at) {
            ids.insert(id);
            at = end;
        }
        file.set_len(at as u64)?; // a record that was cut short was not answered
        file.sync_all()?;
        File::open(directory)?.sync_all()?;
        let has_failed = false;
        Ok(Self {
            file,
            ids,
            sync,
            has_failed,
        })
    }

    /// One write, and one sync for all of them.
    fn append(&mut self, records: &[Record]) -> io::Result<Vec<Seen>> {
        if self.has_failed {
            return Err(io::Error::other(
                "an earlier write failed: nobody knows what is in the file",
            ));
        }
        let mut bytes = Vec::new();
        let mut all = Vec::with_capacity(records.len());
        for record in records {
            let is_new = self.ids.insert(record.id);
            all.push(seen(is_new));
            if is_new {
                bytes.extend_from_slice(&record.id);
                bytes.extend_from_slice(&(record.body.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&record.body);
            }
        }
        if !bytes.is_empty()
            && let Err(error) = self.write(&bytes)
        {
            self.has_failed = true;
            return Err(error);
        }
        Ok(all)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        match self.sync {
            Sync::Each => self.file.sync_data(),
            Sync::Never => Ok(()),
        }
    }
}

/// The id of the record that begins there, and where it ends; none if it is not whole.
fn record_at(bytes: &[u8], at: usize) -> Option<([u8; 32], usize)> {
    let head = bytes.get(at..at + HEAD_BYTES)?;
    let id = head.first_chunk()?;
    let length = u32::from_le_bytes(*head.last_chunk()?);
    let end = at + HEAD_BYTES + usize::try_from(length).ok()?;
    (end <= bytes.len()).then_some((*id, end))
}

/// One record at a time.
pub(crate) struct Single {
    log: Arc<Mutex<Log>>,
    sync: Sync,
}

impl Single {
    pub(crate) fn open(directory: &Path, sync: Sync) -> io::Result<Self> {
        let log = Arc::new(Mutex::new(Log::open(directory, sync)?));
        Ok(Self { log, sync })
    }

    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        let mut log = self.log.clone().lock_owned().await;
        let appended = match self.sync {
            // A write into the page cache takes less time than to hand it to another thread.
            Sync::Never => log.append(&[record]),
            Sync::Each => tokio::task::spawn_blocking(move || log.append(&[record])).await?,
        };
        appended?
            .pop()
            .ok_or_else(|| io::Error::other("a record without an answer"))
    }
}

/// All that wait share a write and a sync.
pub(crate) struct Group(Batcher<Record, Seen>);

impl Group {
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let log = Arc::new(Mutex::new(Log::open(directory, Sync::Each)?));
        let commit = move |records: Vec<Record>| {
            let log = log.clone();
            async move {
                let mut log = log.lock_owned().await;
                tokio::task::spawn_blocking(move || log.append(&records)).await?
            }
        };
        Ok(Self(Batcher::start(BATCH_MAX, commit)))
    }

    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        self.0.put(record).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(id: u8) -> Record {
        let body = Bytes::from(vec![id; 10 + usize::from(id)]);
        Record { id: [id; 32], body }
    }

    #[test]
    fn a_log_knows_its_records_after_it_was_opened_again_but_no_record_cut_short() {
        let directory = std::env::temp_dir().join(format!("flk-peer-{}", std::process::id()));
        let mut log = Log::open(&directory, Sync::Each).unwrap();
        let answers = log.append(&[record(1), record(2), record(1)]).unwrap();
        assert_eq!(answers, [Seen::New, Seen::New, Seen::Before]);
        assert_eq!(
            log.append(&[record(2), record(3)]).unwrap(),
            [Seen::Before, Seen::New]
        );
        let path = directory.join("records.log");
        let whole = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(whole - 1)
            .unwrap();
        let mut log = Log::open(&directory, Sync::Never).unwrap();
        let answers = log.append(&[record(1), record(2), record(3)]).unwrap();
        assert_eq!(answers, [Seen::Before, Seen::Before, Seen::New]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
