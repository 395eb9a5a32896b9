//! A disk with a volatile cache, in memory: what was written counts at once for readers, but survives a power cut only
//! once it was flushed. It knows nothing of files or of who writes.

use flk_testkit::Dice;
use std::collections::{BTreeMap, HashMap};

/// The unit in which content is kept.
pub(crate) const PAGE_BYTES: usize = 4096;
/// The unit in which a cut keeps or loses what was not flushed.
pub(crate) const SECTOR_BYTES: usize = 512;

/// Content of a page; none is all zeros, so that zero-filling costs no memory.
type Page = Option<Box<[u8; PAGE_BYTES]>>;

/// The disk has no power: nothing is read, written or flushed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPower;

/// What the power may go within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A write: it is in the cache, but was not confirmed.
    Write,
    /// A flush: nothing of it is done.
    Flush,
}

/// The disk.
#[derive(Default)]
pub(crate) struct Disk {
    bytes: u64,
    durable: HashMap<u64, Page>,
    /// All versions of a page since the last flush, the newest last: a cache may have written back any of them.
    cached: BTreeMap<u64, Vec<Page>>,
    powered: bool,
    flushes: u64,
    /// Within which access, after how many further ones, the power goes, and the chance that decides what survives.
    armed: Option<(Access, u64, Dice)>,
    lost: Option<Lost>,
}

/// What a cut did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Pages that were written but not flushed.
    pub(crate) pages: usize,
    /// Their sectors that do not hold the newest content afterwards.
    pub(crate) sectors: usize,
    /// Flushes since the last cut.
    pub(crate) flushes: u64,
}

impl Disk {
    /// A disk of zeros with power.
    pub(crate) fn new(bytes: u64) -> Disk {
        Disk {
            bytes,
            powered: true,
            ..Disk::default()
        }
    }

    /// Its size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Power is back; what survived is what is there.
    pub(crate) fn power_on(&mut self) {
        self.powered = true;
    }

    /// Reads; positions behind the end are zeros.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), NoPower> {
        self.check_power()?;
        for (page, within, part) in parts(offset, into.len()) {
            let into = &mut into[part];
            match self.newest(page) {
                Some(content) => into.copy_from_slice(&content[within..within + into.len()]),
                None => into.fill(0),
            }
        }
        Ok(())
    }

    /// Writes into the cache.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), NoPower> {
        self.check_power()?;
        for (page, within, part) in parts(offset, bytes.len()) {
            let mut content = self
                .newest(page)
                .map_or([0; PAGE_BYTES], |content| *content);
            content[within..within + part.len()].copy_from_slice(&bytes[part]);
            self.cached.entry(page).or_default().push(encode(content));
        }
        self.count_down(Access::Write)
    }

    /// Counts an access that the power may go within.
    fn count_down(&mut self, access: Access) -> Result<(), NoPower> {
        match self.armed.take() {
            Some((armed, 0, mut dice)) if armed == access => {
                self.cut(&mut dice);
                Err(NoPower)
            }
            Some((armed, further, dice)) => {
                let counted = u64::from(armed == access);
                self.armed = Some((armed, further - counted, dice));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Cuts the power by itself within the write or flush after this many further ones: behind a write and before its
    /// flush is where a moment chosen by a clock hardly ever falls.
    pub(crate) fn cut_within(&mut self, access: Access, further: u64, dice: Dice) {
        self.armed = Some((access, further, dice));
    }

    /// Whether the power is gone.
    pub(crate) fn is_cut(&self) -> bool {
        !self.powered
    }

    /// What the last cut did, once.
    pub(crate) fn take_lost(&mut self) -> Option<Lost> {
        self.lost.take()
    }

    /// Makes all that was written durable.
    pub(crate) fn flush(&mut self) -> Result<(), NoPower> {
        self.check_power()?;
        self.count_down(Access::Flush)?;
        self.flushes += 1;
        for (page, mut versions) in std::mem::take(&mut self.cached) {
            if let Some(newest) = versions.pop() {
                self.durable.insert(page, newest);
            }
        }
        Ok(())
    }

    /// Cuts the power: of what was not flushed, each sector keeps by chance one of its versions since the last flush or
    /// the content before. How much is kept differs from cut to cut. The first page is never torn: it holds the file
    /// system's own anchor, which every file system expects to be replaced as a whole.
    pub(crate) fn cut(&mut self, dice: &mut Dice) {
        if !std::mem::replace(&mut self.powered, false) {
            return;
        }
        self.armed = None;
        let keep_percent = [0, 20, 50, 80, 95][dice.below(5) as usize];
        let mut lost = Lost {
            pages: self.cached.len(),
            sectors: 0,
            flushes: std::mem::take(&mut self.flushes),
        };
        for (page, versions) in std::mem::take(&mut self.cached) {
            let mut content = self
                .durable
                .get(&page)
                .cloned()
                .flatten()
                .map_or([0; PAGE_BYTES], |content| *content);
            let newest = versions
                .last()
                .cloned()
                .flatten()
                .map_or([0; PAGE_BYTES], |content| *content);
            let unit = if page == 0 { PAGE_BYTES } else { SECTOR_BYTES };
            for (at, sector) in content.chunks_exact_mut(unit).enumerate() {
                let range = at * unit..(at + 1) * unit;
                // Some disks write back in order of arrival, so the newest version is as likely as all others together.
                let kept = match dice.below(100) < keep_percent {
                    false => None,
                    true if dice.below(2) == 0 => versions.last(),
                    true => versions.get(dice.below(versions.len() as u64) as usize),
                };
                match kept {
                    Some(Some(version)) => sector.copy_from_slice(&version[range.clone()]),
                    Some(None) => sector.fill(0),
                    None => {}
                }
                lost.sectors += usize::from(*sector != newest[range]);
            }
            self.durable.insert(page, encode(content));
        }
        self.lost = Some(lost);
    }

    fn check_power(&self) -> Result<(), NoPower> {
        if self.powered { Ok(()) } else { Err(NoPower) }
    }

    fn newest(&self, page: u64) -> Option<&[u8; PAGE_BYTES]> {
        let cached = self.cached.get(&page).and_then(|versions| versions.last());
        cached.or_else(|| self.durable.get(&page))?.as_deref()
    }
}

fn encode(content: [u8; PAGE_BYTES]) -> Page {
    (content != [0; PAGE_BYTES]).then(|| Box::new(content))
}

/// Cuts a range of the disk at page borders: page, position within it, and which bytes of the range.
fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let length = (PAGE_BYTES - within).min(bytes - done);
        let part = done..done + length;
        done += length;
        (length > 0).then_some((at / PAGE_BYTES as u64, within, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &Disk, offset: u64, bytes: usize) -> Vec<u8> {
        let mut into = vec![9; bytes];
        disk.read(offset, &mut into).unwrap();
        into
    }

    #[test]
    fn what_was_written_is_read_across_page_borders() {
        let mut disk = Disk::new(1 << 20);
        disk.write(4000, &[7; 5000]).unwrap();
        assert_eq!(
            read(&disk, 3999, 5002),
            [vec![0], vec![7; 5000], vec![0]].concat()
        );
        disk.flush().unwrap();
        disk.write(4096, &[0; 4096]).unwrap();
        assert_eq!(
            read(&disk, 4095, 4098),
            [vec![7], vec![0; 4096], vec![7]].concat()
        );
    }

    #[test]
    fn a_cut_keeps_all_that_was_flushed_and_loses_some_of_the_rest() {
        let (mut kept_all, mut lost_all) = (0, 0);
        for seed in 0..200 {
            let mut disk = Disk::new(1 << 20);
            disk.write(8192, &[1; 8192]).unwrap();
            disk.flush().unwrap();
            disk.write(12_288, &[2; 4096]).unwrap();
            disk.write(12_288, &[3; 4096]).unwrap();
            disk.write(20_480, &[4; 512]).unwrap();
            disk.cut(&mut Dice::new(seed));
            let lost = disk.take_lost().unwrap();
            assert_eq!((lost.pages, lost.flushes), (2, 1));
            assert_eq!(disk.flush(), Err(NoPower));
            disk.power_on();
            assert_eq!(read(&disk, 8192, 4096), [1; 4096], "seed {seed}");
            for sector in read(&disk, 12_288, 4096).chunks(SECTOR_BYTES) {
                assert!(
                    (1..=3).any(|version| sector == [version; SECTOR_BYTES]),
                    "seed {seed}"
                );
            }
            let stale = read(&disk, 12_288, 4096)
                .iter()
                .filter(|&&byte| byte != 3)
                .count();
            lost_all += usize::from(stale == 4096);
            kept_all += usize::from(stale == 0);
        }
        assert!(lost_all > 20 && kept_all > 0, "{lost_all} {kept_all}");
    }

    #[test]
    fn an_armed_disk_loses_its_power_within_an_access() {
        for (access, expected) in [
            (Access::Write, [true, true, true, true, false, false]),
            (Access::Flush, [true, true, true, true, true, false]),
        ] {
            let mut disk = Disk::new(1 << 20);
            disk.cut_within(access, 2, Dice::new(1));
            let mut went_well = Vec::new();
            for _ in 0..3 {
                went_well.push(disk.write(0, b"x").is_ok());
                went_well.push(disk.flush().is_ok());
            }
            assert_eq!(went_well, expected);
            assert_eq!(disk.take_lost().map(|lost| lost.pages), Some(1));
            disk.power_on();
            assert_eq!(disk.write(0, b"x"), Ok(()), "disarmed by the cut");
        }
    }

    #[test]
    fn the_first_page_is_never_torn() {
        for seed in 0..100 {
            let mut disk = Disk::new(1 << 20);
            disk.write(0, &[1; 4096]).unwrap();
            disk.cut(&mut Dice::new(seed));
            disk.power_on();
            let page = read(&disk, 0, 4096);
            assert!(page == [0; 4096] || page == [1; 4096], "seed {seed}");
        }
    }
}
