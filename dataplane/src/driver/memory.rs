//! The memory that this process may use before the kernel kills it: the smallest limit of its cgroups and of the machine. It
//! reads limits; it measures and reserves nothing.

use super::cgroup::{Cgroups, number};
use std::path::Path;

/// A limit and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// The origin, in words.
    pub what: &'static str,
}

/// The smallest limit that can be found.
pub fn memory_limit() -> Option<MemoryLimit> {
    let machine = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    limit_of(&Cgroups::of_this_process(), &machine)
}

fn limit_of(groups: &Cgroups, meminfo: &str) -> Option<MemoryLimit> {
    let of = |what, bytes: Option<f64>| {
        let bytes = bytes? as u64;
        Some(MemoryLimit { bytes, what })
    };
    let group = of("its cgroup", groups.tightest("memory", limit_v1, limit_v2));
    let machine = of("this machine", total(meminfo));
    let limits = group.into_iter().chain(machine);
    limits.min_by_key(|limit| limit.bytes)
}

/// "No limit" is a number near 2^63, which is more than any machine has.
fn limit_v1(directory: &Path) -> Option<f64> {
    number(directory, "memory.limit_in_bytes")
}

/// Above `memory.high` the kernel throttles the group until it hardly runs; above `memory.max` it kills a process.
fn limit_v2(directory: &Path) -> Option<f64> {
    let limits = ["memory.high", "memory.max"].map(|name| number(directory, name));
    limits.into_iter().flatten().min_by(f64::total_cmp)
}

fn total(meminfo: &str) -> Option<f64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::cgroup::Mount;

    const MACHINE: &str = "MemTotal:       16384 kB\nMemFree:         1 kB\n";

    #[test]
    fn the_smallest_limit_of_both_versions_all_ancestors_and_the_machine_counts() {
        let mount = Mount::new();
        let groups = mount.with_groups("4:memory:/pods/x\n3:cpu:/other\n0::/slice/unit\n");
        let check = |bytes: u64, what: &str| {
            let limit = limit_of(&groups, MACHINE).unwrap();
            assert_eq!((limit.bytes, limit.what), (bytes, what));
        };
        check(16 << 20, "this machine");
        mount.put(
            "memory/pods/x/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        mount.put("slice/unit/memory.max", "max\n");
        mount.put("slice/unit/memory.high", "max\n");
        check(16 << 20, "this machine");
        mount.put("memory/pods/memory.limit_in_bytes", "8388608\n");
        check(8 << 20, "its cgroup");
        mount.put("slice/memory.max", "4194304\n");
        check(4 << 20, "its cgroup");
        mount.put("slice/unit/memory.high", "2097152\n");
        check(2 << 20, "its cgroup");
        mount.put("unified/memory.max", "1\n");
        check(2 << 20, "its cgroup");
        assert_eq!(limit_of(&mount.with_groups(""), ""), None);
    }

    #[test]
    fn a_limit_at_the_mount_itself_is_that_of_a_container() {
        let mount = Mount::new();
        mount.put("memory/memory.limit_in_bytes", "1048576\n");
        let groups = mount.with_groups("4:memory:/docker/not-visible-here\n");
        assert_eq!(limit_of(&groups, MACHINE).unwrap().bytes, 1 << 20);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(memory_limit().unwrap().bytes > 1 << 20);
    }
}
