//! The CPUs that shards would run on: whether there are as many as asked for, whether two of them share a core or lie on
//! different NUMA nodes, and whether they keep their pace. It pins nothing.

use super::finding::{Finding, Place};
use super::host::{Host, cores_text, cpu_list};
use flk_dataplane::config::Config;
use flk_dataplane::driver::affinity::{allowed_cpus, choose_cores, quota_cpus};
use std::collections::{BTreeMap, BTreeSet};

/// The CPUs of the shards, one each, and what is to be said of their number.
pub(super) fn cores(config: &Config) -> (Vec<usize>, Finding) {
    let allowed = allowed_cpus().unwrap_or_default();
    of(config.cores.as_deref(), &allowed, quota_cpus())
}

fn of(setting: Option<&str>, allowed: &[usize], quota: Option<f64>) -> (Vec<usize>, Finding) {
    let check = "cpus";
    let cores = match choose_cores(setting, allowed, quota) {
        Ok(cores) => cores,
        Err(error) => {
            let finding = Finding::fail(check, error.to_string(), "CPUs that this process may use")
                .fix(
                    Place::Setting,
                    "FLK_CORES: a count or a list within what is allowed",
                )
                .fix(Place::Systemd, "AllowedCPUs=, CPUQuota=")
                .fix(Place::Compose, "cpuset: \"0-1\"")
                .fix(
                    Place::Kubernetes,
                    "resources: requests and limits of equal, whole CPUs",
                );
            return (allowed.iter().copied().take(1).collect(), finding);
        }
    };
    let found = format!("{} shard(s) on CPU {}", cores.len(), cores_text(&cores));
    let finding = match quota {
        Some(quota) if quota < cores.len() as f64 || quota.fract() != 0.0 => Finding::warn(
            check,
            format!("{found}; the cgroup may use {quota:.2} CPUs"),
            "a quota of whole CPUs, at least one for each shard: a throttled shard stands still for up to 100 ms",
        )
        .fix(Place::Systemd, "CPUQuota=100% for each shard, or no quota and AllowedCPUs=")
        .fix(Place::Compose, "cpuset: \"0-1\" in place of cpus: 1.5")
        .fix(Place::Kubernetes, "limits.cpu and requests.cpu: the same whole number, with the static CPU manager policy"),
        _ => Finding::ok(check, found),
    };
    (cores, finding)
}

/// How those CPUs lie to each other.
pub(super) fn topology(host: &Host, cores: &[usize]) -> Vec<Finding> {
    vec![
        siblings(host, cores),
        nodes(host, cores),
        governor(host, cores),
        instructions(host),
    ]
}

fn siblings(host: &Host, cores: &[usize]) -> Finding {
    let check = "smt";
    let mut seen = BTreeSet::new();
    let (mut one_each, mut shared) = (Vec::new(), Vec::new());
    for &cpu in cores {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let siblings = host.text(&path).map_or(vec![cpu], |text| cpu_list(&text));
        match seen.insert(siblings) {
            true => one_each.push(cpu),
            false => shared.push(cpu),
        }
    }
    match shared.is_empty() {
        true => Finding::ok(check, "every shard has a core of its own"),
        false => Finding::warn(
            check,
            format!(
                "CPU {} share a core with another shard",
                cores_text(&shared)
            ),
            "one shard per core: two threads of a core do little more than one",
        )
        .fix(
            Place::Setting,
            format!("FLK_CORES={}", cores_text(&one_each)),
        )
        .fix(
            Place::Systemd,
            format!("Environment=FLK_CORES={}", cores_text(&one_each)),
        )
        .fix(
            Place::Compose,
            format!("environment: {{FLK_CORES: \"{}\"}}", cores_text(&one_each)),
        )
        .fix(
            Place::Kubernetes,
            "kubelet: cpuManagerPolicyOptions: {full-pcpus-only: \"true\"}",
        ),
    }
}

fn nodes(host: &Host, cores: &[usize]) -> Finding {
    let check = "numa";
    let mut by_node = BTreeMap::<usize, Vec<usize>>::new();
    for node in 0.. {
        let Some(list) = host.text(&format!("sys/devices/system/node/node{node}/cpulist")) else {
            break;
        };
        let here = cpu_list(&list);
        let mine: Vec<usize> = cores
            .iter()
            .copied()
            .filter(|it| here.contains(it))
            .collect();
        if !mine.is_empty() {
            by_node.insert(node, mine);
        }
    }
    let widest = by_node.values().max_by_key(|cpus| cpus.len());
    match (by_node.len(), widest) {
        (0 | 1, _) | (_, None) => Finding::ok(check, "all shards are on one node"),
        (count, Some(widest)) => Finding::warn(
            check,
            format!("the shards are on {count} nodes"),
            "one node for a gateway: each message between nodes and each look into the table of another costs more",
        )
        .fix(Place::Setting, format!("FLK_CORES={}, and a second gateway for the other node", cores_text(widest)))
        .fix(Place::Systemd, format!("AllowedCPUs={}", cores_text(widest).trim_end_matches(',')))
        .fix(Place::Compose, format!("cpuset: \"{}\"", cores_text(widest).trim_end_matches(',')))
        .fix(Place::Kubernetes, "kubelet: topologyManagerPolicy: single-numa-node"),
    }
}

fn governor(host: &Host, cores: &[usize]) -> Finding {
    let check = "governor";
    let of = |cpu: &usize| {
        host.text(&format!(
            "sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
        ))
    };
    let names: BTreeSet<String> = cores.iter().filter_map(of).collect();
    let names: Vec<String> = names.into_iter().collect();
    match names.iter().find(|name| *name != "performance") {
        Some(name) if name == "powersave" || name == "ondemand" || name == "conservative" => {
            Finding::warn(
                check,
                format!("the frequency governor is {name}"),
                "performance: latencies include the time in which a clock speeds up",
            )
            .fix(Place::Host, "cpupower frequency-set -g performance")
            .fix(Place::Kubernetes, "set it on the nodes of this pool")
        }
        _ if names.is_empty() => Finding::ok(check, "the host decides (a virtual machine)"),
        _ => Finding::ok(
            check,
            format!("the frequency governor is {}", names.join(", ")),
        ),
    }
}

/// What the CPU can do that records are judged with; both are found at run time.
fn instructions(host: &Host) -> Finding {
    let check = "instructions";
    let text = host.text("proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags"));
    let has = |flag: &str| {
        flags.is_some_and(|line| line.split_ascii_whitespace().any(|word| word == flag))
    };
    let missing: Vec<&str> = [("sha_ni", "SHA-NI"), ("avx2", "AVX2")]
        .into_iter()
        .filter(|(flag, _)| !has(flag))
        .map(|(_, name)| name)
        .collect();
    match (flags, missing.is_empty()) {
        (None, _) => Finding::ok(check, "not known here; the fastest code is found at run time"),
        (_, true) => Finding::ok(check, "SHA-NI and AVX2"),
        (_, false) => Finding::warn(
            check,
            format!("{} missing", missing.join(" and ")),
            "a CPU with SHA-NI and AVX2: without them hashing or parsing takes more of it; all works all the same",
        )
        .fix(Place::Host, "in a virtual machine: CPU model host-passthrough")
        .fix(Place::Kubernetes, "a node pool of newer machines"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use crate::doctor::host::tests::Tree;

    fn found(check: &str, tree: &Tree, cores: &[usize]) -> Finding {
        let findings = topology(&tree.host(), cores);
        findings.into_iter().find(|it| it.check == check).unwrap()
    }

    #[test]
    fn a_quota_that_throttles_shards_is_a_warning_and_too_many_cores_are_a_failure() {
        let level = |setting, quota| of(setting, &[0, 1, 2, 3], quota).1.level;
        assert_eq!(level(None, None), Level::Ok);
        assert_eq!(level(None, Some(2.0)), Level::Ok);
        assert_eq!(level(None, Some(1.5)), Level::Warn);
        assert_eq!(level(None, Some(0.5)), Level::Warn);
        assert_eq!(level(Some("9"), None), Level::Fail);
    }

    #[test]
    fn threads_of_one_core_are_named_with_the_setting_that_avoids_them() {
        let siblings = |cpu: usize, list: &'static str| {
            (
                format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"),
                list,
            )
        };
        let files = [
            siblings(0, "0,2"),
            siblings(1, "1,3"),
            siblings(2, "0,2"),
            siblings(3, "1,3"),
        ];
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, list)| (path.as_str(), *list))
            .collect();
        let tree = Tree::with(&files);
        assert_eq!(found("smt", &tree, &[0, 1]).level, Level::Ok);
        let warning = found("smt", &tree, &[0, 1, 2]);
        assert_eq!(warning.level, Level::Warn);
        assert!(
            warning
                .fixes
                .contains(&(Place::Setting, "FLK_CORES=0,1".to_owned()))
        );
        assert_eq!(found("smt", &Tree::with(&[]), &[0, 1]).level, Level::Ok);
    }

    #[test]
    fn shards_on_two_nodes_are_told_to_stay_on_the_one_that_has_most() {
        let tree = Tree::with(&[
            ("sys/devices/system/node/node0/cpulist", "0-1"),
            ("sys/devices/system/node/node1/cpulist", "2-7"),
        ]);
        assert_eq!(found("numa", &tree, &[2, 3, 4]).level, Level::Ok);
        let warning = found("numa", &tree, &[1, 2, 3]);
        assert_eq!(warning.level, Level::Warn);
        assert!(
            warning
                .fixes
                .contains(&(Place::Systemd, "AllowedCPUs=2,3".to_owned()))
        );
    }

    #[test]
    fn a_clock_that_saves_power_and_missing_instructions_are_warnings() {
        let tree = Tree::with(&[
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "powersave\n",
            ),
            ("proc/cpuinfo", "processor : 0\nflags : fpu avx2 sse\n"),
        ]);
        assert_eq!(found("governor", &tree, &[0]).level, Level::Warn);
        assert_eq!(found("governor", &tree, &[1]).level, Level::Ok);
        let warning = found("instructions", &tree, &[0]);
        assert_eq!(
            (warning.level, warning.found.as_str()),
            (Level::Warn, "SHA-NI missing")
        );
        let tree = Tree::with(&[("proc/cpuinfo", "flags : sha_ni avx2")]);
        assert_eq!(found("instructions", &tree, &[0]).level, Level::Ok);
    }
}
