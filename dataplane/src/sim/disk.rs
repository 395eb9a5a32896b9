//! One file system in memory that keeps apart what a process sees and what the medium holds, sector by sector, and loses
//! the difference as a power cut would. It owns files, names and what was never synced; it knows nothing of descriptors,
//! delays or errors (see [`super::files`]) nor of what is in the files.

mod file;

use self::file::File;
use super::dice::Dice;
use std::collections::BTreeMap;

/// What the medium writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// A file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inode(pub u64);

/// A change of names that is not durable.
#[derive(Clone, Debug)]
enum NameChange {
    Put(String, Inode),
    Renamed {
        from: String,
        to: String,
        inode: Inode,
    },
    Gone(String),
}

/// How far a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Into memory, until a sync.
    Cache,
    /// Onto the medium.
    Medium,
}

/// Which part of the unsynced changes a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// Each sector and each change of a name by its own chance.
    Scattered,
    /// The oldest writes and changes, up to some moment.
    Prefix,
    /// The newest writes and changes, from some moment on.
    Suffix,
    /// Each sector by its own chance, and any content that it was ever given; changes of names as if scattered.
    Mixed,
}

/// What a power cut did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Sectors that were lost.
    pub sectors_lost: u64,
    /// Unsynced sectors that survived.
    pub sectors_kept: u64,
    /// Unsynced sectors that survived with what they held in between.
    pub sectors_between: u64,
    /// Changes of names that were lost.
    pub names_lost: u64,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Disk {
    files: BTreeMap<Inode, File>,
    names: BTreeMap<String, Inode>,
    durable_names: BTreeMap<String, Inode>,
    changes: Vec<NameChange>,
    stamp: u64,
    made: u64,
    /// Size of the file system in bytes.
    pub total_bytes: u64,
}

impl Disk {
    /// An empty file system.
    pub fn new(total_bytes: u64) -> Disk {
        Disk {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            stamp: 0,
            made: 0,
            total_bytes,
        }
    }

    /// All names as a process sees them.
    pub fn names(&self) -> impl Iterator<Item = (&str, Inode)> {
        self.names
            .iter()
            .map(|(name, inode)| (name.as_str(), *inode))
    }

    /// The file of a name.
    pub fn find(&self, name: &str) -> Option<Inode> {
        self.names.get(name).copied()
    }

    /// How many names a file has.
    pub fn links(&self, inode: Inode) -> u64 {
        self.names.values().filter(|named| **named == inode).count() as u64
    }

    /// The bytes of a file as a process sees them.
    pub fn seen(&self, inode: Inode) -> &[u8] {
        self.files.get(&inode).map_or(&[], |file| &file.seen)
    }

    /// The bytes of a name as a process sees them, and those that it has after a power cut if the name then is another file's.
    pub fn versions_of(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let seen = self.names.get(name);
        let durable = self.durable_names.get(name).filter(|it| Some(*it) != seen);
        let both = seen.into_iter().chain(durable);
        both.map(|inode| self.seen(*inode))
    }

    /// Gives a file another name, durably, as a backup does.
    pub fn link(&mut self, inode: Inode, name: &str) {
        self.names.insert(name.to_string(), inode);
        self.durable_names.insert(name.to_string(), inode);
    }

    /// Whether what is seen of a range is on the medium.
    pub fn is_on_medium(&self, inode: Inode, offset: usize, bytes: usize) -> bool {
        let first = (offset / SECTOR_BYTES) as u32;
        let behind = (offset + bytes).div_ceil(SECTOR_BYTES) as u32;
        let file = self.files.get(&inode);
        file.is_some_and(|file| file.dirty.range(first..behind).next().is_none())
    }

    /// Bytes that files take.
    pub fn used_bytes(&self) -> u64 {
        self.files.values().map(|file| file.seen.len() as u64).sum()
    }

    /// Bytes that may still be taken.
    pub fn free_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.used_bytes())
    }

    /// A moment of writing: [`Disk::sync`] covers what was written up to it.
    pub fn moment(&self) -> u64 {
        self.stamp
    }

    /// Makes an empty file under a name.
    pub fn make(&mut self, name: &str) -> Inode {
        self.made += 1;
        let inode = Inode(self.made);
        self.files.insert(inode, File::default());
        self.names.insert(name.to_string(), inode);
        self.changes.push(NameChange::Put(name.to_string(), inode));
        inode
    }

    /// Renames, replacing `to`. `false`: there is no `from`.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(inode) = self.names.remove(from) else {
            return false;
        };
        self.names.insert(to.to_string(), inode);
        let (from, to) = (from.to_string(), to.to_string());
        self.changes.push(NameChange::Renamed { from, to, inode });
        true
    }

    /// Removes a name. `false`: there is none.
    pub fn unlink(&mut self, name: &str) -> bool {
        let there = self.names.remove(name).is_some();
        if there {
            self.changes.push(NameChange::Gone(name.to_string()));
        }
        there
    }

    /// Makes all changes of names durable.
    pub fn sync_names(&mut self) {
        self.durable_names = self.names.clone();
        self.changes.clear();
    }

    /// Writes what the file system has room for and says how many bytes that were.
    pub fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8], reach: Reach) -> usize {
        let start = offset as usize;
        // What lies within the file takes no room; to sum up all files for it would take much of a seed's time.
        let grows = start + bytes.len() > self.seen(inode).len();
        let free = if grows { self.free_bytes() } else { 0 };
        let Some(file) = self.files.get_mut(&inode) else {
            return 0;
        };
        let room = file.seen.len() + free as usize;
        let end = (start + bytes.len()).min(room);
        if end <= start {
            return 0;
        }
        self.stamp += 1;
        if end > file.seen.len() {
            file.seen.resize(end, 0);
            file.length_stamp = self.stamp;
            file.cut_off.clear();
        }
        for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            file.touch(sector, self.stamp);
        }
        file.seen[start..end].copy_from_slice(&bytes[..end - start]);
        if reach == Reach::Medium {
            for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                file.dirty.remove(&(sector as u32));
            }
            file.medium_bytes = file.medium_bytes.max(end);
        }
        end - start
    }

    /// Sets the length of a file.
    pub fn truncate(&mut self, inode: Inode, bytes: u64) {
        let Some(file) = self.files.get_mut(&inode) else {
            return;
        };
        let bytes = bytes as usize;
        self.stamp += 1;
        if bytes < file.seen.len() {
            if bytes < file.medium_bytes && file.cut_off.is_empty() {
                file.cut_off = file.medium_tail(bytes);
            }
            file.seen.truncate(bytes);
            let keep = bytes.div_ceil(SECTOR_BYTES) as u32;
            file.dirty.split_off(&keep);
            file.medium_bytes = file.medium_bytes.min(bytes);
        } else {
            file.seen.resize(bytes, 0);
            file.cut_off.clear();
        }
        file.length_stamp = self.stamp;
    }

    /// Makes what was written to a file up to a moment durable.
    pub fn sync(&mut self, inode: Inode, upto: u64) {
        let Some(file) = self.files.get_mut(&inode) else {
            return;
        };
        file.dirty
            .retain(|_, dirty| dirty.forgotten || dirty.stamp > upto);
        if file.length_stamp <= upto {
            file.medium_bytes = file.seen.len();
            file.cut_off.clear();
        }
    }

    /// The kernel drops what it could not write up to a moment, as after a failed sync: it is still seen, and no later
    /// sync writes it.
    pub fn forget(&mut self, inode: Inode, upto: u64) {
        if let Some(file) = self.files.get_mut(&inode) {
            for dirty in file.dirty.values_mut().filter(|dirty| dirty.stamp <= upto) {
                dirty.forgotten = true;
            }
        }
    }

    /// The device acknowledges these bytes and does not keep them.
    pub fn forget_range(&mut self, inode: Inode, offset: u64, bytes: usize) {
        if let Some(file) = self.files.get_mut(&inode) {
            let sectors = (offset as usize / SECTOR_BYTES) as u32
                ..(offset as usize + bytes).div_ceil(SECTOR_BYTES) as u32;
            for (_, dirty) in file.dirty.range_mut(sectors) {
                dirty.forgotten = true;
            }
        }
    }

    /// Removes files that have no name and are not open.
    pub fn reap(&mut self, open: &std::collections::BTreeSet<Inode>) {
        let named: std::collections::BTreeSet<Inode> = self
            .names
            .values()
            .chain(self.durable_names.values())
            .copied()
            .collect();
        self.files
            .retain(|inode, _| named.contains(inode) || open.contains(inode));
    }

    /// Whether the file is there at all.
    pub fn exists(&self, inode: Inode) -> bool {
        self.files.contains_key(&inode)
    }

    /// The process ends and the machine lives on; sometimes what the kernel forgot is evicted, and the medium's bytes
    /// are seen again.
    pub fn kill(&mut self, dice: &mut Dice) {
        for file in self.files.values_mut() {
            if dice.chance(5000) {
                file.evict();
            }
        }
        self.collect();
    }

    /// Power is lost and comes back.
    pub fn cut_power(&mut self, survival: Survival, dice: &mut Dice) -> Cut {
        let mut cut = Cut::default();
        self.cut_names(survival, dice, &mut cut);
        let moments: Vec<u64> = self
            .files
            .values()
            .flat_map(|file| file.dirty.values().map(|dirty| dirty.stamp))
            .collect();
        let (oldest, newest) = (
            moments.iter().min().copied().unwrap_or(0),
            moments.iter().max().copied().unwrap_or(0),
        );
        let moment = dice.between(oldest, newest);
        for file in self.files.values_mut() {
            file.evict();
            file.cut_power(survival, moment, dice, &mut cut);
        }
        self.collect();
        cut
    }

    fn cut_names(&mut self, survival: Survival, dice: &mut Dice, cut: &mut Cut) {
        let changes = std::mem::take(&mut self.changes);
        let moment = dice.below(changes.len() as u64 + 1) as usize;
        let mut names = self.durable_names.clone();
        for (at, change) in changes.into_iter().enumerate() {
            let kept = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Scattered | Survival::Mixed => dice.chance(5000),
                Survival::Prefix => at < moment,
                Survival::Suffix => at >= moment,
            };
            if !kept {
                cut.names_lost += 1;
                continue;
            }
            match change {
                NameChange::Put(name, inode) => {
                    names.insert(name, inode);
                }
                NameChange::Renamed { from, to, inode } => {
                    if names.get(&from) == Some(&inode) {
                        names.remove(&from);
                    }
                    names.insert(to, inode);
                }
                NameChange::Gone(name) => {
                    names.remove(&name);
                }
            }
        }
        self.durable_names = names.clone();
        self.names = names;
    }

    /// Removes files that have no name; descriptors are gone.
    fn collect(&mut self) {
        let named: std::collections::BTreeSet<Inode> = self
            .names
            .values()
            .chain(self.durable_names.values())
            .copied()
            .collect();
        self.files.retain(|inode, _| named.contains(inode));
    }

    /// Changes bytes behind everybody's back, on the medium too. Gives what was there.
    pub fn tamper(&mut self, inode: Inode, offset: usize, bytes: &[u8]) -> Vec<u8> {
        let Some(file) = self.files.get_mut(&inode) else {
            return Vec::new();
        };
        let end = (offset + bytes.len()).min(file.seen.len());
        if offset >= end {
            return Vec::new();
        }
        let before = file.seen[offset..end].to_vec();
        file.seen[offset..end].copy_from_slice(&bytes[..end - offset]);
        before
    }

    /// Replaces a file's whole content behind everybody's back; the file is made if need be. Gives what was there.
    pub fn replace(&mut self, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let before = self.find(name).map(|inode| self.seen(inode).to_vec());
        let inode = match self.find(name) {
            Some(inode) => inode,
            None => self.make(name),
        };
        self.durable_names.insert(name.to_string(), inode);
        if let Some(file) = self.files.get_mut(&inode) {
            *file = File {
                seen: bytes.to_vec(),
                medium_bytes: bytes.len(),
                ..File::default()
            };
        }
        before
    }
}

#[cfg(test)]
mod tests;
