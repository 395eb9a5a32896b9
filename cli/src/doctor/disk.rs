//! The disk under WAL_DIR: whether it may be written, what kind of file system it is, how long it takes to make a block
//! durable, and how much room there is. Its trial file is gone before it ends.

mod device;
mod mount;

pub(crate) use mount::line as mount_line;

use super::finding::{Finding, Place};
use super::host::Host;
use device::Device;
use flk_dataplane::config::Config;
use flk_dataplane::config::units::show_bytes;
use flk_dataplane::driver::flush_time::flush_times;
use flk_dataplane::driver::probe::{WriteMethod, write_method};
use flk_dataplane::run::log_plan;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Durable writes of one block that are timed.
const FLUSHES_COUNT: usize = 200;
/// A batch waits for one flush: above this median a gateway answers slowly at any load.
const FLUSH_P50_MAX: Duration = Duration::from_millis(5);
/// Above this one in a hundred batches holds up what is behind it.
const FLUSH_P99_MAX: Duration = Duration::from_millis(20);
/// Room below which the log of an hour at a modest rate does not fit.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Files that a gateway may have.
const INODES_MIN: u64 = 1_000;

/// The disk for so many shards.
pub(super) fn check(host: &Host, config: &Config, shards: u16) -> Vec<Finding> {
    let path = nearest(&config.wal_dir);
    let opened = open(&path);
    let tried = opened.and_then(|directory| {
        let method = write_method(directory.as_fd())?;
        let times = flush_times(directory.as_fd(), &method, FLUSHES_COUNT)?;
        Ok((directory, method, times))
    });
    let (directory, method, times) = match tried {
        Ok(tried) => tried,
        Err(error) => return vec![mount::check(host, &path), unusable(&config.wal_dir, &error)],
    };
    let mut findings = vec![
        usable(&config.wal_dir, &path),
        mount::check(host, &path),
        writes(&method),
        flush(&times),
        power_loss(&times, Device::below(host, directory.as_fd())),
    ];
    findings.extend(room(config, directory.as_fd(), shards));
    findings
}

/// The directory, or the part of its path that is there: a start makes the rest.
fn nearest(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find(|it| it.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn open(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn usable(wal_dir: &Path, nearest: &Path) -> Finding {
    let (check, shown) = ("directory", wal_dir.display());
    let is_there = std::path::absolute(wal_dir).is_ok_and(|path| path == nearest);
    match is_there {
        true => Finding::ok(check, format!("{shown} may be written")),
        false => Finding::ok(
            check,
            format!(
                "{shown} is not there yet; {} may be written",
                nearest.display()
            ),
        ),
    }
}

fn unusable(wal_dir: &Path, error: &std::io::Error) -> Finding {
    let why = crate::fault::why(error);
    let shown = wal_dir.display();
    let finding = Finding::fail(
        "directory",
        format!("{shown}: {why}"),
        "a directory that this user may write",
    )
    .fix(Place::Setting, "WAL_DIR: the path of a directory");
    if error.kind() == std::io::ErrorKind::NotADirectory {
        return finding;
    }
    finding
        .fix(
            Place::Host,
            format!("chown the user of the gateway {shown}; chmod 700 {shown}"),
        )
        .fix(
            Place::Systemd,
            "StateDirectory=flk, WAL_DIR=/var/lib/flk/wal",
        )
        .fix(
            Place::Compose,
            "volumes: [\"wal:/data\"], user: the owner of the volume",
        )
        .fix(
            Place::Kubernetes,
            "securityContext.fsGroup: the gateway's group, and a volume that is not read-only",
        )
}

fn writes(method: &WriteMethod) -> Finding {
    let check = "log writes";
    match method.direct {
        true => Finding::ok(check, method.why.clone()),
        false => Finding::warn(
            check,
            method.why.clone(),
            "direct writes: one operation in place of two for each batch",
        )
        .fix(Place::Host, "ext4 or xfs on a local device for WAL_DIR")
        .fix(
            Place::Kubernetes,
            "a volume of block storage (ext4 or xfs), not a shared file system",
        ),
    }
}

/// The time at `share` of sorted times.
fn at(times: &[Duration], share: f64) -> Duration {
    let last = times.len().saturating_sub(1);
    times
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or_default()
}

fn us(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}

fn flush(times: &[Duration]) -> Finding {
    let check = "flush";
    let (p50, p99) = (at(times, 0.5), at(times, 0.99));
    let found = format!(
        "p50 {}, p99 {} for one durable block ({} writes)",
        us(p50),
        us(p99),
        times.len()
    );
    match p50 > FLUSH_P50_MAX || p99 > FLUSH_P99_MAX {
        false => Finding::ok(check, found),
        true => Finding::warn(
            check,
            found,
            "p50 below 5 ms and p99 below 20 ms: every answer waits for one of these",
        )
        .fix(Place::Host, "a device of its own for WAL_DIR: NVMe, or a disk behind a cache that survives a power cut")
        .fix(Place::Kubernetes, "a storage class with local or provisioned IOPS"),
    }
}

/// What the device says of its cache, and whether the time fits that. A guess, for devices do not tell.
fn power_loss(times: &[Duration], device: Option<Device>) -> Finding {
    let check = "power loss";
    let p50 = at(times, 0.5);
    let Some(device) = device else {
        return Finding::unknown(
            check,
            "no block device is seen under WAL_DIR: ask whoever runs the storage",
        );
    };
    let name = &device.name;
    match (device.has_write_cache, device.is_rotating) {
        (false, _) => Finding::ok(
            check,
            format!("{name} reports no volatile write cache: what it confirms outlives a power cut, if that is true"),
        ),
        (true, true) if p50 < Duration::from_millis(2) => Finding::warn(
            check,
            format!("{name} is a disk with a volatile cache and takes {} for a flush", us(p50)),
            "some milliseconds: a rotating disk cannot be so fast unless its cache confirms what is not written",
        )
        .fix(Place::Host, format!("hdparm -W0 /dev/{name}, or a controller whose cache has a battery")),
        (true, _) => Finding::unknown(
            check,
            format!(
                "{name} has a write cache and takes {} for a flush: {}",
                us(p50),
                match p50 < Duration::from_micros(150) {
                    true => "so fast are devices with power-loss protection, and virtual disks whose host keeps the promise; its data sheet tells",
                    false => "it seems to write through to the medium",
                }
            ),
        ),
    }
}

fn room(config: &Config, directory: BorrowedFd<'_>, shards: u16) -> Vec<Finding> {
    let Ok(space) = rustix::fs::fstatvfs(directory) else {
        return Vec::new();
    };
    let free_bytes = space.f_bavail * space.f_frsize;
    let plan = log_plan(config, space.f_blocks * space.f_frsize, shards);
    // Some file systems have as many inodes as they have room for, and say 0 of 0.
    let inodes = (space.f_files > 0).then_some(space.f_favail);
    vec![log_room(plan), free(free_bytes), files(inodes)]
}

fn log_room(plan: Result<String, String>) -> Finding {
    let check = "log size";
    match plan {
        Ok(found) if found.contains("WARNING") => Finding::warn(
            check,
            found,
            "room for four segments of each shard and 8 MiB",
        )
        .fix(Place::Host, "a larger volume")
        .fix(Place::Setting, "FLK_CORES, WAL_SEGMENT_BYTES")
        .fix(Place::Kubernetes, "a larger volume claim"),
        Ok(found) => Finding::ok(check, found),
        Err(why) => Finding::fail(check, why, "a cap that the segments in use fit into").fix(
            Place::Setting,
            "WAL_MAX_BYTES, FLK_CORES, WAL_SEGMENT_BYTES",
        ),
    }
}

fn free(bytes: u64) -> Finding {
    let check = "free space";
    match bytes < FREE_BYTES_MIN {
        false => Finding::ok(check, show_bytes(bytes)),
        true => Finding::warn(
            check,
            show_bytes(bytes),
            format!("{} and more", show_bytes(FREE_BYTES_MIN)),
        )
        .fix(Place::Host, "free some, or a larger volume")
        .fix(
            Place::Setting,
            "a lower WAL_MAX_AGE or WAL_MAX_BYTES deletes sooner",
        )
        .fix(Place::Kubernetes, "a larger volume claim"),
    }
}

fn files(inodes: Option<u64>) -> Finding {
    let check = "inodes";
    match inodes {
        None => Finding::ok(check, "no limit"),
        Some(count) if count >= INODES_MIN => Finding::ok(check, format!("{count} free")),
        Some(count) => Finding::fail(
            check,
            format!("{count} free"),
            format!("{INODES_MIN} and more"),
        )
        .fix(
            Place::Host,
            "a file system of its own for WAL_DIR, or one made with more inodes (mkfs.ext4 -N)",
        )
        .fix(Place::Kubernetes, "a volume of its own for WAL_DIR"),
    }
}

#[cfg(test)]
mod tests;
