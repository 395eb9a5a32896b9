//! What the tail reader asks of a directory: its manifest, and segments by their number. Opening them is the driver's.

use super::{Cursor, Depth, LogTail, TailError, TailStep};
use crate::io::Errno;
use crate::wal::files::MANIFEST;
use crate::wal::manifest::Manifest;
use crate::wal::record::{Content, Entry, ErasedBody};
use crate::wal::scan::ReadAt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A directory that is read.
pub trait Source {
    /// An open segment. It stays readable when it is removed.
    type File: ReadAt;

    /// All bytes of the manifest.
    fn manifest(&self) -> impl Future<Output = Result<Vec<u8>, Errno>>;

    /// Opens the segment file of this number.
    fn segment(&self, number: u64) -> impl Future<Output = Result<Self::File, Errno>>;
}

impl<S: Source> Source for &S {
    type File = S::File;

    fn manifest(&self) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        (*self).manifest()
    }

    fn segment(&self, number: u64) -> impl Future<Output = Result<S::File, Errno>> {
        (*self).segment(number)
    }
}

/// Reads the manifest of a directory.
pub async fn read_manifest<S: Source>(source: &S) -> Result<Arc<Manifest>, TailError> {
    let unreadable = |errno| TailError::Unreadable(MANIFEST.to_owned(), errno);
    let bytes = source.manifest().await.map_err(unreadable)?;
    Manifest::decode(&bytes)
        .map(Arc::new)
        .map_err(TailError::Manifest)
}

/// All bodies that durable lists name as erased. It reads all logs; to be asked for once a body is not what it was.
pub async fn erasures<S: Source>(
    source: &S,
    manifest: &Arc<Manifest>,
) -> Result<BTreeSet<ErasedBody>, TailError> {
    let mut erased = BTreeSet::new();
    for log in &manifest.logs {
        let cursor = Cursor::beginning(log);
        let mut tail = LogTail::new(source, Arc::clone(manifest), cursor, Depth::Index);
        loop {
            match tail.next().await? {
                TailStep::Batch(batch) => {
                    for record in batch.records().flatten() {
                        if let Content::Entry(Entry::Erasure(list)) = record.content {
                            erased.extend(list.bodies());
                        }
                    }
                }
                TailStep::Missing(_) => {}
                TailStep::NotYet | TailStep::End => break,
            }
        }
    }
    Ok(erased)
}
