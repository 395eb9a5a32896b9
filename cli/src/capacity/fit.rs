//! A plan beside a machine and beside prices: whether it fits, what limits it, how many machines it takes and what they cost.

use super::constants as c;
use super::model::{Plan, plan};
use super::need::Need;
use flk_dataplane::config::Shape;

/// Seconds of a month of 30.4 days.
const MONTH_S: f64 = 86_400.0 * 365.0 / 12.0;
const GB: f64 = 1e9;

/// A need, and what one machine of it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sized {
    /// All of it.
    pub(super) need: Need,
    /// The part of one machine while others are away.
    pub(super) one: Need,
    /// What that machine takes.
    pub(super) plan: Plan,
}

impl Sized {
    pub(super) fn of(need: Need) -> Sized {
        let one = need.of_one();
        Sized {
            need,
            one,
            plan: plan(&one),
        }
    }
}

/// Parts of a machine that a plan takes; above 1 it does not fit.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) shape: Shape,
    pub(super) cores: f64,
    /// How much of the rate that its shards could take at their planned use; cores come whole, and rates do not.
    pub(super) rate: f64,
    pub(super) memory: f64,
    /// Disk for all that is asked for.
    pub(super) disk: f64,
    /// Disk for slices, open segments and a merge, without which submits are refused.
    pub(super) disk_least: f64,
    /// For how long bodies are kept on that disk, in seconds.
    pub(super) kept_s: f64,
}

impl Fit {
    pub(super) fn of(sized: &Sized, shape: Shape) -> Fit {
        let Plan {
            cpu, memory, disk, ..
        } = &sized.plan;
        let room = shape.disk_bytes as f64 * c::CAP_SHARE.value;
        let least = disk.slices + disk.open;
        let kept_per_second = disk.log_kept / sized.one.keep_s;
        Fit {
            cores: (cpu.shards + cpu.others) / shape.cpus as f64,
            rate: cpu.shards * cpu.use_share
                / sized.one.use_share
                / (shape.cpus as f64 - cpu.others).max(1.0),
            memory: memory.all() / shape.memory_bytes as f64,
            disk: disk.wal_dir() / room,
            disk_least: least / room,
            kept_s: ((room - least).max(0.0) / kept_per_second)
                .min(disk.kept_by_manifest_s(sized.one.keep_s)),
            shape,
        }
    }

    /// Whether a gateway runs there, whatever becomes of bodies.
    pub(super) fn fits(&self) -> bool {
        let parts = [self.cores, self.memory, self.disk_least];
        parts.iter().all(|it| *it <= 1.0)
    }

    /// Whether it serves, with bodies for a day at least, or for as long as is asked for.
    fn serves(&self, keep_s: f64) -> bool {
        self.fits() && self.kept_s >= keep_s.min(86_400.0)
    }

    /// What is used most, in one word.
    pub(super) fn limit(&self) -> &'static str {
        let parts = [
            ("cores", self.rate),
            ("memory", self.memory),
            ("disk", self.disk),
        ];
        let most = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        most.map_or("", |(name, _)| name)
    }
}

/// As few machines of this shape as serve, the spare ones included; at most so many.
pub(super) fn replicas_for(need: &Need, shape: &Shape, most: u32) -> u32 {
    let fits = |replicas: u32| {
        let need = Need { replicas, ..*need };
        Fit::of(&Sized::of(need), shape.clone()).serves(need.keep_s)
    };
    let least = need.spare + 1;
    (least..most)
        .find(|it| fits(*it))
        .unwrap_or(most.max(least))
}

/// Prices of a month.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    pub(super) core: f64,
    pub(super) memory_gb: f64,
    pub(super) disk_gb: f64,
    pub(super) network_gb: f64,
}

/// What all machines cost in a month.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) cores: f64,
    pub(super) memory: f64,
    pub(super) disk: f64,
    pub(super) network: f64,
}

impl Cost {
    /// All of it.
    pub(super) fn all(&self) -> f64 {
        self.cores + self.memory + self.disk + self.network
    }
}

impl Prices {
    /// What these machines cost; traffic is that of the average rate.
    pub(super) fn of(&self, sized: &Sized) -> Cost {
        let machines = f64::from(sized.need.replicas);
        let Plan {
            cpu,
            memory,
            disk,
            network,
            ..
        } = &sized.plan;
        let serving = sized.need.per_second / sized.one.per_second;
        let out_per_second = network.bits_out / 8.0 / sized.one.peak_times * serving;
        Cost {
            cores: (cpu.shards + cpu.others) * self.core * machines,
            memory: memory.all() / GB * self.memory_gb * machines,
            disk: disk.file_system() / GB * self.disk_gb * machines,
            network: out_per_second * MONTH_S / GB * self.network_gb,
        }
    }
}
