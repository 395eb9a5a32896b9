//! Memory: whether the dedup tables fit beside the rest, and whether the kernel may move the process to a swap device. It
//! reserves nothing.

use super::finding::{Finding, Place};
use super::host::Host;
use flk_dataplane::config::Config;
use flk_dataplane::run::memory_plan;

/// Memory for so many shards.
pub(super) fn check(host: &Host, config: &Config, shards: u16) -> Vec<Finding> {
    let plan = memory_plan(config.dedup_memory_bytes_max, shards);
    vec![tables(plan), swap(host)]
}

fn tables(plan: Result<String, String>) -> Finding {
    let check = "memory";
    match plan {
        Ok(found) => Finding::ok(check, found),
        Err(why) => Finding::fail(check, why, "room for buffers, tables and a start")
            .fix(Place::Setting, "lower DEDUP_MEMORY_MAX or FLK_CORES")
            .fix(Place::Systemd, "raise MemoryMax= and MemoryHigh=")
            .fix(Place::Compose, "raise mem_limit")
            .fix(
                Place::Kubernetes,
                "raise resources.limits.memory, and requests with it",
            ),
    }
}

/// A page of the table that has to be read back holds up every connection of its shard.
fn swap(host: &Host) -> Finding {
    let check = "swap";
    let devices = host
        .text("proc/swaps")
        .unwrap_or_default()
        .lines()
        .skip(1)
        .count();
    let swappiness = host.number("proc/sys/vm/swappiness").unwrap_or(60);
    match (devices, swappiness) {
        (0, _) => Finding::ok(check, "none"),
        (_, 0 | 1) => Finding::ok(
            check,
            format!("{devices} device(s), vm.swappiness={swappiness}"),
        ),
        _ => Finding::warn(
            check,
            format!("{devices} device(s), vm.swappiness={swappiness}"),
            "no swap, or vm.swappiness=1: a shard that waits for a page answers no one",
        )
        .fix(Place::Host, "swapoff -a, or sysctl vm.swappiness=1")
        .fix(Place::Systemd, "MemorySwapMax=0")
        .fix(Place::Compose, "memswap_limit: the same as mem_limit")
        .fix(
            Place::Kubernetes,
            "kubelet: memorySwap: {swapBehavior: NoSwap}",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use crate::doctor::host::tests::Tree;

    #[test]
    fn tables_that_do_not_fit_are_a_failure_with_the_reason_of_the_start() {
        assert_eq!(tables(Ok("1 GiB".to_owned())).level, Level::Ok);
        let failure = tables(Err("DEDUP_MEMORY_MAX=1TiB: too much".to_owned()));
        assert_eq!(failure.level, Level::Fail);
        assert!(failure.found.contains("1TiB"));
    }

    #[test]
    fn a_swap_device_that_the_kernel_likes_to_use_is_a_warning() {
        let header = "Filename Type Size Used Priority\n";
        let device = format!("{header}/dev/sdb1 partition 1 0 -2\n");
        let level = |swaps: &str, swappiness: &str| {
            let tree = Tree::with(&[
                ("proc/swaps", swaps),
                ("proc/sys/vm/swappiness", swappiness),
            ]);
            swap(&tree.host()).level
        };
        assert_eq!(level(header, "60"), Level::Ok);
        assert_eq!(level(&device, "1\n"), Level::Ok);
        assert_eq!(level(&device, "60\n"), Level::Warn);
        assert_eq!(swap(&Tree::with(&[]).host()).level, Level::Ok);
    }
}
