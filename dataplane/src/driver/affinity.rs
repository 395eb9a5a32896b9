//! The CPUs of the shards: those that the process may use, at most as many as its cgroup quota, as `FLK_CORES` asks for. It
//! reads masks and quotas and pins threads; it knows nothing of shards.

use super::cgroup::{Cgroups, number};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fmt;
use std::path::Path;

/// CPUs that this process may run on, ascending.
pub fn allowed_cpus() -> std::io::Result<Vec<usize>> {
    let mask = sched_getaffinity(None)?;
    let known = 0..CpuSet::MAX_CPU;
    Ok(known.filter(|&cpu| mask.is_set(cpu)).collect())
}

/// Pins the calling thread to one CPU.
pub fn pin(cpu: usize) -> std::io::Result<()> {
    let mut mask = CpuSet::new();
    mask.set(cpu);
    Ok(sched_setaffinity(None, &mask)?)
}

/// CPUs' worth of time that the cgroup of this process (version 1 or 2, the tightest of its ancestors) may use, if limited.
pub fn quota_cpus() -> Option<f64> {
    quota_of(&Cgroups::of_this_process())
}

fn quota_of(groups: &Cgroups) -> Option<f64> {
    groups.tightest("cpu", quota_v1, quota_v2)
}

/// `cpu.max` is `QUOTA PERIOD` or `max PERIOD`.
fn quota_v2(directory: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(directory.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// A quota of -1 means none.
fn quota_v1(directory: &Path) -> Option<f64> {
    let quota = number(directory, "cpu.cfs_quota_us").filter(|&quota| quota > 0.0)?;
    Some(quota / number(directory, "cpu.cfs_period_us")?)
}

/// `FLK_CORES` cannot be satisfied.
#[derive(Clone, Debug, PartialEq)]
pub struct CoresError {
    /// What was typed.
    pub value: String,
    /// CPUs that the process may run on.
    pub allowed: Vec<usize>,
    /// CPUs' worth of time that its cgroup may use, if limited.
    pub quota: Option<f64>,
    /// What is wrong.
    pub problem: CoresProblem,
}

/// What is wrong with `FLK_CORES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoresProblem {
    /// Neither a count nor a list.
    NotCores,
    /// No core at all.
    None,
    /// More than the process may use.
    TooMany,
    /// A CPU that the process may not run on.
    NotAllowed(usize),
    /// A CPU named twice.
    Twice(usize),
}

impl fmt::Display for CoresError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FLK_CORES={}: ", self.value)?;
        match self.problem {
            CoresProblem::NotCores => write!(out, "not a count (4) or a list of CPUs (0,2-5)")?,
            CoresProblem::None => write!(out, "at least one core is needed")?,
            CoresProblem::TooMany => write!(out, "more cores than this process may use")?,
            CoresProblem::NotAllowed(cpu) => {
                write!(out, "this process may not run on CPU {cpu}")?;
            }
            CoresProblem::Twice(cpu) => write!(out, "CPU {cpu} is named twice")?,
        }
        let allowed: Vec<String> = self.allowed.iter().map(usize::to_string).collect();
        write!(out, "; allowed: CPUs {}", allowed.join(","))?;
        match self.quota {
            Some(quota) => write!(out, ", and a cgroup quota of {quota:.2} CPUs"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CoresError {}

/// The CPUs for the shards, one each. Without a setting: all allowed CPUs, at most as many as the quota, at least one.
pub fn choose_cores(
    setting: Option<&str>,
    allowed: &[usize],
    quota: Option<f64>,
) -> Result<Vec<usize>, CoresError> {
    let quota_count = quota.map_or(usize::MAX, |quota| (quota as usize).max(1));
    let count_max = allowed.len().min(quota_count);
    let Some(value) = setting.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(allowed[..count_max].to_vec());
    };
    let refuse = |problem| CoresError {
        value: value.to_owned(),
        allowed: allowed.to_vec(),
        quota,
        problem,
    };
    let cores = match value.parse::<usize>() {
        Ok(count) if count > count_max => return Err(refuse(CoresProblem::TooMany)),
        Ok(count) => allowed[..count].to_vec(),
        Err(_) => parse_list(value).ok_or_else(|| refuse(CoresProblem::NotCores))?,
    };
    for (index, cpu) in cores.iter().enumerate() {
        if !allowed.contains(cpu) {
            return Err(refuse(CoresProblem::NotAllowed(*cpu)));
        }
        if cores[..index].contains(cpu) {
            return Err(refuse(CoresProblem::Twice(*cpu)));
        }
    }
    match cores.len() {
        0 => Err(refuse(CoresProblem::None)),
        count if count > count_max => Err(refuse(CoresProblem::TooMany)),
        _ => Ok(cores),
    }
}

/// Whether a text is a count of cores or a list of CPUs, wherever it is to run.
pub fn is_cores(text: &str) -> bool {
    match text.trim().parse::<usize>() {
        Ok(count) => count > 0,
        Err(_) => parse_list(text.trim()).is_some(),
    }
}

/// CPUs of a list as the kernel writes it and the setting takes it: `0,2-5` in ascending ranges. A single CPU is written as a range or with a comma (`3-3`, `3,`), because `3` is a count.
pub fn parse_list(text: &str) -> Option<Vec<usize>> {
    let text = text.strip_suffix(',').unwrap_or(text);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().ok()?;
        let last: usize = last.trim().parse().ok()?;
        if first > last || last >= CpuSet::MAX_CPU {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::cgroup::Mount;

    fn check(setting: &str, quota: Option<f64>, expected: Result<&[usize], CoresProblem>) {
        let allowed = [0, 2, 3, 5, 8];
        let setting = (!setting.is_empty()).then_some(setting);
        let chosen = choose_cores(setting, &allowed, quota);
        let chosen = chosen.as_deref().map_err(|error| error.problem);
        assert_eq!(chosen, expected, "{setting:?} with quota {quota:?}");
    }

    #[test]
    fn a_count_takes_the_first_allowed_cpus_and_a_list_names_them() {
        check("", None, Ok(&[0, 2, 3, 5, 8]));
        check("3", None, Ok(&[0, 2, 3]));
        check("8,2-3", None, Ok(&[8, 2, 3]));
        check("5-5", None, Ok(&[5]));
        check("5,", None, Ok(&[5]));
    }

    #[test]
    fn the_quota_bounds_the_default_and_what_may_be_asked_for() {
        check("", Some(2.5), Ok(&[0, 2]));
        check("", Some(0.3), Ok(&[0]));
        check("3", Some(2.5), Err(CoresProblem::TooMany));
        check("0,2,3", Some(2.0), Err(CoresProblem::TooMany));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        check("0", None, Err(CoresProblem::None));
        check("6", None, Err(CoresProblem::TooMany));
        check("0-2", None, Err(CoresProblem::NotAllowed(1)));
        check("2,2", None, Err(CoresProblem::Twice(2)));
        for wrong in ["two", "3-2", "-1", "1,,2", "0-99999999999", ","] {
            check(wrong, None, Err(CoresProblem::NotCores));
        }
        let error = choose_cores(Some("9"), &[0, 1], Some(1.5)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "FLK_CORES=9: more cores than this process may use; allowed: CPUs 0,1, and a cgroup quota of 1.50 CPUs"
        );
    }

    #[test]
    fn the_tightest_quota_of_both_versions_and_all_ancestors_counts() {
        let mount = Mount::new();
        let groups = "4:memory:/x\n3:cpu,cpuacct:/pods/one\n0::/slice/unit\n";
        let groups = mount.with_groups(groups);
        assert_eq!(quota_of(&groups), None);
        mount.put("slice/unit/cpu.max", "max 100000\n");
        assert_eq!(quota_of(&groups), None);
        mount.put("slice/cpu.max", "350000 100000\n");
        assert_eq!(quota_of(&groups), Some(3.5));
        mount.put("cpu,cpuacct/pods/one/cpu.cfs_quota_us", "-1\n");
        mount.put("cpu,cpuacct/pods/one/cpu.cfs_period_us", "100000\n");
        assert_eq!(quota_of(&groups), Some(3.5));
        mount.put("cpu,cpuacct/pods/cpu.cfs_quota_us", "150000\n");
        mount.put("cpu,cpuacct/pods/cpu.cfs_period_us", "100000\n");
        assert_eq!(quota_of(&groups), Some(1.5));
    }

    #[test]
    fn a_pinned_thread_runs_where_it_was_told_to() {
        let cpu = *allowed_cpus().unwrap().last().unwrap();
        let ran_on = std::thread::spawn(move || {
            pin(cpu).unwrap();
            rustix::thread::sched_getcpu()
        });
        assert_eq!(ran_on.join().unwrap(), cpu);
    }
}
