//! A disk that gets full, refuses changes, turns read-only or is slow, and a process out of descriptors, while slices are
//! sealed and merged under load: what was acknowledged is answered as before, and all goes on by itself where the cause goes.

use crate::faults::load::{Keeper, Load};
use flk_e2e::setting::Setting;
use flk_e2e::volume::{Undone, Volume, on_a_small_disk};
use flk_testkit::gateway::{Gateway, status_of};
use flk_testkit::process::Process;
use flk_testkit::{DEADLINE, comes_true, wait_until};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod load;

/// Each test on ext4, under both drivers.
macro_rules! on_ext4 {
    ($($test:ident),* $(,)?) => {
        mod uring { $(#[test] fn $test() { crate::run(flk_e2e::setting::Setting::Uring, super::$test); })* }
        mod portable { $(#[test] fn $test() { crate::run(flk_e2e::setting::Setting::Portable, super::$test); })* }
    };
}

on_ext4!(
    a_full_disk_is_waited_out_by_seals_and_merges,
    a_directory_that_refuses_files_is_waited_out_by_seals_and_merges,
    want_of_descriptors_is_waited_out_by_seals_and_merges,
    a_disk_that_stands_still_again_and_again_delays_seals_and_merges_only,
    a_file_system_that_turns_read_only_ends_the_process_and_loses_nothing,
);

const VOLUME_BYTES: u64 = 256 << 20;

/// So many slices there are; one more, and two are merged.
const SLICES: u64 = 20;

/// How long the slow disk stands still at a time.
const STANDSTILL: Duration = Duration::from_millis(200);

/// A gateway under load, with as many slices as there may be.
fn under_load(setting: Setting, test: impl FnOnce(&Volume, &Load, Gateway) + Send) {
    on_a_small_disk(setting, VOLUME_BYTES, |volume| {
        let wal = volume.path().join("wal");
        let plan = setting.plan(&wal).with("FLK_CORES", "1");
        let load = Load::default();
        test(volume, &load, plan.start());
        let gateway = plan.start();
        load.finds_everything(&gateway);
        has_no_file_too_many(&wal);
        assert_eq!(gateway.stop().code(), 0);
    });
}

fn slices_are_as_many_as_may_be(keeper: &mut Keeper) {
    while keeper.status()["slices"].as_u64() < Some(SLICES) {
        keeper.seal();
    }
}

/// A cause comes while a seal is under way and a merge is due, and goes when clients and keeper have met it.
fn waits_out<C>(
    setting: Setting,
    (refusal, said): (&str, &str),
    begin: impl FnOnce(&Volume, &Gateway) -> Option<C> + Send,
    mut keep_up: impl FnMut(&mut C) + Send,
) {
    under_load(setting, |volume, load, gateway| {
        let wal = volume.path().join("wal");
        let mut keeper = Keeper::of(&wal);
        load.run(&gateway, || {
            slices_are_as_many_as_may_be(&mut keeper);
            keeper.seal();
            let sealed = keeper.status()["sealed_decisions"].as_u64();
            keeper.ask_to_seal();
            let Some(mut cause) = begin(volume, &gateway) else {
                return flk_testkit::skipped("this fault is not possible here");
            };
            keeper.is_sealed();
            wait_until("clients have met it", DEADLINE, || {
                keep_up(&mut cause);
                load.refused_count(refusal) > 0 && gateway.said().contains(said)
            });
            let asked = load.asked_again_count();
            wait_until("known ids were asked for", DEADLINE, || {
                load.asked_again_count() > asked + 20
            });
            drop(cause);
            goes_on(load, &mut keeper, sealed);
        });
        has_no_file_too_many(&wal);
        load.finds_everything(&gateway);
        assert_eq!(gateway.stop().code(), 0);
    });
}

/// Records are taken, sealed, and slices merged.
fn goes_on(load: &Load, keeper: &mut Keeper, sealed: Option<u64>) {
    let taken = load.taken_count();
    wait_until("records are taken again", DEADLINE, || {
        load.taken_count() > taken + 100
    });
    wait_until("seals and merges go on", DEADLINE, || {
        let status = keeper.status();
        status["sealed_decisions"].as_u64() > sealed && status["slices"].as_u64() <= Some(SLICES)
    });
}

/// Each file of the log is one that the manifest names.
fn has_no_file_too_many(wal: &Path) {
    wait_until("no file is left behind", DEADLINE, || {
        let status = status_of(wal);
        let names = std::fs::read_dir(wal).unwrap();
        let names: Vec<String> = names
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        let count = |start: &str| names.iter().filter(|it| it.starts_with(start)).count() as u64;
        let of = |name: &str| status[name].as_u64().unwrap();
        count("slice-") == of("slices")
            && count("segment-") == of("segments") + of("preallocated")
            && count("manifest.new") == 0
            && of("orphan_bytes") == 0
    });
}

fn a_full_disk_is_waited_out_by_seals_and_merges(setting: Setting) {
    let begin = |volume: &Volume, _: &Gateway| Some(Ballast::on(volume));
    // What would fail for want of room is not begun.
    let told = ("disk_full", "disk nearly full");
    waits_out(setting, told, begin, Ballast::take_all);
}

/// A file that takes all the room there is.
struct Ballast {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Ballast {
    fn on(volume: &Volume) -> Ballast {
        let path = volume.path().join("ballast");
        let file = File::create(&path).unwrap();
        let mut ballast = Ballast {
            path,
            file,
            bytes: 0,
        };
        ballast.take_all();
        ballast
    }

    /// The gateway frees some room now and then, as it may.
    fn take_all(&mut self) {
        for piece_bytes in [4 << 20, 64 << 10, 4 << 10] {
            loop {
                let flags = FallocateFlags::empty();
                match fallocate(&self.file, flags, self.bytes, piece_bytes) {
                    Ok(()) => self.bytes += piece_bytes,
                    Err(Errno::NOSPC) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

fn a_directory_that_refuses_files_is_waited_out_by_seals_and_merges(setting: Setting) {
    let begin = |volume: &Volume, _: &Gateway| {
        Undone::by("chattr", &["+i"], &["-i"], &volume.path().join("wal"))
    };
    waits_out(
        setting,
        ("wal_unavailable", "trying again later"),
        begin,
        |_| {},
    );
}

fn want_of_descriptors_is_waited_out_by_seals_and_merges(setting: Setting) {
    let begin = |_: &Volume, gateway: &Gateway| Some(FewFiles::of(gateway));
    waits_out(
        setting,
        ("wal_unavailable", "trying again later"),
        begin,
        |_| {},
    );
}

/// A process that may open no further file.
struct FewFiles {
    process: Pid,
    before: Rlimit,
}

impl FewFiles {
    fn of(gateway: &Process) -> FewFiles {
        let process = Pid::from_raw(gateway.id() as i32).unwrap();
        let set = |limit| prlimit(Some(process), Resource::Nofile, limit).unwrap();
        // What is open stays open.
        let before = set(Rlimit {
            current: Some(3),
            maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
        });
        FewFiles { process, before }
    }
}

impl Drop for FewFiles {
    fn drop(&mut self) {
        let limit = self.before;
        prlimit(Some(self.process), Resource::Nofile, limit).unwrap();
    }
}

fn a_disk_that_stands_still_again_and_again_delays_seals_and_merges_only(setting: Setting) {
    under_load(setting, |volume, load, gateway| {
        let wal = volume.path().join("wal");
        let (mut keeper, mut observer) = (Keeper::of(&wal), Keeper::of(&wal));
        load.run(&gateway, || {
            slices_are_as_many_as_may_be(&mut keeper);
            let sealed = keeper.status()["sealed_decisions"].as_u64();
            keeper.ask_to_seal();
            // Every flush that comes meanwhile takes as long.
            wait_until("sealed and merged", DEADLINE, || {
                let Some(frozen) = Undone::by("fsfreeze", &["-f"], &["-u"], volume.path()) else {
                    flk_testkit::skipped("fsfreeze is not possible here");
                    return true;
                };
                comes_true(STANDSTILL, || false);
                drop(frozen);
                let status = observer.status();
                let slices = status["slices"].as_u64();
                status["sealed_decisions"].as_u64() > sealed && slices <= Some(SLICES)
            });
            keeper.is_sealed();
            goes_on(load, &mut keeper, sealed);
            assert_eq!(load.refusals(), [], "{}", gateway.said());
        });
        has_no_file_too_many(&wal);
        load.finds_everything(&gateway);
        assert_eq!(gateway.stop().code(), 0);
    });
}

fn a_file_system_that_turns_read_only_ends_the_process_and_loses_nothing(setting: Setting) {
    for while_merging in [false, true] {
        under_load(setting, |volume, load, gateway| {
            let mut keeper = Keeper::of(&volume.path().join("wal"));
            load.run(&gateway, || {
                slices_are_as_many_as_may_be(&mut keeper);
                match while_merging {
                    true => keeper.seal(),
                    false => keeper.ask_to_seal(),
                }
                if let Err(missing) = volume.turn_read_only() {
                    flk_testkit::skipped(&format!("a read-only file system: {missing}"));
                }
                // The log meets it, or the keeper does, and then nothing is written any more.
                wait_until("it is met", DEADLINE, || {
                    load.cut_off_count() > 0 || load.refused_count("wal_unavailable") > 0
                });
                // Answers are not held back for log lines.
                wait_until("it is said", DEADLINE, || {
                    load.cut_off_count() > 0 || gateway.said().contains("read-only mount")
                });
            });
            let ended = match load.cut_off_count() {
                0 => gateway.kill(),
                _ => gateway.ended(DEADLINE),
            };
            assert!([None, Some(74)].contains(&ended.status.code()), "{ended}");
            // A sync that is under way at that moment fails otherwise than what begins behind it.
            let read_only = ["Read-only file system", "read-only mount"];
            let failed_sync = ["Input/output error", "Check the disk"];
            let says = |words: [&str; 2]| words.iter().all(|word| ended.said.contains(word));
            assert!(says(read_only) || says(failed_sync), "{ended}");
            volume.repair().unwrap();
        });
    }
}
