//! How a process has opened the segments of its log. It reads /proc; what an io_uring writes, no tracer of system calls sees.

use std::io;

use flk_dataplane::wal::files::NumberedFile;
use rustix::fs::OFlags;

/// Descriptors of segments that can be written.
pub(super) struct Writable {
    /// Writes through them are durable when they end.
    pub(super) durable_count: usize,
    /// They are not.
    pub(super) others_count: usize,
}

/// Looks at all descriptors of a process; those that are closed meanwhile are left out.
pub(super) fn of_segments(process: u32) -> io::Result<Writable> {
    let mut found = Writable {
        durable_count: 0,
        others_count: 0,
    };
    for entry in std::fs::read_dir(format!("/proc/{process}/fd"))? {
        let entry = entry?;
        let number = entry.file_name();
        let info = format!("/proc/{process}/fdinfo/{}", number.to_string_lossy());
        let (Ok(target), Ok(info)) = (entry.path().read_link(), std::fs::read_to_string(info))
        else {
            continue;
        };
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let Some(flags) = flags_in(&info).filter(|_| NumberedFile::is_segment(&name)) else {
            continue;
        };
        match flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
            true if flags.contains(OFlags::DSYNC) => found.durable_count += 1,
            true => found.others_count += 1,
            false => {}
        }
    }
    Ok(found)
}

fn flags_in(info: &str) -> Option<OFlags> {
    let line = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let bits = u32::from_str_radix(line.trim(), 8).ok()?;
    Some(OFlags::from_bits_retain(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, open};

    #[test]
    fn only_segments_that_can_be_written_count_and_each_by_its_flags() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, flags| {
            let path = directory.path().join(name);
            open(path, flags | OFlags::CREATE, Mode::RWXU).unwrap()
        };
        let segment = "segment-0000000000000001.wal";
        let _open = [
            file(segment, OFlags::RDWR | OFlags::DSYNC),
            file(segment, OFlags::WRONLY | OFlags::DSYNC),
            file(segment, OFlags::RDWR),
            file(segment, OFlags::RDONLY),
            file("manifest", OFlags::RDWR),
        ];
        let found = of_segments(std::process::id()).unwrap();
        assert_eq!((found.durable_count, found.others_count), (2, 1));
    }
}
