//! A file that is there whole or not at all, readable by its owner only. It has no name while it is written, so that nothing is
//! left of it however the process ends. Where the file system has no such files it is `.NAME.partial-…` until it is whole,
//! which only SIGKILL leaves behind.

mod ending;
pub(crate) mod place;

use ending::Ending;
use place::{Existing, FilePlace};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// See the module.
#[derive(Debug)]
pub(crate) struct NewFile {
    kind: Kind,
    place: FilePlace,
}

#[derive(Debug)]
enum Kind {
    Unnamed(File),
    Partial(NamedTempFile),
}

impl NewFile {
    /// Makes it, empty.
    pub(crate) fn make(place: FilePlace) -> io::Result<Self> {
        // If the directory cannot be written, the second way says why.
        match unnamed(&place.directory) {
            Some(file) => Ok(Self {
                kind: Kind::Unnamed(file),
                place,
            }),
            None => Self::partial(place),
        }
    }

    fn partial(place: FilePlace) -> io::Result<Self> {
        let ending = Ending::catch()?;
        let file = Builder::new()
            .prefix(&partial_name(&place))
            .tempfile_in(&place.directory)?;
        ending.removes(file.path().to_owned())?;
        Ok(Self {
            kind: Kind::Partial(file),
            place,
        })
    }

    /// It takes its name, once all of it is on the disk.
    pub(crate) fn keep(self) -> io::Result<()> {
        let Self { kind, place } = self;
        match kind {
            Kind::Unnamed(file) => {
                file.sync_all()?;
                if place.existing == Existing::Kept {
                    return link(&file, &place.path);
                }
                let named = Builder::new()
                    .prefix(&partial_name(&place))
                    .make_in(&place.directory, |path| link(&file, path))?;
                named.persist(&place.path).map_err(|it| it.error)
            }
            Kind::Partial(file) => {
                file.as_file().sync_all()?;
                let kept = match place.existing {
                    Existing::Replaced => file.persist(&place.path),
                    Existing::Kept => file.persist_noclobber(&place.path),
                };
                kept.map(drop).map_err(|it| it.error)
            }
        }
    }

    /// Its length so far.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let file = match &self.kind {
            Kind::Unnamed(file) => file,
            Kind::Partial(file) => file.as_file(),
        };
        Ok(file.metadata()?.len())
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> PathBuf {
        self.place.path.clone()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Unnamed(file) => file.write(bytes),
            Kind::Partial(file) => file.as_file_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file without a name, if the file system has such files and `/proc` is there to name it later.
fn unnamed(directory: &Path) -> Option<File> {
    let how = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(open(directory, how, Mode::RUSR | Mode::WUSR).ok()?);
    by_descriptor(&file).is_symlink().then_some(file)
}

/// Gives it a name that nothing has yet.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = by_descriptor(file);
    Ok(linkat(CWD, &from, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// How the name of a file begins that is not whole.
fn partial_name(place: &FilePlace) -> OsString {
    let mut name = OsString::from(".");
    name.push(place.path.file_name().unwrap_or_default());
    name.push(".partial-");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;

    type Make = fn(FilePlace) -> io::Result<NewFile>;

    fn place(directory: &Path, existing: Existing) -> FilePlace {
        FilePlace {
            directory: directory.to_owned(),
            path: directory.join("rows"),
            existing,
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let name = |it: io::Result<fs::DirEntry>| it.unwrap().file_name().into_string().unwrap();
        entries.map(name).collect()
    }

    #[test]
    fn both_kinds_are_there_whole_or_not_at_all_and_replace_only_if_asked() {
        for make in [NewFile::make as Make, NewFile::partial as Make] {
            let dir = tempfile::tempdir().unwrap();
            let write = |text: &str, existing| {
                let mut file = make(place(dir.path(), existing)).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                assert_eq!(file.bytes().unwrap(), text.len() as u64);
                file
            };
            let read = || fs::read_to_string(dir.path().join("rows")).unwrap();
            drop(write("never", Existing::Kept));
            assert_eq!(names(dir.path()), [""; 0]);
            write("first", Existing::Kept).keep().unwrap();
            let refused = write("second", Existing::Kept).keep().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
            assert_eq!(read(), "first");
            write("third", Existing::Replaced).keep().unwrap();
            assert_eq!(read(), "third");
            assert_eq!(names(dir.path()), ["rows"]);
        }
    }

    #[test]
    fn a_file_that_is_not_whole_names_the_file_that_it_becomes() {
        let dir = tempfile::tempdir().unwrap();
        let file = NewFile::partial(place(dir.path(), Existing::Kept)).unwrap();
        let names = names(dir.path());
        assert!(names[0].starts_with(".rows.partial-"), "{names:?}");
        drop(file);
    }
}
