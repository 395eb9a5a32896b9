//! Everything in a slice, checked: all checksums, the order of its entries, and that filters and index find each of them. It
//! reads a file of any length in bounded pieces, what a start reads first.

use super::digests::{DIGESTS_MAX, Digests};
use super::reader::Directory;
use super::view::SliceView;
use super::{Candidate, SliceError, SliceReader};
use crate::dedup::{Decided, Key, PARTITIONS};
use crate::io::{Errno, FileId};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::scan::{InMemory, ReadAt, run_ready};
use flk_contract::params::ParamsVersion;
use std::fmt;
use std::ops::Range;

/// Blocks that are read at once.
const BLOCKS_AT_ONCE: usize = 256;

/// Why a slice was not found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The file cannot be read.
    Unreadable(Errno),
    /// It is damaged, or a newer flk wrote it.
    Slice(SliceError),
}

impl From<SliceError> for Unverified {
    fn from(error: SliceError) -> Unverified {
        Unverified::Slice(error)
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unverified::Unreadable(errno) => write!(out, "cannot be read: {errno}"),
            Unverified::Slice(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Unverified {}

/// Checks everything in a slice, and shows its entries in order.
///
/// # Errors
/// The file cannot be read, or something in it is not what was written.
pub async fn verify<R: ReadAt>(
    file: &R,
    mut show: impl FnMut(Decided),
) -> Result<(SliceReader, Directory), Unverified> {
    let block = BLOCK_BYTES as u64;
    let Some(last_at) = file.bytes().checked_sub(block) else {
        return Err(SliceError::NotASlice.into());
    };
    let first = part(file, 0..block).await?;
    let last = part(file, last_at..file.bytes()).await?;
    let reader = SliceReader::open(&first, &last, file.bytes())?;
    let [partitions, params, covers] = reader.small_sections()?;
    let directory = reader.directory(&part(file, partitions).await?)?;
    let params = reader.params(&part(file, params).await?)?;
    reader.covers(&part(file, covers).await?)?;
    let stated = match reader.digests_at() {
        Some(at) => Some(reader.digests(&part(file, at).await?)?),
        None => None,
    };
    let of = Entries {
        file,
        reader: &reader,
        directory: &directory,
        params: &params,
    };
    for partition in 0..PARTITIONS {
        of.view(partition).await?;
    }
    let (mut digests, mut count) = (Digests::new(DIGESTS_MAX), 0);
    let all = of.all(|decided, version| {
        digests.add(&decided, version);
        count += 1;
        show(decided);
    });
    all.await?;
    if count != reader.trailer().entries_count {
        let what = "number of entries";
        return Err(SliceError::Inconsistent { what }.into());
    }
    if stated.is_some() && stated != digests.finish() {
        let what = "digests are not those of the entries";
        return Err(SliceError::Inconsistent { what }.into());
    }
    Ok((reader, directory))
}

/// The same for a slice that lies in memory as a whole.
pub fn verify_whole(
    bytes: &[u8],
    show: impl FnMut(Decided),
) -> Result<(SliceReader, Directory), SliceError> {
    match run_ready(verify(&InMemory(bytes), show)) {
        Some(Err(Unverified::Slice(error))) => Err(error),
        Some(Ok(verified)) => Ok(verified),
        None | Some(Err(Unverified::Unreadable(_))) => {
            unreachable!("memory is read at once, and always")
        }
    }
}

/// The entries of a slice whose small sections are right.
struct Entries<'a, R> {
    file: &'a R,
    reader: &'a SliceReader,
    directory: &'a Directory,
    params: &'a [ParamsVersion],
}

impl<R: ReadAt> Entries<'_, R> {
    /// Filter and index of a partition, as a start would read them.
    async fn view(&self, partition: u16) -> Result<SliceView, Unverified> {
        let partitions = partition..partition + 1;
        let parts = self.reader.view_parts(self.directory, partitions.clone())?;
        let index = part(self.file, parts.index).await?;
        let filters = part(self.file, parts.filters).await?;
        let params = (0..self.params.len() as u16).collect();
        let (reader, directory) = (self.reader, self.directory);
        Ok(reader.view(FileId(-1), directory, partitions, &index, &filters, params)?)
    }

    /// Shows all entries.
    async fn all(&self, mut show: impl FnMut(Decided, ParamsVersion)) -> Result<(), Unverified> {
        let blocks = self.reader.blocks();
        let at = |number: u32| u64::from(number) * BLOCK_BYTES as u64;
        let mut last_key: Option<Key> = None;
        let mut view: Option<SliceView> = None;
        for begin in blocks.clone().step_by(BLOCKS_AT_ONCE) {
            let end = blocks.end.min(begin.saturating_add(BLOCKS_AT_ONCE as u32));
            let bytes = part(self.file, at(begin)..at(end)).await?;
            for (number, bytes) in (begin..end).zip(bytes.chunks(BLOCK_BYTES)) {
                for decided in self.reader.block(number, bytes)?.entries() {
                    let partition = decided.key.partition();
                    if last_key.is_none_or(|last| last.partition() != partition) {
                        view = Some(self.view(partition).await?);
                    }
                    // Where keys share their upper half the index names the last block that may hold one.
                    let candidate = view.as_ref().map(|it| it.candidate(decided.key));
                    let found = matches!(candidate, Some(Candidate::Block(from)) if from >= number);
                    let ascends = last_key < Some(decided.key);
                    let version = self.params.get(usize::from(decided.params));
                    let Some(version) = version.filter(|_| found && ascends) else {
                        let what = "an entry is not where order, index or filter say";
                        return Err(SliceError::Inconsistent { what }.into());
                    };
                    last_key = Some(decided.key);
                    show(decided, *version);
                }
            }
        }
        Ok(())
    }
}

/// A part of a file, all of it.
pub(crate) async fn part(file: &impl ReadAt, range: Range<u64>) -> Result<Vec<u8>, Unverified> {
    let what = "length of the file";
    if range.start > range.end || range.end > file.bytes() {
        return Err(SliceError::Inconsistent { what }.into());
    }
    let bytes = (range.end - range.start) as usize;
    let read = file.read_at(range.start, bytes).await;
    let read = read.map_err(Unverified::Unreadable)?;
    match read.len() == bytes {
        true => Ok(read),
        false => Err(Unverified::Unreadable(Errno::EIO)),
    }
}
