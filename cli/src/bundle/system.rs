//! Facts of the host: kernel, limits, control group, file system, and files of a log directory. It reads what the kernel shows, and of files in
//! the directory names and sizes only.

use crate::doctor::{mount_line, text_of};
use crate::fault;
use rustix::fs::statvfs;
use std::fmt::Write as _;
use std::fs::DirEntry;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Files of the kernel that say what a gateway meets.
const OF_HOST: [&str; 21] = [
    "/proc/version",
    "/etc/os-release",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/swaps",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/vulnerabilities/spectre_v2",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/proc/sys/kernel/io_uring_disabled",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog",
    "/proc/sys/vm/swappiness",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/max_map_count",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/nr_open",
];
/// Files of a control group, of the second version and of the first.
const OF_GROUP: [&str; 17] = [
    "cpu.max",
    "cpu.stat",
    "cpu.weight",
    "cpuset.cpus.effective",
    "cpuset.mems.effective",
    "io.max",
    "memory.current",
    "memory.events",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "pids.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpuset.cpus",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
];
/// Files of a process that say what it may do.
const OF_PROCESS: [&str; 5] = ["limits", "status", "cgroup", "io", "sched"];
/// Most files of a directory that are listed.
const LISTED_MAX: usize = 50_000;

/// The kernel and the machine.
pub(super) fn host() -> String {
    let mut text = String::new();
    for path in OF_HOST {
        show(&mut text, Path::new(path));
    }
    // All CPUs of a machine say the same but their numbers.
    let cpus = text_of("/proc/cpuinfo").unwrap_or_default();
    let first = cpus.split("\n\n").next().unwrap_or_default();
    let _ = writeln!(text, "== the first CPU of /proc/cpuinfo\n{first}\n");
    text
}

/// Limits and control group of a process; what this user may not see is left out.
pub(super) fn process(id: &str) -> Result<String, String> {
    let directory = Path::new("/proc").join(id);
    if !directory.is_dir() {
        return Err(format!("there is no process {id}"));
    }
    let mut text = String::new();
    for name in OF_PROCESS {
        show(&mut text, &directory.join(name));
    }
    for group in groups(&text_of(directory.join("cgroup")).unwrap_or_default()) {
        for name in OF_GROUP {
            show(&mut text, &group.join(name));
        }
    }
    Ok(text)
}

/// Directories of the control groups that a process is in.
fn groups(cgroup: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let below = path.trim_start_matches('/');
        Some(match controllers {
            "" => vec![root.join(below), root.join("unified").join(below)],
            // Inside of a container its own group is the root.
            of_first => vec![root.join(of_first).join(below), root.join(of_first)],
        })
    };
    let all = cgroup.lines().filter_map(of_line).flatten();
    all.filter(|it| it.is_dir()).collect()
}

fn show(text: &mut String, path: &Path) {
    if let Some(found) = text_of(path) {
        // writing to a string cannot fail
        let _ = writeln!(text, "== {}\n{found}\n", path.display());
    }
}

/// The file system below a directory: how it is mounted, and how full it is.
pub(super) fn file_system(directory: &Path) -> Result<String, String> {
    let why = |error: std::io::Error| format!("{}: {}", directory.display(), fault::why(&error));
    let path = directory.canonicalize().map_err(why)?;
    let found = statvfs(&path).map_err(|error| why(error.into()))?;
    let mounts = text_of("/proc/self/mountinfo").unwrap_or_default();
    let mount = mount_line(&mounts, &path);
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(format!(
        "mount {}\nbytes {} of which {} are free and {} for this user\ninodes {} of which {} are free\n",
        mount.unwrap_or("unknown"),
        bytes(found.f_blocks),
        bytes(found.f_bfree),
        bytes(found.f_bavail),
        found.f_files,
        found.f_ffree,
    ))
}

/// Names, sizes, modes and times of the files of a directory, and of directories in it.
pub(super) fn listing(directory: &Path) -> Result<String, String> {
    let mut lines = Vec::new();
    list(directory, "", &mut lines)
        .map_err(|error| format!("{}: {}", directory.display(), fault::why(&error)))?;
    lines.sort();
    let count = lines.len();
    lines.truncate(LISTED_MAX);
    if count > LISTED_MAX {
        lines.push(format!("… and {} more", count - LISTED_MAX));
    }
    let mut text = format!("{count} entries of {}\n", directory.display());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn list(directory: &Path, before: &str, lines: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        let is_directory = entry.file_type().is_ok_and(|it| it.is_dir());
        lines.push(row(&name, &entry));
        if is_directory && before.is_empty() {
            // One that this user may not read has a line of its own all the same.
            list(&entry.path(), &format!("{name}/"), lines).ok();
        }
    }
    Ok(())
}

fn row(name: &str, entry: &DirEntry) -> String {
    // A file may vanish while the directory is listed.
    let Ok(found) = entry.metadata() else {
        return format!("{name:<48} gone");
    };
    let changed = UNIX_EPOCH + Duration::from_secs(found.mtime().try_into().unwrap_or_default());
    format!(
        "{name:<48} {:>14} bytes {:>14} on disk  mode {:04o}  uid {}  {}",
        found.len(),
        found.blocks() * 512,
        found.mode() & 0o7777,
        found.uid(),
        humantime::format_rfc3339_seconds(changed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_this_host_and_process_are_there() {
        assert!(host().contains("== /proc/version\nLinux"));
        let own = process("self").unwrap();
        assert!(own.contains("Max open files"), "{own}");
        assert_eq!(
            process("no process").unwrap_err(),
            "there is no process no process"
        );
        assert!(file_system(Path::new("/")).unwrap().contains("inodes "));
        assert!(file_system(Path::new("/no/such")).is_err());
    }

    #[test]
    fn a_directory_is_listed_with_what_is_in_its_directories() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("deep/deeper")).unwrap();
        for (name, text) in [("a", "12345"), ("deep/b", ""), ("deep/deeper/c", "")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let text = listing(dir.path()).unwrap();
        let names: Vec<&str> = text
            .lines()
            .skip(1)
            .map(|it| it.split(' ').next().unwrap())
            .collect();
        assert_eq!(names, ["a", "deep", "deep/b", "deep/deeper"]);
        assert!(text.contains(" 5 bytes"), "{text}");
        assert!(listing(&dir.path().join("none")).is_err());
    }
}
