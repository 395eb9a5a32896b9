//! Types that all parts share: shards, open files, error numbers, clock readings. Plain data.

/// The clock readings of one turn. A shard never reads a clock itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time in microseconds since an arbitrary point before the process started.
    pub mono_us: u64,
    /// Wall clock in microseconds since the Unix epoch. It may jump, so it is only recorded.
    pub wall_us: u64,
}

/// A shard of this process, `0..shards`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// An open file: its descriptor in production, a handle in the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub i32);

/// An error number of the operating system (positive, as in `errno.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Input/output error.
    pub const EIO: Errno = Errno(5);
    /// This user may not.
    pub const EACCES: Errno = Errno(13);
    /// No space left on device.
    pub const ENOSPC: Errno = Errno(28);
    /// No such file.
    pub const ENOENT: Errno = Errno(2);

    /// Whether the file system refuses changes: not permitted, no access, or mounted read-only.
    pub fn is_refusal(self) -> bool {
        const EPERM: i32 = 1;
        const EROFS: i32 = 30;
        self == Errno::EACCES || matches!(self.0, EPERM | EROFS)
    }

    /// Whether there is no room for more: the file system is full, or a quota is used up.
    pub fn is_full(self) -> bool {
        const EDQUOT: Errno = Errno(122);
        self == Errno::ENOSPC || self == EDQUOT
    }

    /// Whether another open file is refused: to the process, or to all of the system.
    pub fn is_out_of_descriptors(self) -> bool {
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        matches!(self.0, ENFILE | EMFILE)
    }

    /// Whether a file would become longer than this process may make one, or than the file system can.
    pub fn is_too_long(self) -> bool {
        const EFBIG: i32 = 27;
        self.0 == EFBIG
    }

    /// What an operator should check if a file operation in WAL_DIR failed with this.
    pub fn what_to_check(self) -> &'static str {
        match self.is_refusal() {
            _ if self.is_too_long() => {
                "The process may make no file of this length: raise its limit (LimitFSIZE of the unit, ulimit -f), which has to be more than WAL_SEGMENT_BYTES"
            }
            _ if self.is_out_of_descriptors() => {
                "The process has as many files open as it may: raise its limit (LimitNOFILE of the unit, `prlimit --nofile` while it runs, fs.file-max)"
            }
            true => {
                "The file system refuses it, which is not for want of space: look for a read-only mount, for `chattr +i` or `+a` (lsattr), and at the owner and mode of WAL_DIR and its files"
            }
            false => "Check the disk, its free space and the permissions of WAL_DIR",
        }
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(out)
    }
}

/// Names a read of a shard, so that its completion can be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadId(pub u64);

/// How a write becomes durable. The keeper sends it to each shard at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Segments are open for synchronous writes (`O_DSYNC`): a completed write is durable.
    Dsync,
    /// A completed write needs a following sync.
    WriteThenSync,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_check_names_the_limit_that_was_met() {
        for (number, expected) in [
            (27, "ulimit -f"),
            (24, "LimitNOFILE"),
            (30, "read-only mount"),
            (28, "its free space"),
        ] {
            let said = Errno(number).what_to_check();
            assert!(said.contains(expected), "{number}: {said}");
        }
    }
}
