//! A directory in memory that changes between two steps of a reader. Files that are open stay what they are when they are
//! removed, and show what is written to them meanwhile.

use crate::io::Errno;
use crate::wal::manifest::Manifest;
use crate::wal::scan::ReadAt;
use crate::wal::scan::world::World;
use crate::wal::tail::Source;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

type Bytes = Rc<RefCell<Vec<u8>>>;

/// A directory.
#[derive(Default)]
pub(super) struct Disk {
    manifest: RefCell<Manifest>,
    files: RefCell<BTreeMap<u64, Bytes>>,
}

/// An open file.
pub(super) struct OpenFile(Bytes);

impl Disk {
    /// The disk of a world.
    pub(super) fn of(world: &World) -> Disk {
        let disk = Disk::default();
        disk.become_like(world);
        disk
    }

    /// Becomes the disk of another world, in place where a file has the same number, under a later manifest.
    pub(super) fn become_like(&self, world: &World) {
        let segments = world.manifest.logs[0].segments.iter();
        let numbers: Vec<u64> = segments.map(|it| it.file).collect();
        assert_eq!(numbers.len(), world.files.len());
        let mut files = self.files.borrow_mut();
        files.retain(|number, _| numbers.contains(number));
        for (number, bytes) in numbers.iter().zip(&world.files) {
            let file = files.entry(*number).or_default();
            file.borrow_mut().clone_from(bytes);
        }
        drop(files);
        self.replace_manifest(world.manifest.clone());
    }

    /// Replaces the manifest by a later one.
    pub(super) fn replace_manifest(&self, mut manifest: Manifest) {
        let generation = self.manifest.borrow().generation + 1;
        manifest.generation = manifest.generation.max(generation);
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        *self.manifest.borrow_mut() = manifest;
    }

    pub(super) fn manifest(&self) -> Manifest {
        self.manifest.borrow().clone()
    }

    /// Changes the bytes of a file.
    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.files.borrow()[&number].borrow_mut());
    }

    pub(super) fn make(&self, number: u64, bytes: Vec<u8>) {
        let file = Rc::new(RefCell::new(bytes));
        self.files.borrow_mut().insert(number, file);
    }

    pub(super) fn remove(&self, number: u64) {
        self.files.borrow_mut().remove(&number);
    }
}

impl Source for Disk {
    type File = OpenFile;

    fn manifest(&self) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        std::future::ready(Ok(self.manifest.borrow().encode()))
    }

    fn segment(&self, number: u64) -> impl Future<Output = Result<OpenFile, Errno>> {
        let file = self.files.borrow().get(&number).cloned();
        std::future::ready(file.map(OpenFile).ok_or(Errno::ENOENT))
    }
}

impl ReadAt for OpenFile {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        let file = self.0.borrow();
        let start = (offset as usize).min(file.len());
        let end = (start + bytes).min(file.len());
        std::future::ready(Ok(file[start..end].to_vec()))
    }

    fn bytes(&self) -> u64 {
        self.0.borrow().len() as u64
    }
}
