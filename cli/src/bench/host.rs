//! What the generator ran on: CPU and kernel, and how much memory is free. It reads /proc, and names no host, path or user.

use super::saved::Machine;

/// Looks at this machine; what cannot be read is empty.
pub(super) fn look() -> Machine {
    let cpus = text("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Machine {
        cpu: model.map_or_else(String::new, |(_, name)| name.trim().to_owned()),
        cpus_count: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
    }
}

/// Memory that programs can still have, in bytes; none where the kernel does not say.
pub(super) fn memory_available() -> Option<u64> {
    let text = text("/proc/meminfo");
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
