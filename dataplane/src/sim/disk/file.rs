//! One file of the simulated disk: what a process sees of it, and which sectors the medium does not hold like that. It
//! loses them as a power cut would.

use super::{Cut, SECTOR_BYTES, Survival};
use crate::sim::dice::Dice;
use std::collections::BTreeMap;

/// Contents of an unsynced sector that are remembered beside the first and the last one.
const BETWEEN_MAX: usize = 3;

/// A sector whose bytes, as seen, are not on the medium.
#[derive(Clone, Debug)]
pub(super) struct Dirty {
    /// What the medium holds; nothing: it was never written there.
    pub(super) medium: Option<Box<[u8; SECTOR_BYTES]>>,
    /// What it held in between, newest last: it was written more than once.
    pub(super) between: Vec<[u8; SECTOR_BYTES]>,
    /// When it was written last.
    pub(super) stamp: u64,
    /// The kernel or the device has forgotten it: no sync brings it to the medium any more.
    pub(super) forgotten: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) seen: Vec<u8>,
    pub(super) medium_bytes: usize,
    pub(super) length_stamp: u64,
    pub(super) dirty: BTreeMap<u32, Dirty>,
    /// The medium's bytes behind an unsynced cut.
    pub(super) cut_off: Vec<u8>,
}

impl File {
    /// The bytes of a sector as seen, filled up with zeros.
    pub(super) fn sector(&self, sector: usize) -> Option<Box<[u8; SECTOR_BYTES]>> {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.seen.len());
        (start < end).then(|| {
            let mut bytes = Box::new([0; SECTOR_BYTES]);
            bytes[..end - start].copy_from_slice(&self.seen[start..end]);
            bytes
        })
    }

    /// Notes that a sector is about to be written.
    pub(super) fn touch(&mut self, sector: usize, stamp: u64) {
        let seen = self.sector(sector);
        if let Some(dirty) = self.dirty.get_mut(&(sector as u32)) {
            dirty.between.extend(seen.map(|bytes| *bytes));
            let many = dirty.between.len().saturating_sub(BETWEEN_MAX);
            dirty.between.drain(..many);
            dirty.stamp = stamp;
            dirty.forgotten = false;
            return;
        }
        let medium = seen.filter(|_| sector * SECTOR_BYTES < self.medium_bytes);
        let forgotten = false;
        self.dirty.insert(
            sector as u32,
            Dirty {
                medium,
                between: Vec::new(),
                stamp,
                forgotten,
            },
        );
    }

    /// The medium's bytes from an offset on.
    pub(super) fn medium_tail(&self, from: usize) -> Vec<u8> {
        let mut copy = self.clone();
        for sector in copy.dirty.keys().copied().collect::<Vec<_>>() {
            copy.lose(sector);
        }
        copy.seen.truncate(self.medium_bytes);
        copy.seen.split_off(from.min(copy.seen.len()))
    }

    /// The medium's bytes of a sector are seen again.
    pub(super) fn lose(&mut self, sector: u32) {
        let Some(dirty) = self.dirty.remove(&sector) else {
            return;
        };
        let start = sector as usize * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.seen.len());
        if start >= end {
            return;
        }
        match dirty.medium {
            Some(bytes) => self.seen[start..end].copy_from_slice(&bytes[..end - start]),
            None => self.seen[start..end].fill(0),
        }
    }

    /// A sector that was written more than once keeps what it held in between, by chance.
    pub(super) fn go_between(&mut self, sector: u32, dice: &mut Dice) -> bool {
        let Some(dirty) = self.dirty.get(&sector) else {
            return false;
        };
        if dirty.between.is_empty() || dirty.forgotten || dice.chance(4000) {
            return false;
        }
        let bytes = dirty.between[dice.below(dirty.between.len() as u64) as usize];
        let start = sector as usize * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.seen.len());
        if start < end {
            self.seen[start..end].copy_from_slice(&bytes[..end - start]);
        }
        true
    }

    /// What is forgotten is seen no more.
    pub(super) fn evict(&mut self) {
        let forgotten: Vec<u32> = self
            .dirty
            .iter()
            .filter(|(_, dirty)| dirty.forgotten)
            .map(|(sector, _)| *sector)
            .collect();
        for sector in forgotten {
            self.lose(sector);
        }
    }

    pub(super) fn cut_power(
        &mut self,
        survival: Survival,
        moment: u64,
        dice: &mut Dice,
        cut: &mut Cut,
    ) {
        let sectors: Vec<(u32, u64)> = self
            .dirty
            .iter()
            .map(|(sector, dirty)| (*sector, dirty.stamp))
            .collect();
        // A newly allocated sector that was not written may hold what the medium held for somebody else.
        let garbage = dice.chance(2000);
        let mut last_kept = 0;
        for (sector, stamp) in sectors {
            let kept = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Scattered | Survival::Mixed => dice.chance(5000),
                Survival::Prefix => stamp < moment || stamp == moment && dice.chance(5000),
                Survival::Suffix => stamp > moment || stamp == moment && dice.chance(5000),
            };
            if survival == Survival::Mixed && self.go_between(sector, dice) {
                cut.sectors_between += 1;
                continue;
            }
            if kept {
                cut.sectors_kept += 1;
                last_kept = (sector as usize + 1) * SECTOR_BYTES;
                continue;
            }
            cut.sectors_lost += 1;
            let never_written = self
                .dirty
                .get(&sector)
                .is_some_and(|dirty| dirty.medium.is_none());
            self.lose(sector);
            let start = sector as usize * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(self.seen.len());
            if garbage && never_written && start < end {
                let bytes = dice.bytes(end - start);
                self.seen[start..end].copy_from_slice(&bytes);
            }
        }
        self.dirty.clear();
        if self.medium_bytes < self.seen.len()
            && last_kept <= self.medium_bytes
            && dice.chance(5000)
        {
            self.seen.truncate(self.medium_bytes);
        }
        let cut_off = std::mem::take(&mut self.cut_off);
        if !cut_off.is_empty() && survival != Survival::Everything && dice.chance(5000) {
            self.seen.extend_from_slice(&cut_off);
        }
        self.medium_bytes = self.seen.len();
    }
}
