//! The store in memory of backups, with folders, that remembers what was read from it.

use crate::backup::store::{Folder, Objects, Put, Searched, StoreError, Wanted};
use crate::backup::tests::Memory;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;

type Hook = Box<dyn FnOnce(&Shelf)>;

/// See the module.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) memory: Memory,
    /// Objects of which something was read.
    pub(super) read: RefCell<Vec<String>>,
    /// What happens before the next object with bodies is made.
    pub(super) before_bodies: RefCell<Option<Hook>>,
}

impl Deref for Shelf {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.memory
    }
}

impl Shelf {
    /// The names that begin so.
    pub(super) fn names(&self, begin: &str) -> Vec<String> {
        let objects = self.objects.borrow();
        let names = objects.keys().filter(|it| it.starts_with(begin));
        names.cloned().collect()
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.objects.borrow_mut().get_mut(name).unwrap());
    }
}

impl Objects for Shelf {
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<Put, StoreError> {
        if name.starts_with("bodies/") && self.fails_in.get() != Some(0) {
            let hook = self.before_bodies.borrow_mut().take();
            if let Some(hook) = hook {
                hook(self);
            }
        }
        self.memory.put_new(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let got = self.memory.get(name);
        if !matches!(got, Err(StoreError::Failed { .. })) {
            self.read.borrow_mut().push(name.to_owned());
        }
        got
    }

    fn remove(&self, _: &str) -> Result<(), StoreError> {
        unreachable!("nothing is removed from an archive")
    }

    fn list(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        unreachable!("an archive is never listed as a whole")
    }
}

impl Searched for Shelf {
    fn folder(&self, name: &str) -> Result<Folder, StoreError> {
        self.step(name)?;
        let mut folder = Folder::default();
        for (object, bytes) in self.objects.borrow().iter() {
            let Some(rest) = object.strip_prefix(&format!("{name}/")) else {
                continue;
            };
            match rest.split_once('/') {
                Some((inner, _)) => {
                    folder.folders.insert(format!("{name}/{inner}"));
                }
                None => {
                    folder.objects.insert(object.clone(), bytes.len() as u64);
                }
            }
        }
        Ok(folder)
    }

    fn length(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.step(name)?;
        let objects = self.objects.borrow();
        Ok(objects.get(name).map(|it| it.len() as u64))
    }

    fn parts(&self, wanted: &[Wanted]) -> Vec<Result<Vec<u8>, StoreError>> {
        let part = |(name, range): &Wanted| {
            self.step(name)?;
            self.read.borrow_mut().push(name.clone());
            let objects = self.objects.borrow();
            let missing = || StoreError::Missing(name.clone());
            let bytes = objects.get(name).ok_or_else(missing)?;
            // As a store does: what is behind the end is not given.
            let end = (range.end as usize).min(bytes.len());
            Ok(bytes[(range.start as usize).min(end)..end].to_vec())
        };
        wanted.iter().map(part).collect()
    }
}
