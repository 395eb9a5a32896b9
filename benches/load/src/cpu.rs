//! Which CPU this thread may run on, and what a process has used of one so far.
//! It reads /proc and sets the affinity of the calling thread only; it never touches another process.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use rustix::thread::CpuSet;

/// Lets the calling thread, and whatever it starts from now on, run on this CPU only.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).map_err(|error| {
        io::Error::other(format!(
            "cannot run on CPU {cpu}: {error}; choose among the allowed ones (`taskset -p $$` shows them)"
        ))
    })
}

/// The CPUs that a thread may run on.
pub struct Affinity(CpuSet);

impl Affinity {
    /// Those of the calling thread.
    pub fn of_this_thread() -> io::Result<Self> {
        Ok(Self(rustix::thread::sched_getaffinity(None)?))
    }

    /// Lets the calling thread run on them again.
    pub fn apply(&self) -> io::Result<()> {
        Ok(rustix::thread::sched_setaffinity(None, &self.0)?)
    }
}

/// The CPU that a thread used while it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuUse {
    /// Time on a CPU.
    pub cpu: Duration,
    /// Time that passed.
    pub wall: Duration,
}

impl CpuUse {
    /// The part of one CPU, 0 to 1.
    pub fn share(&self) -> f64 {
        match self.wall.is_zero() {
            true => 0.0,
            false => self.cpu.as_secs_f64() / self.wall.as_secs_f64(),
        }
    }
}

/// Time that the calling thread has spent on a CPU.
pub fn used_by_this_thread() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(used.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), nanoseconds)
}

/// Lets the calling thread wake when it asked to, not up to 50 µs later. Where the kernel refuses, it is late by so much, and says
/// so in its lag.
pub fn wake_on_time() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// User and system time of a process, all its threads together, children apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Time in user mode.
    pub user: Duration,
    /// Time in the kernel on behalf of the process.
    pub system: Duration,
}

impl CpuTime {
    /// What process `id` has used since its start, from `/proc/ID/stat` (in steps of a clock tick, usually 10 ms).
    pub fn of_process(id: u32) -> io::Result<Self> {
        Ok(Stat::of_process(id)?.own)
    }

    /// What was used between an earlier reading and this one.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// User and system time together.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

impl std::ops::Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

/// What `/proc/ID/stat` says of a process, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The process that started it, or took it over.
    pub parent: u32,
    /// What it has used itself.
    pub own: CpuTime,
    /// What its children have used that ended and were waited for.
    pub of_children: CpuTime,
}

impl Stat {
    /// That of process `id`.
    pub fn of_process(id: u32) -> io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        parse_stat(&text, rustix::param::clock_ticks_per_second())
            .ok_or_else(|| io::Error::other(format!("/proc/{id}/stat has an unknown form: {text}")))
    }
}

/// Time that a CPU spent on anything but idling since the machine started, from `/proc/stat`.
pub fn busy_of_cpu(cpu: usize) -> io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    parse_cpu_busy(&text, cpu, rustix::param::clock_ticks_per_second())
        .ok_or_else(|| io::Error::other(format!("/proc/stat has no line for CPU {cpu}")))
}

/// The name in parentheses may hold spaces, so fields are counted behind the last `)`.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Stat> {
    let rest = text.get(text.rfind(')')? + 1..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let time = |at: usize| {
        let count = fields.get(at)?.parse().ok()?;
        Some(ticks(count, ticks_per_second))
    };
    let times = |user: usize, system: usize| {
        Some(CpuTime {
            user: time(user)?,
            system: time(system)?,
        })
    };
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: times(11, 12)?,
        of_children: times(13, 14)?,
    })
}

fn parse_cpu_busy(text: &str, cpu: usize, ticks_per_second: u64) -> Option<Duration> {
    let name = format!("cpu{cpu} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields: Vec<u64> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = fields
        .iter()
        .enumerate()
        .filter(|(index, _)| *index < 8 && *index != 3 && *index != 4);
    Some(ticks(busy.map(|(_, count)| count).sum(), ticks_per_second))
}

fn ticks(count: u64, per_second: u64) -> Duration {
    Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_spaces_and_parentheses() {
        let text = "7 (a (b) c) S 3 2 3 4 5 6 7 8 9 10 150 250 5 6 20 0 1 0";
        let time = |user, system| CpuTime {
            user: Duration::from_millis(user),
            system: Duration::from_millis(system),
        };
        let expected = Stat {
            parent: 3,
            own: time(1500, 2500),
            of_children: time(50, 60),
        };
        assert_eq!(parse_stat(text, 100), Some(expected));
    }

    #[test]
    fn idle_and_waiting_are_not_busy() {
        let text = "cpu  9 9 9 9\ncpu0 1 2 3 1000 2000 4 5 6 7 8\ncpu1 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(
            parse_cpu_busy(text, 0, 100),
            Some(Duration::from_millis(210))
        );
        assert_eq!(parse_cpu_busy(text, 2, 100), None);
    }

    #[test]
    fn the_own_process_can_be_read() {
        assert!(CpuTime::of_process(std::process::id()).is_ok());
        assert!(busy_of_cpu(0).is_ok());
    }
}
