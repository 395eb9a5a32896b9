//! What the kernel says of this process, its threads and CPUs, read from `/proc`. It has one file open at a
//! time, and remembers nothing.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use std::os::unix::fs::MetadataExt;

/// Usage of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessUsage {
    pub(super) cpu_us: u64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
}

/// That of this process.
pub(super) fn process_usage() -> Option<ProcessUsage> {
    usage_of(&read("/proc/self/stat")?, page_size() as u64)
}

/// Open descriptors. From kernel 6.2 on the size of the directory says how many; before, it is 0 and they are counted.
pub(super) fn open_descriptors() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match std::fs::metadata(DIRECTORY).ok()?.size() {
        0 => Some(std::fs::read_dir(DIRECTORY).ok()?.count() as u64),
        count => Some(count),
    }
}

/// The limit of them; none: there is no limit.
pub(super) fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The times of all CPUs.
pub(super) fn cpus() -> Option<String> {
    read("/proc/stat")
}

/// Usage of one thread of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadUsage {
    pub(super) cpu_us: u64,
    pub(super) involuntary_switches: u64,
}

/// That of the thread with this number.
pub(super) fn thread_usage(thread: i32) -> Option<ThreadUsage> {
    let of = |name: &str| read(&format!("/proc/self/task/{thread}/{name}"));
    Some(ThreadUsage {
        cpu_us: usage_of(&of("stat")?, 0)?.cpu_us,
        involuntary_switches: involuntary_of(&of("status")?)?,
    })
}

/// Time that the hypervisor took from a CPU, from the lines of all CPUs.
pub(super) fn steal_us(cpus: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu} ");
    let line = cpus.lines().find(|line| line.starts_with(&name))?;
    let ticks = line.split_ascii_whitespace().nth(8)?;
    Some(us_of_ticks(ticks.parse().ok()?))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn us_of_ticks(ticks: u64) -> u64 {
    ticks * 1_000_000 / clock_ticks_per_second()
}

/// Reads a line of `/proc/PID/stat`. The name in it may hold anything, so the fields are counted behind its end.
fn usage_of(stat: &str, page_bytes: u64) -> Option<ProcessUsage> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ProcessUsage {
        cpu_us: us_of_ticks(field(14)? + field(15)?),
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * page_bytes,
    })
}

fn involuntary_of(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_that_looks_like_fields() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 300 200 5 6 20 0 9 0 100 1048576 25 18446744073709551615 1 2";
        let usage = usage_of(stat, 4096).unwrap();
        let ticks_us = us_of_ticks(500);
        let expected = (ticks_us, 1_048_576, 25 * 4096);
        assert_eq!(
            (usage.cpu_us, usage.virtual_bytes, usage.resident_bytes),
            expected
        );
        assert_eq!(usage_of("7 (a) S 1", 4096), None);
        assert_eq!(usage_of("", 4096), None);
    }

    #[test]
    fn steal_is_that_of_the_cpu_and_not_of_one_whose_number_begins_alike() {
        let cpus = "cpu  9 9 9 9 9 9 9 900 0 0\ncpu1 1 2 3 4 5 6 7 100 0 0\ncpu11 1 2 3 4 5 6 7 200 0 0\nintr 5\n";
        assert_eq!(steal_us(cpus, 1), Some(us_of_ticks(100)));
        assert_eq!(steal_us(cpus, 11), Some(us_of_ticks(200)));
        assert_eq!(steal_us(cpus, 2), None);
    }

    #[test]
    fn switches_are_the_involuntary_ones() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(involuntary_of(status), Some(3));
        assert_eq!(involuntary_of(""), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_thread() {
        // held, so that a process of this test alone has as much too
        let touched = std::hint::black_box(vec![1_u8; 4 << 20]);
        assert!(process_usage().unwrap().resident_bytes > 2 << 20);
        drop(touched);
        let open = |_| std::fs::File::open("/proc/self/stat").unwrap();
        let files: Vec<std::fs::File> = (0..16).map(open).collect();
        assert!(open_descriptors().unwrap() >= 16);
        drop(files);
        assert!(descriptors_max().is_none_or(|count| count > 3));
        assert!(cpus().unwrap().starts_with("cpu "));
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(thread_usage(thread).is_some());
        assert!(thread_usage(i32::MAX).is_none());
    }
}
