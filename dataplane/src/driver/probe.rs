//! Finds out, by trying, which driver this host allows and how its file system can be written, and describes what was found
//! and what an operator can change. It never overrides a setting.

use super::uring::queue;
use crate::io::{Errno, SyncMode};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use io_uring::Probe;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fmt;
use std::os::fd::BorrowedFd;

/// What `FLK_DRIVER` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requested {
    /// io_uring if it works, else the portable driver.
    #[default]
    Auto,
    /// io_uring, or the start fails.
    Uring,
    /// The portable driver.
    Portable,
}

/// Neither `auto`, `uring` nor `portable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverNameError(pub String);

impl fmt::Display for DriverNameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "FLK_DRIVER={}: allowed are auto, uring, portable",
            self.0
        )
    }
}

impl std::error::Error for DriverNameError {}

impl std::str::FromStr for Requested {
    type Err = DriverNameError;

    fn from_str(text: &str) -> Result<Requested, DriverNameError> {
        match text {
            "auto" => Ok(Requested::Auto),
            "uring" => Ok(Requested::Uring),
            "portable" => Ok(Requested::Portable),
            other => Err(DriverNameError(other.to_owned())),
        }
    }
}

/// A driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// One io_uring per shard.
    Uring,
    /// epoll and a flush thread per shard.
    Portable,
}

impl DriverKind {
    /// As in `FLK_DRIVER`.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Uring => "uring",
            DriverKind::Portable => "portable",
        }
    }
}

/// The driver that will run, for the start-up lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The driver.
    pub kind: DriverKind,
    /// The other one was wanted, and does not work.
    pub is_fallback: bool,
    /// The reason.
    pub why: String,
    /// Its cost compared with the other one.
    pub costs: String,
}

/// `FLK_DRIVER=uring`, and io_uring does not work.
#[derive(Debug)]
pub struct UringRefused {
    /// What was found and what to change.
    pub why: String,
}

impl fmt::Display for UringRefused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = &self.why;
        write!(out, "FLK_DRIVER=uring: {why}; or set FLK_DRIVER=auto")
    }
}

impl std::error::Error for UringRefused {}

/// Chooses the driver, trying io_uring unless the portable one was asked for.
pub fn choose(requested: Requested) -> Result<Chosen, UringRefused> {
    if requested == Requested::Portable {
        let why = "FLK_DRIVER=portable asks for it".to_owned();
        return Ok(portable(why, false));
    }
    match try_uring() {
        Ok(()) => Ok(Chosen {
            kind: DriverKind::Uring,
            is_fallback: false,
            why: "io_uring works here with all that is needed".to_owned(),
            costs: "nothing: it is the faster driver".to_owned(),
        }),
        Err(why) if requested == Requested::Auto => Ok(portable(why, true)),
        Err(why) => Err(UringRefused { why }),
    }
}

fn portable(why: String, is_fallback: bool) -> Chosen {
    Chosen {
        kind: DriverKind::Portable,
        is_fallback,
        why,
        costs: "one more system call and thread switch per log write, one system call per read and per answer, timers \
                rounded up to 1 ms, one more thread per shard; durability and answers are the same"
            .to_owned(),
    }
}

/// Sets up a ring as a shard does and asks for every operation that it uses.
fn try_uring() -> Result<(), String> {
    let ring = queue::build().map_err(|error| explain(&error, &Host::read()))?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| explain(&error, &Host::read()))?;
    let missing: Vec<&str> = queue::OPERATIONS
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code))
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "this kernel's io_uring lacks {}: kernel 6.1 or newer has them",
            missing.join(", ")
        ));
    }
    let params = ring.params();
    if !params.is_feature_ext_arg() || !params.is_feature_nodrop() {
        return Err("this kernel's io_uring is too old: 6.1 or newer is needed".to_owned());
    }
    ring.submitter()
        .register_files_sparse(1)
        .and_then(|()| queue::enable(&ring))
        .map_err(|error| explain(&error, &Host::read()))
}

/// What of this host bears on io_uring.
struct Host {
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for privileged only, 2 for nobody.
    disabled: String,
    /// A seccomp filter is in force.
    seccomp: bool,
    /// Locked memory allowed, in bytes.
    memlock_bytes: Option<u64>,
}

impl Host {
    fn read() -> Host {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock);
        Host {
            disabled: read("/proc/sys/kernel/io_uring_disabled").trim().to_owned(),
            seccomp: read("/proc/self/status")
                .lines()
                .any(|line| line.strip_prefix("Seccomp:").map(str::trim) == Some("2")),
            memlock_bytes: limit.current,
        }
    }
}

/// An error of setting up a ring, in words that say what to change.
fn explain(error: &std::io::Error, host: &Host) -> String {
    let seccomp = "a seccomp filter blocks io_uring (the default profile of containers does): run with a profile that \
                   allows io_uring_setup, io_uring_enter and io_uring_register";
    match error.raw_os_error() {
        Some(libc::EPERM) if host.disabled == "2" || host.disabled == "1" => format!(
            "io_uring is switched off by kernel.io_uring_disabled={}: set it to 0",
            host.disabled
        ),
        Some(libc::EPERM | libc::ENOSYS | libc::EACCES) if host.seccomp => {
            format!("{seccomp} ({error})")
        }
        Some(libc::ENOSYS) => format!("this kernel has no io_uring ({error})"),
        Some(libc::EPERM | libc::EACCES) => {
            format!("a security module or filter refuses io_uring ({error}): allow it there")
        }
        Some(libc::ENOMEM) => {
            let found = host
                .memlock_bytes
                .map_or("unlimited".to_owned(), |bytes| format!("{bytes} bytes"));
            format!(
                "not enough lockable memory for io_uring ({error}): the limit is {found}, 1 MiB per shard is needed; \
                 raise LimitMEMLOCK (ulimit -l)"
            )
        }
        Some(libc::EINVAL) => format!(
            "this kernel's io_uring does not know single-issuer rings with deferred task running ({error}): kernel 6.1 \
             or newer does"
        ),
        _ => format!("io_uring_setup failed ({error})"),
    }
}

/// How segments are opened and written in a directory: one way for all of them, whatever the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteMethod {
    /// Segments bypass the page cache.
    pub direct: bool,
    /// How a write becomes durable.
    pub sync: SyncMode,
    /// Why, for the start-up lines.
    pub why: String,
}

/// Finds out by a trial write into a file that is gone before this returns.
pub fn write_method(directory: BorrowedFd<'_>) -> std::io::Result<WriteMethod> {
    let name = format!("probe-{}.tmp", std::process::id());
    let file_flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    // What a crashed start of the same process id left behind.
    let _ = rustix::fs::unlinkat(directory, &name, AtFlags::empty());
    let plain = rustix::fs::openat(directory, &name, file_flags, Mode::RUSR | Mode::WUSR)?;
    let direct_flags = OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, &name, direct_flags, Mode::empty());
    rustix::fs::unlinkat(directory, &name, AtFlags::empty())?;
    let tried = opened.and_then(|file| {
        let mut block = Blocks::default();
        block.reset(BLOCK_BYTES);
        rustix::io::pwrite(&file, block.bytes(), 0)
    });
    // A memory file system may take direct writes for granted; there is nothing to bypass and nothing durable there.
    let in_memory = rustix::fs::fstatfs(&plain)?.f_type as u64 == libc::TMPFS_MAGIC as u64;
    let buffered = |why: String| WriteMethod {
        direct: false,
        sync: SyncMode::WriteThenSync,
        why,
    };
    Ok(match tried {
        _ if in_memory => buffered(
            "this is a memory file system (tmpfs): nothing on it outlives the host".to_owned(),
        ),
        Ok(BLOCK_BYTES) => WriteMethod {
            direct: true,
            sync: SyncMode::Dsync,
            why: "the file system takes direct synchronous writes".to_owned(),
        },
        // No other way of writing changes that.
        Err(error) if Errno(error.raw_os_error()).is_too_long() => return Err(error.into()),
        Ok(short) => buffered(format!(
            "a direct write of {BLOCK_BYTES} bytes took only {short}"
        )),
        Err(error) => buffered(format!(
            "the file system refuses direct writes ({error}): buffered writes, each followed by fdatasync"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn host(disabled: &str, seccomp: bool) -> Host {
        Host {
            disabled: disabled.to_owned(),
            seccomp,
            memlock_bytes: Some(65_536),
        }
    }

    fn check(errno: i32, host: &Host, expected: &str) {
        let text = explain(&std::io::Error::from_raw_os_error(errno), host);
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_refusal_is_explained_by_what_can_be_changed() {
        check(
            libc::EPERM,
            &host("0", true),
            "a seccomp filter blocks io_uring",
        );
        check(
            libc::ENOSYS,
            &host("0", true),
            "a seccomp filter blocks io_uring",
        );
        check(
            libc::EPERM,
            &host("2", true),
            "kernel.io_uring_disabled=2: set it to 0",
        );
        check(
            libc::ENOSYS,
            &host("", false),
            "this kernel has no io_uring",
        );
        check(libc::ENOMEM, &host("0", false), "the limit is 65536 bytes");
        check(libc::EINVAL, &host("0", false), "kernel 6.1");
    }

    #[test]
    fn the_portable_driver_is_chosen_when_asked_for_and_says_what_it_costs() {
        let chosen = choose("portable".parse().unwrap()).unwrap();
        assert_eq!(chosen.kind, DriverKind::Portable);
        assert!(chosen.costs.contains("durability and answers are the same"));
        let error = "epoll".parse::<Requested>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "FLK_DRIVER=epoll: allowed are auto, uring, portable"
        );
    }

    #[test]
    fn auto_never_fails_and_agrees_with_asking_for_uring() {
        let auto = choose(Requested::Auto).unwrap();
        let works = choose(Requested::Uring).is_ok();
        assert_eq!(auto.kind == DriverKind::Uring, works, "{auto:?}");
    }

    #[test]
    fn the_trial_write_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let opened = crate::driver::directory::open_directory(directory.path()).unwrap();
        let method = write_method(opened.as_fd()).unwrap();
        assert_eq!(method.direct, method.sync == SyncMode::Dsync);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_memory_file_system_gets_buffered_writes() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            return flk_testkit::skipped("no tmpfs at /dev/shm");
        };
        let opened = crate::driver::directory::open_directory(directory.path()).unwrap();
        if rustix::fs::fstatfs(&opened).unwrap().f_type as u64 != libc::TMPFS_MAGIC as u64 {
            return flk_testkit::skipped("/dev/shm is no tmpfs");
        }
        let method = write_method(opened.as_fd()).unwrap();
        assert!(!method.direct && method.sync == SyncMode::WriteThenSync);
    }
}
