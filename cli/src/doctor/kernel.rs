//! What the kernel allows: its version, io_uring, lockable memory and open files. It asks by trying, as a start does.

use super::finding::{Finding, Place};
use super::host::Host;
use flk_dataplane::config::Config;
use flk_dataplane::config::units::show_bytes;
use flk_dataplane::driver::descriptors::{self, Places, TooFewFiles};
use flk_dataplane::driver::probe::{Chosen, DriverKind, Requested, UringRefused, choose};
use flk_dataplane::driver::sandbox::{self, ABI_NEEDED, NoLandlock, Wanted};
use flk_dataplane::shard::config::ShardLimits;
use rustix::process::{Resource, getrlimit};

/// The first kernel whose io_uring has all that the driver uses.
const KERNEL_NEEDED: (u32, u32) = (6, 1);
/// Lockable memory of a shard.
const MEMLOCK_PER_SHARD_BYTES: u64 = 1 << 20;

/// Kernel, driver and limits for so many shards.
pub(super) fn check(host: &Host, config: &Config, shards: u16) -> Vec<Finding> {
    let chosen = choose(config.driver);
    let kind = chosen.as_ref().map_or(DriverKind::Portable, |it| it.kind);
    let release = host.text("proc/sys/kernel/osrelease").unwrap_or_default();
    let memlock = getrlimit(Resource::Memlock).current;
    // A start raises the limit to the hard one.
    let files_max = getrlimit(Resource::Nofile).maximum;
    let opened = descriptors::open_count() + descriptors::OF_START;
    vec![
        version(&release),
        driver(config.driver, chosen),
        lockable(memlock, shards, config.driver),
        open_files(files_max, opened, kind, shards),
        landlock(sandbox::available(), config.sandbox, host),
    ]
}

fn version(release: &str) -> Finding {
    let check = "kernel";
    let mut numbers = release
        .split(|it: char| !it.is_ascii_digit())
        .map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Finding::ok(
            check,
            format!("version {release:?}, which is not understood"),
        );
    };
    match (major, minor) >= KERNEL_NEEDED {
        true => Finding::ok(check, release),
        false => Finding::warn(check, release, "6.1 or newer for the io_uring driver")
            .fix(
                Place::Host,
                "install a newer kernel (Debian 12 and Ubuntu 24.04 have one)",
            )
            .fix(Place::Kubernetes, "a node pool with such a kernel"),
    }
}

fn driver(requested: Requested, chosen: Result<Chosen, UringRefused>) -> Finding {
    let check = "io_uring";
    match chosen {
        Ok(Chosen {
            kind: DriverKind::Uring,
            why,
            ..
        }) => Finding::ok(check, why),
        Ok(Chosen { why, .. }) if requested == Requested::Portable => {
            Finding::ok(check, format!("not asked for: {why}"))
        }
        Ok(Chosen { why, .. }) => allowed(Finding::warn(
            check,
            why,
            "io_uring; without it the portable driver runs: the same answers, more CPU time for each",
        )),
        Err(UringRefused { why }) => allowed(
            Finding::fail(check, why, "io_uring, as FLK_DRIVER=uring asks for it")
                .fix(Place::Setting, "FLK_DRIVER=auto"),
        ),
    }
}

/// Where io_uring is allowed.
fn allowed(finding: Finding) -> Finding {
    finding
        .fix(Place::Host, "sysctl kernel.io_uring_disabled=0")
        .fix(
            Place::Systemd,
            "SystemCallFilter=@system-service io_uring_setup io_uring_enter io_uring_register",
        )
        .fix(
            Place::Compose,
            "security_opt: [\"seccomp=PROFILE.json\"], a profile that allows io_uring_setup, io_uring_enter and io_uring_register",
        )
        .fix(
            Place::Kubernetes,
            "securityContext.seccompProfile: {type: Localhost, localhostProfile: PROFILE.json}, likewise",
        )
}

fn lockable(limit: Option<u64>, shards: u16, requested: Requested) -> Finding {
    let check = "memlock";
    let needed = MEMLOCK_PER_SHARD_BYTES * u64::from(shards);
    match limit {
        None => Finding::ok(check, "no limit"),
        Some(bytes) if bytes >= needed || requested == Requested::Portable => {
            Finding::ok(check, show_bytes(bytes))
        }
        Some(bytes) => Finding::warn(
            check,
            show_bytes(bytes),
            format!("{} for {shards} shard(s)", show_bytes(needed)),
        )
        .fix(
            Place::Host,
            "ulimit -l unlimited, or memlock in /etc/security/limits.conf",
        )
        .fix(Place::Systemd, format!("LimitMEMLOCK={}M", needed >> 20))
        .fix(Place::Compose, format!("ulimits: {{memlock: {needed}}}"))
        .fix(
            Place::Kubernetes,
            "the limit of the container runtime's unit (LimitMEMLOCK of containerd)",
        ),
    }
}

/// What the gateway's sandbox is made of. A version of it has what those before it have.
fn landlock(found: Result<i32, NoLandlock>, wanted: Wanted, host: &Host) -> Finding {
    let check = "landlock";
    let lacks =
        |what: &str| format!("ABI {ABI_NEEDED} (Linux 6.12): {what}; a gateway runs all the same");
    let newer = "install a newer kernel";
    let finding = match found {
        Ok(abi) if wanted == Wanted::Off => {
            return Finding::ok(check, format!("ABI {abi}, and FLK_SANDBOX=off"));
        }
        Err(none) if wanted == Wanted::Off => {
            return Finding::ok(check, format!("{none}, and FLK_SANDBOX=off"));
        }
        Ok(abi @ ABI_NEEDED..) => return Finding::ok(check, format!("ABI {abi}")),
        Ok(abi @ 4..) => {
            let lacks = lacks("without it a gateway that was taken over can send signals");
            return Finding::warn(check, format!("ABI {abi}"), lacks).fix(Place::Host, newer);
        }
        Ok(abi) => {
            let lacks = lacks("without it a gateway that was taken over can open TCP connections");
            return Finding::warn(check, format!("ABI {abi}"), lacks).fix(Place::Host, newer);
        }
        Err(none) => Finding::warn(
            check,
            none.to_string(),
            lacks(
                "without it a gateway that was taken over can open every file of its user and TCP connections",
            ),
        ),
    };
    let others = host.text("sys/kernel/security/lsm").unwrap_or_default();
    let others = match others.is_empty() {
        true => "THE LIST OF /sys/kernel/security/lsm".to_owned(),
        false => others,
    };
    finding
        .fix(
            Place::Host,
            format!(
                "a kernel with CONFIG_SECURITY_LANDLOCK=y, and lsm=landlock,{others} on its command line (GRUB_CMDLINE_LINUX), then reboot"
            ),
        )
        .fix(
            Place::Systemd,
            "SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        )
        .fix(
            Place::Compose,
            "security_opt: [\"seccomp=PROFILE.json\"], a profile that allows the three landlock_ calls",
        )
        .fix(
            Place::Kubernetes,
            "a node with such a kernel, and securityContext.seccompProfile likewise",
        )
}

fn open_files(limit: Option<u64>, opened: u64, kind: DriverKind, shards: u16) -> Finding {
    let check = "open files";
    let limits = ShardLimits::default();
    let wanted = (limits.connections_max, limits.connections_spare);
    let found = limit.map_or("no limit".to_owned(), |limit| format!("a limit of {limit}"));
    // As a start asks, one after the other.
    let places = descriptors::allow_files(limit, opened, shards)
        .and_then(|()| descriptors::places(limit, opened, kind, shards, wanted));
    let (finding, needed) = match places {
        Ok(Places {
            limit_wanted: None, ..
        }) => return Finding::ok(check, found),
        Ok(Places {
            limit_wanted: Some(needed),
            connections_max,
            ..
        }) => {
            let found = format!("{found}: places for {connections_max} connections per shard");
            let needed_text = format!("{needed} for {} per shard", limits.connections_max);
            (Finding::warn(check, found, needed_text), needed)
        }
        Err(TooFewFiles { needed, .. }) => {
            let needed_text = format!("{needed} at least; 65536 is usual");
            (Finding::fail(check, found, needed_text), needed)
        }
    };
    let limit = needed.max(65_536);
    finding
        .fix(
            Place::Host,
            format!("ulimit -Hn {limit}, or nofile in /etc/security/limits.conf"),
        )
        .fix(Place::Systemd, format!("LimitNOFILE={limit}"))
        .fix(
            Place::Compose,
            format!("ulimits: {{nofile: {{soft: {limit}, hard: {limit}}}}}"),
        )
        .fix(
            Place::Kubernetes,
            "the limit of the container runtime's unit (LimitNOFILE of containerd)",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn kernels_are_told_apart_by_number_and_not_by_text() {
        for (release, level) in [
            ("6.1.0-13-amd64", Level::Ok),
            ("6.18.2", Level::Ok),
            ("10.0", Level::Ok),
            ("5.15.0-91-generic", Level::Warn),
            ("6.0.9", Level::Warn),
            ("strange", Level::Ok),
        ] {
            assert_eq!(version(release).level, level, "{release}");
        }
    }

    #[test]
    fn io_uring_that_is_refused_is_a_failure_only_where_it_was_asked_for() {
        let chosen = |kind| Chosen {
            kind,
            is_fallback: false,
            why: "why".to_owned(),
            costs: String::new(),
        };
        let refused = || {
            Err(UringRefused {
                why: "a seccomp filter".to_owned(),
            })
        };
        let level = |requested, chosen| driver(requested, chosen).level;
        assert_eq!(
            level(Requested::Auto, Ok(chosen(DriverKind::Uring))),
            Level::Ok
        );
        assert_eq!(
            level(Requested::Portable, Ok(chosen(DriverKind::Portable))),
            Level::Ok
        );
        assert_eq!(
            level(Requested::Auto, Ok(chosen(DriverKind::Portable))),
            Level::Warn
        );
        let finding = driver(Requested::Uring, refused());
        assert_eq!(finding.level, Level::Fail);
        assert_eq!(
            finding.fixes[0],
            (Place::Setting, "FLK_DRIVER=auto".to_owned())
        );
    }

    #[test]
    fn a_landlock_that_lacks_something_is_a_warning_that_says_what_and_how_to_have_it() {
        let root = tempfile::tempdir().unwrap();
        let security = root.path().join("sys/kernel/security");
        std::fs::create_dir_all(&security).unwrap();
        std::fs::write(security.join("lsm"), "lockdown,yama").unwrap();
        let host = Host::below(root.path());
        let of = |found, wanted| landlock(found, wanted, &host);
        for (found, level, words) in [
            (Ok(7), Level::Ok, ""),
            (Ok(6), Level::Ok, ""),
            (Ok(5), Level::Warn, "can send signals"),
            (Ok(3), Level::Warn, "can open TCP connections"),
            (
                Err(NoLandlock::NotEnabled),
                Level::Warn,
                "every file of its user",
            ),
            (
                Err(NoLandlock::NotThere),
                Level::Warn,
                "every file of its user",
            ),
        ] {
            let finding = of(found, Wanted::On);
            let json: serde_json::Value = serde_json::from_str(&finding.json()).unwrap();
            assert_eq!(finding.level, level, "{json}");
            let needed = json["needed"].as_str().unwrap_or_default();
            assert!(needed.contains(words), "{needed}");
            assert_eq!(of(found, Wanted::Off).level, Level::Ok);
        }
        let lines = of(Err(NoLandlock::NotEnabled), Wanted::On)
            .lines()
            .join("\n");
        for words in [
            "WARN  landlock       it is not enabled in this kernel",
            "lsm=landlock,lockdown,yama on its command line",
            "landlock_create_ruleset",
        ] {
            assert!(lines.contains(words), "{lines}");
        }
    }

    #[test]
    fn limits_are_compared_with_what_so_many_shards_need() {
        let memlock = |limit, requested| lockable(limit, 4, requested).level;
        assert_eq!(memlock(None, Requested::Auto), Level::Ok);
        assert_eq!(memlock(Some(4 << 20), Requested::Auto), Level::Ok);
        assert_eq!(memlock(Some((4 << 20) - 1), Requested::Auto), Level::Warn);
        assert_eq!(memlock(Some(1), Requested::Portable), Level::Ok);
        let files = |limit| open_files(limit, 4, DriverKind::Portable, 2);
        assert_eq!(files(None).level, Level::Ok);
        assert_eq!(files(Some(20_000)).level, Level::Ok);
        assert_eq!(files(Some(1024)).level, Level::Warn);
        let failure = files(Some(20));
        assert_eq!(failure.level, Level::Fail);
        assert!(
            failure
                .fixes
                .contains(&(Place::Systemd, "LimitNOFILE=65536".to_owned()))
        );
    }
}
