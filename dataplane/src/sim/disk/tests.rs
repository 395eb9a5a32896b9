//! The disk against a naive twin that copies whole files, and the few rules that a twin cannot say.

use super::*;

/// Whole files, copied at every sync.
#[derive(Default)]
struct Naive {
    seen: Vec<Vec<u8>>,
    medium: Vec<Vec<u8>>,
}

impl Naive {
    fn write(&mut self, at: usize, offset: usize, bytes: &[u8], reach: Reach) {
        for (which, file) in [&mut self.seen[at], &mut self.medium[at]]
            .into_iter()
            .enumerate()
        {
            if which == 0 || reach == Reach::Medium {
                let end = offset + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[offset..end].copy_from_slice(bytes);
            }
        }
    }
}

fn run(seed: u64, survival: Survival) {
    let mut dice = Dice::new(seed);
    let mut disk = Disk::new(1 << 20);
    let mut naive = Naive::default();
    let inodes: Vec<Inode> = (0..3).map(|at| disk.make(&format!("f{at}"))).collect();
    naive.seen.resize(3, Vec::new());
    naive.medium.resize(3, Vec::new());
    disk.sync_names();
    for _ in 0..60 {
        let at = dice.below(3) as usize;
        match dice.below(4) {
            0 => {
                disk.sync(inodes[at], disk.moment());
                naive.medium[at] = naive.seen[at].clone();
            }
            1 => {
                // Whole sectors, as what reaches the medium is sectors.
                let (offset, len) = (
                    dice.below(16) as usize * 512,
                    dice.between(1, 4) as usize * 512,
                );
                let bytes = dice.bytes(len);
                assert_eq!(
                    disk.write(inodes[at], offset as u64, &bytes, Reach::Medium),
                    len
                );
                naive.write(at, offset, &bytes, Reach::Medium);
            }
            _ => {
                let (offset, len) = (dice.below(8000) as usize, dice.between(1, 3000) as usize);
                let bytes = dice.bytes(len);
                assert_eq!(
                    disk.write(inodes[at], offset as u64, &bytes, Reach::Cache),
                    len
                );
                naive.write(at, offset, &bytes, Reach::Cache);
            }
        }
        for (at, inode) in inodes.iter().enumerate() {
            assert_eq!(disk.seen(*inode), naive.seen[at]);
        }
    }
    disk.cut_power(survival, &mut dice);
    for (at, inode) in inodes.iter().enumerate() {
        let expected = if survival == Survival::Nothing {
            &naive.medium[at]
        } else {
            &naive.seen[at]
        };
        let found = disk.seen(*inode);
        // Behind what the medium was told, a lost file end is zeros, garbage or nothing.
        let told = expected.len().min(naive.medium[at].len().max(
            if survival == Survival::Nothing {
                0
            } else {
                usize::MAX
            },
        ));
        assert!(
            found.len() >= told,
            "seed {seed}: the file is shorter than what was synced"
        );
        assert_eq!(found[..told], expected[..told], "seed {seed}, file {at}");
    }
}

#[test]
fn a_cut_that_keeps_nothing_leaves_what_was_synced_and_one_that_keeps_all_leaves_what_was_seen() {
    for seed in 0..300 {
        run(seed, Survival::Nothing);
        run(seed, Survival::Everything);
    }
}

#[test]
fn a_scattered_cut_leaves_each_sector_old_or_new() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..50 {
        let mut dice = Dice::new(seed);
        let mut disk = Disk::new(1 << 20);
        let inode = disk.make("f");
        disk.sync_names();
        disk.write(inode, 0, &[1; 8192], Reach::Cache);
        disk.sync(inode, disk.moment());
        disk.write(inode, 0, &[2; 8192], Reach::Cache);
        disk.cut_power(Survival::Scattered, &mut dice);
        for sector in disk.seen(inode).chunks(SECTOR_BYTES) {
            assert!(sector == [1; 512] || sector == [2; 512]);
            if sector[0] == 2 { kept += 1 } else { lost += 1 }
        }
    }
    assert!(kept > 100 && lost > 100);
}

#[test]
fn a_sync_covers_only_what_was_written_before_it() {
    let mut disk = Disk::new(1 << 20);
    let inode = disk.make("f");
    disk.sync_names();
    disk.write(inode, 0, &[1; 1024], Reach::Cache);
    disk.sync(inode, disk.moment());
    let before = disk.moment();
    disk.write(inode, 0, &[2; 512], Reach::Cache);
    disk.sync(inode, before);
    disk.cut_power(Survival::Nothing, &mut Dice::new(1));
    assert_eq!(disk.seen(inode), [1; 1024]);
}

#[test]
fn what_the_kernel_forgot_is_seen_until_the_cut_and_no_later_sync_saves_it() {
    let mut disk = Disk::new(1 << 20);
    let inode = disk.make("f");
    disk.sync_names();
    disk.write(inode, 0, &[1; 512], Reach::Cache);
    disk.sync(inode, disk.moment());
    disk.write(inode, 0, &[2; 512], Reach::Cache);
    disk.forget(inode, disk.moment());
    disk.sync(inode, disk.moment());
    assert_eq!(disk.seen(inode), [2; 512]);
    disk.cut_power(Survival::Everything, &mut Dice::new(1));
    assert_eq!(disk.seen(inode), [1; 512]);
}

#[test]
fn names_are_durable_only_behind_a_sync_of_the_directory() {
    let mut disk = Disk::new(1 << 20);
    let old = disk.make("manifest");
    disk.write(old, 0, b"old", Reach::Medium);
    disk.sync_names();
    let new = disk.make("manifest.new");
    disk.write(new, 0, b"new", Reach::Medium);
    assert!(disk.rename("manifest.new", "manifest"));
    let mut copy = disk.clone();
    copy.cut_power(Survival::Nothing, &mut Dice::new(1));
    assert_eq!(copy.seen(copy.find("manifest").unwrap()), b"old");
    assert_eq!(copy.find("manifest.new"), None);
    disk.sync_names();
    disk.cut_power(Survival::Nothing, &mut Dice::new(1));
    assert_eq!(disk.seen(disk.find("manifest").unwrap()), b"new");
    assert!(disk.unlink("manifest"));
    assert!(!disk.unlink("manifest"));
    disk.cut_power(Survival::Nothing, &mut Dice::new(1));
    assert!(
        disk.find("manifest").is_some(),
        "an unsynced removal is undone"
    );
}

#[test]
fn a_full_disk_takes_what_has_room() {
    let mut disk = Disk::new(1000);
    let inode = disk.make("f");
    assert_eq!(disk.write(inode, 0, &[1; 4096], Reach::Cache), 1000);
    assert_eq!(disk.write(inode, 1000, &[1; 10], Reach::Cache), 0);
    assert_eq!(
        disk.write(inode, 0, &[2; 1000], Reach::Cache),
        1000,
        "overwriting takes no room"
    );
    disk.truncate(inode, 10);
    assert_eq!(disk.free_bytes(), 990);
}

#[test]
fn an_unsynced_cut_of_a_file_may_come_back_with_the_mediums_bytes() {
    let mut shorter = 0;
    for seed in 0..40 {
        let mut disk = Disk::new(1 << 20);
        let inode = disk.make("f");
        disk.sync_names();
        disk.write(inode, 0, &[3; 2048], Reach::Medium);
        disk.truncate(inode, 512);
        disk.cut_power(Survival::Scattered, &mut Dice::new(seed));
        let found = disk.seen(inode);
        assert!(found == [3; 512] || found == [3; 2048]);
        shorter += usize::from(found.len() == 512);
    }
    assert!((5..36).contains(&shorter));
}

#[test]
fn a_mixed_cut_leaves_any_content_that_a_sector_was_given() {
    let mut seen = [0; 4];
    for seed in 0..100 {
        let mut disk = Disk::new(1 << 20);
        let inode = disk.make("f");
        disk.sync_names();
        disk.write(inode, 0, &[0; 4096], Reach::Medium);
        for version in 1..4u8 {
            disk.write(inode, 0, &[version; 4096], Reach::Cache);
        }
        disk.cut_power(Survival::Mixed, &mut Dice::new(seed));
        for sector in disk.seen(inode).chunks(SECTOR_BYTES) {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
            seen[usize::from(sector[0])] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
}
