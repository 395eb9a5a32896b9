//! Files of a backup, read from its place. Each object is compared with the length and the SHA-256 that the index states before a byte
//! of it is used.

use crate::backup::index::{FileKept, Index, Part, sha256};
use crate::backup::store::Objects;
use crate::exit::{Exit, Failure};
use flk_dataplane::io::Errno;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{Manifest, SegmentEntry};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::scan::ReadAt;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A backup in its place.
pub(super) struct Backup<'a> {
    pub(super) objects: &'a dyn Objects,
    pub(super) index: Index,
    /// The manifest of the copy.
    pub(super) manifest: Manifest,
    /// Where each file stands in the index, by its name: there may be a hundred thousand.
    files: HashMap<String, usize>,
    /// What the manifest states of each segment, by the number of its file.
    segments: HashMap<u64, SegmentEntry>,
}

impl<'a> Backup<'a> {
    pub(super) fn new(objects: &'a dyn Objects, index: Index, manifest: Manifest) -> Self {
        // Of two files of a name the first one counts.
        let files = index.files.iter().enumerate().rev();
        let segments = manifest.segments();
        Self {
            objects,
            files: files.map(|(at, it)| (it.name.clone(), at)).collect(),
            segments: segments.map(|(_, it)| (it.file, *it)).collect(),
            index,
            manifest,
        }
    }

    pub(super) fn read(objects: &'a dyn Objects, index: Index) -> Result<Self, Failure> {
        let part = &index.manifest;
        let bytes = fetch(objects, part)?;
        let manifest = Manifest::decode(&bytes).map_err(|fault| {
            let exit = match fault.is_newer() {
                true => Exit::Configuration,
                false => Exit::Damage,
            };
            Failure::with(exit, format!("the object {}: {fault}", part.object))
        })?;
        Ok(Self::new(objects, index, manifest))
    }

    /// A file that its manifest names.
    pub(super) fn named(&self, name: &str) -> Result<&FileKept, Failure> {
        let file = self.files.get(name).map(|at| &self.index.files[*at]);
        file.ok_or_else(|| {
            let index = self.index.object();
            let text = format!("the index {index} has no {name}, and its manifest names it");
            Failure::with(Exit::Damage, text)
        })
    }

    /// What its manifest states of a segment, which a cut manifest may state otherwise.
    pub(super) fn stated(&self, entry: &SegmentEntry) -> Result<&SegmentEntry, Failure> {
        self.segments.get(&entry.file).ok_or_else(|| {
            let name = NumberedFile::Segment(entry.file);
            Failure::with(
                Exit::Damage,
                format!("the manifest of the backup names no {name}"),
            )
        })
    }

    /// Opens a segment, to be read as it was before it was packed.
    pub(super) fn segment(
        &self,
        entry: &SegmentEntry,
    ) -> Result<SegmentFile<KeptFile<'_>>, Failure> {
        let name = NumberedFile::Segment(entry.file).to_string();
        let file = self.open(self.named(&name)?);
        Ok(SegmentFile::new(file, self.stated(entry)?))
    }

    /// Opens a file.
    pub(super) fn open<'b>(&'b self, file: &'b FileKept) -> KeptFile<'b> {
        KeptFile {
            objects: self.objects,
            file,
            part: RefCell::new(None),
            failure: RefCell::new(None),
        }
    }
}

/// The bytes of an object, if they are what the index states.
pub(super) fn fetch(objects: &dyn Objects, part: &Part) -> Result<Vec<u8>, Failure> {
    let bytes = objects.get(&part.object)?;
    match bytes.len() as u64 == part.bytes && sha256(&bytes) == part.sha256 {
        true => Ok(bytes),
        false => Err(Failure::with(
            Exit::Damage,
            format!(
                "the object {} is not what was written: its length or SHA-256 is another one",
                part.object
            ),
        )),
    }
}

/// A file of a backup. One object of it is in memory at a time.
pub(super) struct KeptFile<'a> {
    objects: &'a dyn Objects,
    file: &'a FileKept,
    part: RefCell<Option<(usize, Rc<Vec<u8>>)>>,
    failure: RefCell<Option<Failure>>,
}

impl KeptFile<'_> {
    /// Why a read failed, if one did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.borrow_mut().take()
    }

    fn part(&self, number: usize) -> Result<Rc<Vec<u8>>, Failure> {
        if let Some((at, bytes)) = &*self.part.borrow()
            && *at == number
        {
            return Ok(Rc::clone(bytes));
        }
        let bytes = Rc::new(fetch(self.objects, &self.file.parts[number])?);
        *self.part.borrow_mut() = Some((number, Rc::clone(&bytes)));
        Ok(bytes)
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Failure> {
        let mut read = Vec::new();
        let mut begin = 0;
        for (number, part) in self.file.parts.iter().enumerate() {
            let end = begin + part.bytes;
            let from = offset.max(begin);
            let to = offset.saturating_add(bytes as u64).min(end);
            if from < to {
                let held = self.part(number)?;
                read.extend(&held[(from - begin) as usize..(to - begin) as usize]);
            }
            begin = end;
        }
        Ok(read)
    }
}

impl ReadAt for KeptFile<'_> {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        let read = self.read(offset, bytes).map_err(|failure| {
            *self.failure.borrow_mut() = Some(failure);
            Errno::EIO
        });
        std::future::ready(read)
    }

    fn bytes(&self) -> u64 {
        self.file.bytes
    }
}
