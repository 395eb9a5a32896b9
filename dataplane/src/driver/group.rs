//! The group whose members may read WAL_DIR: how it is found, and how directory and files are given to it. The secret and the lock
//! stay their owner's alone. It never takes a file from a group.

use crate::wal::files::{MANIFEST, NumberedFile};
use rustix::fs::{Gid, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Where names of groups are looked up.
const GROUPS: &str = "/etc/group";

/// Members list and read the directory.
const DIRECTORY_MODE: u32 = 0o750;
/// Members read files.
const FILE_MODE: u32 = 0o640;

/// A group whose members may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadGroup {
    gid: u32,
}

/// Why there is no such group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoGroup {
    /// No group has this name.
    Unknown,
    /// Names cannot be looked up.
    Unreadable(String),
}

impl fmt::Display for NoGroup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoGroup::Unknown => write!(
                out,
                "no group of this name is in {GROUPS}: make it (groupadd), or give its number, which needs no entry there"
            ),
            NoGroup::Unreadable(why) => {
                write!(
                    out,
                    "{GROUPS} cannot be read ({why}): give the group's number"
                )
            }
        }
    }
}

impl std::error::Error for NoGroup {}

impl ReadGroup {
    /// The group of this name or number.
    ///
    /// # Errors
    /// There is none.
    pub fn find(text: &str) -> Result<ReadGroup, NoGroup> {
        ReadGroup::find_in(Path::new(GROUPS), text)
    }

    fn find_in(groups: &Path, text: &str) -> Result<ReadGroup, NoGroup> {
        // The largest number means *no group* to the system.
        if let Ok(gid) = text.parse::<u32>() {
            let group = (gid != u32::MAX).then_some(ReadGroup { gid });
            return group.ok_or(NoGroup::Unknown);
        }
        let lines = std::fs::read_to_string(groups);
        let lines = lines.map_err(|error| NoGroup::Unreadable(error.to_string()))?;
        let gid = lines.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(text);
            let gid = fields.nth(1).filter(|_| is_it)?;
            gid.parse().ok()
        });
        gid.map(|gid| ReadGroup { gid }).ok_or(NoGroup::Unknown)
    }

    /// The group that may read an open file; nothing if only its owner may.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn of(file: impl AsFd) -> rustix::io::Result<Option<ReadGroup>> {
        let found = rustix::fs::fstat(file)?;
        let is_shared = found.st_mode & 0o040 != 0;
        Ok(is_shared.then_some(ReadGroup { gid: found.st_gid }))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.gid
    }

    /// Gives it the directory, the manifest, and all segments and slices that are there.
    ///
    /// # Errors
    /// This process may not, or the file system refuses it.
    pub fn give_all(self, directory: BorrowedFd<'_>) -> rustix::io::Result<()> {
        self.give_as(directory, DIRECTORY_MODE)?;
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if name == MANIFEST || NumberedFile::parse(&name).is_some() {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = retry_on_intr(|| {
                    rustix::fs::openat(directory, entry.file_name(), flags, Mode::empty())
                });
                match opened {
                    Ok(file) => self.give_file(&file)?,
                    // No file of ours: the keeper says so.
                    Err(Errno::LOOP | Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Gives it an open file to read.
    ///
    /// # Errors
    /// This process may not, or the file system refuses it.
    pub fn give_file(self, file: impl AsFd) -> rustix::io::Result<()> {
        self.give_as(file, FILE_MODE)
    }

    /// The group comes first, so that no other one may read meanwhile. A umask does not count.
    fn give_as(self, file: impl AsFd, mode: u32) -> rustix::io::Result<()> {
        let found = rustix::fs::fstat(&file)?;
        if found.st_gid != self.gid {
            rustix::fs::fchown(&file, None, Some(Gid::from_raw(self.gid)))?;
        }
        if found.st_mode & 0o7777 != mode {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_by_number_and_what_is_missing_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let groups = directory.path().join("group");
        let lines = "root:x:0:\nreaders:x:1234:ann,bob\nbroken\nreaders2:x:77:\nbad:x:y:\n";
        std::fs::write(&groups, lines).unwrap();
        let find = |text| ReadGroup::find_in(&groups, text).map(ReadGroup::number);
        assert_eq!(find("readers"), Ok(1234));
        assert_eq!(find("readers2"), Ok(77));
        assert_eq!(find("1"), Ok(1), "a number needs no entry");
        for missing in ["reader", "bad", "broken", "", "4294967295", "-1"] {
            assert_eq!(find(missing), Err(NoGroup::Unknown), "{missing}");
        }
        let nowhere = ReadGroup::find_in(Path::new("/nowhere/group"), "readers").unwrap_err();
        assert!(nowhere.to_string().contains("give the group's number"));
    }
}
