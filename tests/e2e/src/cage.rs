//! A memory limit for a gateway: a cgroup of its own below that of this process, version 1 or 2, gone with the value. It
//! limits only what is started in it, and says why where it cannot be had.

use std::io::{Error, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A cgroup with a memory limit, and a program that starts another one in it.
pub struct MemoryCage {
    group: PathBuf,
    starter: PathBuf,
}

impl MemoryCage {
    /// Makes one of this size; `starter` is where the program that starts `binary` in it is written.
    pub fn make(bytes: u64, binary: &Path, starter: PathBuf) -> Result<MemoryCage> {
        let groups = std::fs::read_to_string("/proc/self/cgroup")?;
        let own = |controller: &str| {
            let line = groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, group) = rest.split_once(':')?;
                let fits = controllers.split(',').any(|name| name == controller);
                fits.then_some(group)
            });
            line.unwrap_or("/").trim_start_matches('/').to_owned()
        };
        // Tests of one process run at a time, each on several hosts, with cages of the same size.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("flk-e2e-{}-{number}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/memory").join(own("memory"));
        let v2 = Path::new("/sys/fs/cgroup").join(own(""));
        let (parent, limit) = match v1.join("memory.limit_in_bytes").is_file() {
            true => (v1, "memory.limit_in_bytes"),
            false => (v2, "memory.max"),
        };
        let group = parent.join(name);
        std::fs::create_dir(&group)?;
        let cage = MemoryCage { group, starter };
        std::fs::write(cage.group.join(limit), bytes.to_string())?;
        let (procs, binary) = (cage.group.join("cgroup.procs"), binary.display());
        let script = format!(
            "#!/bin/sh\necho $$ > '{}' || exit 99\nexec '{binary}'\n",
            procs.display()
        );
        std::fs::write(&cage.starter, script)?;
        std::fs::set_permissions(&cage.starter, PermissionsExt::from_mode(0o700))?;
        match std::fs::read_to_string(&procs) {
            Ok(_) => Ok(cage),
            Err(error) => Err(Error::other(format!("{}: {error}", procs.display()))),
        }
    }

    /// The program that starts the other one.
    pub fn starter(&self) -> PathBuf {
        self.starter.clone()
    }

    /// The most that was ever used in it, the page cache included.
    pub fn peak_bytes(&self) -> Option<u64> {
        let names = ["memory.max_usage_in_bytes", "memory.peak"];
        let texts = names.map(|name| std::fs::read_to_string(self.group.join(name)).ok());
        texts
            .into_iter()
            .flatten()
            .find_map(|text| text.trim().parse().ok())
    }
}

impl Drop for MemoryCage {
    fn drop(&mut self) {
        // It is empty only once the last process in it has been reaped; what is left of an empty group costs nothing.
        let _ = std::fs::remove_dir(&self.group);
    }
}
