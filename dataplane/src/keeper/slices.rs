//! Slices as the keeper reads them: opened and checked against the manifest, cut into views for shards, read block by block
//! and streamed in key order. It never writes one.

use crate::dedup::order::order;
use crate::dedup::slice::reader::Directory;
use crate::dedup::slice::{self, SliceError, SliceReader, SliceView};
use crate::dedup::{Decided, Key};
use crate::keeper::extract::Dictionary;
use crate::keeper::files::{Files, IO_BYTES_MAX, READ};
use crate::keeper::halt::Halt;
use crate::keeper::partition;
use crate::keeper::reading::Readable;
use crate::keeper::slice_file::{SliceFile, SliceRefused};
use crate::keeper::store::ManifestStore;
use crate::wal::Epoch;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::SliceEntry;
use crate::wal::scan::ReadAt;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Entry blocks read at once when a slice is streamed.
const STREAM_BLOCKS: u32 = 64;

/// An open slice whose frame and directory are right.
pub(crate) struct Slice {
    pub(crate) number: u64,
    pub(crate) readable: Readable,
    reader: SliceReader,
    directory: Directory,
    /// The process's number of each params version of the slice.
    params: Vec<u16>,
    /// What stays in memory of the slice once its views are read: the directory here, filters and indexes of all shards.
    pub(crate) memory_bytes: u64,
}

impl Slice {
    /// Opens a slice that the manifest names.
    pub(crate) async fn open(
        store: &ManifestStore,
        entry: &SliceEntry,
        dictionary: &mut Dictionary,
    ) -> Result<Slice, Halt> {
        let name = NumberedFile::Slice(entry.file).to_string();
        let readable = Readable::open(&store.files, &name, READ).await?;
        match Slice::read(store, entry, dictionary, &name, &readable).await {
            Ok((reader, directory, params)) => {
                let mut slice = Slice {
                    number: entry.file,
                    memory_bytes: directory.memory_bytes(),
                    readable,
                    reader,
                    directory,
                    params,
                };
                match slice.views_bytes(store) {
                    Ok(bytes) => slice.memory_bytes += bytes,
                    Err(halt) => {
                        slice.readable.close().await;
                        return Err(halt);
                    }
                }
                Ok(slice)
            }
            Err(halt) => {
                readable.close().await;
                Err(halt)
            }
        }
    }

    /// What the views of all shards take.
    fn views_bytes(&self, store: &ManifestStore) -> Result<u64, Halt> {
        let views = partition::ranges(store.config.shards)
            .into_iter()
            .map(|partitions| {
                let params_count = self.params.len();
                self.reader
                    .view_bytes(&self.directory, partitions, params_count)
            });
        views
            .sum::<Result<u64, SliceError>>()
            .map_err(|fault| self.damage(&fault))
    }

    /// The views of all shards are as large as was counted before they were read.
    pub(crate) fn assert_counted(&self, views: &[SliceView]) {
        let bytes: u64 = views.iter().map(SliceView::memory_bytes).sum();
        assert_eq!(self.memory_bytes, self.directory.memory_bytes() + bytes);
    }

    /// Reads and checks frame and directory, and gives its params versions their numbers.
    async fn read(
        store: &ManifestStore,
        entry: &SliceEntry,
        dictionary: &mut Dictionary,
        name: &str,
        readable: &Readable,
    ) -> Result<(SliceReader, Directory, Vec<u16>), Halt> {
        let read = SliceFile::read(readable, &store.manifest, entry).await;
        let SliceFile {
            reader,
            directory,
            versions,
        } = read.map_err(|refused| halt(name, refused))?;
        let numbers = versions.iter().map(|it| dictionary.number(it.as_str()));
        let params = numbers
            .collect::<Option<Vec<u16>>>()
            .ok_or_else(|| damage(name, "too many params versions"))?;
        Ok((reader, directory, params))
    }

    pub(crate) fn damage(&self, fault: &SliceError) -> Halt {
        refused(&self.readable.file.name, fault)
    }

    fn inconsistent(&self, what: &'static str) -> Halt {
        self.damage(&SliceError::Inconsistent { what })
    }

    /// Visits the entries of some blocks, each checked, with its params version as this process numbers it. `last` is the
    /// key of the entry before.
    fn visit(
        &self,
        blocks: Range<u32>,
        bytes: &[u8],
        last: &mut Option<Key>,
        mut visit: impl FnMut(Decided),
    ) -> Result<(), Halt> {
        for (number, block) in blocks.zip(bytes.chunks(BLOCK_BYTES)) {
            let block = self.reader.block(number, block);
            for mut decided in block.map_err(|fault| self.damage(&fault))?.entries() {
                let params = self.params.get(usize::from(decided.params));
                decided.params = *params
                    .ok_or_else(|| self.inconsistent("an entry names an unknown params version"))?;
                if let Some((part, number)) = decided.unknown_part() {
                    return Err(self.damage(&SliceError::UnknownPart { part, number }));
                }
                if last.replace(decided.key) > Some(decided.key) {
                    return Err(self.inconsistent("entries out of order"));
                }
                decided.epoch = Epoch::earlier_runs();
                visit(decided);
            }
        }
        Ok(())
    }

    /// The bytes of some entry blocks.
    pub(crate) async fn blocks(&self, blocks: Range<u32>) -> Result<Vec<u8>, Halt> {
        let at = |block: u32| u64::from(block) * BLOCK_BYTES as u64;
        let range = at(blocks.start)..at(blocks.end);
        part(&self.readable, &self.readable.file.name, range).await
    }

    /// Reads the view of some partitions through this reader of its file.
    pub(crate) async fn read_view(
        &self,
        file: &impl ReadAt,
        partitions: Range<u16>,
    ) -> Result<SliceView, Halt> {
        let name = &self.readable.file.name;
        let damage = |fault: SliceError| self.damage(&fault);
        let parts = self.reader.view_parts(&self.directory, partitions.clone());
        let parts = parts.map_err(damage)?;
        let index = whole(file, name, parts.index).await?;
        let filters = whole(file, name, parts.filters).await?;
        let view = self.reader.view(
            self.readable.file.id,
            &self.directory,
            partitions,
            &index,
            &filters,
            self.params.clone(),
        );
        view.map_err(damage)
    }

    /// Closes the file of a slice that is not used.
    pub(crate) async fn close(&self, files: &Files) {
        files.close(&self.readable.file).await;
    }
}

/// The end of the process that the fault of a slice means: what a newer flk wrote is not damaged.
fn refused(name: &str, fault: &SliceError) -> Halt {
    match fault.is_newer() {
        true => Halt::Refused(format!("{name}: {fault}")),
        false => damage(name, &fault.to_string()),
    }
}

/// The end of the process that a slice means which cannot be looked into.
fn halt(name: &str, why: SliceRefused) -> Halt {
    match why {
        SliceRefused::Unreadable(error) => Halt::Io {
            doing: "reading",
            file: name.to_string(),
            error,
        },
        SliceRefused::Short => damage(name, "it is shorter than a block"),
        SliceRefused::Wrong(fault) => refused(name, &fault),
        SliceRefused::NotAsNamed => damage(name, "it is not the slice that the manifest names"),
    }
}

fn damage(name: &str, what: &str) -> Halt {
    Halt::Damage {
        file: name.to_string(),
        what: what.to_string(),
    }
}

/// Bytes of a file that must be there.
async fn part(file: &impl ReadAt, name: &str, range: Range<u64>) -> Result<Vec<u8>, Halt> {
    let read = slice::part(file, range).await;
    read.map_err(|why| halt(name, why.into()))
}

/// The same of any length, in pieces, so that others get their turn in between.
async fn whole(file: &impl ReadAt, name: &str, range: Range<u64>) -> Result<Vec<u8>, Halt> {
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
    for from in range.clone().step_by(IO_BYTES_MAX) {
        let until = range.end.min(from + IO_BYTES_MAX as u64);
        bytes.extend_from_slice(&part(file, name, from..until).await?);
    }
    Ok(bytes)
}

/// Opens all slices that the manifest names. Of each it reads what says where everything lies.
pub(crate) async fn open_all(
    store: &ManifestStore,
    dictionary: &mut Dictionary,
) -> Result<Vec<Slice>, Halt> {
    let mut slices = Vec::new();
    for entry in &store.manifest.slices {
        slices.push(Slice::open(store, entry, dictionary).await?);
    }
    Ok(slices)
}

/// A slice that is read in order.
struct Cursor {
    slice: Rc<Slice>,
    next_block: u32,
    /// Key of the entry read last.
    last: Option<Key>,
    entries: VecDeque<Decided>,
}

impl Cursor {
    async fn next(&mut self) -> Result<Option<Decided>, Halt> {
        if self.entries.is_empty() {
            self.read_on().await?;
        }
        Ok(self.entries.pop_front())
    }

    async fn read_on(&mut self) -> Result<(), Halt> {
        let slice = self.slice.clone();
        let end = slice.reader.blocks().end;
        let until = end.min(self.next_block + STREAM_BLOCKS);
        if self.next_block >= until {
            return Ok(());
        }
        let blocks = self.next_block..until;
        let bytes = slice.blocks(blocks.clone()).await?;
        slice.visit(blocks, &bytes, &mut self.last, |decided| {
            self.entries.push_back(decided);
        })?;
        self.next_block = until;
        Ok(())
    }
}

/// Slices and sorted decisions from logs, merged in the order of the replay. It holds a few blocks of each slice.
pub(crate) struct Merge {
    cursors: Vec<Cursor>,
    heads: Vec<Option<Decided>>,
    logs: std::iter::Peekable<std::vec::IntoIter<Decided>>,
}

impl Merge {
    /// Over these slices and decisions.
    pub(crate) async fn of(
        slices: &[Rc<Slice>],
        mut from_logs: Vec<Decided>,
    ) -> Result<Merge, Halt> {
        from_logs.sort_unstable_by_key(order);
        let mut merge = Merge {
            cursors: Vec::new(),
            heads: Vec::new(),
            logs: from_logs.into_iter().peekable(),
        };
        for slice in slices {
            let mut cursor = Cursor {
                slice: slice.clone(),
                next_block: slice.reader.blocks().start,
                last: None,
                entries: VecDeque::new(),
            };
            merge.heads.push(cursor.next().await?);
            merge.cursors.push(cursor);
        }
        Ok(merge)
    }

    /// The next decision.
    pub(crate) async fn next(&mut self) -> Result<Option<Decided>, Halt> {
        let heads = self.heads.iter().enumerate();
        let least = heads
            .filter_map(|(index, head)| head.as_ref().map(|head| (order(head), index)))
            .min();
        let from_logs = self.logs.peek().map(order);
        match (least, from_logs) {
            (Some((head, index)), log) if log.is_none_or(|log| head <= log) => {
                let next = self.cursors[index].next().await?;
                Ok(std::mem::replace(&mut self.heads[index], next))
            }
            _ => Ok(self.logs.next()),
        }
    }
}
