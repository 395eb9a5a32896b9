//! The hosts that a gateway is tried on: with io_uring, without, with io_uring blocked by a seccomp filter as containers
//! do, and with its log on a file system in memory. It says how gateways are started, and nothing of what they should do.

use flk_dataplane::driver::probe::{Requested, choose};
use flk_testkit::gateway::{binary, planted_binary};
use flk_testkit::plan::Plan;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `FLK_DRIVER=uring`.
    Uring,
    /// `FLK_DRIVER=portable`.
    Portable,
    /// `FLK_DRIVER=auto` where a seccomp filter refuses io_uring, as the default profiles of containers do.
    UringBlocked,
    /// `FLK_DRIVER=auto` with the log on tmpfs.
    Tmpfs,
}

/// io_uring_setup, io_uring_enter, io_uring_register: the same numbers on every machine that Linux runs on today.
const IO_URING_CALLS: [i64; 3] = [425, 426, 427];

impl Setting {
    /// Whether this host can be had here; if not, says so loudly.
    pub fn is_available(self) -> bool {
        match self {
            Setting::Uring => match choose(Requested::Uring) {
                Ok(_) => true,
                Err(refused) => {
                    flk_testkit::skipped(&format!("end to end under io_uring: {refused}"));
                    false
                }
            },
            Setting::Portable | Setting::UringBlocked => true,
            Setting::Tmpfs => {
                let there = PathBuf::from("/dev/shm").is_dir();
                if !there {
                    flk_testkit::skipped("end to end on tmpfs: this machine has no /dev/shm");
                }
                there
            }
        }
    }

    /// The value of `FLK_DRIVER`.
    pub fn driver(self) -> &'static str {
        match self {
            Setting::Uring => "uring",
            Setting::Portable => "portable",
            Setting::UringBlocked | Setting::Tmpfs => "auto",
        }
    }

    /// A new directory for a log; gone with the value.
    pub fn directory(self) -> TempDir {
        let made = match self {
            Setting::Tmpfs => tempfile::Builder::new()
                .prefix("flk-e2e-")
                .tempdir_in("/dev/shm"),
            _ => tempfile::Builder::new().prefix("flk-e2e-").tempdir(),
        };
        made.expect("a temporary directory")
    }

    /// The usual gateway on this host, its log below `directory`.
    pub fn plan(self, directory: &Path) -> Plan {
        self.on(Plan::new(binary(), directory))
            .with("FLK_DRIVER", self.driver())
    }

    /// The same with the build for tests, which has these time limits in place of those that the documentation promises:
    /// `head=2s,stop=3s`.
    pub fn plan_with_times(self, directory: &Path, time_limits: &str) -> Plan {
        self.on(Plan::new(planted_binary(), directory))
            .with("FLK_DRIVER", self.driver())
            .with("FLK_TEST_LIMITS", time_limits)
    }

    /// A gateway on this host for which nothing is set.
    pub fn bare_plan(self) -> Plan {
        self.on(Plan::bare(binary()))
    }

    fn on(self, plan: Plan) -> Plan {
        match self {
            Setting::UringBlocked => plan.under(without_io_uring()),
            Setting::Uring | Setting::Portable | Setting::Tmpfs => plan,
        }
    }
}

/// Answers EPERM to the calls of io_uring and lets everything else through.
fn without_io_uring() -> BpfProgram {
    let rules: BTreeMap<i64, _> = IO_URING_CALLS.iter().map(|&call| (call, vec![])).collect();
    let machine = std::env::consts::ARCH.try_into().expect("a known machine");
    let refuse = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error() as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine)
        .and_then(|filter| filter.try_into())
        .expect("a filter")
}
