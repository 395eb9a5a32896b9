//! A store in memory that fails where it is told to, and remembers what was read from it.

use crate::backup::store::{Folder, Objects, Put, Searched, StoreError, Wanted};
use crate::exit::Exit;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

type Hook = Box<dyn FnOnce(&Shelf)>;

/// See the module.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) objects: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Operations until one fails; that one and all behind it do.
    pub(super) fails_in: Cell<Option<u64>>,
    /// Objects are made, and the answer to that is lost: the request is repeated, and finds the object.
    pub(super) loses_answers: Cell<bool>,
    pub(super) overwrites: bool,
    /// Objects of which something was read.
    pub(super) read: RefCell<Vec<String>>,
    /// What happens before the next object with bodies is made.
    pub(super) before_bodies: RefCell<Option<Hook>>,
}

impl Shelf {
    fn step(&self, name: &str) -> Result<(), StoreError> {
        match self.fails_in.get() {
            Some(0) => Err(StoreError::Failed {
                name: name.to_owned(),
                why: "the store is gone".to_owned(),
                exit: Exit::Unavailable,
            }),
            left => {
                self.fails_in.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

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
        self.step(name)?;
        if name.starts_with("bodies/") {
            let hook = self.before_bodies.borrow_mut().take();
            if let Some(hook) = hook {
                hook(self);
            }
        }
        let mut objects = self.objects.borrow_mut();
        if objects.contains_key(name) && !self.overwrites {
            return Ok(Put::Exists);
        }
        objects.insert(name.to_owned(), bytes);
        Ok(match self.loses_answers.get() {
            true => Put::Exists,
            false => Put::Made,
        })
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.step(name)?;
        self.read.borrow_mut().push(name.to_owned());
        let objects = self.objects.borrow();
        let missing = || StoreError::Missing(name.to_owned());
        objects.get(name).cloned().ok_or_else(missing)
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
