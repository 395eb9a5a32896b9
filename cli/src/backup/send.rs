//! Files of the directory as objects. What is in the place already is not sent again, and what the newest backup has of a file is
//! not even read again.

use super::directory::{Ended, Source, ready};
use super::index::{FileKept, Holds, Index, Part, SegmentKept, SliceKept, sha256 as sha256_of};
use super::names;
use super::store::{Objects, Put, StoreError};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::wal::show::hex;
use flk_dataplane::dedup::slice::{Unverified, verify};
use flk_dataplane::io::Errno;
use flk_dataplane::wal::copy::content_of;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, Manifest, SliceEntry};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::scan::{LogVerdict, ReadAt};
use std::collections::BTreeMap;

/// Bytes of an object at most: what is held in memory at a time.
const PART_BYTES: usize = 64 << 20;

/// What was sent, and what was not necessary to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) bytes: u64,
    pub(super) objects: u64,
    /// Bytes that were in the place already.
    pub(super) there_bytes: u64,
}

/// The place that a backup goes to.
pub(super) struct Target<'a> {
    objects: &'a dyn Objects,
    /// The objects that are there, with their lengths.
    there: BTreeMap<String, u64>,
    /// The files of the newest backup and of this one, by their names.
    before: BTreeMap<String, FileKept>,
    pub(super) sent: Sent,
    progress: Progress,
}

impl<'a> Target<'a> {
    pub(super) fn new(
        objects: &'a dyn Objects,
        there: BTreeMap<String, u64>,
        newest: Option<Index>,
    ) -> Self {
        let files = newest.map(|it| it.files).unwrap_or_default();
        Self {
            objects,
            there,
            before: files.into_iter().map(|it| (it.name.clone(), it)).collect(),
            sent: Sent::default(),
            progress: Progress::every_minute(),
        }
    }

    /// The number of the next backup of an incarnation.
    pub(super) fn next_number(&self, incarnation: &str) -> u64 {
        let numbers = self.there.keys().filter_map(|it| names::read_index(it));
        let own = numbers.filter(|(of, _)| *of == incarnation);
        own.map(|(_, number)| number + 1).max().unwrap_or(1)
    }

    /// Makes an object that is one as a whole.
    pub(super) fn whole(
        &mut self,
        incarnation: &str,
        what: &str,
        bytes: Vec<u8>,
    ) -> Result<Part, Failure> {
        let sum = sha256_of(&bytes);
        self.put(names::whole(incarnation, what, &sum), sum, bytes)
    }

    /// Makes an object unless one of that name is there: then it holds the same.
    fn put(&mut self, object: String, sha256: String, bytes: Vec<u8>) -> Result<Part, Failure> {
        let length = bytes.len() as u64;
        match self.there.get(&object) {
            Some(&there) if there == length => self.sent.there_bytes += length,
            Some(&there) => return Err(other_length(&object, there, length)),
            None => {
                match self.objects.put_new(&object, bytes)? {
                    Put::Made => {
                        self.sent.bytes += length;
                        self.sent.objects += 1;
                    }
                    Put::Exists if sha256_of(&self.found(&object)?) == sha256 => {
                        self.sent.there_bytes += length;
                    }
                    Put::Exists => return Err(other_content(&object)),
                }
                self.there.insert(object.clone(), length);
            }
        }
        let sent = self.sent;
        self.progress.tick(|_| {
            let mib = |bytes: u64| bytes >> 20;
            format!(
                "{} MiB sent, {} MiB were there already",
                mib(sent.bytes),
                mib(sent.there_bytes)
            )
        });
        Ok(Part {
            object,
            bytes: length,
            sha256,
        })
    }

    /// Makes the index, which makes the backup be there; false if another backup has its number.
    pub(super) fn index(&mut self, index: &Index) -> Result<bool, Failure> {
        self.progress.clear();
        let (object, bytes) = (index.object(), index.encode()?);
        match self.objects.put_new(&object, bytes.clone())? {
            Put::Made => Ok(true),
            // A request may have been repeated whose answer was lost.
            Put::Exists => Ok(self.found(&object)? == bytes),
        }
    }

    /// What is in an object that the store says is there. It says so as well while another request makes one or removes it (409), and
    /// then there may be none.
    fn found(&self, object: &str) -> Result<Vec<u8>, Failure> {
        self.objects.get(object).map_err(|error| match error {
            StoreError::Missing(_) => Failure::unavailable(format!(
                "the object {object} was said to be there, and is not: something else changes the place; try again"
            )),
            error => error.into(),
        })
    }

    /// What the newest backup has of a file, if it is the same and all of it is there.
    fn kept(&mut self, name: &str, is_same: impl Fn(&FileKept) -> bool) -> Option<FileKept> {
        let file = self.before.get(name).filter(|it| is_same(it))?;
        let is_there = |part: &Part| self.there.get(&part.object) == Some(&part.bytes);
        if !file.parts.iter().all(is_there) {
            return None;
        }
        self.sent.there_bytes += file.bytes;
        Some(file.clone())
    }

    /// A segment of the manifest of the copy.
    pub(super) fn segment(
        &mut self,
        source: &Source,
        copy: &Manifest,
        log: &LogEntry,
        at: usize,
    ) -> Result<FileKept, Ended> {
        let entry = &log.segments[at];
        let name = NumberedFile::Segment(entry.file).to_string();
        let (Some(extent), Some(bytes)) = (entry.state.extent(), entry.state.file_bytes()) else {
            unreachable!("in a copy all segments are closed")
        };
        let is_same = |it: &FileKept| match &it.holds {
            Holds::Segment(kept) => it.bytes == bytes && kept.is(entry.salt, extent),
            _ => false,
        };
        if let Some(kept) = self.kept(&name, is_same) {
            return Ok(kept);
        }
        let file = SegmentFile::new(source.open_file(&name)?, entry);
        let content = ready(content_of(copy, log, at, &file));
        let content = content.map_err(|verdict| unsound(&name, &verdict))?;
        let (incarnation, digest) = (hex(&log.incarnation), hex(&content.digest));
        let of = names::segment(&incarnation, log, entry.ordinal, extent, &digest);
        let holds = Holds::Segment(SegmentKept::new(log.id, entry, extent, &content));
        self.file(name, file.file(), bytes, &of, holds)
    }

    /// A slice of the manifest of the copy.
    pub(super) fn slice(
        &mut self,
        source: &Source,
        copy: &Manifest,
        slice: &SliceEntry,
    ) -> Result<FileKept, Ended> {
        let name = NumberedFile::Slice(slice.file).to_string();
        let holds = SliceKept::new(slice);
        let is_same = |it: &FileKept| match &it.holds {
            Holds::Slice(kept) => it.bytes == slice.bytes && *kept == holds,
            _ => false,
        };
        if let Some(kept) = self.kept(&name, is_same) {
            return Ok(kept);
        }
        let file = source.open_file(&name)?;
        ready(verify(&file, |_| {})).map_err(|error| unsound_slice(&name, &error))?;
        let of = names::slice(&hex(&copy.incarnation), slice);
        self.file(name, &file, slice.bytes, &of, Holds::Slice(holds))
    }

    /// The first bytes of a file, in parts.
    fn file<R: ReadAt>(
        &mut self,
        name: String,
        file: &R,
        bytes: u64,
        of: &str,
        holds: Holds,
    ) -> Result<FileKept, Ended> {
        let mut parts = Vec::new();
        let mut offset = 0;
        while offset < bytes {
            let wanted =
                usize::try_from(bytes - offset).map_or(PART_BYTES, |it| it.min(PART_BYTES));
            let read = ready(file.read_at(offset, wanted));
            let part = read.map_err(|errno| unreadable(&name, errno))?;
            if part.len() != wanted {
                return Err(Ended::Changed);
            }
            let sum = sha256_of(&part);
            let object = names::part(of, parts.len(), &sum);
            parts.push(self.put(object, sum, part)?);
            offset += wanted as u64;
        }
        let kept = FileKept {
            name,
            bytes,
            parts,
            holds,
        };
        // Should the backup begin again, the file is not read again.
        self.before.insert(kept.name.clone(), kept.clone());
        Ok(kept)
    }
}

fn other_length(object: &str, there: u64, length: u64) -> Failure {
    Failure::with(
        Exit::Damage,
        format!(
            "the object {object} has {there} bytes and should have {length}: what is in that place was changed; remove the object and back up again, or begin with an empty place"
        ),
    )
}

fn other_content(object: &str) -> Failure {
    Failure::with(
        Exit::Damage,
        format!("the object {object} is there with other content: remove it, and back up again"),
    )
}

fn unreadable(name: &str, errno: Errno) -> Failure {
    let why = crate::fault::why_number(errno);
    Failure::with(Exit::File, format!("cannot read {name}: {why}"))
}

fn unsound(name: &str, verdict: &LogVerdict) -> Failure {
    let hint = "; a backup has only what is whole: flk wal quarantine gives up what is not";
    Failure::with(
        Exit::of_unsound(verdict),
        format!("{name}: {verdict}{hint}"),
    )
}

fn unsound_slice(name: &str, error: &Unverified) -> Failure {
    Failure::with(
        Exit::of_unverified(error),
        format!("{name}: {error}; a backup has only what is whole"),
    )
}
