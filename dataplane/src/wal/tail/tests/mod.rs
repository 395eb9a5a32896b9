//! The tail reader over logs as a writer leaves them, step by step while the writer goes on, and over what starts and repairs
//! make of them.

mod changes;
mod disk;
mod following;

use super::*;
use crate::wal::batch::Batch;
use crate::wal::name::Sequence;
use crate::wal::record::Content;
use crate::wal::scan::run_ready;
use disk::Disk;
use std::sync::Arc;

/// A batch that was given: its sequence and all bytes of its bodies.
type Given = (Sequence, Vec<u8>);

fn given(batch: &Batch<'_>) -> Given {
    let mut bytes = Vec::new();
    for record in batch.records() {
        if let Content::Body(body) = record.unwrap().content {
            bytes.extend_from_slice(batch.body(&body).unwrap());
        }
    }
    (batch.header.fields.sequence, bytes)
}

/// A reader of the one log of a disk, from its beginning.
fn reader(disk: &Disk) -> LogTail<&Disk> {
    let manifest = run_ready(read_manifest(&disk)).unwrap().unwrap();
    let cursor = Cursor::beginning(&manifest.logs[0]);
    LogTail::new(disk, manifest, cursor, Depth::Whole)
}

/// What a reader says until it has nothing more to say.
#[derive(Debug, Default, PartialEq)]
struct Read {
    batches: Vec<Given>,
    missing: Vec<Missing>,
    has_ended: bool,
}

impl Read {
    fn sequences(&self) -> Vec<u64> {
        self.batches.iter().map(|it| it.0.counter()).collect()
    }
}

fn read_on(tail: &mut LogTail<&Disk>) -> Result<Read, TailError> {
    let mut read = Read::default();
    loop {
        match run_ready(tail.next()).unwrap()? {
            TailStep::Batch(batch) => read.batches.push(given(&batch)),
            TailStep::Missing(missing) => read.missing.push(missing),
            TailStep::NotYet => return Ok(read),
            TailStep::End => {
                read.has_ended = true;
                return Ok(read);
            }
        }
    }
}

/// As a reader that begins now sees a disk.
fn read_all(disk: &Disk) -> Result<Read, TailError> {
    read_on(&mut reader(disk))
}

fn name_of(disk: &Disk) -> [u8; 32] {
    let mut tail = reader(disk);
    let mut name = RangeName::new(&tail.cursor());
    while let TailStep::Batch(batch) = run_ready(tail.next()).unwrap().unwrap() {
        name.push(&batch);
    }
    name.digest()
}

fn arc<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
